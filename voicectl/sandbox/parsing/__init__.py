"""Readers of requests and NCCOs. They follow the platform's rules, independently of the client's own code."""
