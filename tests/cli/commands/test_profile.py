"""``profile``: manage applications with their keys and guards, each under a name."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.key_files import pkcs1, pkcs8
from tests.support.room import Room
from tests.support.terminal import END_OF_INPUT, converse
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import ProfileStore
from voicectl.sandbox.account.identity import Identity
from voicectl.store import files

APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
OTHER_APP = "9b8a7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"


@pytest.fixture
def key(application: tuple[Identity, RSAPrivateKey]) -> RSAPrivateKey:
    return application[1]


@pytest.fixture
def pem(bare: Room, key: RSAPrivateKey) -> str:
    """The path of a key file that only its owner can read."""
    path = bare.home / "private.pem"
    path.write_bytes(pkcs1(key))
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def add(bare: Room, pem: str) -> Room:
    """A machine with one profile, ``prod``."""
    assert bare(f"profile add prod --application-id {APP} --private-key {pem}").exit_code == 0
    return bare


def test_add_prints_what_was_stored_and_the_key_s_fingerprint(
    bare: Room, pem: str, key: RSAPrivateKey
) -> None:
    ran = bare(
        f"profile add prod --application-id {APP.upper()} --private-key {pem} --from +442079460000"
        " --region eu-west --allow 44 --allow +49 --deny 4490 --max-calls-per-hour 20 --length-timer 1h"
        " --host API.example.org --production -o json"
    )

    assert ran.exit_code == 0, ran.stderr
    assert ran.json == {
        "application_id": APP,
        "base_url": "https://api-eu-3.vonage.com",
        "from": "442079460000",
        "guards": {
            "allow": ["44", "49"],
            "deny": ["4490"],
            "max_calls_per_hour": 20,
            "length_timer": 3600,
            "hosts": ["api.example.org"],
            "production": True,
        },
        "name": "prod",
        "default": True,
        "production": True,
        "fingerprint": keys.fingerprint(key.public_key()),
        "has_api_secret": False,
        "has_signature_secret": False,
    }
    assert bare("profile show prod -o json").json == ran.json


def test_a_profile_for_production_is_marked_in_the_list_and_when_shown(add: Room, pem: str) -> None:
    line = f"profile add live --application-id {OTHER_APP} --private-key {pem} --production"
    assert add(line).exit_code == 0

    assert [(row[0], row[-1]) for row in add("profile list").rows] == [("live", "true"), ("prod", "false")]
    settings = [
        [row.split() for row in add(f"profile show {name}", terminal=True).stdout.splitlines()]
        for name in ("live", "prod")
    ]
    assert ["production", "yes"] in settings[0]
    assert ["production", "no"] in settings[1]
    assert add("-p live profile show --fields production").stdout == "true\n"

    assert add(f"{line} --replace".replace(" --production", "")).exit_code == 0
    assert add("profile show live --fields production").stdout == "false\n"


def test_a_limit_of_no_calls_is_stored(add: Room, pem: str) -> None:
    line = f"profile add still --application-id {OTHER_APP} --private-key {pem} --max-calls-per-hour 0"

    assert add(line).exit_code == 0

    assert add("profile show still -o json").json["guards"] == {"max_calls_per_hour": 0}


def test_the_first_profile_is_the_default_until_another_is_chosen(add: Room, pem: str) -> None:
    add(f"profile add test --application-id {OTHER_APP} --private-key {pem}")
    assert [row[:2] for row in add("profile list").rows] == [["prod", "true"], ["test", "false"]]

    assert add("profile use test").exit_code == 0

    assert [row[:2] for row in add("profile list").rows] == [["prod", "false"], ["test", "true"]]
    assert add("profile list -q").stdout == "prod\ntest\n"


def test_removing_the_default_leaves_none_and_the_error_names_the_others(add: Room, pem: str) -> None:
    add(f"profile add test --application-id {OTHER_APP} --private-key {pem}")
    assert add("profile remove prod").exit_code == 0

    ran = add("jwt create")

    assert ran.exit_code == 3
    assert "test" in ran.stderr
    assert "profile use" in ran.stderr
    assert add("profile list -q").stdout == "test\n"
    assert sorted(path.name for path in (add.config / "keys").iterdir()) == ["test.pem"]


def test_the_sandbox_profile_is_never_the_default(
    add: Room, application: tuple[Identity, RSAPrivateKey]
) -> None:
    profiles = add.config / "profiles.json"
    content = json.loads(profiles.read_text())
    content["profiles"]["sandbox"] = {
        "application_id": application[0].application_id,
        "base_url": "http://127.0.0.1:9",
    }
    profiles.write_text(json.dumps(content))

    ran = add("profile use sandbox")

    assert ran.exit_code == 2
    assert "cannot be the default" in ran.stderr
    assert add("profile list").rows[0][:2] == ["prod", "true"]


def test_the_sandbox_profile_cannot_be_added_by_hand(bare: Room, pem: str) -> None:
    assert bare(f"profile add sandbox --application-id {APP} --private-key {pem}").exit_code == 2


def test_the_key_is_copied_with_private_permissions_whatever_the_umask(
    bare: Room, pem: str, key: RSAPrivateKey
) -> None:
    before = os.umask(0)
    try:
        bare(f"profile add prod --application-id {APP} --private-key {pem}")
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (bare.home / ".config").rglob("*")}
    assert modes == {"voicectl": 0o700, "keys": 0o700, "profiles.json": 0o600, "prod.pem": 0o600}
    assert (bare.config / "keys" / "prod.pem").read_bytes() == pkcs8(key)
    assert Path(pem).read_bytes() == pkcs1(key)


def test_a_link_in_place_of_a_stored_key_is_replaced_and_its_target_is_unchanged(add: Room, pem: str) -> None:
    victim, stored = add.home / "victim", add.config / "keys" / "prod.pem"
    victim.write_text("precious")
    stored.unlink()
    stored.symlink_to(victim)

    assert add(f"profile add prod --replace --application-id {APP} --private-key {pem}").exit_code == 0

    assert victim.read_text() == "precious"
    assert not stored.is_symlink()
    assert add("jwt create").exit_code == 0


def test_the_key_may_come_from_standard_input(bare: Room, key: RSAPrivateKey) -> None:
    ran = bare(f"profile add prod --application-id {APP} --private-key -", stdin=pkcs8(key))

    assert ran.exit_code == 0
    assert bare("jwt create").exit_code == 0


def test_a_key_command_runs_whenever_the_key_is_needed_and_nothing_is_stored(bare: Room, pem: str) -> None:
    ran = bare(
        ["profile", "add", "prod", "--application-id", APP, "--key-command", f"cat {pem}", "-o", "json"]
    )

    assert ran.exit_code == 0
    assert ran.json["key_command"] == f"cat {pem}"
    assert list((bare.config / "keys").iterdir()) == []
    assert bare("jwt create").exit_code == 0
    Path(pem).unlink()
    assert bare("jwt create").exit_code == 3


def test_a_key_that_others_can_read_is_refused_with_the_command_that_fixes_it(bare: Room, pem: str) -> None:
    Path(pem).chmod(0o640)
    line = f"profile add prod --application-id {APP} --private-key {pem}"

    ran = bare(line)

    assert ran.exit_code == 3
    assert f"chmod 600 {pem}" in ran.stderr
    subprocess.run(["chmod", "600", pem], check=True)
    assert bare(line).exit_code == 0


@pytest.mark.parametrize(
    "path", ["/", "/dev/null", "~nobody-of-that-name/key.pem", "nowhere.pem", "x" * 300, "a\x1bb"]
)
def test_an_invalid_key_file_is_named(bare: Room, path: str) -> None:
    ran = bare(["profile", "add", "prod", "--application-id", APP, "--private-key", path])

    assert ran.exit_code == 3
    assert ran.stderr.startswith("voicectl: The private key ")
    assert "\x1b" not in ran.stderr


def test_a_stored_key_that_others_can_read_is_not_used(add: Room) -> None:
    stored = add.config / "keys" / "prod.pem"
    stored.chmod(0o644)

    ran = add("jwt create")

    assert ran.exit_code == 3
    assert f"chmod 600 {stored}" in ran.stderr
    listed = add("profile list")
    assert listed.exit_code == 0
    assert "Others can read" in listed.stderr


@pytest.mark.parametrize("where", [".", "keys"])
def test_nothing_is_stored_where_others_could_replace_it(bare: Room, pem: str, where: str) -> None:
    """Every later use would refuse it."""
    (bare.config / "keys").mkdir(parents=True)
    place = bare.config / where
    place.chmod(0o777)

    for line in (f"profile add prod --application-id {APP} --private-key {pem}", "sandbox start --detach"):
        ran = bare(line)
        assert (ran.exit_code, ran.stdout) == (3, "")
        assert f"chmod go-w {place}" in ran.stderr
        assert [path for path in bare.config.rglob("*") if path.is_file()] == []

    place.chmod(0o755)
    assert bare(f"profile add prod --application-id {APP} --private-key {pem}").exit_code == 0
    assert bare("jwt create").exit_code == 0


def test_profiles_added_concurrently_are_all_stored(bare: Room, pem: str) -> None:
    names = [f"p{number}" for number in range(8)]
    line = f"profile add {{}} --application-id {APP} --private-key {pem}"
    with ExitStack() as stack:
        children = [stack.enter_context(bare.spawn(line.format(name))) for name in names]
        assert [child.wait(PATIENCE_SECONDS) for child in children] == [0] * 8

    assert bare("profile list -q").stdout.split() == names


@pytest.mark.parametrize(
    ("line", "names", "default"),
    [
        ("profile add new --application-id {app} --private-key {pem}", ["new", "other", "prod"], "prod"),
        ("profile use other", ["other", "prod"], "other"),
        ("profile remove other", ["prod"], "prod"),
    ],
)
def test_a_change_waits_for_a_concurrent_one_and_keeps_it(
    add: Room, pem: str, line: str, names: list[str], default: str
) -> None:
    profiles = add.config / "profiles.json"
    assert add(f"profile add other --application-id {APP} --private-key {pem}").exit_code == 0
    with files.alone(add.config):
        child = add.spawn(line.format(app=APP, pem=pem))
        eventually(lambda: f"-> FLOCK  ADVISORY  WRITE {child.pid} " in Path("/proc/locks").read_text())
        content = json.loads(profiles.read_text())
        content["profiles"]["prod"]["from"] = "442079460001"
        profiles.write_text(json.dumps(content))
    with child:
        assert child.wait(PATIENCE_SECONDS) == 0

    listed = {profile["name"]: profile for profile in add("profile list -o json").json}
    assert list(listed) == names
    assert listed["prod"]["from"] == "442079460001"
    assert [name for name, profile in listed.items() if profile["default"]] == [default]


def test_profiles_that_others_can_change_are_refused(add: Room) -> None:
    """They say which command prints the key, and where tokens go."""
    profiles = add.config / "profiles.json"
    profiles.chmod(0o666)

    ran = add("jwt create")

    assert ran.exit_code == 3
    assert f"chmod 600 {profiles}" in ran.stderr
    profiles.chmod(0o644)
    assert add("jwt create").exit_code == 0


def test_an_existing_name_is_replaced_only_on_request(add: Room, pem: str) -> None:
    line = f"profile add prod --application-id {OTHER_APP} --private-key {pem}"

    assert add(line).exit_code == 2
    assert add("profile show prod -o json").json["application_id"] == APP

    assert add(f"{line} --replace").exit_code == 0
    assert add("profile show prod -o json").json["application_id"] == OTHER_APP


def test_a_replaced_profile_leaves_nothing_behind(bare: Room, pem: str) -> None:
    secret = owned(bare.home / "secret", "s3cr3t-of-the-account")
    line = f"profile add prod --application-id {APP} --private-key {pem}"
    bare(
        f"{line} --api-key abcd1234 --api-secret-file {secret} --signature-secret-file {secret} --from 442079460000"
    )
    assert len(list((bare.config / "keys").iterdir())) == 3

    bare(
        ["profile", "add", "prod", "--replace", "--application-id", OTHER_APP, "--key-command", f"cat {pem}"]
    )

    shown = bare("profile show prod -o json").json
    assert (shown["has_api_secret"], shown["has_signature_secret"], shown.get("from")) == (False, False, None)
    assert list((bare.config / "keys").iterdir()) == []


def test_secrets_come_from_files_and_are_never_shown(bare: Room, pem: str) -> None:
    secret = owned(bare.home / "secret", "s3cr3t-of-the-account\n")
    line = f"profile add prod --application-id {APP} --private-key {pem} --api-key abcd1234"

    ran = bare(
        f"{line} --api-secret-file {secret} --signature-secret-file - -o json", stdin="signs-webhooks\n"
    )

    assert ran.exit_code == 0, ran.stderr
    assert (ran.json["has_api_secret"], ran.json["has_signature_secret"]) == (True, True)
    stored = bare.config / "keys"
    assert (stored / "prod.api-secret").read_text() == "s3cr3t-of-the-account"
    assert (stored / "prod.signature-secret").read_text() == "signs-webhooks"
    shown = "".join(
        bare(f"profile {words} -o json --debug").stdout for words in ("list", "show", "show prod")
    )
    assert "s3cr3t" not in shown
    assert "signs" not in shown


@pytest.mark.parametrize("content", ["", " \n", "two\nlines", "g\u00fcnther", "a\x1bb", "x" * 70_000])
def test_a_secret_is_one_line_of_text(bare: Room, pem: str, content: str) -> None:
    secret = owned(bare.home / "secret", content)

    ran = bare(
        f"profile add prod --application-id {APP} --private-key {pem} --api-key k --api-secret-file {secret}"
    )

    assert ran.exit_code == 3
    assert not (bare.config / "profiles.json").exists()


ID, KEY = f"--application-id {APP}", "--private-key {pem}"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (KEY, 2, "--application-id"),
        (ID, 2, "--private-key"),
        (f"{ID} {KEY} --api-key abcd1234", 2, "--api-secret-file"),
        (f"{ID} {KEY} --api-secret-file {{pem}}", 2, "--api-key"),
        (f"{ID} {KEY} --key-command cat", 2, "cannot be used together"),
        (f"{ID} {KEY} --region eu-west --base-url http://127.0.0.1:1", 2, "cannot be used together"),
        (f"--application-id x {KEY}", 3, "not an application id"),
        (f"--application-id {APP.replace('-', '')} {KEY}", 3, "not an application id"),
        (f"--application-id {{{{{APP}}}}} {KEY}", 3, "not an application id"),
        (f"{ID} --key-command false", 3, "status 1"),
        (f"{ID} --key-command 'no such command'", 3, "cannot be run"),
        (f"{ID} {KEY} --region mars", 3, "no region"),
        (f"{ID} {KEY} --base-url https://api.nexmo.com.evil.org", 3, "not a listed"),
        (f"{ID} {KEY} --base-url http://api.nexmo.com", 3, "without https"),
        (f"{ID} {KEY} --host https://example.org", 2, "is not a host name"),
        (f"{ID} {KEY} --from 00442079460000", 2, "not a phone number"),
        (f"{ID} {KEY} --allow 0044", 2, "not the beginning"),
        (f"{ID} {KEY} --deny 44*", 2, "not the beginning"),
        (f"{ID} {KEY} --max-calls-per-hour -1", 2, "--max-calls-per-hour"),
        (f"{ID} {KEY} --max-calls-per-hour many", 2, "--max-calls-per-hour"),
        (f"{ID} {KEY} --length-timer 0", 2, "--length-timer"),
        (f"{ID} {KEY} --length-timer 25h", 2, "--length-timer"),
        (f"--application-id 5a4db0c5-5968-4776-8594-a3b2c1d0e9f8 {KEY}", 9, "sandbox"),
    ],
)
def test_invalid_input_is_named_and_nothing_is_stored(
    bare: Room, pem: str, options: str, status: int, message: str
) -> None:
    ran = bare("profile add prod " + options.format(pem=pem))

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert message in ran.stderr
    assert len(ran.stderr.splitlines()) <= 3
    assert not bare.config.exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/x",
        "a b",
        "a\nb",
        "a\0b",
        "-x",
        "é",
        "a%2fb",
        "x" * 65,
        "$(x)",
        "a;b",
    ],
)
def test_a_name_is_a_word_that_is_safe_in_a_path(add: Room, pem: str, name: str) -> None:
    for command in (
        ["profile", "add", f"--application-id={APP}", f"--private-key={pem}", "--", name],
        ["profile", "show", "--", name],
        ["profile", "use", "--", name],
        ["profile", "remove", "--", name],
        ["jwt", "create", f"--profile={name}"],
    ):
        ran = add(command)

        assert ran.exit_code == 2, (command, ran)
    assert add("jwt create", env={"VOICECTL_PROFILE": name}).exit_code == (2 if name else 0)
    assert [path.name for path in (add.config / "keys").iterdir()] == ["prod.pem"]


def test_an_unknown_name_is_reported_with_the_known_ones(add: Room) -> None:
    for words in ("profile show nope", "profile use nope", "profile remove nope", "-p nope jwt create"):
        ran = add(words)

        assert ran.exit_code == 3
        assert "Existing profiles: prod." in ran.stderr


@pytest.mark.parametrize(
    "entry",
    [
        {},
        [],
        "x",
        {"application_id": "x"},
        {"application_id": ""},
        {"application_id": 1},
        {"application_id": APP, "base_url": "https://evil.org"},
        {"application_id": APP, "base_url": 1},
        {"application_id": APP, "key_command": ["cat"]},
        {"application_id": APP, "from": "abc"},
        {"application_id": APP, "guards": []},
        {"application_id": APP, "guards": {"allow": "44"}},
        {"application_id": APP, "guards": {"max_calls_per_hour": "5"}},
        {"application_id": APP, "guards": {"production": "yes"}},
    ],
)
def test_an_entry_edited_by_hand_into_nonsense_is_named_and_can_be_removed(add: Room, entry: object) -> None:
    profiles = add.config / "profiles.json"
    profiles.write_text(json.dumps({"profiles": {"prod": entry}, "default": "prod"}))

    ran = add("jwt create")

    assert ran.exit_code == 3
    assert len(ran.stderr.splitlines()) <= 3
    assert add("profile remove prod").exit_code == 0
    assert add("profile list").stdout == ""


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"profiles": []}', b"\xff", b"[" * 100_000, b"1" * 5000]
)
def test_unreadable_profiles_are_named(add: Room, content: bytes) -> None:
    profiles = add.config / "profiles.json"
    profiles.write_bytes(content)

    ran = add("profile list")

    assert ran.exit_code == 3
    assert str(profiles) in ran.stderr
    assert profiles.read_bytes() == content


def test_show_without_a_name_prints_the_settings_in_use_and_their_sources(add: Room) -> None:
    shown = add("profile show -o json", env={"VOICECTL_FROM": "442079460001"}).json

    assert (shown["name"], shown["application_id"], shown["from"]) == ("prod", APP, "442079460001")
    assert shown["sources"] == {
        "application_id": "profile prod (the default profile)",
        "private_key": "profile prod (the default profile)",
        "base_url": "profile prod (the default profile)",
        "from": "VOICECTL_FROM",
        "api_key": "nowhere",
    }
    row = add("profile show").rows[0]
    assert row[:3] == ["prod", "true", APP]
    assert json.loads(row[6])["from"] == "profile prod (the default profile)"


def test_on_a_terminal_show_has_a_line_for_each_setting_and_one_for_their_source(add: Room) -> None:
    shown = add("profile show", terminal=True).stdout.splitlines()

    assert {" ".join(line.split()) for line in shown} >= {
        "name prod",
        "default yes",
        f"application_id {APP}",
        "has_api_secret no",
        "source profile prod (the default profile)",
    }
    assert not any("source of" in line or "{" in line for line in shown)
    assert max(map(len, shown)) <= 100
    (fingerprint,) = (line for line in shown if line.startswith("fingerprint"))
    assert {line.index(line.split(maxsplit=1)[1]) for line in shown if not line.startswith("source")} == {
        fingerprint.index("SHA256")
    }


def test_on_a_terminal_show_names_settings_from_other_sources(add: Room) -> None:
    shown = add("profile show", terminal=True, env={"VOICECTL_FROM": "442079460001"}).stdout

    assert [line.split(maxsplit=3) for line in shown.splitlines() if "source of" in line] == [
        ["source", "of", "from", "VOICECTL_FROM"]
    ]


def test_on_a_terminal_show_has_a_line_for_each_guard(add: Room, pem: str) -> None:
    guards = "--allow 44 --allow 49 --max-calls-per-hour 20"
    assert add(f"profile add eu --application-id {APP} --private-key {pem} {guards}").exit_code == 0

    shown = add("profile show eu", terminal=True).stdout

    assert {" ".join(line.split()) for line in shown.splitlines()} >= {
        "allow 44, 49",
        "max_calls_per_hour 20",
    }
    assert "source" not in shown


def test_show_without_a_name_prints_the_account_in_use_and_no_secret(add: Room) -> None:
    fields = "--fields api_key,has_api_secret,has_signature_secret"
    account = {"VOICECTL_API_KEY": "abcd1234", "VOICECTL_API_SECRET": "s3cr3t"}

    assert add(f"profile show {fields}").rows == [["-", "false", "false"]]
    assert add(f"profile show {fields}", env=account).rows == [["abcd1234", "true", "false"]]
    assert "s3cr3t" not in add("profile show -o json", env=account).stdout

    ProfileStore(add.config).add(
        replace(ProfileStore(add.config).get("prod"), api_key="stored"),
        key=None,
        api_secret="s3cr3t",
        signature_secret="s1gn",
        replace=True,
    )
    assert add(f"profile show {fields}").rows == [["stored", "true", "true"]]
    assert add("profile show -o json").json["has_signature_secret"] is True


def test_missing_values_are_asked_for_on_a_terminal_without_echo(bare: Room, pem: str) -> None:
    status, result, shown = converse(
        bare,
        "profile add prod --api-key abcd1234 -q",
        [("Application id: ", f"{APP}\n"), ("Private key file: ", f"{pem}\n"), ("API secret: ", "s3cr3t\n")],
    )

    assert (status, result) == (0, "prod\n")  # standard output holds the result alone
    assert APP not in shown
    assert "s3cr3t" not in shown
    assert (bare.config / "keys" / "prod.api-secret").read_text() == "s3cr3t"


def test_an_empty_answer_changes_nothing(bare: Room) -> None:
    status, result, shown = converse(bare, "profile add prod", [("Application id: ", END_OF_INPUT)])

    assert (status, result) == (3, "")
    assert "Traceback" not in shown
    assert not bare.config.exists()


def owned(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path
