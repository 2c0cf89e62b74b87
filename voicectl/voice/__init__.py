"""The vocabulary of calls: records, events, endpoints, NCCOs. Pure code without clock, files or HTTP."""
