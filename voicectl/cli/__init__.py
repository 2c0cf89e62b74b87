"""Parse, ask, render: the commands."""
