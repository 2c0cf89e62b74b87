"""Reading where events go: ``event_url`` and ``event_method``, in an NCCO ``eventUrl`` and ``eventMethod``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from voicectl.sandbox.telephony.actions import Webhook

if TYPE_CHECKING:
    from voicectl.sandbox.parsing.fields import Fields


class Method(StrEnum):
    """How a webhook is called."""

    GET = "GET"
    POST = "POST"


def read_event_url(fields: Fields) -> Webhook | None:
    """``event_url`` and ``event_method``; None if absent."""
    url = fields.url("event_url", or_text=True)
    method = fields.choice("event_method", Method) or Method.POST
    return None if url is None else Webhook(url=url, method=method)


def read_ncco_event_url(fields: Fields, *, required: bool = False) -> Webhook | None:
    """``eventUrl`` and ``eventMethod``; the platform's Node client writes ``[]`` for none."""
    is_empty = fields.raw.get("eventUrl") == [] and not required
    url = None if is_empty else fields.url("eventUrl", required=required)
    method = fields.choice("eventMethod", Method) or Method.POST
    return None if url is None else Webhook(url=url, method=method)
