"""The webhook receiver, which answers calls and stores events."""
