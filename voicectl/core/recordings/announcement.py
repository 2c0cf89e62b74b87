"""The recordings and transcriptions that events announce, and the names of their files.

A file's name is built only from validated parts, so that the content of an event cannot determine where the file is
written.

Source: webhook reference, "action events".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voicectl import times
from voicectl.errors import InputError
from voicectl.voice import event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.store.events import Stored

AUDIO = ("mp3", "wav", "ogg")
TRANSCRIPT = "transcript.json"
NO_CONVERSATION = "unknown"
MAX_SIZE_DIGITS = 15
UUID_FORM = "Give a recording_uuid or a file id (both are UUIDs with hyphens), or the URL of a file."

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CONVERSATION = rf"(?:CON-)?(?:{_UUID}|[0-9a-f]{{32}})"
_NAME = re.compile(
    rf"(?:(?P<start>[0-9]{{8}}T[0-9]{{6}}Z)_(?P<conversation>{_CONVERSATION}|{NO_CONVERSATION})_)?"
    rf"(?P<uuid>{_UUID})"
    r"\.(?P<extension>mp3|wav|ogg|transcript\.json)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The file of a recording or transcription that an event announced or the user asked for.

    Attributes:
        url: The file's URL, which has not been checked.
        uuid: The ``recording_uuid``, in lower case, or None if it is missing or not valid.
        is_transcription: True if the file is the transcription of a recording, False if it is the recording itself,
            or None if its kind is not known.
        start: The time at which the recording started or, if that is not known, was announced, in Unix seconds. It is
            None if no event announced the recording.
        conversation: The conversation's id, or None if it is missing or not valid.
        size: The file's size in bytes, or None if the size is not known.
        is_signed: False if any of these attributes comes from an unverified event.
    """

    url: str
    uuid: str | None = None
    is_transcription: bool | None = None
    start: float | None = None
    conversation: str | None = None
    size: int | None = None
    is_signed: bool = True

    @property
    def id(self) -> str | None:
        """The recording's UUID or, if that is not known, the UUID in the file's URL; None if there is neither."""
        return self.uuid or file_id(self.url)

    @property
    def key(self) -> tuple[str, bool | None]:
        """The key of the file: the :attr:`id` (or the *url* if there is no id), and *is_transcription*."""
        return self.id or self.url, self.is_transcription


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of a file: ``START_CONVERSATION_UUID.EXTENSION``, or ``UUID.EXTENSION`` if the start is not known.

    Attributes:
        start: The start of the recording, such as ``20260203T091500Z``, or None.
        conversation: The conversation's id, or :data:`NO_CONVERSATION` if it is not known. None if *start* is None.
        uuid: The recording's :attr:`~Recording.id`.
        extension: The extension without its dot: one of :data:`AUDIO`, or :data:`TRANSCRIPT`.
    """

    start: str | None
    conversation: str | None
    uuid: str
    extension: str

    def __str__(self) -> str:
        known = "" if self.start is None else f"{self.start}_{self.conversation or NO_CONVERSATION}_"
        return f"{known}{self.uuid}.{self.extension}"

    @classmethod
    def of(cls, recording: Recording, uuid: str, extension: str) -> Name:
        """Return the name for the file of *recording*, whose id is *uuid*."""
        start = recording.start
        return cls(
            start=None if start is None else times.utc(start).replace("-", "").replace(":", ""),
            conversation=None if start is None else recording.conversation or NO_CONVERSATION,
            uuid=uuid,
            extension=extension,
        )

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Split the file name *text* into its parts, or return None if *text* is not such a file name."""
        found = _NAME.fullmatch(text)
        return None if found is None else cls(**found.groupdict())

    @property
    def is_transcription(self) -> bool:
        """True if the file is a transcription."""
        return self.extension == TRANSCRIPT


def announced(events: Iterable[Stored]) -> list[Recording]:
    """Return the files that *events* announce, without duplicates. Transcriptions are named after their recordings.

    If a file is announced several times, the first signed announcement is used or, if none is signed, the first one.
    """
    return [recording for recording, _ in announcements(events)]


def announcements(events: Iterable[Stored]) -> list[tuple[Recording, Stored]]:
    """Return the same files as :func:`announced`, each with the event whose announcement is used."""
    found: dict[tuple[str, bool | None], tuple[Recording, Stored]] = {}
    for stored in events:
        recording = of_event(stored)
        if recording is None:
            continue
        known = found.get(recording.key)
        if known is None or recording.is_signed > known[0].is_signed:
            found[recording.key] = recording, stored
    audio = {each.key[0]: each for each, _ in found.values() if not each.is_transcription}
    return [(named_after(each, audio.get(each.key[0])), stored) for each, stored in found.values()]


def of_event(stored: Stored) -> Recording | None:
    """Return the file that an event announces, or None if the event announces no file."""
    arrival = stored.arrival
    is_transcription = arrival.kind == event.Kind.TRANSCRIBED
    if not is_transcription and arrival.kind != event.Kind.RECORD:
        return None
    fields = arrival.fields
    url = fields.get("transcription_url" if is_transcription else "recording_url")
    if not isinstance(url, str):
        return None
    return Recording(
        url=url,
        uuid=_checked(_UUID, fields.get("recording_uuid")),
        is_transcription=is_transcription,
        start=_start(fields, arrival.received),
        conversation=_checked(_CONVERSATION, fields.get("conversation_uuid")),
        size=None if is_transcription else _size(fields.get("size")),
        is_signed=arrival.is_signed,
    )


def named_after(recording: Recording, audio: Recording | None) -> Recording:
    """Return *recording*. If it is a transcription, its start and conversation are replaced by those of *audio*.

    A verified transcription does not get the start and the conversation of an unverified recording.

    Args:
        recording: The recording or transcription.
        audio: The recording with the same id, or None if it is not known.
    """
    if not recording.is_transcription or audio is None or audio.is_signed < recording.is_signed:
        return recording
    return replace(recording, start=audio.start, conversation=audio.conversation)


def file_id(url: str) -> str | None:
    """Return the UUID at the end of *url*, in lower case, or None if there is no UUID."""
    return _checked(_UUID, url.rpartition("/")[2])


def _start(fields: dict[str, Any], received: float) -> float:
    times_given = (event.moment(fields.get(name)) for name in ("start_time", "timestamp"))
    for each in times_given:
        if each is not None:
            try:
                times.utc(each)
            except InputError:
                continue
            return each
    return received


def _checked(pattern: str, value: object) -> str | None:
    """Return *value*, in lower case except for a prefix ``CON-``, if it matches *pattern*; otherwise, return None."""
    if not isinstance(value, str):
        return None
    text = value.lower()
    text = f"CON{text[3:]}" if value.startswith("CON-") else text
    return text if re.fullmatch(pattern, text) else None


def _size(value: object) -> int | None:
    """Return *value* as a size in bytes, or None if it is not a size. Webhooks sent by GET give sizes as strings."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_SIZE_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
