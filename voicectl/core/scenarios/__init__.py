"""Tests of call flows: scenario files, the application under test, and the runner that calls it from a sandbox."""
