"""The text of a scenario file from a recorded call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tomlkit

from voicectl.core.scenarios.recording import BY_HAND, caller_name
from voicectl.errors import InputError

if TYPE_CHECKING:
    from tomlkit.items import InlineTable, Table

    from voicectl.core.scenarios.recording import Hook, Recording

_METHODS = {"answer": "GET", "event": "POST"}
"""The methods that a scenario need not name."""


def written(recording: Recording, *, name: str, run: str | None, url: str | None) -> str:
    """Return the text of a scenario file whose test *name* passes if the application does the same again.

    Args:
        run: The command that starts the application, or None if it runs already.
        url: The URL at which it runs, instead of that of its answer webhook.

    Raises:
        InputError: The URL of the application is not known, and *run* is not given either.
    """
    file = tomlkit.document()
    file["app"] = _app(recording, run, url)
    test = tomlkit.table()
    test["name"] = name
    callers = [_inline({"from": number, "to": to}) for number, to in recording.callers.values()]
    if len(callers) == 1:
        test["call"] = callers[0]
    else:
        test["callers"] = {caller_name(index): each for index, each in enumerate(callers)}
    steps = tomlkit.array()
    steps.multiline(True)
    steps.extend(_inline(each) for each in recording.steps)
    test["steps"] = steps
    if expect := _expectations(recording):
        test["expect"] = _inline(expect)
    tests = tomlkit.aot()
    tests.append(test)
    file["test"] = tests
    return tomlkit.dumps(file)


def _app(recording: Recording, run: str | None, url: str | None) -> Table:
    app = tomlkit.table()
    base = url or (None if recording.answer is None else _base(recording.answer))
    if run is not None:
        app["run"] = run
    elif base is not None:
        app["url"] = base
    else:
        raise InputError(
            "The URL of the application is not known: its answer webhook was not requested in the sandbox.",
            hint="Give the command that starts it: --run 'python ivr.py {port}', or --url http://127.0.0.1:PORT",
        )
    for kind, hook in (("answer", recording.answer), ("event", recording.event)):
        if hook is None:
            app[f"{kind}_url"] = f"/{kind}"
            continue
        is_own = base is None or url is not None or _base(hook) == base or run is not None
        app[f"{kind}_url"] = _path(hook) if is_own else hook.url
        if hook.method != _METHODS[kind]:
            app[f"{kind}_method"] = hook.method
    if by_hand := [number for number in recording.answered_by_hand if number.endswith(BY_HAND)]:
        app["far_ends"] = _inline(dict.fromkeys(by_hand, "000"))
    return app


def _expectations(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if recording.status is not None:
        found["status"] = recording.status
    if recording.recordings:
        found["recordings"] = recording.recordings
    return found


def _inline(fields: dict[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(fields)
    return table


def _base(hook: Hook) -> str:
    parts = urlsplit(hook.url)
    return f"{parts.scheme}://{parts.netloc}"


def _path(hook: Hook) -> str:
    return hook.url.removeprefix(_base(hook)) or "/"
