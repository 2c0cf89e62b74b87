"""Control live phone calls through the Vonage Voice API, from a shell."""

__version__ = "0.1.0"
