"""Batches: calling each person of a list, at most once per attempt, across crashes."""
