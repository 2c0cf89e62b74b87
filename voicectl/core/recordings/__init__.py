"""Recordings: announced by events, fetched, and listed in a directory."""
