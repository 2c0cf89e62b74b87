"""``sandbox exec --intercept``: programs that use the platform's own addresses run unchanged."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from tests.support.room import PERSON, Room
from tests.support.servers import Canned, reply
from voicectl.voice.hosts import PLATFORM_HOSTS, REGION_HOSTS

FETCH = """
import base64, os, sys, urllib.error, urllib.request

def fetch(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError) as exc:
        return str(exc)

token = os.popen(sys.executable + " -m voicectl jwt create 2>/dev/null").read().strip()
bearer = "Bearer " + token
basic = "Basic " + base64.b64encode("{VONAGE_API_KEY}:{VONAGE_API_SECRET}".format(**os.environ).encode()).decode()
"""
"""An unmodified client, as a beginning of Python scripts; Python's own library heeds proxies and CA files."""


def run(bare: Room, script: str, *options: str, env: dict[str, str] | None = None) -> tuple[list[str], str]:
    """Run a Python script under interception, and return the lines of its output, and standard error."""
    bare.environ |= env or {}
    words = ["sandbox", "exec", "--intercept", *options, "--", sys.executable, "-c", FETCH + script]
    ran = bare.process(words)
    assert ran.exit_code == 0, ran.stderr
    return ran.stdout.splitlines(), ran.stderr


def test_an_unmodified_program_uses_the_platforms_own_addresses(bare: Room) -> None:
    lines, errors = run(
        bare,
        'print(fetch("https://api.nexmo.com/v1/calls", Authorization=bearer))\n'
        'print(fetch("https://api-eu-3.vonage.com/v1/calls", Authorization=bearer))\n'
        'print(fetch("https://rest.nexmo.com/account/numbers", Authorization=basic))\n'
        'print(fetch("https://api.nexmo.com/v2/applications", Authorization=basic))\n',
    )

    here, region, numbers, applications = map(json.loads, lines)
    assert here["count"] == region["count"] == 0
    assert numbers["numbers"][0]["country"] == "GB"
    assert applications["total_items"] == 1
    assert errors == ""


def test_every_other_host_is_refused_and_reported(bare: Room) -> None:
    with Canned(reply(200)) as here:
        lines, errors = run(
            bare,
            'print(fetch("https://example.org/"))\n'
            'print(fetch("https://example.org/"))\n'
            'print(fetch("http://user:secret@api.nexmo.com/v1/calls?api_secret=secret"))\n'
            f'print(fetch("https://127.0.0.2.example.org:{here.port}/"))\n',
        )
        assert here.connections == 0

    assert all("403" in line for line in lines)
    assert errors.splitlines() == [
        "The proxy refused example.org:443: not a host of the platform on port 443, 2 times.",
        "The proxy refused http://api.nexmo.com: plain HTTP is not passed on, since the platform uses HTTPS only.",
        f"The proxy refused 127.0.0.2.example.org:{here.port}: not a host of the platform on port 443.",
    ]


def test_a_refusal_is_in_the_log_while_the_sandbox_runs(bare: Room) -> None:
    lines, _ = run(
        bare,
        'fetch("https://example.org/")\n'
        'print(os.popen(sys.executable + " -m voicectl sandbox log --fields kind,what").read())\n',
    )

    assert "proxy\tCONNECT example.org:443 -> 403 not a host of the platform on port 443" in lines


def test_this_machine_is_reached_without_the_proxy(bare: Room) -> None:
    with Canned(reply(200, b"here")) as server:
        lines, errors = run(
            bare,
            f'print(fetch("http://127.0.0.1:{server.port}/"))\n'
            f'print(fetch("http://localhost:{server.port}/"))\n'
            'print(fetch(os.environ["VONAGE_API_HOST"] + "/v1/calls", Authorization=bearer))\n',
            env={"no_proxy": "", "NO_PROXY": "example.org"},
        )

    assert lines[:2] == ["here", "here"]
    assert json.loads(lines[2])["count"] == 0
    assert errors == ""


PROXIES = {
    "HTTPS_PROXY": "http://other:1",
    "https_proxy": "http://other:2",
    "HTTP_PROXY": "http://other:3",
    "http_proxy": "http://other:4",
    "ALL_PROXY": "socks5://other:5",
    "all_proxy": "socks5://other:6",
    "All_Proxy": "socks5://other:7",
    "SOCKS_PROXY": "socks5://other:8",
    "wss_proxy": "http://other:9",
    "NO_PROXY": "*",
    "no_proxy": "api.nexmo.com,.example.org",
}


def test_the_proxy_replaces_all_others(bare: Room) -> None:
    bare.environ |= PROXIES

    alone = environment(bare, "sandbox exec -- env")
    intercepted = environment(bare, "sandbox exec --intercept -- env")

    assert PROXIES.items() <= alone.items()
    assert "other" not in str(intercepted)
    assert {name.upper() for name in intercepted if name.upper().endswith("_PROXY")} == {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    }
    for name in ("NO_PROXY", "no_proxy"):
        assert intercepted[name] == "localhost,127.0.0.1,::1"
    (proxy,) = {intercepted[name] for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")}
    assert proxy.startswith("http://127.0.0.1:")
    assert proxy != intercepted["VOICECTL_SANDBOX"] == intercepted["VONAGE_API_HOST"]


def environment(room: Room, line: str) -> dict[str, str]:
    ran = room.process(line)
    assert ran.exit_code == 0, ran.stderr
    return dict(each.partition("=")[::2] for each in ran.stdout.splitlines())


def test_voicectl_itself_takes_the_platforms_hosts_for_the_sandbox(bare: Room) -> None:
    script = f"""
        set -euo pipefail
        v() {{ {sys.executable} -m voicectl "$@" 2>/dev/null; }}
        LEG=$(v call create --to {PERSON} --ncco - -q --wait answered <<'EOF'
            [{{"action": "record", "timeOut": 3, "eventUrl": ["http://127.0.0.1:9/"]}},
             {{"action": "wait", "timeout": 60}}]
EOF
        )
        v sandbox advance 5s > /dev/null
        URL=$(v sandbox log --leg "$LEG" -o json | {sys.executable} -c '
import json, sys
print(*[each["recording_url"] for each in json.load(sys.stdin) if each["kind"] == "record"])')
        echo "$URL"
        v recording download "$URL" --dir files -q
        v call show "$LEG" --fields status
    """

    ran = bare.process(["sandbox", "exec", "--intercept", "--", "bash", "-c", script])

    assert ran.exit_code == 0, ran
    url, name, status = ran.stdout.splitlines()
    assert url.startswith(f"https://{REGION_HOSTS['na-east']}/v1/files/")
    assert (bare.home / "files" / name).read_bytes()
    assert status == "answered"


def test_the_certificates_that_sandbox_env_names_are_those_of_the_interception(bare: Room) -> None:
    lines, errors = run(
        bare,
        'shown = os.popen(sys.executable + " -m voicectl sandbox env 2>/dev/null").read().splitlines()\n'
        'exported = dict(line.removeprefix("export ").split("=", 1) for line in shown)\n'
        'os.environ["SSL_CERT_FILE"] = exported["SSL_CERT_FILE"]\n'
        'print(fetch(exported["VONAGE_API_HOST"] + "/v1/calls", Authorization=bearer))\n'
        'print(fetch("https://api.nexmo.com/v1/calls", Authorization=bearer))\n',
    )

    assert [json.loads(line)["count"] for line in lines] == [0, 0]
    assert errors == ""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_reaches_the_sandbox(bare: Room) -> None:
    ran = bare.process(
        "sandbox exec --intercept -- curl -sS -o /dev/null -w '%{http_code} %{ssl_verify_result} %{remote_ip}\\n'"
        " https://api.nexmo.com/v1/calls"
    )

    assert (ran.stdout, ran.stderr) == ("401 0 127.0.0.1\n", "")


def test_the_platforms_hosts_are_those_that_voicectl_uses() -> None:
    assert {"api.nexmo.com", "rest.nexmo.com", *REGION_HOSTS.values()} < PLATFORM_HOSTS
