"""The account and its applications, as the platform stores them, and the checks of their tokens."""
