"""A client for the two operations of the Application API that voicectl uses.

Source: Application API v2 reference.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voicectl.api.repetition import Repeat, Request
from voicectl.errors import NoAnswer

if TYPE_CHECKING:
    from voicectl.api.session import Session

NOT_SENT = ("id", "_links")
"""The names of the fields that the API adds to an application. An update must not contain these fields."""

_NOT_OURS = (
    "The application may have been deleted, or may belong to another account: check the application id and the"
    " API key."
)


class ApplicationApi:
    """A client that fetches and replaces applications.

    An application is returned as the dictionary that the API sent, except that any private key is removed.

    Both methods raise the same errors as :meth:`~voicectl.api.session.Session.send`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_application(self, application_id: str) -> dict[str, Any]:
        """Fetch an application (``GET /v2/applications/{id}``)."""
        return self._send(Repeat.READ, "GET", application_id)

    def update_application(self, application_id: str, application: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole application (``PUT /v2/applications/{id}``).

        The request is sent only once. Before another attempt, the caller should fetch the application again, since
        someone else may have changed the application.

        Returns:
            The application after the update.
        """
        body = {name: value for name, value in application.items() if name not in NOT_SENT}
        return self._send(Repeat.CALLER, "PUT", application_id, body)

    def _send(
        self, repeat: Repeat, method: str, application_id: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        target = f"/v2/applications/{quote(application_id, safe='')}"
        read = partial(_application, application_id)
        return self._session.send(Request(repeat, method, target, read, body, if_absent=_NOT_OURS))


def _application(application_id: str, body: Any) -> dict[str, Any]:
    """Check the parts of *body* that voicectl reads or changes, and return *body* without any private key."""
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        raise NoAnswer("the response is not an application record")
    if body["id"].lower() != application_id.lower():
        raise NoAnswer("the response describes a different application")
    capabilities = _object(body, "capabilities")
    for name in ("voice", "rtc"):
        webhooks = _object(_object(capabilities, name), "webhooks")
        for webhook in webhooks:
            _object(webhooks, webhook)
    keys = {name: value for name, value in _object(body, "keys").items() if name != "private_key"}
    return body | {"keys": keys} if "keys" in body else body


def _object(container: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object in the field *name* of *container*, or an empty object if the field is absent or null."""
    value = container.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NoAnswer(f"the response's {name} is not an object")
    return value
