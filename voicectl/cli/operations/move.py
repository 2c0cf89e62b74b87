"""Move legs into a room, warn about legs that are left behind, and check that the moved legs arrive."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from voicectl.cli.ncco_input import check_ncco
from voicectl.cli.output.text import remark
from voicectl.cli.targets import LegOperation, noted
from voicectl.core.calls import move as moving
from voicectl.core.calls.entry_terms import EntryTerms
from voicectl.core.history import leg_key
from voicectl.errors import (
    ApiError,
    AuthError,
    DryRun,
    GuardError,
    Interrupted,
    OutcomeUnknown,
    TransportError,
    VoicectlError,
    WaitEnded,
    WaitTimeout,
)
from voicectl.voice import ncco

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voicectl.cli.context import App
    from voicectl.cli.targets import Targets
    from voicectl.voice.call import Call


class Move(LegOperation):
    """Moves legs into a room, and checks the legs before and after the move.

    Args:
        terms: The fields of the ``conversation`` action besides the name. A field that is None is not set.
        is_linted: True to check the NCCO that is built for the move.
        is_watched: True if the legs should be checked before and after the move.

    Raises:
        InputError: The NCCO has an error.
    """

    def __init__(
        self,
        app: App,
        room: str,
        terms: dict[str, Any] | None = None,
        *,
        is_linted: bool = True,
        is_watched: bool = True,
    ) -> None:
        terms = terms or {}
        flow = [ncco.conversation(room, **terms)]
        if is_linted:
            check_ncco(app.terminal, flow)
        entry = EntryTerms.of(
            can_hear=terms.get("can_hear"),
            can_speak=terms.get("can_speak"),
            starts=terms.get("start_on_enter") is not False,
        )
        super().__init__(app, "move", {"room": room} | entry.detail, how=f"to {room}")
        self._room = room
        self._destination = {"type": "ncco", "ncco": flow}
        self._is_plain = all(value is None for value in terms.values())
        self._is_watched = is_watched
        self._calls: dict[str, Call] = {}
        self._left: list[str] = []
        self._group: moving.MoveGroup | None = None
        self._has_become = False
        self._is_blind = False

    @cached_property
    def _arrivals(self) -> moving.ArrivalCheck:
        return moving.ArrivalCheck(self.app.api, self.app.conversations, self.app.clock, self._room)

    def gather(self, uuids: Sequence[str], *, limit: int, is_list: bool) -> Sequence[str]:
        """Return the ids of the named legs and of all other legs in their conversations, after any confirmation.

        Raises:
            GuardError: The user does not confirm, there are too many legs, or the other legs are not known.
            TransportError: The API gave no response that shows whether a ``connect`` action joined the legs.
        """
        app = self.app
        around = [self._surroundings(uuid) for uuid in uuids]
        for each in around:
            if each.doubt:
                raise GuardError(
                    f"The partners of {each.call.uuid} are not known: {each.doubt}.",
                    hint="No leg was moved. Without --with-partners, the leg is moved alone and its partners stay.",
                )
            if each.is_joined and isinstance(each.fault, TransportError):
                raise each.fault
        may_become = self._is_plain
        found = moving.move_group(around, self._room, may_become=may_become)
        if found.joined is not None and moving.room_exists(app.conversations, app.clock, self._room):
            may_become = False
            found = moving.move_group(around, self._room, may_become=may_become)
        self._group = found
        self._calls |= {call.uuid: call for call in found.calls}
        unread = {each.call.conversation_uuid: each.fault for each in around if each.fault is not None}
        for id_ in found.apart:
            why = self._why_apart(unread.get(id_), may_become=may_become)
            remark(
                f"warning: {why}, so the legs of {id_} are moved one by one; the platform may hang up the"
                " last leg before it is moved"
            )
        if is_list or found.apart or set(map(leg_key, uuids)) != {leg_key(call.uuid) for call in found.calls}:
            lines = [f"{moving.label(call)}, {call.status}" for call in found.calls]
            app.consent.confirm("move", lines, limit=limit, is_selected=True, how=self.how)
        return [call.uuid for call in found.calls]

    def run_each(self, several: Targets, uuids: Iterable[str]) -> None:
        """Move the legs, and check that they arrive in the room."""
        failed: list[str] = []
        for uuid in uuids:
            try:
                if not several.do(uuid):
                    failed.append(uuid)
            except OutcomeUnknown:
                if self._is_watched:
                    with suppress(Interrupted):  # report the unknown outcome, not the signal
                        self._report_places([uuid])
                raise
        if not self._is_watched:
            return
        try:
            if several.done:
                self._follow(several)
            self._report_places([*failed, *(uuid for uuid in self._left if uuid not in several.done)])
        except Interrupted as exc:
            several.report(exc)

    def run(self, uuid: str) -> bool | None:
        """Transfer a leg to the room, unless the leg's conversation becomes the room by being renamed."""
        if self._is_watched and self._group is None:
            self._look(uuid)
        if self._group is not None and self._is_plain and uuid in self._group.in_room:
            return False
        if self._takes_name(uuid):
            return None if self.app.options.dry_run else True
        self.app.api.transfer(uuid, self._destination)
        return True

    def _takes_name(self, uuid: str) -> bool:
        """Rename the leg's conversation to the room's name, if possible, and return True if it has that name now."""
        found = self._group
        if found is None or found.joined is None or uuid not in found.stays or not self._is_plain:
            return False
        if not self._has_become:
            app, id_, detail = self.app, found.joined.id, {"room": self._room}
            try:
                with noted(app, id_, moving.NAMED, detail):
                    has_become = moving.rename_to_room(app.conversations, found.joined, self._room)
            except DryRun:
                self._has_become = True
                raise
            if not has_become:
                raise GuardError(
                    f"A room named {self._room} has been created in the meantime, so {id_} cannot be given"
                    " that name.",
                    hint="Its legs were not moved. Run the command again to move them one by one.",
                )
            self._has_become = True
            app.action_log.add(app.clock.time(), id_, moving.NAMED, detail=detail)
        return True

    def _why_apart(self, fault: ApiError | TransportError | None, *, may_become: bool) -> str:
        """Return the reason why legs that a ``connect`` action joined must be moved one by one."""
        if not self._is_plain:
            return "the given options must be set on each leg separately"
        if fault is not None:
            return f"the conversation cannot be read ({fault.message.rstrip('.')})"
        return (
            "only one conversation can be given the room's name"
            if may_become
            else f"{self._room} already exists"
        )

    def _surroundings(self, uuid: str) -> moving.Surroundings:
        app = self.app
        return moving.surroundings(app.api, app.conversations, app.clock, uuid, notes_of=app.action_log.of)

    def _look(self, uuid: str) -> None:
        """Warn if another leg would be alone after the leg *uuid* moves. Failures of this check are only reported."""
        if self._is_blind:
            remark(f"The partners of {uuid} were not checked: the API did not respond to the previous check.")
            return
        try:
            around = self._surroundings(uuid)
        except AuthError:
            return  # the move will fail for the same reason
        except (ApiError, TransportError) as exc:
            self._is_blind = isinstance(exc, TransportError)
            remark(f"The partners of {uuid} could not be checked: {exc.message}")
            return
        self._calls[uuid] = around.call
        if around.doubt:
            remark(f"warning: the partners of {uuid} are not known: {around.doubt}")
        alone = around.left_alone
        if alone is not None:
            self._calls[alone.uuid] = alone
            self._left.append(alone.uuid)
            stays, leaves = moving.label(alone), moving.label(around.call)
            remark(
                f"warning: {stays} and {leaves} are joined by a connect action: when {leaves} leaves, the platform"
                f" hangs up {stays}. To move both, use --with-partners"
            )

    def _follow(self, several: Targets) -> None:
        """Wait for the moved legs to arrive in the room, and report a failure for each leg that does not arrive."""
        app = self.app
        before = {uuid: self._before(uuid) for uuid in several.done}
        found = self._arrivals.wait(before, check=app.interrupts.check)
        faults: dict[str, VoicectlError] = {}
        for uuid, each in found.items():
            if each.place is moving.Place.ROOM:
                continue
            if each.place is moving.Place.ELSEWHERE and not self._arrivals.has_name(each):
                remark(f"{uuid} {each}; voicectl cannot check whether this is {self._room}")
                continue
            faults[uuid] = self._fault(uuid, each)
        rooms = self._arrivals.rooms(found.values())
        if len(rooms) > 1:
            remark(
                f"warning: the legs moved to {self._room} are in separate conversations: {' and '.join(rooms)}. Rooms"
                " with the same name in different regions are separate, and legs in one cannot hear legs in the other"
            )
            for uuid, each in found.items():
                remark(f"  {self._name(uuid)} is in {each.conversation_uuid or 'no conversation'}")
        for uuid, fault in faults.items():
            if not several.is_many:
                raise fault
            several.done.remove(uuid)  # the move was sent, but the leg is not in the room
            several.report(fault, uuid)

    def _fault(self, uuid: str, found: moving.Found) -> VoicectlError:
        calls = [] if found.call is None else [found.call]
        if found.place is moving.Place.OVER:
            return WaitEnded(f"The platform accepted the move of {uuid}, but the leg {found}.", calls)
        what = "the leg's record" if found.place is moving.Place.UNKNOWN else "the leg"
        return WaitTimeout(
            f"The platform accepted the move of {uuid}, but after {moving.ARRIVAL_SECONDS:.0f} s, {what} {found}.",
            calls,
            hint=f"See where it is: voicectl call show {uuid}",
        )

    def _report_places(self, uuids: Iterable[str]) -> None:
        """Report which conversation each leg is in."""
        for uuid in dict.fromkeys(uuids):
            remark(f"{self._name(uuid)} {self._arrivals.where(uuid, self._before(uuid))}")

    def _before(self, uuid: str) -> str:
        """Return the id of the conversation that a leg was in before the move, or an empty string if unknown."""
        return self._calls[uuid].conversation_uuid if uuid in self._calls else ""

    def _name(self, uuid: str) -> str:
        return moving.label(self._calls[uuid]) if uuid in self._calls else uuid
