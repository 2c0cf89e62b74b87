"""TLS in the sandbox: its certificate authority, and the proxy that answers for the platform's hosts."""
