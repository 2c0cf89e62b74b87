"""Webhooks: told of events and asked for NCCOs, with the time-outs and second attempts of the platform."""
