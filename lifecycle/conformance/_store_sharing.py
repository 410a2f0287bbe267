"""L7. Cases for two objects of one store, as two processes have them."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.lowlevel
import attrs
import pytest

from lifecycle.conformance._samples import (
    START,
    commit,
    deliver,
    ended,
    entry,
    invited,
    later,
    notify,
    outgoing,
    queued,
)
from lifecycle.conformance._store_concurrency import check_counted, count_on, together
from lifecycle.conformance._store_erasure import erase
from lifecycle.errors import Conflict
from lifecycle.interaction import Email
from lifecycle.ports import Store
from lifecycle.records import Agent, Outcome, Stream

_PATIENCE = 10.0


@pytest.mark.anyio
class SharedSuite:
    """What the `Store` port promises to processes that share a store.

    It takes two fixtures: `store`, empty and the case's own, and `other`, another object of the
    same store, opened as another process would open it.
    """

    async def test_what_one_commits_the_other_sees(self, store: Store, other: Store) -> None:
        """At once, and in every question."""
        first = queued()
        outcome = Outcome(operation_id="op1", fingerprint="0", at=START, interaction=first)
        line = entry(first, "Submit")
        await commit(store, first, entries=(line,), outcome=outcome, outgoing=(outgoing(1),))
        assert await other.interaction("I1") == first
        assert await other.waiting() == (first,)
        assert await other.history("I1") == (line,)
        assert await other.outcome("op1") == outcome
        assert await other.outgoing() == (outgoing(1),)
        assert await other.of_person("zoe@home.example") == ("I1",)
        await notify(other, "ann")
        assert (await store.deliveries("ann", 0, 10))[0].sequence == 1
        assert await store.agent("ann") == await other.agent("ann")

    async def test_versions_hold_across_both(self, store: Store, other: Store) -> None:
        """What one has changed the other cannot change from the version before."""
        await commit(store, queued(), agents=(Agent(id="ann", version=1),))
        await commit(other, invited(queued(), "ann"))
        with pytest.raises(Conflict):
            await commit(store, invited(queued(), "bob"))
        await commit(other, agents=(Agent(id="ann", version=2),))
        with pytest.raises(Conflict):
            await commit(store, agents=(Agent(id="ann", version=2),))

    async def test_what_was_read_is_not_remembered(self, store: Store, other: Store) -> None:
        """A value that the other has changed, erased, removed, or submitted again is read anew."""
        await commit(store, queued())
        assert await store.interaction("I1") == await other.interaction("I1") == queued()
        await commit(other, ended())
        assert await store.interaction("I1") == ended()
        left = await erase(other, ended())
        assert await store.interaction("I1") == left
        await other.remove(("I1",))
        assert await store.interaction("I1") is None
        again = queued(email=Email(subject="another", message_id="<another@home.example>"))
        await commit(other, again)
        assert await store.interaction("I1") == again
        assert await store.waiting() == (again,)
        await commit(store, invited(again, "ann"))
        assert await other.held_by("ann") == (invited(again, "ann"),)

    async def test_one_wins_from_each_version(self, store: Store, other: Store) -> None:
        """Callers of both, one agent: numbers without gaps, and nothing twice."""
        won = await count_on([store, other], 12)
        assert sorted(won) == list(range(1, 13))
        await check_counted(other, 12)

    async def test_an_operation_id_is_taken_for_both(self, store: Store, other: Store) -> None:
        """Of commits at the same time through both one is stored."""

        calls = [
            partial(
                commit,
                (store, other)[number % 2],
                queued(f"I{number}"),
                outcome=Outcome(operation_id="op1", fingerprint=str(number), at=START),
            )
            for number in range(6)
        ]
        results = await together(calls)
        assert results.count(True) == 1
        assert await store.ids("", 10) == (f"I{results.index(True)}",)

    async def test_nothing_is_taken_twice(self, store: Store, other: Store) -> None:
        """Deadlines, agents, streams and mails, by takers of both at the same time."""
        ids = [f"I{number:02}" for number in range(12)]
        for id in ids:
            await commit(store, queued(id), outgoing=(outgoing(1, interaction_id=id),))
            await commit(store, invited(queued(id), "x"))
            await notify(store, f"agent{id}")
            agent = Agent(id=f"away{id}", version=1, away_at=START)
            await commit(store, agents=(agent,))
        found: list[str] = []

        async def take(one: Store, name: str) -> None:
            for _ in range(12):
                found.extend(d.interaction_id for d in await one.due(later(30), later(90), 3))
                found.extend(a.id for a in await one.away(later(30), later(90), 3))
                found.extend(s.agent_id for s in await one.claim(name, START, later(90), 3))
                mails = await one.claim_outgoing(name, START, later(90), 3)
                found.extend(mail.message_id for mail in mails)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(take, (store, other)[number % 2], f"worker{number}")
        expected = [
            name
            for id in ids
            for name in (id, f"away{id}", f"agent{id}", outgoing(1, interaction_id=id).message_id)
        ]
        assert sorted(found) == sorted(expected)

    async def test_a_claim_is_the_workers_in_both(self, store: Store, other: Store) -> None:
        """What one has claimed the other cannot claim, nor give back under another name."""
        await notify(store, "ann", count=2)
        (stream,) = await store.claim("one", START, later(60), 10)
        assert await other.claim("two", START, later(60), 10) == ()
        assert not await other.progress("two", attrs.evolve(stream, delivered=2))
        assert await store.progress("one", attrs.evolve(stream, delivered=1))
        expected = Stream(agent_id="ann", delivered=1)
        assert await other.claim("two", START, later(60), 10) == (expected,)

    async def test_changes_of_a_stream_see_each_other(self, store: Store, other: Store) -> None:
        """None is lost, whoever makes it."""

        def connect(stream: Stream) -> Stream:
            return attrs.evolve(stream, connects=stream.connects + 1)

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(store.change_stream, "ann", connect)
                tasks.start_soon(other.change_stream, "ann", connect)
        assert (await store.stream("ann")).connects == 12

    async def test_processes_are_known_to_each_other(self, store: Store, other: Store) -> None:
        """One finds that the other has lapsed, and forgets it for both."""
        assert not await store.renew("w1", later(10))
        assert await other.renew("w1", later(20))
        assert await store.lapsed(later(20)) == await other.lapsed(later(20)) == ("w1",)
        await other.forget("w1", later(20))
        assert not await store.renew("w1", later(30))

    async def test_pruning_by_the_other(self, store: Store, other: Store) -> None:
        """A log that the other has shortened goes on with the next number."""
        await notify(store, "ann", count=3)
        await deliver(store, "ann", 3)
        pruned = await other.prune(deliveries=later(1), outcomes=START, contents=START, limit=10)
        assert pruned == 3
        await notify(store, "ann")
        assert [one.sequence for one in await store.deliveries("ann", 0, 10)] == [4]

    async def test_a_watcher_is_told(self, store: Store, other: Store) -> None:
        """Each commit of somebody else wakes whoever watches, in the watcher's event loop."""
        told = anyio.Event()
        store.watch(lambda: told.set())
        for number in range(3):
            told = anyio.Event()
            await commit(other, queued(f"I{number}"))
            with anyio.fail_after(_PATIENCE):
                await told.wait()
        store.watch(None)

    async def test_a_watch_can_end_and_begin_again(self, store: Store, other: Store) -> None:
        """After `watch(None)` nothing is called; another function can follow."""
        calls: list[str] = []
        store.watch(lambda: calls.append("first"))
        store.watch(None)
        before = len(calls)
        told = anyio.Event()
        store.watch(told.set)
        await commit(other, queued())
        with anyio.fail_after(_PATIENCE):
            await told.wait()
        store.watch(None)
        assert len(calls) == before

    async def test_one_can_end_without_the_other(self, store: Store, other: Store) -> None:
        """A process that goes away takes nothing with it."""
        other.watch(lambda: None)
        await commit(other, queued())
        await other.aclose()
        assert await store.interaction("I1") == queued()
        await commit(store, invited(queued(), "ann"))
        assert [one.id for one in await store.held_by("ann")] == ["I1"]
