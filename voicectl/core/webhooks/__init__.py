"""The webhooks of an application: their URLs, the lease of them by a receiver, and replay of stored events."""
