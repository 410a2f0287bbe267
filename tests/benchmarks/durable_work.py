"""The work of the durable benchmarks: callers who take their interactions back and forth.

Each caller has an interaction and an agent of its own, and in turn replies and cancels. Such a
step stores a new value of the interaction, a line of its history, a new value of the agent, and
a delivery, which for every other step has the whole mail in it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, Protocol

import attrs

from lifecycle.commands import Accept, Cancel, Command, Reply
from lifecycle.directory import MemoryDirectory
from lifecycle.interaction import Attachment, Email
from lifecycle.ports import Store
from lifecycle.service import Lifecycle

OUR_ADDRESS = "help@shop.example"
OURS: Final = "lifecycle"
BY_HAND: Final = "by hand"
EVENTS: Final = "eventsourcing"
HELD: Final = 256
"""With how many callers the ratios are held to their bounds."""
COMMANDS: Final[tuple[Command, Command]] = (Reply(), Cancel())


@attrs.frozen(kw_only=True)
class DurableEffort:
    """How hard to measure what is durable."""

    rounds: int = 5
    """How many alternated rounds."""
    seconds: float = 1.5
    """How long each subject goes on in a round."""
    stores: tuple[str, ...] = ("sqlite", "postgresql")
    """Which stores."""
    callers: tuple[int, ...] = (1, 32, HELD)
    """How many concurrent callers."""
    pending: tuple[int, ...] = (10**5, 10**6)
    """How many timers are pending."""
    due: int = 10**5
    """How many timers fall due at once, and how many interactions are open when a store opens."""
    stored: tuple[int, int] = (10**3, 10**6)
    """Among how few and how many stored interactions steps are compared."""
    overdue: int = 1000
    """How many deadlines are overdue when a store with so many opens."""


QUICK = DurableEffort(
    rounds=2,
    seconds=0.3,
    callers=(1, HELD),
    pending=(10**4, 10**5),
    due=5000,
    stored=(10**3, 3 * 10**4),
    overdue=500,
)


@attrs.frozen
class Payload:
    """How large an interaction is, as JSON: what came with it, and what changes of it."""

    name: str
    """Its size in words."""
    text: int
    """Characters of the mail's text."""
    keys: int
    """How many user-data keys."""
    attachments: int
    """How many attachments."""

    def email(self, number: int) -> Email:
        """A mail that has no text in common with one of another number."""
        sentence = f"I ordered under number {number:06}. "
        return Email(
            subject=f"Where is my order {number:06}?",
            from_address=f"zoe{number:06}@home.example",
            to_address=OUR_ADDRESS,
            text=(sentence * (self.text // len(sentence) + 1))[: self.text],
            mime_type="text/plain",
            attachments=tuple(
                Attachment(id=f"A{each}", name="bill.pdf", size=5120, mimetype="application/pdf")
                for each in range(self.attachments)
            ),
            message_id=f"<m{number:06}@home.example>",
        )

    def user_data(self, number: int) -> dict[str, str]:
        """The customer's data."""
        return {f"customer_field_{key}": f"value {key} of {number:06}" for key in range(self.keys)}


LARGE = Payload("3.5 kB", text=2048, keys=30, attachments=1)
SMALL = Payload("500 B", text=12, keys=1, attachments=0)


class World(Protocol):
    """A number of callers at a store."""

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long; how many steps a second were acknowledged."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


def interaction_id(number: int) -> str:
    """The id of a caller's interaction."""
    return f"INTERACTION{number:06}"


def agent_id(number: int) -> str:
    """The id of a caller's agent."""
    return f"agent{number:06}"


def service(store: Store) -> Lifecycle:
    """A lifecycle that does only what it is asked for."""
    return Lifecycle(store=store, directory=MemoryDirectory(default=10**9), background=False)


async def prepare(store: Store, payload: Payload, callers: int) -> None:
    """Submit an interaction for each caller, and have its agent accept it."""
    centre = service(store)

    async def prepared(number: int) -> None:
        id, agent = interaction_id(number), agent_id(number)
        await centre.submit(
            payload.email(number),
            id=id,
            queue="support",
            our_addresses=[OUR_ADDRESS],
            user_data=payload.user_data(number),
        )
        await centre.ready(agent)
        await centre.invite(id, agent)
        await centre.perform(id, Accept(), agent_id=agent)

    await asyncio.gather(*map(prepared, range(callers)))


async def by_tasks(step: Callable[[int], Awaitable[None]], callers: int, seconds: float) -> float:
    """Steps a second where each caller is a task."""
    gc.collect()
    start = perf_counter()
    until = start + seconds

    async def calling(number: int) -> int:
        await step(number)  # however late this caller comes to it
        steps = 1
        while perf_counter() < until:
            await step(number)
            steps += 1
        return steps

    done = sum(await asyncio.gather(*map(calling, range(callers))))
    return done / (perf_counter() - start)


class Ours:
    """The library, with a store that is closed with it."""

    def __init__(self, store: Store, callers: int) -> None:
        self.steps = 0
        """How many were acknowledged."""
        self._callers = callers
        self._store = store
        self._centre = service(store)
        self._replied: set[int] = set()

    async def step(self, number: int, agent: int | None = None) -> None:
        """Reply, or cancel the reply; the agent has the interaction's number if not its own."""
        command = COMMANDS[number in self._replied]
        who = agent_id(number if agent is None else agent)
        await self._centre.perform(interaction_id(number), command, agent_id=who)
        self._replied ^= {number}
        self.steps += 1

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long."""
        return await by_tasks(self.step, self._callers, seconds)

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


async def alternated(
    worlds: Sequence[World], *, rounds: int, seconds: float
) -> list[tuple[float, ...]]:
    """The rates of worlds in each round; every other round goes through them backwards."""
    found = []
    for number in range(rounds):
        order = range(len(worlds)) if number % 2 == 0 else reversed(range(len(worlds)))
        rates = {which: await worlds[which].run(seconds) for which in order}
        found.append(tuple(rates[which] for which in range(len(worlds))))
    return found
