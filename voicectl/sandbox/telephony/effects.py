"""What the exchange leaves for others to do, since it knows neither files nor sockets: write down, and ask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.flow import Webhook


class Purpose(StrEnum):
    """Why an NCCO is asked for."""

    ANSWER = "answer"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tell that a leg changed its status, or that machine detection saw something.

    Attributes:
        at: Milliseconds of the call clock.
        status: A call status, or ``human``.
        detail: Why, in the platform's words: ``declined``, ``cannot_route`` ...
        sub_state: ``beep_start`` or ``beep_timeout`` of machine detection.
        disconnected_by: ``platform`` or ``user``, on ``completed``.
    """

    at: int
    uuid: str
    direction: str
    conversation_uuid: str
    status: str
    detail: str | None = None
    sip_code: int | None = None
    sub_state: str | None = None
    disconnected_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Tell that a leg went from one conversation to another."""

    at: int
    uuid: str
    conversation_uuid_from: str
    conversation_uuid_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Tell why a flow did not go as it was written."""

    at: int
    uuid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fetch:
    """Ask a webhook for an NCCO, and hand the answer to ``Exchange.resume`` or ``Exchange.give_up``.

    Attributes:
        parameters: The answer parameters: ``to``, ``from``, ``uuid``, ``conversation_uuid``, ``endpoint_type``.
    """

    uuid: str
    webhook: Webhook
    purpose: Purpose
    parameters: dict[str, str]


Effect = Report | Moved | Remark | Fetch
