"""L7. Cases for what is taken by time: deadlines, agents without a session, processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import attrs
import pytest

from lifecycle import commands as c
from lifecycle.conformance._samples import START, commit, done, invited, later, queued
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Due

_FAR = 1_000_000


async def _offered(store: Store, id: str = "I1", *, at: float = 0) -> Interaction:
    """An interaction at version 1 whose deadline is 30 seconds after `at`."""
    first = queued(id)
    await commit(store, first)
    offer = invited(first, "ann", at=later(at))
    await commit(store, offer)
    return offer


def _due(id: str, deadline: float, *, version: int = 1) -> Due:
    return Due(interaction_id=id, version=version, deadline=later(deadline))


async def _take(
    store: Store, at: float, *, until: float = _FAR, limit: int = 10
) -> tuple[Due, ...]:
    return await store.due(later(at), later(until), limit)


async def _gone(store: Store, times: dict[str, float], *, version: int = 1) -> None:
    """Agents, each with the time at which presence runs out."""
    agents = (Agent(id=id, version=version, away_at=later(at)) for id, at in times.items())
    await commit(store, agents=tuple(agents))


async def _away(store: Store, at: float, *, until: float = _FAR, limit: int = 10) -> list[str]:
    return [agent.id for agent in await store.away(later(at), later(until), limit)]


async def _all_taken(take: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """What four takers find at the same time, each taking until there is no more."""
    found: list[str] = []

    async def work() -> None:
        while taken := await take():
            found.extend(taken)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(work)
    return found


class TimerCases:
    """Deadlines that are taken, and who is there (semantics 5, 6)."""

    async def test_deadlines_are_found_by_time(self, store: Store) -> None:
        """What is due at a time or before it, each once, with version and deadline."""
        for id, at in (("I1", 30), ("I2", 10), ("I3", 20)):
            await _offered(store, id, at=at)
        await commit(store, queued("I4"))
        assert await store.next_deadline() == later(40)
        assert await _take(store, 39.999999) == ()
        assert await _take(store, 40) == (_due("I2", 40),)
        assert await _take(store, 60) == (_due("I3", 50), _due("I1", 60))
        assert await _take(store, 60) == ()

    async def test_the_earliest_deadlines_are_taken_first(self, store: Store) -> None:
        """No more than asked for; what was left is found by the next."""
        for id, at in (("I5", 4), ("I1", 2), ("I3", 0), ("I2", 3), ("I4", 1)):
            await _offered(store, id, at=at)
        assert await _take(store, 100, limit=0) == ()
        assert await _take(store, 100, limit=2) == (_due("I3", 30), _due("I4", 31))
        assert await store.next_deadline() == later(32)
        assert await _take(store, 100, limit=2) == (_due("I1", 32), _due("I2", 33))
        assert await _take(store, 100, limit=2) == (_due("I5", 34),)
        assert await _take(store, 100, limit=2) == ()

    async def test_what_was_taken_and_not_done_comes_back(self, store: Store) -> None:
        """At `until`, not before, with its own deadline; until then that is the next time."""
        await _offered(store)
        assert await _take(store, 30, until=90) == (_due("I1", 30),)
        assert await store.next_deadline() == later(90)
        assert await _take(store, 89.999999) == ()
        assert await _take(store, 90, until=150) == (_due("I1", 30),)
        assert await store.next_deadline() == later(150)
        assert await _take(store, 149.999999) == ()
        assert await _take(store, 150) == (_due("I1", 30),)

    async def test_a_clock_that_was_set_back_fires_nothing_twice(self, store: Store) -> None:
        """Semantics 5: what was taken is not found at an earlier time either."""
        await _offered(store)
        await _take(store, 30, until=90)
        assert await _take(store, -500) == await _take(store, 30) == ()

    async def test_a_change_ends_the_taking(self, store: Store) -> None:
        """A new value is found at its own deadline, also long before `until`."""
        offer = await _offered(store)
        await _take(store, 30)
        accepted = done(offer, ("ann", c.Accept()))
        await commit(store, accepted)
        assert accepted.deadline is not None
        assert await store.next_deadline() == accepted.deadline
        assert await store.due(accepted.deadline, later(_FAR), 10) == (
            Due(interaction_id="I1", version=2, deadline=accepted.deadline),
        )

    async def test_a_change_that_keeps_the_deadline_ends_the_taking(self, store: Store) -> None:
        """What is taken is a version's deadline: that of the next version is another."""
        offer = await _offered(store)
        await _take(store, 30)
        await commit(store, attrs.evolve(offer, version=2))
        assert await store.next_deadline() == later(30)
        assert await _take(store, 30) == (_due("I1", 30, version=2),)

    async def test_what_was_taken_and_done_is_over(self, store: Store) -> None:
        """Where the new value has no deadline there is nothing to find, at `until` neither."""
        offer = await _offered(store)
        await _take(store, 30, until=90)
        await commit(store, attrs.evolve(offer, version=2, deadline=None))
        assert await store.next_deadline() is None
        assert await _take(store, _FAR) == ()

    async def test_a_conflict_does_not_end_the_taking(self, store: Store) -> None:
        """Only what was committed counts."""
        offer = await _offered(store)
        await _take(store, 30, until=90)
        with pytest.raises(Conflict):
            await commit(store, attrs.evolve(offer, version=3))
        assert await _take(store, 89) == ()
        assert await store.next_deadline() == later(90)

    async def test_no_deadline_is_taken_twice(self, store: Store) -> None:
        """Semantics 5: takers at the same time never share one, and miss none."""
        ids = [f"I{number:02}" for number in range(24)]
        for id in ids:
            await _offered(store, id)

        async def take() -> list[str]:
            return [due.interaction_id for due in await _take(store, 30, limit=3)]

        assert sorted(await _all_taken(take)) == ids

    async def test_a_deadline_moves_with_its_interaction(self, store: Store) -> None:
        """The present version's deadline counts, and none where it has none."""
        offer = await _offered(store)
        accepted = done(offer, ("ann", c.Accept()))
        await commit(store, accepted)
        assert await _take(store, 30) == ()
        assert await store.next_deadline() == accepted.deadline
        await commit(store, done(accepted, ("ann", c.StopProcessing())))
        assert await store.next_deadline() is None
        assert await _take(store, _FAR) == ()

    async def test_agents_who_are_away_are_found_by_time(self, store: Store) -> None:
        """Those whose time has come, earliest first, each once and as stored, a limited number."""
        await _gone(store, {"ann": 30, "bob": 10, "cat": 20})
        await commit(store, agents=(Agent(id="dan", version=1),))
        assert await store.next_deadline() == later(10)
        assert await _away(store, 9.999999) == []
        assert await _away(store, 30, limit=0) == []
        assert await _away(store, 30, limit=1) == ["bob"]
        (cat,) = await store.away(later(20), later(_FAR), 10)
        assert cat == await store.agent("cat") == Agent(id="cat", version=1, away_at=later(20))
        assert await _away(store, 30) == ["ann"]
        assert await _away(store, 30) == []

    async def test_an_agent_who_was_taken_comes_back(self, store: Store) -> None:
        """At `until`, unless the agent has changed; then at the agent's own time."""
        await _gone(store, {"ann": 10, "bob": 11})
        assert await _away(store, 11, until=90) == ["ann", "bob"]
        assert await store.next_deadline() == later(90)
        assert await _away(store, 89.999999) == []
        await _gone(store, {"bob": 11}, version=2)
        assert await _away(store, 11) == ["bob"]
        await commit(store, agents=(Agent(id="bob", version=3),))
        assert await _away(store, 90) == ["ann"]
        assert await _away(store, _FAR - 1) == []

    async def test_no_agent_is_taken_twice(self, store: Store) -> None:
        """Takers at the same time never share one, and miss none."""
        times = {f"agent{number:02}": number for number in range(20)}
        await _gone(store, {id: float(at) for id, at in times.items()})

        async def take() -> list[str]:
            return await _away(store, 100, limit=3)

        assert sorted(await _all_taken(take)) == list(times)

    async def test_the_next_deadline_is_the_earliest_of_all(self, store: Store) -> None:
        """Of an interaction, an agent, or a process; also where it has passed."""
        assert await store.next_deadline() is None
        await store.renew("w1", later(90))
        assert await store.next_deadline() == later(90)
        await _gone(store, {"ann": 60})
        assert await store.next_deadline() == later(60)
        await _offered(store, at=-3600)
        assert await store.next_deadline() == later(-3570)
        await _take(store, 0, until=100)
        await _away(store, 60, until=110)
        assert await store.next_deadline() == later(90)
        await store.forget("w1", later(90))
        assert await store.next_deadline() == later(100)

    async def test_a_process_is_known_once_it_says_so(self, store: Store) -> None:
        """Until it is forgotten, which changes nothing for others."""
        assert not await store.renew("w1", later(10))
        assert await store.renew("w1", later(20))
        assert not await store.renew("w2", later(10))
        await store.forget("w1", later(90))
        await store.forget("nobody", later(90))
        assert not await store.renew("w1", later(10))
        assert await store.renew("w2", later(10))

    async def test_processes_lapse(self, store: Store) -> None:
        """At the end of their time, not before, as often as asked, until they are forgotten."""
        await store.renew("w1", later(10))
        await store.renew("w2", later(20))
        assert await store.lapsed(later(9.999999)) == ()
        assert await store.lapsed(later(10)) == await store.lapsed(later(10)) == ("w1",)
        assert set(await store.lapsed(later(20))) == {"w1", "w2"}
        await store.forget("w1", later(90))
        assert await store.lapsed(later(20)) == ("w2",)
        await store.renew("w2", later(20.000001))
        assert await store.lapsed(later(20)) == ()
        assert await store.next_deadline() == later(20.000001)

    async def test_a_process_that_lives_is_not_forgotten(self, store: Store) -> None:
        """Whoever has found that it lapsed, and not yet that it has come back."""
        await store.renew("w1", later(10))
        await store.forget("w1", later(9.999999))
        assert await store.renew("w1", later(20))
        await store.forget("w1", later(19.999999))
        assert await store.lapsed(later(20)) == ("w1",)
        await store.forget("w1", later(20))
        assert await store.lapsed(later(20)) == ()
        assert not await store.renew("w1", later(30))

    async def test_a_process_stays_alive_as_long_as_it_said(self, store: Store) -> None:
        """A shorter time does not take back a longer one."""
        await store.renew("w1", later(60))
        assert await store.renew("w1", later(10))
        assert await store.lapsed(later(59.999999)) == ()
        assert await store.lapsed(later(60)) == ("w1",)

    async def test_a_process_is_new_once(self, store: Store) -> None:
        """Of several calls at the same time one is told that it was not known."""
        known: list[bool] = []

        async def renew(seconds: int) -> None:
            known.append(await store.renew("w1", later(seconds)))

        async with anyio.create_task_group() as tasks:
            for seconds in range(8):
                tasks.start_soon(renew, seconds)
        assert sorted(known) == [False] + [True] * 7
        assert await store.lapsed(later(6.999999)) == ()

    async def test_sessions_are_found_by_process(self, store: Store) -> None:
        """The agents who have any with it, once each and by id, and nobody else's."""
        sessions = {
            "cat": ("w%", "w1", "w1"),
            "ann": ("w1",),
            "bob": ("w10", "w_"),
            "dan": (),
        }
        agents = [Agent(id=id, version=1, sessions=names) for id, names in sessions.items()]
        await commit(store, agents=tuple(agents))
        assert await store.sessions_of("w1") == (agents[1], agents[0])
        assert await store.sessions_of("w10") == await store.sessions_of("w_") == (agents[2],)
        assert await store.sessions_of("w%") == (agents[0],)
        assert await store.sessions_of("w") == await store.sessions_of("") == ()
        assert await store.sessions_of("W1") == ()

    async def test_sessions_change_with_their_agent(self, store: Store) -> None:
        """What the present version says counts; a process that is forgotten changes nothing."""
        await store.renew("w1", later(10))
        await commit(store, agents=(Agent(id="ann", version=1, sessions=("w1", "w2")),))
        await store.forget("w1", later(90))
        assert [agent.id for agent in await store.sessions_of("w1")] == ["ann"]
        following = Agent(id="ann", version=2, sessions=("w2",))
        await commit(store, agents=(following,))
        assert await store.sessions_of("w1") == ()
        assert await store.sessions_of("w2") == (following,)

    async def test_deadlines_apart_by_a_microsecond(self, store: Store) -> None:
        """Times are kept to the microsecond."""
        offer = await _offered(store)
        nearly = attrs.evolve(offer, version=2, deadline=later(30.000001))
        await commit(store, nearly)
        assert await store.due(later(30), START, 10) == ()
        assert await store.due(later(30.000001), later(31), 10) == (
            _due("I1", 30.000001, version=2),
        )
