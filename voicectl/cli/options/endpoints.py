"""The command options that apply to the called endpoint, such as its headers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import parse_header
from voicectl.cli.output.text import remark
from voicectl.errors import InputError
from voicectl.voice import dtmf, endpoint

if TYPE_CHECKING:
    from voicectl.cli.terminal import Terminal

UserToUser = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Send this User-to-User header (RFC 7433) to a SIP endpoint."),
]
Shaken = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Send this STIR/SHAKEN Identity header with a call to a phone."),
]

_USER_TO_USER = "User-to-User"
_HEADERS = ("header", "user-to-user")


@dataclass(frozen=True)
class EndpointOptions:
    """The options that were given for the endpoint, keyed by name as in :data:`voicectl.voice.endpoint.OPTIONS`."""

    given: dict[str, Any]

    @classmethod
    def of(cls, **options: Any) -> EndpointOptions:
        """Return the *options* that are given. Their names have underscores in place of dashes."""
        given = {name: value for name, value in options.items() if value not in (None, [])}
        return cls({name.replace("_", "-"): value for name, value in given.items()})

    def endpoint(self, text: str) -> dict[str, Any]:
        """Return the endpoint that *text* names, with the options, in the format of the REST API.

        Raises:
            InputError: *text* is not an endpoint, or an option is invalid or is for endpoints of another type.
        """
        to = endpoint.parse(text)
        for name in self.given:
            types = endpoint.OPTIONS[name].types
            if to["type"] not in types:
                raise InputError(f"--{name} is for {' and '.join(types)} endpoints, not {to['type']}.")
        if endpoint.names_no_user(to):
            remark(f"warning: {text} names no user. If it should, write sip:USER@HOST.")
        options = dict(self.given)
        if "dtmf-answer" in options:
            options["dtmf-answer"] = dtmf.check(options["dtmf-answer"])
        if to["type"] == "sip":
            options = {
                name: value for name, value in options.items() if name not in _HEADERS
            } | self._sip_headers
        elif "header" in options:
            options["header"] = dict(map(parse_header, options["header"]))
        return endpoint.with_options(to, options)

    @cached_property
    def _sip_headers(self) -> dict[str, dict[str, str]]:
        """The headers of a SIP endpoint. If a header is sent under another name, a remark says so.

        The platform puts ``X-`` before the name of each header, except for the header ``User-to-User``, which has a
        field of its own.

        Raises:
            InputError: A header has no name but ``X-``, or User-to-User is given twice.
        """
        headers, standard = {}, {}
        if "user-to-user" in self.given:
            standard[_USER_TO_USER] = self.given["user-to-user"]
        for name, value in map(parse_header, self.given.get("header", ())):
            if name.lower() == "x-":
                raise InputError(
                    f"--header {name} has no header name after X-.",
                    hint="Write NAME=VALUE: the platform puts X- before the name.",
                )
            if name.lower() == _USER_TO_USER.lower():
                if standard:
                    raise InputError(
                        f"The header {_USER_TO_USER} is given twice.", hint="Use --user-to-user only."
                    )
                remark(f"--header {name} is sent as {_USER_TO_USER}, as with --user-to-user.")
                standard[_USER_TO_USER] = value
            elif name.lower().startswith("x-"):
                remark(
                    f"--header {name} is sent to the platform as {name[2:]}, because the platform adds the X-."
                )
                headers[name[2:]] = value
            else:
                headers[name] = value
        found = {"header": headers, "user-to-user": standard}
        return {name: value for name, value in found.items() if value}


def authorization(terminal: Terminal, what: str | None) -> dict[str, str] | None:
    """Return the authorization for a WebSocket endpoint, or None if ``--authorization`` is not given.

    *what* is ``vonage`` or the name of a file that contains the secret, which other users must not see.
    """
    if what is None:
        return None
    if what == "vonage":
        return endpoint.websocket_authorization(None)
    header = terminal.read_input(what, "the Authorization header")
    return endpoint.websocket_authorization(header.decode("ascii", "replace").strip())
