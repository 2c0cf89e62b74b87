"""Random operations in any order: no illegal status, no partial refusal, and the same result for a seed."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.sandbox.parts import APPLICATION, Line, line, phone, room, say, saying
from voicectl.sandbox.telephony.actions import (
    DtmfTerms,
    Input,
    MoveAll,
    Notify,
    Order,
    Record,
    SpeechTerms,
    Wait,
    Webhook,
)
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode
from voicectl.sandbox.telephony.effects import Effect, Event, Kind, Open, SaveRecording, SendSound
from voicectl.sandbox.telephony.exchange import Exchange, ExchangeError
from voicectl.sandbox.telephony.sounds import Sound
from voicectl.sandbox.telephony.state import Leg
from voicectl.voice.call import NEXT, CallStatus

MUSIC = "http://127.0.0.1/hold.mp3"
NUMBERS = st.sampled_from(
    [
        f"447700900{n:03}"
        for n in (1, 200, 201, 202, 142, 203, 204, 205, 300, 301, 400, 410, 459, 500, 505, 600, 703)
    ]
)
ROOMS = st.builds(
    room,
    st.sampled_from(["red", "blue"]),
    starts=st.booleans(),
    ends=st.booleans(),
    mute=st.booleans(),
    can_hear=st.sampled_from([None, frozenset()]),
    music=st.sampled_from([None, MUSIC]),
    record=st.sampled_from([None, Record(time_out=20)]),
)
URL = Webhook(url="http://127.0.0.1/")
SOCKET = {"type": "websocket", "uri": "ws://127.0.0.1/"}
RECORDS = st.builds(
    Record,
    end_on_silence=st.none() | st.integers(3, 10),
    end_on_key=st.sampled_from([None, "1", "#"]),
    time_out=st.integers(3, 60),
    beep_start=st.booleans(),
)
INPUTS = st.builds(
    Input,
    dtmf=st.none() | st.builds(DtmfTerms, time_out=st.integers(0, 10), max_digits=st.integers(1, 4)),
    speech=st.none() | st.builds(SpeechTerms, start_timeout=st.integers(1, 10), save_audio=st.booleans()),
    is_asynchronous=st.booleans(),
)
DETECTIONS = st.none() | st.builds(
    Detection,
    behavior=st.sampled_from(Behavior),
    mode=st.none() | st.sampled_from(Mode),
    beep_timeout=st.integers(30, 120),
)
ACTIONS = st.one_of(
    st.builds(say, st.sampled_from(["", "Hello", "x" * 140]), loop=st.integers(0, 2), barge=st.booleans()),
    ROOMS,
    RECORDS,
    INPUTS,
    st.just(Notify(payload={}, events=URL)),
    st.builds(Wait, seconds=st.floats(0.1, 30)),
    st.just(MoveAll(conversation_uuid="CON-here")),
    st.just(phone(endpoint=SOCKET)),
    st.builds(
        phone,
        NUMBERS,
        timeout=st.integers(1, 60),
        limit=st.integers(1, 60),
        detection=DETECTIONS,
        ringback=st.sampled_from([None, MUSIC]),
        is_synchronous=st.booleans(),
        on_answer=st.sampled_from([None, URL]),
    ),
)
FLOWS = st.lists(ACTIONS, max_size=4).map(tuple)
LEGS = st.integers(0, 30)


def flow(leg: Leg) -> tuple[object, ...]:
    return leg.flow.pending, leg.flow.run, leg.flow.dialled_by, leg.flow.awaiting


def kept(leg: Leg) -> tuple[list[object], ...]:
    return leg.audio.key_listeners, leg.audio.speech_listeners, leg.audio.recordings, leg.timers


def snapshot(exchange: Exchange) -> object:
    return (
        [
            (
                *(leg.uuid, leg.status, leg.conversation.uuid, leg.is_muted, leg.is_earmuffed, leg.is_joined),
                *(leg.seat, *flow(leg), dict(leg.audio.playing), leg.audio.dtmf_url, leg.audio.inputs_seen),
                *(list(each) for each in kept(leg)),
                [(heard.at, heard.until, heard.prompt) for heard in leg.audio.heard],
                [timer.do is None for timer in leg.timers],
            )
            for leg in exchange.legs.values()
        ],
        {uuid: (each.is_started, list(each.legs)) for uuid, each in exchange.conversations.items()},
        exchange.next_due,
        exchange.now,
    )


def story(effect: Effect) -> object:
    match effect:
        case SaveRecording(recording=recording):
            spoken = [(track.speaker, track.heard.at, track.heard.until) for track in recording.tracks]
            return recording.uuid, recording.started, recording.ended, spoken
        case SendSound(uuid=uuid, heard=heard):
            return uuid, heard.at, heard.until
        case _:
            return asdict(effect)


class ExchangeRules(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lines: tuple[Line, Line] = (line(seed=3), line(seed=3))
        self.log: tuple[list[Effect], list[Effect]] = ([], [])

    def both(self, do: Callable[[Line], None]) -> None:
        """Apply an operation to both exchanges; both refuse the same ones, and a refusal changes neither."""
        refused = []
        for each, log in zip(self.lines, self.log, strict=True):
            before = snapshot(each.exchange)
            try:
                do(each)
                refused.append(False)
            except ExchangeError:
                refused.append(True)
                assert snapshot(each.exchange) == before
                assert each.exchange.collect() == []
            effects = each.exchange.collect()
            each.effects += effects
            log += effects
        assert refused[0] == refused[1]

    def to_leg(self, n: int, do: Callable[[Exchange, Leg], None]) -> None:
        def on(each: Line) -> None:
            legs = list(each.exchange.legs.values())
            do(each.exchange, legs[n % len(legs)])

        self.both(on)

    @property
    def has_legs(self) -> bool:
        return bool(self.lines[0].exchange.legs)

    @rule(
        number=NUMBERS,
        flow=FLOWS | st.just(URL),
        detection=DETECTIONS,
        timers=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    )
    def call(self, number, flow, detection, timers):
        options = {"detection": detection, "ringing_timer": timers[0], "length_timer": timers[1]}
        self.both(lambda each: each.call(number, flow, **options))

    @rule(number=NUMBERS, flow=st.none() | FLOWS)
    def ring(self, number, flow):
        to, from_ = {"type": "phone", "number": "442079460000"}, {"type": "phone", "number": number}
        order = Order(to=to, from_=from_, flow=flow)
        self.both(lambda each: each.exchange.ring(order, application_id=APPLICATION))

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds):
        self.both(lambda each: each.wait(seconds))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, operation=st.sampled_from(["hangup", "pick_up", "party_hangs_up"]))
    def end_or_answer(self, n, operation):
        self.to_leg(n, lambda exchange, leg: getattr(exchange, operation)(leg))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, operation=st.sampled_from(["mute", "earmuff"]), on=st.booleans())
    def mute_or_earmuff(self, n, operation, on):
        self.to_leg(n, lambda exchange, leg: getattr(exchange, operation)(leg, on=on))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, operation=st.sampled_from(["talk", "stream"]), prompt=st.none() | st.just(saying(loop=0)))
    def play(self, n, operation, prompt):
        self.to_leg(n, lambda exchange, leg: getattr(exchange, operation)(leg, prompt))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, operation=st.sampled_from(["dtmf", "press"]))
    def keys(self, n, operation):
        self.to_leg(n, lambda exchange, leg: getattr(exchange, operation)(leg, "1p#"))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, flow=FLOWS | st.just(URL))
    def transfer(self, n, flow):
        self.to_leg(n, lambda exchange, leg: exchange.transfer(leg, flow))

    @precondition(lambda self: self.lines[0].fetches())
    @rule(n=LEGS, flow=st.none() | FLOWS)
    def webhook_answers(self, n, flow):
        def answer(each: Line) -> None:
            fetches = each.fetches()
            fetch = fetches[n % len(fetches)]
            if flow is None:
                each.exchange.give_up(fetch, "no answer")
            else:
                each.exchange.resume(fetch, flow)

        self.both(answer)

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, text=st.sampled_from(["Hello", "x" * 140]))
    def speak(self, n, text):
        self.to_leg(n, lambda exchange, leg: exchange.say(leg, text))

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, m=LEGS, mute=st.booleans())
    def transfer_all(self, n, m, mute):
        def move(exchange: Exchange, leg: Leg) -> None:
            target = list(exchange.legs.values())[m % len(exchange.legs)].conversation
            exchange.transfer(leg, (MoveAll(conversation_uuid=target.uuid, mute=mute),))

        self.to_leg(n, move)

    @precondition(lambda self: self.replies_due(self.lines[0]))
    @rule(n=LEGS, flow=st.none() | FLOWS)
    def webhook_replies(self, n, flow):
        def reply(each: Line) -> None:
            due = self.replies_due(each)
            event = due[n % len(due)]
            each.effects.remove(event)
            each.exchange.replied(event, flow)

        self.both(reply)

    @staticmethod
    def replies_due(each: Line) -> list[Event]:
        return [effect for effect in each.effects if isinstance(effect, Event) and effect.may_bring_ncco]

    @precondition(lambda self: any(isinstance(effect, SaveRecording) for effect in self.lines[0].effects))
    @rule()
    def file_is_made(self):
        def make(each: Line) -> None:
            keep = next(effect for effect in each.effects if isinstance(effect, SaveRecording))
            each.effects.remove(keep)
            each.exchange.media.recorded(keep.recording, url="http://127.0.0.1/file", size=1)

        self.both(make)

    @precondition(lambda self: any(isinstance(effect, Open) for effect in self.lines[0].effects))
    @rule(n=LEGS, becomes=st.sampled_from(["socket_opened", "socket_closed", "socket_refused"]))
    def socket(self, n, becomes):
        def tell(each: Line) -> None:
            opens = [effect for effect in each.effects if isinstance(effect, Open)]
            leg = each.exchange.legs[opens[n % len(opens)].uuid]
            more = ("refused",) if becomes == "socket_refused" else ()
            getattr(each.exchange, becomes)(leg, *more)

        self.both(tell)

    @precondition(lambda self: self.has_legs)
    @rule(n=LEGS, what=st.sampled_from(["talk to all", "record", "stop recording", "dissolve"]))
    def to_a_conversation(self, n, what):
        def on(exchange: Exchange, leg: Leg) -> None:
            conversation = leg.conversation
            if conversation.uuid not in exchange.conversations:
                return
            match what:
                case "talk to all":
                    exchange.media.play_to_all(conversation, Sound.SPEECH, saying(loop=0))
                case "record":
                    exchange.record_all(conversation, Record())
                case "stop recording":
                    exchange.media.stop_recordings(conversation.recordings)
                case "dissolve":
                    exchange.rooms.delete(conversation)

        self.to_leg(n, on)

    @invariant()
    def recordings_end_with_what_they_record(self):
        exchange = self.lines[0].exchange
        for effect in self.log[0]:
            if isinstance(effect, SaveRecording):
                assert effect.recording.ended is not None
        for each in exchange.conversations.values():
            assert each.legs or not each.recordings
            assert all(recording.ended is None for recording in each.recordings)

    @invariant()
    def statuses_follow_one_another_as_they_may(self):
        exchange = self.lines[0].exchange
        seen = {uuid: [CallStatus.STARTED] for uuid in exchange.legs}
        for event in self.log[0]:
            # Not changes of the record: the first status, the verdict on a human, a second machine event.
            if not isinstance(event, Event) or event.kind is not Kind.STATUS:
                continue
            if event.fields["status"] not in ("started", "human", "disconnected"):
                seen[event.uuid].append(CallStatus(event.fields["status"]))
        for uuid, statuses in seen.items():
            assert statuses[-1] == exchange.legs[uuid].status
            for before, after in pairwise(statuses):
                assert after in NEXT[before] or before == after == "machine"

    @invariant()
    def a_leg_is_in_one_conversation_until_it_is_over(self):
        exchange = self.lines[0].exchange
        inside = [leg for each in exchange.conversations.values() for leg in each.legs.values()]
        assert len(inside) == len(exchange.live)
        for leg in exchange.live.values():
            assert leg.conversation.legs[leg.uuid] is leg
            assert exchange.conversations[leg.conversation.uuid] is leg.conversation
        assert all(each.legs or each.name for each in exchange.conversations.values())

    @invariant()
    def nothing_is_left_of_a_leg_that_is_over(self):
        exchange = self.lines[0].exchange
        for leg in exchange.legs.values():
            assert leg.is_over == (leg.uuid not in exchange.live)
            if leg.is_over:
                assert not any(kept(leg))
                assert flow(leg) == (None, None, None, None)
                assert not any(heard.is_on(exchange.now) for heard in leg.audio.heard)

    @invariant()
    def nothing_is_overdue(self):
        exchange = self.lines[0].exchange
        assert exchange.next_due is None or exchange.next_due >= exchange.now

    @invariant()
    def the_same_seed_tells_the_same_story(self):
        assert len(self.log[0]) == len(self.log[1])
        assert [story(each) for each in self.log[0][-5:]] == [story(each) for each in self.log[1][-5:]]


ExchangeRules.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExchangeRules = ExchangeRules.TestCase
