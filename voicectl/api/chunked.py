"""The chunked transfer coding of HTTP/1.1, read strictly.

``http.client`` converts the size of a chunk with ``int``, which accepts ``+5``, ``1_0`` and ``0x5``. After a size of
``-1``, it reads without end, and it does not check that a chunk ends where its size says.

Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

MAX_LINE_BYTES = 8192
MAX_TRAILERS = 100

_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")


def content(stream: io.BufferedReader, part_bytes: int) -> Iterator[bytes]:
    """Yield the content of a chunked body as it arrives, in parts of up to *part_bytes* bytes.

    Extensions and trailers are ignored. The final empty line may be missing, since no content can follow the last
    chunk.

    Raises:
        ValueError: The body is not in the chunked coding, or one of its lines is too long.
        http.client.IncompleteRead: The stream ends before the last chunk.
    """
    while left := _size(_line(stream)):
        while left:
            part = stream.read1(min(left, part_bytes))
            if not part:
                raise http.client.IncompleteRead(b"")
            left -= len(part)
            yield part
        if _line(stream) != b"\r\n":
            raise ValueError("a chunk is longer than its stated size")
    for _ in range(MAX_TRAILERS):
        if _line(stream, or_end=True) in (b"\r\n", b""):
            return
    raise ValueError("too many trailers")


def _size(line: bytes) -> int:
    found = _SIZE.fullmatch(line)
    if found is None:
        raise ValueError("the size of a chunk is not a hexadecimal number")
    return int(found[1], 16)


def _line(stream: io.BufferedReader, *, or_end: bool = False) -> bytes:
    """Return the next line, including its end, or an empty line at the end of the stream if *or_end* is true."""
    line = stream.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n") and (line or not or_end):
        if len(line) < MAX_LINE_BYTES:
            raise http.client.IncompleteRead(b"")
        raise ValueError("a line is too long")
    return line
