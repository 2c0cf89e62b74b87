"""``sandbox env``: print the variables with which other programs use the sandbox."""

from __future__ import annotations

import shlex

import typer

from voicectl.cli.child_environment import sealed
from voicectl.cli.context import current
from voicectl.cli.private_sandbox import identity_of
from voicectl.cli.sandbox_certificates import DIRECTORY, stored_authority, write_bundles
from voicectl.core.identity import rehearsal
from voicectl.core.identity.profiles import SANDBOX


def env(ctx: typer.Context) -> None:
    """Print shell commands that let other programs use the running sandbox.

    They set VONAGE_APPLICATION_ID, VONAGE_PRIVATE_KEY, VONAGE_API_HOST and the account's secrets. If the sandbox was
    started with --tls, VONAGE_API_HOST is its HTTPS address, and SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE
    and NODE_EXTRA_CA_CERTS name files that hold the certificates trusted so far and the sandbox's own. Before
    anything is printed, the sandbox proves that it is yours.

    Example:
      $ eval "$(voicectl sandbox env)"
    """
    app = current(ctx)
    found = app.control.prove()
    url = app.environ.get(rehearsal.VARIABLE)
    profile = rehearsal.profile_at(url, app.profiles) if url else app.profiles.get(SANDBOX)
    identity = identity_of(profile, app.profiles)
    tls_url = found.get("tls_url")
    variables = sealed({}, identity, app.profiles.key_path(profile.name), tls_url or found["url"])
    if tls_url:
        directory = app.profiles.directory / DIRECTORY
        certificate = stored_authority(directory, app.clock.time).certificate
        variables |= write_bundles(directory, certificate, app.environ)
    app.terminal.write("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
