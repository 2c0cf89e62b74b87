"""The files and databases that voicectl writes: the journal, the event stores, the rate limiter, logs and caches."""
