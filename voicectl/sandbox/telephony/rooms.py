"""Rooms and other conversations: legs that enter, leave, are moved, and are turned out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.sounds import music
from voicectl.sandbox.telephony.state import MAX_LEGS, Conversation, Seat

if TYPE_CHECKING:
    from voicectl.sandbox.telephony.actions import Join, MoveAll
    from voicectl.sandbox.telephony.state import Leg


class Rooms(Media, ABC):
    """:class:`Media` in conversations that legs come to and go from."""

    @abstractmethod
    def finish(self, leg: Leg) -> None:
        """End *leg* from our side."""

    def join(self, leg: Leg, room: Join) -> bool:
        """Bring *leg* into a named room, and the room to life if the leg may do that.

        Returns:
            False if the room is full: the leg stays where it is.
        """
        conversation = self.room(room.name, leg.application_id, leg.region)
        if conversation is not leg.conversation and len(conversation.legs) >= MAX_LEGS:
            self.complain(leg.uuid, f"conversation: {room.name} holds {MAX_LEGS} legs already")
            return False
        leg.is_muted = leg.is_muted or room.mute
        self._move(leg, conversation, Seat(ends=room.ends, can_hear=room.can_hear, can_speak=room.can_speak))
        if room.record is not None and not conversation.recordings and conversation.to_record is None:
            conversation.to_record = leg, room
        if room.starts:
            conversation.is_started = True
            for other in conversation.legs.values():
                self.cut(other.music)
        elif room.music is not None and not conversation.is_started:
            leg.music = self.play(leg, music(room.music))
        if conversation.is_started:
            self._record_room(conversation)
        return True

    def leave_room(self, leg: Leg) -> None:
        """Bring *leg* into a new conversation of its own."""
        self._move(leg, self._new_conversation(leg.application_id, leg.region), Seat())

    def move_all(self, leg: Leg, move: MoveAll) -> bool:
        """Bring all legs of the conversation of *leg* into another, whose flow governs them from then on.

        Returns:
            False if there is no such conversation: nobody moves.
        """
        left = leg.conversation
        target = self.conversations.by_uuid.get(move.conversation_uuid)
        place = leg.application_id, leg.region
        if target is None or target is left or (target.application_id, target.region) != place:
            self.complain(leg.uuid, f"transfer: no conversation {move.conversation_uuid} to go to")
            return False
        if len(target.legs) + len(left.legs) > MAX_LEGS:
            self.complain(leg.uuid, f"transfer: {move.conversation_uuid} holds {MAX_LEGS} legs at most")
            return False
        seat = Seat(can_hear=move.can_hear, can_speak=move.can_speak, is_guest=True)
        for each in list(left.legs.values()):
            if each.is_over:
                continue
            if each.script is not None:
                script, each.script = each.script, None
                script.release()
            if not each.is_up:
                self.finish(each)
                continue
            each.dialled_by = None
            each.is_joined = True
            each.is_muted = each.is_muted or move.mute
            self._move(each, target, seat)
        return True

    def _leave_caller(self, leg: Leg) -> None:
        if leg.dialled_by is not None:
            dialler, leg.dialled_by = leg.dialled_by, None
            dialler.callee_left()

    def _enter(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        self.conversations.enter(leg, conversation, seat)
        self._note(conversation, "member:joined" if leg.is_up else "member:invited", leg)

    def _take_out(self, leg: Leg, reason: str) -> list[Leg]:
        """Take *leg* out of its conversation; it returns those for whom the conversation is over with it."""
        left = leg.conversation
        if leg.uuid not in left.legs:
            return []
        self.part(leg)
        turned_out = self.conversations.leave(leg)
        for each in turned_out:
            self.part(each)
        self._note(left, "member:left", leg, reason=reason)
        for each in turned_out:
            self._note(left, "member:left", each, reason="conversation ended")
        if left.to_record is not None and left.to_record[0] is leg:
            left.to_record = None
        return turned_out

    def _see_off(self, left: Conversation, turned_out: list[Leg]) -> None:
        """See what becomes of a conversation that a leg has left, and of those who were in it."""
        if not left.legs:
            self._close(left)
        for each in turned_out:
            self._turn_out(each)
        guests = [each for each in left.legs.values() if each.seat.is_guest]
        if left.name is None and len(guests) == len(left.legs):
            for each in guests:
                if not each.is_over:
                    self.finish(each)

    def _close(self, conversation: Conversation) -> None:
        """The last leg has left: a call's own conversation vanishes, a room waits to start again."""
        for recording in list(conversation.recordings):
            self.stop_recording(recording)
        for heard in (conversation.talk, conversation.stream):
            self.cut(heard)
        conversation.to_record = None
        conversation.is_started = conversation.name is None
        if not conversation.stays:
            self._vanish(conversation)

    def _turn_out(self, leg: Leg) -> None:
        """Tell *leg* that the conversation it was in is over."""
        if leg.is_over:
            return
        if leg.script is not None:
            leg.script.room_closed()
        else:
            self.finish(leg)

    def _record_room(self, conversation: Conversation) -> None:
        if conversation.to_record is None:
            return
        (leg, room), conversation.to_record = conversation.to_record, None
        if room.record is not None:
            self.record(leg, room.record, of=conversation)

    def _move(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        self.cut(leg.music)
        if conversation is leg.conversation:
            leg.seat = seat
            return
        left = leg.conversation
        self._leave_caller(leg)
        turned_out = self._take_out(leg, "transferred")
        self._enter(leg, conversation, seat)
        self._note(conversation, "rtc:transfer", leg, transferred_from=left.uuid)
        self.tell(leg, Kind.TRANSFER, events.transfer(leg, self.now, left.uuid, conversation.uuid))
        self._see_off(left, turned_out)
