"""The plugin for pytest: it collects scenario files, and gives tests in Python a sandbox. Only pytest imports it."""
