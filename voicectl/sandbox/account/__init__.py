"""The sandbox's account and its applications, and the validation of tokens."""
