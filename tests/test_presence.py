"""Sessions of agents across processes (semantics 6): several lifecycles on one store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from clocks import VirtualClock, later
from desks import ConflictingStore, Desk, FailingStore, desk

from lifecycle import Agent, Commit, Committed, MemoryStore, Settings
from lifecycle.errors import RaceLost, StoreUnavailable

pytestmark = pytest.mark.anyio

LEASE = 60
TIMEOUT = 60


class Site:
    """Processes that share a store and a clock."""

    def __init__(self, store: MemoryStore | None = None, **settings: Any) -> None:
        self.store = MemoryStore() if store is None else store
        self.clock = VirtualClock()
        self.settings = Settings(**settings)

    def process(self, **changes: Any) -> Desk:
        """One more process."""
        d = desk(self.store, clock=self.clock, settings=self.settings, **changes)
        d.clock = self.clock
        return d

    async def agent(self, agent_id: str = "ann") -> Agent:
        """An agent as stored."""
        return await self.store.agent(agent_id) or Agent(id=agent_id)

    async def seen(self, agent_id: str = "ann") -> tuple[bool, int, datetime | None]:
        """Whether an agent is ready, in how many sessions, and when presence runs out."""
        agent = await self.agent(agent_id)
        assert agent.gone is not bool(agent.sessions)
        return agent.ready, len(agent.sessions), agent.away_at


async def test_sessions_are_counted_over_all_processes() -> None:
    """While one lasts anywhere, presence does not run out; after the last it does."""
    site = Site()
    first, second = site.process(), site.process()
    await first.lifecycle.ready("ann")
    await first.lifecycle.connected("ann")
    await second.lifecycle.connected("ann")
    await second.lifecycle.connected("ann")
    agent = await site.agent()
    assert len(agent.sessions) == 3
    assert len(set(agent.sessions)) == 2
    assert agent.sessions == tuple(sorted(agent.sessions))
    for left in (2, 1):
        await second.lifecycle.disconnected("ann")
        assert await site.seen() == (True, left, None)
    await first.lifecycle.disconnected("ann")
    assert await site.seen() == (True, 0, later(TIMEOUT))
    await second.lifecycle.connected("ann")
    assert await site.seen() == (True, 1, None)


async def test_a_session_ends_where_it_began() -> None:
    """One process cannot end the session that another one has."""
    site = Site()
    first, second = site.process(), site.process()
    await first.lifecycle.ready("ann")
    await first.lifecycle.connected("ann")
    await second.lifecycle.disconnected("ann")
    assert await site.seen() == (True, 1, None)


async def test_a_process_that_dies_loses_its_sessions(caplog: pytest.LogCaptureFixture) -> None:
    """After the lease; then presence runs out, and the pending offers are revoked."""
    site = Site(missed_offers=None)
    dying, living = site.process(), site.process()
    await living.own("ann", "I1")
    await dying.lifecycle.connected("ann")
    worker = (await site.agent()).sessions[0]
    site.clock.advance(LEASE - 0.000001)
    assert await living.lifecycle.fire_due() == 0
    assert await site.seen() == (True, 1, None)
    site.clock.advance(0.000001)
    with caplog.at_level(logging.WARNING):
        assert await living.lifecycle.fire_due() == 1
    assert [record.getMessage() for record in caplog.records] == ["a process is gone"]
    assert vars(caplog.records[0])["worker"] == worker
    assert await site.seen() == (True, 0, later(LEASE + TIMEOUT))
    assert await site.store.next_deadline() == later(LEASE + TIMEOUT)  # the process is forgotten
    site.clock.at = later(LEASE + TIMEOUT - 10)
    await living.offer("ann", "I2")
    await living.wait(9.999999)
    assert (await site.agent()).ready
    await living.wait(0.000001)
    agent = await site.agent()
    assert (agent.ready, agent.reason, agent.gone) == (False, "NoSession", True)
    offered = await living.lifecycle.get("I2")
    assert (offered.state, offered.reason) == ("Revoked", "NoSession")
    assert await living.state("I1") == "Accepted"


async def test_only_the_sessions_of_the_dead_end() -> None:
    """Who has another session with a living process stays; others do not wait for each other."""
    site = Site()
    living, dying, too = site.process(), site.process(), site.process()
    for agent_id in ("ann", "bob", "cat"):
        await living.lifecycle.ready(agent_id)
    await living.lifecycle.connected("ann")
    for process, agent_ids in ((dying, ("ann", "bob")), (too, ("ann", "bob", "cat"))):
        for agent_id in agent_ids:
            await process.lifecycle.connected(agent_id)
    assert await site.seen("bob") == (True, 2, None)
    site.clock.advance(LEASE)
    assert await living.lifecycle.fire_due() == 5
    assert await site.seen("ann") == (True, 1, None)
    for agent_id in ("bob", "cat"):
        assert await site.seen(agent_id) == (True, 0, later(LEASE + TIMEOUT))
    assert await living.lifecycle.fire_due() == 0
    await living.wait(TIMEOUT)
    assert [(await site.agent(one)).ready for one in ("ann", "bob", "cat")] == [True, False, False]


async def test_a_living_process_says_so_in_time() -> None:
    """Every half of its lease, by `fire_due`; not more often, and not without sessions."""

    class Counting(MemoryStore):
        """Counts renewals."""

        def __init__(self) -> None:
            super().__init__()
            self.renewals: list[datetime] = []

        async def renew(self, worker: str, until: datetime) -> bool:
            self.renewals.append(until)
            return await super().renew(worker, until)

    store = Counting()
    site = Site(store)
    living, looking = site.process(), site.process()
    await living.lifecycle.ready("ann")
    await living.lifecycle.fire_due()
    assert not store.renewals
    await living.lifecycle.connected("ann")
    await living.lifecycle.connected("ann")
    assert store.renewals == [later(LEASE)]
    for _ in range(12):
        site.clock.advance(LEASE / 4)
        await living.lifecycle.fire_due()
        assert await looking.lifecycle.fire_due() == 0
    assert store.renewals == [later(LEASE * halves / 2) for halves in range(2, 9)]
    assert await site.seen() == (True, 2, None)
    for _ in range(2):
        await living.lifecycle.disconnected("ann")
    site.clock.advance(LEASE)
    await looking.lifecycle.fire_due()
    await living.lifecycle.fire_due()
    assert len(store.renewals) == 7
    assert await store.lapsed(later(10_000)) == ()


async def test_who_has_no_sessions_any_more_forgets_itself() -> None:
    """Nobody else need be there; with the next session it is known again."""
    site = Site()
    d = site.process()
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    assert await site.store.next_deadline() == later(min(LEASE, TIMEOUT))
    assert len(await site.store.lapsed(later(LEASE))) == 1
    await d.wait(LEASE)
    assert await site.store.lapsed(later(10_000)) == ()
    await d.lifecycle.connected("ann")
    assert len(await site.store.lapsed(later(2 * LEASE))) == 1
    assert (await site.agent()).sessions == await site.store.lapsed(later(2 * LEASE))


async def test_who_was_suspended_has_its_sessions_back() -> None:
    """It was taken for gone, and says that it is not: presence does not run out any more."""
    site = Site()
    suspended, living = site.process(), site.process()
    for agent_id in ("ann", "bob"):
        await suspended.lifecycle.ready(agent_id)
        await suspended.lifecycle.connected(agent_id)
    await suspended.lifecycle.connected("bob")
    await living.lifecycle.connected("ann")
    before = [await site.seen(agent_id) for agent_id in ("ann", "bob")]
    assert before == [(True, 2, None), (True, 2, None)]
    for _ in range(3):
        site.clock.advance(LEASE / 2)
        await living.lifecycle.fire_due()
    assert await site.seen("ann") == (True, 1, None)
    assert await site.seen("bob") == (True, 0, later(LEASE + TIMEOUT))
    await suspended.lifecycle.fire_due()
    assert [await site.seen(agent_id) for agent_id in ("ann", "bob")] == before
    await living.wait(LEASE / 2)
    assert [await site.seen(agent_id) for agent_id in ("ann", "bob")] == before


async def test_who_was_suspended_and_nobody_noticed_goes_on() -> None:
    """Its own lease has passed, but it is the first to look."""
    site = Site()
    suspended, living = site.process(), site.process()
    await suspended.lifecycle.ready("ann")
    await suspended.lifecycle.connected("ann")
    site.clock.advance(10 * LEASE)
    assert await suspended.lifecycle.fire_due() == 0
    assert await living.lifecycle.fire_due() == 0
    assert await site.seen() == (True, 1, None)


async def test_who_was_suspended_is_known_again_by_a_new_session() -> None:
    """All that it had is counted again, before the new one."""
    site = Site()
    suspended, living = site.process(), site.process()
    for agent_id in ("ann", "bob"):
        await suspended.lifecycle.ready(agent_id)
    await suspended.lifecycle.connected("ann")
    site.clock.advance(LEASE)
    await living.lifecycle.fire_due()
    await suspended.lifecycle.connected("bob")
    assert await site.seen("ann") == (True, 1, None)
    assert await site.seen("bob") == (True, 1, None)
    assert len(await site.store.lapsed(later(2 * LEASE))) == 1


class Interrupted(MemoryStore):
    """Lets something happen before a question of a name is answered, once."""

    question = ""
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _before(self, question: str) -> None:
        if self.question == question and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """Who had sessions when it was asked."""
        found = await super().sessions_of(worker)
        await self._before("sessions_of")
        return found

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Commit."""
        await self._before("commit")
        await super().commit(commit, committed)

    async def forget(self, worker: str, at: datetime) -> None:
        """Forget."""
        await self._before("forget")
        await super().forget(worker, at)


@pytest.mark.parametrize("question", ["sessions_of", "commit", "forget"])
async def test_who_wakes_while_others_end_its_sessions_keeps_them(question: str) -> None:
    """Whatever they have read by then: they see in time that it lives, and do not forget it."""
    store = Interrupted()
    site = Site(store)
    suspended, living = site.process(), site.process()
    await suspended.lifecycle.ready("ann")
    await suspended.lifecycle.connected("ann")
    site.clock.advance(LEASE)
    woken: list[int] = []

    async def wake() -> None:
        woken.append(await suspended.lifecycle.fire_due())

    store.question, store.meanwhile = question, wake
    await living.lifecycle.fire_due()
    assert woken == [0]
    assert await site.seen() == (True, 1, None)
    assert len(await store.lapsed(later(2 * LEASE))) == 1


async def test_who_wakes_while_it_is_forgotten_and_dies_loses_its_sessions() -> None:
    """It is not forgotten, as it lives again; and so its end is noticed."""
    store = Interrupted()
    site = Site(store)
    suspended, living = site.process(), site.process()
    await suspended.lifecycle.ready("ann")
    await suspended.lifecycle.connected("ann")
    site.clock.advance(LEASE)
    store.question, store.meanwhile = "forget", suspended.lifecycle.fire_due
    await living.lifecycle.fire_due()
    assert await site.seen() == (True, 1, None)
    site.clock.advance(LEASE)
    assert await living.lifecycle.fire_due() == 1
    assert await site.seen() == (True, 0, later(2 * LEASE + TIMEOUT))
    assert await store.lapsed(later(10_000)) == ()


async def test_who_was_forgotten_too_early_has_its_sessions_back() -> None:
    """By a process whose clock is ahead of the others': with the next sign of life."""
    site = Site()
    living, hasty = site.process(), desk(site.store)
    await living.lifecycle.ready("ann")
    await living.lifecycle.connected("ann")
    hasty.clock.advance(LEASE)
    await hasty.lifecycle.fire_due()
    assert await site.seen() == (True, 0, later(LEASE + TIMEOUT))
    site.clock.advance(LEASE / 2)
    await living.lifecycle.fire_due()
    assert await site.seen() == (True, 1, None)
    assert len(await site.store.lapsed(later(10_000))) == 1


async def test_two_processes_that_notice_at_the_same_time() -> None:
    """The sessions end once, as if one had; nothing fails."""
    store = Interrupted()
    site = Site(store)
    dying, first, second = (site.process() for _ in range(3))
    await dying.lifecycle.ready("ann")
    await dying.lifecycle.connected("ann")
    site.clock.advance(LEASE)
    store.question, store.meanwhile = "commit", second.lifecycle.fire_due
    await first.lifecycle.fire_due()
    assert await site.seen() == (True, 0, later(LEASE + TIMEOUT))
    assert await store.lapsed(later(10_000)) == ()


async def test_after_a_restart_the_old_sessions_end() -> None:
    """Who has come back by then is there; who has not is `NotReady` in the end."""
    site = Site()
    old = site.process()
    for agent_id in ("ann", "bob"):
        await old.lifecycle.ready(agent_id)
        await old.lifecycle.connected(agent_id)
    del old
    site.clock.advance(5)
    new = site.process()
    await new.lifecycle.connected("ann")
    assert await site.seen("ann") == (True, 2, None)
    await new.wait(LEASE - 5)
    assert await site.seen("ann") == (True, 1, None)
    assert await site.seen("bob") == (True, 0, later(LEASE + TIMEOUT))
    await new.wait(TIMEOUT)
    assert (await site.agent("ann")).ready
    assert (await site.agent("bob")).reason == "NoSession"


async def test_a_lease_is_configurable() -> None:
    """As is the timeout; with None nobody becomes `NotReady`, and sessions end all the same."""
    site = Site(lease=timedelta(seconds=20), presence_timeout=None)
    dying, living = site.process(), site.process()
    await dying.lifecycle.ready("ann")
    await dying.lifecycle.connected("ann")
    site.clock.advance(20)
    assert await living.lifecycle.fire_due() == 1
    assert await site.seen() == (True, 0, None)
    await living.wait(10_000)
    assert (await site.agent()).ready


async def test_a_clock_that_jumps_back_ends_no_session() -> None:
    """Semantics 5: nor does one that jumps forward, where both processes see it."""
    site = Site()
    first, second = site.process(), site.process()
    await first.lifecycle.ready("ann")
    await first.lifecycle.connected("ann")
    for seconds in (-3600, 2 * 3600):
        site.clock.advance(seconds)
        for process in (first, second):
            assert await process.lifecycle.fire_due() == 0
        assert await site.seen() == (True, 1, None)


# Where the store fails


class Faulty(MemoryStore):
    """Cannot commit some agents: before or after it has done so."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck: tuple[str, ...] = ()
        self.loses_answers = False

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Commit, or fail, or both."""
        fails = any(agent.id in self.stuck for agent in commit.agents)
        if not fails or self.loses_answers:
            await super().commit(commit, committed)
        if fails:
            raise StoreUnavailable("no answer")


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_a_session_whose_commit_fails_does_not_count(loses_answers: bool) -> None:
    """Though it may have been committed: then it is taken back, with the next look."""
    store = Faulty()
    site = Site(store)
    d = site.process()
    await d.lifecycle.ready("ann")
    store.stuck, store.loses_answers = ("ann",), loses_answers
    with pytest.raises(StoreUnavailable):
        await d.lifecycle.connected("ann")
    store.stuck = ()
    assert len((await site.agent()).sessions) == int(loses_answers)
    await d.lifecycle.fire_due()
    assert await site.seen() == (True, 0, later(TIMEOUT))
    await d.lifecycle.connected("ann")
    assert await site.seen() == (True, 1, None)


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_a_session_that_ends_while_the_store_fails_ends(
    loses_answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The host learns of the failure, but need not ask again."""
    store = Faulty()
    site = Site(store)
    d = site.process()
    await d.lifecycle.ready("ann")
    for _ in range(2):
        await d.lifecycle.connected("ann")
    store.stuck, store.loses_answers = ("ann",), loses_answers
    with pytest.raises(StoreUnavailable):
        await d.lifecycle.disconnected("ann")
    with caplog.at_level(logging.ERROR):
        assert await d.lifecycle.fire_due() == 0
    (record,) = caplog.records
    assert record.getMessage() == "sessions could not be counted"
    assert vars(record)["agent_id"] == "ann"
    store.stuck = ()
    for seconds, sessions in ((0.999999, 1 if loses_answers else 2), (0.000001, 1)):
        site.clock.advance(seconds)
        await d.lifecycle.fire_due()
        assert await site.seen() == (True, sessions, None)
    site.clock.at = later(0)
    await d.lifecycle.disconnected("ann")
    assert await site.seen() == (True, 0, later(TIMEOUT))


async def test_no_session_begins_with_a_process_that_is_not_known() -> None:
    """Where it cannot say that it is alive, nobody could end its sessions for it."""
    store = FailingStore("renew", StoreUnavailable("no connection"))
    site = Site(store)
    d = site.process()
    await d.lifecycle.ready("ann")
    with pytest.raises(StoreUnavailable):
        await d.lifecycle.connected("ann")
    assert (await site.agent()).sessions == ()
    await d.lifecycle.connected("ann")
    assert await site.seen() == (True, 1, None)
    assert len(await store.lapsed(later(LEASE))) == 1


async def test_a_sign_of_life_that_failed_is_given_again() -> None:
    """With the next look, not half a lease later."""
    store = FailingStore("renew", StoreUnavailable("no connection"), times=0)
    site = Site(store)
    d = site.process()
    await d.lifecycle.connected("ann")
    site.clock.advance(LEASE / 2)
    store.times = 1
    with pytest.raises(StoreUnavailable):
        await d.lifecycle.fire_due()
    assert await d.lifecycle.fire_due() == 0
    assert await store.lapsed(later(LEASE)) == ()


async def test_an_agent_who_cannot_be_stored_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others' sessions end and their timers fire; the process is kept until all have ended."""
    store = Faulty()
    site = Site(store, missed_offers=None)
    dying, living = site.process(), site.process()
    for agent_id in ("ann", "bob"):
        await dying.lifecycle.ready(agent_id)
        await dying.lifecycle.connected(agent_id)
    await living.offer("cat", "I1")
    site.clock.advance(LEASE)
    store.stuck = ("ann",)
    with caplog.at_level(logging.ERROR):
        assert await living.lifecycle.fire_due() == 2
    assert [record.getMessage() for record in caplog.records] == ["sessions could not be counted"]
    assert await living.state("I1") == "Revoked"
    assert await site.seen("ann") == (True, 1, None)
    assert await site.seen("bob") == (True, 0, later(LEASE + TIMEOUT))
    assert len(await store.lapsed(site.clock.at)) == 1
    store.stuck = ()
    site.clock.advance(7)
    assert await living.lifecycle.fire_due() == 1
    assert await site.seen("ann") == (True, 0, later(LEASE + 7 + TIMEOUT))
    assert await site.seen("bob") == (True, 0, later(LEASE + TIMEOUT))
    assert await store.lapsed(site.clock.at) == ()


async def test_who_wakes_and_cannot_count_one_agent_counts_the_others() -> None:
    """And that one later."""
    store = Faulty()
    site = Site(store)
    suspended, living = site.process(), site.process()
    for agent_id in ("ann", "bob"):
        await suspended.lifecycle.connected(agent_id)
    site.clock.advance(LEASE)
    await living.lifecycle.fire_due()
    store.stuck = ("ann",)
    await suspended.lifecycle.fire_due()
    assert [len((await site.agent(one)).sessions) for one in ("ann", "bob")] == [0, 1]
    store.stuck = ()
    site.clock.advance(1)
    await suspended.lifecycle.fire_due()
    assert [len((await site.agent(one)).sessions) for one in ("ann", "bob")] == [1, 1]


async def test_who_wakes_before_all_its_sessions_were_ended_has_them_back() -> None:
    """It is known still, but its lease has ended: others may have begun."""
    store = Faulty()
    site = Site(store)
    suspended, living = site.process(), site.process()
    for agent_id in ("ann", "bob"):
        await suspended.lifecycle.connected(agent_id)
    site.clock.advance(LEASE)
    store.stuck = ("ann",)
    await living.lifecycle.fire_due()
    assert [len((await site.agent(one)).sessions) for one in ("ann", "bob")] == [1, 0]
    store.stuck = ()
    await suspended.lifecycle.fire_due()
    assert [len((await site.agent(one)).sessions) for one in ("ann", "bob")] == [1, 1]


async def test_a_pause_after_a_failure_ends_where_the_clock_is_set() -> None:
    """Semantics 5: also back; then it was a pause of another time."""
    store = Faulty()
    site = Site(store)
    d = site.process()
    await d.lifecycle.connected("ann")
    store.stuck = ("ann",)
    with pytest.raises(StoreUnavailable):
        await d.lifecycle.disconnected("ann")
    await d.lifecycle.fire_due()
    store.stuck = ()
    site.clock.advance(-3600)
    await d.lifecycle.fire_due()
    assert (await site.agent()).sessions == ()


class Stopping(MemoryStore):
    """Stops in the middle of a commit until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached: anyio.Event | None = None
        self.door = anyio.Event()

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Wait, and commit."""
        if self.reached is not None:
            self.reached.set()
            await self.door.wait()
        await super().commit(commit, committed)


@pytest.mark.parametrize("call", ["connected", "disconnected"])
async def test_who_is_cancelled_while_sessions_are_counted(call: str) -> None:
    """A commit under way is finished; what the store has is what this process has."""
    store = Stopping()
    site = Site(store)
    d = site.process()
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    store.reached = anyio.Event()

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            change: Coroutine[Any, Any, None] = getattr(d.lifecycle, call)("ann")
            await change
            await anyio.lowlevel.checkpoint()

    scopes: list[anyio.CancelScope] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancelled)
            await store.reached.wait()
            scopes[0].cancel()
            await anyio.lowlevel.checkpoint()
            store.door.set()
    sessions = 2 if call == "connected" else 0
    for _ in range(2):
        assert len((await site.agent()).sessions) == sessions
        await d.lifecycle.fire_due()
    for _ in range(sessions):
        await d.lifecycle.disconnected("ann")
    assert await site.seen() == (True, 0, later(TIMEOUT))


# In the background


QUICK: dict[str, Any] = {
    "lease": timedelta(milliseconds=80),
    "sink_timeout": timedelta(milliseconds=5),
    "presence_timeout": timedelta(milliseconds=20),
}


async def test_a_process_says_by_itself_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background, when half of its lease has passed and nobody else has noticed."""
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.005)

    class Noting(MemoryStore):
        """Says when somebody says so."""

        def __init__(self) -> None:
            super().__init__()
            self.renewed = anyio.Event()

        async def renew(self, worker: str, until: datetime) -> bool:
            self.renewed.set()
            return await super().renew(worker, until)

    store = Noting()
    site = Site(store)
    living, looking = site.process(background=True), site.process()
    with anyio.fail_after(10):
        async with living.lifecycle:
            await living.lifecycle.ready("ann")
            await living.lifecycle.connected("ann")
            for _ in range(5):
                await anyio.wait_all_tasks_blocked()
                store.renewed = anyio.Event()
                site.clock.advance(LEASE / 2)
                await store.renewed.wait()
                assert await looking.lifecycle.fire_due() == 0
    assert await site.seen() == (True, 1, None)


async def test_a_process_that_dies_is_noticed_by_itself() -> None:
    """In real time: another one ends its sessions, and then presence runs out."""
    not_ready = anyio.Event()

    def observe(committed: Committed) -> None:
        if any(agent.id == "ann" and agent.reason == "NoSession" for agent in committed.agents):
            not_ready.set()

    store = MemoryStore()
    dying = desk(store, clock=None, settings=Settings(**QUICK))
    await dying.lifecycle.ready("ann")
    await dying.lifecycle.connected("ann")
    living = desk(store, clock=None, settings=Settings(**QUICK), background=True, observer=observe)
    with anyio.fail_after(10):
        async with living.lifecycle:
            await not_ready.wait()
    agent = await store.agent("ann")
    assert agent is not None
    assert (agent.ready, agent.sessions, agent.gone) == (False, (), True)


@pytest.mark.parametrize("failures", [1, 3])
async def test_what_could_not_be_counted_is_counted_by_itself(
    failures: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a pause after each try, and without another call."""
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.005)
    gone = anyio.Event()

    def observe(committed: Committed) -> None:
        if any(agent.id == "ann" and agent.gone for agent in committed.agents):
            gone.set()

    store = FailingStore("commit", OSError("no connection"), times=0)
    d = desk(store, background=True, observer=observe)
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    with anyio.fail_after(5), caplog.at_level(logging.ERROR):
        async with d.lifecycle:
            await anyio.wait_all_tasks_blocked()
            store.times = failures
            with pytest.raises(OSError, match="no connection"):
                await d.lifecycle.disconnected("ann")
            for left in range(failures - 1, 0, -1):
                while store.times == left:
                    await anyio.sleep(0.001)
                await anyio.sleep(0.02)  # many rounds, if there were no pause
                assert store.times == left - 1
                d.clock.advance(1)
            await gone.wait()
    assert [record.getMessage() for record in caplog.records] == [
        "sessions could not be counted"
    ] * (failures - 1)


async def test_a_race_that_was_lost_is_run_again_by_itself() -> None:
    """Also where nothing was committed, and so nobody has been woken."""
    gone = anyio.Event()

    def observe(committed: Committed) -> None:
        if any(agent.id == "ann" and agent.gone for agent in committed.agents):
            gone.set()

    store = ConflictingStore()
    d = desk(store, background=True, observer=observe)
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    with anyio.fail_after(5):
        async with d.lifecycle:
            await anyio.wait_all_tasks_blocked()
            store.conflicts = 10_000
            with pytest.raises(RaceLost):
                await d.lifecycle.disconnected("ann")
            store.conflicts = 0
            await gone.wait()


async def test_sessions_that_cannot_be_ended_are_tried_with_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the background, of a process that is gone."""
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.005)
    store = Faulty()
    site = Site(store)
    dying, living = site.process(), site.process(background=True)
    await dying.lifecycle.ready("ann")
    await dying.lifecycle.connected("ann")
    store.stuck = ("ann",)
    site.clock.advance(LEASE)
    with anyio.fail_after(5), caplog.at_level(logging.ERROR):
        async with living.lifecycle:
            for tries in (1, 2):
                while len(caplog.records) < tries:
                    await anyio.sleep(0.005)
                await anyio.sleep(0.05)  # many rounds, if there were no pause
                assert len(caplog.records) == tries
                site.clock.advance(1)
            store.stuck = ()
            site.clock.advance(1)
            while (await site.agent()).sessions:
                await anyio.sleep(0.005)
