"""What bodies and NCCOs must look like: what is refused is named, and nothing is done."""

import pytest

from voicectl.sandbox import orders
from voicectl.sandbox.checks import Invalid
from voicectl.sandbox.ncco import read_ncco
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode
from voicectl.sandbox.telephony.flow import Dial, Join, Webhook

from .parts import HELLO

CALL = {
    "to": [{"type": "phone", "number": "447700900001"}],
    "from": {"type": "phone", "number": "447700900456"},
    "ncco": [HELLO],
}


def without(name: str) -> dict:
    return {key: value for key, value in CALL.items() if key != name}


def to(**endpoint: object) -> dict:
    return CALL | {"to": [endpoint]}


def refused(body: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        orders.read_create(body)
    return [wrong["name"] for wrong in caught.value.wrongs]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (None, ["body"]),
        ([], ["body"]),
        (without("to"), ["to"]),
        (CALL | {"to": {"type": "phone", "number": "447700900001"}}, ["to"]),
        (CALL | {"to": []}, ["to"]),
        (CALL | {"to": CALL["to"] * 2}, ["to"]),
        (CALL | {"to": ["447700900001"]}, ["to[0]"]),
        (to(number="447700900001"), ["to[0].type"]),
        (to(type="fax", number="447700900001"), ["to[0].type"]),
        (to(type="websocket", uri="wss://x"), ["to[0].type"]),
        (to(type="phone"), ["to[0].number"]),
        (to(type="phone", number=447700900001), ["to[0].number"]),
        (to(type="phone", number="00447700900001"), ["to[0].number"]),
        (to(type="phone", number="123456"), ["to[0].number"]),
        (to(type="phone", number="4477009000011234"), ["to[0].number"]),
        (to(type="phone", number="447700900001\n"), ["to[0].number"]),
        (to(type="phone", number="447700900001", dtmfAnswer="1w"), ["to[0].dtmfAnswer"]),
        (to(type="phone", number="447700900001", dtmfAnswer=1), ["to[0].dtmfAnswer"]),
        (to(type="phone", number="447700900001", shaken=1), ["to[0].shaken"]),
        (to(type="sip"), ["to[0].uri"]),
        (to(type="sip", uri="alice@example.org"), ["to[0].uri"]),
        (to(type="sip", uri="sip:" + "a" * 47), ["to[0].uri"]),
        (to(type="sip", uri="sip:a@b", user="a", domain="b"), ["to[0].uri"]),
        (to(type="sip", user="a"), ["to[0].domain"]),
        (to(type="sip", uri="sip:a@b", headers={"a": 1}), ["to[0].headers.a"]),
        (to(type="sip", uri="sip:a@b", headers=[]), ["to[0].headers"]),
        (
            to(type="sip", uri="sip:a@b", standard_headers={"User-to-User": "x" * 257}),
            ["to[0].standard_headers.User-to-User"],
        ),
        (to(type="app"), ["to[0].user"]),
        (to(type="vbc", extension=12), ["to[0].extension"]),
        (without("from"), ["from"]),
        (CALL | {"from": "447700900456"}, ["from"]),
        (CALL | {"from": {"type": "sip", "number": "447700900456"}}, ["from.type"]),
        (CALL | {"from": {"type": "phone", "number": "x"}}, ["from.number"]),
        (CALL | {"random_from_number": True}, ["from"]),
        (without("from") | {"random_from_number": False}, ["from"]),
        (without("from") | {"random_from_number": "yes"}, ["random_from_number", "from"]),
        (without("ncco"), ["ncco"]),
        (CALL | {"answer_url": ["http://x"]}, ["ncco"]),
        (without("ncco") | {"answer_url": "http://x"}, ["answer_url"]),
        (without("ncco") | {"answer_url": []}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x", "http://y"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["ftp://x"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://[x"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x:99999"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": [1]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x/a b"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x/\n"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x/\ud800"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://bücher.example/"]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x/" + "a" * 2000]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x"], "answer_method": "PUT"}, ["answer_method"]),
        (CALL | {"event_url": 1}, ["event_url"]),
        (CALL | {"event_url": ["x"]}, ["event_url"]),
        (CALL | {"event_method": "get"}, ["event_method"]),
        (CALL | {"machine_detection": "stop"}, ["machine_detection"]),
        (CALL | {"machine_detection": True}, ["machine_detection"]),
        (CALL | {"advanced_machine_detection": "continue"}, ["advanced_machine_detection"]),
        (
            CALL | {"advanced_machine_detection": {"behavior": "x", "mode": "y", "beep_timeout": 29}},
            [f"advanced_machine_detection.{name}" for name in ("behavior", "mode", "beep_timeout")],
        ),
        (CALL | {"ringing_timer": 0}, ["ringing_timer"]),
        (CALL | {"ringing_timer": 121}, ["ringing_timer"]),
        (CALL | {"ringing_timer": "60"}, ["ringing_timer"]),
        (CALL | {"ringing_timer": 1.5}, ["ringing_timer"]),
        (CALL | {"ringing_timer": True}, ["ringing_timer"]),
        (CALL | {"ringing_timer": None}, ["ringing_timer"]),
        (CALL | {"length_timer": 0}, ["length_timer"]),
        (CALL | {"length_timer": 86_401}, ["length_timer"]),
    ],
)
def test_a_call_that_breaks_the_rules_is_refused_by_field(body, names):
    assert refused(body) == names


@pytest.mark.parametrize(
    ("body", "callee"),
    [
        (to(type="phone", number="+447700900001"), {"type": "phone", "number": "447700900001"}),
        (to(type="sip", uri="sip:a@b", standard_headers={}), {"type": "sip", "uri": "sip:a@b"}),
        (to(type="sip", uri="sip:a@b", headers={"x": "y"}), {"type": "sip", "uri": "sip:a@b"}),
        (to(type="sip", user="a", domain="b"), {"type": "sip", "user": "a", "domain": "b"}),
        (to(type="app", user="alice"), {"type": "app", "user": "alice"}),
        (to(type="vbc", extension="1234"), {"type": "vbc", "extension": "1234"}),
    ],
)
def test_endpoints_are_kept_as_records_show_them(body, callee):
    assert orders.read_create(body).to == callee


@pytest.mark.parametrize(
    ("from_", "shown"),
    [
        ({"type": "phone", "number": "+447700900456"}, {"type": "phone", "number": "447700900456"}),
        ({"type": "phone", "number": "sip:a@b"}, {"type": "phone", "number": "sip:a@b"}),
        ("sip:a@b", {"type": "sip", "uri": "sip:a@b"}),
    ],
)
def test_a_caller_may_be_a_number_or_a_sip_uri(from_, shown):
    assert orders.read_create(CALL | {"from": from_}).from_ == shown


def test_all_that_may_be_given_is_kept():
    order = orders.read_create(
        without("ncco")
        | {
            "answer_url": ["https://app.example.org/answer?a=b"],
            "answer_method": "POST",
            "event_url": "https://app.example.org/events",
            "event_method": "POST",
            "machine_detection": "hangup",
            "advanced_machine_detection": {"mode": "detect_beep", "beep_timeout": 60},
            "ringing_timer": 120,
            "length_timer": 86_400,
            "not_in_any_document": 1,
        }
    )

    assert order.flow == Webhook(url="https://app.example.org/answer?a=b", method="POST")
    assert order.detection == Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT_BEEP, beep_timeout=60)
    assert (order.ringing_timer, order.length_timer) == (120, 86_400)
    assert order.events == Webhook(url="https://app.example.org/events", method="POST")


class TestNcco:
    def wrongs(self, ncco: object) -> list[dict[str, str]]:
        wrongs: list[dict[str, str]] = []
        read_ncco(ncco, wrongs)
        return wrongs

    @pytest.mark.parametrize(
        "action", ["record", "input", "notify", "wait", "transfer", "pay", "dance", "Talk", ""]
    )
    def test_other_actions_are_refused_by_name(self, action):
        (wrong,) = self.wrongs([HELLO, {"action": action}])

        assert wrong["name"] == "ncco[1].action"
        if action:
            assert wrong["reason"] == (
                f'"{action}" is not served here: only talk, stream, conversation, connect are'
            )

    @pytest.mark.parametrize(
        ("action", "name"),
        [
            ("talk", ""),
            ({}, ".action"),
            ({"action": 1}, ".action"),
            ({"action": "talk"}, ".text"),
            ({"action": "talk", "text": ""}, ".text"),
            ({"action": "talk", "text": "x" * 1501}, ".text"),
            ({"action": "talk", "text": 1}, ".text"),
            ({"action": "talk", "text": "x", "loop": -1}, ".loop"),
            ({"action": "talk", "text": "x", "loop": "1"}, ".loop"),
            ({"action": "talk", "text": "x", "loop": 10**4000}, ".loop"),
            ({"action": "talk", "text": "x", "level": 1.1}, ".level"),
            ({"action": "talk", "text": "x", "level": "-1.1"}, ".level"),
            ({"action": "talk", "text": "x", "level": "loud"}, ".level"),
            ({"action": "talk", "text": "x", "level": True}, ".level"),
            ({"action": "talk", "text": "x", "style": -1}, ".style"),
            ({"action": "talk", "text": "x", "premium": 1}, ".premium"),
            ({"action": "talk", "text": "x", "language": 1}, ".language"),
            ({"action": "talk", "text": "x", "bargeIn": True}, ".bargeIn"),
            ({"action": "talk", "text": "x", "bargeIn": "true"}, ".bargeIn"),
            ({"action": "stream"}, ".streamUrl"),
            ({"action": "stream", "streamUrl": "http://x/a.mp3"}, ".streamUrl"),
            ({"action": "stream", "streamUrl": ["http://x/a.mp3"], "level": -2}, ".level"),
            ({"action": "conversation"}, ".name"),
            ({"action": "conversation", "name": " "}, ".name"),
            ({"action": "conversation", "name": "r", "startOnEnter": 1}, ".startOnEnter"),
            ({"action": "conversation", "name": "r", "canHear": "x"}, ".canHear"),
            ({"action": "conversation", "name": "r", "canSpeak": [1]}, ".canSpeak"),
            ({"action": "conversation", "name": "r", "mute": True, "canSpeak": []}, ".mute"),
            ({"action": "conversation", "name": "r", "musicOnHoldUrl": "http://x"}, ".musicOnHoldUrl"),
            ({"action": "conversation", "name": "r", "transcription": {}}, ".transcription"),
            ({"action": "conversation", "name": "r", "eventUrl": "http://x"}, ".eventUrl"),
            ({"action": "conversation", "name": "r", "eventMethod": "PUT"}, ".eventMethod"),
            ({"action": "connect"}, ".endpoint"),
            ({"action": "connect", "endpoint": [{"type": "sip", "uri": "sip:a@b"}]}, ".endpoint[0].type"),
            ({"action": "connect", "endpoint": [{"type": "app", "user": "a"}]}, ".endpoint[0].type"),
            ({"action": "connect", "endpoint": [{"type": "phone"}]}, ".endpoint[0].number"),
        ],
    )
    def test_options_are_checked(self, action, name):
        assert [wrong["name"] for wrong in self.wrongs([action])] == [f"ncco[0]{name}"]

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("timeout", 0),
            ("timeout", 121),
            ("timeout", "45"),
            ("limit", 7201),
            ("from", "anonymous"),
            ("from", {"type": "phone", "number": "447700900456"}),
            ("machineDetection", "x"),
            ("eventType", "synchronous"),
            ("eventType", "x"),
            ("ringbackTone", ["http://x"]),
        ],
    )
    def test_the_options_of_connect_are_checked(self, option, value):
        connect = {"action": "connect", "endpoint": [{"type": "phone", "number": "447700900001"}]}

        wrongs = self.wrongs([connect | {option: value}])

        assert {wrong["name"] for wrong in wrongs} == {f"ncco[0].{option}"}

    def test_on_answer_is_refused_by_name(self):
        endpoint = {"type": "phone", "number": "447700900001", "onAnswer": {"url": "http://x"}}

        (wrong,) = self.wrongs([{"action": "connect", "endpoint": [endpoint]}])

        assert wrong == {"name": "ncco[0].endpoint[0].onAnswer", "reason": "Is not served here"}

    def test_from_and_a_random_number_exclude_each_other(self):
        endpoint = [{"type": "phone", "number": "447700900001"}]

        (wrong,) = self.wrongs(
            [{"action": "connect", "endpoint": endpoint, "from": "447700900456", "randomFromNumber": True}]
        )

        assert wrong["name"] == "ncco[0].from"

    @pytest.mark.parametrize("ncco", [None, {}, "[]", []])
    def test_an_ncco_is_an_array_of_at_least_one_action(self, ncco):
        assert [wrong["name"] for wrong in self.wrongs(ncco)] == ["ncco"]

    def test_everything_wrong_is_told_at_once(self):
        assert len(self.wrongs([{"action": "record"}, {"action": "talk", "level": 2}, 7])) == 4

    def test_all_that_may_be_given_is_kept(self):
        conversation = {
            "action": "conversation",
            "name": "r",
            "startOnEnter": False,
            "endOnExit": True,
            "canHear": ["a"],
            "canSpeak": [],
            "musicOnHoldUrl": ["http://x/a.mp3"],
            "record": True,
            "transcription": {},
            "eventUrl": ["http://x"],
        }
        connect = {
            "action": "connect",
            "endpoint": [{"type": "phone", "number": "447700900001", "dtmfAnswer": "1#"}],
            "from": "447700900456",
            "timeout": 20,
            "limit": 3600,
            "machineDetection": "hangup",
            "ringbackTone": "http://x/tone.mp3",
        }

        assert read_ncco([conversation, connect], []) == (
            Join(
                name="r",
                starts=False,
                ends=True,
                can_hear=frozenset({"a"}),
                can_speak=frozenset(),
                music="http://x/a.mp3",
            ),
            Dial(
                endpoint={"type": "phone", "number": "447700900001"},
                caller="447700900456",
                timeout=20,
                limit=3600,
                detection=Detection(behavior=Behavior.HANGUP),
                dtmf_answer="1#",
                ringback="http://x/tone.mp3",
            ),
        )


@pytest.mark.parametrize(
    ("read", "body", "names"),
    [
        (orders.read_change, {}, ["action"]),
        (orders.read_change, {"action": "explode"}, ["action"]),
        (orders.read_change, {"action": "transfer"}, ["destination"]),
        (orders.read_change, {"action": "transfer", "destination": []}, ["destination"]),
        (
            orders.read_change,
            {"action": "transfer", "destination": {"type": "url", "ncco": [HELLO]}},
            ["destination.type"],
        ),
        (orders.read_change, {"action": "transfer", "destination": {"type": "ncco"}}, ["destination.ncco"]),
        (
            orders.read_change,
            {"action": "transfer", "destination": {"type": "ncco", "ncco": [{"action": "record"}]}},
            ["destination.ncco[0].action"],
        ),
        (
            orders.read_change,
            {"action": "transfer", "destination": {"type": "ncco", "url": "http://x"}},
            ["destination.url"],
        ),
        (orders.read_rest_talk, {}, ["text"]),
        (orders.read_rest_talk, {"text": "x" * 1501}, ["text"]),
        (orders.read_rest_talk, {"text": "x", "voice_name": 1}, ["voice_name"]),
        (orders.read_rest_stream, {"stream_url": []}, ["stream_url"]),
        (orders.read_rest_dtmf, {}, ["digits"]),
        (orders.read_rest_dtmf, {"digits": ""}, ["digits"]),
        (orders.read_rest_dtmf, {"digits": "12w"}, ["digits"]),
        (orders.read_rest_dtmf, {"digits": -1}, ["digits"]),
        (orders.read_rest_dtmf, {"digits": True}, ["digits"]),
        (orders.read_listener, {}, ["event_url"]),
    ],
)
def test_the_other_bodies_are_checked_too(read, body, names):
    with pytest.raises(Invalid) as caught:
        read(body)

    assert [wrong["name"] for wrong in caught.value.wrongs] == names


def test_what_the_platform_s_own_clients_send_is_tolerated():
    assert orders.read_rest_dtmf({"digits": 1234}) == "1234"
    assert orders.read_listener({"event_url": "http://x"}) == "http://x"
    for level in (0.4, "0.4", "-1", 1, "0", -1.0):
        orders.read_rest_talk({"text": "x", "level": level})
    assert orders.read_rest_talk({"text": f"<speak>{'<break/>' * 1000}x</speak>"}).once < 1


def test_refused_digits_are_not_repeated():
    with pytest.raises(Invalid) as caught:
        orders.read_rest_dtmf({"digits": "98765w"})

    assert "9876" not in str(caught.value)
