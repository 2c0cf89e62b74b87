"""The interface between the switchboard and the actions on legs, which its keys begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.core.watch.sight import Sight


class Key(NamedTuple):
    """A key that acts on legs.

    Attributes:
        key: The key, as Textual names it.
        action: The name of the action.
        description: What the key does, for the list of keys.
    """

    key: str
    action: str
    description: str


class Actions(Protocol):
    """The actions on legs that the switchboard offers.

    Attributes:
        keys: The keys that begin the actions.
    """

    keys: Sequence[Key]

    def needs_legs(self, action: str) -> bool:
        """Return True if the user must choose the legs for an action."""
        ...

    def act(self, action: str, legs: Sequence[Sight]) -> None:
        """Begin an action on *legs*, which are the marked legs or the leg under the cursor."""
        ...

    def deeds(self, uuid: str) -> Sequence[str]:
        """Return what was done to a leg from this screen, oldest first, as lines of text."""
        ...
