"""Lint rules that the NCCO model cannot express: rules about the order and the options of actions.

Source: NCCO reference, "talk", "input", "bargeIn rules" and "lint list".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from voicectl.voice import speech, ssml
from voicectl.voice.json_places import show
from voicectl.voice.ncco import languages
from voicectl.voice.ncco.findings import shown
from voicectl.voice.ncco.shapes import WHOLE_AS_TEXT
from voicectl.voice.ncco.values import is_true
from voicectl.voice.ncco.verdicts import Fault

if TYPE_CHECKING:
    from voicectl.voice.ncco.findings import Findings

PROMPTS = ("talk", "stream")

OLD_KEY_OPTIONS = {"timeOut", "maxDigits", "submitOnHash"}
"""The options of an ``input`` action in its older form, which has no ``type``."""


def check(flow: list[Any], found: Findings) -> None:
    """Check the actions in *flow* and their order, and add findings to *found*. Malformed actions are skipped.

    Args:
        flow: The actions, without options that are null.
    """
    for index, action in enumerate(flow):
        match _name(action):
            case "talk":
                _speech(action, index, found)
            case "input":
                _input(action, index, found)
            case "connect":
                _sip_headers(action, index, found)
    _barge_in(flow, found)
    _never_run(flow, found)
    _recorded_too_late(flow, found)


def _name(action: Any) -> str | None:
    name = action.get("action") if isinstance(action, dict) else None
    return name if isinstance(name, str) else None


def _speech(action: dict[str, Any], index: int, found: Findings) -> None:
    text = action.get("text")
    language = action.get("language", languages.DEFAULT)
    style = _whole(action.get("style", 0))
    is_ssml = isinstance(text, str) and speech.is_ssml(text)
    if isinstance(text, str):
        count = speech.characters(text)
        if count > speech.MAX_CHARACTERS:
            found.add(
                Fault.TOO_LONG,
                (index, "text"),
                f"This text has {count} characters, not counting tags.",
                f"Split it into several talk actions of at most {speech.MAX_CHARACTERS} characters.",
            )
        try:
            for doubt in ssml.check(text):
                found.add(Fault.ODD_SSML, (index, "text"), doubt.message, doubt.hint)
        except ssml.BadSsml as exc:
            found.add(
                Fault.BAD_SSML,
                (index, "text"),
                f"This SSML cannot be read: {exc}.",
                "Close every tag, quote every attribute, and write &amp; for &.",
            )
    if not isinstance(language, str) or style is None:
        return
    code = language.lower()
    last = languages.LAST_STYLE.get(code)
    if last is not None and style > last:
        found.add(
            Fault.UNKNOWN_STYLE,
            (index, "style"),
            f"The documentation lists no style {style} for {language}.",
            f"Use a style from 0 to {last}." if last else "Use style 0.",
        )
    elif is_ssml and style in languages.WITHOUT_SSML.get(code, ()):
        where = (index, "style") if "style" in action else (index, "text")
        found.add(
            Fault.ODD_SSML,
            where,
            f"Style {style} of {language} does not support SSML.",
            "Choose another style, or remove the tags.",
        )


def _whole(value: object) -> int | None:
    """Convert *value* to a style number, or return None if *value* is not a valid style number."""
    if isinstance(value, str) and len(value) < 10 and re.fullmatch(WHOLE_AS_TEXT, value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value < 10**9 else None


def _input(action: dict[str, Any], index: int, found: Findings) -> None:
    kinds = action.get("type")
    if "type" not in action:
        kinds = [kind for kind in ("dtmf", "speech") if kind in action] or ["dtmf"]
        if not OLD_KEY_OPTIONS & action.keys():
            message = f"This input has no type; it is taken as {' and '.join(kinds)}."
            found.add(Fault.NO_INPUT_TYPE, (index,), message, f'Add "type": {json.dumps(kinds)}.')
    if not isinstance(kinds, list):
        return
    for kind in ("dtmf", "speech"):
        if kind in action and kind not in kinds:
            hint = f'Add "{kind}" to "type", or remove "{kind}".'
            found.add(Fault.NO_EFFECT, (index, kind), f"{kind} has no effect here.", hint)
    if action.get("mode") == "asynchronous" and "speech" in kinds:
        message = "Asynchronous mode supports keys only."
        found.add(Fault.NO_EFFECT, (index, "mode"), message, 'Set "type" to ["dtmf"].')


def _sip_headers(action: dict[str, Any], index: int, found: Findings) -> None:
    """Warn about SIP headers that probably have an unintended name, because the platform adds the prefix ``X-``."""
    endpoints = action.get("endpoint")
    callee = endpoints[0] if isinstance(endpoints, list) and endpoints else None
    headers = callee.get("headers") if isinstance(callee, dict) and callee.get("type") == "sip" else None
    for name in headers if isinstance(headers, dict) else ():
        if name.lower() == "user-to-user":
            hint = 'Put it into "standardHeaders".'
        elif name.lower() in ("", "x-"):
            hint = "Give the header a name: the platform adds the X-."
        elif name.lower().startswith("x-"):
            hint = f"Write {shown(name[2:])}: the platform adds the X-."
        else:
            continue
        where = (index, "endpoint", 0, "headers", name)
        found.add(Fault.PREFIXED_HEADER, where, f"This header is sent as {shown(f'X-{name}')}.", hint)


def _barge_in(flow: list[Any], found: Findings) -> None:
    """Check that every prompt with ``bargeIn`` is followed by an ``input`` action, possibly after other prompts.

    The NCCO reference requires an ``input`` as "the next non-talk action" after a talk, or as "the next non-stream
    action" after a stream. Its full example mixes talks and streams, so this check treats both kinds of prompt alike.
    """
    since: int | None = None
    for index, (action, following) in enumerate(zip(flow, _after_prompts(flow), strict=True)):
        name = _name(action)
        if name not in PROMPTS:
            since = None
        elif is_true(action.get("bargeIn")):
            since = index
            if following is None or _name(flow[following]) != "input":
                what = "nothing" if following is None else show((following,))
                found.add(
                    Fault.BARGE_IN_WITHOUT_INPUT,
                    (index, "bargeIn"),
                    f"bargeIn requires an input action after the prompts, but {what} follows.",
                    'Add {"action": "input", "type": ["dtmf"]} after the prompts, or remove bargeIn.',
                )
        elif since is not None and action.get("bargeIn") in (False, "false"):
            found.add(
                Fault.BARGE_IN_STAYS,
                (index, "bargeIn"),
                f"bargeIn stays true from {show((since,))} until the next input action.",
                "Move the input action before this one, or remove bargeIn here.",
            )


def _after_prompts(flow: list[Any]) -> list[int | None]:
    """Return, for each action in *flow*, the index of the next action that is not a prompt, or None."""
    following: int | None = None
    result: list[int | None] = []
    for index in range(len(flow) - 1, -1, -1):
        result.append(following)
        if _name(flow[index]) not in PROMPTS:
            following = index
    return result[::-1]


def _never_run(flow: list[Any], found: Findings) -> None:
    """Warn about the first action that may never run because of the action before it."""
    can_be_cut = False
    for index, action in enumerate(flow[:-1]):
        name = _name(action)
        can_be_cut = name in PROMPTS and (can_be_cut or is_true(action.get("bargeIn")))
        if name == "transfer":
            message, hint = "the transfer at {} ends this flow", "Make the transfer the last action."
        elif name == "conversation":
            message = "the leg stays in the conversation at {} until it leaves or the conversation ends"
            hint = "Make the conversation the last action, unless the next one is meant to run after it."
        elif name in PROMPTS and _is_zero(action.get("loop")) and not can_be_cut:
            message, hint = (
                "the loop at {} never ends",
                "Set loop to 1 or more, or make the looping action the last one.",
            )
        else:
            continue
        where = message.format(show((index,)))
        found.add(Fault.NEVER_RUNS, (index + 1,), f"This action may never run: {where}.", hint)
        return


def _recorded_too_late(flow: list[Any], found: Findings) -> None:
    """Warn about a background recording after a ``connect``. It begins only when the connected call has ended.

    Recordings that end after a silence or a key press are not reported, because the caller uses them to leave a
    message for a callee that did not answer.
    """
    call: int | None = None
    for index, action in enumerate(flow):
        name = _name(action)
        if name == "connect":
            call = index if call is None else call
        elif name == "record":
            if call is not None and not {"endOnSilence", "endOnKey"} & action.keys():
                message = (
                    f"The call at {show((call,))} is not recorded: recording begins when that call has ended."
                )
                found.add(
                    Fault.RECORD_TOO_LATE, (index,), message, "Put the record action before the connect."
                )
            return


def _is_zero(loop: object) -> bool:
    return loop == "0" or (loop == 0 and loop is not False)
