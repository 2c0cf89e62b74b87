"""Calls and their legs: creating, finding, selecting, following, moving and ending them."""
