"""Guards: the hosts that may get tokens, and the numbers that may be called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core import hosts
from voicectl.core.identity.policy import Policy, host_name, prefix
from voicectl.errors import ConfigError, GuardError, InputError
from voicectl.voice.hosts import API_HOSTS, REGION_HOSTS

LISTED = [
    "api.nexmo.com",
    "api-us-3.vonage.com",
    "api-us-4.vonage.com",
    "api-eu-3.vonage.com",
    "api-eu-4.vonage.com",
    "api-ap-3.vonage.com",
    "api-ap-4.vonage.com",
    "api-us.vonage.com",
    "api-eu.vonage.com",
    "api-ap.vonage.com",
]


@pytest.mark.parametrize("host", LISTED)
def test_a_listed_host_is_requested_over_https(host: str) -> None:
    assert hosts.base_url(f"https://{host}") == f"https://{host}"
    assert hosts.base_url(f"https://{host}:443/") == f"https://{host}"
    assert hosts.base_url(f"HTTPS://{host.upper()}") == f"https://{host}"


def test_no_other_host_is_listed() -> None:
    assert sorted(API_HOSTS) == sorted(LISTED)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.nexmo.com.evil.org",
        "https://evil.org/api.nexmo.com",
        "https://api.nexmo.com@evil.org",
        "https://evil.org#api.nexmo.com",
        "https://evil.org?api.nexmo.com",
        "https://evil.org\\@api.nexmo.com",
        "https://api.nexmo.com\\.evil.org",
        "https://xapi.nexmo.com",
        "https://x.api.nexmo.com",
        "https://nexmo.com",
        "https://vonage.com",
        "https://rest.nexmo.com",
        "https://api-us-1.nexmo.com",
        "https://api-us-5.vonage.com",
        "https://api.nexmo.com.",
        "https://api-nexmo.com",
        "https://api.nexmo.co",
        "https://api.n\u0435xmo.com",  # a Cyrillic letter
        "https://api.nexmo。com",
        "https://\u0430pi.nexmo.com:443",
        "https://api.nexmo.com%2eevil.org",
        "https://api.nexmo.com%00.evil.org",
        "https://[api.nexmo.com]",
        "https://api.nexmo.com:8443",
        "https://api.nexmo.com:80",
        "https://api.nexmo.com:0",
        "https://api.nexmo.com:99999",
        "https://api.nexmo.com:443:443",
        "https://api.nexmo.com:x",
        "https://user@api.nexmo.com",
        "https://user:pass@api.nexmo.com",
        "https://@api.nexmo.com",
        "https://api.nexmo.com/v1",
        "https://api.nexmo.com/..",
        "https://api.nexmo.com?a=b",
        "https://api.nexmo.com#a",
        "http://api.nexmo.com",
        "ftp://api.nexmo.com",
        "wss://api.nexmo.com",
        "file:///etc/passwd",
        "//api.nexmo.com",
        "api.nexmo.com",
        "https:api.nexmo.com",
        "https:///api.nexmo.com",
        "https://",
        "",
        "http://10.0.0.1",
        "http://192.168.1.1",
        "http://169.254.169.254",
        "http://0.0.0.0",
        "http://[::]",
        "http://localhost.evil.org",
        "http://127.0.0.1.evil.org",
        "http://127.0.0.1.",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://user@127.0.0.1",
        "http://127.0.0.1/v1",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://١٢٧.0.0.1",
    ],
)
def test_no_token_is_sent_to_any_other_host(url: str) -> None:
    with pytest.raises(ConfigError):
        hosts.base_url(url)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:4010", "http://127.0.0.1:4010"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.8.9.10:1", "http://127.8.9.10:1"),
        ("https://127.0.0.1:8443/", "https://127.0.0.1:8443"),
        ("http://localhost:4010", "http://localhost:4010"),
        ("http://LOCALHOST", "http://localhost"),
        ("http://[::1]:4010", "http://[::1]:4010"),
        ("https://[::1]", "https://[::1]"),
    ],
)
def test_loopback_may_be_http_on_any_port(url: str, base: str) -> None:
    assert hosts.base_url(url) == base


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.nexmo.com", "not sent to api.nexmo.com without https"),
        ("ftp://", "not sent to this URL without https"),
        ("https://api.nexmo.com:8443", "on port 443 only, not 8443"),
        ("https://api.nexmo.com:0", "port 0"),
        ("https://evil.org", "evil.org is not a listed API host"),
        ("https://api.nexmo.com/v1", "a scheme, a host and an optional port"),
        ("https://api.nexmo.com:x", "not a valid URL"),
    ],
)
def test_a_refused_base_url_is_explained(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        hosts.base_url(url)
    assert "https://api.nexmo.com" in (refused.value.hint or "")


def test_a_profile_extends_the_list_by_whole_host_names() -> None:
    mine = ["api.example.org"]

    assert hosts.base_url("https://api.example.org", extra_hosts=mine) == "https://api.example.org"
    for url in ("https://x.api.example.org", "http://api.example.org", "https://api.example.org:8443"):
        with pytest.raises(ConfigError):
            hosts.base_url(url, extra_hosts=mine)


@pytest.mark.parametrize(
    "name",
    [
        "-api.example.org",
        "api.-example.org",
        "api.example.-org",
        "",
        "x",
        "https://x.org",
        "x.org/",
        "x.org:443",
        "*.x.org",
        "x..org",
        ".x.org",
        "é.org",
    ],
)
def test_a_host_is_listed_by_its_full_name(name: str) -> None:
    with pytest.raises(InputError):
        host_name(name)


@given(st.text(alphabet="ahtps:/@.#?[]%\\0123456789-exmocnw\t\n ", max_size=40))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_a_base_url_is_always_a_listed_host_or_loopback(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.nexmo.com{text}", f"http://127.0.0.1{text}"):
        try:
            base = hosts.base_url(url)
        except ConfigError:
            continue
        host = re.fullmatch(r"(https?)://(\[::1\]|[a-z0-9.-]+)(:[1-9][0-9]*)?", base)
        assert host, base
        assert base.removeprefix("https://") in LISTED or hosts.is_loopback(host[2].strip("[]"))


REHEARSAL = hosts.Hosts(
    base_url="http://127.0.0.1:4010",
    regions=("http://127.0.0.1:4013",),
    stand_ins=hosts.stand_ins("http://127.0.0.1:4010", {"eu-west": "http://127.0.0.1:4013"}),
)


@pytest.mark.parametrize("host", LISTED)
def test_in_a_rehearsal_the_platforms_hosts_stand_for_the_sandbox(host: str) -> None:
    port = 4013 if host == "api-eu-3.vonage.com" else 4010

    assert REHEARSAL.check(f"https://{host}") == f"http://127.0.0.1:{port}"
    assert REHEARSAL.check(f"HTTPS://{host.upper()}:443/") == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.nexmo.com",
        "https://api.nexmo.com:444",
        "https://api.nexmo.com.",
        "https://api.nexmo.com.example.org",
        "https://voice.example.org",
        "https://127.0.0.1:4010",
        "http://127.0.0.1:4011",
    ],
)
def test_in_a_rehearsal_no_other_host_gets_a_token(url: str) -> None:
    with pytest.raises(ConfigError):
        REHEARSAL.check(url)


@pytest.mark.parametrize(("region", "host"), REGION_HOSTS.items())
def test_a_region_is_a_host(region: str, host: str) -> None:
    assert hosts.base_url(hosts.region_url(region)) == f"https://{host}"


def test_the_regions_of_a_sandbox_are_on_this_machine() -> None:
    urls = {"eu-west": "http://127.0.0.1:4013/", "na-east": "http://[::1]:4011"}

    assert hosts.sandbox_regions(urls) == {
        "eu-west": "http://127.0.0.1:4013",
        "na-east": "http://[::1]:4011",
    }


@pytest.mark.parametrize(
    "urls",
    [
        {"eu-west": "https://api-eu-3.vonage.com"},
        {"eu-west": "http://192.0.2.1:4013"},
        {"eu-west": "http://127.0.0.1.example.org:4013"},
        {"eu-west": "http://127.0.0.1:4013/v1"},
        {"eu-west": "http://user@127.0.0.1:4013"},
        {"eu-west": 4013},
        {"eu-west": None},
        {"mars": "http://127.0.0.1:4013"},
    ],
)
def test_regions_on_other_hosts_are_not_a_sandbox_s(urls: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        hosts.sandbox_regions(urls)


HERE = "http://127.0.0.1:4010"
SANDBOX_REGIONS = ("http://127.0.0.1:4011", "http://[::1]:4013")


@pytest.mark.parametrize("url", SANDBOX_REGIONS)
def test_the_regions_of_a_sandbox_are_homes_of_a_profile_on_loopback_only(url: str) -> None:
    here = hosts.Hosts(HERE, regions=SANDBOX_REGIONS)
    assert here.check(url) == url
    assert here.is_home(url)
    assert here.elsewhere == SANDBOX_REGIONS

    for base in ("https://api.nexmo.com", "https://api-eu-3.vonage.com", "https://api.example.org"):
        live = hosts.Hosts(base, ("api.example.org",), regions=SANDBOX_REGIONS)
        assert not live.is_home(url)
        assert not any(map(hosts.is_loopback_url, live.elsewhere))
        with pytest.raises(ConfigError, match="not a host of this profile"):
            live.check(url)


def test_a_profile_s_hosts_are_its_own() -> None:
    live = hosts.Hosts("https://api.nexmo.com", ("api.example.org",))
    for url in ("https://api.nexmo.com", "https://api-eu-3.vonage.com", "https://api.example.org"):
        assert live.check(url) == url
    for url in (HERE, "http://localhost", "https://[::1]:8443"):
        with pytest.raises(ConfigError, match="not a host of this profile"):
            live.check(url)

    here = hosts.Hosts(HERE, ("api.example.org",))
    assert here.check(HERE) == HERE
    for url in ("https://api.nexmo.com", "https://api.example.org", "http://127.0.0.1:4011"):
        with pytest.raises(ConfigError, match="not a host of this profile"):
            here.check(url)


@pytest.mark.parametrize("region", ["", "eu", "EU-WEST", "../x"])
def test_an_unknown_region_is_refused_with_the_known_ones(region: str) -> None:
    with pytest.raises(ConfigError) as refused:
        hosts.region_url(region)

    assert "eu-west" in (refused.value.hint or "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4010", "http://localhost", "https://[::1]:1"])
def test_a_sandbox_application_stays_on_this_machine(url: str) -> None:
    hosts.check_application("5a4db0c5-0000-4000-8000-000000000000", url)
    hosts.check_application("1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8", url)


@pytest.mark.parametrize(
    "identity", ["5a4db0c5-0000-4000-8000-000000000000", "5A4DB0C5-0000-4000-8000-000000000000"]
)
def test_a_sandbox_application_is_refused_elsewhere(identity: str) -> None:
    with pytest.raises(GuardError):
        hosts.check_application(identity, "https://api.nexmo.com")


@pytest.mark.parametrize(
    ("allow", "deny", "number", "may_ring"),
    [
        ([], [], "447700900001", True),
        (["44"], [], "447700900001", True),
        (["44"], [], "+447700900001", True),
        (["44"], [], "4915112345678", False),
        (["44"], [], "4", False),
        (["44"], [], "14477009000", False),
        (["1"], [], "18765550100", True),  # Jamaica: 1 is many countries
        (["1"], ["1876"], "18765550100", False),
        (["1"], ["1876"], "18755550100", True),
        (["1"], ["1876", "1809"], "18095550100", False),
        (["44"], ["4490"], "449012345678", False),
        (["44"], ["4490"], "44901234567", False),
        (["44"], ["4490"], "448912345678", True),
        (["44", "44909"], ["4490"], "449091234567", True),  # the longest wins
        (["44", "44909"], ["4490"], "449081234567", False),
        ([], ["44"], "447700900001", False),
        ([], ["44"], "+447700900001", False),
        ([], ["44"], "4915112345678", True),
        (["4477"], ["4477"], "447700900001", False),  # of equal length: no
        ([], ["979"], "9791234567", False),
        ([], ["979"], "4979123456", True),
        (["44"], [], "sip:447700900001@gateway.example.org", False),
        (["44"], [], "wss://example.org/44", False),
        (["44"], [], "alice", False),
        ([], ["44"], "sip:447700900001@gateway.example.org", True),
        ([], ["44"], "alice", True),
        ([], ["44"], "200", True),
        ([], ["44"], "00447700900001", False),  # not E.164, so it may be a number of 44
        ([], ["44"], "011447700900001", False),
        ([], ["44"], " 447700900001", False),
        ([], ["44"], "44 7700 900001", False),
        ([], ["44"], "(44) 7700-900001", False),
        ([], ["44"], "++447700900001", False),
        ([], ["44"], "٤٤٧٧٠٠٩٠٠٠٠١", False),
        ([], ["44"], "44\u200b7700900001", False),
        ([], ["44"], "49:7700900001", False),
        ([], ["44"], "\uff14\uff147700900001", False),
        (["44"], [], "00447700900001", False),
    ],
)
def test_the_longest_prefix_decides_whether_a_number_is_allowed(
    allow: list[str], deny: list[str], number: str, may_ring: bool
) -> None:
    policy = Policy(allow=tuple(allow), deny=tuple(deny))

    if may_ring:
        policy.check_dialled(["447700900999"] if not (allow or deny) else [number])
    else:
        with pytest.raises(GuardError, match=re.escape(number)):
            policy.check_dialled([number])


def test_one_forbidden_number_among_many_is_enough() -> None:
    with pytest.raises(GuardError, match="18765550100"):
        Policy(allow=("44",)).check_dialled(["447700900001", "447700900002", "18765550100"])


@given(
    st.lists(st.from_regex(r"[1-9][0-9]{0,5}", fullmatch=True), max_size=5),
    st.lists(st.from_regex(r"[1-9][0-9]{0,5}", fullmatch=True), max_size=5),
    st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True),
)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_the_rule_of_prefixes_agrees_with_another_implementation(
    allow: list[str], deny: list[str], number: str
) -> None:
    """Shorten the number until a list holds it: that list decides."""
    verdict = not allow
    for length in range(len(number), 0, -1):
        if number[:length] in deny:
            verdict = False
            break
        if number[:length] in allow:
            verdict = True
            break

    try:
        Policy(allow=tuple(allow), deny=tuple(deny)).check_dialled([number])
        may_ring = True
    except GuardError:
        may_ring = False

    assert may_ring == verdict


@pytest.mark.parametrize("text", ["44", "+44", "1876", "979", "1", "123456789012345"])
def test_a_prefix_is_the_first_digits_of_a_number(text: str) -> None:
    assert prefix(text) == text.removeprefix("+")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "0",
        "00",
        "044",
        "++44",
        "44 ",
        "44*",
        "4-4",
        "٤٤",
        "4_4",
        "4e1",
        "sip:",
        "1234567890123456",
        "44\n",
    ],
)
def test_no_other_text_is_a_prefix(text: str) -> None:
    with pytest.raises(InputError):
        prefix(text)


@pytest.mark.parametrize(
    "raw",
    [
        {"allow": "44"},  # otherwise each of its characters would be a prefix
        {"allow": [44]},
        {"allow": ["+44 "]},
        {"allow": [""]},
        {"deny": ["0044"]},
        {"deny": None},
        {"max_calls_per_hour": "5"},
        {"max_calls_per_hour": -1},
        {"max_calls_per_hour": True},
        {"max_calls_per_second": 0.5},
        {"length_timer": 1.5},
        {"hosts": ["*"]},
        {"denied": ["44"]},  # a guard that is misspelt is not there
    ],
)
def test_invalid_edited_guards_are_refused_rather_than_ignored(raw: dict[str, object]) -> None:
    with pytest.raises((InputError, TypeError)):
        Policy.from_json(raw)


def test_guards_are_read_as_written() -> None:
    policy = Policy(
        allow=("44",),
        deny=("4490",),
        max_calls_per_hour=5,
        max_calls_per_second=9,
        length_timer=60,
        hosts=("a.example.org",),
    )

    assert Policy.from_json(policy.to_json()) == policy
    assert Policy.from_json({}) == Policy()
    assert Policy.from_json({"deny": ["+44"]}).deny == ("44",)


@pytest.mark.parametrize(("asked", "sent"), [(None, 600), (60, 60), (600, 600)])
def test_a_call_is_no_longer_than_the_profile_allows(asked: int | None, sent: int) -> None:
    assert Policy(length_timer=600).length_for(asked) == sent
    assert Policy().length_for(asked) == asked


def test_a_longer_call_than_the_profile_allows_is_refused() -> None:
    with pytest.raises(GuardError, match="601"):
        Policy(length_timer=600).length_for(601)


@pytest.mark.parametrize(("timer", "limit"), [(None, None), (600, 600), (7200, 7200), (86_400, 7200)])
def test_a_connect_ends_within_two_hours_at_most(timer: int | None, limit: int | None) -> None:
    assert Policy(length_timer=timer).connect_limit == limit
