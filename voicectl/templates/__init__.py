"""Files that ``test init`` copies."""
