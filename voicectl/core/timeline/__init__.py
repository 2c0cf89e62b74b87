"""The timeline of a leg or a conversation: what each source reports about it, gathered and put in order."""
