"""The wire: one method per operation of the Voice API."""
