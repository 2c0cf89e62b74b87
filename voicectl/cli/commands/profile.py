"""``profile``: manage named profiles, each of which contains an application, its keys and its guards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.cli.arguments import MAX_LENGTH_SECONDS, grouped, whole_seconds
from voicectl.cli.context import App, current
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output.text import block, clean, remark
from voicectl.cli.output.writer import View
from voicectl.cli.terminal import Terminal
from voicectl.core import hosts
from voicectl.core.identity import keys, profiles, rehearsal
from voicectl.core.identity.account import NOWHERE
from voicectl.core.identity.policy import Policy, host_name, prefix
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.core.identity.signature_secrets import MAX_SECRETS
from voicectl.errors import ConfigError, InputError
from voicectl.store import files
from voicectl.voice import endpoint
from voicectl.voice.hosts import REGION_HOSTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


_COLUMNS = ("name", "default", "application_id", "base_url", "from", "fingerprint")
_MORE = ("api_key", "has_api_secret", "has_signature_secret", "key_command", "ca_file", "guards")
VIEW = View(columns=(*_COLUMNS, "production"), more=("regions", *_MORE), id="name")
LISTED = replace(
    VIEW, table=("name", "default", "application_id", "production", "from", "base_url", "fingerprint")
)
IN_FORCE = View(columns=(*_COLUMNS, "sources", "production"), more=("regions", *_MORE), id="name")


Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.", show_default=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The options that limit how a profile can be used."""

    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Call only numbers with this prefix. Repeatable."),
    ] = None
    deny: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="Never call numbers with this prefix; if prefixes of both --allow and --deny match, the longest one"
            " wins. Repeatable.",
        ),
    ] = None
    max_calls_per_hour: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Dial at most this many numbers per hour.")
    ] = None
    max_calls_per_second: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            metavar="N",
            help="Let batches ring up to this many phones per second, if the platform has raised the account's limit"
            " of 3.",
        ),
    ] = None
    length_timer: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Maximum and default value of 'call create --length-timer'; also limits 'transfer --connect'.",
        ),
    ] = None
    host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Also send tokens to this host. Repeatable.")
    ] = None
    production: Annotated[
        bool,
        typer.Option("--production", help="Ask before every change made from the screen of 'watch'."),
    ] = False

    def policy(self) -> Policy:
        """Return the guards in the form in which a profile stores them.

        Raises:
            InputError: An option is malformed.
        """
        length = self.length_timer
        return Policy(
            allow=tuple(map(prefix, self.allow or ())),
            deny=tuple(map(prefix, self.deny or ())),
            max_calls_per_hour=self.max_calls_per_hour,
            max_calls_per_second=self.max_calls_per_second,
            length_timer=None
            if length is None
            else whole_seconds(length, "--length-timer", 1, MAX_LENGTH_SECONDS),
            hosts=tuple(map(host_name, self.host or ())),
            production=self.production,
        )


@grouped
def add(
    ctx: typer.Context,
    name: Name,
    application_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id of the application (UUID); prompted for on a terminal."),
    ] = None,
    private_key: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Copy the private key (PEM) from this file; - reads standard input."
        ),
    ] = None,
    key_command: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Command that prints the key; voicectl runs it, without a shell, whenever it needs the key.",
        ),
    ] = None,
    api_key: Annotated[str | None, typer.Option(metavar="KEY", help="API key of the account.")] = None,
    api_secret_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File with the API secret; - reads standard input.")
    ] = None,
    signature_secret_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File with the webhook signature secret, or with two secrets, one per line; - reads standard input.",
        ),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="NUMBER", help="Caller id of new calls.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help=f"Region of the API: {', '.join(REGION_HOSTS)}."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Base URL of another API host, or of a server on this machine."),
    ] = None,
    *,
    guards: Guards,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing profile with this name.")
    ] = False,
) -> None:
    r"""Store an application, its key and its guards (limits on its calls).

    The key is checked and copied into the configuration directory, where only you can read it. On a terminal,
    voicectl asks for missing values. The first profile becomes the default. Secrets are read from files, commands or
    the terminal, never from option values.

    Examples:
      $ voicectl profile add prod --application-id "$APP_ID" \
          --private-key private.pem --from 447700900000
      $ voicectl profile add eu --application-id "$APP_ID" \
          --private-key private.pem --region eu-west --allow 44
    """
    app = current(ctx)
    rehearsal.refuse_changes(app.environ, "the profiles")
    app.consent.refuse_dry_run()
    profiles.check_name(name)
    if name == profiles.SANDBOX:
        raise InputError(
            "The profile name 'sandbox' is reserved for 'voicectl sandbox start'.",
            hint="Choose another name.",
        )
    if private_key is not None and key_command is not None:
        raise InputError(
            "--private-key and --key-command cannot be used together.", hint="Give only one of them."
        )
    if region is not None and base_url is not None:
        raise InputError("--region and --base-url cannot be used together.", hint="Give only one of them.")
    if api_secret_file is not None and api_key is None:
        raise InputError(
            "--api-secret-file needs --api-key.", hint="Give the key that belongs to the secret."
        )
    if name in app.profiles.names() and not replace:
        raise InputError(
            f"The profile {name!r} already exists.",
            hint=f"Replace it: voicectl profile add {name} --replace ...",
        )
    policy = guards.policy()
    url = hosts.region_url(region) if region else base_url or hosts.DEFAULT_BASE_URL
    identity = profiles.application_id(
        application_id or _ask(app.terminal, "application id", "--application-id")
    )
    profile = Profile(
        name=name,
        application_id=identity,
        base_url=hosts.base_url(url, extra_hosts=policy.hosts),
        key_command=key_command,
        from_=None if from_ is None else endpoint.typed_caller(from_),
        api_key=api_key,
        ca_file=app.options.ca_file,
        policy=policy,
    )
    hosts.check_application(identity, profile.base_url)
    key = _read_key(app.terminal, private_key, key_command)
    stored = None if key_command else key
    api_secret = _read_secret(app.terminal, api_secret_file, "API secret")
    if api_key is not None and api_secret is None:
        api_secret = _ask(app.terminal, "API secret", "--api-secret-file")
    signature_secret = _read_secret(
        app.terminal, signature_secret_file, "signature secret", lines=MAX_SECRETS
    )
    with app.terminal.writer(VIEW, is_many=False) as out:
        app.profiles.add(
            profile,
            key=stored,
            api_secret=api_secret,
            signature_secret=signature_secret,
            replace=replace,
            only_given=True,
        )
        out.add(_record(app.profiles, profile))


@grouped
def list_(ctx: typer.Context, listing: ListOptions) -> None:
    """List the profiles.

    Example:
      $ voicectl profile list
    """
    app = current(ctx)
    with app.terminal.writer(LISTED, is_many=True) as out:
        records = (_record(app.profiles, app.profiles.get(name)) for name in app.profiles.names())
        for record in listing.arrange(records, LISTED):
            out.add(record)


def show(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The profile (default: the settings in use).", show_default=False
        ),
    ] = None,
) -> None:
    """Show a profile, and where each setting comes from.

    Without NAME, voicectl shows the settings that a command would use now. Secrets are never shown.

    Examples:
      $ voicectl profile show
      $ voicectl profile show sandbox -o json
    """
    app = current(ctx)
    record = _in_force(app) if name is None else _record(app.profiles, app.profiles.get(name))
    options = app.options
    if app.terminal.format.is_table and not options.fields and not options.quiet:
        app.terminal.write(_settings(record))
        return
    with app.terminal.writer(IN_FORCE, is_many=False) as out:
        out.add(record)


def _in_force(app: App) -> dict[str, Any]:
    """Return the settings that a command would use now, and where each comes from."""
    target = app.target
    return {
        "name": target.profile,
        "default": target.profile is not None and target.profile == app.profiles.default,
        "application_id": target.application_id,
        "base_url": target.base_url,
        "regions": target.regions,
        "from": target.from_,
        "fingerprint": keys.fingerprint(target.load_key().public_key()),
        **_secrets_in_force(app),
        "guards": target.policy.to_json(),
        "production": target.policy.production,
        "sources": target.sources,
    }


def _settings(record: dict[str, Any]) -> str:
    """Return a profile as lines for a terminal: each setting and each guard, then the sources of the settings."""
    shown = [*_COLUMNS, "production", *_MORE]
    rows = {name: record.get(name) for name in shown if name != "guards"} | record.get("guards", {})
    sources: dict[str, str] = record.get("sources", {})
    if sources:
        counted = Counter(sources.values())
        rows["source"], _ = counted.most_common(1)[0]
        others = {name: each for name, each in sources.items() if each not in (rows["source"], NOWHERE)}
        rows |= {f"source of {name}": each for name, each in others.items()}
    return block(list(rows), [_cell(value) for value in rows.values()])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return "-" if value is None else clean(str(value))


def _secrets_in_force(app: App) -> dict[str, Any]:
    """Return the API key that commands would use, and which secrets are set, but not the secrets themselves."""
    target = app.target
    try:
        api_key, has_secret = app.account.key, True
    except ConfigError:
        api_key, has_secret = None, False
        if target.profile is not None:
            api_key = app.profiles.get(target.profile).api_key
    return {
        "api_key": api_key,
        "has_api_secret": has_secret,
        "has_signature_secret": target.signature is not None,
    }


def use(ctx: typer.Context, name: Name) -> None:
    """Make a profile the default.

    Example:
      $ voicectl profile use prod
    """
    app = current(ctx)
    rehearsal.refuse_changes(app.environ, "the profiles")
    app.consent.refuse_dry_run()
    app.profiles.use(name)


def remove(ctx: typer.Context, name: Name) -> None:
    """Delete a profile and its secrets.

    The profile 'sandbox' can be deleted only while the sandbox is not running.

    Example:
      $ voicectl profile remove eu
    """
    app = current(ctx)
    rehearsal.refuse_changes(app.environ, "the profiles")
    app.consent.refuse_dry_run()
    if name == profiles.SANDBOX:
        _refuse_while_running(app)
    app.profiles.remove(name)


def _refuse_while_running(app: App) -> None:
    """Refuse to delete the keys of a running sandbox.

    Raises:
        InputError: The sandbox is running.
    """
    from voicectl.core.own_sandbox import OwnSandbox  # noqa: PLC0415 (loads HTTP, for one profile only)

    try:
        profile = app.profiles.get(profiles.SANDBOX)
    except ConfigError:
        return  # the profile is missing, which 'remove' reports, or malformed, and then it may go
    if OwnSandbox(profile.base_url, profile.application_id).is_running:
        raise InputError(
            f"The sandbox is running at {profile.base_url}, and needs its profile.",
            hint="Stop it first: voicectl sandbox stop",
        )


def _record(store: ProfileStore, profile: Profile) -> dict[str, Any]:
    fingerprint = None
    if profile.key_command is None:
        try:
            content = files.read_private(store.key_path(profile.name), what="private key")
            fingerprint = keys.fingerprint(keys.parse(content, where=profile.name).public_key())
        except ConfigError as exc:
            remark(f"profile {profile.name}: {exc.message}")
    return profile.to_json() | {
        "name": profile.name,
        "default": profile.name == store.default,
        "fingerprint": fingerprint,
        "production": profile.policy.production,
        "has_api_secret": store.has_secret(profile.name, "api-secret"),
        "has_signature_secret": store.has_secret(profile.name, "signature-secret"),
    }


def _read_key(terminal: Terminal, file: str | None, command: str | None) -> RSAPrivateKey:
    """Read and check the private key. A file that other users can read is refused."""
    if command is not None:
        key, where = keys.from_command(command), "the output of the key command"
    else:
        file = file or _ask(terminal, "private key file", "--private-key")
        where = "standard input" if file == "-" else str(files.user_path(file))
        key = keys.parse(_read_private(terminal, file, "private key"), where=where)
    keys.check(key, where=where)
    return key


def _read_secret(terminal: Terminal, file: str | None, what: str, *, lines: int = 1) -> str | None:
    if file is None:
        return None
    content = _read_private(terminal, file, what)
    found = [line.strip() for line in content.decode("ascii", "replace").splitlines() if line.strip()]
    if not 0 < len(found) <= lines or not all(each.isascii() and each.isprintable() for each in found):
        raise ConfigError(
            f"The {what} is empty, has too many lines, or is not ASCII text.",
            hint=f"Put only the {what} into the file.",
        )
    return "\n".join(found)


def _read_private(terminal: Terminal, file: str, what: str) -> bytes:
    """Read a secret from a file or standard input. A file that other users can read is refused."""
    if file == "-":
        return terminal.read_stdin("a private key" if what == "private key" else what)
    return files.read_private(files.user_path(file), what=what)


def _ask(terminal: Terminal, what: str, option: str) -> str:
    """Ask for a missing value without echoing the answer, because the user might paste a secret by mistake."""
    if not terminal.can_ask:
        raise InputError(f"No {what} was given.", hint=f"Give {option}.")
    return terminal.ask(what[0].upper() + what[1:], is_hidden=True)
