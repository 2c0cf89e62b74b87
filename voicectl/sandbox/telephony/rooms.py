"""The conversations that legs enter, leave and move between. A room is a conversation with a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Join, MoveAll
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.sounds import Sound, music
from voicectl.sandbox.telephony.state import MAX_LEGS, Conversation, Leg, Seat

HOURS = 3600


class Rooms:
    """An object that manages rooms and the conversations of single calls.

    The conversation of a single call is deleted when its last leg leaves. A room is kept, so that legs can enter it
    later.

    Args:
        base: The shared state: the legs, the conversations and the call clock.
        media: The object that plays sounds to the parties, and records the parties.
        finish: A function that ends a leg on behalf of the platform.
        hours: A function that takes an application id, and returns the number of hours for which the rooms of that
            application are kept.
    """

    def __init__(
        self, base: Base, media: Media, *, finish: Callable[[Leg], None], hours: Callable[[str], float]
    ) -> None:
        self._base = base
        self._media = media
        self._finish = finish
        self._hours = hours
        self._named: dict[tuple[str, str, str | None], Conversation] = {}

    def find(self, name: str, application_id: str, region: str) -> Conversation | None:
        """Return the room with the given name, application and region, or None if there is no such room."""
        return self._named.get((application_id, region, name))

    def new(self, application_id: str, region: str, name: str | None = None) -> Conversation:
        """Create and return a room called *name*. If *name* is None, create the conversation of a single call.

        The name of a room must be unique in its application and region.
        """
        conversation = Conversation(
            uuid=f"CON-{self._base.new_uuid()}",
            application_id=application_id,
            region=region,
            created=self._base.now,
            made_at=self._base.host_time(),
            is_started=name is None,
        )
        self._base.conversations[conversation.uuid] = conversation
        self._base.note(conversation, "conversation:created", None)
        if name is not None:
            self.rename(conversation, name)
        return conversation

    def create(self, name: str | None, *, application_id: str, region: str) -> Conversation:
        """Create and return a room for the Conversation API.

        The name must be unique in the application and region. If *name* is None, a unique name is generated.
        """
        return self.new(application_id, region, name or f"NAM-{self._base.new_uuid()}")

    def rename(self, conversation: Conversation, name: str) -> None:
        """Change the name of *conversation* to *name*, which must be unique in the application and region.

        The conversation of a single call becomes a room when it receives a name.
        """
        place = conversation.application_id, conversation.region
        if conversation.name is None:  # a conversation expires some hours after it becomes a room
            seconds = self._hours(conversation.application_id) * HOURS
            self._base.agenda.after(seconds, lambda: self._expire(conversation))
        else:
            del self._named[*place, conversation.name]
        conversation.name = name
        self._named[*place, name] = conversation

    def delete(self, conversation: Conversation) -> None:
        """End all legs in *conversation*, and then delete the conversation."""
        for leg in list(conversation.legs.values()):
            if not leg.is_over:
                self._finish(leg)
        self._close(conversation)
        self._vanish(conversation)

    def enter(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        """Add *leg* to *conversation* with the role *seat*. The leg must not be in any other conversation."""
        self._base.register.set_conversation(leg, conversation)
        leg.seat = seat
        conversation.legs[leg.uuid] = leg
        self._base.note(conversation, "member:joined" if leg.is_up else "member:invited", leg)

    def leave(self, leg: Leg, reason: str) -> None:
        """Remove *leg* from its conversation. The conversation may then end.

        The ``member:left`` event contains *reason*. The attribute ``leg.conversation`` does not change.
        """
        self._clean_up(leg.conversation, self._take_out(leg, reason))

    def admit(self, leg: Leg) -> None:
        """Let *leg* and the other legs in its conversation hear each other."""
        leg.is_joined = True

    def mute(self, leg: Leg, *, on: bool) -> None:
        """Mute or unmute *leg*. The setting also applies to later conversations."""
        if leg.is_muted is not on:
            leg.is_muted = on
            self._base.note(leg.conversation, f"audio:mute:{'on' if on else 'off'}", leg, rtc_id=leg.uuid)

    def earmuff(self, leg: Leg, *, on: bool) -> None:
        """Turn earmuffs for *leg* on or off. The setting also applies to later conversations."""
        if leg.is_earmuffed is not on:
            leg.is_earmuffed = on
            self._base.note(leg.conversation, f"audio:earmuff:{'on' if on else 'off'}", leg, rtc_id=leg.uuid)

    def join(self, leg: Leg, room: Join) -> bool:
        """Move *leg* to the room that *room* describes. If ``room.starts`` is True, also start the room.

        Returns:
            True if the leg moved, or False if the room is full.
        """
        place = leg.application_id, leg.region
        conversation = self.find(room.name, *place) or self.new(*place, room.name)
        if conversation is not leg.conversation and len(conversation.legs) >= MAX_LEGS:
            self._base.send_error(leg.uuid, f"conversation: {room.name} holds {MAX_LEGS} legs already")
            return False
        leg.is_muted = leg.is_muted or room.mute
        self._move(leg, conversation, Seat(ends=room.ends, can_hear=room.can_hear, can_speak=room.can_speak))
        if room.record is not None and not conversation.recordings and conversation.to_record is None:
            conversation.to_record = leg, room.record
        if room.starts:
            conversation.is_started = True
            for other in conversation.legs.values():
                self._media.play_instead(other, Sound.MUSIC, None)
        elif room.music is not None and not conversation.is_started:
            self._media.play_instead(leg, Sound.MUSIC, music(room.music))
        if conversation.is_started and conversation.to_record is not None:
            (asker, order), conversation.to_record = conversation.to_record, None
            self._media.record(asker, order, of=conversation)
        return True

    def leave_room(self, leg: Leg) -> None:
        """Move *leg* to a new conversation of its own."""
        self._move(leg, self.new(leg.application_id, leg.region), Seat())

    def move_all(self, leg: Leg, move: MoveAll) -> bool:
        """Move all legs in the conversation of *leg* to the conversation that *move* names, and stop the legs' flows.

        Returns:
            True if the legs moved, or False if the other conversation does not exist or would have too many legs.
        """
        left = leg.conversation
        target = self._base.conversations.get(move.conversation_uuid)
        place = leg.application_id, leg.region
        if target is None or target is left or (target.application_id, target.region) != place:
            self._base.send_error(
                leg.uuid, f"transfer: there is no other conversation {move.conversation_uuid} to move to"
            )
            return False
        if len(target.legs) + len(left.legs) > MAX_LEGS:
            self._base.send_error(
                leg.uuid, f"transfer: {move.conversation_uuid} can hold at most {MAX_LEGS} legs"
            )
            return False
        seat = Seat(can_hear=move.can_hear, can_speak=move.can_speak, is_guest=True)
        for each in list(left.legs.values()):
            if each.is_over:
                continue
            each.flow.abandon(keep_callee=True)
            if not each.is_up:
                self._finish(each)
                continue
            self.admit(each)
            each.is_muted = each.is_muted or move.mute
            self._move(each, target, seat)
        return True

    def _move(self, leg: Leg, conversation: Conversation, seat: Seat) -> None:
        self._media.play_instead(leg, Sound.MUSIC, None)
        if conversation is leg.conversation:
            leg.seat = seat
            return
        left = leg.conversation
        leg.flow.leave_caller()
        turned_out = self._take_out(leg, "transferred")
        self.enter(leg, conversation, seat)
        self._base.note(conversation, "rtc:transfer", leg, transferred_from=left.uuid)
        fields = events.transfer(leg, self._base.now, left.uuid, conversation.uuid)
        self._base.send_event(leg, Kind.TRANSFER, fields)
        self._clean_up(left, turned_out)

    def _take_out(self, leg: Leg, reason: str) -> list[Leg]:
        """Remove *leg* from its conversation.

        If ``endOnExit`` is set for the leg, all other legs are also removed. Return these other legs.
        """
        left = leg.conversation
        if left.legs.pop(leg.uuid, None) is None:
            return []
        turned_out = list(left.legs.values()) if leg.seat.ends else []
        self._media.disconnect(leg)
        self._base.note(left, "member:left", leg, reason=reason)
        for each in turned_out:
            del left.legs[each.uuid]
            self._media.disconnect(each)
            self._base.note(left, "member:left", each, reason="conversation ended")
        if left.to_record is not None and left.to_record[0] is leg:
            left.to_record = None
        return turned_out

    def _clean_up(self, left: Conversation, turned_out: list[Leg]) -> None:
        """Clean up after legs have left the conversation *left*.

        If the conversation is empty, close it. Move each leg in *turned_out* to a new conversation, or end the leg.
        """
        if not left.legs:
            self._close(left)
        for each in turned_out:
            if each.is_over:
                continue
            if each.flow.run is not None:
                each.flow.run.room_closed()
            else:
                self._finish(each)
        guests = [each for each in left.legs.values() if each.seat.is_guest]
        if left.name is None and len(guests) == len(left.legs):
            for each in guests:
                if not each.is_over:
                    self._finish(each)

    def _close(self, conversation: Conversation) -> None:
        """Close *conversation*, because its last leg has left.

        The conversation of a single call is deleted. A room is kept, so that legs can enter it later.
        """
        self._media.stop_recordings(conversation.recordings)
        for sound in Sound:
            self._media.cut(conversation.playing.get(sound))
        conversation.to_record = None
        conversation.is_started = conversation.name is None
        if not conversation.stays:
            self._vanish(conversation)

    def _expire(self, conversation: Conversation) -> None:
        conversation.is_expired = True
        if not conversation.legs:
            self._vanish(conversation)

    def _vanish(self, conversation: Conversation) -> None:
        if self._base.conversations.pop(conversation.uuid, None) is not None:
            self._named.pop((conversation.application_id, conversation.region, conversation.name), None)
            deleted = partial(self._base.note, conversation, "conversation:deleted", None)
            self._media.after_recordings(conversation, deleted)
