"""Data types and rules for call records, events, endpoints and NCCOs. This package uses no clock, files or HTTP."""
