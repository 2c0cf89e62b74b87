"""``--fields`` and ``-o template=``: the available fields, and the output for each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.machines import machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, page, reply
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]
Serve = Callable[..., Ran]

OTHER = LEG[:-1] + "0"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Serve]:
    """Return a function that runs a command against a server with the given answers."""
    current = [b""]
    with Canned(lambda _: current[0]) as server:
        home = machine(tmp_path_factory.mktemp("fields"), application, server.url)

        def run(line: str | list[str], answer: bytes) -> Ran:
            current[:] = [answer]
            return home(line)

        yield run


TWO = reply(
    200, page({"uuid": LEG, "to": {"number": PERSON}}, {"uuid": OTHER, "region": "eu", "x": {"y": {"z": 1}}})
)


@pytest.mark.parametrize("form", ["tsv", "json", "jsonl", "csv", "table", "wide"])
@pytest.mark.parametrize("command", ["call list --all", "call list"])
def test_an_unknown_field_is_refused_before_any_output(serve: Serve, form: str, command: str) -> None:
    ran = serve(f"{command} --fields uuid,statsu -o {form}", TWO)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "statsu" in ran.stderr
    assert "Did you mean status" in ran.stderr.replace('"', "")


@pytest.mark.parametrize(("field", "meant"), [("number", "from.number or to.number"), ("bogus", "")])
def test_the_nearest_fields_are_suggested(serve: Serve, field: str, meant: str) -> None:
    ran = serve(f"call list --all --fields {field}", TWO)

    assert ran.exit_code == 2
    assert f"No such field: {field}." in ran.stderr
    assert (f"Did you mean {meant}?" in ran.stderr) == bool(meant)
    assert "--fields help" in ran.stderr


def test_an_unknown_field_of_an_empty_list_is_refused_too(serve: Serve) -> None:
    assert serve("call list --all --fields bogus", reply(200, page())).exit_code == 2


@pytest.mark.parametrize("form", ["tsv", "json"])
def test_a_field_of_any_record_may_be_chosen(serve: Serve, form: str) -> None:
    ran = serve(f"call list --all --fields uuid,region,x.y.z -o {form}", TWO)

    assert ran.exit_code == 0
    if form == "tsv":
        assert ran.rows == [[LEG, "-", "-"], [OTHER, "eu", "1"]]
    else:
        assert ran.json[1] == {"uuid": OTHER, "region": "eu", "x.y.z": 1}


def test_any_field_of_a_listed_object_may_be_chosen(serve: Serve) -> None:
    ran = serve("call list --all --fields to.number,to.other,_links.next", TWO)

    assert ran.rows == [[PERSON, "-", "-"], ["-", "-", "-"]]


@pytest.mark.parametrize(
    "line",
    [
        f"hangup {LEG} --fields uuid,bogus",
        f"call create --to {PERSON} --talk Hi --fields bogus",
        f"wait {LEG} --for ended --fields bogus",
        "sandbox fault add delay 1s --fields bogus",
        f"hangup {LEG} -o template={{bogus}}",
    ],
)
def test_a_command_that_changes_something_refuses_before_it_acts(voicectl: Room, line: str) -> None:
    ran = voicectl(line, env={"VOICECTL_SANDBOX": voicectl.url} if "fault" in line else {})

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert voicectl.requests() == []


@pytest.mark.parametrize(
    ("template", "written"),
    [
        (r"{uuid}\t{to.number}\n", f"{LEG}\t{PERSON}\n{OTHER}\t-\n"),
        (r"{{{uuid}}} \\n;", rf"{{{LEG}}} \n;{{{OTHER}}} \n;"),
        ("x\n", "x\nx\n"),
        ("{ uuid }", f"{LEG}{OTHER}"),
        (r"{region}\n", "-\neu\n"),
    ],
)
def test_a_template_defines_the_whole_text_of_a_record(serve: Serve, template: str, written: str) -> None:
    ran = serve(["call", "list", "--all", "-o", f"template={template}"], TWO)

    assert (ran.exit_code, ran.stdout) == (0, written)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{uuid", "opens a brace that is never closed"),
        ("{uuid}}", "closes a brace that is not open"),
        ("{uuid{to}", "opens a brace that is never closed"),
        ("{}", "braces without a field"),
        (r"{uuid}\x", r"\x, which is not an escape"),
        ("{uuid}\\", "which is not an escape"),
        ("\x1b[31m{uuid}", "unprintable"),
        ("", "empty"),
        ("{statsu}", "No such field: statsu."),
    ],
)
def test_a_faulty_template_is_refused(serve: Serve, template: str, fault: str) -> None:
    ran = serve(["call", "list", "--all", "-o", f"template={template}"], TWO)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert fault in ran.stderr


def test_values_in_a_template_are_escaped(serve: Serve) -> None:
    answer = reply(200, page({"uuid": LEG, "status": "\x1b[31m\n\u202e"}))

    ran = serve(["call", "list", "--all", "-o", "template={status}"], answer)

    assert ran.stdout == r"\x1b[31m\n\u202e"


def test_a_template_can_only_be_given_as_an_option(serve: Serve, bare: Room) -> None:
    ran = bare("call list", env={"VOICECTL_OUTPUT": "template={uuid}"}, terminal=True)
    assert ran.exit_code == 2
    assert "template" not in ran.stderr.partition("Use one of")[2]

    assert serve("call list --all -o template", TWO).exit_code == 2
    assert serve(["call", "list", "-o", "template={uuid}", "--fields", "uuid"], TWO).exit_code == 2
    assert (
        serve(["call", "list", "--all", "-q", "-o", "template={status}"], TWO).stdout == f"{LEG}\n{OTHER}\n"
    )
