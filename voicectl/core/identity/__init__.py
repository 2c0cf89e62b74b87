"""The identity with which a command acts (profile, keys, account and hosts), and the guards that profiles set."""
