"""Code that carries out the effects of simulated calls, such as sending webhook requests and writing files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from voicectl.sandbox.conversations.log import ConversationLogs
from voicectl.sandbox.log import Log
from voicectl.sandbox.recordings.files import Files
from voicectl.sandbox.sockets.bridge import Sockets
from voicectl.sandbox.telephony.effects import (
    Close,
    Event,
    Fetch,
    Note,
    Open,
    Remark,
    SaveRecording,
    SendSound,
)
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.webhooks.delivery import Answer
from voicectl.sandbox.webhooks.sender import Webhooks

Wait = Coroutine[Any, Any, Callable[[], None]]
"""A coroutine that performs a slow effect.

The coroutine returns a function. Calling that function passes the outcome of the effect to the exchange.
"""


class Performer:
    """The part of the sandbox that performs an exchange's effects, such as sending webhooks and saving recordings.

    Args:
        exchange: The exchange that produces the effects and receives their outcomes.
        webhooks: The webhook client, which sends events and fetches NCCOs.
        conversations: The logs in which conversation events are recorded.
        files: The storage for recordings and transcriptions.
        sockets: The WebSocket connections of the exchange's legs.
        log: The log, to which every event and remark is added.
        file_url: A function that takes a region and the id of a file, and returns the URL of the file.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        webhooks: Webhooks,
        conversations: ConversationLogs,
        files: Files,
        sockets: Sockets,
        log: Log,
        file_url: Callable[[str, str], str],
    ) -> None:
        self._exchange = exchange
        self._webhooks = webhooks
        self._conversations = conversations
        self._files = files
        self._sockets = sockets
        self._log = log
        self._file_url = file_url

    def perform(self) -> list[Wait]:
        """Perform the pending effects that are quick, and return a coroutine for each slow effect.

        The caller must await the coroutines.
        """
        waits: list[Wait] = []
        for effect in self._exchange.collect():
            match effect:
                case Event():
                    self._write_down(effect)
                    if effect.may_bring_ncco:
                        waits.append(self._ask(effect, self._webhooks.ask(effect)))
                    else:
                        self._webhooks.send(effect)
                case Note():
                    self.note(effect)
                case Fetch():
                    waits.append(self._ask(effect, self._webhooks.ask(effect)))
                case SaveRecording(recording=recording):
                    waits.append(self._keep(recording))
                case Open():
                    waits.append(self._sockets.open(effect))
                case Close(uuid=uuid):
                    self._sockets.close_leg(uuid)
                case SendSound():
                    self._sockets.sounding(effect)
                case Remark():
                    self._log.add("remark", at=effect.at, uuid=effect.uuid, reason=effect.reason)
        return waits

    def note(self, note: Note) -> None:
        """Record *note*, a conversation event, and send it to the application's webhook for conversation events."""
        fields = self._conversations.write(note)
        if fields is not None:
            self._webhooks.publish(note, fields)

    def _write_down(self, event: Event) -> None:
        fields = {name: value for name, value in event.fields.items() if name != "timestamp"}
        self._log.add(event.kind, at=event.at, **{"uuid": event.uuid} | fields)

    async def _ask(self, asked: Fetch | Event, answer: Awaitable[Answer]) -> Callable[[], None]:
        return partial(self._take, asked, await answer)

    def _take(self, asked: Fetch | Event, answer: Answer) -> None:
        for reason in answer.errors:
            self._exchange.base.send_error(asked.uuid, reason)
        if isinstance(asked, Event):
            self._exchange.replied(asked, answer.actions)
        elif answer.actions is None:
            self._exchange.give_up(asked, answer.reason)
        else:
            self._exchange.resume(asked, answer.actions)

    async def _keep(self, recording: Recording) -> Callable[[], None]:
        made = await self._files.make(recording)

        def report() -> None:
            if made is None:
                return
            if made.remark is not None:
                self._log.add("remark", uuid=recording.leg_uuid, reason=f"recording: {made.remark}")
            url = self._file_url(recording.region, recording.file_id)
            self._exchange.media.recorded(recording, url=url, size=made.size)
            if made.size and recording.transcription_id is not None:
                url = self._file_url(recording.region, recording.transcription_id)
                self._exchange.media.transcribed(recording, url=url)

        return report
