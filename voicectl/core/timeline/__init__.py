"""The timeline of a leg or a conversation: gathered from every source, and put in order."""
