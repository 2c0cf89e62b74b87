"""The receiver of webhooks: it answers calls, and keeps what it is told."""
