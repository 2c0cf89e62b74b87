"""Readers for requests and NCCOs. They apply the platform's rules, independently of the checks in the client."""
