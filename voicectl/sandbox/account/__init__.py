"""The application and its account as the platform keeps them: settings, secrets, tokens."""
