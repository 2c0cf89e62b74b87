"""Webhook URLs that a receiver leases: restored however it ends, unless someone else has changed them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support.fault_proxy import FaultProxy, Side, cut
from tests.support.machines import Unpaced
from tests.support.room import Room
from tests.support.servers import Canned, Listener, Request, reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.api.applications import ApplicationApi
from voicectl.api.auth import Basic
from voicectl.api.session import REQUEST_SECONDS, Session
from voicectl.api.wire import Wire
from voicectl.core.webhooks import lease
from voicectl.errors import ConfigError, GuardError, InputError, Interrupted, TransportError
from voicectl.interrupts import Interrupts

PUBLIC = "http://127.0.0.1:3000/tunnel"
OURS = {
    "voice": {
        "answer_url": f"{PUBLIC}/webhooks/answer",
        "event_url": f"{PUBLIC}/webhooks/event",
        "fallback_answer_url": f"{PUBLIC}/webhooks/fallback",
    },
    "rtc": {"event_url": f"{PUBLIC}/webhooks/rtc"},
}
FULL: dict[str, Any] = {
    "voice": {
        "webhooks": {
            "answer_url": {
                "address": "https://ops.example.org/answer?a=b&c='d'",
                "http_method": "GET",
                "connect_timeout": 500,
                "socket_timeout": 3000,
            },
            "event_url": {"address": "https://ops.example.org/event"},
        },
        "signed_callbacks": True,
        "conversations_ttl": 24,
        "leg_persistence_time": 5,
        "region": "eu-west",
    },
    "rtc": {
        "webhooks": {"event_url": {"address": "https://ops.example.org/rtc", "http_method": "POST"}},
        "signed_callbacks": False,
    },
    "messages": {
        "webhooks": {"inbound_url": {"address": "https://ops.example.org/in", "http_method": "POST"}}
    },
}
BEFORE: dict[str, dict[str, Any]] = {
    "everything": FULL,
    "nothing": {},
    "voice and rtc without webhooks": {"voice": {"webhooks": {}}, "rtc": {}},
    "an empty address, as the dashboard writes it": {
        "voice": {"webhooks": {"answer_url": {"address": "", "http_method": "GET"}}}
    },
    "ours already": {
        "voice": {
            "webhooks": {
                "answer_url": {"address": OURS["voice"]["answer_url"], "http_method": "GET"},
                "event_url": {"address": OURS["voice"]["event_url"]},
            }
        }
    },
}
CHILD = """
import sys
from pathlib import Path
from tests.support.machines import Unpaced
from voicectl.api.applications import ApplicationApi
from voicectl.api.auth import Basic
from voicectl.api.session import Session
from voicectl.api.wire import Wire
from voicectl.clock import SystemClock
from voicectl.core.webhooks import lease
from voicectl.errors import Interrupted
from voicectl.interrupts import Interrupts

url, key, secret, application, directory, public = sys.argv[1:]
clock, interrupts = SystemClock(), Interrupts()
interrupts.install()
wire = Wire(url, environ={})
api = ApplicationApi(Session(wire, Basic(key, secret), Unpaced(), clock))
try:
    with lease.urls(api, clock, application, Path(directory), public, print, interrupts=interrupts):
        print("inside", flush=True)
        sys.stdin.read()
except Interrupted as exc:
    sys.exit(128 + exc.signum)
finally:
    wire.close()
"""


class Office:
    """An application of a sandbox, and receivers that borrow its webhooks."""

    def __init__(self, room: Room) -> None:
        assert room.sandbox is not None
        self.room = room
        self.sandbox = room.sandbox
        self.identity = room.sandbox.identity
        self.id = self.identity.application_id
        self.directory = room.home / "state"
        self.messages: list[str] = []
        self.request_timeout = REQUEST_SECONDS

    @property
    def file(self) -> Path:
        return self.directory / lease.FILE

    def set(self, capabilities: dict[str, Any]) -> None:
        """Set the application's capabilities without any receiver."""
        applications = self.sandbox.applications
        own = applications.by_id[self.id]
        applications.by_id[self.id] = replace(own, capabilities=json.loads(json.dumps(capabilities)))

    def change(self, capability: str, name: str, **fields: Any) -> None:
        """Change a webhook as another program would, or remove it if there are no fields."""
        capabilities = self.capabilities
        webhooks = capabilities[capability]["webhooks"]
        if fields:
            webhooks[name] = webhooks.get(name, {}) | fields
        else:
            del webhooks[name]
        self.set(capabilities)

    @property
    def capabilities(self) -> Any:
        return json.loads(json.dumps(self.sandbox.applications.by_id[self.id].capabilities))

    @property
    def addresses(self) -> dict[str, dict[str, str]]:
        return {
            name: {hook: fields["address"] for hook, fields in capability["webhooks"].items()}
            for name, capability in self.capabilities.items()
            if name in ("voice", "rtc")
        }

    @contextmanager
    def api(self, url: str | None = None, interrupts: Interrupts | None = None) -> Iterator[ApplicationApi]:
        wire = Wire(url or self.room.url, environ={})
        basic = Basic(self.identity.api_key, self.identity.api_secret)
        try:
            yield ApplicationApi(
                Session(
                    wire,
                    basic,
                    Unpaced(),
                    self.room.clock,
                    request_timeout=self.request_timeout,
                    interrupts=interrupts,
                )
            )
        finally:
            wire.close()

    @contextmanager
    def borrowed(
        self,
        url: str | None = None,
        *,
        public: str = PUBLIC,
        session: Interrupts | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        with (
            self.api(url, session) as api,
            lease.urls(
                api, self.room.clock, self.id, self.directory, public, self.messages.append, **options
            ) as application,
        ):
            yield application

    def restore(self, url: str | None = None) -> None:
        with self.api(url) as api:
            lease.restore_left(api, self.room.clock, self.id, self.directory, self.messages.append)

    @contextmanager
    def child(self, url: str | None = None) -> Iterator[subprocess.Popen[str]]:
        """A receiver in its own process, which ends when its standard input is closed."""
        arguments = [
            *(url or self.room.url, self.identity.api_key, self.identity.api_secret, self.id),
            *(str(self.directory), PUBLIC),
        ]
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def office(room: Room) -> Office:
    return Office(room)


def is_inside(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return any(line == "inside\n" for line in process.stdout)


# Taking and restoring webhooks


@pytest.mark.parametrize("case", BEFORE)
def test_the_webhooks_are_ours_inside_and_restored_afterwards(office: Office, case: str) -> None:
    office.set(BEFORE[case])
    with office.borrowed() as application:
        inside = office.capabilities
        assert application["capabilities"] == inside
        assert office.addresses == {name: OURS[name] for name in ("voice", "rtc") if name in inside}
        assert ("rtc" in inside) is ("rtc" in BEFORE[case])
        for capability in ("voice", "rtc"):
            hooks = inside.get(capability, {"webhooks": {}})["webhooks"]
            had = BEFORE[case].get(capability, {}).get("webhooks", {})
            kept = {name: hook.get("http_method") for name, hook in had.items()}
            assert {name: hook.get("http_method") for name, hook in hooks.items()} == {
                name: kept.get(name, "POST") for name in hooks
            }, "the application is requested as before"
        assert office.file.stat().st_mode & 0o777 == 0o600

    assert what_was_set(office.capabilities) == what_was_set(BEFORE[case])
    assert not office.file.exists()


def what_was_set(capabilities: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without the platform's defaults."""
    filled_in = ("signed_callbacks", "conversations_ttl", "leg_persistence_time")
    return {
        name: {field: value for field, value in fields.items() if field not in filled_in}
        | {"webhooks": hooks}
        for name, fields in capabilities.items()
        for hooks in [fields.get("webhooks", {})]
    }


def test_all_other_settings_of_the_application_stay_the_same(office: Office) -> None:
    office.set(FULL)
    with office.borrowed():
        timeouts = office.capabilities["voice"]["webhooks"]["answer_url"]
        assert (timeouts["connect_timeout"], timeouts["socket_timeout"]) == (500, 3000)

    assert office.capabilities == FULL


def test_each_change_is_reported(office: Office) -> None:
    office.set(FULL)
    with office.borrowed():
        assert "rtc.event_url: https://ops.example.org/rtc (POST) -> " + OURS["rtc"]["event_url"] in str(
            office.messages
        )
        office.messages.clear()

    assert (
        f"rtc.event_url: {OURS['rtc']['event_url']} (POST) -> https://ops.example.org/rtc (POST)"
        in office.messages
    )
    assert "warning" not in str(office.messages)


@pytest.mark.parametrize("exc", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(3), Interrupted(15)])
def test_however_the_block_ends_they_are_restored(office: Office, exc: BaseException) -> None:
    office.set(FULL)
    with pytest.raises(type(exc)) as caught, office.borrowed():
        raise exc

    assert caught.value is exc
    assert office.capabilities == FULL
    assert not office.file.exists()


def catch(interrupts: Interrupts) -> None:
    """Act like a caught signal."""
    interrupts.pending = signal.SIGTERM
    interrupts.check()


def test_after_a_caught_signal_they_are_restored(office: Office) -> None:
    office.set(FULL)
    interrupts = Interrupts()
    with pytest.raises(Interrupted), office.borrowed(session=interrupts, interrupts=interrupts):
        catch(interrupts)

    assert office.capabilities == FULL
    assert interrupts.pending == signal.SIGTERM


def test_without_the_handling_of_signals_they_would_not_be_restored(office: Office) -> None:
    """The control: a session that starts no request after a signal would not restore them either."""
    office.set(FULL)
    interrupts = Interrupts()
    with pytest.raises(Interrupted), office.borrowed(session=interrupts):
        catch(interrupts)

    assert office.addresses == OURS
    assert office.file.exists()


# Changes by other programs in the meantime


def test_a_webhook_changed_by_another_program_is_left_alone_and_reported(office: Office) -> None:
    office.set(FULL)
    with office.borrowed():
        office.change("voice", "answer_url", address="https://new.example.org/a", http_method="POST")
        office.change("rtc", "event_url")

    webhooks = office.capabilities["voice"]["webhooks"]
    assert webhooks["answer_url"]["address"] == "https://new.example.org/a"
    assert webhooks["answer_url"]["http_method"] == "POST"
    assert webhooks["event_url"] == FULL["voice"]["webhooks"]["event_url"]
    assert "fallback_answer_url" not in webhooks
    assert office.capabilities["rtc"]["webhooks"] == {}
    changed = [line for line in office.messages if "in the meantime" in line]
    assert changed == [
        "voice.answer_url was changed in the meantime, and was left as it is: https://new.example.org/a",
        "rtc.event_url was changed in the meantime, and was left as it is: none",
    ]
    assert not office.file.exists()


def test_other_changed_fields_of_our_webhook_stay(office: Office) -> None:
    office.set(FULL)
    with office.borrowed():
        office.change("voice", "answer_url", socket_timeout=1000)
        office.change("voice", "event_url", http_method="GET")

    webhooks = office.capabilities["voice"]["webhooks"]
    assert webhooks["answer_url"] == FULL["voice"]["webhooks"]["answer_url"] | {"socket_timeout": 1000}
    assert webhooks["event_url"] == {"address": "https://ops.example.org/event", "http_method": "GET"}


def test_a_capability_that_we_added_stays_if_it_is_used_otherwise(office: Office) -> None:
    office.set({})
    with office.borrowed():
        capabilities = office.capabilities
        capabilities["voice"]["region"] = "eu-west"
        office.set(capabilities)

    assert office.capabilities["voice"]["webhooks"] == {}
    assert office.capabilities["voice"]["region"] == "eu-west"


@pytest.mark.parametrize("at", range(3))
def test_the_restored_value_is_that_of_the_last_change_before(office: Office, at: int) -> None:
    office.set(FULL)
    with FaultProxy(office.room.url) as proxy:

        def change(request: Request) -> None:
            if len(proxy.requests) == at + 1:
                office.change("voice", "answer_url", address="https://last.example.org/a")

        proxy.on_request = change
        with office.borrowed(proxy.url):
            assert office.addresses == OURS

    expected = json.loads(json.dumps(FULL))
    expected["voice"]["webhooks"]["answer_url"]["address"] = "https://last.example.org/a"
    assert office.capabilities == expected


def test_an_application_that_changes_all_the_time_is_not_taken(office: Office) -> None:
    office.set(FULL)
    with FaultProxy(office.room.url) as proxy:
        proxy.on_request = lambda request: office.change(
            "voice", "event_url", address=f"https://ops.example.org/{len(proxy.requests)}"
        )
        with pytest.raises(GuardError, match="being changed repeatedly"), office.borrowed(proxy.url):
            pytest.fail("it was taken")

        assert {request.method for request in proxy.requests} == {"GET"}


def test_an_address_that_the_api_normalizes_is_restored_too(office: Office) -> None:
    application = {"id": office.id, "name": "x", "keys": {"public_key": "PEM"}, "capabilities": {"voice": {}}}

    def answer(request: Request) -> bytes:
        if request.method == "PUT":
            application.update(request.json)
            voice: Any = application["capabilities"]
            for hook in voice["voice"].get("webhooks", {}).values():
                hook["address"] = hook["address"].replace("127.0.0.1", "LOCALHOST")
        return reply(200, application)

    with Canned(answer) as server:
        with office.borrowed(server.url):
            assert "LOCALHOST" in str(application)
        assert application["capabilities"] == {"voice": {"webhooks": {}}}
    assert not office.file.exists()


def test_an_api_that_returns_nothing_is_not_trusted(office: Office) -> None:
    application = {"id": office.id, "name": "x", "keys": {"public_key": "PEM"}, "capabilities": {"voice": {}}}
    puts: list[Any] = []

    def answer(request: Request) -> bytes:
        if request.method == "PUT":
            puts.append(request.json)
            application.update(puts[0])
        return reply(200, application)

    with (
        Canned(answer) as server,
        pytest.raises(TransportError, match="but still returns this receiver's URL"),
        office.borrowed(server.url),
    ):
        pass

    assert len(puts) == 2
    assert office.file.exists()


# Crashes


STEPS = [*((number, False) for number in range(1, 8)), (4, True), (7, True)]
"""The requests in a lease's life: three reads and a PUT; two reads and a PUT at the end."""


@pytest.mark.parametrize(("number", "is_lost"), STEPS)
def test_after_a_kill_at_any_request_the_next_start_restores_them(
    office: Office, number: int, is_lost: bool
) -> None:
    office.set(FULL)
    with FaultProxy(office.room.url) as proxy, office.child(proxy.url) as child:

        def strike(_: Request) -> None:
            if len(proxy.requests) == number:
                child.kill()
                child.wait()

        def lose_puts() -> None:
            if is_lost:
                proxy.fault = cut(Side.REQUEST, 0, method="PUT")

        proxy.on_request = strike
        if number <= 4:
            lose_puts()
        if is_inside(child):
            lose_puts()
            assert child.stdin is not None
            child.stdin.close()
        child.wait()
        assert child.returncode == -signal.SIGKILL
        assert len(proxy.requests) == number
        is_ours = number in (5, 6) or (number, is_lost) in ((4, False), (7, True))
        eventually(lambda: (office.addresses == OURS) is is_ours)  # the sandbox may still process it

    assert lease.is_left(office.directory) is (number > 1)
    office.messages.clear()
    with office.borrowed() as application:
        if application is None:  # the block has started before
            eventually(
                lambda: any(OURS["rtc"]["event_url"] in line.partition("->")[2] for line in office.messages)
            )
        assert office.addresses == OURS
    assert office.capabilities == FULL
    assert not office.file.exists()


def test_the_kills_cover_every_request(office: Office) -> None:
    office.set(FULL)
    with FaultProxy(office.room.url) as proxy:
        with office.borrowed(proxy.url):
            pass
        assert [request.method for request in proxy.requests] == [
            "GET",
            "GET",
            "GET",
            "PUT",
            "GET",
            "GET",
            "PUT",
        ]


def test_after_a_signal_to_a_receiver_they_are_restored(office: Office) -> None:
    office.set(FULL)
    with office.child() as child:
        assert is_inside(child)
        assert office.addresses == OURS
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 128 + signal.SIGTERM

    assert office.capabilities == FULL
    assert not lease.is_left(office.directory)


def test_a_second_receiver_is_refused_while_the_first_runs(office: Office) -> None:
    office.set(FULL)
    with office.child() as child:
        assert is_inside(child)
        with pytest.raises(GuardError, match=rf"\(process {child.pid}, since 20"), office.borrowed():
            pytest.fail("it was taken")
        with pytest.raises(GuardError):
            office.restore()
        assert not lease.is_left(office.directory)
        assert office.addresses == OURS
        child.kill()
        child.wait()

    assert lease.is_left(office.directory)
    office.restore()
    assert office.capabilities == FULL
    assert not lease.is_left(office.directory)
    office.restore()


def test_a_second_receiver_of_the_same_process_is_refused_too(office: Office) -> None:
    with office.borrowed():
        with pytest.raises(GuardError), office.borrowed():
            pytest.fail("it was taken")
        assert office.addresses["voice"] == OURS["voice"]


def test_an_exception_at_any_message_leaves_nothing_unrestored(office: Office) -> None:
    """Messages go to a terminal that may be closed, so each of them fails once."""
    for number in range(20):
        office.set(FULL)
        left = [number]

        def remark(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError("gone")

        with office.api() as api:
            try:
                with lease.urls(api, office.room.clock, office.id, office.directory, PUBLIC, remark):
                    pass
            except OSError:
                pass
            else:
                assert left[0] >= 0
                break
        office.restore()
        assert office.capabilities == FULL
        assert not office.file.exists()
    assert number > 5


# Webhooks that cannot be restored


def test_without_a_network_at_the_end_it_says_how_to_restore_them(office: Office) -> None:
    office.set(FULL)
    with ExitStack() as network:
        proxy = network.enter_context(FaultProxy(office.room.url))
        with pytest.raises(TransportError) as caught, office.borrowed(proxy.url):
            network.close()

    assert office.addresses == OURS
    assert office.file.exists()
    assert f"application {office.id} still go to {PUBLIC}: No usable response" in caught.value.message
    command = str(caught.value.hint).partition("To do it now: ")[2]
    assert command.startswith("voicectl app urls ")
    ran = office.room(shlex.split(command)[1:])
    assert ran.exit_code == 0, ran.stderr

    earlier = len(office.messages)
    assert (
        what_was_set(office.capabilities)["voice"]["webhooks"]["answer_url"]
        == (FULL["voice"]["webhooks"]["answer_url"])
    )
    assert office.addresses == {
        name: {hook: each["address"] for hook, each in FULL[name]["webhooks"].items()}
        for name in ("voice", "rtc")
    }
    office.restore()
    assert not office.file.exists()
    assert not [line for line in office.messages[earlier:] if "warning" in line]


def test_a_lease_that_cannot_be_restored_at_the_start_stays(office: Office) -> None:
    office.set(FULL)
    with office.child() as child:
        assert is_inside(child)
    content = office.file.read_bytes()
    with Canned(reply(500)) as server:
        with pytest.raises(TransportError):
            office.restore(server.url)
        assert office.file.read_bytes() == content
        assert "voicectl app urls --answer" in office.messages.pop()
        with pytest.raises(TransportError) as caught, office.borrowed(server.url):
            eventually(lambda: "voicectl app urls --answer" in office.messages[-1])
        assert "voicectl app urls --answer" in str(caught.value.hint)
        assert office.file.read_bytes() == content

    office.restore()
    assert office.capabilities == FULL


class Stuck(Listener):
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await reader.read()


def test_an_api_that_hangs_does_not_block_the_start_after_a_kill(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls may arrive at any time, so the block starts; and its end does not take long either."""
    monkeypatch.setattr(lease, "END_SECONDS", 0.3)
    office.set(FULL)
    with office.child() as child:
        assert is_inside(child)
    content = office.file.read_bytes()
    office.request_timeout = FOR_EVER
    with Stuck() as server:

        def serve() -> None:
            with office.borrowed(server.url):
                assert server.asked.wait(PATIENCE_SECONDS)

        with pytest.raises(TransportError, match="no response in time") as caught:
            ending(serve)
    assert "voicectl app urls --answer" in str(caught.value.hint)
    assert office.file.read_bytes() == content


def test_an_api_that_hangs_at_the_end_is_not_waited_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 0.3)
    office.set(FULL)
    office.request_timeout = FOR_EVER
    gone = threading.Event()

    with FaultProxy(office.room.url) as proxy:

        def serve() -> None:
            with office.borrowed(proxy.url):
                proxy.on_request = lambda _: gone.wait()

        try:
            with pytest.raises(TransportError, match="no response in time"):
                ending(serve)
        finally:
            gone.set()
    office.request_timeout = REQUEST_SECONDS
    assert office.addresses == OURS
    office.restore()
    assert office.capabilities == FULL


def test_an_error_of_the_block_takes_precedence_over_one_of_the_end(office: Office) -> None:
    office.set(FULL)
    with ExitStack() as network:
        url = network.enter_context(FaultProxy(office.room.url)).url

        def fail() -> None:
            network.close()
            raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"), office.borrowed(url):
            fail()
    assert f"still go to {PUBLIC}: No usable response" in office.messages[-2]
    assert "voicectl app urls --answer" in office.messages[-1]
    office.restore()


@pytest.mark.parametrize("rest", [{}, {"fallback_answer_url": "https://other.example.org/webhooks/fallback"}])
def test_an_application_at_the_usual_paths_is_not_taken_for_a_receiver(
    office: Office, rest: dict[str, str]
) -> None:
    usual = {
        name: f"https://app.example.org/webhooks/{name.partition('_')[0]}"
        for name in ("answer_url", "event_url")
    }
    hooks = {name: {"address": url, "http_method": "GET"} for name, url in (usual | rest).items()}
    office.set({"voice": {"webhooks": hooks}})
    taken: list[Any] = []
    with office.borrowed(on_lease=taken.append):
        assert "warning" not in str(office.messages)
        assert taken[-1].earlier == {name.partition("_")[0]: url for name, url in (usual | rest).items()}


def test_a_lease_that_set_the_method_restores_it(office: Office) -> None:
    """Leases of earlier versions set it too."""
    office.set(FULL)
    with office.borrowed():
        raw = json.loads(office.file.read_text())
        office.change("voice", "answer_url", http_method="POST")
        lent = [
            {name: value for name, value in each.items() if name != "keeps_method"} for each in raw["lent"]
        ]
        left = raw | {"lent": lent}
    assert office.capabilities["voice"]["webhooks"]["answer_url"]["http_method"] == "POST", (
        "by another program"
    )

    office.set(FULL)
    for each in lent:
        capability, name = each["webhook"].split(".")
        office.change(capability, name, address=each["ours"][0], http_method="POST")
    office.file.write_text(json.dumps(left))
    office.file.chmod(0o600)
    office.restore()
    assert what_was_set(office.capabilities) == what_was_set(FULL)


# Two receivers that do not know of each other


def test_a_webhook_that_another_receiver_took_can_be_restored_by_hand(office: Office) -> None:
    """Each has its own state directory, so no lock prevents a conflict."""
    office.set(FULL)
    first = office.borrowed()
    first.__enter__()
    assert "warning" not in str(office.messages)
    office.messages.clear()
    office.directory = office.directory.with_name("other")
    with office.borrowed(public="http://127.0.0.1:3001"):
        warned = [line for line in office.messages if "apparently by another receiver" in line]
        assert [line.split()[1] for line in warned] == [
            "voice.answer_url",
            "voice.event_url",
            "voice.fallback_answer_url",
            "rtc.event_url",
        ]
        office.messages.clear()
        first.__exit__(None, None, None)
        (command,) = (line for line in office.messages if line.startswith("To restore the earlier value: "))
    assert office.addresses == OURS  # whose receiver is gone

    ran = office.room(shlex.split(command.partition(": ")[2])[1:])
    assert ran.exit_code == 0, ran.stderr
    assert {name: office.addresses[name] for name in ("voice", "rtc")} == {
        name: {hook: each["address"] for hook, each in FULL[name]["webhooks"].items()}
        for name in ("voice", "rtc")
    }


DAMAGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "empty": lambda _: b"",
    "no JSON": lambda _: b"{",
    "binary": lambda _: b"\xff\0",
    "too deep": lambda _: b"[" * 60_000,
    "an array": lambda _: [],
    "nothing in it": lambda _: {},
    "a newer version": lambda raw: raw | {"version": 2},
    "another application": lambda raw: raw | {"application_id": "x"},
    "no id": lambda raw: raw | {"application_id": None},
    "no process": lambda raw: raw | {"pid": "1"},
    "no webhooks": lambda raw: raw | {"lent": None},
    "odd webhooks": lambda raw: raw | {"lent": [1]},
    "an unknown webhook": lambda raw: raw | {"lent": [raw["lent"][0] | {"webhook": "x"}]},
    "a list for a webhook": lambda raw: raw | {"lent": [raw["lent"][0] | {"webhook": []}]},
    "odd before": lambda raw: raw | {"lent": [raw["lent"][0] | {"before": 1}]},
    "odd address": lambda raw: raw | {"lent": [raw["lent"][0] | {"before": {"address": 1}}]},
    "nothing ours": lambda raw: raw | {"lent": [raw["lent"][0] | {"ours": []}]},
    "odd ours": lambda raw: raw | {"lent": [raw["lent"][0] | {"ours": [None]}]},
    "odd capabilities": lambda raw: raw | {"created": "voice"},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_lease_is_reported_and_set_aside(office: Office, case: str) -> None:
    office.set(FULL)
    with office.borrowed():
        raw = json.loads(office.file.read_bytes())
    damaged = DAMAGED[case](raw)
    content = damaged if isinstance(damaged, bytes) else json.dumps(damaged).encode()
    office.file.write_bytes(content)
    office.file.chmod(0o600)
    office.messages.clear()

    with office.borrowed() as application:
        assert application is not None
        assert office.addresses == OURS
    assert office.capabilities == FULL
    assert "warning" in office.messages[0]
    assert "voicectl app urls" in office.messages[1]
    assert office.file.with_name(f"{lease.FILE}.damaged").read_bytes() == content


@pytest.mark.parametrize("case", ["others can write it", "a link", "a directory"])
def test_a_lease_that_others_may_have_written_is_refused(office: Office, case: str) -> None:
    office.set(FULL)
    with office.child() as child:
        assert is_inside(child)
    match case:
        case "others can write it":
            office.file.chmod(0o666)
        case "a link":
            office.file.rename(office.directory / "elsewhere")
            office.file.symlink_to(office.directory / "elsewhere")
        case "a directory":
            office.file.unlink()
            office.file.mkdir()

    office.restore()
    assert office.addresses == OURS
    assert "warning" in office.messages[0]
    assert not os.path.lexists(office.file)


def test_without_a_directory_for_the_lease_nothing_is_sent(office: Office) -> None:
    office.directory.write_text("in the way")
    with pytest.raises(ConfigError), office.borrowed():
        pytest.fail("it was taken")

    assert office.room.requests() == []


def test_without_a_lease_on_disk_nothing_is_changed(office: Office) -> None:
    office.set(FULL)
    with FaultProxy(office.room.url) as proxy:
        # The new lease is written under this name in the same directory; a directory of that name makes that fail.
        office.directory.mkdir(mode=0o700)
        (office.directory / f".{lease.FILE}.{os.getpid()}.new").mkdir()
        with pytest.raises(ConfigError), office.borrowed(proxy.url):
            pytest.fail("it was taken")
        assert {request.method for request in proxy.requests} == {"GET"}
    assert office.capabilities == FULL


def test_an_application_of_another_account_is_not_touched(start_room: StartRoom) -> None:
    office = Office(start_room())
    office.id = "5a4db0c5-0000-4000-8000-000000000000"
    with pytest.raises(Exception, match="has no /v2/applications"), office.borrowed():
        pytest.fail("it was taken")

    assert not office.file.exists()


# The public URL


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("https://voice.example.org", "https://voice.example.org"),
        ("https://voice.example.org:8443/a/b//", "https://voice.example.org:8443/a/b"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_public_url_is_https_or_on_this_machine(text: str, checked: str) -> None:
    assert lease.check_public_url(text) == checked


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "voice.example.org",
            "//voice.example.org",
            "https://",
            "https:///a",
            "ftp://voice.example.org",
        ),
        *(
            "http://voice.example.org",
            "http://10.0.0.1",
            "https://voice.example.org/?a=b",
            "https://x.org/#a",
        ),
        *("https://x.org?", "https://user@x.org", "https://user:secret@x.org", "https://x.org/a b"),
        *("https://x.org:0", "https://x.org:99999", "https://x.org:y", "https://[::1", "https://x.org/\n"),
        *("https://ex\u00e4mple.org", "https://x.org/\u202e"),
    ],
)
def test_another_url_is_refused_before_anything_is_done(office: Office, text: str) -> None:
    with pytest.raises(InputError) as caught, office.borrowed(public=text):
        pytest.fail("it was taken")

    assert "secret" not in caught.value.message
    assert office.room.requests() == []
    assert not office.directory.exists()


def test_a_url_that_a_sandbox_cannot_reach_is_reported(office: Office) -> None:
    with office.borrowed(public="https://voice.example.org"):
        assert "sandbox start --allow-host voice.example.org" in office.messages[0]


def test_a_url_that_the_platform_cannot_reach_is_reported(office: Office) -> None:
    application = "0c0e6f1a-52f4-4f0e-9b5a-6f1f5f0f9a10"
    answer = {"id": application, "keys": {"public_key": "PEM"}, "capabilities": {"voice": {}}}
    office.id = application
    with Canned(
        lambda request: reply(200, request.json | {"id": application} if request.body else answer)
    ) as server:
        with office.borrowed(server.url):
            assert "is on this machine, so the platform cannot reach it" in office.messages[0]
        office.messages.clear()
        with office.borrowed(server.url, public="https://voice.example.org"):
            assert "warning" not in str(office.messages)


def test_checking_for_a_lease_creates_nothing(tmp_path: Path) -> None:
    assert lease.is_left(tmp_path / "state") is False
    assert list(tmp_path.iterdir()) == []
