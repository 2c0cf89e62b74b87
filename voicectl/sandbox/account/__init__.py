"""The sandbox's account and its applications, and the checks of the applications' tokens."""
