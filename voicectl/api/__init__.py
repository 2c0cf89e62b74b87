"""Clients of the Vonage APIs, with one method per operation, and the HTTP code that they use."""
