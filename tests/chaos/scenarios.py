"""What the walk does, one small thing each: prepared, done under the tracer, and gone on with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, TypeAlias

import attrs

from chaos.board import Board
from chaos.config import OUTBOUND, Config
from chaos.desk import Desk
from chaos.journal import Journal
from chaos.tables import is_postgres
from chaos.worker import directory, settings
from lifecycle import (
    Accept,
    Answer,
    Command,
    Delivery,
    Interaction,
    Invite,
    Lifecycle,
    LinkAttachment,
    MailAnswer,
    Outgoing,
    Reply,
    Send,
    StopProcessing,
    Transfer,
)
from lifecycle._opening import open_store, store_class
from lifecycle.stores._sqlite_schema import MIGRATIONS

_START = datetime(2026, 11, 2, 10, tzinfo=UTC)
ONE, TWO = "agent00", "agent02"
"""One who may hold one interaction, and one who may hold three."""
_LONG = timedelta(days=30)


class StandingClock:
    """A clock that stands still until it is moved, and goes on where another one was left.

    Arguments:
        config: where the time is kept.
    """

    def __init__(self, config: Config) -> None:
        self._path = config.path("clock")
        if not self._path.exists():
            self._path.write_text(_START.isoformat())
        self._now = datetime.fromisoformat(self._path.read_text())

    def now(self) -> datetime:
        """The time that it was moved to."""
        return self._now

    def move_to(self, at: datetime) -> None:
        """Move it forward; back it never goes."""
        self._now = max(self._now, at)
        self._path.write_text(self._now.isoformat())


class NotingSink:
    """Writes down what it is given, as the endpoint of a run does, and answers as it is told."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.answer = Answer.DELIVERED

    async def deliver(self, delivery: Delivery) -> Answer:
        """The answer that it was told to give."""
        self._journal.write(
            "delivery",
            agent=delivery.agent_id,
            sequence=delivery.sequence,
            interaction=delivery.interaction_id,
            offer=delivery.offer,
            trigger=delivery.trigger,
            digest=sha256(delivery.payload).hexdigest(),
            answer=self.answer.value,
        )
        return self.answer


class NotingMailer:
    """Writes down what it is given, and answers as it is told."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.answer = MailAnswer.SENT

    async def send(self, mail: Outgoing) -> MailAnswer:
        """The answer that it was told to give."""
        self._journal.write(
            "mail",
            message_id=mail.message_id,
            interaction=mail.interaction_id,
            digest=sha256(mail.message).hexdigest(),
            answer=self.answer.value,
        )
        return self.answer


_Act: TypeAlias = "Callable[[World], Awaitable[Any]]"


@dataclass(frozen=True)
class Scenario:
    """One thing that is done."""

    act: _Act
    """What is traced."""
    prepare: _Act | None = None
    """What was done before; None for a store that nobody has opened yet."""
    again: _Act | None = None
    """What is asked for once more afterwards, besides the requests without an answer."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Settings that differ, for the act alone."""
    is_migration: bool = False
    """Whether the schema has a later version, once the store was prepared."""
    is_opening: bool = False
    """Whether it is the opening that is traced."""
    forgets: bool = False
    """Whether what is old may be gone."""


class World:
    """A lifecycle that does nothing by itself, on a clock that stands still.

    Arguments:
        config: where everything is.
        name: what the process is called: `p` prepares, `a` acts, `r` goes on.
        scenario: what it is for.
    """

    def __init__(self, config: Config, name: str, scenario: Scenario) -> None:
        self._config = config
        self._name = name
        self._scenario = scenario
        self._journal = Journal(config.path(f"{name}.jsonl"))
        self.clock = StandingClock(config)
        endpoint = Journal(config.path("endpoint.jsonl"))
        self.sink = NotingSink(endpoint)
        self.mailer = NotingMailer(endpoint)

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {}
        address = self._config.address
        if self._scenario.is_migration and self._name != "p":
            options["migrations"] = _longer(address)
        if is_postgres(address) and (self._name == "p" or self._scenario.is_opening):
            kind, _ = store_class(address)
            await kind.migrate(address, **options)
        self.store = await open_store(address, **options)
        changes = dict(self._scenario.settings) if self._name == "a" else {}
        self.lifecycle = Lifecycle(
            store=self.store,
            sink=self.sink,
            mailer=self.mailer,
            directory=directory(),
            clock=self.clock,
            settings=attrs.evolve(settings(), **changes),
            background=False,
        )
        board = Board(self._config.path("board"))
        self.desk = Desk(self.lifecycle, self._journal, board, self._name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.store.aclose()

    async def go_on(self) -> None:
        """Do what can be done, and move the clock to when there is more."""
        for stream in await self.lifecycle.parked():
            await self.desk.call("release", stream.agent_id)
        for mail in await self.lifecycle.outgoing(parked=True):
            await self.desk.call("release_mail", mail.message_id)
        await self.lifecycle.drain()
        if not await self.lifecycle.fire_due():
            times = [
                await self.store.next_deadline(),
                await self.store.next_delivery(),
                await self.store.next_mail(),
            ]
            self.clock.move_to(min(filter(None, times), default=self.clock.now()))

    async def only(self) -> Interaction:
        """The one interaction that there is."""
        [id] = await self.store.ids("", 2)
        return await self.lifecycle.get(id)

    async def perform(self, command: Command, agent_id: str | None) -> None:
        """A step of the one interaction."""
        one = await self.only()
        await self.desk.perform(one.id, command, agent_id)

    async def submitted(self) -> None:
        """An interaction, of a mail with an attachment."""
        await self.desk.submit("inbox", whole=True)

    async def accepted(self, agent_id: str = TWO) -> None:
        """An interaction that an agent works."""
        await self.submitted()
        await self.desk.call("ready", agent_id)
        await self.perform(Invite(agent_id=agent_id), None)
        await self.perform(Accept(), agent_id)

    async def replying(self) -> None:
        """An interaction with a reply that has a file."""
        await self.accepted()
        await self.perform(Reply(text="Dear customer"), TWO)
        file = await self.lifecycle.add_content(b"12345", name="a.txt", mimetype="text/plain")
        await self.perform(LinkAttachment(attachment=file), TWO)

    async def sent(self) -> None:
        """An interaction whose reply waits for the mailer."""
        await self.replying()
        await self.perform(Send(queue=OUTBOUND), TWO)

    async def finished(self) -> None:
        """An interaction at its end, of which everything is delivered."""
        await self.sent()
        await self.lifecycle.drain()


def _longer(address: str) -> tuple[tuple[str, ...], ...]:
    """The shipped migrations, and one more that changes every table that counts."""
    if is_postgres(address):
        shipped: tuple[tuple[str, ...], ...] = postgres_migrations()
        agents, history = "lifecycle.agents", "lifecycle.history"
    else:
        shipped, agents, history = MIGRATIONS, "agents", "history"
    return (
        *shipped,
        (
            f"ALTER TABLE {agents} ADD COLUMN team text",
            f"UPDATE {agents} SET team = 'first'",
            f"CREATE INDEX history_at ON {history} (at)",
            f"CREATE TABLE {agents}_of (team text, agent_id text)",
            f"INSERT INTO {agents}_of SELECT team, id FROM {agents}",
        ),
    )


def postgres_migrations() -> tuple[tuple[str, ...], ...]:
    """What leads to the shipped schema in PostgreSQL, whose driver may not be installed."""
    from lifecycle.stores._postgres_schema import MIGRATIONS as FOUND

    return FOUND


async def _nothing(world: World) -> None:
    """Only open it."""


async def _ready_for(world: World) -> None:
    await world.submitted()
    await world.desk.call("ready", ONE)


async def _transferred_and_invited(world: World) -> None:
    """Two agents' loads change with the Accept."""
    await world.accepted()
    await world.desk.call("ready", ONE)
    await world.perform(Transfer(agent_id=ONE), TWO)
    await world.lifecycle.fire_due()
    assert (await world.only()).state == "Invited"


async def _offered_twice(world: World) -> None:
    await world.desk.call("ready", TWO)
    for _ in range(2):
        await world.submitted()
    for id in await world.store.ids("", 3):
        await world.desk.perform(id, Invite(agent_id=TWO), None)


async def _offer_expired(world: World) -> None:
    await _ready_for(world)
    await world.perform(Invite(agent_id=ONE), None)
    world.clock.move_to(world.clock.now() + timedelta(minutes=1))


async def _transfer_due(world: World) -> None:
    await world.accepted()
    await world.perform(Transfer(agent_id=ONE), TWO)


async def _not_parked(world: World) -> None:
    await world.sent()
    await world.desk.call("ready", ONE)


async def _fail(world: World) -> None:
    """One round in which everything fails for good."""
    world.sink.answer = Answer.FAILED
    world.mailer.answer = MailAnswer.REFUSED
    await world.lifecycle.drain()


async def _old(world: World) -> None:
    """Everything that pruning looks at, and an interaction that goes on."""
    await world.finished()
    await world.lifecycle.add_content(b"nobody's", name="b", mimetype="text/plain")
    world.clock.move_to(world.clock.now() + _LONG)
    await world.submitted()
    for id in (await world.store.ids("", 3))[1:]:
        await world.desk.perform(id, Invite(agent_id=TWO), None)
        await world.desk.perform(id, Accept(), TWO)
        await world.desk.perform(id, StopProcessing(reason="spam"), TWO)
    await world.lifecycle.drain()


async def _erase(world: World) -> None:
    await world.lifecycle.erase((await world.only()).id)


async def _erase_again(world: World) -> None:
    one = await world.only()
    if all(entry.trigger != "Erase" for entry in await world.lifecycle.history(one.id)):
        await world.lifecycle.erase(one.id)


async def _sessions(world: World) -> None:
    """A session begins and ends."""
    await world.desk.call("connected", ONE)
    await world.desk.call("disconnected", ONE)


def _act_of(what: str, agent_id: str) -> _Act:
    async def act(world: World) -> None:
        await world.desk.call(what, agent_id)

    return act


def _step_of(command: Command, agent_id: str | None) -> _Act:
    async def act(world: World) -> None:
        await world.perform(command, agent_id)

    return act


def _method(name: str) -> _Act:
    async def act(world: World) -> None:
        await getattr(world.lifecycle, name)()

    return act


def _state(name: str) -> _Act:
    async def prepare(world: World) -> None:
        await getattr(world, name)()

    return prepare


SCENARIOS = {
    "create": Scenario(_nothing, is_opening=True),
    "migrate": Scenario(_nothing, _transferred_and_invited, is_opening=True, is_migration=True),
    "submit": Scenario(_state("submitted"), _nothing),
    "invite": Scenario(_step_of(Invite(agent_id=ONE), None), _ready_for),
    "refused": Scenario(_step_of(Accept(), ONE), _ready_for),
    "accept": Scenario(_step_of(Accept(), ONE), _transferred_and_invited),
    "send": Scenario(_step_of(Send(queue=OUTBOUND), TWO), _state("replying")),
    "not-ready": Scenario(_act_of("not_ready", TWO), _offered_twice),
    "sessions": Scenario(_sessions, _ready_for),
    "timer": Scenario(_method("fire_due"), _offer_expired),
    "follow-up": Scenario(_method("fire_due"), _transfer_due),
    "relay": Scenario(_method("drain"), _offered_twice),
    "mail": Scenario(_method("drain"), _state("sent")),
    "parking": Scenario(_fail, _not_parked, settings=(("attempts", 1),)),
    "prune": Scenario(
        _method("prune"),
        _old,
        again=_method("prune"),
        settings=tuple(
            (name, timedelta(days=1))
            for name in ("deliveries_kept", "outcomes_kept", "finished_kept")
        ),
        forgets=True,
    ),
    "erase": Scenario(_erase, _state("finished"), again=_erase_again),
}
"""By name."""

__all__ = ["SCENARIOS", "Scenario", "World"]
