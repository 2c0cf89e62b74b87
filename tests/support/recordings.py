"""Recordings for tests: events that announce them, servers that hold them, and a client that downloads them."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voicectl.api.auth import Bearer
from voicectl.api.files import FileApi
from voicectl.api.session import Session
from voicectl.api.wire import Wire
from voicectl.core.hosts import Hosts
from voicectl.core.recordings.announcement import Recording, of_event
from voicectl.core.recordings.fetch import Fetcher
from voicectl.store.events import Arrival, Route, Stored

from .clock import FakeClock
from .machines import Application, Unpaced
from .servers import Request, reply

UUID = "0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5"
FILE_ID = "5d4c3b2a-1908-4f7e-8d6c-5b4a39281706"
TEXT_ID = "77aa66bb-55cc-44dd-83ee-22ff11002233"
CON = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"
NAME = f"20260203T091500Z_{CON}_{UUID}"
SOUND = b"ID3" + bytes(range(256)) * 40
OVERLAP = 64
"""Bytes of a partial file that are downloaded again; small, since test files are small."""

TEXT = json.dumps({"ver": "1", "channels": []}).encode()


def recorded(base: str, **fields: Any) -> dict[str, Any]:
    """Return a ``record`` event for a file on *base*."""
    return {
        "start_time": "2026-02-03T09:15:00Z",
        "end_time": "2026-02-03T09:16:00Z",
        "recording_url": f"{base}/v1/files/{FILE_ID}",
        "recording_uuid": UUID,
        "size": len(SOUND),
        "conversation_uuid": CON,
        "timestamp": "2026-02-03T09:16:01.500Z",
    } | fields


def transcribed(base: str, **fields: Any) -> dict[str, Any]:
    """Return a ``transcribed`` event for a file on *base*."""
    return {
        "conversation_uuid": CON,
        "type": "record",
        "recording_uuid": UUID,
        "status": "transcribed",
        "transcription_url": f"{base}/v1/files/{TEXT_ID}",
    } | fields


def arrival(fields: object, *, is_signed: bool = True, received: float = 1_770_109_000.0) -> Arrival:
    """Return a webhook event with *fields*."""
    return Arrival.read(
        received=received,
        route=Route.EVENT,
        method="POST",
        query=b"",
        body=json.dumps(fields).encode(),
        is_signed=is_signed,
    )


def stored(fields: object, *, number: int = 1, **more: Any) -> Stored:
    """Return the same event as kept in a store."""
    return Stored(number, arrival(fields, **more), 0)


def announced_by(fields: object) -> Recording:
    """Return the file that an event with *fields* announces."""
    found = of_event(stored(fields))
    assert found is not None
    return found


def ranged(content: bytes = SOUND, media_type: str = "audio/mpeg") -> Callable[[Request], bytes]:
    """Return a server that serves *content*, or the requested rest of it."""

    def answer(request: Request) -> bytes:
        found = re.fullmatch(r"bytes=([0-9]+)-", request.headers.get("range", ""))
        if found is None:
            return reply(200, content, content_type=media_type)
        begin = int(found[1])
        if begin >= len(content):
            return reply(416, b"", content_range=f"bytes */{len(content)}")
        content_range = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return reply(206, content[begin:], content_type=media_type, content_range=content_range)

    return answer


def file_api(
    application: Application,
    clock: FakeClock,
    *,
    api: str | None = None,
    within: float = 30,
    silence: float = 10,
    **session: Any,
) -> FileApi:
    """Return a client for files, signed in as *application*; *api*, if given, answers for every host."""
    identity, key = application
    bearer = Bearer(identity.application_id, lambda: key, clock)
    return FileApi(
        lambda origin: Session(Wire(api or origin, environ={}), bearer, Unpaced(), clock, **session),
        lambda origin, is_public_only: Wire(origin, environ={}, is_public_only=is_public_only),
        within=within,
        silence=silence,
    )


def fetcher(
    directory: Path,
    base: str,
    application: Application,
    clock: FakeClock | None = None,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
    overlap: int = OVERLAP,
    **api: Any,
) -> Fetcher:
    """Return a downloader of files from *base* into *directory*."""
    files = file_api(application, clock or FakeClock(), **api)
    return Fetcher(directory, files, Hosts(base_url=base), on_progress=on_progress, overlap=overlap)


def leave(directory: Path, url: str, content: bytes, size: int = len(SOUND)) -> None:
    """Leave the files of a process that was killed with *content* of a recording of *size* bytes at *url*."""
    (directory / f"{UUID}.part").write_bytes(content)
    (directory / f"{UUID}.origin").write_text(f"{url} {size}\n")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit files of this process to *size* bytes, which acts like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
