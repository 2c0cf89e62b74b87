"""Watching live legs: the board of watched legs, and the poller that reports their changes."""
