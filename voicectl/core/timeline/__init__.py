"""What happened to a leg or in a conversation: gathered from every source, and put in order."""
