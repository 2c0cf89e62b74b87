"""What happened, kept: the journal of what this machine asked for, and its shared pace."""
