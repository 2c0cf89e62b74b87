"""The regions of the platform: where a call lives."""

from __future__ import annotations

from enum import StrEnum


class Region(StrEnum):
    """A region, as applications name it.

    Source: Application API v2 reference, ``capabilities.voice.region``.
    """

    NA_EAST = "na-east"
    NA_WEST = "na-west"
    EU_WEST = "eu-west"
    EU_EAST = "eu-east"
    APAC_SNG = "apac-sng"
    APAC_AUSTRALIA = "apac-australia"
