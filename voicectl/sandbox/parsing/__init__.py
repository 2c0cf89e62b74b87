"""Requests and NCCOs, read as the platform reads them: a second reading, apart from the client's own."""
