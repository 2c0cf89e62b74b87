"""Calls and their legs: create, find, select, follow, move and end them."""
