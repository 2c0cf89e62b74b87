"""Fixtures of the applications' tests: those of the sandbox's tests."""

from tests.sandbox.conftest import client, clock, start

__all__ = ["client", "clock", "start"]
