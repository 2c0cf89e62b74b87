"""The HTTP routes of the sandbox, with one module for each part of the platform's API."""
