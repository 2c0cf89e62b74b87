"""The switchboard: the screen of ``watch``, which lists live legs and from which a user acts on them."""
