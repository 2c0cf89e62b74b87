"""A stateful simulation of the voice platform, served on a loopback address."""
