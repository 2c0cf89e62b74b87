"""App users: people or programs that sign in to an application with a Client SDK, and that ``app:NAME`` calls.

Source: Conversation API reference, "users and sessions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from voicectl.errors import InputError

PREFIX = "USR-"
MAX_NAME = 100

_ID = re.compile(r"USR-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ME = "me"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An app user, as the API last described it.

    Attributes:
        id: The id: ``USR-`` followed by a UUID.
        name: The name, which is unique within the application and region. The platform generates a missing name.
        raw: The complete record, as received.
    """

    id: str
    name: str
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> User:
        """Create a user from a complete record or a list entry. Only the field ``id`` is required.

        Raises:
            ValueError: The field ``id`` is missing, empty or not a string.
        """
        id_, name = raw.get("id"), raw.get("name")
        if not isinstance(id_, str) or not id_:
            raise ValueError("a record without an id")
        return cls(id=id_, name=name if isinstance(name, str) else "", raw=raw)


def is_user_id(text: str) -> bool:
    """Return True if *text* is the id of a user: ``USR-`` followed by a UUID."""
    return _ID.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return *name* if a user can have it.

    ``me`` and names that begin with ``USR-`` are reserved, since URLs contain either the id or the name of a user.

    Raises:
        InputError: No user can have this name.
    """
    if not name.strip() or not name.isprintable() or name == "-":
        raise InputError(f"{name!r} is not a valid user name.", hint="Use a word, such as alice.")
    if name == _ME or name.startswith(PREFIX):
        raise InputError(
            f"{name!r} cannot be the name of a user: '{_ME}' and names that begin with '{PREFIX}' are reserved.",
            hint="Use another name, such as alice.",
        )
    if len(name) > MAX_NAME:
        raise InputError(f"The name has {len(name)} characters; the limit is {MAX_NAME}.")
    return name
