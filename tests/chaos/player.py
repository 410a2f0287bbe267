"""What one player does next: agents, the router and the supervisor of a contact centre at once.

Many of them, in several processes, work on the same few agents and interactions on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import TypeAlias

from chaos.config import AGENTS, OPEN, OUTBOUND, QUEUES, SKILLS, WORKBINS
from chaos.desk import Desk
from lifecycle import (
    Accept,
    Cancel,
    Close,
    Command,
    Interaction,
    Invite,
    LinkAttachment,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    ReplyAll,
    Revoke,
    Send,
    StopProcessing,
    Transfer,
    UpdateProperties,
)

_Action: TypeAlias = Callable[[], Awaitable[None]]
_AGENTS = sorted(AGENTS)
_TRIES = 3
"""So many agents are looked at for one who has something to do."""


class Player:
    """Asks for one thing after the other.

    Arguments:
        desk: where to ask.
        draw: decides everything that the player decides.
        pace: seconds to think between two things, on average.
    """

    def __init__(self, desk: Desk, draw: Random, pace: float) -> None:
        self._desk = desk
        self._draw = draw
        self._pace = pace
        self._lifecycle = desk.lifecycle
        self._actions: list[tuple[float, _Action]] = [
            (3.0, self._submit),
            (6.0, self._route),
            (12.0, self._work),
            (1.0, self._pull),
            (0.5, self._intervene),
            (2.5, self._readiness),
            (1.5, self._session),
            (0.3, self._release),
            (0.3, partial(desk.again, draw)),
        ]

    async def play(self) -> None:
        """Go on until the run ends."""
        weights, actions = zip(*self._actions, strict=True)
        while self._desk.is_open:
            [action] = self._draw.choices(actions, weights)
            await action()
            await asyncio.sleep(self._draw.expovariate(1 / self._pace))

    async def _submit(self) -> None:
        waiting = await self._waiting()
        if len(waiting) < OPEN:
            await self._desk.submit(self._draw.choice(QUEUES), whole=True)

    async def _waiting(self) -> tuple[Interaction, ...]:
        return await self._desk.look(partial(self._lifecycle.waiting, limit=OPEN), ())

    async def _route(self) -> None:
        """Offer something that waits; now and then to two at a time, of whom one may have it."""
        waiting = await self._waiting()
        if not waiting:
            return
        one = self._draw.choice(waiting[:12])
        if self._draw.random() < 0.03:
            await self._desk.perform(one.id, Close(reason="not needed"), None)
            return
        number = 2 if self._draw.random() < 0.15 else 1
        names = await self._free() if self._draw.random() < 0.8 else _AGENTS
        chosen = self._draw.sample(names, min(number, len(names)))
        invites = [Invite(agent_id=name) for name in chosen]
        await asyncio.gather(*(self._desk.perform(one.id, invite, None) for invite in invites))

    async def _free(self) -> list[str]:
        """The agents who could be invited, as far as is known here."""
        agents = await self._desk.look(self._lifecycle.agents, ())
        return [one.id for one in agents if one.ready and one.load < AGENTS[one.id]]

    async def _work(self) -> None:
        """What an agent does with something at hand."""
        for agent_id in self._draw.sample(_AGENTS, _TRIES):
            held = await self._desk.look(partial(self._lifecycle.interactions_of, agent_id), ())
            if held:
                break
        if not held:
            return
        one = self._draw.choice(held)
        if self._draw.random() < 0.03:
            agent_id = self._draw.choice(_AGENTS)  # most likely not the one who may
        commands = await self._commands(one, agent_id)
        await asyncio.gather(
            *(self._desk.perform(one.id, command, agent_id) for command in commands)
        )

    async def _commands(self, one: Interaction, agent_id: str) -> list[Command]:
        """One command, or several of which not all can be carried out."""
        draw = self._draw
        if draw.random() < 0.02:
            return [draw.choice([Cancel(), Accept(), Pull(), Send()])]  # often not now
        match one.state:
            case "Invited":
                luck = draw.random()
                if luck < 0.7:
                    return [Accept(offer=one.offer)] * draw.choice((1, 1, 1, 2))
                if luck < 0.85:
                    return [Accept(offer=one.offer), Reject(offer=one.offer, reason="busy")]
                if luck < 0.9:
                    return [Reject(offer=one.offer)]
                return [Accept(offer=one.offer + 1)] if luck < 0.93 else []  # or let it expire
            case "Accepted":
                kind = draw.choice("ttrrrrapwu" if one.draft is None else "trrrswu")
                return [self._accepted(kind, one, agent_id)]
            case "ReplyCreated":
                kind = draw.choice("ssssscwul")
                if kind == "l":
                    return await self._linked()
                return [self._replying(kind)] * draw.choice((1, 1, 1, 2))
        return []

    def _accepted(self, kind: str, one: Interaction, agent_id: str) -> Command:
        draw = self._draw
        match kind:
            case "t" if draw.random() < 0.3:
                return Transfer(skill=draw.choice(sorted(SKILLS)))
            case "t":
                return Transfer(agent_id=draw.choice(_AGENTS))
            case "r":
                return Reply(text=f"Dear customer, {draw.random()}", quote_original=True)
            case "a":
                return ReplyAll(text="Dear all")
            case "s":
                return StopProcessing(reason="spam")
            case "p":
                return PlaceInQueue(queue=draw.choice(QUEUES))
            case "w":
                return PlaceInWorkbin(workbin=draw.choice(sorted(WORKBINS)))
        return UpdateProperties(user_data={"n": draw.randrange(1000)}, comment="seen")

    def _replying(self, kind: str) -> Command:
        draw = self._draw
        match kind:
            case "s":
                return Send(queue=OUTBOUND)
            case "c":
                return Cancel()
            case "w":
                return PlaceInWorkbin(workbin=draw.choice(sorted(WORKBINS)))
        return UpdateProperties(text=f"Better: {draw.random()}")

    async def _linked(self) -> list[Command]:
        data = self._draw.randbytes(200)
        add = partial(
            self._lifecycle.add_content, data, name="a.bin", mimetype="application/octet-stream"
        )
        attachment = await self._desk.look(add, None)
        return [] if attachment is None else [LinkAttachment(attachment=attachment)]

    async def _pull(self) -> None:
        workbin = self._draw.choice(sorted(WORKBINS))
        parked = await self._desk.look(partial(self._lifecycle.workbin, workbin), ())
        if parked:
            one = self._draw.choice(parked)
            await self._desk.perform(one.id, Pull(), self._draw.choice(_AGENTS))

    async def _intervene(self) -> None:
        """The system takes something away from somebody."""
        agent_id = self._draw.choice(_AGENTS)
        held = await self._desk.look(partial(self._lifecycle.interactions_of, agent_id), ())
        if held:
            one = self._draw.choice(held)
            await self._desk.perform(one.id, Revoke(reason="supervisor"), None)

    async def _readiness(self) -> None:
        what = "ready" if self._draw.random() < 0.8 else "not_ready"
        await self._desk.call(what, self._draw.choice(_AGENTS))

    async def _session(self) -> None:
        what = "connected" if self._draw.random() < 0.6 else "disconnected"
        await self._desk.call(what, self._draw.choice(_AGENTS))

    async def _release(self) -> None:
        """Let what was parked be tried again."""
        for stream in await self._desk.look(self._lifecycle.parked, ()):
            await self._desk.call("release", stream.agent_id)
        for mail in await self._desk.look(partial(self._lifecycle.outgoing, parked=True), ()):
            await self._desk.call("release_mail", mail.message_id)
