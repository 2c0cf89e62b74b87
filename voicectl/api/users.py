"""A client for the operations of the Users API that voicectl uses.

Source: Conversation API reference, section 7.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voicectl.api.pages import rows
from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import done, record
from voicectl.errors import NoAnswer
from voicectl.voice.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.session import Session

_ALL = "/v1/users"
_GONE = (
    "The user may be in another region, or belong to another application. List the users: voicectl user list"
)


class UserApi:
    """A client that lists, creates, fetches and deletes the users of an application.

    Every method raises the same errors as :meth:`~voicectl.api.session.Session.send`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, on_cut: Callable[[], None] | None = None) -> Iterator[User]:
        """Yield each of the application's users once, newest first (``GET /v1/users``).

        The entries of the list contain only the id and the names.

        Args:
            on_cut: A function that is called if the API lists more users than can be read.
        """
        return rows(self._session, _ALL, "users", User.from_json, on_cut=on_cut)

    def create(self, body: dict[str, Any]) -> User:
        """Create a user (``POST /v1/users``).

        The request is sent only once, since a second one would be refused if the user has a name, and would create
        another user if not.
        """
        name = body.get("name")
        look = "voicectl user list" if name is None else f"voicectl user show {shlex.quote(name)}"

        def read(reply: Any) -> User:
            return record(reply, User.from_json)

        unknown = f"Check whether the user exists: {look}"
        return self._session.send(Request(Repeat.NEVER, "POST", _ALL, read, body, if_unknown=unknown))

    def get(self, reference: str) -> User:
        """Fetch the user whose id or name is *reference* (``GET /v1/users/{id or name}``).

        A name that a server could misread as part of the path is looked up in the list of users.
        """
        if "/" in reference or reference in (".", ".."):
            reference = self._find(reference) or reference

        def read(reply: Any) -> User:
            user = record(reply, User.from_json)
            if user.id.lower() != reference.lower() and user.name != reference:
                raise NoAnswer("the response describes a different user")
            return user

        return self._session.send(Request(Repeat.READ, "GET", _path(reference), read, if_absent=_GONE))

    def _find(self, name: str) -> str | None:
        """Return the id of the user named *name*, or None if the list of users does not contain this name."""
        found = rows(self._session, _ALL, "users", User.from_json, query={"name": name})
        return next((user.id for user in found if user.name == name), None)

    def delete(self, id_: str) -> None:
        """Delete the user with the id *id_* (``DELETE /v1/users/{id}``)."""
        self._session.send(Request(Repeat.HARMLESS, "DELETE", _path(id_), done, if_absent=_GONE))


def _path(reference: str) -> str:
    return f"{_ALL}/{quote(reference, safe='')}"
