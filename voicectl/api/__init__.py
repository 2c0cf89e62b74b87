"""The API client: one method per operation of the Voice API, and the HTTP beneath it."""
