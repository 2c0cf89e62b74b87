"""The HTTP routes of the sandbox. There is one module for each part of the platform's API."""
