"""Checks of request bodies: a refusal names the field, and nothing changes."""

import pytest

from tests.sandbox.parts import HELLO
from voicectl.sandbox.parsing import call_requests
from voicectl.sandbox.parsing.fields import Invalid
from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode

CALL = {
    "to": [{"type": "phone", "number": "447700900001"}],
    "from": {"type": "phone", "number": "447700900456"},
    "ncco": [HELLO],
}


SOCKET = {"type": "websocket", "uri": "wss://x", "content-type": "audio/l16;rate=8000"}


def without(name: str) -> dict:
    return {key: value for key, value in CALL.items() if key != name}


def to(**endpoint: object) -> dict:
    return CALL | {"to": [endpoint]}


def refused(body: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call_requests.read_create(body)
    return [error["name"] for error in caught.value.errors]


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
        (to(type="websocket", uri="wss://x"), ["to[0].content-type"]),
        (to(**SOCKET | {"uri": "https://x"}), ["to[0].uri"]),
        (to(**SOCKET | {"content-type": "audio/l16;rate=44100"}), ["to[0].content-type"]),
        (to(**SOCKET | {"authorization": {"type": "custom"}}), ["to[0].authorization.value"]),
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
        (to(type="sip", uri="sip:a@b\u00e9"), ["to[0].uri"]),
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
        (without("ncco") | {"answer_url": ["http://x/" + "a" * 8000]}, ["answer_url"]),
        (without("ncco") | {"answer_url": ["http://x"], "answer_method": "PUT"}, ["answer_method"]),
        (CALL | {"event_url": 1}, ["event_url"]),
        (CALL | {"event_url": "http://x"}, ["event_url"]),
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
        (CALL | {"ringing_timer": 1e400}, ["ringing_timer"]),
        (CALL | {"ringing_timer": True}, ["ringing_timer"]),
        (CALL | {"length_timer": 0}, ["length_timer"]),
        (CALL | {"length_timer": 86_401}, ["length_timer"]),
    ],
)
def test_an_invalid_call_is_refused_with_the_field(body, names):
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
        (to(**SOCKET), SOCKET | {"headers": {}}),
        (
            to(**SOCKET, headers={"a": 1}, authorization={"type": "custom", "value": "Bearer abc"}),
            SOCKET | {"headers": {"a": 1}, "authorization": {"type": "custom", "value": "Bearer abc"}},
        ),
    ],
)
def test_endpoints_are_kept_as_records_show_them(body, callee):
    assert call_requests.read_create(body).to == callee


@pytest.mark.parametrize(
    ("from_", "shown"),
    [
        ({"type": "phone", "number": "+447700900456"}, {"type": "phone", "number": "447700900456"}),
        ({"type": "phone", "number": "sip:a@b"}, {"type": "phone", "number": "sip:a@b"}),
        ("sip:a@b", {"type": "sip", "uri": "sip:a@b"}),
    ],
)
def test_a_caller_may_be_a_number_or_a_sip_uri(from_, shown):
    assert call_requests.read_create(CALL | {"from": from_}).from_ == shown


def test_all_valid_options_are_kept():
    order = call_requests.read_create(
        without("ncco")
        | {
            "answer_url": ["https://app.example.org/answer?a=b"],
            "answer_method": "POST",
            "event_url": ["https://app.example.org/events"],
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


@pytest.mark.parametrize(
    ("read", "body", "names"),
    [
        (call_requests.read_change, {}, ["action"]),
        (call_requests.read_change, {"action": "explode"}, ["action"]),
        (call_requests.read_change, {"action": "transfer"}, ["destination"]),
        (call_requests.read_change, {"action": "transfer", "destination": []}, ["destination"]),
        (
            call_requests.read_change,
            {"action": "transfer", "destination": {"type": "url", "ncco": [HELLO]}},
            ["destination.type"],
        ),
        (
            call_requests.read_change,
            {"action": "transfer", "destination": {"type": "ncco"}},
            ["destination.ncco"],
        ),
        (
            call_requests.read_change,
            {"action": "transfer", "destination": {"type": "ncco", "ncco": [{"action": "dance"}]}},
            ["destination.ncco[0].action"],
        ),
        (
            call_requests.read_change,
            {"action": "transfer", "destination": {"type": "ncco", "ncco": []}},
            ["destination.ncco"],
        ),
        (
            call_requests.read_change,
            {"action": "transfer", "destination": {"type": "ncco", "url": "http://x"}},
            ["destination.url"],
        ),
        (call_requests.read_rest_talk, {}, ["text"]),
        (call_requests.read_rest_talk, {"text": "x" * 1501}, ["text"]),
        (call_requests.read_rest_talk, {"text": "x", "voice_name": 1}, ["voice_name"]),
        (call_requests.read_rest_talk, {"text": "x", "loop": "once"}, ["loop"]),
        (call_requests.read_rest_talk, {"text": "x", "premium": "yes"}, ["premium"]),
        (call_requests.read_rest_talk, {"text": "<speak>x"}, ["text"]),
        (call_requests.read_rest_talk, {"text": "x", "level": "loud"}, ["level"]),
        (call_requests.read_rest_talk, {"text": "x", "level": "1.1"}, ["level"]),
        (call_requests.read_rest_stream, {"stream_url": []}, ["stream_url"]),
        (call_requests.read_rest_dtmf, {}, ["digits"]),
        (call_requests.read_rest_dtmf, {"digits": ""}, ["digits"]),
        (call_requests.read_rest_dtmf, {"digits": "12w"}, ["digits"]),
        (call_requests.read_rest_dtmf, {"digits": -1}, ["digits"]),
        (call_requests.read_rest_dtmf, {"digits": True}, ["digits"]),
        (call_requests.read_listener, {}, ["event_url"]),
    ],
)
def test_the_other_bodies_are_checked_too(read, body, names):
    with pytest.raises(Invalid) as caught:
        read(body)

    assert [error["name"] for error in caught.value.errors] == names


def test_requests_of_the_platform_s_own_clients_are_accepted():
    assert call_requests.read_rest_dtmf({"digits": 1234}) == "1234"
    assert call_requests.read_listener({"event_url": "http://x"}) == "http://x"
    assert call_requests.read_create(CALL | {"ringing_timer": 45.0}).ringing_timer == 45
    for level in (0.4, "0.4", "-1", 1, "0", -1.0):
        call_requests.read_rest_talk({"text": "x", "level": level})
    assert call_requests.read_rest_talk({"text": f"<speak>{'<break/>' * 1000}x</speak>"}).once < 1


def test_numbers_of_a_talk_and_a_stream_may_be_text():
    """The types of the platform's Node client demand a string for ``style``."""
    as_text = call_requests.read_rest_talk({"text": "x", "style": "2", "loop": "3", "premium": "true"})

    assert as_text.loop == 3
    assert call_requests.read_rest_stream({"stream_url": ["https://x"], "loop": "0"}).loop == 0


def test_a_null_field_of_a_body_is_absent():
    nulls = dict.fromkeys(
        ("answer_url", "event_url", "ringing_timer", "random_from_number", "machine_detection")
    )
    callee = to(type="phone", number="447700900001", dtmfAnswer=None)

    assert call_requests.read_create(callee | nulls) == call_requests.read_create(CALL)
    assert refused(CALL | {"to": None}) == ["to"]


def test_an_event_url_as_text_gets_the_platform_s_reason():
    with pytest.raises(Invalid) as caught:
        call_requests.read_create(CALL | {"event_url": "http://127.0.0.1:9/e"})

    assert caught.value.errors == [{"name": "event_url", "reason": "Invalid type parameter provided"}]


def test_refused_digits_are_not_shown():
    with pytest.raises(Invalid) as caught:
        call_requests.read_rest_dtmf({"digits": "98765w"})

    assert "9876" not in str(caught.value)
