"""The sandbox's telephony: legs, conversations and flows. This package uses no HTTP, no files and no host clock."""
