"""Wishes that take two requests or a rule."""
