"""``test crawl``: exploration of a menu by pressing every key, and the faults that it finds."""
