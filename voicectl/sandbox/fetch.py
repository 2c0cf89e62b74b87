"""Asking a webhook for an NCCO.

Only loopback is asked unless the user allows another host: a rehearsal must not reach production.

Source: Vonage webhook documentation: answer parameters, time-outs (1 s to connect, 5 s to answer), two attempts.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from voicectl.sandbox.bodies import MAX_BODY, UnreadableBody, parse_json
from voicectl.sandbox.ncco import read_ncco

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.effects import Fetch
    from voicectl.sandbox.telephony.flow import Actions

CONNECT_SECONDS = 1.0
READ_SECONDS = 5.0
ATTEMPTS = 2
_WORTH_REPEATING = (429, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of a fetch.

    Attributes:
        tried: One entry for each request made: ``status`` or ``reason``.
        actions: The NCCO; None if none came.
        reason: Why none came.
    """

    tried: list[dict[str, Any]]
    actions: Actions | None = None
    reason: str = ""


class Fetcher:
    """Asks webhooks, several at once.

    Args:
        allow_hosts: Hosts off loopback that may be asked.
    """

    def __init__(self, allow_hosts: tuple[str, ...]) -> None:
        self._allow_hosts = allow_hosts
        self._client: httpx.AsyncClient | None = None

    async def fetch(self, fetch: Fetch) -> Fetched:
        """Ask for the NCCO of *fetch*; never raises for what the other side does."""
        if not self._may_ask(fetch.webhook.url):
            reason = "not delivered: the host is neither loopback nor allowed"
            return Fetched(tried=[{"reason": reason}], reason=reason)
        tried: list[dict[str, Any]] = []
        reason = ""
        for _ in range(ATTEMPTS):
            try:
                async with asyncio.timeout(CONNECT_SECONDS + READ_SECONDS):
                    status, body = await self._ask(fetch)
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError) as exc:
                reason = str(exc) or type(exc).__name__
                tried.append({"reason": reason})
                continue
            tried.append({"status": status})
            if status not in _WORTH_REPEATING:
                return _read(status, body, tried)
            reason = f"answered with status {status}"
        return Fetched(tried=tried, reason=reason)

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, fetch: Fetch) -> tuple[int, bytes]:
        url = httpx.URL(fetch.webhook.url)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if fetch.webhook.method == "GET":
            request = self._http().build_request(
                "GET", url.copy_merge_params(fetch.parameters), headers=headers
            )
        else:
            request = self._http().build_request("POST", url, json=fetch.parameters, headers=headers)
        response = await self._http().send(request, stream=True)
        try:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BODY:
                    break
            return response.status_code, bytes(body)
        finally:
            await response.aclose()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None),
                follow_redirects=False,
                trust_env=False,  # a proxy or netrc of the user's is not for loopback
            )
        return self._client

    def _may_ask(self, url: str) -> bool:
        host = (urlsplit(url).hostname or "").lower()
        if host == "localhost" or host in self._allow_hosts:
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def _read(status: int, body: bytes, tried: list[dict[str, Any]]) -> Fetched:
    if status != httpx.codes.OK:
        return Fetched(tried=tried, reason=f"answered with status {status}")
    try:
        raw = parse_json(body)
    except UnreadableBody as exc:
        return Fetched(tried=tried, reason=str(exc))
    wrongs: list[dict[str, str]] = []
    actions = () if raw == [] else read_ncco(raw, wrongs)
    if wrongs:
        return Fetched(
            tried=tried, reason="; ".join(f"{wrong['name']}: {wrong['reason']}" for wrong in wrongs)
        )
    return Fetched(tried=tried, actions=actions)
