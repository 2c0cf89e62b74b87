"""The HTTP routes of the sandbox, one file for each part of the platform's API."""
