"""The linter, fault by fault: the place, the severity and the suggestion of each finding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.flows import APP, CON, LEG, PHONE
from voicectl.voice.json_places import show
from voicectl.voice.ncco.lint import lint, lint_file

ERROR, WARNING = "error", "warning"
INPUT = {"action": "input", "type": ["dtmf"]}
ROOM = {"action": "conversation", "name": "r"}
WEBSOCKET = {"type": "websocket", "uri": "wss://a.example.org", "content-type": "audio/l16;rate=8000"}


def talk(text: str = "a", **options: Any) -> dict[str, Any]:
    return {"action": "talk", "text": text} | options


def stream(**options: Any) -> dict[str, Any]:
    return {"action": "stream", "streamUrl": [APP]} | options


def connect(*endpoints: Any, **options: Any) -> dict[str, Any]:
    return {"action": "connect", "endpoint": list(endpoints)} | options


def sip(**fields: Any) -> dict[str, Any]:
    return connect({"type": "sip"} | fields)


FAULTS: list[tuple[object, str, str, str]] = [
    # the root and its actions
    ([], ERROR, "$", "array of actions"),
    ({"action": "talk", "text": "a"}, ERROR, "$", "array of actions"),
    (None, ERROR, "$", "array of actions"),
    (["talk"], ERROR, "$[0]", '"action": "talk"'),
    ([{}], ERROR, "$[0]", '"action": "talk"'),
    ([{"action": 5}], ERROR, "$[0].action", "one of talk"),
    ([{"action": ["talk"]}], ERROR, "$[0].action", "one of talk"),
    ([{"action": "tlak"}], ERROR, "$[0].action", 'mean "talk"?'),
    ([{"action": "Talk"}], ERROR, "$[0].action", 'mean "talk"?'),
    ([{"action": "zzz"}], ERROR, "$[0].action", "one of talk"),
    ([{"action": "hangup"}], ERROR, "$[0].action", "Leave it out"),
    ([{"action": "websocket", "uri": "wss://a"}], ERROR, "$[0].action", '"type": "websocket"'),
    ([{"action": "phone"}], ERROR, "$[0].action", '"type": "phone"'),
    ([{"action": "say", "text": "a"}], ERROR, "$[0].action", '"action": "talk"'),
    ([{"action": "earmuff"}], ERROR, "$[0].action", "voicectl mute"),
    # requests in place of an NCCO
    ({"to": [PHONE], "ncco": [talk()]}, ERROR, "$", "only the value of ncco"),
    (
        {"action": "transfer", "destination": {"type": "ncco", "ncco": [talk()]}},
        ERROR,
        "$",
        "only the value of destination.ncco",
    ),
    ({"to": [PHONE], "answer_url": [APP]}, ERROR, "$", "array of actions"),
    ({"action": "mute"}, ERROR, "$", "array of actions"),
    ({"payload": {}}, ERROR, "$", "array of actions"),
    # missing options
    ([{"action": "talk"}], ERROR, "$[0]", '"text"'),
    ([{"action": "stream"}], ERROR, "$[0]", '"streamUrl"'),
    ([{"action": "conversation"}], ERROR, "$[0]", '"name"'),
    ([{"action": "connect"}], ERROR, "$[0]", '"endpoint"'),
    ([{"action": "input"}], WARNING, "$[0]", '"type": ["dtmf"]'),
    ([{"action": "input", "eventUrl": [APP]}], WARNING, "$[0]", '"type": ["dtmf"]'),
    ([{"action": "input", "speech": {}}], WARNING, "$[0]", '"type": ["speech"]'),
    ([{"action": "input", "dtmf": {}, "speech": {}}], WARNING, "$[0]", '"type": ["dtmf", "speech"]'),
    ([{"action": "talk", "text": None}], ERROR, "$[0]", '"text"'),
    ([{"action": None}], ERROR, "$[0]", "an action"),
    # null
    ([talk(language=None)], WARNING, "$[0].language", "Remove language"),
    ([ROOM | {"mute": True, "canSpeak": None}], WARNING, "$[0].canSpeak", "Remove canSpeak"),
    ([INPUT | {"dtmf": {"maxDigits": None}}], WARNING, "$[0].dtmf.maxDigits", "Remove maxDigits"),
    ([connect(PHONE | {"onAnswer": None})], WARNING, "$[0].endpoint[0].onAnswer", "Remove onAnswer"),
    ([sip(uri="sip:a@b", headers={"a": None})], WARNING, "$[0].endpoint[0].headers.a", "Remove a"),
    ([ROOM | {"canHear": [None]}], ERROR, "$[0].canHear[0]", "id of a leg"),
    ([{"action": "notify", "payload": {}}], ERROR, "$[0]", '"eventUrl"'),
    ([{"action": "notify", "eventUrl": [APP]}], ERROR, "$[0]", '"payload"'),
    ([{"action": "transfer"}], ERROR, "$[0]", '"conversationId"'),
    ([connect({"type": "phone"})], ERROR, "$[0].endpoint[0]", '"number"'),
    ([connect({"number": "447700900001"})], ERROR, "$[0].endpoint[0]", "a type"),
    ([connect(PHONE | {"onAnswer": {}})], ERROR, "$[0].endpoint[0].onAnswer", '"url"'),
    ([connect({"type": "websocket", "uri": "ws://a"})], ERROR, "$[0].endpoint[0]", '"content-type"'),
    # names
    ([talk(event_url=[APP])], WARNING, "$[0].event_url", "Write eventUrl."),
    ([talk(eventURL=[APP])], WARNING, "$[0].eventURL", "Write eventUrl."),
    ([talk(barge_in=True)], WARNING, "$[0].barge_in", "Write bargeIn."),
    (
        [connect(WEBSOCKET | {"contentType": "x"})],
        WARNING,
        "$[0].endpoint[0].contentType",
        "Write content-type.",
    ),
    ([INPUT | {"dtmf": {"time_out": 3}}], WARNING, "$[0].dtmf.time_out", "Write timeOut."),
    ([talk(langauge="en-GB")], WARNING, "$[0].langauge", "mean language?"),
    ([INPUT | {"dtmf": {"maxDigit": 3}}], WARNING, "$[0].dtmf.maxDigit", "mean maxDigits?"),
    ([talk(x=1)], WARNING, "$[0].x", "Its options are text"),
    ([{"action": "wait", "eventUrl": [APP]}], WARNING, "$[0].eventUrl", "Its options are timeout"),
    ([connect(PHONE | {"x-y": 1})], WARNING, "$[0].endpoint[0]['x-y']", "Its options are number"),
    # texts
    ([talk("")], ERROR, "$[0].text", "not blank"),
    ([talk(" \n")], ERROR, "$[0].text", "not blank"),
    ([talk(5)], ERROR, "$[0].text", "a string"),  # type: ignore[arg-type]
    ([talk("a" * 1501)], ERROR, "$[0].text", "at most 1500"),
    ([talk(f"<speak>{'a' * 1501}</speak>")], ERROR, "$[0].text", "at most 1500"),
    ([talk("<speak>a")], ERROR, "$[0].text", "Close every tag"),
    ([talk("<speak>a & b</speak>")], ERROR, "$[0].text", "&amp;"),
    ([talk("<speak><brake/></speak>")], WARNING, "$[0].text", "<break>"),
    ([talk("a <break time='1s'/> b")], WARNING, "$[0].text", "<speak>"),
    # languages and styles
    ([talk(language="en-UK")], WARNING, "$[0].language", 'mean "en-US"?'),
    ([talk(language="xx")], WARNING, "$[0].language", "language code"),
    ([talk(language=5)], ERROR, "$[0].language", "language code"),
    ([talk(style=12)], WARNING, "$[0].style", "0 to 11"),
    ([talk(language="EN-GB", style=8)], WARNING, "$[0].style", "0 to 7"),
    ([talk(language="es-MX", style=1)], WARNING, "$[0].style", "Use style 0"),
    ([talk("<speak>a</speak>", language="ar", style=2)], WARNING, "$[0].style", "remove the tags"),
    ([talk("<speak>a</speak>", language="he-IL")], WARNING, "$[0].text", "remove the tags"),
    (
        [{"action": "input", "type": ["speech"], "speech": {"language": "zz-ZZ"}}],
        WARNING,
        "$[0].speech.language",
        "language code",
    ),
    # prompts
    ([stream(level=0.25)], WARNING, "$[0].level", "multiple of 0.1"),
    ([talk(bargeIn=True)], ERROR, "$[0].bargeIn", "remove bargeIn"),
    ([talk(bargeIn=True), {"action": "wait"}], ERROR, "$[0].bargeIn", "remove bargeIn"),
    ([talk(bargeIn=True), talk(), {"action": "record"}, INPUT], ERROR, "$[0].bargeIn", "remove bargeIn"),
    ([stream(bargeIn=True), talk()], ERROR, "$[0].bargeIn", "remove bargeIn"),
    ([talk(bargeIn=True), stream(bargeIn=False), INPUT], WARNING, "$[1].bargeIn", "before this one"),
    # actions that never run
    ([{"action": "transfer", "conversationId": CON}, talk()], WARNING, "$[1]", "last action"),
    ([ROOM, talk(), talk()], WARNING, "$[1]", "last action"),
    ([talk(loop=0), talk()], WARNING, "$[1]", "loop to 1"),
    ([stream(loop=0), ROOM, talk()], WARNING, "$[1]", "loop to 1"),
    # record, conversation, transfer
    ([{"action": "record", "channels": 2}], ERROR, "$[0].channels", '"split"'),
    ([ROOM | {"mute": True, "canSpeak": []}], ERROR, "$[0].canSpeak", "one of them"),
    (
        [{"action": "transfer", "conversationId": CON, "mute": True, "canSpeak": [LEG]}],
        ERROR,
        "$[0].canSpeak",
        "one of them",
    ),
    ([ROOM | {"transcription": {}}], ERROR, "$[0].transcription", '"record": true'),
    ([ROOM | {"transcription": {}, "record": False}], ERROR, "$[0].transcription", '"record": true'),
    ([ROOM | {"canSpeak": ["PAR-123"]}], WARNING, "$[0].canSpeak[0]", "id of a leg"),
    ([ROOM | {"canHear": ["alice"]}], WARNING, "$[0].canHear[0]", "id of a leg"),
    ([ROOM | {"canHear": LEG}], ERROR, "$[0].canHear", "array of leg ids"),
    ([{"action": "transfer", "conversationId": "r"}], WARNING, "$[0].conversationId", "CON-"),
    ([{"action": "transfer", "conversation_id": CON}], WARNING, "$[0].conversation_id", "conversationId"),
    # connect
    ([connect()], ERROR, "$[0].endpoint", "exactly one"),
    ([connect(PHONE, PHONE)], ERROR, "$[0].endpoint", "exactly one"),
    ([{"action": "connect", "endpoint": PHONE}], ERROR, "$[0].endpoint", "exactly one"),
    ([connect("447700900001")], ERROR, "$[0].endpoint[0]", "a type"),
    ([connect({"type": "fone", "number": "1"})], ERROR, "$[0].endpoint[0].type", 'mean "phone"?'),
    ([connect(PHONE, randomFromNumber=True, **{"from": "447700900001"})], ERROR, "$[0].from", "one of them"),
    ([connect(PHONE, **{"from": PHONE})], ERROR, "$[0].from", "447700900001"),
    ([connect(PHONE, **{"from": 447700900001})], ERROR, "$[0].from", "447700900001"),
    ([connect(PHONE, **{"from": "Vonage"})], WARNING, "$[0].from", "your numbers"),
    ([connect(WEBSOCKET, **{"from": "Vonage"})], WARNING, "$[0].from", "your numbers"),
    ([connect(PHONE, **{"from": "+447700900001"})], WARNING, "$[0].from", "Write 447700900001."),
    ([connect(PHONE, ringbackTone=[APP])], WARNING, "$[0].ringbackTone", "URL"),
    ([connect(PHONE, ringbackTone=[APP, APP])], ERROR, "$[0].ringbackTone", "URL"),
    ([connect(PHONE, eventUrl=[])], WARNING, "$[0].eventUrl", "one URL"),
    ([{"action": "record"} | {"eventUrl": []}], WARNING, "$[0].eventUrl", "one URL"),
    ([{"action": "notify", "payload": {}, "eventUrl": []}], ERROR, "$[0].eventUrl", "one URL"),
    (
        [connect(PHONE, machineDetection="hangup", advancedMachineDetection={})],
        WARNING,
        "$[0].machineDetection",
        "one of them",
    ),
    (
        [connect(PHONE, advanced_machine_detection={})],
        WARNING,
        "$[0].advanced_machine_detection",
        "advancedMachineDetection",
    ),
    *(
        ([connect({"type": "phone", "number": number})], ERROR, "$[0].endpoint[0].number", "E.164")
        for number in (
            447700900001,
            "123456",
            "1234567890123456",
            "07700900001",
            "00447700900001",
            "44 7700 900001",
        )
    ),
    (
        [connect({"type": "phone", "number": "+447700900001"})],
        WARNING,
        "$[0].endpoint[0].number",
        "Write 4477",
    ),
    ([connect(PHONE | {"dtmfAnswer": "1w2"})], ERROR, "$[0].endpoint[0].dtmfAnswer", "keys"),
    (
        [connect(PHONE | {"onAnswer": {"url": APP, "ringback": APP}})],
        WARNING,
        "$[0].endpoint[0].onAnswer.ringback",
        "ringbackTone",
    ),
    ([sip()], ERROR, "$[0].endpoint[0]", '"uri"'),
    ([sip(uri="desk@example.org")], ERROR, "$[0].endpoint[0].uri", "SIP URI"),
    ([sip(uri="sip:a b@c")], ERROR, "$[0].endpoint[0].uri", "SIP URI"),
    ([sip(uri="sip:sip.example.org")], WARNING, "$[0].endpoint[0].uri", "sip:desk@"),
    ([sip(uri="sip:a@" + "b" * 251)], WARNING, "$[0].endpoint[0].uri", "256"),
    (
        [sip(uri="sip:a@b", headers={"X-Queue": "a"})],
        WARNING,
        "$[0].endpoint[0].headers['X-Queue']",
        '"Queue"',
    ),
    ([sip(uri="sip:a@b", headers={"x-": "a"})], WARNING, "$[0].endpoint[0].headers['x-']", "a name"),
    ([sip(uri="sip:a@b", headers={"": "a"})], WARNING, "$[0].endpoint[0].headers['']", "a name"),
    (
        [sip(uri="sip:a@b", headers={"User-to-User": "01"})],
        WARNING,
        "$[0].endpoint[0].headers['User-to-User']",
        "standardHeaders",
    ),
    ([sip(user="a")], ERROR, "$[0].endpoint[0].user", "or use uri"),
    ([sip(domain="a")], ERROR, "$[0].endpoint[0].domain", "or use uri"),
    ([sip(uri="sip:a@b", headers={"a": 1})], ERROR, "$[0].endpoint[0].headers.a", "string"),
    (
        [sip(uri="sip:a@b", standardHeaders={"User-to-User": "a" * 257})],
        ERROR,
        "$[0].endpoint[0].standardHeaders['User-to-User']",
        "256",
    ),
    (
        [sip(uri="sip:a@b", standardHeaders={"X": "a"})],
        WARNING,
        "$[0].endpoint[0].standardHeaders.X",
        "User-to-User",
    ),
    (
        [sip(uri="sip:a@b", standard_headers={})],
        WARNING,
        "$[0].endpoint[0].standard_headers",
        "standardHeaders",
    ),
    ([connect(WEBSOCKET | {"uri": "https://a"})], ERROR, "$[0].endpoint[0].uri", "wss://"),
    (
        [connect(WEBSOCKET | {"content-type": "audio/l16;rate=44100"})],
        ERROR,
        "$[0].endpoint[0]['content-type']",
        "audio/l16",
    ),
    ([connect(WEBSOCKET | {"headers": {"a": "b" * 505}})], WARNING, "$[0].endpoint[0].headers", "512"),
    ([connect(WEBSOCKET | {"headers": {"a": "\u00e9" * 253}})], WARNING, "$[0].endpoint[0].headers", "512"),
    ([connect(WEBSOCKET | {"headers": "a"})], ERROR, "$[0].endpoint[0].headers", "object"),
    (
        [connect(WEBSOCKET | {"authorization": {"type": "custom"}})],
        ERROR,
        "$[0].endpoint[0].authorization.type",
        '"value"',
    ),
    ([connect({"type": "vbc", "extension": 1234})], ERROR, "$[0].endpoint[0].extension", "string"),
    ([connect({"type": "app", "user": ""})], ERROR, "$[0].endpoint[0].user", "not blank"),
    # input
    ([INPUT | {"type": []}], ERROR, "$[0].type", '"dtmf", "speech" or both'),
    ([INPUT | {"type": "dtmf"}], ERROR, "$[0].type", "array"),
    ([INPUT | {"type": ["dtfm"]}], ERROR, "$[0].type[0]", 'mean "dtmf"?'),
    ([INPUT | {"mode": "asynchronous", "dtmf": {"timeOut": 3}}], ERROR, "$[0].dtmf", "Remove dtmf"),
    ([INPUT | {"mode": "asynchronous", "type": ["dtmf", "speech"]}], WARNING, "$[0].mode", '["dtmf"]'),
    ([INPUT | {"speech": {}}], WARNING, "$[0].speech", 'Add "speech"'),
    ([{"action": "input", "maxDigits": 1}], WARNING, "$[0].maxDigits", "into dtmf"),
    ([INPUT | {"max_digits": 1}], WARNING, "$[0].max_digits", "into dtmf"),
    (
        [{"action": "input", "type": ["speech"], "speech": {"uuid": LEG}}],
        ERROR,
        "$[0].speech.uuid",
        "one leg",
    ),
    (
        [{"action": "input", "type": ["speech"], "speech": {"context": ["a", 1]}}],
        ERROR,
        "$[0].speech.context[1]",
        "string",
    ),
    # notify; deprecated and new options
    ([{"action": "notify", "payload": [], "eventUrl": [APP]}], ERROR, "$[0].payload", "object"),
    ([{"action": "pay", "amount": 9.99}], WARNING, "$[0]", "documentation"),
    ([talk(voiceName="Amy")], WARNING, "$[0].voiceName", "language and style"),
    ([talk(provider=5)], ERROR, "$[0].provider", "a string"),
    # recording
    ([connect(PHONE), {"action": "record"}], WARNING, "$[1]", "before the connect"),
    ([connect(PHONE), talk(), {"action": "record", "timeOut": 60}], WARNING, "$[2]", "before the connect"),
]


@pytest.mark.parametrize(("flow", "severity", "path", "hint"), FAULTS)
def test_a_fault_is_reported_alone_with_its_place_and_a_suggestion(
    flow: object, severity: str, path: str, hint: str
) -> None:
    (finding,) = lint(flow)

    assert (finding.severity, show(finding.path)) == (severity, path)
    assert hint in finding.hint


@pytest.mark.parametrize(
    "flow",
    [
        [talk("a" * 1500)],
        [talk("<speak>" + "<break time='1s'/>" * 200 + "a" * 1500 + "</speak>")],
        [talk(language="EN-gb", style=7), talk(style=11), talk(language="de-AT", style=99)],
        [talk(bargeIn=True), stream(), talk(bargeIn=True), stream(bargeIn=True), INPUT],
        [talk(bargeIn=True, loop=0), INPUT, talk()],
        [talk(bargeIn=True), stream(loop=0), INPUT],
        [talk(bargeIn=False), talk(bargeIn=True), INPUT, talk(bargeIn=False)],
        [talk(), talk(loop=0)],
        [ROOM | {"mute": False, "canSpeak": []}],
        [ROOM | {"canSpeak": [LEG.replace("-", "")], "canHear": []}],
        [INPUT | {"mode": "asynchronous", "dtmf": {}}],
        [connect(WEBSOCKET | {"headers": {"a": "b" * 504}})],
        [connect(WEBSOCKET | {"headers": {"a": "\u00e9" * 252}, "authorization": {"type": "vonage"}})],
        [sip(uri="sips:a@" + "b" * 249), sip(uri="sip:a@b", standardHeaders={})],
        [sip(uri="sip:desk@sip.example.org;transport=tls;media=srtp;x=yyy", headers={"Queue": "gold"})],
        [{"action": "record"}, connect(PHONE), {"action": "record"}],
        [connect(PHONE), talk("Leave a message"), {"action": "record", "endOnSilence": 3}],
        [talk(provider="google", providerOptions={"voice": "a"})],
        [{"action": "input", "type": ["speech"], "speech": {"provider": "deepgram", "providerOptions": {}}}],
        [connect(PHONE, randomFromNumber=False, **{"from": "447700900001"})],
        [{"action": "input", "type": ["speech"], "speech": {"language": "en-gb"}}],
        [{"action": "input", "type": ["speech"], "speech": {"language": "ZH"}}],
        [{"action": "record", "transcription": {}}, talk()],
        [stream(level=level / 10) for level in range(-10, 11)],
    ],
)
def test_values_close_to_a_fault_are_accepted(flow: object) -> None:
    assert lint(flow) == []


@pytest.mark.parametrize("callee", [PHONE, WEBSOCKET], ids=["phone", "websocket"])
def test_the_warning_of_a_caller_that_is_no_number_is_right_for_each_endpoint(callee: dict[str, Any]) -> None:
    (finding,) = lint([connect(callee, **{"from": "Vonage"})])

    assert "a phone shows the caller as unknown" in finding.message
    assert "a WebSocket accepts any text" in finding.message


def test_all_faults_of_a_flow_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """[
  {"action": "talk", "txet": "Hello", "loop": -1},
  {"action": "input",
   "type": ["dtmf"], "dtmf": {"timeOut": 11, "timeOut": "12"}},
  {"action": "tlak"}
]"""

    assert [
        (line, column, finding.severity.value, show(finding.path))
        for finding, line, column in lint_file(text.encode())
    ] == [
        (2, 3, "error", "$[0]"),
        (2, 30, "warning", "$[0].txet"),
        (2, 47, "error", "$[0].loop"),
        (4, 46, "error", "$[1].dtmf.timeOut"),
        (4, 57, "warning", "$[1].dtmf.timeOut"),
        (4, 57, "error", "$[1].dtmf.timeOut"),
        (5, 14, "error", "$[2].action"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"", 1, 1, "ends"),
        (b'[\n  {"action": "talk",}\n]', 2, 20, "extra comma"),
        (b'[{"action": "wait", "timeout": NaN}]', 1, 32, "number"),
        (b'[\n"caf\xe9"]', 2, 5, "UTF-8"),
        (b"\xff\xfe[\x00", 1, 1, "UTF-8"),
        (b"[" * 100_000, 1, 101, "deep"),
    ],
)
def test_invalid_json_is_one_error_with_its_place(content: bytes, line: int, column: int, words: str) -> None:
    ((finding, *place),) = lint_file(content)

    assert place == [line, column]
    assert finding.is_error
    assert words in finding.message


def test_a_byte_order_mark_is_an_error_and_shifts_no_column() -> None:
    content = b'\xef\xbb\xbf[{"action": "talk"}]'

    assert [(finding.message, line, column) for finding, line, column in lint_file(content)] == [
        ("The file begins with a byte order mark.", 1, 1),
        ("This talk has no text.", 1, 2),
    ]


def test_an_infinite_value_is_too_large_and_does_not_crash() -> None:
    headers: dict[str, Any] = {}
    headers["a"] = headers

    (finding,) = lint([connect(WEBSOCKET | {"headers": headers})])

    assert "far too many" in finding.message


def test_a_file_full_of_faults_is_checked_within_a_minute() -> None:
    flow = [talk(bargeIn=True)] * 5000 + [1] * 5000 + [talk(**{f"t{i}": 1}) for i in range(1000)]

    assert len(lint_file(json.dumps(flow).encode())) == 11_000
