"""Functions that read the query parameters of requests for lists. Unknown parameters are ignored.

Each function raises :class:`~voicectl.sandbox.parsing.fields.Invalid` if the query is invalid.

Source: Conversation API reference, the section on each list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voicectl.sandbox.conversations.conversation_log import ConversationLog, MemberState
from voicectl.sandbox.conversations.paging import Window, read_window
from voicectl.sandbox.parsing.fields import Fields

MAX_EVENT_TYPES = 5
LAST_ID = 10**9

_SORTINGS = ("created", "custom_sort_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSearch:
    """The query parameters of ``GET /v1/conversations`` or ``GET /v1/users/{id}/conversations``.

    Attributes:
        date_start: The earliest time at which a conversation may have been created, in Unix seconds on the host
            clock. None means that there is no limit.
        date_end: The time before which a conversation must have been created, in Unix seconds on the host clock. None
            means that there is no limit.
        state: The state that the user must have as a member of a conversation, or None if any state matches.
    """

    window: Window
    date_start: float | None
    date_end: float | None
    state: MemberState | None = None
    by_sort_key: bool = False
    with_custom_data: bool = True

    def finds(self, log: ConversationLog) -> bool:
        """Return True if the conversation of *log* was created at or after ``date_start`` and before ``date_end``."""
        made_at = log.conversation.made_at
        return (self.date_start is None or made_at >= self.date_start) and (
            self.date_end is None or made_at < self.date_end
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSearch:
    """The query parameters of ``GET /v1/conversations/{id}/events``.

    Attributes:
        first: The number of the first event to return.
        last: The number of the last event to return, or None to return all events from ``first`` on.
        types: The types of events to return. If this set is empty, events of all types are returned.
        without_deleted: True if deleted events are omitted.
    """

    window: Window
    first: int
    last: int | None
    types: frozenset[str]
    without_deleted: bool


def read_conversation_search(query: Mapping[str, str], *, of_user: bool = False) -> ConversationSearch:
    """Read the query parameters of a request for a list of conversations.

    If *of_user* is True, the list contains only the conversations of one user.
    """
    extra = ("state", "order_by", "include_custom_data") if of_user else ()
    with Fields(dict(query)) as fields:
        return ConversationSearch(
            window=read_window(fields, query, "date_start", "date_end", *extra),
            date_start=fields.moment("date_start"),
            date_end=fields.moment("date_end"),
            state=fields.choice("state", MemberState, any_case=True) if of_user else None,
            by_sort_key=of_user and fields.choice("order_by", _SORTINGS) == "custom_sort_key",
            with_custom_data=not of_user or _yes(fields, "include_custom_data"),
        )


def read_list(query: Mapping[str, str], *known: str) -> Window:
    """Read the query parameters ``page_size``, ``order`` and ``cursor`` of a request for a list.

    *known* contains the names of other query parameters that the list accepts.
    """
    with Fields(dict(query)) as fields:
        return read_window(fields, query, *known)


def read_event_search(query: Mapping[str, str]) -> EventSearch:
    """Read the query parameters of ``GET /v1/conversations/{id}/events``."""
    with Fields(dict(query)) as fields:
        types = [each for each in (fields.text("event_type") or "").split(",") if each]
        if len(types) > MAX_EVENT_TYPES or any(each.startswith("custom:") for each in types):
            fields.refuse("event_type", f"Must name at most {MAX_EVENT_TYPES} types, none of them custom")
        return EventSearch(
            window=read_window(fields, query, "start_id", "end_id", "event_type", "exclude_deleted_events"),
            first=fields.digits("start_id", 0, LAST_ID, default=1),
            last=fields.digits("end_id", 0, LAST_ID, default=0) if "end_id" in query else None,
            types=frozenset(types),
            without_deleted=_yes(fields, "exclude_deleted_events"),
        )


def _yes(fields: Fields, name: str) -> bool:
    text = fields.text(name)
    if text not in (None, "true", "false"):
        fields.refuse(name, "Must be true or false")
    return text == "true"
