"""Webhooks: sending events and requesting NCCOs, with the platform's time-outs and second attempts."""
