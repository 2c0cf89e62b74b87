"""``sandbox start --tls`` and ``sandbox env``: programs in a shell use a running sandbox, by HTTPS if they insist."""

from __future__ import annotations

import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.desk import shell
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.servers import Canned, reply
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore
from voicectl.sandbox.tls.authority import THIS_MACHINE, Authority

VOICECTL = f"{sys.executable} -m voicectl"

FETCH = """
import os, sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url.replace("HOST", os.environ.get("VONAGE_API_HOST", ""))).status)
    except urllib.error.HTTPError as exc:
        print(exc.code)
    except OSError as exc:
        print(exc)
"""


@contextmanager
def started(room: Room, *options: str) -> Iterator[dict[str, str]]:
    """Run a sandbox in the background, and yield the fields with its addresses."""
    ran = room.process(["sandbox", "start", "--detach", "-o", "json", *options])
    assert ran.exit_code == 0, ran.stderr
    try:
        yield ran.json
    finally:
        assert room.process("sandbox stop").exit_code == 0


def exported(room: Room) -> dict[str, str]:
    """Return the variables that ``sandbox env`` sets in a shell."""
    ran = shell(room, f'eval "$({VOICECTL} sandbox env)"; env')
    assert ran.exit_code == 0, ran.stderr
    after = dict(line.partition("=")[::2] for line in ran.stdout.splitlines())
    of_bash = {"PWD", "SHLVL", "_"}
    return {name: after[name] for name in after.keys() - of_bash if room.environ.get(name) != after[name]}


def fetched(room: Room, *urls: str) -> list[str]:
    """Fetch *urls* with Python's own library in a shell that evaluates ``sandbox env``."""
    script = f'eval "$({VOICECTL} sandbox env)"; {sys.executable} -c "$FETCH" {" ".join(urls)}'
    ran = shell(room, script, FETCH=FETCH)
    assert ran.exit_code == 0, ran.stderr
    return ran.stdout.splitlines()


def test_https_is_on_the_port_after_those_of_the_regions(bare: Room) -> None:
    port = free_block(8)

    with started(bare, "--port", str(port), "--tls") as addresses:
        assert addresses["url"] == f"http://127.0.0.1:{port}"
        assert addresses["tls_url"] == f"https://127.0.0.1:{port + 7}"
        assert fetched(bare, "HOST/v1/calls", f"https://localhost:{port + 7}/sandbox/status") == [
            "401",
            "200",
        ]


def test_the_variables_are_those_of_the_sandbox(bare: Room) -> None:
    with started(bare, "--port", "0") as plain:
        usual = exported(bare)
    with started(bare, "--port", "0", "--tls") as secure:
        more = exported(bare)

    assert sorted(usual) == [
        "VONAGE_API_HOST",
        "VONAGE_API_KEY",
        "VONAGE_API_SECRET",
        "VONAGE_APPLICATION_ID",
        "VONAGE_PRIVATE_KEY",
        "VONAGE_SIGNATURE_SECRET",
    ]
    assert plain["tls_url"] is None
    assert usual["VONAGE_API_HOST"] == plain["url"]
    assert usual["VONAGE_APPLICATION_ID"] == plain["application_id"]
    assert "PRIVATE KEY" in Path(usual["VONAGE_PRIVATE_KEY"]).read_text()
    assert more["VONAGE_API_HOST"] == secure["tls_url"]
    assert more.keys() - usual.keys() == {
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    }


def test_the_certificates_that_were_trusted_before_still_are(bare: Room, tmp_path: Path) -> None:
    other = Authority.new(SystemClock().time)
    trusted_before = tmp_path / "other.pem"
    trusted_before.write_bytes(other.certificate)
    bare.environ["SSL_CERT_FILE"] = str(trusted_before)
    with Canned(reply(200), tls=other.context(THIS_MACHINE)) as server, started(bare, "--port", "0", "--tls"):
        url = f"https://127.0.0.1:{server.port}/"
        assert fetched(bare, "HOST/v1/calls", url) == ["401", "200"]

        trusted = exported(bare)["SSL_CERT_FILE"]
        bare.environ["SSL_CERT_FILE"] = trusted
        once = Path(trusted).read_bytes()
        assert fetched(bare, "HOST/v1/calls", url) == ["401", "200"]

    assert Path(trusted).read_bytes() == once  # a second time adds nothing


def test_a_shell_without_the_variables_does_not_trust_the_sandbox(bare: Room) -> None:
    with started(bare, "--port", "0", "--tls") as addresses:
        ran = shell(bare, f'{sys.executable} -c "$FETCH" {addresses["tls_url"]}/', FETCH=FETCH)

    assert "certificate verify failed" in ran.stdout


def test_a_client_may_ask_for_a_host_of_the_platform_by_name(bare: Room) -> None:
    script = """
import os, socket, ssl, sys
host, port = os.environ["VONAGE_API_HOST"].removeprefix("https://").split(":")
for name in sys.argv[1:]:
    with socket.create_connection((host, int(port))) as sock:
        try:
            with ssl.create_default_context().wrap_socket(sock, server_hostname=name) as tls:
                print(tls.getpeercert()["subjectAltName"])
        except ssl.SSLCertVerificationError as exc:
            print(exc.verify_message.split(",")[0])
"""
    names = "api.nexmo.com API-EU-3.vonage.com localhost example.org www.vonage.com"
    with started(bare, "--port", "0", "--tls"):
        ran = shell(
            bare, f'eval "$({VOICECTL} sandbox env)"; {sys.executable} -c "$SCRIPT" {names}', SCRIPT=script
        )

    assert ran.stdout.splitlines() == [
        "(('DNS', 'api.nexmo.com'),)",
        "(('DNS', 'api-eu-3.vonage.com'),)",
        "(('DNS', 'localhost'), ('IP Address', '127.0.0.1'), ('IP Address', '0:0:0:0:0:0:0:1'))",
        "Hostname mismatch",
        "Hostname mismatch",
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"*.nexmo.com.",
        b"api\nnexmo.co",
        b"api\x00nexmo.co",
        b"\xff\xfenexmo.com",
        b" " * 12,
        b"*" * 12,
    ],
)
def test_an_odd_name_in_a_handshake_does_no_harm(bare: Room, name: bytes) -> None:
    usual = "nexmo-12.com"
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=usual)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read().replace(usual.encode(), name)

    with started(bare, "--port", "0", "--tls") as addresses:
        host, port = addresses["tls_url"].removeprefix("https://").split(":")
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(hello)
            sock.recv(65_536)  # its part of the handshake, or the end of the connection
        assert fetched(bare, "HOST/v1/calls") == ["401"]


def test_the_authority_is_kept_and_only_its_owner_can_read_it(bare: Room) -> None:
    directory = bare.config / "sandbox-tls"
    with started(bare, "--port", "0", "--tls"):
        first = exported(bare)["SSL_CERT_FILE"]
        before = Path(first).read_bytes()
    with started(bare, "--port", "0", "--tls"):
        again = exported(bare)["SSL_CERT_FILE"]

    assert Path(again).read_bytes() == before
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_an_authority_that_others_can_read_or_that_is_damaged_is_refused(bare: Room) -> None:
    with started(bare, "--port", "0", "--tls"):
        path = bare.config / "sandbox-tls" / "authority.pem"
        content = path.read_bytes()
        path.chmod(0o644)
        readable = bare("sandbox env")
        path.chmod(0o600)
        path.write_bytes(content[:-200])
        damaged = bare("sandbox env")

    assert (readable.exit_code, readable.stdout) == (3, "")
    assert f"chmod 600 {path}" in readable.stderr
    assert (damaged.exit_code, damaged.stdout) == (3, "")
    assert "Delete the file" in damaged.stderr
    assert bare.process("sandbox start --port 0 --tls").exit_code == 3


def test_a_file_of_certificates_that_is_missing_is_named(bare: Room) -> None:
    with started(bare, "--port", "0", "--tls"):
        ran = bare("sandbox env", env={"CURL_CA_BUNDLE": "/no/such/file"})

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "CURL_CA_BUNDLE" in ran.stderr


def test_paths_are_quoted_for_the_shell(bare: Room) -> None:
    bare.environ["VOICECTL_CONFIG_DIR"] = str(bare.home / "it's $HOME `x`")

    with started(bare, "--port", "0", "--tls"):
        found = exported(bare)
        assert fetched(bare, "HOST/v1/calls") == ["401"]

    assert found["VONAGE_PRIVATE_KEY"].startswith(bare.environ["VOICECTL_CONFIG_DIR"])


def test_nothing_is_printed_unless_the_sandbox_proves_that_it_is_ones_own(bare: Room) -> None:
    never = bare("sandbox env")
    with started(bare, "--port", "0") as addresses:
        pass
    stopped = bare("sandbox env")
    identity = {
        "application_id": addresses["application_id"],
        "regions": {},
        "tls_url": "https://example.org",
    }
    with Canned(reply(200, identity)) as imitation:
        store = ProfileStore(bare.config)
        store.add(replace(store.get("sandbox"), base_url=imitation.url), key=None, replace=True)
        foreign = bare("sandbox env")

    assert never.stdout == stopped.stdout == foreign.stdout == ""
    assert (never.exit_code, stopped.exit_code, foreign.exit_code) == (3, 7, 9)


def test_a_command_of_exec_can_print_the_variables_too(bare: Room) -> None:
    ran = bare.process(
        ["sandbox", "exec", "--", "bash", "-c", f'{VOICECTL} sandbox env; echo "$VONAGE_API_HOST"']
    )

    assert ran.exit_code == 0, ran.stderr
    *lines, url = ran.stdout.splitlines()
    assert lines[-1] == f"export VONAGE_API_HOST={url}"


def test_a_port_for_https_in_use_is_named(bare: Room) -> None:
    port = free_block(8)
    with socket.create_server(("127.0.0.1", port + 7)):
        ran = bare.process(f"sandbox start --port {port} --tls")

    assert ran.exit_code == 2
    assert f"Port {port + 7} cannot be used" in ran.stderr


@pytest.mark.parametrize("port", [65529, 65530])
def test_a_port_without_room_for_all_others_is_refused(bare: Room, port: int) -> None:
    assert bare(f"sandbox start --tls --port {port}").exit_code == 2
