"""The applications and their account, as the platform keeps them: settings, secrets, tokens."""
