"""Recordings: what was announced, fetched, and kept."""
