"""The sandbox's telephony: legs, conversations and flows, without HTTP, files or a clock of its own."""
