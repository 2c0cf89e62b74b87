"""The identity that a command acts with: profile, keys, account and hosts; and the guards of a profile."""
