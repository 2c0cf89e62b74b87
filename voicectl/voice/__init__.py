"""Data types and rules for call records, events, endpoints and NCCOs. This package uses no clocks, files or HTTP."""
