"""A recording or a transcription, as an event announces it, and the name of its file.

A name is built from validated parts only, so that no content of an event can choose where a file is written.

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
UUID_FORM = "Give a recording_uuid or the id of a file, a UUID with hyphens, or the URL of a file."

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CONVERSATION = rf"(?:CON-)?(?:{_UUID}|[0-9a-f]{{32}})"
_NAME = re.compile(
    rf"(?P<start>[0-9]{{8}}T[0-9]{{6}}Z)_(?P<conversation>{_CONVERSATION}|{NO_CONVERSATION})_(?P<uuid>{_UUID})"
    r"\.(?P<extension>mp3|wav|ogg|transcript\.json)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A file that an event announced, or that the user asked for.

    Attributes:
        url: Its URL, not checked yet.
        uuid: Its ``recording_uuid``, in lower case; None if there is no valid one.
        is_transcription: True if it is the text of a recording; None if that is not known.
        start: The start of the recording, in Unix seconds, or else the time of the announcement.
        conversation: The conversation's id; None if there is no valid one.
        size: Its size in bytes; None if it is not known.
        is_signed: True if all of this comes from a verified event.
    """

    url: str
    uuid: str | None = None
    is_transcription: bool | None = None
    start: float
    conversation: str | None = None
    size: int | None = None
    is_signed: bool = True

    @property
    def id(self) -> str | None:
        """Its UUID, or else the one in its URL; None if there is neither."""
        return self.uuid or file_id(self.url)

    @property
    def key(self) -> tuple[str, bool | None]:
        """The key that distinguishes it from other files."""
        return self.id or self.url, self.is_transcription


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of a file: ``START_CONVERSATION_UUID.EXTENSION``.

    Attributes:
        start: The start of the recording, such as ``20260203T091500Z``.
        conversation: The conversation's id or :data:`NO_CONVERSATION`.
        uuid: The recording's :attr:`~Recording.id`.
        extension: One of :data:`AUDIO`, or :data:`TRANSCRIPT`.
    """

    start: str
    conversation: str
    uuid: str
    extension: str

    def __str__(self) -> str:
        return f"{self.start}_{self.conversation}_{self.uuid}.{self.extension}"

    @classmethod
    def of(cls, recording: Recording, uuid: str, extension: str) -> Name:
        """Return the name of *recording*, whose id is *uuid*."""
        return cls(
            start=times.utc(recording.start).replace("-", "").replace(":", ""),
            conversation=recording.conversation or NO_CONVERSATION,
            uuid=uuid,
            extension=extension,
        )

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Split *text* into its parts; None if it is not a name of this form."""
        found = _NAME.fullmatch(text)
        return None if found is None else cls(**found.groupdict())

    @property
    def is_transcription(self) -> bool:
        """True if it is the name of a transcription."""
        return self.extension == TRANSCRIPT


def announced(events: Iterable[Stored]) -> list[Recording]:
    """Return the files that *events* announce, each once; transcriptions are named after their recordings.

    Of several announcements of a file the first signed one counts, or else the first.
    """
    return [recording for recording, _ in announcements(events)]


def announcements(events: Iterable[Stored]) -> list[tuple[Recording, Stored]]:
    """Return the same as :func:`announced`, each with the event that counts."""
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
    """Return the file that an event announces; None if it announces no file."""
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
    """Return *recording*, with the start and the conversation of *audio* if it is the transcription of that.

    A verified transcription is not named after an unverified recording.
    """
    if not recording.is_transcription or audio is None or audio.is_signed < recording.is_signed:
        return recording
    return replace(recording, start=audio.start, conversation=audio.conversation)


def file_id(url: str) -> str | None:
    """Return the UUID at the end of *url*, in lower case; None if there is no UUID."""
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
    """Return *value* in lower case, except ``CON``, if it matches *pattern*; else None."""
    if not isinstance(value, str):
        return None
    text = value.lower()
    text = f"CON{text[3:]}" if value.startswith("CON-") else text
    return text if re.fullmatch(pattern, text) else None


def _size(value: object) -> int | None:
    """Return a size in bytes; a webhook by GET has it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_SIZE_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
