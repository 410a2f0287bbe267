"""What the tests of the service share: a lifecycle in memory, and stores that get in its way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from builders import MAIL
from clocks import VirtualClock

from lifecycle import (
    SYSTEM,
    Accept,
    Agent,
    Command,
    Commit,
    Committed,
    Interaction,
    Lifecycle,
    MemoryDirectory,
    MemoryMailer,
    MemorySink,
    MemoryStore,
    Outcome,
    Store,
    Stream,
)
from lifecycle.errors import Conflict, LifecycleError

DIRECTORY = MemoryDirectory(
    agents={"ann": 3, "bob": 1, "cat": 1, "dan": 1},
    queues=("sales", "support", "outbox"),
    workbins={"late": ("ann", "bob"), "other": ("cat",)},
    skills={"french": ("bob", "cat")},
)
"""Ann may hold three, the others one; Cat has a workbin of her own."""


class CountingIds:
    """Ids that say which one they are."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, at: datetime) -> str:
        """The next."""
        self.count += 1
        return f"N{self.count:05}"


@attrs.define(kw_only=True)
class Desk:
    """A lifecycle in memory that does nothing by itself, and whose clock stands still."""

    store: MemoryStore
    sink: MemorySink
    mailer: MemoryMailer
    clock: VirtualClock
    told: list[Committed]
    lifecycle: Lifecycle

    async def submit(self, id: str = "I1", **changes: Any) -> Interaction:
        """A mail in the sales queue."""
        arguments = {"queue": "sales", "our_addresses": ["help@shop.example"], **changes}
        return await self.lifecycle.submit(arguments.pop("email", MAIL), id=id, **arguments)

    async def offer(self, agent_id: str = "ann", id: str = "I1", **changes: Any) -> Interaction:
        """A mail that was offered to an agent, who is ready."""
        await self.submit(id, **changes)
        if not (await self.lifecycle.agent(agent_id)).ready:
            await self.lifecycle.ready(agent_id)
        return await self.lifecycle.invite(id, agent_id)

    async def own(self, agent_id: str = "ann", id: str = "I1", **changes: Any) -> Interaction:
        """A mail that an agent has accepted."""
        await self.offer(agent_id, id, **changes)
        return await self.act(agent_id, Accept(), id=id)

    async def act(self, agent_id: str, *commands: Command, id: str = "I1") -> Interaction:
        """What an agent does, one after another."""
        for command in commands:
            after = await self.lifecycle.perform(id, command, agent_id=agent_id)
        return after

    async def system(self, command: Command, id: str = "I1") -> Interaction:
        """What the system does."""
        return await self.lifecycle.perform(id, command, agent_id=SYSTEM)

    async def wait(self, seconds: float = 0) -> None:
        """Let time pass, and do everything that is due then."""
        self.clock.advance(seconds)
        while await self.lifecycle.fire_due():
            pass

    async def state(self, id: str = "I1") -> str:
        """The state of an interaction."""
        return (await self.lifecycle.get(id)).state

    async def log(self, agent_id: str) -> list[tuple[int, str, str]]:
        """Sequence, trigger and interaction of an agent's deliveries."""
        deliveries = await self.lifecycle.deliveries(agent_id)
        return [(one.sequence, one.trigger, one.interaction_id) for one in deliveries]


def desk(store: MemoryStore | None = None, **changes: Any) -> Desk:
    """A desk; `changes` are arguments of `Lifecycle`."""
    store = MemoryStore() if store is None else store
    sink, mailer, clock = MemorySink(), MemoryMailer(), VirtualClock()
    told: list[Committed] = []
    arguments: dict[str, Any] = {
        "store": store,
        "sink": sink,
        "mailer": mailer,
        "clock": clock,
        "ids": CountingIds(),
        "directory": DIRECTORY,
        "observer": told.append,
        "background": False,
        **changes,
    }
    return Desk(
        store=store,
        sink=sink,
        mailer=mailer,
        clock=clock,
        told=told,
        lifecycle=Lifecycle(**arguments),
    )


async def photo(store: Store) -> dict[str, Any]:
    """All that a store has to say of the interactions and agents of the tests."""
    agents = await store.agents()
    ids = ("I1", "I2", "I3")
    return {
        "interactions": [await store.interaction(id) for id in ids],
        "histories": [await store.history(id) for id in ids],
        "waiting": await store.waiting(),
        "agents": agents,
        "held": [await store.held_by(agent.id) for agent in agents],
        "streams": [await store.stream(agent.id) for agent in agents],
        "deliveries": [await store.deliveries(agent.id, 0, 100) for agent in agents],
        "outgoing": await store.outgoing(),
        "deadline": await store.next_deadline(),
    }


class Unmoved:
    """A context in which something must be refused, and nothing be changed by it."""

    def __init__(self, desk: Desk, kind: type[LifecycleError]) -> None:
        self.desk = desk
        self.kind = kind
        self.error: LifecycleError

    async def __aenter__(self) -> Unmoved:
        self.before = await photo(self.desk.store)
        self.told = len(self.desk.told)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        if error is not None and not isinstance(error, LifecycleError):
            return False
        assert kind is self.kind, f"{error!r} and not {self.kind.__name__}"
        assert isinstance(error, LifecycleError)
        self.error = error
        assert await photo(self.desk.store) == self.before
        assert len(self.desk.told) == self.told
        return True

    def says(self, **fields: Any) -> None:
        """The error has these fields."""
        assert {name: getattr(self.error, name) for name in fields} == fields
        assert str(self.error)


class FailingStore(MemoryStore):
    """Cannot answer one question the first few times that it is asked."""

    def __init__(self, question: str, error: BaseException, *, times: int = 1) -> None:
        super().__init__()
        self.times = times
        self.failed = anyio.Event()
        answer = getattr(self, question)

        async def asked(*arguments: Any, **more: Any) -> Any:
            if self.times:
                self.times -= 1
                self.failed.set()
                raise error
            return await answer(*arguments, **more)

        setattr(self, question, asked)


class ConflictingStore(MemoryStore):
    """Refuses the next so many commits, as if somebody else had been faster."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0
        self.asked = 0

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Refuse, or commit."""
        self.asked += 1
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody was faster", value="version")
        await super().commit(commit, committed)


class MeetingStore(MemoryStore):
    """Lets no commit through before so many have come, so that all have read the same."""

    def __init__(self) -> None:
        super().__init__()
        self.missing = 0
        self.conflicts = 0
        self._complete = anyio.Event()

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Wait for the others, and commit."""
        if self.missing:
            self.missing -= 1
            if not self.missing:
                self._complete.set()
            await self._complete.wait()
        try:
            await super().commit(commit, committed)
        except Conflict:
            self.conflicts += 1
            raise


class CancellingStore(MemoryStore):
    """Cancels a scope at the so-manieth point at which its caller waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.points = 0
        self.target = 0
        self.scope: anyio.CancelScope | None = None

    async def _point(self) -> None:
        if self.scope is None:
            return
        self.points += 1
        if self.points == self.target:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()

    async def interaction(self, id: str) -> Interaction | None:
        """As a store that waits for a disk."""
        await self._point()
        return await super().interaction(id)

    async def agent(self, id: str) -> Agent | None:
        """As a store that waits for a disk."""
        await self._point()
        return await super().agent(id)

    async def stream(self, agent_id: str) -> Stream:
        """As a store that waits for a disk."""
        await self._point()
        return await super().stream(agent_id)

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """As a store that waits for a disk."""
        await self._point()
        return await super().held_by(agent_id)

    async def content(self, id: str) -> bytes | None:
        """As a store that waits for a disk."""
        await self._point()
        return await super().content(id)

    async def outcome(self, operation_id: str) -> Outcome | None:
        """As a store that waits for a disk."""
        await self._point()
        return await super().outcome(operation_id)

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """As a store that waits for a disk, before and after."""
        await self._point()
        await super().commit(commit, committed)
        await self._point()


class SeparateContents:
    """A content store that is not the store."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, id: str, data: bytes, at: datetime) -> None:
        """Keep bytes."""
        self.kept[id] = data

    async def content(self, id: str) -> bytes | None:
        """Give bytes."""
        return self.kept.get(id)

    async def delete(self, id: str) -> None:
        """Forget bytes."""
        self.kept.pop(id, None)
