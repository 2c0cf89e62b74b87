"""The vocabulary of calls: pure, standard library only, no clock, no HTTP."""
