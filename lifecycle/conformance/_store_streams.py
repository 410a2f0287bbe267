"""L7. Cases for deliveries: their logs, who may carry them on, and how far they have come."""

from __future__ import annotations

import anyio
import attrs
import pytest

from lifecycle.conformance._samples import (
    START,
    commit,
    deliver,
    delivery,
    later,
    notify,
    queued,
    saved,
)
from lifecycle.errors import Conflict, NotFound
from lifecycle.ports import Store
from lifecycle.records import Commit, Invitable, Stream

_END = later(60)


async def _claimed(
    store: Store, worker: str = "one", *, at: float = 0, until: float = 60, limit: int = 10
) -> list[str]:
    claimed = await store.claim(worker, later(at), later(until), limit)
    return [stream.agent_id for stream in claimed]


async def _claim_one(store: Store, worker: str = "one", *, at: float = 0) -> Stream:
    (stream,) = await store.claim(worker, later(at), later(at + 60), 10)
    return stream


async def _connect(store: Store, agent_id: str) -> Stream:
    return await store.change_stream(
        agent_id, lambda stream: attrs.evolve(stream, absent=False, connects=stream.connects + 1)
    )


class StreamCases:
    """The deliveries of agents and the streams that they come in (semantics 9)."""

    async def test_deliveries_are_read_by_sequence(self, store: Store) -> None:
        """An agent's own, in order, after a sequence, no more than asked for, as committed."""
        await notify(store, "ann", count=2)
        await notify(store, "bob")
        await notify(store, "ann", count=3, at=later(1))
        anns = await store.deliveries("ann", 0, 10)
        assert [one.sequence for one in anns] == [1, 2, 3, 4, 5]
        assert anns[1] == delivery("ann", 2, interaction_id="Nann")
        assert anns[2] == delivery("ann", 3, interaction_id="Nann", at=later(1))
        assert await store.deliveries("ann", 2, 2) == anns[2:4]
        assert await store.deliveries("ann", 5, 10) == ()
        assert await store.deliveries("ann", -3, 2) == anns[:2]
        assert await store.deliveries("cat", 0, 10) == ()

    async def test_deliveries_are_retained_when_the_sink_has_them(self, store: Store) -> None:
        """A client that replays reads what was delivered already."""
        await notify(store, "ann")
        stream = await _claim_one(store)
        await store.progress("one", attrs.evolve(stream, delivered=1))
        assert len(await store.deliveries("ann", 0, 10)) == 1

    async def test_a_new_delivery_can_be_claimed(self, store: Store) -> None:
        """The stream of an agent begins with nothing delivered."""
        await notify(store, "ann")
        assert await _claim_one(store) == Stream(agent_id="ann")
        assert await store.stream("ann") == Stream(agent_id="ann")

    async def test_nothing_undelivered_cannot_be_claimed(self, store: Store) -> None:
        """A stream whose deliveries the sink has is left alone, until there are more."""
        await notify(store, "ann", count=2)
        stream = attrs.evolve(await _claim_one(store), delivered=2)
        assert await store.progress("one", stream)
        assert await _claimed(store) == []
        assert await store.next_delivery() is None
        await notify(store, "ann")
        assert await _claim_one(store) == stream

    async def test_the_rest_can_be_claimed_again(self, store: Store) -> None:
        """A stream that was given back with something left goes on from there."""
        await notify(store, "ann", count=2)
        stream = attrs.evolve(await _claim_one(store), delivered=1, tries=3)
        assert await store.progress("one", stream)
        assert await store.stream("ann") == stream
        assert await _claim_one(store, "two") == stream

    async def test_a_claimed_stream_is_nobody_elses(self, store: Store) -> None:
        """Neither another worker nor the same one gets it twice, also with new deliveries."""
        await notify(store, "ann")
        await notify(store, "bob")
        assert await _claimed(store, "one", limit=1) == ["ann"]
        await notify(store, "ann")
        assert await _claimed(store, "two") == ["bob"]
        assert await _claimed(store, "one") == await _claimed(store, "two") == []

    async def test_many_workers_never_share_a_stream(self, store: Store) -> None:
        """Claims at the same time: every stream is somebody's, and nobody else's."""
        agents = [f"agent{number:02}" for number in range(12)]
        for agent_id in agents:
            await notify(store, agent_id)
        found: list[str] = []

        async def work(worker: str) -> None:
            while claimed := await _claimed(store, worker, limit=2):
                found.extend(claimed)

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(work, f"worker{number}")
        assert sorted(found) == agents

    async def test_a_lease_ends(self, store: Store) -> None:
        """At its end, not before, the stream can be claimed; until then nothing can be tried."""
        await notify(store, "ann")
        await _claim_one(store)
        assert await store.next_delivery() == _END
        assert await _claimed(store, "two", at=59.999999) == []
        assert await _claimed(store, "two", at=60, until=120) == ["ann"]

    async def test_progress_is_refused_when_the_lease_was_lost(self, store: Store) -> None:
        """Who was too slow changes nothing, while another has the stream or has had it since."""
        await notify(store, "ann", count=3)
        slow = attrs.evolve(await _claim_one(store, "slow"), delivered=3)
        quick = attrs.evolve(await _claim_one(store, "quick", at=60), delivered=1)
        assert not await store.progress("slow", slow)
        assert await store.stream("ann") == Stream(agent_id="ann")
        assert await _claimed(store, "slow", at=61, until=200) == []
        assert await store.progress("quick", quick)
        assert not await store.progress("slow", slow)
        assert await store.stream("ann") == quick

    async def test_progress_needs_a_claim(self, store: Store) -> None:
        """A worker who never had the stream changes nothing."""
        await notify(store, "ann")
        assert not await store.progress("one", Stream(agent_id="ann", delivered=1))
        assert await store.stream("ann") == Stream(agent_id="ann")

    async def test_progress_counts_once(self, store: Store) -> None:
        """What was given back is not the worker's any more."""
        await notify(store, "ann", count=2)
        stream = attrs.evolve(await _claim_one(store), delivered=1)
        assert await store.progress("one", stream)
        assert not await store.progress("one", attrs.evolve(stream, delivered=2))
        assert await store.stream("ann") == stream

    async def test_a_retry_waits_for_its_time(self, store: Store) -> None:
        """`retry_at` is respected, and it is when something can be tried next."""
        await notify(store, "ann")
        stream = attrs.evolve(await _claim_one(store), tries=1, retry_at=later(5))
        assert await store.progress("one", stream)
        assert await store.next_delivery() == later(5)
        assert await _claimed(store, at=4.999999) == []
        assert await _claim_one(store, at=5) == stream

    async def test_a_parked_stream_is_not_claimed(self, store: Store) -> None:
        """It stops at the delivery that failed, also with new ones, and is listed."""
        await notify(store, "ann", count=2)
        await notify(store, "bob")
        stream = attrs.evolve(await _claim_one_of_two(store), delivered=1, tries=8, parked=True)
        assert await store.progress("one", stream)
        await notify(store, "ann")
        assert await _claimed(store, "two", at=10_000, until=20_000) == ["bob"]
        assert await store.streams(parked=True) == (stream,)
        assert [one.agent_id for one in await store.streams(parked=False)] == ["bob"]
        released = attrs.evolve(stream, tries=0, parked=False)
        assert await store.change_stream("ann", lambda _: released) == released
        assert await store.streams(parked=True) == ()
        assert await _claim_one(store, at=1) == released

    async def test_parked_streams_are_listed_by_agent(self, store: Store) -> None:
        """By agent id, whatever the order in which they stopped; nothing can be tried then."""
        for agent_id in ("cat", "ann", "bob"):
            await notify(store, agent_id)
            stream = attrs.evolve(await _claim_one(store), parked=True)
            await store.progress("one", stream)
        parked = await store.streams(parked=True)
        assert [stream.agent_id for stream in parked] == ["ann", "bob", "cat"]
        assert await store.next_delivery() is None

    async def test_an_absent_agent_is_not_claimed(self, store: Store) -> None:
        """What waits for the agent to connect is left alone until then, also when it is more."""
        await notify(store, "ann")
        absent = attrs.evolve(await _claim_one(store), absent=True)
        assert await store.progress("one", absent)
        assert await store.stream("ann") == absent
        assert await store.next_delivery() is None
        await notify(store, "ann")
        assert await _claimed(store, at=10_000, until=20_000) == []
        connected = await _connect(store, "ann")
        assert connected == Stream(agent_id="ann", connects=1)
        assert await _claim_one(store) == connected

    async def test_an_agent_who_connects_in_time_is_not_stored_as_absent(
        self, store: Store
    ) -> None:
        """Who connects while a worker finds nobody there does not wait for the next time."""
        await notify(store, "ann", count=2)
        stream = await _claim_one(store)
        await _connect(store, "ann")
        assert await store.progress("one", attrs.evolve(stream, delivered=1, absent=True))
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=1, connects=1)
        assert await _claimed(store) == ["ann"]

    async def test_an_agent_connects_before_the_first_delivery(self, store: Store) -> None:
        """Semantics 8, subscribe first: a stream can change before anything is in it."""
        assert await _connect(store, "ann") == Stream(agent_id="ann", connects=1)
        assert await store.stream("ann") == Stream(agent_id="ann", connects=1)
        assert await _claimed(store) == []
        assert await store.next_delivery() is None
        await notify(store, "ann")
        assert await _claim_one(store) == Stream(agent_id="ann", connects=1)

    async def test_a_change_does_not_take_the_stream_away(self, store: Store) -> None:
        """A stream that is changed while a worker has it stays the worker's."""
        await notify(store, "ann")
        stream = await _claim_one(store)
        await _connect(store, "ann")
        assert await _claimed(store, "two") == []
        assert await store.progress("one", attrs.evolve(stream, delivered=1))
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=1, connects=1)

    async def test_a_change_is_one_step(self, store: Store) -> None:
        """Changes at the same time each see the one before."""
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(_connect, store, "ann")
        assert (await store.stream("ann")).connects == 10

    async def test_a_change_that_raises_changes_nothing(self, store: Store) -> None:
        """What the function raises comes out."""

        def refuse(stream: Stream) -> Stream:
            raise NotFound("not stopped", agent_id=stream.agent_id)

        await notify(store, "ann")
        with pytest.raises(NotFound, match="not stopped"):
            await store.change_stream("ann", refuse)
        assert await store.stream("ann") == Stream(agent_id="ann")
        assert await _claimed(store) == ["ann"]

    async def test_the_oldest_delivery_comes_first(self, store: Store) -> None:
        """By the oldest undelivered one of each stream; a retry or an old lease by its own time."""
        for number, agent_id in enumerate(("cat", "ann", "bob", "ann")):
            await notify(store, agent_id, at=later(number))
        assert await _claimed(store, limit=2, at=9, until=10) == ["cat", "ann"]
        stream = attrs.evolve(await store.stream("ann"), delivered=1)
        await store.progress("one", stream)
        assert await _claimed(store, limit=0, at=20) == []
        assert await _claimed(store, at=20) == ["bob", "ann", "cat"]

    async def test_new_deliveries_come_before_retries(self, store: Store) -> None:
        """What was never tried first, then by the time that a retry or an old lease allows."""
        for number, agent_id in enumerate(("ann", "bob", "cat", "dan")):
            await notify(store, agent_id, at=later(number))
        ann, bob, _ = await store.claim("one", START, later(20), 3)
        await store.progress("one", attrs.evolve(ann, tries=1, retry_at=later(30)))
        await store.progress("one", attrs.evolve(bob, tries=1, retry_at=later(10)))
        assert await _claimed(store, at=30, until=90) == ["dan", "bob", "cat", "ann"]

    async def test_equal_times_go_by_agent(self, store: Store) -> None:
        """Streams whose oldest deliveries are from one moment, by agent id."""
        for agent_id in ("cat", "ann", "bob"):
            await notify(store, agent_id)
        assert await _claimed(store, limit=2) == ["ann", "bob"]
        assert await _claimed(store, limit=2) == ["cat"]

    async def test_a_stream_is_as_old_as_what_is_undelivered(self, store: Store) -> None:
        """What the sink has does not make a stream older."""
        await notify(store, "ann", at=later(1))
        await notify(store, "bob", at=later(2))
        await notify(store, "ann", at=later(3))
        await deliver(store, "ann", 1)
        assert await _claimed(store, at=9) == ["bob", "ann"]

    async def test_a_clock_that_was_set_back_delays_nothing(self, store: Store) -> None:
        """What was committed at a later time than now can be tried now (semantics 5)."""
        await notify(store, "ann", at=later(3600))
        at = await store.next_delivery()
        assert at is not None
        assert at <= START
        assert await _claimed(store) == ["ann"]

    async def test_a_stream_that_stopped_is_not_invitable(self, store: Store) -> None:
        """Semantics 9: nothing is committed for it, until it goes on."""
        await notify(store, "ann")
        await store.change_stream("ann", lambda stream: attrs.evolve(stream, parked=True))
        wanted = (Invitable(agent_id="ann", backlog=100),)
        with pytest.raises(Conflict) as caught:
            await commit(store, queued(), invitable=wanted)
        assert caught.value.agent_id == "ann"
        assert await store.interaction("I1") is None
        await store.change_stream("ann", lambda stream: attrs.evolve(stream, parked=False))
        await commit(store, queued(), invitable=wanted)
        assert await store.interaction("I1") == queued()

    async def test_an_agent_with_a_backlog_is_not_invitable(self, store: Store) -> None:
        """Semantics 9: as many as the bound wait, before the commit; those in it do not count."""
        await notify(store, "ann", count=5)
        await deliver(store, "ann", 2)
        agent = await store.agent("ann")
        assert agent is not None
        following = attrs.evolve(agent, version=agent.version + 1, sequence=7)
        wanted = Commit(
            at=START,
            interactions=(saved(queued()),),
            agents=(following,),
            deliveries=(delivery("ann", 6), delivery("ann", 7)),
        )
        for backlog in (0, 3):
            expected = (Invitable(agent_id="ann", backlog=backlog),)
            with pytest.raises(Conflict):
                await store.commit(attrs.evolve(wanted, invitable=expected))
        assert await store.interaction("I1") is None
        assert await store.agent("ann") == agent
        assert len(await store.deliveries("ann", 0, 10)) == 5
        expected = (Invitable(agent_id="ann", backlog=4),)
        await store.commit(attrs.evolve(wanted, invitable=expected))
        assert await store.agent("ann") == following
        await deliver(store, "ann", 7)
        await commit(store, invitable=(Invitable(agent_id="ann", backlog=1),))

    async def test_who_is_not_there_or_not_known_is_invitable(self, store: Store) -> None:
        """An agent who is not connected waits; one without deliveries has no backlog."""
        await notify(store, "ann")
        await store.change_stream("ann", lambda stream: attrs.evolve(stream, absent=True))
        names = ("ann", "bob")
        wanted = tuple(Invitable(agent_id=name, backlog=2) for name in names)
        await commit(store, queued(), invitable=wanted)
        assert await store.interaction("I1") == queued()
        assert await store.agent("bob") is None
        with pytest.raises(Conflict):
            await commit(store, invitable=(Invitable(agent_id="bob", backlog=0),))
        with pytest.raises(Conflict):
            await commit(
                store, queued("I2"), invitable=(wanted[1], attrs.evolve(wanted[0], backlog=1))
            )
        assert await store.interaction("I2") is None

    async def test_something_can_be_tried_now(self, store: Store) -> None:
        """The time is not later than now where something can be claimed, whatever waits."""
        await notify(store, "ann")
        await store.progress("one", attrs.evolve(await _claim_one(store), retry_at=later(500)))
        assert await store.next_delivery() == later(500)
        await notify(store, "bob", at=later(7))
        at = await store.next_delivery()
        assert at is not None
        assert at <= later(7)
        assert await _claimed(store, at=7) == ["bob"]


async def _claim_one_of_two(store: Store) -> Stream:
    (stream,) = await store.claim("one", START, _END, 1)
    assert stream.agent_id == "ann"
    return stream
