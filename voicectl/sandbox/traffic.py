"""A count of the requests between the application and the platform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """The requests to the platform's APIs.

    Attributes:
        open: The number of requests that are being answered.
        requests: The number of requests so far.
        seen: The number of webhooks and requests when the application was last quiet, or -1.
    """

    open: int = 0
    requests: int = 0
    seen: int = -1
