"""Readers for requests and NCCOs. They apply the platform's rules, independently of any checks by the client."""
