"""A stateful stand-in for the voice platform, on loopback."""
