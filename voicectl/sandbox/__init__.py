"""A stateful simulation of the voice platform, which is served on loopback."""
