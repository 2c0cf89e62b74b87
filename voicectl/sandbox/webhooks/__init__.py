"""Webhooks: sending events and requesting NCCOs, with the time-outs and second attempts of the platform."""
