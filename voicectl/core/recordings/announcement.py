"""A recording or a transcription, as an event told of it, and the name of its file.

A name is built from parts that were checked, so that nothing an event says can choose where a file goes.

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
    """A file that was announced, or asked for by hand.

    Attributes:
        url: Where it is said to be; nobody has checked that yet.
        uuid: Its ``recording_uuid``, in small letters; None if none was told that is one.
        is_transcription: Whether it is the text of a recording; None if that is not known.
        start: When the recording began, in Unix seconds; of what nobody told that, when it was announced.
        conversation: The conversation's id; None if none was told that is one.
        size: Bytes; None if not told.
        is_signed: Whether the platform vouches for all of this.
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
        """Its UUID; that of the file where none was told; None if that has none either."""
        return self.uuid or file_id(self.url)

    @property
    def key(self) -> tuple[str, bool | None]:
        """What tells it from others."""
        return self.id or self.url, self.is_transcription


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of a file: ``START_CONVERSATION_UUID.EXTENSION``.

    Attributes:
        start: As ``20260203T091500Z``.
        conversation: An id or :data:`NO_CONVERSATION`.
        uuid: The recording's, as of :attr:`Recording.id`.
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
        """The name of *recording*, whose id is *uuid*."""
        return cls(
            start=times.utc(recording.start).replace("-", "").replace(":", ""),
            conversation=recording.conversation or NO_CONVERSATION,
            uuid=uuid,
            extension=extension,
        )

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """The parts of *text*; None if no file of ours is called so."""
        found = _NAME.fullmatch(text)
        return None if found is None else cls(**found.groupdict())

    @property
    def is_transcription(self) -> bool:
        """Whether it is that of a transcription."""
        return self.extension == TRANSCRIPT


def announced(events: Iterable[Stored]) -> list[Recording]:
    """The files that *events* tell of, each once, a transcription named after its recording.

    Of several that tell of the same file the first counts, or the first that is signed.
    """
    return [recording for recording, _ in announcements(events)]


def announcements(events: Iterable[Stored]) -> list[tuple[Recording, Stored]]:
    """The same, each with the event that counts."""
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
    """What an event tells of a file; None if it tells of none."""
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
    """*recording* with the start and the conversation of *audio*, if it is the transcription of that.

    What the platform vouches for is not named after what nobody does.
    """
    if not recording.is_transcription or audio is None or audio.is_signed < recording.is_signed:
        return recording
    return replace(recording, start=audio.start, conversation=audio.conversation)


def file_id(url: str) -> str | None:
    """The UUID that ends *url*, in small letters; None if none does."""
    return _checked(_UUID, url.rpartition("/")[2])


def _start(fields: dict[str, Any], received: float) -> float:
    told = (event.moment(fields.get(name)) for name in ("start_time", "timestamp"))
    for each in told:
        if each is not None:
            try:
                times.utc(each)
            except InputError:
                continue
            return each
    return received


def _checked(pattern: str, value: object) -> str | None:
    """*value* in small letters but for ``CON``, if it is an id of that form."""
    if not isinstance(value, str):
        return None
    text = value.lower()
    text = f"CON{text[3:]}" if value.startswith("CON-") else text
    return text if re.fullmatch(pattern, text) else None


def _size(value: object) -> int | None:
    """Bytes, which a webhook by GET tells as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_SIZE_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
