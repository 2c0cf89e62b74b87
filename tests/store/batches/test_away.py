"""What is recorded of a batch in a database that goes away."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.batches import fill
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.postgres_batches import prepared
from voicectl.core.batch.attempts import Budget, Outcome
from voicectl.core.batch.ledger import Ledger
from voicectl.errors import StoreError
from voicectl.store.batches.postgres_directory import PostgresBatches
from voicectl.store.batches.process import this_process
from voicectl.store.batches.records import Attempt, AttemptState, BatchHead, BatchStore, Limits
from voicectl.store.batches.spool import Spool

A, B = "447700900001", "447700900002"
APPLICATION = "5a4db0c5-25fe-4868-82c0-d72efc48bd34"
LIMITS = Limits(dials=1, rate=1000.0, concurrent=None, max_cost=None, call_bound=None)
Start = Callable[..., Ledger]


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Start to record a batch of two people in a database, as a process of this host or another one would."""
    with ExitStack() as stack:

        def connect() -> PostgresBatches:
            return stack.enter_context(closing(PostgresBatches(prepared(database), tmp_path, APPLICATION)))

        with connect().new("a") as new:
            fill(new, A, B)
            new.keep(
                BatchHead(
                    name="a",
                    application_id=APPLICATION,
                    base_url="https://api.nexmo.com",
                    created_at=0.0,
                    settings={},
                    columns=("to",),
                    digest="",
                )
            )

        def start_(host: str = "") -> Ledger:
            store = stack.enter_context(closing(connect().open("a")))
            me = this_process(0.0)
            store.take_lease(replace(me, host=host or me.host))
            clock = FakeClock()
            ledger = Ledger(
                store=store,
                clock=clock,
                budget=Budget(attempts=2, retry_on={Outcome.UNVERIFIED}, gap=0.0),
                on_change=lambda _: None,
                opt_out=lambda _: None,
                spool=Spool(tmp_path / (host or "here"), "a"),
            )
            ledger.catch_up()
            return ledger

        yield start_


def call(ledger: Ledger) -> Attempt:
    """Begin a call to the next person, and return it as it is once the API has created it."""
    person = ledger.store.due(ledger.clock.time(), 1)[0]
    attempt = Attempt(
        person=person.id,
        number=person.attempts + 1,
        reference=f"vc-{os.urandom(8).hex()}",
        token=os.urandom(16).hex(),
        to=person.to,
        asked_at=ledger.clock.time(),
        state=AttemptState.INTENT,
    )
    ledger.begin(person, attempt, LIMITS)
    live = replace(attempt, state=AttemptState.LIVE, uuid="63f61863-4a51-4f6b-86e1-46edebcf9356")
    ledger.update([live])
    ledger.flush()
    return live


def outcomes(store: BatchStore) -> dict[str, str | None]:
    return {each.to: each.outcome for each in store.people()}


def cut_off(ledger: Ledger, postgres: Postgres) -> None:
    """Let the database go away while *ledger* has something to write, and come back."""
    postgres.kill()
    try:
        with pytest.raises(StoreError):
            ledger.flush()
    finally:
        postgres.start()


def test_an_outcome_that_could_not_be_written_is_written_by_the_next_run(
    start: Start, postgres: Postgres
) -> None:
    ledger = start()
    ledger.over(call(ledger), Outcome.CONFIRMED, None)
    cut_off(ledger, postgres)
    assert outcomes(ledger.store)[A] is None

    again = start()

    assert outcomes(again.store)[A] == "confirmed"
    assert again.tally.outcomes == {"confirmed": 1}
    again.uncalled(again.store.due(0.0, 1)[0], "refused", "later")
    again.flush()
    assert outcomes(start().store) == {A: "confirmed", B: "refused"}


def test_an_attempt_that_was_not_made_is_left_open_to_be_looked_for(start: Start, postgres: Postgres) -> None:
    ledger = start()
    attempt = call(ledger)
    ledger.unmade(attempt)
    cut_off(ledger, postgres)

    (found,) = start().store.open_attempts()

    assert found.reference == attempt.reference


@pytest.mark.parametrize(("is_called_again", "outcome"), [(False, "machine"), (True, None)])
def test_a_process_that_was_cut_off_knows_better_until_the_person_is_called_again(
    start: Start, postgres: Postgres, is_called_again: bool, outcome: str | None
) -> None:
    ledger = start("elsewhere")
    attempt = call(ledger)
    ledger.over(attempt, Outcome.MACHINE, None)
    cut_off(ledger, postgres)
    other = start()
    other.over(attempt, Outcome.UNVERIFIED, None)
    other.flush()
    if is_called_again:
        again = call(other)
        assert again.to == A

    start("elsewhere")

    assert outcomes(other.store)[A] == outcome
    waiting = [each.to for each in other.store.due(0.0, 9)]
    assert waiting == [B]


def test_what_is_known_is_not_changed_by_a_process_that_was_cut_off(start: Start, postgres: Postgres) -> None:
    ledger = start("elsewhere")
    attempt = call(ledger)
    ledger.over(attempt, Outcome.UNVERIFIED, None)
    cut_off(ledger, postgres)
    other = start()
    other.over(attempt, Outcome.CONFIRMED, None)
    other.flush()

    start("elsewhere")

    assert outcomes(other.store)[A] == "confirmed"
