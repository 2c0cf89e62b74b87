"""The table of legs: which rows it has, in which order, and how they are drawn."""
