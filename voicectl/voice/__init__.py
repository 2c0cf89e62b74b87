"""Data types and rules for calls: records, events, endpoints and NCCOs. The code uses no clock, files or HTTP."""
