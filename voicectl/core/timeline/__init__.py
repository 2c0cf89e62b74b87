"""The timeline of a leg or a conversation: what all sources report about it, gathered and put in order."""
