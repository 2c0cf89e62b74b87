"""The hosts that a request about a leg may send its token to, and the search for a leg."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.hosts import Hosts
from voicectl.errors import ConfigError
from voicectl.voice.hosts import API_HOSTS, REGION_HOSTS

PLATFORM = Hosts(base_url="https://api.nexmo.com", extra_hosts=("voice.example.org",))
REGIONAL = Hosts(base_url="https://api-eu-3.vonage.com")
GATEWAY = Hosts(base_url="https://voice.example.org", extra_hosts=("voice.example.org",))
SANDBOX = Hosts(base_url="http://127.0.0.1:4010", regions=("http://127.0.0.1:4011", "http://127.0.0.1:4012"))
BARE = Hosts(base_url="http://127.0.0.1:4010")

PROFILES = [PLATFORM, REGIONAL, GATEWAY, SANDBOX, BARE]


def takes(hosts: Hosts, url: str) -> bool:
    try:
        hosts.check(url)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "takers"),
    [
        ("https://api.nexmo.com", [PLATFORM, REGIONAL, GATEWAY]),
        ("https://api.nexmo.com/", [PLATFORM, REGIONAL, GATEWAY]),
        ("https://api-ap-4.vonage.com", [PLATFORM, REGIONAL, GATEWAY]),
        ("https://voice.example.org", [PLATFORM, GATEWAY]),
        ("http://127.0.0.1:4010", [SANDBOX, BARE]),
        ("http://127.0.0.1:4012", [SANDBOX]),
        ("http://127.0.0.1:4013", []),
        ("https://127.0.0.1:4010", []),
        ("http://api.nexmo.com", []),
        ("https://api.nexmo.com:444", []),
        ("https://api.nexmo.com.evil.example", []),
        ("https://evil.api.nexmo.com", []),
        ("https://api.nexmo.com@evil.example", []),
        ("https://u:p@api.nexmo.com", []),
        ("https://api-eu-1.nexmo.com", []),
        ("https://api.nexmo.com/v1", []),
        ("http://[::1", []),
        ("", []),
    ],
)
def test_a_reported_url_is_used_only_if_its_host_is_listed(url: str, takers: list[Hosts]) -> None:
    assert [each for each in PROFILES if takes(each, url)] == takers


@given(
    st.sampled_from(PROFILES),
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "{}://{}{}{}".format,
            st.sampled_from(["https", "http", "HTTPS", "file", ""]),
            st.sampled_from(
                [*API_HOSTS, "voice.example.org", "127.0.0.1", "localhost", "evil.example", "[::1]"]
            ),
            st.sampled_from(["", ":443", ":4010", ":4011", ":80", ":0", "@evil.example", ".evil.example"]),
            st.sampled_from(["", "/", "/v1", "?x", "#x", "\\", "\t"]),
        ),
    ),
)
def test_a_token_stays_on_listed_hosts_whatever_is_reported(hosts: Hosts, url: str) -> None:
    if not takes(hosts, url):
        return
    origin = hosts.check(url)
    platform = {f"https://{host}" for host in (*API_HOSTS, *hosts.extra_hosts)}
    is_here = hosts.base_url.startswith("http://")
    assert origin in ({hosts.base_url, *hosts.regions} if is_here else platform | {hosts.base_url})


def test_every_other_region_is_asked_and_only_the_profile_s_own_hosts() -> None:
    every = {f"https://{host}" for host in REGION_HOSTS.values()}

    assert set(PLATFORM.elsewhere) == every
    assert set(REGIONAL.elsewhere) == every - {REGIONAL.base_url}
    assert GATEWAY.elsewhere == ()
    assert SANDBOX.elsewhere == SANDBOX.regions
    assert BARE.elsewhere == ()
    for each in PROFILES:
        assert all(takes(each, url) for url in each.elsewhere)
