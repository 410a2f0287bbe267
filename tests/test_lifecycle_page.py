"""Random lives through the service, and their lines before the checker of the documented page."""

from __future__ import annotations

import io
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from builders import mail
from desks import Desk, desk
from page_checker import check_lines

from lifecycle import (
    SYSTEM,
    Accept,
    Cancel,
    Close,
    Command,
    Interaction,
    JsonLinesSink,
    LinkAttachment,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    ReplyAll,
    Return,
    Revoke,
    Send,
    Settings,
    StopProcessing,
    Transfer,
    UpdateProperties,
)
from lifecycle.errors import Forbidden

AGENTS = ("ann", "bob", "cat", "dan")
STEPS = 600
QUEUES = ("sales", "support")


class Lives:
    """Mails and agents of whom nobody knows what they will do next."""

    def __init__(self, seed: int, **changes: Any) -> None:
        self.file = io.BytesIO()
        bare = bool(changes.pop("bare", False))
        settings = Settings(**changes)
        self.chance = random.Random(seed)
        self.desk: Desk = desk(sink=JsonLinesSink(self.file, bare=bare), settings=settings)
        self.triggers: set[str] = set()
        self.refusals = 0

    async def step(self) -> None:
        """One thing happens, what is due follows, and everything is delivered."""
        chance, lifecycle = self.chance, self.desk.lifecycle
        acts: list[Callable[[], Awaitable[object]]] = [self.submit, self.submit, self.presence]
        acts += [self.offer] * 6 + [self.work] * 14 + [self.pull] * 2 + [self.interfere]
        try:
            await chance.choice(acts)()
        except Forbidden:
            self.refusals += 1
        await lifecycle.drain()
        self.desk.clock.advance(chance.choice((0, 0, 0, 0.25, 1, 4)))
        if chance.random() < 0.1:
            self.desk.clock.advance(chance.choice((31, 31, 3 * 3600)))
        while await lifecycle.fire_due(1):
            await lifecycle.drain()

    async def submit(self) -> None:
        """A mail comes in."""
        number = len(self.desk.told)
        await self.desk.submit(
            f"I{number}",
            email=mail(subject=f"Number {number}\r\n é \u2028", reply_to="a@b.example"),
            queue=self.chance.choice((*QUEUES, None)),
            user_data={"n": number, "raw": b"x", "deep": {"raw": b"x", "list": [1, b"x", None]}},
            comment=self.chance.choice((None, "first")),
            in_queues=QUEUES,
        )

    async def presence(self) -> None:
        """An agent comes, or goes."""
        agent_id = self.chance.choice(AGENTS)
        if self.chance.random() < 0.8:
            await self.desk.lifecycle.ready(agent_id)
        else:
            await self.desk.lifecycle.not_ready(agent_id)

    async def offer(self) -> None:
        """Something that waits is offered to somebody."""
        waiting = await self.desk.lifecycle.waiting()
        if waiting:
            one = self.chance.choice(waiting)
            await self.desk.lifecycle.invite(one.id, self.chance.choice(AGENTS))

    async def work(self) -> None:
        """Somebody does something with what they hold."""
        held = [
            (agent_id, one)
            for agent_id in AGENTS
            for one in await self.desk.lifecycle.interactions_of(agent_id)
        ]
        if held:
            agent_id, one = self.chance.choice(held)
            await self.take(one, await self.choose(one, agent_id), agent_id)

    async def choose(self, one: Interaction, agent_id: str) -> Command:
        """One of the operations that the state permits."""
        others = [id for id in AGENTS if id != agent_id]
        number = self.chance.randrange(1000)
        if one.state == "Invited":
            return self.chance.choice((Accept(), Accept(offer=one.offer), Accept(), Reject()))
        if one.state == "Accepted":
            return self.chance.choice(
                (
                    Transfer(agent_id=self.chance.choice(others)),
                    Transfer(skill="french"),
                    Reply(text=f"{number}", quote_original=True),
                    ReplyAll(structured_text=f"<p>{number}</p>"),
                    StopProcessing(),
                    PlaceInQueue(queue=self.chance.choice(QUEUES)),
                    PlaceInWorkbin(workbin="late"),
                    UpdateProperties(user_data={"n": number}, comment=f"{number}"),
                    UpdateProperties(delete_keys=["n"]),
                )
            )
        attachment = await self.desk.lifecycle.add_content(b"x", name="x", mimetype="a/b")
        return self.chance.choice(
            (
                Cancel(),
                Send(subject=f"Subject {number}"),
                PlaceInWorkbin(workbin="late"),
                UpdateProperties(text=f"{number}", cc_addresses=["c@d.example"]),
                LinkAttachment(attachment=attachment),
            )
        )

    async def pull(self) -> None:
        """Somebody takes something out of the workbin."""
        parked = await self.desk.lifecycle.workbin("late")
        if parked:
            await self.take(self.chance.choice(parked), Pull(), self.chance.choice(("ann", "bob")))

    async def interfere(self) -> None:
        """The system takes something away, returns it, or ends it."""
        waiting = await self.desk.lifecycle.waiting()
        parked = await self.desk.lifecycle.workbin("late")
        held = await self.desk.lifecycle.interactions_of(self.chance.choice(AGENTS))
        acts: list[tuple[Interaction, Command]] = [(one, Revoke()) for one in (*parked, *held)]
        acts += [(one, Return()) for one in waiting if one.transfer_origin]
        acts += [(one, Close()) for one in waiting if one.state != "Transferred"]
        if acts:
            one, command = self.chance.choice(acts)
            await self.desk.lifecycle.perform(one.id, command, agent_id=SYSTEM)

    async def take(self, one: Interaction, command: Command, agent_id: str) -> None:
        """Do it, and remember that it was done."""
        await self.desk.lifecycle.perform(one.id, command, agent_id=agent_id)
        self.triggers.add(command.trigger)


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings", [{}, {"bare": True}, {"documented_only": True}], ids=["whole", "bare", "documented"]
)
async def test_every_line_is_as_the_page_has_it(seed: int, settings: dict[str, bool]) -> None:
    """Hundreds of random steps: a checker that knows only the page finds no fault in them."""
    lives = Lives(seed, **settings)
    for _ in range(STEPS):
        await lives.step()
    lines = lives.file.getvalue().splitlines(keepends=True)
    assert check_lines(lines, **settings) == []
    assert len(lines) > 60
    assert len(lives.triggers) >= 10


@pytest.mark.anyio
async def test_the_checker_would_find_a_fault() -> None:
    """A line that is left out, and one that is changed, are seen: the test above can fail."""
    lives = Lives(1)
    for _ in range(STEPS):
        await lives.step()
    lines = lives.file.getvalue().splitlines(keepends=True)
    assert check_lines(lines) == []
    assert check_lines(lines[:10] + lines[11:]) != []
    changed = [line.replace(b'"email_object"', b'"emailObject"') for line in lines]
    assert check_lines(changed) != []


@pytest.mark.anyio
async def test_the_same_chance_gives_the_same_lines() -> None:
    """Nothing in the service depends on anything but its input."""
    files = []
    for _ in range(2):
        lives = Lives(5)
        for _ in range(100):
            await lives.step()
        files.append(lives.file.getvalue())
    assert files[0] == files[1]
    assert files[0]
