"""``app``: show the application's settings, and show or set its webhook URLs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from voicectl.cli.arguments import check_url
from voicectl.cli.context import App, current
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.core import hosts
from voicectl.core.webhooks import application
from voicectl.core.webhooks.application import ANSWER, EVENT, FALLBACK, RTC_EVENT, Wish
from voicectl.errors import DryRun
from voicectl.loopback import is_loopback

_VOICE = "capabilities.voice"
_RTC = "capabilities.rtc"

VIEW = View(
    columns=(
        "id",
        "name",
        f"{_VOICE}.webhooks.answer_url.address",
        f"{_VOICE}.webhooks.fallback_answer_url.address",
        f"{_VOICE}.webhooks.event_url.address",
        f"{_VOICE}.signed_callbacks",
        f"{_VOICE}.region",
        f"{_VOICE}.conversations_ttl",
        f"{_VOICE}.leg_persistence_time",
        f"{_RTC}.webhooks.event_url.address",
        f"{_RTC}.signed_callbacks",
        "privacy.improve_ai",
    ),
    more=("capabilities", "keys.public_key", "_links.self.href"),
    id="id",
)
URLS = View(
    columns=("webhook", "address", "http_method", "connect_timeout", "socket_timeout", "signed_callbacks"),
    id="webhook",
    table=("webhook", "address", "http_method", "signed_callbacks", "connect_timeout", "socket_timeout"),
)


class WebhookMethod(StrEnum):
    """The HTTP methods with which webhooks can be sent."""

    GET = "GET"
    POST = "POST"


def _method_option(webhook: str, default: WebhookMethod) -> Any:
    text = f"HTTP method of the {webhook} webhook: GET or POST (default for a new webhook: {default})."
    return typer.Option(case_sensitive=False, metavar="METHOD", help=text)


AnswerMethod = Annotated[WebhookMethod | None, _method_option("answer", WebhookMethod.GET)]
EventMethod = Annotated[WebhookMethod | None, _method_option("event", WebhookMethod.POST)]
FallbackMethod = Annotated[WebhookMethod | None, _method_option("fallback", WebhookMethod.GET)]
RtcEventMethod = Annotated[WebhookMethod | None, _method_option("RTC event", WebhookMethod.POST)]


def show(ctx: typer.Context) -> None:
    """Show the application's settings on the platform.

    This needs the account's API key and secret, from the profile or from VOICECTL_API_KEY and VOICECTL_API_SECRET.

    Examples:
      $ voicectl app show
      $ voicectl app show -o json
    """
    app = current(ctx)
    with app.terminal.writer(VIEW, is_many=False, is_open=True) as out:
        out.add(_read(app))


def urls(
    ctx: typer.Context,
    answer: Annotated[
        str | None, typer.Option(metavar="URL", help="Fetch the NCCO of an inbound call from this URL.")
    ] = None,
    answer_method: AnswerMethod = None,
    event: Annotated[
        str | None, typer.Option(metavar="URL", help="Send events to this URL if a call has no event_url.")
    ] = None,
    event_method: EventMethod = None,
    fallback: Annotated[
        str | None, typer.Option(metavar="URL", help="Fetch the NCCO from this URL if the answer URL fails.")
    ] = None,
    fallback_method: FallbackMethod = None,
    rtc_event: Annotated[
        str | None, typer.Option(metavar="URL", help="Send conversation (RTC) events to this URL.")
    ] = None,
    rtc_event_method: RtcEventMethod = None,
    signed: Annotated[
        bool | None, typer.Option("--signed/--unsigned", help="Sign webhooks, or send them unsigned.")
    ] = None,
) -> None:
    """Show or set the application's webhook URLs.

    An empty URL removes a webhook. All other settings of the application stay as they are, and nothing is sent if
    nothing changes. This needs the account's API key and secret, as 'app show' does.

    Examples:
      $ voicectl app urls
      $ voicectl app urls --answer https://voice.example.org/answer
      $ voicectl app urls --event '' --dry-run
    """
    app = current(ctx)
    hooks = (
        (ANSWER, "--answer", answer, answer_method),
        (EVENT, "--event", event, event_method),
        (FALLBACK, "--fallback", fallback, fallback_method),
        (RTC_EVENT, "--rtc-event", rtc_event, rtc_event_method),
    )
    wish = Wish(
        addresses={hook: url and check_url(url, option) for hook, option, url, _ in hooks if url is not None},
        methods={hook: method.value for hook, _, _, method in hooks if method is not None},
        signed=signed,
    )
    with (app.consent if wish else app.terminal).writer(URLS, is_many=True) as out:
        found = _update(app, wish) if wish else _read(app)
        if wish and app.options.dry_run:
            return
        for webhook in application.webhooks(found):
            out.add(webhook)


def _read(app: App) -> dict[str, Any]:
    return app.applications.get_application(app.target.application_id)


def _update(app: App, wish: Wish) -> dict[str, Any]:
    """Change the application's settings as *wish* describes, report the differences, and return the application."""
    target = app.target
    app.consent.announce(target.account_url)
    is_here = is_loopback(urlsplit(target.account_url).hostname or "")
    is_sandbox = target.application_id.startswith(hosts.SANDBOX_PREFIX)
    for address in filter(None, wish.addresses.values()):
        if not is_here:
            _warn(address)
        elif is_sandbox:
            _warn_sandbox(address)
    try:
        update = application.update(app.applications, app.clock, target.application_id, wish)
    except DryRun as dry:
        app.consent.show_request(dry, app.account)
        return {}
    if not update.is_changed:
        remark("The application already has these settings; nothing was sent.")
        return update.after
    app.changed_ids.append(target.application_id)
    for line in application.differences(update.before, update.after):
        remark(line)
    if not update.is_as_asked:
        remark("warning: the API accepted the change, but returned webhooks other than those requested")
    return update.after


def _warn_sandbox(address: str) -> None:
    """Warn if a sandbox would not send webhooks to the URL *address* by default."""
    host = urlsplit(address).hostname or ""
    if not is_loopback(host):
        remark(
            f"warning: {address} is not on this machine: a sandbox sends webhooks to loopback only, unless it was"
            f" started with 'sandbox start --allow-host {host}', or with --map-host {host}=URL"
        )


def _warn(address: str) -> None:
    """Warn if the platform cannot reach the URL *address*, or if requests to it are not encrypted."""
    parts = urlsplit(address)
    if is_loopback(parts.hostname or ""):
        remark(f"warning: {address} is on this machine: the platform cannot reach it")
    elif parts.scheme == "http":
        remark(f"warning: {address} is not https: requests to it can be read and changed in transit")
