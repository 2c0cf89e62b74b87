"""The kinds of fault. This module is separate so that it can be imported quickly."""

from __future__ import annotations

from enum import StrEnum


class FaultType(StrEnum):
    """The kinds of fault."""

    STATUS = "status"
    LOST_REPLY = "lost-reply"
    LOST_REQUEST = "lost-request"
    DELAY = "delay"
    RATE_LIMIT = "rate-limit"
    REGION = "region"
    KEY_REVOKED = "key-revoked"
    WEBHOOK_DROP = "webhook-drop"
    WEBHOOK_DUPLICATE = "webhook-duplicate"
    WEBHOOK_REORDER = "webhook-reorder"
    WEBHOOK_DELAY = "webhook-delay"
    WEBHOOK_UNSIGNED = "webhook-unsigned"
    WEBHOOK_COMPLETED = "webhook-completed"
    ANSWER_TIMEOUT = "answer-timeout"
