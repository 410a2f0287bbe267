"""L7. A contact centre on a virtual clock: simulated agents take mails through their lives.

Agents, router and supervisor follow no script. Each turn one of them draws, from one seed, among
what it can do then: agents know that only from what was delivered to them, the router from what
the service tells an observer. What has been done least often so far has the best chance, so that
even a few mails visit the whole table.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

import attrs

from lifecycle import commands as c
from lifecycle._simulated_commands import PHRASES, QUEUES, SKILLS, WORKBINS, draw_command
from lifecycle.codec import decode
from lifecycle.directory import MemoryDirectory
from lifecycle.errors import InternalError, InvalidParameter
from lifecycle.interaction import Interaction
from lifecycle.mailers.memory import MemoryMailer
from lifecycle.ports import Committed, Sink, Store
from lifecycle.records import Agent, Delivery
from lifecycle.service import Lifecycle
from lifecycle.settings import Settings
from lifecycle.sinks.callback import CallbackSink
from lifecycle.sinks.tee import TeeSink
from lifecycle.stores.memory import MemoryStore
from lifecycle.table import EMAIL, Row
from lifecycle.vocabulary import Operation, State, Trigger

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""When the virtual clock begins: a Monday morning."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OURS = ("help@example.com", "sales@example.com")
_CUSTOMER = "customer@example.net"
_CAPACITY = 3
_ARRIVAL, _GLANCE, _THINKING, _ROUND, _BREAK = 20.0, 5.0, 5.0, 30.0, 300.0
"""Mean seconds between mails and between turns: router, agent, supervisor, an idle agent."""
_OFFERED = 3.0
"""How much more attention an offer has than work that was accepted: it does not wait."""
_SURVEYED = 8
"""How many of the interactions that have waited longest the router looks at in one turn."""
_ENOUGH = 3
"""Until every row that ends nothing was taken this often, interactions are kept going."""
_OLD = 60
"""From this version on everybody is eager to end an interaction."""
_EAGER, _RELUCTANT, _WILLING = 30.0, 0.005, 0.05
"""How attractive an ending is: to an old interaction, before there was enough, and else."""

_Cell: TypeAlias = tuple[str, str, bool]
"""State, trigger, and whether a transfer is under way, as that decides what may follow."""
_RETURNS: Final = tuple(
    (state, trigger, True) for state, trigger in EMAIL.cells if trigger == Trigger.RETURN
)
_ENDINGS: Final = frozenset(
    (row.source, row.trigger) for row in EMAIL.rows if EMAIL.by_name[row.dest].final
)
Action: TypeAlias = Callable[[], Awaitable[object]]
_Option: TypeAlias = tuple[float, Action]


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        """The present virtual time, UTC."""
        return self._now

    def move_to(self, now: datetime) -> None:
        """Go on to a time; one that has passed changes nothing."""
        self._now = max(self._now, now)


@attrs.define(eq=False)
class _Desk:
    """What one agent has on the screen, from notifications alone."""

    agent_id: str
    items: dict[str, tuple[Sequence[str], int]] = attrs.field(factory=dict)
    ignored: set[str] = attrs.field(factory=set)
    turn: int = 0


class Simulation:
    """A contact centre that works mails until every interaction has ended.

    Arguments:
        sink: takes every delivery, in the order of commit.
        store: keeps everything, contents too; it must be empty when `run` is called. One in
            memory by default. Any store gives the same deliveries.
        agents: how many agents there are, at least 2.
        seed: what everything is drawn from; the same seed and mails give the same deliveries.
        documented_only: deliver only what the documented page shows.
        progress: told after each step how many interactions there are and how many have ended.

    Raises `InvalidParameter` for fewer than 2 agents.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        store: Store | None = None,
        agents: int = 6,
        seed: int = 0,
        documented_only: bool = False,
        progress: Callable[[int, int], None] = lambda submitted, ended: None,
    ) -> None:
        if agents < 2:
            raise InvalidParameter("needs at least 2 agents", path="$.agents", value=agents)
        self._random = random.Random(seed)
        self._clock = VirtualClock()
        self._agenda: list[tuple[datetime, int, Action]] = []
        self._ticket = itertools.count()
        self._progress = progress
        self._submitted = self._steps = 0
        self._taken: Counter[tuple[str, str, str]] = Counter()
        self._cells: Counter[_Cell] = Counter()
        self._wanted = {_key(row) for row in EMAIL.rows if not EMAIL.by_name[row.dest].final}
        self._open: dict[str, Interaction] = {}
        self._routing = False
        self._waiting: dict[str, None] = {}  # the one that has waited longest is the first
        self._declined: dict[str, str] = {}
        self._last_offer: dict[str, datetime] = {}
        self._desks = {name: _Desk(name) for name in _names(agents)}
        self._agents = {name: Agent(id=name) for name in self._desks}
        skilled = {skill: tuple(self._desks)[index::2] for index, skill in enumerate(SKILLS)}
        self._store = MemoryStore() if store is None else store
        self._lifecycle = Lifecycle(
            store=self._store,
            sink=TeeSink(sink, CallbackSink(self._see)),
            mailer=MemoryMailer(),
            directory=MemoryDirectory(
                agents=dict.fromkeys(self._desks, _CAPACITY),
                queues=QUEUES,
                workbins=dict.fromkeys(WORKBINS, tuple(self._desks)),
                skills=skilled,
            ),
            clock=self._clock,
            ids=self._new_id,
            settings=Settings(documented_only=documented_only),
            observer=self._observe,
            background=False,
        )
        self._skilled = skilled

    async def run(self, mails: Iterable[bytes]) -> Counter[tuple[str, str, str]]:
        """Make an interaction of each mail and work all of them to their ends. To be called once.

        Arguments:
            mails: raw messages.

        Returns: how often each row was taken, by trigger, source and destination.
        Raises `InvalidParameter` where the store is not empty, `TooLarge` for a mail beyond the
        limits, `StreamStopped` where the sink fails for good, and the errors of the store; the
        simulation has not come to its end then.
        """
        await check_empty(self._store)
        mails = list(mails)
        arrival = self._clock.now()
        async with self._lifecycle:
            for mail in mails:
                arrival += self._gap(_ARRIVAL)
                self._at(arrival, partial(self._arrive, mail))
            for desk in self._desks.values():
                self._wake(desk, _THINKING)
            self._at(self._clock.now(), self._supervise)
            while self._submitted < len(mails) or self._open:
                await self._next()
        return self._taken

    async def _next(self) -> None:
        """Whatever is first: a timer, or somebody's turn; then deliver what came of it."""
        at, _, turn = self._agenda[0]
        deadline = await self._store.next_deadline()
        if deadline is not None and deadline <= at:
            self._clock.move_to(deadline)
            if not await self._lifecycle.fire_due(limit=1):
                raise InternalError("a timer could not be fired", value=deadline)
        else:
            heapq.heappop(self._agenda)
            self._clock.move_to(at)
            await turn()
        await self._lifecycle.drain()
        self._progress(self._submitted, self._submitted - len(self._open))

    def _at(self, at: datetime, turn: Action) -> None:
        heapq.heappush(self._agenda, (at, next(self._ticket), turn))

    def _gap(self, mean: float) -> timedelta:
        return timedelta(milliseconds=round(self._random.expovariate(1 / mean) * 1000))

    def _wake(self, desk: _Desk, mean: float) -> None:
        """Give an agent a turn, instead of the one that was planned."""
        desk.turn += 1
        self._at(self._clock.now() + self._gap(mean), partial(self._work, desk, desk.turn))

    def _new_id(self, at: datetime) -> str:
        """An id like the engine's own: 16 characters, later ones sorting after earlier ones."""
        return f"{at.timestamp():010.0f}" + "".join(self._random.choices(_ALPHABET, k=6))

    async def _arrive(self, mail: bytes) -> None:
        await self._lifecycle.submit(
            mail,
            queue=QUEUES[0],
            user_data={"Origination_Source": "Email", "_MessageSize": len(mail)},
            our_addresses=_OURS,
            in_queues=QUEUES,
            out_queues=("outbound",),
        )

    def _observe(self, committed: Committed) -> None:
        """Count what was done, and keep in view what is open, waits, and who is there."""
        for entry in committed.entries:
            if entry.source is None:
                self._submitted += 1
                continue
            before = self._open[entry.interaction_id]
            key = entry.trigger, entry.source, entry.dest
            self._taken[key] += 1
            self._steps += 1
            if self._taken[key] >= _ENOUGH:
                self._wanted.discard(key)
            self._cells[_cell(before, entry.trigger)] += 1
            if entry.dest in (State.REJECTED, State.REVOKED) and entry.agent_id is not None:
                self._declined[entry.interaction_id] = entry.agent_id
        for after in committed.interactions:
            self._open[after.id] = after
            if after.id in committed.waiting:
                self._waiting.setdefault(after.id)
            else:
                self._waiting.pop(after.id, None)
            if EMAIL.by_name[after.state].final:
                del self._open[after.id]
                self._declined.pop(after.id, None)
        for agent in committed.agents:
            self._agents[agent.id] = agent
        self._call_router()

    def _see(self, delivery: Delivery) -> None:
        """A notification reaches an agent's screen."""
        desk = self._desks[delivery.agent_id]
        notification = decode(delivery.payload)
        desk.ignored.discard(delivery.interaction_id)
        if notification.capabilities:
            shown = (notification.capabilities, delivery.offer)
            desk.items[delivery.interaction_id] = shown
        else:
            desk.items.pop(delivery.interaction_id, None)
        self._wake(desk, _THINKING)

    async def _choose(self, options: list[_Option]) -> None:
        weights, actions = zip(*options, strict=True)
        [action] = self._random.choices(actions, weights)
        await action()

    def _appeal(self, one: Interaction, trigger: str) -> float:
        """How attractive a trigger is for an interaction; other weights are chosen beside it."""
        cells = [_cell(one, trigger)]
        if trigger == Trigger.TRANSFER:
            cells += _RETURNS  # nobody can choose these, only what may lead there
        appeal = max(map(self._rarity, cells))
        if (one.state, trigger) not in _ENDINGS:
            return appeal
        if one.version > _OLD:
            return _EAGER * appeal
        return (_RELUCTANT if self._wanted else _WILLING) * appeal

    def _rarity(self, cell: _Cell) -> float:
        """How attractive a cell is: the less often it was taken, the more; 1 is the average."""
        average = self._steps / len(EMAIL.cells)
        rarity: float = ((1 + average) / (1 + self._cells[cell])) ** 2.5  # mypy takes it for Any
        return rarity

    # The router and the supervisor

    def _call_router(self) -> None:
        """Give the router a turn, unless one is planned."""
        if not self._routing:
            self._routing = True
            self._at(self._clock.now() + self._gap(_GLANCE), self._route)

    async def _route(self) -> None:
        """Offer something to somebody, or close it; without an offer to make, wait for a commit."""
        self._routing = False
        free = [name for name in self._desks if self._is_free(name)]
        options: list[_Option] = [(0.01, _nothing)]
        for interaction_id in itertools.islice(self._waiting, _SURVEYED):
            one = self._open[interaction_id]
            agent_id = self._candidate(one, free)
            if agent_id is not None:
                invite = partial(self._invite, interaction_id, agent_id)
                options.append((self._appeal(one, Trigger.INVITE), invite))
                self._call_router()
            if (one.state, Trigger.CLOSE) in EMAIL.cells:
                close = partial(self._lifecycle.close, interaction_id, reason="not needed")
                options.append((0.01 * self._appeal(one, Trigger.CLOSE), close))
        await self._choose(options)

    def _candidate(self, one: Interaction, free: Sequence[str]) -> str | None:
        """Who has waited longest for an offer, but has not just declined this one (semantics 6)."""
        if one.transfer is not None and one.transfer.skill is not None:
            skilled = self._skilled[one.transfer.skill]
            free = [name for name in free if name in skilled]
        others = [name for name in free if name != self._declined.get(one.id)]
        return min(others or free, key=lambda name: self._last_offer.get(name, START), default=None)

    def _is_free(self, agent_id: str) -> bool:
        agent = self._agents[agent_id]
        return agent.ready and agent.load < _CAPACITY

    async def _invite(self, interaction_id: str, agent_id: str) -> None:
        self._last_offer[agent_id] = self._clock.now()
        await self._lifecycle.invite(interaction_id, agent_id)

    async def _supervise(self) -> None:
        """Now and then something is taken out of a workbin."""
        options: list[_Option] = [(1.0, _nothing)]
        for workbin in WORKBINS:
            for parked in await self._lifecycle.workbin(workbin):
                revoke = partial(self._lifecycle.revoke, parked.id, reason="supervisor")
                options.append((self._appeal(parked, Trigger.REVOKE), revoke))
        await self._choose(options)
        self._at(self._clock.now() + self._gap(_ROUND), self._supervise)

    # The agents

    async def _work(self, desk: _Desk, turn: int) -> None:
        if turn != desk.turn:
            return  # woken up meanwhile
        options: list[_Option] = []
        if self._agents[desk.agent_id].ready:
            options.append((0.03, partial(self._lifecycle.not_ready, desk.agent_id)))
        else:
            options.append((0.5, partial(self._lifecycle.ready, desk.agent_id)))
        for interaction_id, (operations, offer) in desk.items.items():
            if interaction_id in desk.ignored:
                continue
            one = self._open[interaction_id]
            ignore = partial(self._ignore, desk, interaction_id)
            doing: list[_Option] = [(0.1 * self._appeal(one, Trigger.REVOKE), ignore)]
            for operation in operations:
                act = partial(self._operate, desk, one, operation, offer)
                doing.append((self._appeal(one, operation), act))
            attention = _OFFERED if Operation.ACCEPT in operations else 1.0
            share = attention / sum(appeal for appeal, _ in doing)
            options += [(appeal * share, action) for appeal, action in doing]
        for workbin in WORKBINS:
            for parked in await self._lifecycle.workbin(workbin):
                pull = partial(self._perform, desk, parked.id, c.Pull())
                options.append((0.1 * self._appeal(parked, Trigger.PULL), pull))
        await self._choose(options)
        self._wake(desk, _THINKING if set(desk.items) - desk.ignored else _BREAK)

    async def _ignore(self, desk: _Desk, interaction_id: str) -> None:
        """Leave it alone until the system takes it away."""
        desk.ignored.add(interaction_id)

    async def _operate(self, desk: _Desk, one: Interaction, operation: str, offer: int) -> None:
        command = await self._command(desk, one, operation, offer)
        try:
            await self._perform(desk, one.id, command)
        except InvalidParameter:
            if not isinstance(command, c.Send):
                raise
            # The mail gave no address that a reply could go to; the agent looks one up.
            corrected = c.UpdateProperties(to_address=_CUSTOMER, cc_addresses=[])
            await self._perform(desk, one.id, corrected)

    async def _perform(self, desk: _Desk, interaction_id: str, command: c.Command) -> None:
        after = await self._lifecycle.perform(interaction_id, command, agent_id=desk.agent_id)
        if after.agent_id != desk.agent_id:
            desk.items.pop(interaction_id, None)

    async def _command(
        self, desk: _Desk, one: Interaction, operation: str, offer: int
    ) -> c.Command:
        if operation == Operation.LINK_ATTACHMENT:
            text = self._random.choice(PHRASES).encode()
            return c.LinkAttachment(
                attachment=await self._lifecycle.add_content(
                    text, name="answer.txt", mimetype="text/plain"
                )
            )
        colleague = partial(self._colleague, desk)
        return draw_command(self._random, one, operation, offer=offer, colleague=colleague)

    def _colleague(self, desk: _Desk) -> str:
        """Another agent: one who is free and will be invited, or one who brings it back at once."""
        others = [name for name in self._desks if name != desk.agent_id]
        invited = self._rarity((State.TRANSFERRED, Trigger.INVITE, True))
        returned = self._rarity((State.TRANSFERRED, Trigger.RETURN, True))
        weights = [invited if self._is_free(name) else returned for name in others]
        return self._random.choices(others, weights)[0]


async def check_empty(store: Store) -> None:
    """Refuse a store in which there is anything: it could not be told from the simulation's.

    Raises `InvalidParameter`, and the errors of the store.
    """
    if await store.ids("", 1) or await store.agents() or await store.outgoing():
        raise InvalidParameter("the store must be empty, and there is something in it")


def _key(row: Row) -> tuple[str, str, str]:
    return row.trigger, row.source, row.dest


def _cell(one: Interaction, trigger: str) -> _Cell:
    return one.state, trigger, one.transfer is not None


async def _nothing() -> None:
    """Let the turn pass."""


def _names(agents: int) -> list[str]:
    names = ("ann", "bob", "cem", "dora", "eve", "finn", "gita", "hugo")
    return [names[n] if n < len(names) else f"agent{n + 1}" for n in range(agents)]
