"""The telephony of the sandbox: legs, conversations and flows. Pure: no HTTP, no files, no clock of its own."""
