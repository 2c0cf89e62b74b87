"""The simulated telephony: legs, conversations and flows.

This package does not use HTTP, files or the host clock.
"""
