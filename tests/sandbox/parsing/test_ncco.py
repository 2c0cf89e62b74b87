"""Reading NCCOs: every action and option, tolerated and refused values."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.parts import dial
from tests.support.flows import (
    APP,
    CDN,
    CHOICES,
    CON,
    EXAMPLES,
    FLAGS,
    LEG,
    OTHER,
    PHONE,
    RANGES,
    with_,
)
from voicectl.sandbox.parsing.ncco import MAX_LOOP, read_ncco
from voicectl.sandbox.telephony.actions import (
    Action,
    DtmfTerms,
    Format,
    Input,
    Join,
    MoveAll,
    Notify,
    Play,
    Record,
    SpeechTerms,
    Transcription,
    Wait,
    Webhook,
)
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode
from voicectl.sandbox.telephony.sounds import audio, speech

TALK = {"action": "talk", "text": "Hello"}
STREAM = {"action": "stream", "streamUrl": [f"{CDN}/a.mp3"]}
RECORD = {"action": "record"}
CONVERSATION = {"action": "conversation", "name": "r"}
CONNECT = {"action": "connect", "endpoint": [PHONE]}
INPUT = {"action": "input", "type": ["dtmf"]}
SPEECH = {"action": "input", "type": ["speech"]}
NOTIFY = {"action": "notify", "payload": {}, "eventUrl": [APP]}
TRANSFER = {"action": "transfer", "conversationId": CON}

SIP = {"type": "sip", "uri": "sip:desk@example.org"}
SOCKET = {"type": "websocket", "uri": "wss://example.org/a", "content-type": "audio/l16;rate=16000"}


def errors(ncco: object) -> list[str]:
    found: list[dict[str, str]] = []
    read_ncco(ncco, found)
    return [wrong["name"] for wrong in found]


def read(ncco: object) -> tuple[Action, ...]:
    found: list[dict[str, str]] = []
    actions = read_ncco(ncco, found)
    assert found == []
    return actions


def connect(endpoint: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"action": "connect", "endpoint": [endpoint], **options}


def without(action: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in action.items() if key != name}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_reference_are_accepted(name):
    assert len(read(EXAMPLES[name])) == len(EXAMPLES[name])


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        (TALK, Play(prompt=speech("Hello", options={}))),
        (
            TALK | {"loop": 2, "level": "0.4", "style": 1, "voiceName": "Amy", "provider": "google"},
            Play(
                prompt=speech(
                    "Hello", loop=2, options={"style": 1, "loop": 2, "level": "0.4", "voiceName": "Amy"}
                )
            ),
        ),
        (STREAM, Play(prompt=audio(f"{CDN}/a.mp3", options={}))),
        (
            STREAM | {"loop": 0, "bargeIn": "false"},
            Play(prompt=audio(f"{CDN}/a.mp3", loop=0, options={"loop": 0})),
        ),
        (RECORD, Record()),
        (RECORD | {"split": "conversation"}, Record(is_split=True, channels=2)),
        (RECORD | {"split": "conversation", "channels": 1}, Record(is_split=True, channels=2)),
        (
            RECORD | {"split": "conversation", "channels": 3},
            Record(is_split=True, channels=3, format=Format.WAV),
        ),
        (
            RECORD | {"split": "conversation", "channels": 3, "format": "mp3"},
            Record(is_split=True, channels=3, format=Format.WAV),
        ),
        (
            RECORD | {"split": "conversation", "channels": 32, "format": "ogg"},
            Record(is_split=True, channels=32, format=Format.OGG),
        ),
        (
            EXAMPLES["voicemail"][1],
            Record(
                format=Format.WAV,
                is_split=True,
                channels=2,
                end_on_silence=4,
                end_on_key="#",
                time_out=120,
                beep_start=True,
                events=Webhook(url=f"{APP}/rec", method="POST"),
                transcription=Transcription(
                    language="en-GB",
                    sentiment_analysis=True,
                    events=Webhook(url=f"{APP}/tr", method="POST"),
                ),
            ),
        ),
        (RECORD | {"transcription": {}}, Record(transcription=Transcription())),
        (
            RECORD | {"eventUrl": [APP], "eventMethod": "GET"},
            Record(events=Webhook(url=APP, method="GET")),
        ),
        (CONVERSATION, Join(name="r")),
        (
            EXAMPLES["supervisor"][0],
            Join(
                name="room-17",
                music=f"{CDN}/hold.mp3",
                can_hear=frozenset({LEG, OTHER}),
                can_speak=frozenset({LEG}),
                record=Record(events=Webhook(url=f"{APP}/rec", method="POST"), transcription=Transcription()),
            ),
        ),
        (CONVERSATION | {"record": True}, Join(name="r", record=Record())),
        (
            CONVERSATION | {"startOnEnter": False, "endOnExit": "true", "mute": True, "canHear": []},
            Join(name="r", starts=False, ends=True, mute=True, can_hear=frozenset()),
        ),
        (CONVERSATION | {"canSpeak": [], "mute": False}, Join(name="r", can_speak=frozenset())),
        (CONVERSATION | {"eventUrl": [APP]}, Join(name="r")),
        (CONNECT, dial(PHONE)),
        (
            EXAMPLES["connect in full"][0],
            dial(
                PHONE,
                caller="447700900456",
                timeout=20,
                limit=3600,
                detection=Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT),
                dtmf_answer="2p02p#",
                ringback=f"{CDN}/ring.mp3",
                is_synchronous=True,
                on_answer=Webhook(url=f"{APP}/whisper"),
                events=Webhook(url=f"{APP}/ev", method="POST"),
            ),
        ),
        (
            CONNECT | {"machineDetection": "hangup", "advanced_machine_detection": {"mode": "default"}},
            dial(PHONE, detection=Detection(behavior=Behavior.CONTINUE, mode=Mode.DEFAULT)),
        ),
        (CONNECT | {"ringbackTone": [f"{CDN}/r.mp3"]}, dial(PHONE, ringback=f"{CDN}/r.mp3")),
        (CONNECT | {"from": "Vonage"}, dial(PHONE, caller="unknown")),
        (CONNECT | {"from": ""}, dial(PHONE, caller="unknown")),
        (connect(SOCKET, **{"from": "Vonage"}), dial(SOCKET | {"headers": {}}, caller="Vonage")),
        (
            connect(SOCKET | {"headers": {"a": "x" * 700, "b": None}}),
            dial(SOCKET | {"headers": {"a": "x" * 700, "b": None}}),
        ),
        (connect(SIP | {"uri": "sip:" + "a" * 300}), dial(SIP | {"uri": "sip:" + "a" * 300})),
        (
            connect(PHONE | {"onAnswer": {"url": APP, "ringback": f"{CDN}/r.mp3"}}),
            dial(PHONE, on_answer=Webhook(url=APP), ringback=f"{CDN}/r.mp3"),
        ),
        (
            connect(
                PHONE | {"onAnswer": {"url": APP, "ringbackTone": f"{CDN}/b.mp3"}},
                ringbackTone=f"{CDN}/a.mp3",
            ),
            dial(PHONE, on_answer=Webhook(url=APP), ringback=f"{CDN}/a.mp3"),
        ),
        (
            connect(PHONE | {"number": "+447700900123"}, **{"from": "+447700900456"}),
            dial(PHONE, caller="447700900456"),
        ),
        (connect(SIP | {"headers": {"a": "b"}, "standardHeaders": {}}), dial(SIP)),
        (connect(SIP | {"uri": "SIPS:a@b"}), dial(SIP | {"uri": "SIPS:a@b"})),
        (
            connect(EXAMPLES["other endpoints"][4]["endpoint"][0]),
            dial({"type": "sip", "user": "desk", "domain": "trunk"}),
        ),
        (connect({"type": "app", "user": "alice"}), dial({"type": "app", "user": "alice"})),
        (connect({"type": "vbc", "extension": "12"}), dial({"type": "vbc", "extension": "12"})),
        (connect(SOCKET), dial(SOCKET | {"headers": {}})),
        (
            connect(SOCKET | {"headers": {"a": [1]}, "authorization": {"value": "ignored"}}),
            dial(SOCKET | {"headers": {"a": [1]}, "authorization": {"type": "vonage"}}),
        ),
        (
            connect(SOCKET | {"authorization": {"type": "custom", "value": "Bearer abc"}}),
            dial(SOCKET | {"headers": {}, "authorization": {"type": "custom", "value": "Bearer abc"}}),
        ),
        (INPUT, Input(dtmf=DtmfTerms())),
        (SPEECH, Input(speech=SpeechTerms())),
        (
            EXAMPLES["input in full"][0],
            Input(
                dtmf=DtmfTerms(time_out=5, max_digits=6, submit_on_hash=True),
                speech=SpeechTerms(
                    uuid=LEG,
                    end_on_silence=1.5,
                    language="en-GB",
                    context=("sales", "support"),
                    start_timeout=10,
                    max_duration=30,
                    save_audio=True,
                ),
                events=Webhook(url=f"{APP}/in", method="POST"),
            ),
        ),
        ({"action": "input", "maxDigits": "1"}, Input(dtmf=DtmfTerms(max_digits=1), is_old=True)),
        (
            {"action": "input", "timeOut": 5, "submitOnHash": True},
            Input(dtmf=DtmfTerms(time_out=5, submit_on_hash=True), is_old=True),
        ),
        (INPUT | {"maxDigits": 1}, Input(dtmf=DtmfTerms(max_digits=1))),
        (INPUT | {"maxDigits": 1, "dtmf": {"timeOut": 1}}, Input(dtmf=DtmfTerms(time_out=1))),
        (
            {"action": "input", "eventUrl": [APP]},
            Input(dtmf=DtmfTerms(), events=Webhook(url=APP, method="POST")),
        ),
        ({"action": "input", "dtmf": {"maxDigits": 1}}, Input(dtmf=DtmfTerms(max_digits=1))),
        ({"action": "input", "speech": {"startTimeout": 5}}, Input(speech=SpeechTerms(start_timeout=5))),
        ({"action": "input", "dtmf": {}, "speech": {}}, Input(dtmf=DtmfTerms(), speech=SpeechTerms())),
        (
            {"action": "input", "maxDigits": 1, "speech": {}},
            Input(dtmf=DtmfTerms(max_digits=1), speech=SpeechTerms()),
        ),
        (INPUT | {"speech": {"startTimeout": 5}}, Input(dtmf=DtmfTerms())),
        (INPUT | {"mode": "asynchronous", "dtmf": {}}, Input(dtmf=DtmfTerms(), is_asynchronous=True)),
        (
            INPUT | {"type": ["dtmf", "speech"], "mode": "asynchronous"},
            Input(dtmf=DtmfTerms(), is_asynchronous=True),
        ),
        (SPEECH | {"mode": "asynchronous"}, Input(speech=SpeechTerms())),
        (
            NOTIFY | {"payload": {"a": [1, None]}, "eventMethod": "GET"},
            Notify(payload={"a": [1, None]}, events=Webhook(url=APP, method="GET")),
        ),
        (NOTIFY, Notify(payload={}, events=Webhook(url=APP, method="POST"))),
        ({"action": "wait"}, Wait(seconds=10)),
        ({"action": "wait", "timeout": "0.5"}, Wait(seconds=0.5)),
        ({"action": "wait", "timeout": 0}, Wait(seconds=0.1)),
        ({"action": "wait", "timeout": -(10**400)}, Wait(seconds=0.1)),
        ({"action": "wait", "timeout": 10**400}, Wait(seconds=7200)),
        (TRANSFER, MoveAll(conversation_uuid=CON)),
        (
            {"action": "transfer", "conversation_id": CON, "mute": "true", "canHear": [LEG]},
            MoveAll(conversation_uuid=CON, mute=True, can_hear=frozenset({LEG})),
        ),
        (TRANSFER | {"conversation_id": "other"}, MoveAll(conversation_uuid=CON)),
    ],
)
def test_an_action_is_read_with_its_options(action, meant):
    assert read([action]) == (meant,)


@pytest.mark.parametrize("action", [TALK, STREAM, RECORD, CONVERSATION, CONNECT, INPUT, NOTIFY, TRANSFER])
def test_undocumented_options_are_ignored(action):
    assert read([action | {"not_in_any_document": {"a": None}}]) == read([action])


@pytest.mark.parametrize(("action", "option", "least", "most"), RANGES, ids=lambda each: str(each)[:40])
def test_ranges_end_where_the_reference_says_for_numbers_and_for_text(action, option, least, most):
    is_whole = "level" not in option and least != 0.4
    high = 10**30 if most is None else most

    for value in (least, high, str(least), str(high)):
        assert errors(with_(action, option, value)) == []
    for value in (least - 1, *([] if most is None else [most + 1])):
        assert errors(with_(action, option, value)) == [f"ncco[0].{option}"]
        assert errors(with_(action, option, str(value))) == [f"ncco[0].{option}"]
    for value in (True, [], {}, "x", "", "1e1", "0x1", "\u0663", " 1", "9" * 5000, float("inf")):
        assert errors(with_(action, option, value)) == [f"ncco[0].{option}"]
    assert errors(with_(action, option, least + 0.5)) == [f"ncco[0].{option}"] * is_whole


@pytest.mark.parametrize(("action", "option"), FLAGS)
def test_flags_may_be_text(action, option):
    for value in (True, False):
        assert read(with_(action, option, str(value).lower()))
        assert errors(with_(action, option, value)) == []
    for value in (0, 1, "yes", "True", "", [], {}):
        assert errors(with_(action, option, value)) == [f"ncco[0].{option}"]


@pytest.mark.parametrize(("action", "option", "values"), CHOICES)
def test_choices_are_those_of_the_reference(action, option, values):
    for value in values:
        assert errors(with_(action, option, value)) == []
    for value in ("", "x", "Get", "12", True, 5, [values[0]]):
        assert errors(with_(action, option, value)) == [f"ncco[0].{option}"]


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("talk", ""),
        ({}, ".action"),
        ({"action": 1}, ".action"),
        ({"action": "Talk"}, ".action"),
        ({"action": "dance"}, ".action"),
        ({"action": "pay", "amount": -1}, ".amount"),
        ({"action": "pay", "prompts": [{"type": "Pin"}]}, ".prompts[0].type"),
        ({"action": "pay", "voice": {"style": -1}}, ".voice.style"),
        (without(TALK, "text"), ".text"),
        (TALK | {"text": " "}, ".text"),
        (TALK | {"text": "x" * 1501}, ".text"),
        (TALK | {"text": 1}, ".text"),
        (TALK | {"language": 1}, ".language"),
        (TALK | {"bargeIn": "yes"}, ".bargeIn"),
        (TALK | {"eventUrl": APP}, ".eventUrl"),
        (without(STREAM, "streamUrl"), ".streamUrl"),
        (STREAM | {"streamUrl": f"{CDN}/a.mp3"}, ".streamUrl"),
        (STREAM | {"streamUrl": [f"{CDN}/a.mp3"] * 2}, ".streamUrl"),
        (STREAM | {"streamUrl": ["ftp://a/b"]}, ".streamUrl"),
        (RECORD | {"channels": 2}, ".channels"),
        (RECORD | {"endOnKey": "12"}, ".endOnKey"),
        (RECORD | {"endOnKey": ""}, ".endOnKey"),
        (RECORD | {"endOnKey": 1}, ".endOnKey"),
        (RECORD | {"transcription": True}, ".transcription"),
        (RECORD | {"transcription": {"eventUrl": APP}}, ".transcription.eventUrl"),
        (RECORD | {"transcription": {"language": 1}}, ".transcription.language"),
        (without(CONVERSATION, "name"), ".name"),
        (CONVERSATION | {"name": " "}, ".name"),
        (CONVERSATION | {"canHear": "x"}, ".canHear"),
        (CONVERSATION | {"canSpeak": [1]}, ".canSpeak"),
        (CONVERSATION | {"mute": True, "canSpeak": []}, ".mute"),
        (CONVERSATION | {"musicOnHoldUrl": CDN}, ".musicOnHoldUrl"),
        (CONVERSATION | {"transcription": {}}, ".transcription"),
        (CONVERSATION | {"transcription": {}, "record": "false"}, ".transcription"),
        (CONVERSATION | {"eventMethod": "PUT"}, ".eventMethod"),
        ({"action": "connect"}, ".endpoint"),
        ({"action": "connect", "endpoint": PHONE}, ".endpoint"),
        ({"action": "connect", "endpoint": []}, ".endpoint"),
        ({"action": "connect", "endpoint": [PHONE, PHONE]}, ".endpoint"),
        ({"action": "connect", "endpoint": ["447700900123"]}, ".endpoint[0]"),
        (CONNECT | {"from": 447700900456}, ".from"),
        (CONNECT | {"ringbackTone": [f"{CDN}/r.mp3"] * 2}, ".ringbackTone"),
        (TALK | {"bargeIn": True}, ".bargeIn"),
        (TALK | {"text": "<speak>a"}, ".text"),
        (TALK | {"provider": 1}, ".provider"),
        (SPEECH | {"speech": {"providerOptions": "x"}}, ".speech.providerOptions"),
        (CONNECT | {"from": PHONE}, ".from"),
        (CONNECT | {"from": "447700900456", "randomFromNumber": True}, ".from"),
        (CONNECT | {"ringbackTone": "ring.mp3"}, ".ringbackTone"),
        (CONNECT | {"advancedMachineDetection": "continue"}, ".advancedMachineDetection"),
        (connect(PHONE | {"onAnswer": APP}), ".endpoint[0].onAnswer"),
        (connect(PHONE | {"onAnswer": {}}), ".endpoint[0].onAnswer.url"),
        (connect(PHONE | {"onAnswer": {"url": [APP]}}), ".endpoint[0].onAnswer.url"),
        (connect(PHONE | {"onAnswer": {"url": APP, "ringback": 1}}), ".endpoint[0].onAnswer.ringback"),
        (
            connect(SIP | {"standardHeaders": {"User-to-User": "x" * 257}}),
            ".endpoint[0].standardHeaders.User-to-User",
        ),
        (INPUT | {"type": "dtmf"}, ".type"),
        (INPUT | {"type": []}, ".type"),
        (INPUT | {"type": ["dtmf", "fax"]}, ".type"),
        (INPUT | {"mode": "asynchronous", "dtmf": {"maxDigits": 1}}, ".dtmf"),
        (INPUT | {"dtmf": 4}, ".dtmf"),
        (INPUT | {"maxDigits": 0}, ".maxDigits"),
        (SPEECH | {"speech": {"uuid": LEG}}, ".speech.uuid"),
        (SPEECH | {"speech": {"uuid": []}}, ".speech.uuid"),
        (SPEECH | {"speech": {"uuid": [LEG, OTHER]}}, ".speech.uuid"),
        (SPEECH | {"speech": {"context": "sales"}}, ".speech.context"),
        (SPEECH | {"speech": {"context": [1]}}, ".speech.context"),
        (without(NOTIFY, "payload"), ".payload"),
        (NOTIFY | {"payload": "x"}, ".payload"),
        (without(NOTIFY, "eventUrl"), ".eventUrl"),
        ({"action": "wait", "timeout": "soon"}, ".timeout"),
        ({"action": "wait", "timeout": float("inf")}, ".timeout"),
        ({"action": "transfer"}, ".conversationId"),
        (TRANSFER | {"conversationId": 1}, ".conversationId"),
        (TRANSFER | {"mute": True, "canSpeak": [LEG]}, ".mute"),
    ],
)
def test_an_invalid_action_is_refused_with_its_name(action, name):
    assert errors([action]) == [f"ncco[0]{name}"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"type": "fax"}, "type"),
        ({"uri": "https://example.org"}, "uri"),
        ({"uri": "wss://"}, "uri"),
        ({"uri": "wss://a\nb"}, "uri"),
        ({"uri": 1}, "uri"),
        ({"content-type": "audio/l16;rate=44100"}, "content-type"),
        ({"content-type": None}, "content-type"),
        ({"headers": "a"}, "headers"),
        ({"authorization": "Bearer abc"}, "authorization"),
        ({"authorization": {"type": "basic"}}, "authorization.type"),
        ({"authorization": {"type": "custom"}}, "authorization.value"),
        ({"authorization": {"type": "custom", "value": 1}}, "authorization.value"),
        ({"authorization": {"type": "custom", "value": "a\r\nHost: b"}}, "authorization.value"),
    ],
)
def test_an_invalid_websocket_is_refused_with_its_name(change, name):
    assert errors([connect(SOCKET | change)]) == [f"ncco[0].endpoint[0].{name}"]


def test_a_prompt_may_be_interrupted_if_an_input_follows():
    prompts = [TALK | {"bargeIn": True}, STREAM]

    assert errors([*prompts, INPUT]) == []
    assert errors([*prompts, {"action": "wait"}, INPUT]) == ["ncco[0].bargeIn"]
    assert errors([TALK | {"bargeIn": True}, INPUT, STREAM | {"bargeIn": True}]) == ["ncco[2].bargeIn"]


def test_a_payment_is_skipped():
    assert read([{"action": "pay", "amount": 9.99, "eventUrl": [APP]}, TALK]) == read([TALK])


def reason(ncco: object) -> str:
    found: list[dict[str, str]] = []
    read_ncco(ncco, found)
    (error,) = found
    return error["reason"]


@pytest.mark.parametrize(
    ("ncco", "words"),
    [
        ([{"action": "hangup"}], "leave it out"),
        ([{"action": "websocket", "uri": "wss://a"}], '"connect" with an endpoint'),
        ([{"action": "dance"}], "talk, stream"),
        (TALK, "a single action"),
        ({"action": "websocket", "uri": "wss://a"}, "a single action"),
        ({"action": "hangup"}, "body of a request"),
        ({"ncco": [TALK]}, "body of a request"),
        ({"action": "transfer", "destination": {"type": "ncco", "ncco": [TALK]}}, "body of a request"),
    ],
)
def test_a_refusal_suggests_a_fix(ncco, words):
    assert words in reason(ncco)


@pytest.mark.parametrize("ncco", [None, {}, "[]", []])
def test_an_ncco_is_an_array_of_at_least_one_action(ncco):
    assert errors(ncco) == ["ncco"]


def test_it_may_be_empty_where_an_empty_one_has_a_meaning():
    found: list[dict[str, str]] = []

    assert read_ncco([], found, may_be_empty=True) == ()
    assert found == []


def test_all_errors_are_reported_at_once():
    broken: list[Any] = [{"action": "dance"}, {"action": "talk", "level": 2}, 7]
    broken.append(INPUT | {"dtmf": {"timeOut": 11}})

    assert errors(broken) == [
        "ncco[0].action",
        "ncco[1].text",
        "ncco[1].level",
        "ncco[2]",
        "ncco[3].dtmf.timeOut",
    ]


def test_more_loops_than_fit_into_a_call_are_cut():
    (action,) = read([TALK | {"loop": 10**4000}])

    assert isinstance(action, Play)
    assert action.prompt.loop == MAX_LOOP
