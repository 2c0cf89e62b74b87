"""Readers of requests and NCCOs that follow the platform, independent of the client's own code."""
