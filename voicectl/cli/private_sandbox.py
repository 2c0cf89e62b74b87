"""A sandbox of one command's own, with a temporary configuration, and the identity of a user's sandbox."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voicectl.cli.child_environment import intercepted, sealed
from voicectl.cli.output.text import remark
from voicectl.cli.sandbox_certificates import DIRECTORY, stored_authority, write_bundles
from voicectl.clock import Clock
from voicectl.core import own_sandbox
from voicectl.core.identity import keys, target
from voicectl.core.identity.profiles import SANDBOX, Profile, ProfileStore
from voicectl.core.sandbox_control import SandboxControl
from voicectl.errors import VoicectlError
from voicectl.sandbox.account.identity import Identity, Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import PORT, running
from voicectl.store import files

MAX_REPORTED = 10
"""The largest number of remarks on refused connections."""


@contextmanager
def private_sandbox(
    environ: Mapping[str, str],
    clock: Clock,
    options: Options,
    *,
    intercept: bool = False,
    prepare: Callable[[Sandbox], None] = lambda _sandbox: None,
    profiles: ProfileStore | None = None,
) -> Iterator[dict[str, str]]:
    """Run a private sandbox for the duration of the ``with`` block. Yield environment variables that select it.

    Args:
        environ: The environment variables, to which those that select the sandbox are added.
        intercept: True to answer for the platform's hosts too, by a proxy that the variables select.
        prepare: A function that is called with the sandbox before it is served.
        profiles: Profiles from which the identity of a sandbox is copied. If it is None, a new one is made.
    """
    with tempfile.TemporaryDirectory(prefix="voicectl-") as directory:
        room = Path(directory)
        store = ProfileStore(room / "config")
        if profiles is not None:
            shutil.copytree(profiles.directory, store.directory)
        identity = stored_identity(store)
        sandbox = Sandbox(identity, options, clock=clock)
        prepare(sandbox)
        certificates = store.directory / DIRECTORY
        authority = stored_authority(certificates, clock.time) if intercept else None
        with running(sandbox, intercept=authority) as url:
            store_address(store, sandbox)
            chosen = sealed(environ, identity, store.key_path(SANDBOX), url) | {
                "VOICECTL_SANDBOX": url,
                "VOICECTL_CONFIG_DIR": str(store.directory),
                "VOICECTL_STATE_DIR": str(room / "state"),
            }
            if authority is not None and sandbox.proxy_url is not None and sandbox.tls_url is not None:
                chosen = intercepted(chosen, sandbox.proxy_url, sandbox.tls_url)
                chosen |= write_bundles(certificates, authority.certificate, environ)
            try:
                yield chosen
            finally:
                _stop_started(store, chosen, url)
        _report_refusals(sandbox)


def _report_refusals(sandbox: Sandbox) -> None:
    """Report the connections that the proxy refused, since the sandbox's log is gone with the sandbox."""
    entries = [entry for entry in sandbox.log.since(0) if entry["kind"] == "proxy"]
    refused = Counter((entry["target"], entry["reason"]) for entry in entries)
    for (to, reason), count in refused.most_common(MAX_REPORTED):
        times = "" if count == 1 else f", {count} times"
        remark(f"The proxy refused {to or 'a connection'}: {reason}{times}.")
    if len(refused) > MAX_REPORTED:
        remark(f"Other targets that the proxy refused: {len(refused) - MAX_REPORTED}.")


def _stop_started(profiles: ProfileStore, environ: Mapping[str, str], url: str) -> None:
    """Stop a sandbox that was started within the private one at *url*, and whose files are about to be removed."""
    found = own_sandbox.known(profiles, target.state_directory(environ))
    if found is not None and found.url != url:
        with suppress(VoicectlError):
            SandboxControl(found.url, source="The sandbox's address").stop(found.application_id)


def store_address(store: ProfileStore, sandbox: Sandbox) -> None:
    """Store the addresses of a running sandbox in the profile ``sandbox``."""
    profile = replace(store.get(SANDBOX), base_url=sandbox.url, regions=sandbox.region_urls)
    store.add(profile, key=None, replace=True)


def stored_identity(store: ProfileStore) -> Identity:
    """Return the identity in the profile ``sandbox``. If the profile does not exist, create it."""
    if SANDBOX not in store.names():
        identity, private_key = new_identity()
        profile = Profile(
            name=SANDBOX,
            application_id=identity.application_id,
            base_url=f"http://127.0.0.1:{PORT}",
            from_=identity.number,
            api_key=identity.api_key,
        )
        store.add(
            profile,
            key=keys.parse(private_key, where="the sandbox"),
            api_secret=identity.api_secret,
            signature_secret=identity.signature_secret,
        )
        return identity
    return identity_of(store.get(SANDBOX), store)


def identity_of(profile: Profile, store: ProfileStore) -> Identity:
    """Return the identity of the sandbox that *profile* describes."""
    path = store.key_path(profile.name)
    public = keys.parse(files.read_private(path, what="private key"), where=str(path)).public_key()
    return Identity(
        application_id=profile.application_id,
        public_key=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        api_key=profile.api_key or "",
        api_secret=store.secret(profile.name, "api-secret") or "",
        signature_secret=store.secret(profile.name, "signature-secret") or "",
    )
