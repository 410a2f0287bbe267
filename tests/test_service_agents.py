"""Agents in the service (semantics 6): readiness, capacity, missed offers, presence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from clocks import later
from desks import Desk, FailingStore, MeetingStore, Unmoved, desk

from lifecycle import (
    Accept,
    Agent,
    Answer,
    CallbackSink,
    Commit,
    MemoryStore,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    Send,
    Settings,
    StopProcessing,
    Transfer,
    UpdateProperties,
)
from lifecycle.errors import (
    AgentAtCapacity,
    AgentNotReady,
    BacklogFull,
    Conflict,
    InvalidParameter,
    LifecycleError,
    NotFound,
    StaleOffer,
    StreamStopped,
)

pytestmark = pytest.mark.anyio


async def load(d: Desk, agent_id: str) -> int:
    """How many interactions are counted for an agent."""
    return (await d.lifecycle.agent(agent_id)).load


# Invitations that are refused


async def test_an_agent_who_does_not_exist_is_not_invited() -> None:
    """Semantics 6: unknown."""
    d = desk()
    await d.submit()
    async with Unmoved(d, NotFound) as refused:
        await d.lifecycle.invite("I1", "eve")
    refused.says(
        path="$.agentId",
        value="eve",
        agent_id="eve",
        interaction_id="I1",
        state="Queued",
        trigger="Invite",
        capabilities=(),
    )


async def test_an_agent_who_is_not_ready_is_not_invited() -> None:
    """Semantics 6: who never was Ready, and who is NotReady with a reason, which it says."""
    d = desk()
    await d.submit()
    async with Unmoved(d, AgentNotReady) as refused:
        await d.lifecycle.invite("I1", "bob")
    refused.says(agent_id="bob", value=None, state="Queued", trigger="Invite", status_code=3)
    await d.lifecycle.ready("bob")
    await d.lifecycle.not_ready("bob", reason="Lunch")
    async with Unmoved(d, AgentNotReady) as refused:
        await d.lifecycle.invite("I1", "bob")
    refused.says(agent_id="bob", value="Lunch", interaction_id="I1")
    await d.lifecycle.ready("bob")
    assert (await d.lifecycle.invite("I1", "bob")).agent_id == "bob"


async def test_an_agent_at_capacity_is_not_invited() -> None:
    """Semantics 6: offers and accepted ones count alike, up to the agent's own capacity."""
    d = desk()
    for id in ("I1", "I2", "I3", "I4"):
        await d.submit(id)
    await d.lifecycle.ready("ann")
    for id in ("I1", "I2", "I3"):
        await d.lifecycle.invite(id, "ann")
    await d.act("ann", Accept())
    async with Unmoved(d, AgentAtCapacity) as refused:
        await d.lifecycle.invite("I4", "ann")
    refused.says(agent_id="ann", value=3, interaction_id="I4", state="Queued", status_code=3)
    await d.act("ann", Reject(), id="I2")
    assert (await d.lifecycle.invite("I4", "ann")).agent_id == "ann"


async def test_an_agent_with_too_many_deliveries_is_not_invited() -> None:
    """Semantics 9: the backlog turns invitations away, never operations on work in hand."""
    d = desk(settings=Settings(backlog=3))
    await d.own()
    await d.submit("I2")
    await d.act("ann", UpdateProperties(comment="1"))
    async with Unmoved(d, BacklogFull) as refused:
        await d.lifecycle.invite("I2", "ann")
    refused.says(agent_id="ann", value=3, interaction_id="I2", state="Queued", status_code=3)
    for number in range(5):
        await d.act("ann", UpdateProperties(comment=str(number)))
    await d.act("ann", Transfer(skill="french"))
    await d.wait(30)
    assert await d.state() == "Accepted"
    assert len(await d.log("ann")) == 10
    await d.lifecycle.drain()
    assert (await d.lifecycle.invite("I2", "ann")).agent_id == "ann"


async def test_an_agent_whose_deliveries_stopped_is_not_invited() -> None:
    """Semantics 9: a parked stream turns invitations away until it is released or dropped."""
    answers = {"ann": Answer.FAILED}
    d = desk(
        sink=CallbackSink(lambda one: answers.get(one.agent_id)),
        settings=Settings(attempts=1),
    )
    await d.own()
    await d.submit("I2")
    await d.lifecycle.drain()
    async with Unmoved(d, StreamStopped) as refused:
        await d.lifecycle.invite("I2", "ann")
    refused.says(agent_id="ann", value=1, interaction_id="I2", state="Queued", status_code=3)
    assert (await d.act("ann", Reply(text="go on"))).state == "ReplyCreated"
    await d.lifecycle.drop("ann")
    assert (await d.lifecycle.invite("I2", "ann")).agent_id == "ann"


# What counts


async def test_what_is_counted_for_an_agent() -> None:
    """Offered, accepted, replying count; parked, queued, ended do not."""
    d = desk()
    counts = []
    await d.offer()
    counts.append(await load(d, "ann"))
    for command in (
        Accept(),
        PlaceInWorkbin(workbin="late"),
        Pull(),
        Reply(text="Soon."),
        Send(),
    ):
        await d.act("ann", command)
        counts.append(await load(d, "ann"))
    for last in (PlaceInQueue(queue="support"), StopProcessing()):
        await d.own(id=last.trigger)
        counts.append(await load(d, "ann"))
        await d.act("ann", last, id=last.trigger)
        counts.append(await load(d, "ann"))
    await d.own(id="I2")
    await d.lifecycle.revoke("I2")
    counts.append(await load(d, "ann"))
    assert counts == [1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0]


async def test_an_outstanding_transfer_counts_against_its_origin() -> None:
    """Semantics 6: until somebody accepts it, or it is back."""
    d = desk()
    await d.own("bob")
    await d.act("bob", Transfer(skill="french"))
    assert await load(d, "bob") == 1
    await d.submit("I2")
    async with Unmoved(d, AgentAtCapacity) as refused:
        await d.lifecycle.invite("I2", "bob")
    refused.says(agent_id="bob", value=1)
    await d.lifecycle.ready("cat")
    await d.lifecycle.invite("I1", "cat")
    assert (await load(d, "bob"), await load(d, "cat")) == (1, 1)
    await d.act("cat", Reject())
    assert (await load(d, "bob"), await load(d, "cat")) == (1, 0)
    await d.lifecycle.invite("I1", "cat")
    await d.act("cat", Accept())
    assert (await load(d, "bob"), await load(d, "cat")) == (0, 1)
    assert (await d.lifecycle.invite("I2", "bob")).agent_id == "bob"


async def test_the_origin_of_a_transfer_is_counted_once() -> None:
    """Who is invited to what they gave away themselves has it counted already."""
    d = desk()
    await d.own("bob")
    await d.act("bob", Transfer(skill="french"))
    await d.lifecycle.invite("I1", "bob")
    assert await load(d, "bob") == 1
    await d.act("bob", Accept())
    assert await load(d, "bob") == 1
    await d.act("bob", StopProcessing())
    assert await load(d, "bob") == 0


async def test_a_closed_transfer_counts_no_more() -> None:
    """The last state takes it from the origin's desk."""
    d = desk()
    await d.own("bob")
    await d.act("bob", Transfer(skill="french"))
    await d.lifecycle.ready("cat")
    await d.lifecycle.invite("I1", "cat")
    await d.act("cat", Reject())
    await d.lifecycle.close("I1")
    assert (await load(d, "bob"), await load(d, "cat")) == (0, 0)


async def test_pull_and_return_are_never_refused() -> None:
    """Semantics 6: neither for capacity nor for readiness; but they count."""
    d = desk()
    await d.own("ann", "I2")
    await d.act("ann", PlaceInWorkbin(workbin="late"), id="I2")
    await d.own("bob")
    await d.act("bob", Transfer(skill="french"))
    await d.lifecycle.not_ready("bob")
    assert (await d.act("bob", Pull(), id="I2")).agent_id == "bob"
    assert await load(d, "bob") == 2
    await d.wait(30)
    returned = await d.lifecycle.get("I1")
    assert (returned.state, returned.agent_id) == ("Accepted", "bob")
    assert await load(d, "bob") == 2
    assert len(await d.lifecycle.interactions_of("bob")) == 2


# Ready and NotReady


async def test_ready_and_not_ready() -> None:
    """The channel's state and reason, as they are set."""
    d = desk()
    await d.lifecycle.ready("ann")
    stored = await d.lifecycle.agent("ann")
    assert (stored.ready, stored.reason, stored.version) == (True, None, 1)
    await d.lifecycle.not_ready("ann", reason="Lunch")
    stored = await d.lifecycle.agent("ann")
    assert (stored.ready, stored.reason, stored.version) == (False, "Lunch", 2)
    await d.lifecycle.not_ready("ann")
    assert (await d.lifecycle.agent("ann")).reason is None
    await d.lifecycle.ready("ann")
    assert (await d.lifecycle.agent("ann")).reason is None


async def test_what_ready_and_not_ready_return_is_what_is_stored() -> None:
    """The agent with its version."""
    d = desk()
    assert await d.lifecycle.ready("ann") == await d.lifecycle.agent("ann")
    assert await d.lifecycle.not_ready("ann", reason="x") == await d.lifecycle.agent("ann")


async def test_what_changes_nothing_is_not_committed() -> None:
    """Ready for one who is Ready."""
    d = desk()
    await d.lifecycle.ready("ann")
    told = len(d.told)
    before = await d.lifecycle.agent("ann")
    await d.lifecycle.ready("ann")
    assert await d.lifecycle.agent("ann") == before
    assert len(d.told) == told


@pytest.mark.parametrize("offers", [0, 1])
@pytest.mark.parametrize("reason", [5, "\ud800"])
async def test_a_reason_is_text(reason: Any, offers: int) -> None:
    """What no notification could hold is refused, whether or not an offer is pending."""
    d = desk()
    await d.lifecycle.ready("ann")
    if offers:
        await d.offer()
    async with Unmoved(d, InvalidParameter) as refused:
        await d.lifecycle.not_ready("ann", reason=reason)
    refused.says(path="$.reason", value=reason)


async def test_not_ready_revokes_what_is_pending_in_one_commit() -> None:
    """Semantics 6: the agent and all offers at once; accepted work goes on."""
    d = desk()
    await d.own(id="I1")
    await d.offer(id="I2")
    await d.offer(id="I3")
    d.told.clear()
    await d.lifecycle.not_ready("ann", reason="Lunch")
    (told,) = d.told
    assert [(one.id, one.state, one.reason) for one in told.interactions] == [
        ("I2", "Revoked", "Lunch"),
        ("I3", "Revoked", "Lunch"),
    ]
    assert [(agent.id, agent.ready, agent.load) for agent in told.agents] == [("ann", False, 1)]
    assert set(told.waiting) == {"I2", "I3"}
    assert (await d.log("ann"))[-2:] == [(5, "Revoke", "I2"), (6, "Revoke", "I3")]
    await d.act("ann", Reply(text="still here"))
    assert (await d.log("ann"))[-1] == (7, "Reply", "I1")


async def test_not_ready_leaves_other_agents_offers_alone() -> None:
    """Only the agent's own are revoked."""
    d = desk()
    await d.offer("ann", "I1")
    await d.offer("bob", "I2")
    await d.lifecycle.not_ready("ann")
    assert (await d.state("I1"), await d.state("I2")) == ("Revoked", "Invited")


async def test_not_ready_revokes_an_offer_of_a_transfer() -> None:
    """It returns to its origin at once (semantics 5)."""
    d = desk()
    await d.own("ann")
    await d.act("ann", Transfer(agent_id="bob"))
    await d.lifecycle.ready("bob")
    await d.wait()
    assert (await d.lifecycle.get("I1")).agent_id == "bob"
    await d.lifecycle.not_ready("bob")
    assert await d.lifecycle.waiting() == ()
    await d.wait()
    back = await d.lifecycle.get("I1")
    assert (back.state, back.agent_id) == ("Accepted", "ann")


@pytest.mark.parametrize("first", ["invite", "not ready"])
async def test_no_invitation_comes_after_not_ready(first: str) -> None:
    """Semantics 6: whoever commits first, afterwards the agent is NotReady and has no offer."""
    store = MeetingStore()
    d = desk(store)
    await d.submit()
    await d.lifecycle.ready("ann")
    refusals: list[LifecycleError] = []

    async def invite() -> None:
        try:
            await d.lifecycle.invite("I1", "ann")
        except LifecycleError as error:
            refusals.append(error)

    async def not_ready() -> None:
        await d.lifecycle.not_ready("ann", reason="Lunch")

    store.missing = 2
    calls = [invite, not_ready] if first == "invite" else [not_ready, invite]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(call)
    assert store.conflicts == 1
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.load) == (False, 0)
    triggers = [trigger for _, trigger, _ in await d.log("ann")]
    if refusals:
        assert [type(error) for error in refusals] == [AgentNotReady]
        assert (await d.state(), triggers) == ("Queued", [])
    else:
        assert (await d.state(), triggers) == ("Revoked", ["Invite", "Revoke"])


# Missed offers


async def test_two_missed_offers_make_an_agent_not_ready() -> None:
    """Semantics 6: two in a row that expired; with that reason, and no offer is left."""
    d = desk()
    await d.offer(id="I1")
    await d.wait(30)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.missed) == (True, 1)
    await d.lifecycle.invite("I1", "ann")
    await d.wait(15)
    await d.offer(id="I2")
    d.told.clear()
    await d.wait(15)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.reason, agent.missed, agent.load) == (False, "MissedOffers", 2, 0)
    (told,) = d.told
    assert [(one.id, one.state) for one in told.interactions] == [
        ("I1", "Revoked"),
        ("I2", "Revoked"),
    ]
    async with Unmoved(d, AgentNotReady) as refused:
        await d.lifecycle.invite("I1", "ann")
    refused.says(value="MissedOffers")
    ready = await d.lifecycle.ready("ann")
    assert (ready.ready, ready.reason, ready.missed) == (True, None, 0)


@pytest.mark.parametrize("answer", [Accept(), Reject()])
async def test_an_answer_begins_the_count_anew(answer: Accept | Reject) -> None:
    """Two in a row, not two in all."""
    d = desk()
    await d.offer()
    await d.wait(30)
    await d.offer(id="I2")
    await d.act("ann", answer, id="I2")
    assert (await d.lifecycle.agent("ann")).missed == 0
    await d.lifecycle.invite("I1", "ann")
    await d.wait(30)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.missed) == (True, 1)


async def test_an_offer_that_was_revoked_is_not_missed() -> None:
    """Only what expired counts, and only an offer: not a reply that nobody wrote."""
    d = desk()
    await d.offer()
    await d.lifecycle.revoke("I1")
    await d.own(id="I2")
    await d.wait(3 * 3600)
    assert await d.state("I2") == "Revoked"
    assert (await d.lifecycle.agent("ann")).missed == 0


async def test_other_work_does_not_begin_the_count_anew() -> None:
    """An agent who works but lets offers expire is not there for offers."""
    d = desk()
    await d.own(id="I1")
    await d.offer(id="I2")
    await d.wait(30)
    await d.act("ann", Reply(text="busy"))
    await d.lifecycle.invite("I2", "ann")
    await d.wait(30)
    assert (await d.lifecycle.agent("ann")).reason == "MissedOffers"


@pytest.mark.parametrize(("bound", "offers"), [(1, 1), (3, 3)])
async def test_the_number_of_missed_offers_is_configurable(bound: int, offers: int) -> None:
    """One, or three."""
    d = desk(settings=Settings(missed_offers=bound))
    await d.offer()
    for number in range(offers):
        assert (await d.lifecycle.agent("ann")).ready
        if number:
            await d.lifecycle.invite("I1", "ann")
        await d.wait(30)
    assert not (await d.lifecycle.agent("ann")).ready


async def test_missed_offers_can_be_allowed() -> None:
    """With None an agent stays Ready whatever expires."""
    d = desk(settings=Settings(missed_offers=None))
    await d.offer()
    for _ in range(5):
        await d.wait(30)
        await d.lifecycle.invite("I1", "ann")
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.missed) == (True, 5)


async def test_offers_that_expire_together_are_missed_together() -> None:
    """Two at one time are two in a row; the second is revoked with the first, and counts once."""
    d = desk(settings=Settings(missed_offers=3))
    for id in ("I1", "I2"):
        await d.offer(id=id)
    await d.wait(30)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.missed, agent.load) == (True, 2, 0)


# Presence


async def test_an_agent_without_a_session_becomes_not_ready() -> None:
    """Semantics 6: 60 seconds after the last session, with that reason; offers are revoked."""
    d = desk()
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    await d.wait(1000)
    assert (await d.lifecycle.agent("ann")).ready
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at == later(1060)
    await d.wait(40)
    await d.offer()
    await d.wait(19)
    assert (await d.lifecycle.agent("ann")).ready
    d.clock.advance(1)
    assert await d.lifecycle.fire_due() == 1
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.reason, agent.away_at) == (False, "NoSession", None)
    revoked = await d.lifecycle.get("I1")
    assert (revoked.state, revoked.reason) == ("Revoked", "NoSession")
    assert await d.lifecycle.fire_due() == 0


async def test_any_session_will_do() -> None:
    """Only when the last of several has gone does presence run out."""
    d = desk()
    await d.lifecycle.ready("ann")
    for _ in range(2):
        await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at is None
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at == later(60)


async def test_presence_is_kept_by_who_comes_back() -> None:
    """A new session, and nothing runs out."""
    d = desk()
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    await d.wait(59)
    await d.lifecycle.connected("ann")
    await d.wait(1000)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.gone, agent.away_at) == (True, False, None)


async def test_who_is_gone_and_becomes_ready_has_the_time_again() -> None:
    """Ready is no session: from then on presence runs out as after the last one."""
    d = desk()
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    await d.wait(59)
    agent = await d.lifecycle.ready("ann")
    assert (agent.ready, agent.gone, agent.away_at) == (True, True, later(119))
    await d.wait(59)
    assert (await d.lifecycle.agent("ann")).ready
    await d.wait(1)
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.reason, agent.gone) == (False, "NoSession", True)
    assert (await d.lifecycle.ready("ann")).away_at == later(179)
    await d.lifecycle.connected("ann")
    assert (await d.lifecycle.agent("ann")).away_at is None


@pytest.mark.parametrize("timeout", [timedelta(seconds=60), None])
async def test_who_leaves_while_not_ready_is_gone(timeout: timedelta | None) -> None:
    """Nothing runs out while NotReady; with the next Ready it does, unless it is switched off."""
    d = desk(settings=Settings(presence_timeout=timeout))
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.gone, agent.away_at) == (False, True, None)
    agent = await d.lifecycle.ready("ann")
    assert (agent.ready, agent.away_at) == (True, None if timeout is None else later(60))


async def test_who_never_had_a_session_is_not_gone() -> None:
    """A host that knows no sessions never says so: presence does not run out."""
    d = desk()
    agent = await d.lifecycle.ready("ann")
    assert (agent.gone, agent.away_at) == (False, None)
    await d.wait(1000)
    assert (await d.lifecycle.agent("ann")).ready


async def test_every_session_is_a_new_version_of_the_agent() -> None:
    """So that whoever decides on the agent's absence meanwhile is refused, and looks again."""
    d = desk()
    await d.lifecycle.ready("ann")
    for version in (2, 3, 4):
        await d.lifecycle.connected("ann")
        agent = await d.lifecycle.agent("ann")
        assert (agent.version, agent.gone, agent.away_at) == (version, False, None)
        assert d.told[-1].agents == (agent,)


class HeldStore(MemoryStore):
    """Lets a commit that says gone, and one that does not, through when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.doors: dict[bool, anyio.Event] = {}
        self.came: set[bool] = set()
        self.conflicts = 0

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Wait at the door, if there is one, and commit."""
        gone = any(agent.gone for agent in commit.agents)
        door = self.doors.get(gone)
        if door is not None:
            self.came.add(gone)
            await door.wait()
        try:
            await super().commit(commit, committed)
        except Conflict:
            self.conflicts += 1
            raise


@pytest.mark.parametrize("first", [True, False], ids=["leaving", "coming"])
@pytest.mark.parametrize("ready", [True, False])
async def test_a_session_that_begins_while_the_last_one_ends_counts(
    first: bool, ready: bool
) -> None:
    """Both have read the same agent; whichever is committed first, the agent is there."""
    store = HeldStore()
    d = desk(store)
    await (d.lifecycle.ready if ready else d.lifecycle.not_ready)("ann")
    await d.lifecycle.connected("ann")
    store.doors = doors = {True: anyio.Event(), False: anyio.Event()}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(d.lifecycle.disconnected, "ann")
            while store.came != {True}:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(d.lifecycle.connected, "ann")
            while store.came != {True, False}:
                await anyio.lowlevel.checkpoint()
            before = (await d.lifecycle.agent("ann")).version
            doors[first].set()
            while (await d.lifecycle.agent("ann")).version == before:
                await anyio.lowlevel.checkpoint()
            doors[not first].set()
    agent = await d.lifecycle.agent("ann")
    assert (agent.ready, agent.gone, agent.away_at) == (ready, False, None)
    assert store.conflicts == 1
    await d.wait(1000)
    assert (await d.lifecycle.agent("ann")).ready is ready


@pytest.mark.parametrize("question", ["change_stream", "commit"])
async def test_a_session_that_could_not_begin_does_not_count(question: str) -> None:
    """The host learns of it; presence runs out as if nothing had been."""
    store = FailingStore(question, OSError("no connection"), times=0)
    d = desk(store)
    await d.lifecycle.ready("ann")
    await d.lifecycle.disconnected("ann")
    store.times = 1
    with pytest.raises(OSError, match="no connection"):
        await d.lifecycle.connected("ann")
    agent = await d.lifecycle.agent("ann")
    assert (agent.gone, agent.away_at) == (True, later(60))
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).gone
    await d.lifecycle.connected("ann")
    store.times = 1
    with pytest.raises(OSError, match="no connection"):
        await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).gone


async def test_who_is_there_is_not_gone_whatever_the_store_says() -> None:
    """A deadline that an older process left does not end a session that lives."""
    d = desk()
    await d.lifecycle.ready("ann")
    await d.lifecycle.disconnected("ann")
    agent = await d.lifecycle.agent("ann")
    await d.lifecycle.connected("ann")
    stored = await d.lifecycle.agent("ann")
    again = attrs.evolve(stored, version=stored.version + 1, away_at=agent.away_at)
    await d.store.commit(Commit(at=later(1), agents=(again,)))
    d.clock.advance(1000)
    assert await d.lifecycle.fire_due() == 0
    assert (await d.lifecycle.agent("ann")).ready


@pytest.mark.parametrize("agent_id", ["", 7, None, b"ann", "\ud800"], ids=repr)
@pytest.mark.parametrize("call", ["ready", "not_ready", "connected", "disconnected", "agent"])
async def test_an_agents_id_is_a_name(call: str, agent_id: Any) -> None:
    """What is none is refused before anything is kept of it."""
    d = desk(directory=None)
    async with Unmoved(d, InvalidParameter) as refused:
        await getattr(d.lifecycle, call)(agent_id)
    refused.says(path="$.agentId", value=agent_id, status_code=10)
    assert await d.lifecycle.agents() == ()
    assert await d.store.streams(parked=False) == ()


async def test_presence_of_one_who_is_not_ready() -> None:
    """Who is NotReady needs no session, and keeps the reason; NotReady ends the waiting."""
    d = desk()
    await d.lifecycle.not_ready("ann", reason="Lunch")
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at is None
    await d.lifecycle.ready("ann")
    await d.lifecycle.connected("ann")
    await d.lifecycle.disconnected("ann")
    await d.lifecycle.not_ready("ann", reason="Tea")
    await d.wait(1000)
    assert (await d.lifecycle.agent("ann")).reason == "Tea"


async def test_presence_can_be_switched_off() -> None:
    """With None an agent stays Ready without a session; another timeout is kept to."""
    for timeout, away_at in ((None, None), (timedelta(seconds=5), later(5))):
        d = desk(settings=Settings(presence_timeout=timeout))
        await d.lifecycle.ready("ann")
        await d.lifecycle.connected("ann")
        await d.lifecycle.disconnected("ann")
        assert (await d.lifecycle.agent("ann")).away_at == away_at


async def test_a_session_that_nobody_began_can_end() -> None:
    """After a restart the sessions are not known, and the last may be gone; none is owed."""
    d = desk()
    await d.lifecycle.ready("ann")
    for _ in range(3):
        await d.lifecycle.disconnected("ann")
        assert (await d.lifecycle.agent("ann")).away_at == later(60)
    for _ in range(2):
        await d.lifecycle.connected("ann")
        assert (await d.lifecycle.agent("ann")).away_at is None
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at is None
    await d.lifecycle.disconnected("ann")
    assert (await d.lifecycle.agent("ann")).away_at == later(60)


class LateStore(MemoryStore):
    """Lets something happen between the question who is away and its answer."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Answer with what was true before."""
        found = await super().away(at, until, limit)
        if self.meanwhile is not None:
            await self.meanwhile()
        return found


async def test_who_comes_back_just_in_time_stays_ready() -> None:
    """What was found out before a session began makes nobody NotReady."""
    store = LateStore()
    d = desk(store)
    await d.lifecycle.ready("ann")
    await d.lifecycle.disconnected("ann")
    d.clock.advance(60)
    store.meanwhile = lambda: d.lifecycle.connected("ann")
    assert await d.lifecycle.fire_due() == 0
    assert (await d.lifecycle.agent("ann")).ready


async def test_an_operation_refused_leaves_the_counts() -> None:
    """A refusal touches neither load nor missed offers nor sequence."""
    d = desk()
    await d.offer()
    await d.wait(10)
    async with Unmoved(d, StaleOffer):
        await d.act("ann", Accept(offer=2))
