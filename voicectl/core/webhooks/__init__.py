"""An application's webhooks: setting their URLs, leasing them to a receiver, and replaying stored webhooks."""
