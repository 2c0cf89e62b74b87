"""The application and host that a command uses, and the source of each setting."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.key_files import of_bits, pkcs1, pkcs8
from tests.support.machines import machine
from tests.support.room import PERSON, Room
from tests.support.servers import LEG, Canned, Drip, reply
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.sandbox.account.identity import Identity

ORDER = ["--profile", "VOICECTL_PROFILE", "VOICECTL_*", "VONAGE_*", "the default profile"]
APPS = {source: f"1d2c3b4a-5968-4776-8594-{number:012}" for number, source in enumerate(ORDER)}
APP = APPS["VOICECTL_*"]


@pytest.fixture(scope="session")
def keyring(application: tuple[Identity, RSAPrivateKey]) -> dict[str, RSAPrivateKey]:
    """A key for each source."""
    return dict(
        zip(ORDER, [application[1], *(of_bits(bits) for bits in (2800, 3482, 3500, 4484))], strict=True)
    )


@pytest.fixture
def sources(bare: Room, keyring: dict[str, RSAPrivateKey]) -> Room:
    """A machine on which each source could name an application; the environment is not set yet."""
    store = ProfileStore(bare.config)
    for name, source in (("main", ORDER[4]), ("asked", ORDER[0]), ("chosen", ORDER[1])):
        store.add(Profile(name=name, application_id=APPS[source]), key=keyring[source])
    return bare


COMBINATIONS = [chosen for size in range(1, 6) for chosen in itertools.combinations(ORDER, size)]


@pytest.mark.parametrize("present", COMBINATIONS, ids="+".join)
def test_the_first_available_source_provides_id_and_key(
    sources: Room, keyring: dict[str, RSAPrivateKey], present: tuple[str, ...]
) -> None:
    environment = {
        "VOICECTL_PROFILE": {"VOICECTL_PROFILE": "chosen"},
        "VOICECTL_*": {
            "VOICECTL_APPLICATION_ID": APPS["VOICECTL_*"],
            "VOICECTL_PRIVATE_KEY": pkcs8(keyring["VOICECTL_*"]).decode(),
        },
        "VONAGE_*": {
            "VONAGE_APPLICATION_ID": APPS["VONAGE_*"],
            "VONAGE_PRIVATE_KEY": pkcs8(keyring["VONAGE_*"]).decode(),
        },
    }
    env = {name: value for source in present for name, value in environment.get(source, {}).items()}
    if "the default profile" not in present:
        ProfileStore(sources.config).remove("main")
    option = "-p asked " if "--profile" in present else ""
    first = next(source for source in ORDER if source in present)

    shown = sources(f"{option}profile show -o json", env=env).json

    assert shown["application_id"] == APPS[first]
    assert shown["fingerprint"] == keys.fingerprint(keyring[first].public_key())
    source = shown["sources"]["application_id"]
    assert first in source or first.rstrip("*") in source
    assert sources(f"profile show -o json {option}", env=env).json == shown


def test_debug_shows_the_source(sources: Room) -> None:
    stderr = sources("call list --debug --request-timeout 0.001", env={"VOICECTL_PROFILE": "chosen"}).stderr

    assert "application_id: from profile chosen (VOICECTL_PROFILE)" in stderr


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("VOICECTL_APPLICATION_ID", "VOICECTL_PRIVATE_KEY"),
        ("VOICECTL_PRIVATE_KEY", "VOICECTL_APPLICATION_ID"),
        ("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY"),
        ("VONAGE_PRIVATE_KEY", "VONAGE_APPLICATION_ID"),
        ("VONAGE_PRIVATE_KEY_PATH", "VONAGE_APPLICATION_ID"),
        ("VONAGE_APPLICATION_PRIVATE_KEY_PATH", "VONAGE_APPLICATION_ID"),
    ],
)
def test_an_incomplete_pair_is_refused_and_never_completed_from_elsewhere(
    sources: Room, keyring: dict[str, RSAPrivateKey], given: str, missing: str
) -> None:
    whole = {
        "VONAGE_APPLICATION_ID": APPS["VONAGE_*"],
        "VONAGE_PRIVATE_KEY": pkcs8(keyring["VONAGE_*"]).decode(),
    }
    value = APP if given.endswith("ID") else pkcs8(keyring["VOICECTL_*"]).decode()

    ran = sources("profile show", env=(whole if given.startswith("VOICECTL") else {}) | {given: value})

    assert ran.exit_code == 3
    assert f"{given} is set, but {missing} is not" in ran.stderr
    assert "BEGIN" not in ran.stderr


def test_an_empty_variable_counts_as_unset(sources: Room) -> None:
    empty = dict.fromkeys(
        ("VOICECTL_PROFILE", "VOICECTL_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VOICECTL_FROM"), ""
    )

    assert sources("profile show -q", env=empty).stdout == "main\n"


@pytest.mark.parametrize(
    "variable",
    [
        "VOICECTL_PRIVATE_KEY",
        "VONAGE_PRIVATE_KEY",
        "VONAGE_PRIVATE_KEY_PATH",
        "VONAGE_APPLICATION_PRIVATE_KEY_PATH",
    ],
)
@pytest.mark.parametrize(
    "form", ["path", "path from home", "PEM", r"PEM with \n", "base64", "base64 in lines"]
)
def test_a_key_variable_contains_a_path_or_the_key(
    bare: Room, keyring: dict[str, RSAPrivateKey], variable: str, form: str
) -> None:
    path = bare.home / "private.key"
    path.write_bytes(pkcs1(keyring["VOICECTL_*"]))
    path.chmod(0o600)
    text = pkcs8(keyring["VOICECTL_*"]).decode()
    value = {
        "path": str(path),
        "path from home": "~/private.key",
        "PEM": text,
        r"PEM with \n": text.replace("\n", r"\n"),
        "base64": base64.b64encode(text.encode()).decode(),
        "base64 in lines": "\n" + base64.encodebytes(text.encode()).decode(),
    }[form]
    env = {f"{variable.split('_')[0]}_APPLICATION_ID": APP, variable: value}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(bare.home))  # ~ is expanded with the HOME of this process
        shown = bare("profile show -o json", env=env).json

    assert shown["fingerprint"] == keys.fingerprint(keyring["VOICECTL_*"].public_key())
    assert shown["sources"]["private_key"] == variable


def test_the_text_of_a_key_takes_precedence_over_a_path(
    bare: Room, keyring: dict[str, RSAPrivateKey]
) -> None:
    env = {
        "VONAGE_APPLICATION_ID": APP,
        "VONAGE_PRIVATE_KEY_PATH": "/nowhere",
        "VONAGE_APPLICATION_PRIVATE_KEY_PATH": "/",
    }

    ran = bare("profile show -o json", env=env | {"VONAGE_PRIVATE_KEY": pkcs8(keyring["VONAGE_*"]).decode()})

    assert ran.json["sources"]["private_key"] == "VONAGE_PRIVATE_KEY"


def test_a_key_file_named_by_a_variable_must_be_private(
    bare: Room, keyring: dict[str, RSAPrivateKey]
) -> None:
    path = bare.home / "private.key"
    path.write_bytes(pkcs8(keyring["VOICECTL_*"]))
    path.chmod(0o644)

    ran = bare("jwt create", env={"VOICECTL_APPLICATION_ID": APP, "VOICECTL_PRIVATE_KEY": str(path)})

    assert ran.exit_code == 3
    assert f"chmod 600 {path}" in ran.stderr


@pytest.mark.parametrize(
    "cut", ["no first line", "one line of it", "the first half", "no dashes", "base64 of half", "words"]
)
def test_the_content_of_an_invalid_key_variable_is_never_shown(
    bare: Room, keyring: dict[str, RSAPrivateKey], cut: str
) -> None:
    text = pkcs8(keyring["--profile"]).decode()
    value = {
        "no first line": text.split("\n", 1)[1],
        "one line of it": text.splitlines()[3],
        "the first half": text[: len(text) // 2],
        "no dashes": "".join(text.splitlines()[1:-1]),
        "base64 of half": base64.b64encode(text.encode()).decode()[:1000],
        "words": "correct horse battery staple",
    }[cut]

    ran = bare("jwt create", env={"VOICECTL_APPLICATION_ID": APP, "VOICECTL_PRIVATE_KEY": value})

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "VOICECTL_PRIVATE_KEY" in ran.stderr
    assert len(ran.stderr.splitlines()) <= 3
    pieces = {value[at : at + 10] for at in range(0, len(value) - 10, 5)}
    assert not [
        piece for piece in pieces if piece in ran.stderr and "BEGIN" not in piece and "KEY" not in piece
    ]


@pytest.mark.parametrize(
    ("line", "env", "base_url", "source"),
    [
        ("", {}, "https://api.nexmo.com", "profile main (the default profile)"),
        ("", {"VOICECTL_REGION": "eu-east"}, "https://api-eu-4.vonage.com", "VOICECTL_REGION"),
        ("", {"VOICECTL_BASE_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9", "VOICECTL_BASE_URL"),
        (
            "",
            {"VOICECTL_BASE_URL": "http://localhost:9", "VOICECTL_REGION": "eu-east"},
            "http://localhost:9",
            "VOICECTL_BASE_URL",
        ),
        ("-p asked", {"VOICECTL_REGION": "eu-east"}, "https://api.nexmo.com", "profile asked (--profile)"),
        (
            "",
            {"VOICECTL_PROFILE": "chosen", "VOICECTL_BASE_URL": "http://localhost:9"},
            "https://api.nexmo.com",
            "profile chosen (VOICECTL_PROFILE)",
        ),
    ],
)
def test_a_chosen_profile_takes_precedence_over_the_environment_s_host(
    sources: Room, line: str, env: dict[str, str], base_url: str, source: str
) -> None:
    shown = sources(f"profile show -o json {line}", env=env).json

    assert (shown["base_url"], shown["sources"]["base_url"]) == (base_url, source)


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ({"VOICECTL_BASE_URL": "https://api.nexmo.com.evil.org"}, 3),
        ({"VOICECTL_BASE_URL": "http://api.nexmo.com"}, 3),
        ({"VOICECTL_BASE_URL": "https://user@api.nexmo.com"}, 3),
        ({"VOICECTL_REGION": "mars"}, 3),
        ({"VOICECTL_FROM": "0044"}, 2),
        ({"VOICECTL_PROFILE": "nope"}, 3),
        ({"VOICECTL_APPLICATION_ID": "x", "VOICECTL_PRIVATE_KEY": "x"}, 3),
    ],
)
def test_an_invalid_variable_is_refused(sources: Room, env: dict[str, str], status: int) -> None:
    ran = sources("call list", env=env)

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert len(ran.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "env", "number"),
    [
        ("", {}, "442079460000"),
        ("", {"VOICECTL_FROM": "442079460001"}, "442079460001"),
        ("-p test", {"VOICECTL_FROM": "442079460001"}, "442079460000"),
        ("-p silent", {"VOICECTL_FROM": "442079460001"}, "442079460001"),
        ("-p test --from 442079460002", {"VOICECTL_FROM": "442079460001"}, "442079460002"),
    ],
)
def test_the_caller_comes_from_the_option_the_chosen_profile_the_environment_or_the_default_profile(
    room: Room, application: tuple[Identity, RSAPrivateKey], options: str, env: dict[str, str], number: str
) -> None:
    silent = Profile(name="silent", application_id=application[0].application_id, base_url=room.url)
    ProfileStore(room.config).add(silent, key=application[1])

    ran = room(f"call create --to {PERSON} --talk Hi {options}", env=env)

    assert ran.exit_code == 0, ran.stderr
    assert room.requests("createCall")[0]["body"]["from"] == {"type": "phone", "number": number}


def test_the_environment_s_output_format_applies_to_terminals_only(voicectl: Room) -> None:
    leg = voicectl.call()
    env = {"VOICECTL_OUTPUT": "json"}

    assert voicectl("call list", env=env, terminal=True).json[0]["uuid"] == leg
    assert voicectl("call list", env=env).rows[0][0] == leg
    assert voicectl("call list -o tsv", env=env, terminal=True).rows[0][0] == leg
    assert voicectl("call list -o auto", env=env, terminal=True).stdout[0] not in "[{"
    assert voicectl("call list", env={"VOICECTL_OUTPUT": "xml"}).exit_code == 0
    assert voicectl("call list", env={"VOICECTL_OUTPUT": "xml"}, terminal=True).exit_code == 2


@pytest.mark.parametrize(("option", "variable"), [("", "0.5"), ("--request-timeout 0.5", "30"), ("", "0.5s")])
def test_the_environment_limits_each_request_and_the_option_takes_precedence(
    tmp_path: Path, application: tuple[Identity, RSAPrivateKey], option: str, variable: str
) -> None:
    answer = reply()
    with Canned(
        Drip(answer, pause=8, step=len(answer) - 1)
    ) as slow:  # whole before the usual bound, or a longer one
        ran = machine(tmp_path, application, slow.url)(
            f"talk {LEG} Hi {option}", env={"VOICECTL_REQUEST_TIMEOUT": variable}
        )

    assert ran.exit_code == 12


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "x", "nan", "inf", "1_0", "\u0661", "1e1", ""])
def test_a_timeout_is_a_duration_up_to_ten_minutes(voicectl: Room, seconds: str) -> None:
    assert voicectl(["call", "list", f"--request-timeout={seconds}"]).exit_code == 2
    assert voicectl("call list", env={"VOICECTL_REQUEST_TIMEOUT": seconds}).exit_code == (2 if seconds else 0)
    assert (
        voicectl("call list --request-timeout 5s", env={"VOICECTL_REQUEST_TIMEOUT": seconds}).exit_code == 0
    )


def test_the_environment_sets_the_directories_of_configuration_and_state(
    room: Room, application: tuple[Identity, RSAPrivateKey]
) -> None:
    other = room.home / "other"
    profile = Profile(
        name="elsewhere",
        application_id=application[0].application_id,
        base_url=room.url,
        from_="442079460000",
    )
    ProfileStore(other / "conf").add(profile, key=application[1])
    ours = {"VOICECTL_CONFIG_DIR": str(other / "conf"), "VOICECTL_STATE_DIR": str(other / "state")}
    xdg = {"XDG_CONFIG_HOME": str(other / "xdg"), "XDG_STATE_HOME": str(other / "xdg-state")}

    assert room("profile list -q", env=ours | xdg).stdout == "elsewhere\n"
    assert room("profile list -q", env=xdg).stdout == ""
    assert room("profile list -q", env={"XDG_CONFIG_HOME": "relative"}).stdout == "test\n"
    room(f"call create --to {PERSON} --talk Hi", env={"VOICECTL_STATE_DIR": str(other / "state")})
    room(f"call create --to {PERSON} --talk Hi", env={"XDG_STATE_HOME": str(other / "xdg-state")})
    kept = [path.relative_to(other).parts[:2] for path in sorted(other.rglob("journal.db"))]
    assert kept == [("state", profile.application_id), ("xdg-state", "voicectl")]


def test_state_is_kept_for_each_application(room: Room, application: tuple[Identity, RSAPrivateKey]) -> None:
    mine = room.call()
    ProfileStore(room.config).add(
        Profile(name="other", application_id=APP, base_url=room.url), key=application[1]
    )

    assert room("-p test mute @last", terminal=True).stdout.split()[0] == mine
    assert room("-p other mute @last", terminal=True).exit_code == 4  # nothing was created for that one
    assert {path.name for path in room.state.iterdir()} == {application[0].application_id, APP}


def test_a_state_directory_that_others_can_write_to_is_reported_and_used(room: Room) -> None:
    """Others could replace the journal, and a call could then be placed twice."""
    leg = room.call()
    (directory,) = room.state.iterdir()
    for place, mode in ((directory, 0o777), (room.state, 0o770)):
        place.chmod(mode)
        ran = room(f"mute {leg}")
        assert ran.exit_code == 0
        assert ran.stderr.count("Others can replace the journal and the events") == 1
        assert f"chmod go-w {place}" in ran.stderr
        place.chmod(0o1777)  # as /tmp is
        assert "replace" not in room(f"mute {leg}").stderr
        place.chmod(0o700)


@pytest.mark.parametrize("above", [1, 2])
def test_a_directory_above_the_state_directory_that_all_can_write_to_is_reported(
    room: Room, above: int
) -> None:
    """Others could replace the whole directory."""
    leg = room.call()
    place = room.state.parents[above - 1]
    place.chmod(0o757)

    ran = room(f"mute {leg}")

    assert ran.exit_code == 0
    assert ran.stderr.count("Others can replace the journal and the events") == 1
    assert f"chmod go-w {place}" in ran.stderr
    for mode in (0o1777, 0o775, 0o755):  # as /tmp is, with a group of the user's own, and as usual
        place.chmod(mode)
        assert "replace" not in room(f"mute {leg}").stderr


def test_the_way_through_a_symbolic_link_is_checked_too(room: Room, tmp_path: Path) -> None:
    leg = room.call()
    link, target = tmp_path / "a" / "link", tmp_path / "b" / "state"
    target.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to(target)
    for place in (link.parent, target.parent):
        place.chmod(0o777)
        ran = room(f"mute {leg}", env={"VOICECTL_STATE_DIR": str(link / "mine")})
        assert f"chmod go-w {place}" in ran.stderr
        place.chmod(0o755)


def test_an_unusable_state_directory_does_not_prevent_a_hangup(room: Room) -> None:
    leg = room.call()
    (room.home / "file").write_text("")
    env = {"VOICECTL_STATE_DIR": str(room.home / "file" / "state")}

    assert room(f"mute {leg}", env=env).exit_code == 0
    assert room(f"hangup {leg}", env=env).exit_code == 0
    ran = room(f"call create --to {PERSON} --talk Hi", env=env)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "--no-journal" in ran.stderr
    assert len(room.requests("createCall")) == 1
    assert room(f"call create --to {PERSON} --talk Hi --no-journal", env=env).exit_code == 0


def test_a_change_made_from_a_terminal_shows_the_profile(
    voicectl: Room, application: tuple[Identity, RSAPrivateKey]
) -> None:
    leg = voicectl.call()
    whom = f"profile test: application {application[0].application_id} on {voicectl.url}"

    for line in (f"mute {leg}", f"call create --to {PERSON} --talk Hi", f"transfer {leg} --connect {PERSON}"):
        assert whom in voicectl(line, terminal=True).stderr
        assert whom not in voicectl(line).stderr
    assert whom not in voicectl(f"call show {leg}", terminal=True).stderr


def test_profile_show_is_json_without_a_key(sources: Room) -> None:
    shown = sources("profile show -o json").stdout

    assert "BEGIN" not in shown
    assert set(json.loads(shown)["sources"]) == {
        "application_id",
        "private_key",
        "base_url",
        "from",
        "api_key",
    }
