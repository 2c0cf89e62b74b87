"""Where the legs of an application may be: the other regions of the platform, and the other profiles of this user."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.cli.output.text import remark
from voicectl.core.calls.regions import Finder, Neighbour
from voicectl.core.identity import target
from voicectl.errors import StoreError, VoicectlError
from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.cli.context import App


def finder(app: App) -> Finder:
    """What looks for legs where the base URL does not know them."""
    return Finder(
        f"application {app.target.application_id}",
        app.session,
        app.target.hosts,
        app.notes,
        app.clock,
        app.interrupts,
        session=app.session_at,
        reader=app.reader,
        told=partial(_told_region, app),
        neighbours=partial(_neighbours, app),
        on_found=remark,
    )


def _told_region(app: App, uuid: str) -> str | None:
    """Where the requests about a leg go, as an event told; None if none did."""
    from voicectl.core import history  # noqa: PLC0415 (for a leg that was not found only)

    try:
        return None if app.told is None else history.region_url(app.told, uuid)
    except StoreError:
        return None


def _neighbours(app: App) -> Iterator[Neighbour]:
    """The other profiles that may know a leg: on the same kind of host, and never in a rehearsal.

    One whose key a command prints is not asked: that command may ask for something itself.
    """
    ours = app.target
    if ours.is_rehearsal:
        return
    is_here = is_loopback(urlsplit(ours.base_url).hostname or "")
    for name in app.profiles.names():
        try:
            profile = app.profiles.get(name)
            theirs = target.resolve(app.environ, app.profiles, profile=name)
        except VoicectlError:  # malformed, or not to be used there: it is no help
            continue
        is_same = theirs.application_id == ours.application_id
        if is_same or is_loopback(urlsplit(theirs.base_url).hostname or "") is not is_here:
            continue
        is_asked = profile.key_command is None
        read = partial(app.reader, theirs.base_url, theirs)
        yield Neighbour(name=name, api=read if is_asked else None)
