"""L7. Cases for many callers at the same time, and for callers that are cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
import anyio.lowlevel
import attrs
import pytest

from lifecycle.conformance._samples import (
    START,
    commit,
    delivery,
    entry,
    invited,
    later,
    notify,
    outgoing,
    queued,
    saved,
)
from lifecycle.errors import Conflict
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Invitable, Outcome, Stream


def _whole(name: str) -> Commit:
    """A commit with something of everything, that has nothing in common with another's."""
    id = f"I{name}"
    value = queued(id)
    return Commit(
        at=START,
        interactions=(saved(value),),
        agents=(Agent(id=f"agent{name}", version=1, ready=True, sequence=1),),
        entries=(entry(value, "Submit"),),
        deliveries=(delivery(f"agent{name}", 1, interaction_id=id),),
        outgoing=(outgoing(1, interaction_id=id),),
        outcome=Outcome(operation_id=f"op{name}", fingerprint="0", at=START, interaction=value),
    )


async def _found(store: Store, commit: Commit) -> list[bool]:
    """For each part of such a commit, whether it is there."""
    (one,), (agent,), (mail,) = commit.interactions, commit.agents, commit.outgoing
    assert commit.outcome is not None
    return [
        await store.interaction(one.interaction.id) == one.interaction,
        await store.agent(agent.id) == agent,
        await store.history(one.interaction.id) == commit.entries,
        await store.deliveries(agent.id, 0, 10) == commit.deliveries,
        mail in await store.outgoing(),
        await store.outcome(commit.outcome.operation_id) == commit.outcome,
    ]


async def together(calls: Sequence[Callable[[], Awaitable[object]]]) -> list[bool]:
    """Make calls at the same time, and say of each whether it met no conflict."""
    results = [False] * len(calls)

    async def attempt(number: int) -> None:
        try:
            await calls[number]()
        except Conflict:
            return
        results[number] = True

    async with anyio.create_task_group() as tasks:
        for number in range(len(calls)):
            tasks.start_soon(attempt, number)
    return results


async def count_on(stores: list[Store], callers: int) -> list[int]:
    """Have callers, each with an interaction of its own, notify one agent until all have.

    Each reads the agent and commits the next version and delivery, and again where another was
    faster. Returns: the versions that were won, in the order in which they were.
    """
    won: list[int] = []

    async def call(number: int) -> None:
        store = stores[number % len(stores)]
        value = queued(f"I{number}")
        while True:
            agent = await store.agent("ann") or Agent(id="ann")
            await anyio.lowlevel.checkpoint()
            following = agent.version + 1
            try:
                await commit(
                    store,
                    value,
                    agents=(Agent(id="ann", version=following, sequence=following),),
                    entries=(entry(value, "Submit"),),
                    deliveries=(delivery("ann", following, interaction_id=value.id),),
                )
            except Conflict:
                continue
            won.append(following)
            return

    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(call, number)
    return won


async def check_counted(store: Store, callers: int) -> None:
    """Everything that `count_on` must leave behind is there, and nothing twice."""
    numbers = list(range(1, callers + 1))
    assert await store.agent("ann") == Agent(id="ann", version=callers, sequence=callers)
    log = await store.deliveries("ann", 0, 2 * callers)
    assert [one.sequence for one in log] == numbers
    assert sorted(one.interaction_id for one in log) == list(await store.ids("", 2 * callers))
    for number in range(callers):
        assert len(await store.history(f"I{number}")) == 1


class ConcurrencyCases:
    """Many callers at the same time (semantics 9)."""

    async def test_many_commits_at_the_same_time_are_all_kept(self, store: Store) -> None:
        """Whatever a store puts into one transaction of its own, each is there, whole."""
        commits = [_whole(str(number)) for number in range(64)]
        async with anyio.create_task_group() as tasks:
            for one in commits:
                tasks.start_soon(store.commit, one)
        for one in commits:
            assert all(await _found(store, one))
        assert len(await store.ids("", 1000)) == len(await store.agents()) == 64
        assert len(await store.claim("w", START, later(60), 1000)) == 64

    async def test_many_commits_for_one_agent(self, store: Store) -> None:
        """One wins from each version; after tries enough all have, without a gap."""
        won = await count_on([store], 12)
        assert sorted(won) == list(range(1, 13))
        await check_counted(store, 12)

    async def test_who_loses_leaves_nothing(self, store: Store) -> None:
        """Of 16 from one version of an agent one wins, and nothing is left of the others."""
        commits = [
            attrs.evolve(
                _whole(str(number)),
                agents=(Agent(id="ann", version=1, load=number, sequence=1),),
                deliveries=(delivery("ann", 1, interaction_id=f"I{number}"),),
            )
            for number in range(16)
        ]
        results = await together([partial(store.commit, one) for one in commits])
        assert results.count(True) == 1
        for one, result in zip(commits, results, strict=True):
            assert await _found(store, one) == [result] * 6

    async def test_a_conflict_hurts_no_other_commit(self, store: Store) -> None:
        """Commits at the same time of which some cannot be: the others are stored, whole."""
        await commit(store, queued("X1"), agents=(Agent(id="ann", version=1),))
        taken = Outcome(operation_id="op", fingerprint="0", at=START)
        await store.commit(Commit(at=START, outcome=taken))
        good = [_whole(f"good{number}") for number in range(10)]
        bad = [_whole(f"bad{number}") for number in range(4)]
        wrong = attrs.evolve(saved(queued("X1")), expected=4)
        stale = Agent(id="ann", version=1)
        bad[0] = attrs.evolve(bad[0], interactions=(*bad[0].interactions, wrong))
        bad[1] = attrs.evolve(bad[1], agents=(*bad[1].agents, stale))
        bad[3] = attrs.evolve(bad[3], invitable=(Invitable(agent_id="ann", backlog=0),))
        parts = [_whole(f"bad{number}") for number in range(4)]
        bad[2] = attrs.evolve(bad[2], outcome=taken)
        commits = [good[0], bad[0], *good[1:4], bad[1], bad[2], *good[4:9], bad[3], good[9]]
        results = await together([partial(store.commit, one) for one in commits])
        assert results == [one in good for one in commits]
        for one in good:
            assert all(await _found(store, one))
        for one in parts:
            assert not any(await _found(store, one))
        assert await store.outcome("op") == taken
        assert len(await store.ids("", 100)) == 11

    async def test_one_id_is_submitted_once(self, store: Store) -> None:
        """Of several new interactions under one id one is stored."""
        values = [queued(comment=str(number)) for number in range(8)]
        results = await together([partial(commit, store, one) for one in values])
        assert results.count(True) == 1
        assert await store.interaction("I1") == values[results.index(True)]

    async def test_an_operation_id_is_taken_once(self, store: Store) -> None:
        """Of several commits under one operation id one is stored, with its outcome."""
        commits = []
        for number in range(8):
            one = _whole(str(number))
            outcome = Outcome(operation_id="op", fingerprint=str(number), at=START)
            commits.append(attrs.evolve(one, outcome=outcome))
        results = await together([partial(store.commit, one) for one in commits])
        assert results.count(True) == 1
        assert await store.outcome("op") == commits[results.index(True)].outcome
        assert await store.ids("", 10) == (f"I{results.index(True)}",)

    async def test_commits_that_name_the_same_in_another_order(self, store: Store) -> None:
        """Nobody waits for each other for ever: one wins each time, and the rest conflict."""
        for version in range(1, 5):
            pair = [Agent(id="ann", version=version), Agent(id="bob", version=version)]
            values = [attrs.evolve(queued(id), version=version - 1) for id in ("I1", "I2")]
            forth = Commit(at=START, interactions=tuple(map(saved, values)), agents=tuple(pair))
            back = attrs.evolve(
                forth, interactions=forth.interactions[::-1], agents=forth.agents[::-1]
            )
            calls = [partial(store.commit, one) for one in (forth, back) * 4]
            assert (await together(calls)).count(True) == 1
        assert await store.agents() == tuple(pair)

    async def test_what_was_committed_is_seen_by_whoever_did_it(self, store: Store) -> None:
        """Every later call sees it, also while others commit."""

        async def work(number: int) -> None:
            name = f"agent{number}"
            first = queued(f"I{number}")
            await commit(store, first, agents=(Agent(id=name, version=1),))
            assert first in await store.waiting()
            offer = invited(first, name)
            agent = Agent(id=name, version=2, load=1, sequence=1)
            one = delivery(name, 1, interaction_id=first.id)
            await commit(store, offer, agents=(agent,), deliveries=(one,))
            assert await store.interaction(first.id) == offer
            assert await store.held_by(name) == (offer,)
            assert await store.agent(name) == agent
            assert await store.deliveries(name, 0, 10) == (one,)
            assert first.id not in [other.id for other in await store.waiting()]

        async with anyio.create_task_group() as tasks:
            for number in range(16):
                tasks.start_soon(work, number)

    async def test_an_agent_and_its_log_are_seen_together(self, store: Store) -> None:
        """Whoever reads meanwhile never sees the one without the other."""
        done = anyio.Event()

        async def write() -> None:
            for _ in range(20):
                await notify(store, "ann")
                await anyio.lowlevel.checkpoint()
            done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while not done.is_set():
                agent = await store.agent("ann")
                log = await store.deliveries("ann", 0, 100)
                following = await store.agent("ann")
                before = 0 if agent is None else agent.sequence
                after = 0 if following is None else following.sequence
                assert before <= len(log) <= after
                assert [one.sequence for one in log] == list(range(1, len(log) + 1))
                await anyio.lowlevel.checkpoint()

    async def test_deliveries_that_come_while_others_are_delivered(self, store: Store) -> None:
        """A sink that keeps up with commits gets every delivery once, in order."""
        received: list[int] = []

        async def relay(worker: str) -> None:
            while len(received) < 20:
                for stream in await store.claim(worker, later(1), later(60), 10):
                    log = await store.deliveries("ann", stream.delivered, 3)
                    received.extend(one.sequence for one in log)
                    last = attrs.evolve(stream, delivered=log[-1].sequence)
                    await anyio.lowlevel.checkpoint()
                    assert await store.progress(worker, last)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(relay, f"worker{number}")
            for _ in range(20):
                await notify(store, "ann")
                await anyio.lowlevel.checkpoint()
        assert received == list(range(1, 21))
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=20)

    async def test_a_cancelled_commit_is_whole_or_nothing(self, store: Store) -> None:
        """However far it had come, all of it is there or none, and the store goes on."""
        for steps in range(8):
            one = _whole(str(steps))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.commit, one)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            # The same again is stored if nothing was, and a conflict if all was: had it been
            # a part, then something would be missing now.
            await together([partial(store.commit, one)])
            assert all(await _found(store, one))
        assert len(await store.ids("", 100)) == len(await store.outgoing()) == 8
        assert await store.faults() == ()

    async def test_a_caller_that_is_cancelled_already(self, store: Store) -> None:
        """It leaves all or nothing too, and raises nothing but its cancellation."""
        one = _whole("1")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.commit(one)
        await together([partial(store.commit, one)])
        assert all(await _found(store, one))

    async def test_a_commit_that_holds_is_told(self, store: Store) -> None:
        """Once, and before its caller goes on; one that conflicts is not told."""
        told: list[str] = []
        await store.commit(_whole("1"), partial(told.append, "first"))
        assert told == ["first"]
        with pytest.raises(Conflict):
            await store.commit(_whole("1"), partial(told.append, "again"))
        assert told == ["first"]

    async def test_a_cancelled_commit_that_holds_is_told(self, store: Store) -> None:
        """However late: of a commit and the same one again one holds, and that one is told."""
        for steps in range(8):
            one = _whole(str(steps))
            told: list[str] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.commit, one, partial(told.append, "cancelled"))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            again = partial(store.commit, one, partial(told.append, "again"))
            [held] = await together([again])
            assert told == (["again"] if held else ["cancelled"])

    async def test_commits_are_told_in_their_order(self, store: Store) -> None:
        """Of callers who change one agent in turn, each from what the one before has left."""
        told: list[int] = []

        async def change() -> None:
            while True:
                version = len(told) + 1
                new = Commit(at=START, agents=(Agent(id="ann", version=version),))
                try:
                    await store.commit(new, partial(told.append, version))
                except Conflict:
                    await anyio.lowlevel.checkpoint()
                else:
                    return

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(change)
        assert told == list(range(1, 21))

    async def test_a_cancelled_commit_takes_no_other_with_it(self, store: Store) -> None:
        """Commits of others at the same time are stored."""
        others = [_whole(f"other{number}") for number in range(12)]
        cancelled = [_whole(f"cancelled{number}") for number in range(12)]
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as doomed:
            for one, other in zip(cancelled, others, strict=True):
                doomed.start_soon(store.commit, one)
                tasks.start_soon(store.commit, other)
            await anyio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
        for other in others:
            assert all(await _found(store, other))
        await together([partial(store.commit, one) for one in cancelled])
        for one in cancelled:
            assert all(await _found(store, one))

    async def test_what_a_cancelled_caller_took_comes_back(self, store: Store) -> None:
        """Nobody else has it for longer than it was taken for."""
        await notify(store, "ann")
        await commit(store, queued(), outgoing=(outgoing(1),))
        await commit(store, invited(queued(), "ann"))
        for steps in range(4):
            at, until = later(100 * steps + 30), later(100 * steps + 130)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.claim, "one", at, until, 10)
                tasks.start_soon(store.claim_outgoing, "one", at, until, 10)
                tasks.start_soon(store.due, at, until, 10)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        at, until = later(1000), later(2000)
        assert [one.agent_id for one in await store.claim("two", at, until, 10)] == ["ann"]
        assert len(await store.claim_outgoing("two", at, until, 10)) == 1
        assert len(await store.due(at, until, 10)) == 1

    async def test_cancelled_questions_harm_nobody(self, store: Store) -> None:
        """A store answers as before after callers who did not wait for the answer."""
        await notify(store, "ann", count=3)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(store.deliveries, "ann", 0, 10)
                tasks.start_soon(store.waiting)
                tasks.start_soon(store.agent, "ann")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert len(await store.deliveries("ann", 0, 10)) == 3
        with pytest.raises(Conflict):
            await commit(store, agents=(Agent(id="ann", version=1),))
        await notify(store, "ann")
        assert len(await store.deliveries("ann", 0, 10)) == 4
