"""The service against a plain model of it, over random lives of several agents and mails.

A `World` does everything twice: in the real service and in a model of a few fields, and then
compares all that can be seen. Hypothesis chooses what happens; a fixed walk sees to every row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import attrs
import hypothesis
import pytest
from clocks import START
from desks import desk
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from lifecycle import (
    EMAIL,
    SYSTEM,
    Actor,
    MemoryDirectory,
    capabilities,
    decode,
)
from lifecycle import commands as c
from lifecycle.errors import (
    AgentAtCapacity,
    AgentNotReady,
    DeadlinePassed,
    LifecycleError,
    NotPermitted,
    NotValidInState,
)

CAPACITY = {"ann": 2, "bob": 1, "cat": 1}
DELIVERING, HANDLING = timedelta(seconds=30), timedelta(minutes=180)
TRANSFER, PRESENCE = timedelta(seconds=30), timedelta(seconds=60)
FINAL = ("Sent", "Completed")
OFFERABLE = ("Queued", "Rejected", "Revoked", "Transferred")


@attrs.define
class Mail:
    """What the model knows of an interaction."""

    id: str
    state: str = "Queued"
    version: int = 0
    holder: str | None = None
    offer: int = 0
    origin: str | None = None
    target: str | None = None  # an agent; None for a skill
    until: datetime = START  # when a transfer to a skill returns
    parked_from: str = ""
    deadline: datetime | None = None


@attrs.define
class Person:
    """What the model knows of an agent."""

    id: str
    ready: bool = False
    reason: str | None = None
    missed: int = 0
    sessions: int = 0
    gone: bool = False
    away_at: datetime | None = None
    log: list[tuple[str, str, str]] = attrs.Factory(list)  # trigger, interaction, state


class World:
    """The service, the model, and every way in which the tests change both."""

    def __init__(self) -> None:
        self.desk = desk(directory=MemoryDirectory(agents=CAPACITY))
        self.mails: dict[str, Mail] = {}
        self.people = {id: Person(id) for id in CAPACITY}
        self.rows: set[tuple[str, str, str]] = set()
        self.runner = asyncio.Runner()

    def run(self, call: Coroutine[Any, Any, object]) -> None:
        """Do something, and compare."""
        self.runner.run(call)
        self.runner.run(self.compare())

    @property
    def now(self) -> datetime:
        """The time."""
        return self.desk.clock.at

    def load(self, agent_id: str) -> int:
        """How many interactions count for an agent, by counting them."""
        return sum(agent_id in (mail.holder, mail.origin) for mail in self.mails.values())

    # The model

    def moved(self, mail: Mail, trigger: str, state: str, holder: str | None = None) -> None:
        """A transition took place."""
        self.rows.add((trigger, mail.state, state))
        told = holder or mail.holder
        if told is not None:
            self.people[told].log.append((trigger, mail.id, state))
        mail.state, mail.holder = state, holder
        mail.version += 1
        if state == "Invited":
            mail.offer += 1
            mail.deadline = self.now + DELIVERING
        elif state in ("Accepted", "ReplyCreated"):
            mail.deadline = self.now + HANDLING
        elif state in FINAL or mail.origin is None:
            mail.deadline = None
        else:
            mail.deadline = mail.until if mail.target is None else self.now

    def obstacle(self, mail: Mail, agent_id: str) -> type[LifecycleError] | None:
        """Why an agent cannot be invited to a mail now."""
        person = self.people[agent_id]
        if not person.ready:
            return AgentNotReady
        others = self.load(agent_id) - (mail.origin == agent_id)
        return AgentAtCapacity if others >= CAPACITY[agent_id] else None

    def silenced(self, person: Person, reason: str | None) -> None:
        """An agent became NotReady: what was offered is revoked, oldest submission first."""
        person.ready, person.reason, person.away_at = False, reason, None
        for mail in self.mails.values():
            if mail.state == "Invited" and mail.holder == person.id:
                self.moved(mail, "Revoke", "Revoked")

    def returned(self, mail: Mail) -> None:
        """A transfer came back."""
        origin, mail.origin = mail.origin, None
        self.moved(mail, "Return", "Accepted", origin)

    def expired(self, mail: Mail) -> None:
        """The timer of a mail ran out."""
        if mail.holder is not None:
            person, was_offer = self.people[mail.holder], mail.state == "Invited"
            self.moved(mail, "Revoke", "Revoked")
            person.missed += was_offer
            if was_offer and person.missed >= 2 and person.ready:
                self.silenced(person, "MissedOffers")
        elif mail.state == "Transferred" and mail.target and not self.obstacle(mail, mail.target):
            self.moved(mail, "Invite", "Invited", mail.target)
        else:
            self.returned(mail)

    # What happens, in both

    async def do(self, mail: Mail, command: c.Command, actor: Actor) -> None:
        """One step of the service."""
        await self.desk.lifecycle.perform(mail.id, command, agent_id=actor)

    async def refused(
        self, kind: type[LifecycleError], mail: Mail, command: c.Command, actor: Actor
    ) -> None:
        """One step that is refused; that nothing changed is seen by comparing."""
        with pytest.raises(kind) as caught:
            await self.do(mail, command, actor)
        assert type(caught.value) is kind
        assert (caught.value.state, caught.value.trigger) == (mail.state, command.trigger)

    async def submit(self) -> None:
        """A mail comes in."""
        mail = Mail(f"M{len(self.mails)}")
        await self.desk.submit(mail.id)
        self.mails[mail.id] = mail

    async def ready(self, agent_id: str) -> None:
        """An agent becomes Ready."""
        person = self.people[agent_id]
        await self.desk.lifecycle.ready(agent_id)
        person.ready, person.reason, person.missed = True, None, 0
        person.away_at = self.now + PRESENCE if person.gone else None

    async def not_ready(self, agent_id: str) -> None:
        """An agent becomes NotReady."""
        await self.desk.lifecycle.not_ready(agent_id, reason="Lunch")
        self.silenced(self.people[agent_id], "Lunch")

    async def connect(self, agent_id: str) -> None:
        """A session begins."""
        await self.desk.lifecycle.connected(agent_id)
        person = self.people[agent_id]
        person.sessions += 1
        person.gone, person.away_at = False, None

    async def disconnect(self, agent_id: str) -> None:
        """A session ends."""
        person = self.people[agent_id]
        await self.desk.lifecycle.disconnected(agent_id)
        person.sessions = max(person.sessions - 1, 0)
        if person.sessions == 0:
            person.gone = True
            person.away_at = self.now + PRESENCE if person.ready else None

    async def invite(self, mail: Mail, agent_id: str) -> None:
        """The system offers a mail to an agent, who may not be able to have it."""
        obstacle = self.obstacle(mail, agent_id)
        if obstacle is not None:
            await self.refused(obstacle, mail, c.Invite(agent_id=agent_id), SYSTEM)
            return
        await self.do(mail, c.Invite(agent_id=agent_id), SYSTEM)
        self.moved(mail, "Invite", "Invited", agent_id)

    async def accept(self, mail: Mail) -> None:
        """The invited agent accepts, in time or not."""
        agent_id = str(mail.holder)
        assert mail.deadline is not None
        if self.now >= mail.deadline:
            await self.refused(DeadlinePassed, mail, c.Accept(), agent_id)
            return
        await self.do(mail, c.Accept(offer=mail.offer), agent_id)
        mail.origin, self.people[agent_id].missed = None, 0
        self.moved(mail, "Accept", "Accepted", agent_id)

    async def reject(self, mail: Mail) -> None:
        """The invited agent declines."""
        agent_id = str(mail.holder)
        await self.do(mail, c.Reject(), agent_id)
        self.people[agent_id].missed = 0
        self.moved(mail, "Reject", "Rejected")

    async def revoke(self, mail: Mail) -> None:
        """The system takes it away."""
        await self.do(mail, c.Revoke(), SYSTEM)
        self.moved(mail, "Revoke", "Revoked")

    async def give_back(self, mail: Mail) -> None:
        """The system returns a transfer, where there is one."""
        if mail.origin is None:
            await self.refused(NotValidInState, mail, c.Return(), SYSTEM)
            return
        await self.do(mail, c.Return(), SYSTEM)
        self.returned(mail)

    async def close(self, mail: Mail) -> None:
        """The system ends it."""
        await self.do(mail, c.Close(), SYSTEM)
        mail.origin = None
        self.moved(mail, "Close", "Completed")

    async def transfer(self, mail: Mail, target: str | None) -> None:
        """The owner gives it to an agent, or to a skill."""
        command = c.Transfer(agent_id=target) if target else c.Transfer(skill="french")
        await self.do(mail, command, str(mail.holder))
        mail.origin, mail.target, mail.until = mail.holder, target, self.now + TRANSFER
        self.moved(mail, "Transfer", "Transferred")

    async def reply(self, mail: Mail, command: c.Reply) -> None:
        """The owner begins a reply."""
        await self.do(mail, command, str(mail.holder))
        self.moved(mail, command.trigger, "ReplyCreated", mail.holder)

    async def end(self, mail: Mail, command: c.Send | c.StopProcessing) -> None:
        """The owner is done with it."""
        await self.do(mail, command, str(mail.holder))
        self.moved(mail, command.trigger, "Sent" if command.trigger == "Send" else "Completed")

    async def place_in_queue(self, mail: Mail) -> None:
        """The owner puts it back."""
        await self.do(mail, c.PlaceInQueue(queue="other"), str(mail.holder))
        self.moved(mail, "PlaceInQueue", "Queued")

    async def place_in_workbin(self, mail: Mail) -> None:
        """The owner parks it."""
        await self.do(mail, c.PlaceInWorkbin(workbin="late"), str(mail.holder))
        mail.parked_from = mail.state
        self.moved(mail, "PlaceInWorkbin", "InWorkbin")

    async def pull(self, mail: Mail, agent_id: str) -> None:
        """An agent takes it out of the workbin, whatever the agent's capacity."""
        await self.do(mail, c.Pull(), agent_id)
        self.moved(mail, "Pull", mail.parked_from, agent_id)

    async def update(self, mail: Mail) -> None:
        """The owner changes its properties."""
        command = c.UpdateProperties(user_data={"version": mail.version}, comment="changed")
        await self.do(mail, command, str(mail.holder))
        self.moved(mail, "UpdateProperties", mail.state, mail.holder)

    async def cancel(self, mail: Mail) -> None:
        """The owner discards the reply."""
        await self.do(mail, c.Cancel(), str(mail.holder))
        self.moved(mail, "Cancel", "Accepted", mail.holder)

    async def link(self, mail: Mail) -> None:
        """The owner attaches something."""
        attachment = await self.desk.lifecycle.add_content(b"x", name="x", mimetype="text/plain")
        await self.do(mail, c.LinkAttachment(attachment=attachment), str(mail.holder))
        self.moved(mail, "LinkAttachment", "ReplyCreated", mail.holder)

    async def bring(self, acts: str, agents: list[str]) -> None:
        """A new mail comes into a situation, as far as the agents have room for it."""
        await self.submit()
        mail = list(self.mails.values())[-1]
        first, second, _ = agents
        steps: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "invite": lambda: self.invite(mail, first),
            "offer": lambda: self.invite(mail, second),
            "accept": lambda: self.accept(mail),
            "reject": lambda: self.reject(mail),
            "revoke": lambda: self.revoke(mail),
            "reply": lambda: self.reply(mail, c.Reply(text="Soon.")),
            "park": lambda: self.place_in_workbin(mail),
            "give": lambda: self.transfer(mail, second),
            "share": lambda: self.transfer(mail, None),
        }
        for agent_id in agents:
            await self.ready(agent_id)
        for act in acts.split():
            before = mail.version
            await steps[act]()
            if mail.version == before:
                break  # nobody had room for it
            await self.compare()

    async def fire(self) -> int:
        """What is due happens: interactions by deadline, then agents by absence."""
        due = [mail for mail in self.mails.values() if mail.deadline and mail.deadline <= self.now]
        due.sort(key=lambda mail: (mail.deadline, mail.id))
        versions = [mail.version for mail in due]
        gone = [one for one in self.people.values() if one.away_at and one.away_at <= self.now]
        times = [one.away_at for one in gone]
        fired = 0
        for mail, version in zip(due, versions, strict=True):
            if mail.version == version:
                self.expired(mail)
                fired += 1
        for person, away_at in zip(gone, times, strict=True):
            if person.away_at == away_at:
                self.silenced(person, "NoSession")
                fired += 1
        assert await self.desk.lifecycle.fire_due() == fired
        return fired

    async def pass_time(self, seconds: float) -> None:
        """Time passes, and everything happens that is due until then."""
        self.desk.clock.advance(seconds)
        while await self.fire():
            await self.compare()

    async def sleep(self, seconds: float) -> None:
        """Time passes while nothing fires, as if the process were down."""
        self.desk.clock.advance(seconds)

    # What must always hold

    async def compare(self) -> None:
        """The service shows what the model says, and the promises of semantics 9 are kept."""
        lifecycle = self.desk.lifecycle
        for mail in self.mails.values():
            real = await lifecycle.get(mail.id)
            shown = (real.state, real.version, real.agent_id, real.offer, real.deadline)
            assert shown == (mail.state, mail.version, mail.holder, mail.offer, mail.deadline)
            assert real.transfer_origin == mail.origin
            history = await lifecycle.history(mail.id)
            assert [entry.version for entry in history] == list(range(mail.version + 1))
        for person in self.people.values():
            agent = await lifecycle.agent(person.id)
            assert agent.load == self.load(person.id)
            assert agent.sequence == len(person.log)
            shown_agent = (agent.ready, agent.reason, agent.missed, agent.gone, agent.away_at)
            assert shown_agent == (
                person.ready, person.reason, person.missed, person.gone, person.away_at
            )  # fmt: skip
            held = [mail.id for mail in self.mails.values() if mail.holder == person.id]
            assert [real.id for real in await lifecycle.interactions_of(person.id)] == held
            await self.compare_log(person)
        waiting = [
            mail.id
            for mail in self.mails.values()
            if mail.state in OFFERABLE and not (mail.origin and mail.target)
        ]
        assert [real.id for real in await lifecycle.waiting()] == waiting

    async def compare_log(self, person: Person) -> None:
        """One notification a transition, for the right agent, without gaps, with what it may do."""
        deliveries = await self.desk.lifecycle.deliveries(person.id, limit=100_000)
        assert [one.sequence for one in deliveries] == list(range(1, len(person.log) + 1))
        for one, (trigger, id, state) in zip(deliveries, person.log, strict=True):
            notification = decode(one.payload)
            assert (one.trigger, one.interaction_id) == (trigger, id)
            assert (notification.id, notification.state) == (id, state)
            assert notification.capabilities == capabilities(state)

    async def to_the_end(self) -> None:
        """Whatever the agents leave undone, time and the system bring everything to an end."""
        for _ in range(10):
            await self.pass_time(4 * 3600)
            for mail in self.mails.values():
                if mail.state == "InWorkbin":
                    await self.revoke(mail)
                if mail.state in ("Queued", "Rejected", "Revoked") and mail.origin is None:
                    await self.close(mail)
            if all(mail.state in FINAL for mail in self.mails.values()):
                break
        await self.compare()
        assert {mail.state for mail in self.mails.values()} <= set(FINAL)
        assert [self.load(agent_id) for agent_id in CAPACITY] == [0, 0, 0]
        await self.desk.lifecycle.drain()
        for person in self.people.values():
            arrived = [one for one in self.desk.sink.deliveries if one.agent_id == person.id]
            assert [one.sequence for one in arrived] == list(range(1, len(person.log) + 1))


VISITED: set[tuple[str, str, str]] = set()
"""Rows that any world of this run has taken."""

Acts: TypeAlias = dict[str, Callable[[], Coroutine[Any, Any, object]]]
"""What may happen next, by what it is called where Hypothesis tells of it."""


def _works(world: World, mail: Mail) -> Acts:
    """What the agent who holds a mail may do with it."""
    if mail.state == "Invited":
        return {"accepts": lambda: world.accept(mail), "rejects": lambda: world.reject(mail)}
    always: Acts = {
        "parks": lambda: world.place_in_workbin(mail),
        "updates": lambda: world.update(mail),
    }
    if mail.state == "ReplyCreated":
        return always | {
            "cancels": lambda: world.cancel(mail),
            "links": lambda: world.link(mail),
            "sends": lambda: world.end(mail, c.Send()),
        }
    heirs = [agent_id for agent_id in CAPACITY if agent_id != mail.holder]
    return always | {
        "replies": lambda: world.reply(mail, c.Reply(text="Soon.")),
        "replies to all": lambda: world.reply(mail, c.ReplyAll(text="Soon.")),
        "transfers to one": lambda: world.transfer(mail, heirs[0]),
        "transfers to another": lambda: world.transfer(mail, heirs[1]),
        "transfers to a skill": lambda: world.transfer(mail, None),
        "queues": lambda: world.place_in_queue(mail),
        "stops": lambda: world.end(mail, c.StopProcessing()),
    }


def _asked_in_vain(world: World, mail: Mail) -> Acts:
    """What is refused, whoever asks."""
    acts: Acts = {}
    for command in (c.Accept(), c.Reply(), c.Send(), c.Transfer(skill="french")):
        if command.trigger not in capabilities(mail.state):
            ask = partial(world.refused, NotValidInState, mail, command, mail.holder or "ann")
            acts[f"{command.trigger} in {mail.state}"] = ask
            continue
        strangers: list[Actor] = [SYSTEM, *(id for id in CAPACITY if id != mail.holder)]
        for actor in strangers:
            ask = partial(world.refused, NotPermitted, mail, command, actor)
            acts[f"{command.trigger} by {actor}"] = ask
    return acts


def _of_mails(world: World, acts: Callable[[Mail], Acts], *states: str) -> Acts:
    return {
        f"{mail.id} {name}": act
        for mail in world.mails.values()
        if mail.state in states or not states
        for name, act in acts(mail).items()
    }


def possible(world: World) -> dict[str, Acts]:
    """Everything that may happen now, by kind."""
    offers = _of_mails(
        world,
        lambda mail: {f"to {id}": partial(world.invite, mail, id) for id in CAPACITY},
        *OFFERABLE,
    )
    kinds: dict[str, Acts] = {
        "agents work": _of_mails(
            world, partial(_works, world), "Invited", "Accepted", "ReplyCreated"
        ),
        "offers": offers,
        "offers that can be made": {
            name: act
            for name, act in offers.items()
            if world.obstacle(world.mails[name.split()[0]], name.split()[-1]) is None
        },
        "agents pull": _of_mails(
            world,
            lambda mail: {f"by {id}": partial(world.pull, mail, id) for id in CAPACITY},
            "InWorkbin",
        ),
        "mails come in": {"one": world.submit} if len(world.mails) < 6 else {},
        "the system acts": {
            **_of_mails(
                world,
                lambda mail: {"revoked": partial(world.revoke, mail)},
                "Invited",
                "Accepted",
                "ReplyCreated",
                "InWorkbin",
            ),
            **_of_mails(
                world,
                lambda mail: {"returned": partial(world.give_back, mail)},
                "Transferred",
                "Rejected",
                "Revoked",
            ),
            **_of_mails(
                world,
                lambda mail: {"closed": partial(world.close, mail)},
                "Rejected",
                "Revoked",
            ),
        },
        "agents are ready": {id: partial(world.ready, id) for id in CAPACITY},
        "agents come and go": {
            **{f"{id} is not ready": partial(world.not_ready, id) for id in CAPACITY},
            **{
                f"{id} has a session or none": partial(
                    world.disconnect if person.sessions else world.connect, id
                )
                for id, person in world.people.items()
            },
        },
        "time passes": {
            f"{seconds} s": partial(world.pass_time, seconds)
            for seconds in (0, 1, 29, 30, 31, 61, 3 * 3600)
        },
        "time passes unnoticed": {f"{n} s": partial(world.sleep, n) for n in (1, 30, 61)},
        "somebody asks in vain": _of_mails(world, partial(_asked_in_vain, world)),
    }
    return {kind: acts for kind, acts in kinds.items() if acts}


SITUATIONS = {
    "queued": "",
    "invited": "invite",
    "rejected": "invite reject",
    "revoked": "invite revoke",
    "owned": "invite accept",
    "replying": "invite accept reply",
    "with a kept draft": "invite accept reply revoke invite accept",
    "parked": "invite accept park",
    "parked from the reply": "invite accept reply park",
    "given to another": "invite accept give",
    "given to a skill": "invite accept share",
    "given, and rejected": "invite accept share offer reject",
    "given, and revoked": "invite accept share offer revoke",
    "given, and offered": "invite accept share offer",
}
"""Where a life may begin: what is done to a new mail, in short."""


class Lives(RuleBasedStateMachine):
    """What happens, chosen by Hypothesis: first the kind, then which."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(
        situations=st.lists(
            st.tuples(st.sampled_from(sorted(SITUATIONS)), st.permutations(sorted(CAPACITY))),
            min_size=1,
            max_size=4,
        )
    )
    def begin(self, situations: list[tuple[str, list[str]]]) -> None:
        """Some mails are in the middle of their lives already."""
        for name, agents in situations:
            self.world.run(self.world.bring(SITUATIONS[name], agents))

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One thing of all that may."""
        kinds = possible(self.world)
        acts = kinds[data.draw(st.sampled_from(sorted(kinds)))]
        self.world.run(acts[data.draw(st.sampled_from(sorted(acts)))]())

    def teardown(self) -> None:
        """Everything can still reach a final state."""
        try:
            self.world.run(self.world.to_the_end())
        finally:
            VISITED.update(self.world.rows)
            self.world.runner.close()


async def _walk(world: World) -> None:
    """A walk that takes every row of the table."""

    async def next_mail(agent_id: str = "ann") -> Mail:
        await world.submit()
        mail = list(world.mails.values())[-1]
        await world.invite(mail, agent_id)
        return mail

    async def owned(agent_id: str = "ann") -> Mail:
        mail = await next_mail(agent_id)
        await world.accept(mail)
        return mail

    async def replying() -> Mail:
        mail = await owned()
        await world.reply(mail, c.Reply(text="Soon."))
        return mail

    await world.submit()
    await world.close(world.mails["M0"])
    for agent_id in CAPACITY:
        await world.ready(agent_id)

    mail = await next_mail()
    await world.reject(mail)
    await world.invite(mail, "bob")
    await world.revoke(mail)
    await world.invite(mail, "ann")
    await world.accept(mail)
    await world.revoke(mail)
    await world.close(mail)

    mail = await next_mail()
    await world.reject(mail)
    await world.close(mail)

    mail = await owned()
    await world.transfer(mail, "bob")
    await world.pass_time(0)
    assert mail.holder == "bob"
    await world.reject(mail)
    await world.pass_time(0)
    await world.transfer(mail, "bob")
    await world.pass_time(0)
    await world.pass_time(30)
    assert mail.holder == "ann"
    await world.transfer(mail, None)
    await world.pass_time(30)
    assert mail.holder == "ann"
    await world.update(mail)
    await world.place_in_queue(mail)
    await world.invite(mail, "ann")
    await world.accept(mail)
    await world.end(mail, c.StopProcessing())

    mail = await owned()
    await world.place_in_workbin(mail)
    await world.pull(mail, "cat")
    await world.place_in_workbin(mail)
    await world.revoke(mail)
    await world.close(mail)

    mail = await replying()
    await world.update(mail)
    await world.link(mail)
    await world.place_in_workbin(mail)
    await world.pull(mail, "ann")
    await world.cancel(mail)
    await world.reply(mail, c.ReplyAll(text="All."))
    await world.revoke(mail)
    await world.invite(mail, "ann")
    await world.accept(mail)
    await world.reply(mail, c.Reply())
    await world.end(mail, c.Send())
    await world.to_the_end()


ROWS = {(row.trigger, row.source, row.dest) for row in EMAIL.rows}


def test_a_fixed_walk_takes_every_row() -> None:
    """All 30 rows, in the service and in the model, which agree all the way to the end."""
    world = World()
    try:
        world.run(_walk(world))
    finally:
        world.runner.close()
    assert world.rows == ROWS
    assert len(ROWS) == 30


def test_random_lives_hold_what_is_promised() -> None:
    """Whatever happens, service and model agree; and most rows are met on the way."""
    VISITED.clear()
    run_state_machine_as_test(
        Lives,
        settings=hypothesis.settings(
            max_examples=100,
            stateful_step_count=30,
        ),
    )
    assert VISITED <= ROWS
    assert len(VISITED) >= 20, sorted(ROWS - VISITED)
