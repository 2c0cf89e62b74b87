"""The command line: parse arguments, run commands, show results."""
