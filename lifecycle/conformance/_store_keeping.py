"""L7. Cases for what is forgotten by time, and for what there is to do: retention, figures."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import attrs

from lifecycle import commands as c
from lifecycle.conformance._samples import (
    START,
    commit,
    deliver,
    delivery,
    done,
    ended,
    entry,
    invited,
    later,
    notify,
    outgoing,
    owned,
    queued,
)
from lifecycle.errors import NotFound
from lifecycle.interaction import Email, Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Figures, Outcome, Refusal, Stream

EVER = datetime.min.replace(tzinfo=UTC)
"""Before this time there is nothing: what a service names that forgets nothing."""


async def prune(
    store: Store,
    *,
    deliveries: datetime = EVER,
    outcomes: datetime = EVER,
    contents: datetime = EVER,
    limit: int = 100,
) -> int:
    """Prune what is named, and nothing else."""
    return await store.prune(
        deliveries=deliveries, outcomes=outcomes, contents=contents, limit=limit
    )


async def _retained(store: Store, agent_id: str = "ann") -> list[int]:
    return [one.sequence for one in await store.deliveries(agent_id, 0, 100)]


def _outcome(number: int, at: float = 0, *, value: Interaction | None = None) -> Outcome:
    value = value or queued()
    return Outcome(operation_id=f"op{number}", fingerprint="00", at=later(at), interaction=value)


def _refused(number: int, id: str | None) -> Outcome:
    refusal = Refusal.of(NotFound("there is none", interaction_id=id))
    return Outcome(operation_id=f"op{number}", fingerprint="00", at=START, refusal=refusal)


def _loose(number: int, at: float = 0) -> Outcome:
    """An outcome that concerns no interaction."""
    return attrs.evolve(_refused(number, None), at=later(at))


async def _end(store: Store, *ids: str, at: float = 0, value: Interaction | None = None) -> None:
    """Submit interactions, and end them at a time."""
    for id in ids:
        await commit(store, queued(id))
        await commit(store, value or ended(id), at=later(at))


class KeepingCases:
    """Retention (semantics 9), and the figures of a store."""

    async def test_nothing_is_forgotten_before_the_beginning(self, store: Store) -> None:
        """The earliest time that there is forgets nothing, and can be asked for."""
        await notify(store, "ann", count=2, at=later(-1_000_000))
        await deliver(store, "ann", 2)
        await _end(store, "I1", at=-1_000_000)
        await store.commit(Commit(at=START, outcome=_loose(1, -1_000_000)))
        assert await prune(store) == 0
        assert await store.finished(EVER, 10) == ()
        assert await _retained(store) == [1, 2]
        assert await store.outcome("op1") == _loose(1, -1_000_000)

    async def test_what_the_sink_has_is_forgotten(self, store: Store) -> None:
        """What it does not have is kept, however old; the stream is as far as it was."""
        await notify(store, "ann", count=5)
        await deliver(store, "ann", 3)
        assert await prune(store, deliveries=later(100)) == 3
        assert await prune(store, deliveries=later(100)) == 0
        assert await _retained(store) == [4, 5]
        assert (await store.deliveries("ann", 1, 1))[0].sequence == 4
        assert [one.sequence for one in await store.deliveries("ann", 4, 9)] == [5]
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=3)
        assert await store.claim("one", START, later(60), 10) == (
            Stream(agent_id="ann", delivered=3),
        )

    async def test_deliveries_are_kept_for_their_time(self, store: Store) -> None:
        """What is from before the time goes, what is from that time stays."""
        for at in (0, 1, 2):
            await notify(store, "ann", at=later(at))
        await deliver(store, "ann", 3)
        assert await prune(store, deliveries=START) == 0
        assert await prune(store, deliveries=later(1)) == 1
        assert await prune(store, deliveries=later(1.000001)) == 1
        assert await _retained(store) == [3]

    async def test_a_log_is_shortened_from_its_beginning(self, store: Store) -> None:
        """Where a clock was set back, what is old stays behind what is not: there is no gap."""
        for at in (0, 50, 1):
            await notify(store, "ann", at=later(at))
        await deliver(store, "ann", 3)
        assert await prune(store, deliveries=later(10)) == 1
        assert await _retained(store) == [2, 3]
        assert await prune(store, deliveries=later(51)) == 2
        assert await _retained(store) == []

    async def test_as_many_as_asked_for_are_forgotten(self, store: Store) -> None:
        """The first ones of a log, no more than the limit, until all are gone."""
        await notify(store, "ann", count=5)
        await deliver(store, "ann", 5)
        assert await prune(store, deliveries=later(1), limit=2) == 2
        assert await _retained(store) == [3, 4, 5]
        assert await prune(store, deliveries=later(1), limit=2) == 2
        assert await prune(store, deliveries=later(1), limit=2) == 1
        assert await prune(store, deliveries=later(1), limit=2) == 0
        assert await _retained(store) == []

    async def test_the_limit_is_one_for_all_logs(self, store: Store) -> None:
        """However many agents there are, a batch is small; all come to their end."""
        for number in range(5):
            await notify(store, f"agent{number}", count=3)
            await deliver(store, f"agent{number}", 2)
        pruned = []
        while count := await prune(store, deliveries=later(1), limit=4):
            assert count <= 4
            pruned.append(count)
        assert sum(pruned) == 10
        for number in range(5):
            assert await _retained(store, f"agent{number}") == [3]

    async def test_each_kind_has_the_limit_for_itself(self, store: Store) -> None:
        """Many old deliveries do not keep outcomes from being forgotten."""
        await notify(store, "ann", count=3)
        await deliver(store, "ann", 3)
        for number in range(3):
            await store.commit(Commit(at=START, outcome=_loose(number)))
        times = {"deliveries": later(1), "outcomes": later(1), "contents": later(1)}
        assert await prune(store, limit=2, **times) == 4
        assert await prune(store, limit=2, **times) == 2
        assert await prune(store, limit=2, **times) == 0

    async def test_what_is_parked_is_kept(self, store: Store) -> None:
        """A stopped stream keeps what it stopped at, and all behind it."""
        await notify(store, "ann", count=3)
        parked = Stream(agent_id="ann", delivered=1, tries=8, parked=True)
        await store.change_stream("ann", lambda _: parked)
        assert await prune(store, deliveries=later(100)) == 1
        assert await _retained(store) == [2, 3]
        assert await store.streams(parked=True) == (parked,)

    async def test_a_log_goes_on_after_all_of_it_was_forgotten(self, store: Store) -> None:
        """Numbers and stream go on from where they were."""
        await notify(store, "ann", count=3)
        await deliver(store, "ann", 3)
        assert await prune(store, deliveries=later(1)) == 3
        assert await store.claim("one", START, later(60), 10) == ()
        assert await store.next_delivery() is None
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=3)
        assert await store.figures(START) == Figures()
        await notify(store, "ann", count=2, at=later(5))
        assert await _retained(store) == [4, 5]
        (stream,) = await store.claim("one", later(5), later(60), 10)
        assert stream == Stream(agent_id="ann", delivered=3)
        assert (await store.deliveries("ann", stream.delivered, 1))[0].sequence == 4
        assert await store.progress("one", attrs.evolve(stream, delivered=4))
        assert await prune(store, deliveries=later(9)) == 1
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=4)
        assert await _retained(store) == [5]

    async def test_pruning_takes_no_stream_away(self, store: Store) -> None:
        """Who has claimed a stream still has it, and can give it back."""
        await notify(store, "ann", count=3)
        await deliver(store, "ann", 1)
        (stream,) = await store.claim("one", START, later(60), 10)
        assert await prune(store, deliveries=later(1)) == 1
        assert await store.claim("two", START, later(60), 10) == ()
        assert await store.progress("one", attrs.evolve(stream, delivered=3))
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=3)

    async def test_outcomes_are_kept_for_their_time(self, store: Store) -> None:
        """Those from before a time go, the limit at most; their operation ids are free again."""
        for number in range(4):
            outcome = _loose(number, number)
            await store.commit(Commit(at=outcome.at, outcome=outcome))
        await store.commit(Commit(at=START, outcome=_refused(9, None)))
        assert await prune(store, outcomes=START) == 0
        assert await prune(store, outcomes=later(3), limit=3) == 3
        assert await prune(store, outcomes=later(3), limit=3) == 1
        assert await prune(store, outcomes=later(3), limit=3) == 0
        assert [await store.outcome(f"op{number}") for number in (0, 1, 2, 9)] == [None] * 4
        assert await store.outcome("op3") == _loose(3, 3)
        await store.commit(Commit(at=later(9), outcome=_refused(0, None)))
        assert await store.outcome("op0") == _refused(0, None)

    async def test_what_has_ended_is_found_by_time(self, store: Store) -> None:
        """By the time of the commit that ended it, those before the time asked for."""
        await _end(store, "I1", at=10)
        await _end(store, "I2", at=20)
        await commit(store, queued("I3"))
        assert await store.finished(later(10), 10) == ()
        assert await store.finished(later(10.000001), 10) == ("I1",)
        assert set(await store.finished(later(100), 10)) == {"I1", "I2"}
        assert len(await store.finished(later(100), 1)) == 1
        assert await store.finished(later(100), 0) == ()

    async def test_a_later_commit_does_not_move_the_end(self, store: Store) -> None:
        """What ended stays as old as it is when something of it changes afterwards."""
        await _end(store, "I1", at=10)
        await commit(store, attrs.evolve(ended("I1"), version=2), at=later(500))
        assert await store.finished(later(11), 10) == ("I1",)

    async def test_what_has_mail_on_its_way_is_not_found(self, store: Store) -> None:
        """While a mail waits, is claimed or parked; not any more when it is sent or dropped."""
        await _end(store, "I1", "I2")
        await commit(store, outgoing=(outgoing(1), outgoing(1, interaction_id="I2")))
        assert await store.finished(later(9), 10) == ()
        mail, other = await store.claim_outgoing("one", START, later(60), 10)
        assert await store.finished(later(9), 10) == ()
        await store.outgoing_progress("one", attrs.evolve(mail, sent=True))
        await store.outgoing_progress("one", attrs.evolve(other, parked=True))
        assert await store.finished(later(9), 10) == ("I1",)
        await store.change_outgoing(other.message_id, lambda _: None)
        assert set(await store.finished(later(9), 10)) == {"I1", "I2"}

    async def test_mail_on_its_way_hides_nothing_else(self, store: Store) -> None:
        """As many are found as asked for, however many others have mail on its way."""
        await _end(store, "I1", "I2", "I3", "I4")
        mails = (outgoing(1, interaction_id=id) for id in ("I1", "I2", "I3"))
        await commit(store, outgoing=tuple(mails))
        assert await store.finished(later(9), 1) == ("I4",)

    async def test_what_is_removed_is_gone(self, store: Store) -> None:
        """Value, history, thread, person, and outcomes that concern it, refusals among them."""
        mail = Email(message_id="<m1@home.example>", from_address="Zoé <zoe@home.example>")
        first = queued(email=mail)
        await commit(store, first, entries=(entry(first, "Submit"),), outcome=_outcome(1))
        await commit(store, ended(email=mail), outcome=_refused(2, "I1"))
        await store.commit(Commit(at=START, outcome=_refused(3, None)))
        other = queued("I2", email=mail)
        await commit(store, other, outcome=_outcome(4, value=other))
        await store.remove(("I1",))
        assert await store.interaction("I1") is None
        assert await store.history("I1") == ()
        assert await store.ids("", 10) == ("I2",)
        assert [one.id for one in await store.thread("<m1@home.example>")] == ["I2"]
        assert await store.of_person("zoe@home.example") == ("I2",)
        assert await store.outcome("op1") is await store.outcome("op2") is None
        assert await store.outcome("op3") == _refused(3, None)
        assert await store.outcome("op4") == _outcome(4, value=other)
        assert await store.finished(later(9), 10) == ()
        assert await store.faults() == ()

    async def test_a_removed_reply_is_no_part_of_its_thread(self, store: Store) -> None:
        """A reply that was sent long ago does not find what it belonged to."""
        await _end(store, "I1")
        await commit(store, outgoing=(outgoing(1),))
        await store.change_outgoing(outgoing(1).message_id, lambda _: None)
        await store.remove({"I1"})
        assert await store.thread(outgoing(1).message_id) == ()

    async def test_deliveries_outlive_what_they_are_about(self, store: Store) -> None:
        """A delivery that waits still comes, and one that a client may replay is there."""
        await _end(store, "I1")
        agent = Agent(id="ann", version=1, sequence=2)
        deliveries = (delivery("ann", 1), delivery("ann", 2))
        await commit(store, agents=(agent,), deliveries=deliveries)
        await deliver(store, "ann", 1)
        await store.remove(["I1"])
        assert await store.deliveries("ann", 0, 10) == deliveries
        assert await store.agent("ann") == agent
        assert [one.agent_id for one in await store.claim("w", START, later(60), 9)] == ["ann"]

    async def test_anything_can_be_removed(self, store: Store) -> None:
        """Also what waits, is held, parked or has a deadline; no list names it afterwards."""
        value = done(owned(queued("I3"), "ann"), ("ann", c.PlaceInWorkbin(workbin="late")))
        parked = attrs.evolve(value, version=1)
        await commit(store, queued("I1"), queued("I2"), queued("I3"), queued("I4"))
        await commit(store, invited(queued("I2"), "ann"), parked)
        await commit(store, invited(queued("I4"), "ann"))
        await store.remove(("I1", "I2", "I3"))
        assert await store.waiting() == await store.in_workbin("late") == ()
        assert [one.id for one in await store.held_by("ann")] == ["I4"]
        assert [one.interaction_id for one in await store.due(later(99), later(100), 9)] == ["I4"]

    async def test_removing_what_is_not_there(self, store: Store) -> None:
        """Nothing, unknown ids and repeated ones are no error; a great many are one call."""
        await _end(store, "I1", "I2")
        await store.remove(())
        await store.remove({"X1": 1}.keys())
        many: Collection[str] = ["I2", "I2", *(f"X{number}" for number in range(2_000))]
        await store.remove(many)
        assert await store.ids("", 10) == ("I1",)

    async def test_an_id_can_be_used_again(self, store: Store) -> None:
        """What is submitted under the id of something removed is the new one, in every way."""
        old = Email(subject="old", message_id="<old@home.example>", from_address="old@home.example")
        new = Email(subject="new", message_id="<new@home.example>", from_address="new@home.example")
        first = queued(email=old, comment="old", user_data={"old": 1})
        await commit(store, first, entries=(entry(first, "Submit"),), outcome=_outcome(1))
        await commit(store, ended(email=old))
        assert await store.interaction("I1") == ended(email=old)
        await commit(store, queued("I2"))
        await store.remove(("I1",))
        again = queued(email=new, queue="support", at=later(9), contact_id="C1")
        await commit(
            store, again, entries=(entry(again, "Submit"),), outcome=_outcome(1, 7, value=again)
        )
        assert await store.interaction("I1") == again
        assert await store.history("I1") == (entry(again, "Submit"),)
        assert [one.id for one in await store.waiting()] == ["I2", "I1"]
        assert await store.waiting("sales") == (queued("I2"),)
        assert await store.thread("<old@home.example>") == ()
        assert await store.thread("<new@home.example>") == (again,)
        assert await store.of_person("old@home.example") == ()
        assert await store.of_person("new@home.example") == ("I1",)
        assert await store.outcome("op1") == _outcome(1, 7, value=again)
        assert await store.finished(later(99), 10) == ()
        for value in (
            invited(again, "ann", at=later(10)),
            owned(again, "ann", at=later(10)),
            done(owned(again, "ann"), ("ann", c.StopProcessing())),
        ):
            await commit(store, value, at=later(20))
            assert await store.interaction("I1") == value
        assert await store.finished(later(20), 10) == ()
        assert await store.finished(later(21), 10) == ("I1",)

    async def test_the_figures_of_deadlines(self, store: Store) -> None:
        """How many have passed, those of this moment among them."""
        assert await store.figures(START) == Figures()
        for id, at in (("I1", 0), ("I2", 10), ("I3", 20)):
            await commit(store, queued(id))
            await commit(store, invited(queued(id), "ann", at=later(at)))
        assert await store.figures(later(29.999999)) == Figures()
        assert await store.figures(later(30)) == Figures(overdue=1)
        assert await store.figures(later(45)) == Figures(overdue=2)

    async def test_the_figures_of_deliveries(self, store: Store) -> None:
        """What the sink does not have, stopped streams and absent agents among it."""
        for number, id in enumerate(("bob", "ann", "cat"), 1):
            await notify(store, id, at=later(number))
            await notify(store, id, count=2, at=later(number + 10))
        assert await store.figures(START) == Figures(waiting=9, oldest=later(1))
        await deliver(store, "bob", 1)
        assert await store.figures(START) == Figures(waiting=8, oldest=later(2))
        await store.change_stream("ann", lambda stream: attrs.evolve(stream, parked=True))
        await store.change_stream("cat", lambda stream: attrs.evolve(stream, absent=True))
        (stream,) = await store.claim("one", later(50), later(60), 10)
        expected = Figures(waiting=8, oldest=later(2), stopped=1)
        assert await store.figures(START) == expected
        await store.progress("one", attrs.evolve(stream, delivered=3))
        assert await store.figures(START) == attrs.evolve(expected, waiting=6)
        await deliver(store, "ann", 3)
        assert await store.figures(START) == Figures(waiting=3, oldest=later(3), stopped=1)
        await deliver(store, "cat", 3)
        assert await store.figures(START) == Figures(stopped=1)
        await store.change_stream("cat", lambda stream: attrs.evolve(stream, absent=False))
        assert await store.figures(START) == Figures(stopped=1)
        await store.change_stream("ann", lambda stream: attrs.evolve(stream, parked=False))
        assert await store.figures(START) == Figures()

    async def test_the_figures_of_mail(self, store: Store) -> None:
        """What the mailer does not have, what is parked among it."""
        await commit(store, queued(), outgoing=(outgoing(1), outgoing(2), outgoing(3)))
        assert await store.figures(START) == Figures(mails=3)
        one, two, three = await store.claim_outgoing("one", START, later(60), 10)
        await store.outgoing_progress("one", attrs.evolve(one, parked=True))
        await store.outgoing_progress("one", attrs.evolve(two, sent=True))
        await store.outgoing_progress("one", attrs.evolve(three, retry_at=later(5)))
        assert await store.figures(START) == Figures(mails=2, parked_mails=1)
        await store.change_outgoing(one.message_id, lambda _: None)
        assert await store.figures(START) == Figures(mails=1)

    async def test_nothing_is_wrong_with_a_store(self, store: Store) -> None:
        """After a life with everything in it a store finds no faults with itself."""
        assert await store.faults() == ()
        await _end(store, "I1")
        await notify(store, "ann", count=3)
        await deliver(store, "ann", 2)
        await commit(store, outgoing=(outgoing(1, interaction_id="Nann"),), outcome=_outcome(1))
        await commit(store, invited(queued("Nann"), "ann"))
        await store.due(later(30), later(60), 10)
        await store.claim("one", START, later(60), 10)
        await store.claim_outgoing("one", START, later(60), 10)
        assert await store.faults() == ()
        await prune(store, deliveries=later(1), outcomes=later(1), contents=later(1))
        await store.remove(await store.finished(later(1), 10))
        assert await store.faults() == ()
