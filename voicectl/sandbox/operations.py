"""The operations of the Voice API, by the names under which its description lists them."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """All eleven; the last two, newer than the description, are named after their fellows."""

    GET_CALLS = "getCalls"
    CREATE_CALL = "createCall"
    GET_CALL = "getCall"
    UPDATE_CALL = "updateCall"
    START_STREAM = "startStream"
    STOP_STREAM = "stopStream"
    START_TALK = "startTalk"
    STOP_TALK = "stopTalk"
    START_DTMF = "startDTMF"
    SUBSCRIBE_DTMF = "subscribeDTMF"
    UNSUBSCRIBE_DTMF = "unsubscribeDTMF"
