"""Sending events and requesting NCCOs by webhook, with the platform's time-outs and repeated attempts."""
