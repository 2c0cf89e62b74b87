"""The routes of the sandbox, one file a part of the platform."""
