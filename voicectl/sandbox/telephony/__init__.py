"""The sandbox's telephony: legs, conversations and flows. It has no HTTP, no files and no clock of its own."""
