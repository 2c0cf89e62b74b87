"""The files and databases of voicectl: the journal, the event stores, the rate limiter and the caches."""
