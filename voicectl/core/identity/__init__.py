"""Who acts, on which host: profiles, keys, the account, and what a profile allows."""
