"""The sandbox's account, the account's applications, and the validation of the applications' tokens."""
