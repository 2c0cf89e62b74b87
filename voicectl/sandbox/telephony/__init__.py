"""The telephony of the sandbox: legs, conversations and flows. It uses no HTTP, no files and no clock of its own."""
