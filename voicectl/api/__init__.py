"""Clients for the Vonage APIs, with one method per operation, and the HTTP code that the clients share."""
