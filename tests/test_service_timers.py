"""Timers and follow-ups in the service (semantics 5), by hand and in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from clocks import START, later
from desks import DIRECTORY, Desk, FailingStore, Unmoved, desk

from lifecycle import (
    EMAIL,
    Accept,
    CallbackSink,
    Cancel,
    Change,
    Commit,
    Committed,
    Delivery,
    Interaction,
    Limits,
    MemoryStore,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    Revoke,
    Row,
    Settings,
    StateRule,
    Stream,
    Transfer,
    UpdateProperties,
    Who,
    _background,
)
from lifecycle.commands import Command
from lifecycle.errors import DeadlinePassed, InternalError, NotValidInState
from lifecycle.records import Due

pytestmark = pytest.mark.anyio

HANDLING = 180 * 60


async def transferred(d: Desk, *, ready: bool = True) -> Interaction:
    """Ann has transferred I1 to Bob."""
    await d.own("ann")
    if ready:
        await d.lifecycle.ready("bob")
    return await d.act("ann", Transfer(agent_id="bob"))


async def to_a_skill(d: Desk) -> Interaction:
    """Ann has transferred I1 to somebody who knows French; Bob and Cat do, and are ready."""
    await d.own("ann")
    for agent_id in ("bob", "cat"):
        await d.lifecycle.ready(agent_id)
    return await d.act("ann", Transfer(skill="french"))


async def where(d: Desk) -> tuple[str, str | None]:
    """The state of I1, and who holds it."""
    one = await d.lifecycle.get("I1")
    return one.state, one.agent_id


# The delivering timer


async def test_an_offer_expires() -> None:
    """After 30 seconds, not before; the agent is told, and it waits again."""
    d = desk()
    offered = await d.offer()
    assert offered.deadline == later(30)
    await d.wait(29.999999)
    assert await where(d) == ("Invited", "ann")
    d.clock.advance(0.000001)
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Revoked", None)
    assert await d.log("ann") == [(1, "Invite", "I1"), (2, "Revoke", "I1")]
    assert [one.id for one in await d.lifecycle.waiting()] == ["I1"]


async def test_an_offer_may_last_longer_or_shorter() -> None:
    """As the invitation says, or else as it is configured."""
    d = desk(settings=Settings(limits=Limits(delivering_timeout=timedelta(seconds=7))))
    await d.submit("I1")
    await d.submit("I2")
    await d.lifecycle.ready("ann")
    assert (await d.lifecycle.invite("I1", "ann")).deadline == later(7)
    second = await d.lifecycle.invite("I2", "ann", delivering_timeout=2.5)
    assert second.deadline == later(2.5)


async def test_an_accept_at_the_deadline_is_too_late() -> None:
    """Semantics 2a: whether or not the timer has fired."""
    d = desk()
    await d.offer()
    d.clock.at = later(30)
    async with Unmoved(d, DeadlinePassed) as refused:
        await d.act("ann", Accept())
    refused.says(value=later(30), state="Invited", agent_id="ann", status_code=2)
    await d.wait()
    async with Unmoved(d, NotValidInState):
        await d.act("ann", Accept())


async def test_an_accept_just_before_the_deadline_stops_the_timer() -> None:
    """The owner then has the handling time."""
    d = desk()
    await d.offer()
    d.clock.at = later(29.999999)
    accepted = await d.act("ann", Accept())
    assert accepted.deadline == later(29.999999 + HANDLING)
    await d.wait(60)
    assert await where(d) == ("Accepted", "ann")


# The handling timer


async def test_an_owner_who_does_nothing_loses_it() -> None:
    """After 180 minutes, in Accepted and in ReplyCreated; a draft is kept."""
    d = desk()
    await d.own("ann", "I1")
    await d.own("ann", "I2")
    draft = (await d.act("ann", Reply(text="Soon."), id="I2")).draft
    await d.wait(HANDLING - 1)
    assert (await d.state("I1"), await d.state("I2")) == ("Accepted", "ReplyCreated")
    await d.wait(1)
    assert (await d.state("I1"), await d.state("I2")) == ("Revoked", "Revoked")
    assert (await d.lifecycle.get("I2")).draft == draft
    assert (await d.lifecycle.agent("ann")).load == 0


async def test_every_operation_of_the_owner_restarts_the_handling_timer() -> None:
    """Each sets it anew from then on; nothing else does."""
    d = desk()
    await d.own()
    for command in (
        UpdateProperties(comment="1"),
        Reply(text="Soon."),
        UpdateProperties(text="Later."),
        Cancel(),
        PlaceInWorkbin(workbin="late"),
        Pull(),
    ):
        d.clock.advance(1000)
        after = await d.act("ann", command)
        expected = d.clock.now() + timedelta(minutes=180)
        assert after.deadline == (None if after.state == "InWorkbin" else expected)


# Transfers to an agent


async def test_a_transfer_to_an_agent_is_followed_up_at_once() -> None:
    """The system invites; meanwhile no router sees it waiting."""
    d = desk()
    after = await transferred(d)
    assert (after.state, after.deadline) == ("Transferred", START)
    assert await d.lifecycle.waiting() == ()
    assert d.told[-1].waiting == frozenset()
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Invited", "bob")
    assert (await d.lifecycle.get("I1")).deadline == later(30)
    assert await d.lifecycle.waiting() == ()
    accepted = await d.act("bob", Accept())
    assert (accepted.transfer, accepted.agent_id) == (None, "bob")
    await d.wait(100)
    assert await where(d) == ("Accepted", "bob")


@pytest.mark.parametrize("why", ["not ready", "at capacity", "left"])
async def test_a_follow_up_that_is_refused_returns_it(why: str) -> None:
    """Semantics 5: where the Invite is refused, Return, in the place of it."""
    agents = dict(DIRECTORY.agents or {})
    d = desk(directory=attrs.evolve(DIRECTORY, agents=agents))
    if why == "at capacity":
        await d.own("bob", "I2")
    await transferred(d, ready=why != "not ready")
    if why == "left":
        del agents["bob"]
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Accepted", "ann")
    returned = await d.lifecycle.get("I1")
    assert (returned.transfer, returned.deadline) == (None, later(HANDLING))
    assert [one.trigger for one in await d.lifecycle.history("I1")][-2:] == ["Transfer", "Return"]
    assert (await d.log("ann"))[-1] == (4, "Return", "I1")
    assert all(id != "I1" for _, _, id in await d.log("bob"))


@pytest.mark.parametrize("end", ["rejected", "expired", "revoked"])
async def test_a_transfer_that_nobody_took_is_back_at_once(end: str) -> None:
    """Semantics 5: Rejected or Revoked with an origin, where the target was an agent."""
    d = desk()
    await transferred(d)
    await d.wait()
    if end == "rejected":
        await d.act("bob", Reject())
    elif end == "revoked":
        await d.lifecycle.revoke("I1")
    else:
        d.clock.advance(30)
        assert await d.lifecycle.fire_due() == 1
    assert await d.state() == ("Rejected" if end == "rejected" else "Revoked")
    assert await d.lifecycle.waiting() == ()
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Accepted", "ann")
    assert await d.lifecycle.fire_due() == 0


# Transfers to a skill


async def test_a_transfer_to_a_skill_waits_for_a_router() -> None:
    """It is listed; one refuses and another is offered it; who accepts owns it."""
    d = desk()
    after = await to_a_skill(d)
    assert after.deadline == later(30)
    assert [one.id for one in await d.lifecycle.waiting()] == ["I1"]
    assert d.told[-1].waiting == {"I1"}
    await d.lifecycle.invite("I1", "bob")
    assert await d.lifecycle.waiting() == ()
    d.clock.advance(10)
    rejected = await d.act("bob", Reject())
    assert rejected.deadline == later(30)
    assert [one.id for one in await d.lifecycle.waiting()] == ["I1"]
    await d.lifecycle.invite("I1", "cat")
    await d.act("cat", Accept())
    await d.wait(25)
    assert await where(d) == ("Accepted", "cat")


@pytest.mark.parametrize("refusals", [0, 1])
async def test_a_transfer_that_nobody_accepts_returns(refusals: int) -> None:
    """After 30 seconds from the Transfer on, also where somebody declined in between."""
    d = desk()
    await to_a_skill(d)
    for _ in range(refusals):
        await d.lifecycle.invite("I1", "bob")
        await d.act("bob", Reject())
    await d.wait(29.999)
    assert await d.state() == ("Rejected" if refusals else "Transferred")
    await d.wait(0.001)
    assert await where(d) == ("Accepted", "ann")


async def test_an_offer_that_runs_when_the_transfer_ends_may_be_accepted() -> None:
    """Semantics 5: the delivering timer of a running offer is left to finish."""
    d = desk()
    await to_a_skill(d)
    d.clock.advance(20)
    await d.lifecycle.invite("I1", "bob")
    await d.wait(29)
    assert await where(d) == ("Invited", "bob")
    await d.act("bob", Accept())
    await d.wait(100)
    assert await where(d) == ("Accepted", "bob")


@pytest.mark.parametrize("end", ["expired", "rejected"])
async def test_an_offer_that_runs_when_the_transfer_ends_is_the_last(end: str) -> None:
    """Without an acceptance it goes back then, at once."""
    d = desk()
    await to_a_skill(d)
    d.clock.advance(20)
    await d.lifecycle.invite("I1", "bob")
    d.clock.advance(29 if end == "rejected" else 30)
    if end == "rejected":
        await d.act("bob", Reject())
    else:
        assert await d.lifecycle.fire_due() == 1
    assert (await d.lifecycle.get("I1")).deadline == later(30)
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Accepted", "ann")


# When they fire, and how often


async def test_a_clock_that_jumps_forward_fires_everything_once() -> None:
    """Whatever became due on the way: offers, work, transfers, agents."""
    d = desk()
    await d.offer("ann", "I1")
    await d.own("bob", "I2")
    await d.own("cat", "I3")
    await d.act("cat", Transfer(skill="french"), id="I3")
    await d.lifecycle.disconnected("cat")
    d.clock.advance(400 * 24 * 3600)
    assert await d.lifecycle.fire_due() == 4
    assert [await d.state(id) for id in ("I1", "I2", "I3")] == ["Revoked", "Revoked", "Accepted"]
    assert (await d.lifecycle.agent("cat")).reason == "NoSession"
    assert await d.lifecycle.fire_due() == 0


async def test_a_clock_that_jumps_back_fires_nothing_twice() -> None:
    """What fired has fired; what was set later waits for its own time."""
    d = desk()
    await d.offer()
    await d.wait(30)
    d.clock.at = later(-3600)
    assert await d.lifecycle.fire_due() == 0
    assert await where(d) == ("Revoked", None)
    await d.lifecycle.invite("I1", "ann")
    d.clock.at = later(-3600 + 29)
    assert await d.lifecycle.fire_due() == 0
    d.clock.at = later(31)
    assert await d.lifecycle.fire_due() == 1
    assert await d.lifecycle.fire_due() == 0
    assert [one.trigger for one in await d.lifecycle.history("I1")] == [
        "Submit",
        "Invite",
        "Revoke",
        "Invite",
        "Revoke",
    ]


async def test_what_became_due_while_nothing_ran_fires_afterwards() -> None:
    """Deadlines are the store's: another process fires them, once."""
    first = desk()
    await first.offer("ann", "I1")
    await transferred_to(first, "I2")
    second = desk(first.store)
    second.clock.at = later(31)
    assert await second.lifecycle.fire_due() == 2
    assert (await second.state("I1"), await second.state("I2")) == ("Revoked", "Invited")
    first.clock.at = later(31)
    assert await first.lifecycle.fire_due() == 0


async def transferred_to(d: Desk, id: str) -> None:
    """Ann has transferred another one to Bob."""
    await d.own("ann", id)
    await d.lifecycle.ready("bob")
    await d.act("ann", Transfer(agent_id="bob"), id=id)


async def test_so_many_fire_at_a_time() -> None:
    """The earliest first, no more than asked for; interactions before agents."""
    d = desk(settings=Settings(batch=2, missed_offers=None))
    for seconds, id in enumerate(("I3", "I2", "I1")):
        d.clock.at = later(seconds)
        await d.offer("ann", id)
    await d.lifecycle.disconnected("ann")
    d.clock.at = later(1000)
    assert await d.lifecycle.fire_due(0) == 0
    assert await d.lifecycle.fire_due(1) == 1
    states = {id: await d.state(id) for id in ("I1", "I2", "I3")}
    assert states == {"I1": "Invited", "I2": "Invited", "I3": "Revoked"}
    assert await d.lifecycle.fire_due(3) == 3
    assert not (await d.lifecycle.agent("ann")).ready


async def test_a_batch_is_what_is_read_at_a_time() -> None:
    """Without a limit, so many of each kind."""
    d = desk(settings=Settings(batch=2, missed_offers=None))
    for id in ("I1", "I2", "I3"):
        await d.offer("ann", id)
    d.clock.advance(30)
    assert [await d.lifecycle.fire_due() for _ in range(3)] == [2, 1, 0]


async def test_many_that_fall_due_at_once_let_others_in_between() -> None:
    """A batch of any size holds nobody up for long: who else runs sees it go on."""
    number = 200
    d = desk(directory=None, settings=Settings(batch=number, missed_offers=None))
    for one in range(number):
        await d.offer(f"agent{one}", f"I{one}")
    d.clock.advance(30)
    told, progress = len(d.told), [0]

    async def others() -> None:
        while progress[-1] < number:
            progress.append(len(d.told) - told)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            await anyio.lowlevel.checkpoint()
            assert await d.lifecycle.fire_due() == number
    steps = [after - before for before, after in pairwise(progress)]
    assert sum(steps) == number
    assert max(steps) <= number / 4


# Expiries that came too late


class LateStore(MemoryStore):
    """Lets something happen between the question what is due and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.besides: tuple[Due, ...] = ()

    async def due(self, at: datetime, until: datetime, limit: int) -> tuple[Due, ...]:
        """Answer with what was true before."""
        found = await super().due(at, until, limit)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.besides + found


def due(one: Interaction, **changes: Any) -> Due:
    """The deadline of an interaction, with some fields changed."""
    deadline = later(30) if one.deadline is None else one.deadline
    return attrs.evolve(
        Due(interaction_id=one.id, version=one.version, deadline=deadline), **changes
    )


async def test_an_expiry_of_another_version_does_nothing() -> None:
    """Semantics 5: whoever was faster than the timer has won."""
    store = LateStore()
    d = desk(store)
    await d.offer()
    d.clock.advance(30)
    store.meanwhile = lambda: d.act("ann", Reject())
    assert await d.lifecycle.fire_due() == 0
    assert await d.state() == "Rejected"
    assert (await d.lifecycle.agent("ann")).missed == 0


async def test_an_expiry_of_another_deadline_does_nothing() -> None:
    """The same version with another deadline is not what the timer was set for."""
    store = LateStore()
    d = desk(store)
    offered = await d.offer()
    store.besides = (due(offered, deadline=START),)
    assert await d.lifecycle.fire_due() == 0
    assert await where(d) == ("Invited", "ann")


async def test_an_expiry_of_another_version_with_the_deadline_does_nothing() -> None:
    """The same deadline in another version is not what the timer was set for either."""
    store = LateStore()
    d = desk(store)
    offered = await d.offer()
    store.besides = (due(offered, version=offered.version - 1),)
    assert await d.lifecycle.fire_due() == 0
    assert await where(d) == ("Invited", "ann")


async def test_an_expiry_of_nothing_does_nothing() -> None:
    """An interaction that is not there (any more) has no timer."""
    store = LateStore()
    d = desk(store)
    store.besides = (due(await desk().offer(id="I9"), deadline=START),)
    assert await d.lifecycle.fire_due() == 0


async def test_an_expiry_without_a_deadline_does_nothing() -> None:
    """A store that says that what has no timer is due is not believed."""
    store = LateStore()
    d = desk(store)
    store.besides = (due(await d.submit()),)
    assert await d.lifecycle.fire_due() == 0
    assert await d.state() == "Queued"
    assert [entry.trigger for entry in await d.lifecycle.history("I1")] == ["Submit"]


# Timers that cannot be fired


class FaultyStore(MemoryStore):
    """Cannot commit one interaction, or cannot read one agent."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck: str | None = None

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Fail for the one."""
        if any(saved.interaction.id == self.stuck for saved in commit.interactions):
            raise InternalError("the disk is full")
        await super().commit(commit, committed)

    async def stream(self, agent_id: str) -> Stream:
        """Fail for the one."""
        if agent_id == self.stuck:
            raise InternalError("the disk cannot be read")
        return await super().stream(agent_id)


async def test_a_timer_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and fires when it can."""
    store = FaultyStore()
    d = desk(store, settings=Settings(missed_offers=None))
    for id in ("I1", "I2", "I3"):
        await d.offer("ann", id)
    store.stuck = "I2"
    d.clock.advance(30)
    with caplog.at_level(logging.ERROR):
        assert await d.lifecycle.fire_due() == 2
    (record,) = caplog.records
    assert record.getMessage() == "a timer could not be fired"
    assert "the disk is full" in str(record.exc_info)
    assert record.__dict__["interaction_id"] == "I2"
    assert [await d.state(id) for id in ("I1", "I2", "I3")] == ["Revoked", "Invited", "Revoked"]
    store.stuck = None
    assert await d.lifecycle.fire_due() == 0
    d.clock.advance(4.999999)
    assert await d.lifecycle.fire_due() == 0
    d.clock.advance(0.000001)
    assert await d.lifecycle.fire_due() == 1
    assert await d.state("I2") == "Revoked"


class HalfFaultyStore(MemoryStore):
    """Cannot commit anything of some interactions and agents."""

    def __init__(self, *stuck: str) -> None:
        super().__init__()
        self.stuck: tuple[str, ...] = stuck
        self.failures = 0
        self.works = True

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Fail for some, with an error of the driver's."""
        ids = {saved.interaction.id for saved in commit.interactions}
        if not commit.interactions:
            ids = {agent.id for agent in commit.agents}
        if not self.works and ids & set(self.stuck):
            self.failures += 1
            raise OSError("the disk is full")
        await super().commit(commit, committed)


async def test_timers_that_fail_do_not_stop_later_batches() -> None:
    """More of them than a batch holds, all due before the others, which fire all the same."""
    stuck = tuple(f"S{number}" for number in range(5))
    store = HalfFaultyStore(*stuck)
    settings = Settings(batch=2, missed_offers=None, timer_lease=timedelta(seconds=10))
    d = desk(store, directory=None, settings=settings)
    for seconds, id in enumerate((*stuck, "I1", "I2", "I3")):
        d.clock.at = later(seconds)
        await d.offer(f"of{id}", id)
    store.works = False
    d.clock.at = later(100)
    fired = [await d.lifecycle.fire_due() for _ in range(6)]
    assert fired == [0, 0, 1, 2, 0, 0]
    assert [await d.state(id) for id in ("I1", "I2", "I3")] == ["Revoked"] * 3
    assert store.failures == 5
    store.works = True
    d.clock.at = later(110)
    assert [await d.lifecycle.fire_due() for _ in range(4)] == [2, 2, 1, 0]
    assert {await d.state(id) for id in stuck} == {"Revoked"}


async def test_agents_whose_absence_cannot_be_stored_do_not_stop_the_others() -> None:
    """Nor does an agent with the id of an interaction that failed."""
    store = HalfFaultyStore("I1", "eve", "gus")
    d = desk(store, directory=None, settings=Settings(batch=1, missed_offers=None))
    agents = ("eve", "gus", "I1", "hal")
    for seconds, agent_id in enumerate(agents):
        d.clock.at = later(seconds)
        await d.lifecycle.ready(agent_id)
        await d.lifecycle.disconnected(agent_id)
    await d.offer("ann", "I1")
    store.works = False
    d.clock.at = later(100)
    store.stuck = ("I1", "eve", "gus")
    assert [await d.lifecycle.fire_due() for _ in range(4)] == [0, 0, 0, 1]
    assert store.failures == 4
    assert not (await d.lifecycle.agent("hal")).ready
    store.works = True
    d.clock.at = later(105)
    assert sum([await d.lifecycle.fire_due() for _ in range(4)]) == 4
    assert [(await d.lifecycle.agent(id)).ready for id in agents] == [False] * 4


async def test_what_is_set_aside_does_not_count_for_the_limit() -> None:
    """A limit is for what can be tried."""
    store = HalfFaultyStore("I1")
    d = desk(store, settings=Settings(missed_offers=None))
    for seconds, id in enumerate(("I1", "I2", "I3")):
        d.clock.at = later(seconds)
        await d.offer("ann", id)
    store.works = False
    d.clock.at = later(100)
    assert [await d.lifecycle.fire_due(1) for _ in range(4)] == [0, 1, 1, 0]
    assert await d.state("I1") == "Invited"


async def test_a_follow_up_that_fails_is_not_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """A store that cannot be read returns nothing to anybody: it is tried again."""
    store = FaultyStore()
    d = desk(store)
    await transferred(d)
    store.stuck = "bob"
    with caplog.at_level(logging.ERROR):
        assert await d.lifecycle.fire_due() == 0
    assert await d.state() == "Transferred"
    store.stuck = None
    d.clock.advance(5)
    assert await d.lifecycle.fire_due() == 1
    assert await where(d) == ("Invited", "bob")


class Review(Command):
    """Have the reply looked at: a command of a team's own."""

    trigger = "Review"


class Finish(Command):
    """The reviewer is done."""

    trigger = "Finish"


def nobody_looks(change: Change) -> bool:
    """nobody looks at it now"""
    return change.comment is None


async def test_a_state_that_cannot_be_revoked_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A team's own state whose timer leads nowhere now: the others fire all the same."""
    handling = EMAIL.by_name["Accepted"].timer
    table = EMAIL.extend(
        states=[StateRule("InReview", held=True, timer=handling)],
        rows=[
            Row("Review", "Accepted", "InReview", who=Who.OWNER, command=Review),
            Row("Finish", "InReview", "Accepted", who=Who.OWNER, command=Finish),
            Row("Revoke", "InReview", "Revoked", nobody_looks, Who.SYSTEM, command=Revoke),
        ],
    )
    d = desk(table=table)
    await d.own("ann", "I1")
    await d.act("ann", UpdateProperties(comment="I look"), Review(), id="I1")
    await d.own("bob", "I2")
    d.clock.advance(HANDLING)
    with caplog.at_level(logging.ERROR):
        assert await d.lifecycle.fire_due() == 1
    assert (await d.state("I1"), await d.state("I2")) == ("InReview", "Revoked")
    assert "NotValidInState" in str(caplog.records[0].exc_info)
    assert (await d.act("ann", Finish(), id="I1")).state == "Accepted"


# In the background


class Expectation:
    """An observer that says when an interaction has come to a state."""

    def __init__(self, id: str, state: str) -> None:
        self.wanted = (id, state)
        self.met = anyio.Event()

    def __call__(self, committed: Committed) -> None:
        """Look at what was committed."""
        if self.wanted in [(one.id, one.state) for one in committed.interactions]:
            self.met.set()


QUICK = Settings(limits=Limits(delivering_timeout=timedelta(milliseconds=20)), missed_offers=None)


async def test_timers_fire_by_themselves() -> None:
    """An offer expires in real time while the context is open."""
    expired = Expectation("I1", "Revoked")
    d = desk(clock=None, observer=expired, background=True, settings=QUICK)
    async with d.lifecycle:
        await d.offer()
        with anyio.fail_after(5):
            await expired.met.wait()
    assert [one.trigger for one in await d.lifecycle.history("I1")][-1] == "Revoke"


async def test_follow_ups_happen_by_themselves() -> None:
    """A transfer to an agent becomes an invitation without anybody asking."""
    invited = Expectation("I1", "Invited")
    d = desk(background=True, observer=invited)
    await transferred(d)
    invited.met = anyio.Event()
    with anyio.fail_after(5):
        async with d.lifecycle:
            await invited.met.wait()
    assert await where(d) == ("Invited", "bob")


async def test_an_earlier_deadline_is_noticed() -> None:
    """While it waits for a far deadline, a nearer one is set."""
    expired = Expectation("I2", "Revoked")
    d = desk(clock=None, observer=expired, background=True, settings=QUICK)
    await d.submit("I1")
    await d.submit("I2")
    await d.lifecycle.ready("ann")
    async with d.lifecycle:
        await d.lifecycle.invite("I1", "ann", delivering_timeout=10_000)
        await anyio.wait_all_tasks_blocked()
        await d.lifecycle.invite("I2", "ann")
        with anyio.fail_after(5):
            await expired.met.wait()
        assert await d.state("I1") == "Invited"


async def test_a_clock_that_is_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Semantics 5: waiting is by the monotonic clock, with a glance at the time now and then."""
    monkeypatch.setattr(_background, "_GLANCE", 0.005)
    expired = Expectation("I1", "Revoked")
    d = desk(observer=expired, background=True)
    async with d.lifecycle:
        await d.offer()
        with anyio.move_on_after(0.03) as scope:
            await expired.met.wait()
        assert scope.cancelled_caught
        d.clock.advance(30)
        with anyio.fail_after(5):
            await expired.met.wait()


async def test_a_timer_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the background too, after a pause, until it succeeds."""
    monkeypatch.setattr(_background, "_GLANCE", 0.005)
    store = FaultyStore()
    expired = Expectation("I1", "Revoked")
    d = desk(store, observer=expired, background=True)
    await d.offer()
    store.stuck = "I1"
    d.clock.advance(30)
    failed = anyio.Event()

    def note(message: str, **more: object) -> None:
        assert message == "a timer could not be fired"
        failed.set()

    monkeypatch.setattr(_background._log, "error", note)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await failed.wait()
            store.stuck = None
            d.clock.advance(5)
            await expired.met.wait()
    assert await where(d) == ("Revoked", None)


@pytest.mark.parametrize(
    "error", [InternalError("it is restarted"), OSError("it is restarted")], ids=repr
)
@pytest.mark.parametrize("question", ["due", "away", "next_deadline"])
async def test_timers_survive_a_store_that_fails_for_a_while(
    question: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the store raises, it is logged, and after a pause they go on."""
    monkeypatch.setattr(_background, "_GLANCE", 0.005)
    store = FailingStore(question, error)
    expired = Expectation("I1", "Revoked")
    d = desk(store, observer=expired, background=True)
    with caplog.at_level(logging.ERROR), anyio.fail_after(5):
        async with d.lifecycle:
            await store.failed.wait()
            await d.offer()
            d.clock.advance(30)
            await expired.met.wait()
    (record,) = caplog.records
    assert record.getMessage() == "timers or deliveries could not go on; trying again"
    assert "it is restarted" in str(record.exc_info)


class LosingStore(MemoryStore):
    """Fails after it has committed, the next so many times."""

    losses = 0

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Commit, and lose the answer."""
        await super().commit(commit, committed)
        if self.losses:
            self.losses -= 1
            raise self.error()

    def error(self) -> BaseException:
        """As a driver whose connection broke."""
        return ConnectionResetError("no answer")


async def test_what_may_have_been_committed_is_looked_for() -> None:
    """A store that breaks after a commit: its deliveries go out, and its timers fire."""
    store, delivered = LosingStore(), anyio.Event()

    def deliver(delivery: Delivery) -> None:
        delivered.set()

    expired = Expectation("I1", "Revoked")
    d = desk(
        store,
        clock=None,
        sink=CallbackSink(deliver),
        observer=expired,
        background=True,
        settings=QUICK,
    )
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.submit()
            await d.lifecycle.ready("ann")
            await anyio.wait_all_tasks_blocked()
            store.losses = 1
            with pytest.raises(ConnectionResetError):
                await d.lifecycle.invite("I1", "ann")
            await delivered.wait()
            await expired.met.wait()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_while_it_commits_wakes_the_others() -> None:
    """A native cancellation, which no scope keeps out, after the commit was written."""

    class Slow(MemoryStore):
        """Waits for an answer after it has committed."""

        waits = False

        async def commit(self, commit: Commit, committed: Any = None) -> None:
            await super().commit(commit, committed)
            if self.waits:
                self.waits = False
                written.set()
                await asyncio.get_running_loop().create_future()

    written, delivered, store = anyio.Event(), anyio.Event(), Slow()
    d = desk(store, sink=CallbackSink(lambda delivery: delivered.set()), background=True)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.submit()
            await d.lifecycle.ready("ann")
            await anyio.wait_all_tasks_blocked()
            store.waits = True
            task = asyncio.create_task(d.lifecycle.invite("I1", "ann"))
            await written.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await delivered.wait()
    assert await where(d) == ("Invited", "ann")


async def test_a_commit_that_was_refused_wakes_nobody() -> None:
    """A conflict or an error of the library says that nothing was committed."""

    class Counting(MemoryStore):
        """Counts the questions for the next delivery."""

        questions = 0

        async def next_delivery(self) -> datetime | None:
            self.questions += 1
            return await super().next_delivery()

        async def commit(self, commit: Commit, committed: Any = None) -> None:
            raise InternalError("read-only")

    store = Counting()
    d = desk(store, background=True)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await anyio.wait_all_tasks_blocked()
            before = store.questions
            with pytest.raises(InternalError):
                await d.submit()
            await anyio.wait_all_tasks_blocked()
            assert store.questions == before


async def test_nothing_fires_after_the_context() -> None:
    """What is due then waits for whoever opens it next."""
    d = desk(background=True)
    async with d.lifecycle:
        await d.offer()
    d.clock.advance(30)
    await anyio.wait_all_tasks_blocked()
    assert await where(d) == ("Invited", "ann")
