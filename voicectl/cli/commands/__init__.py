"""The commands, a file a noun or verb."""
