"""The HTTP routes of the sandbox. Each part of the platform's API has a module of its own."""
