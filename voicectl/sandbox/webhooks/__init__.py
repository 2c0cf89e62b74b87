"""Webhook requests, which send events and fetch NCCOs. They use the platform's time-outs and rules for retries."""
