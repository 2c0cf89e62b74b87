"""The files and databases that voicectl writes: the journal, event stores, rate limiter, logs and caches."""
