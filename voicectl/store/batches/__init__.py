"""Stores of batches: the people of a list, the attempts to call them, and their outcomes."""
