"""The receiver of webhooks, which answers calls and stores events."""
