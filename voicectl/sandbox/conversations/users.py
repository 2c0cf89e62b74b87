"""App users. An app user is an identity with which a Client SDK signs in.

User names are unique within an application and region.

Source: Conversation API reference, "users and sessions".
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from voicectl.sandbox.problems import refused


@dataclass(slots=True, kw_only=True, eq=False)
class User:
    """An app user. Its fields are changed only by :class:`Users`.

    Attributes:
        id: The id of the user, ``USR-...``.
        number: The position of the user in the order of creation, counted from 1.
        details: The fields ``display_name``, ``image_url``, ``properties`` and ``channels``, if the client sent them.
    """

    id: str
    number: int
    application_id: str
    region: str
    name: str
    details: dict[str, Any]


class Users:
    """The app users of all applications.

    Args:
        seed: The seed for the ids of new users. With the same seed, the same requests lead to the same ids.

    Attributes:
        by_id: All users, keyed by id, oldest first.
    """

    def __init__(self, seed: str) -> None:
        self.by_id: dict[str, User] = {}
        self._by_name: dict[tuple[str, str, str], User] = {}
        self._random = random.Random(f"users {seed}")  # noqa: S311 (ids must repeat from run to run)
        self._made = 0

    def __iter__(self) -> Iterator[User]:
        return iter(self.by_id.values())

    def knows(self, name: str, application_id: str, region: str) -> bool:
        """Return True if the application has a user with the name *name* in *region*.

        Such a user can answer calls.
        """
        return (application_id, region, name) in self._by_name

    def find(self, reference: str, application_id: str, region: str) -> User | None:
        """Return the user in *region* whose id or name is *reference*, or None if there is no such user."""
        user = self.by_id.get(reference)
        if user is not None and (user.application_id, user.region) == (application_id, region):
            return user
        return self._by_name.get((application_id, region, reference))

    def add(self, name: str | None, details: dict[str, Any], *, application_id: str, region: str) -> User:
        """Create and return a user. If *name* is None, a name that begins with ``NAM-`` is generated.

        Raises:
            Problem: Another user already has this name. Nothing was changed.
        """
        name = name or f"NAM-{self._new_uuid()}"
        self._require_free(name, application_id, region)
        self._made += 1
        user = User(
            id=f"USR-{self._new_uuid()}",
            number=self._made,
            application_id=application_id,
            region=region,
            name=name,
            details=details,
        )
        self.by_id[user.id] = self._by_name[application_id, region, name] = user
        return user

    def change(self, user: User, name: str | None, details: dict[str, Any]) -> None:
        """Change the given *details* of *user*, and the user's name unless *name* is None.

        Raises:
            Problem: Another user already has this name. Nothing was changed.
        """
        if name is not None and name != user.name:
            self._require_free(name, user.application_id, user.region)
            del self._by_name[user.application_id, user.region, user.name]
            self._by_name[user.application_id, user.region, name] = user
            user.name = name
        user.details |= details

    def remove(self, user: User) -> None:
        """Remove *user*, who can then no longer answer calls."""
        del self.by_id[user.id]
        del self._by_name[user.application_id, user.region, user.name]

    def _require_free(self, name: str, application_id: str, region: str) -> None:
        if self.knows(name, application_id, region):
            raise refused(409, "user:error:duplicate-name", "A user of this name already exists.")

    def _new_uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
