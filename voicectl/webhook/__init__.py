"""The receiver of webhooks: it answers calls and stores events."""
