"""The webhooks of an application: setting their URLs, leasing them to a receiver, and replaying stored events."""
