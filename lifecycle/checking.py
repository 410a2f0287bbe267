"""L7. Whether what a store holds can be: every invariant, asked for through its port alone.

Interactions and deliveries are read a page at a time. What is kept of them is small: of each
notification that a history names eight bytes, of each deadline another eight, and the ids of
what waits, is held or is parked. Nobody should change the store meanwhile, as what is read
first would not agree with what is read last.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import attrs
import orjson

from lifecycle._batch import counted_for
from lifecycle._histories import Finding, history_findings, value_findings
from lifecycle.engine import is_waiting
from lifecycle.errors import StoreCorrupt
from lifecycle.interaction import Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Delivery, Entry, Outgoing, Stream
from lifecycle.table import EMAIL, Table
from lifecycle.vocabulary import Trigger, Who

__all__ = ["Finding", "check"]

_T = TypeVar("_T")
_PAGE: Final = 500
_TIMES: Final = 64
"""How many deadlines at most are looked for one by one."""
_BLOCK: Final = 4096
_MASK: Final = 2**64 - 1
_EVER: Final = datetime.max.replace(tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def check(
    store: Store,
    table: Table = EMAIL,
    *,
    now: datetime | None = None,
    lease: timedelta = timedelta(minutes=1),
    progress: Callable[[int], None] = lambda interactions: None,
) -> AsyncIterator[Finding]:
    """Verify every invariant of a store (semantics 1, 2, 5, 6, 9); nothing is changed.

    Arguments:
        store: the store; nobody should be working on it.
        table: the rule table of the interactions in it.
        now: the present time by the store's clock; deadlines before it may have been taken, and
            so be looked for only somewhat later. None where it is not known.
        lease: for how long a deadline may have been taken.
        progress: told after each page how many interactions have been read.

    Returns: what is wrong, as it is found: each interaction is readable and possible, its history
    leads to it row by row; agents count what they hold and what was delivered; deliveries are
    those that histories name, without gaps; what is found by queue, agent, workbin or time is
    what should be; mail on its way belongs to what was sent. Raises the store's `StoreError`s,
    but for those of one row that cannot be read, which is a finding.
    """
    checking = _Check(store, table, now, lease, progress)
    for fault in await store.faults():
        yield Finding("store", f"says of itself: {fault}")
    async for finding in checking.all():
        yield finding


class _Marks:
    """Eight bytes for each notification that a history names, by agent and sequence."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, int], array[int]] = {}

    def put(self, agent_id: str, sequence: int, mark: int) -> int:
        """Keep a mark; returns what was there, 0 for nothing."""
        number, index = divmod(sequence, _BLOCK)
        block = self._blocks.get((agent_id, number))
        if block is None:
            block = self._blocks[agent_id, number] = array("Q", bytes(8 * _BLOCK))
        before = block[index]
        block[index] = mark
        return before

    def get(self, agent_id: str, sequence: int) -> int:
        """The mark of a notification, 0 where no history has named it."""
        number, index = divmod(sequence, _BLOCK)
        block = self._blocks.get((agent_id, number))
        return 0 if block is None else block[index]


def _mark(interaction_id: str, offer: int, trigger: str, at: datetime) -> int:
    return (hash((interaction_id, offer, trigger, at)) & _MASK) or 1


@attrs.define
class _Seen:
    """What the interactions that were read come to."""

    interactions: int = 0
    unreadable: int = 0
    loads: Counter[str] = attrs.field(factory=Counter)
    waiting: defaultdict[str | None, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    held: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    parked: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    deadlines: array[int] = attrs.field(factory=lambda: array("q"))
    marks: _Marks = attrs.field(factory=_Marks)


class _Check:
    def __init__(
        self,
        store: Store,
        table: Table,
        now: datetime | None,
        lease: timedelta,
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._table = table
        self._untaken = None if now is None else _micros(now + lease)
        self._progress = progress
        self._agents: dict[str, Agent] = {}
        self._seen = _Seen()
        self._corrupt: list[Finding] = []
        self._offers = _offers(table)

    async def all(self) -> AsyncIterator[Finding]:
        """Everything, in the order in which one thing needs another."""
        agents = await self._asked("agents", self._store.agents())
        self._agents = {agent.id: agent for agent in agents or ()}
        for part in (
            self._interactions,
            self._lists,
            self._times,
            self._all_agents,
            self._mails,
            self._figures,
        ):
            async for finding in part():
                yield finding
            for finding in self._corrupted():
                yield finding

    async def _asked(self, where: str, question: Awaitable[_T]) -> _T | None:
        """An answer, None where what is stored cannot be read."""
        try:
            return await question
        except StoreCorrupt as error:
            self._corrupt.append(Finding(where, f"cannot be read: {error}"))
            return None

    def _corrupted(self) -> list[Finding]:
        found, self._corrupt = self._corrupt, []
        return found

    # Interactions

    async def _interactions(self) -> AsyncIterator[Finding]:
        seen, after = self._seen, ""
        while ids := await self._store.ids(after, _PAGE):
            for id in ids:
                async for finding in self._interaction(id):
                    yield finding
            seen.interactions += len(ids)
            after = ids[-1]
            self._progress(seen.interactions)

    async def _interaction(self, id: str) -> AsyncIterator[Finding]:
        one = await self._asked(f"interaction {id}", self._store.interaction(id))
        if one is None:
            if not self._corrupt:
                yield Finding(f"interaction {id}", "is listed and cannot be found")
            self._seen.unreadable += 1
        else:
            for finding in (*value_findings(one, self._table), *self._offered(one)):
                yield finding
            self._count(one)
        entries = await self._asked(f"history of {id}", self._store.history(id))
        if entries is not None:
            for finding in history_findings(id, one, entries, self._table):
                yield finding
            for finding in self._notified(entries):
                yield finding
        for finding in self._corrupted():
            yield finding

    def _offered(self, one: Interaction) -> Iterator[Finding]:
        """An offer to somebody who is not ready: it would have been revoked with that."""
        agent = self._agents.get(one.agent_id or "")
        if one.state in self._offers and agent is not None and not agent.ready:
            what = "is offered to an agent who is not ready"
            yield Finding(f"interaction {one.id}", what, agent.id)

    def _count(self, one: Interaction) -> None:
        seen = self._seen
        seen.loads.update(counted_for(one))
        if is_waiting(one, self._table):
            seen.waiting[one.queue].add(one.id)
        if one.agent_id is not None:
            seen.held[one.agent_id].add(one.id)
        if one.workbin is not None:
            seen.parked[one.workbin].add(one.id)
        if one.deadline is not None:
            seen.deadlines.append(_micros(one.deadline))

    def _notified(self, entries: tuple[Entry, ...]) -> Iterator[Finding]:
        """Keep in mind which notifications a history names."""
        for entry in entries:
            if entry.agent_id is None or entry.sequence is None:
                continue
            where = f"history of {entry.interaction_id}, version {entry.version}"
            agent = self._agents.get(entry.agent_id)
            last = 0 if agent is None else agent.sequence
            if not 0 < entry.sequence <= last:
                what = f"names a delivery that {entry.agent_id} never had"
                yield Finding(where, what, entry.sequence, f"1 to {last}")
                continue
            mark = _mark(entry.interaction_id, entry.offer, entry.trigger, entry.at)
            if self._seen.marks.put(entry.agent_id, entry.sequence, mark):
                what = f"names a delivery to {entry.agent_id} that another line names too"
                yield Finding(where, what, entry.sequence)

    # What is found by what

    async def _lists(self) -> AsyncIterator[Finding]:
        store, seen = self._store, self._seen
        expected = set[str]().union(*seen.waiting.values())
        for finding in _compared("what waits", _ids(await store.waiting()), expected):
            yield finding
        for queue, ids in seen.waiting.items():
            if queue is not None:
                found = _ids(await store.waiting(queue))
                for finding in _compared(f"what waits in {queue}", found, ids):
                    yield finding
        for agent_id in sorted(self._agents.keys() | seen.held.keys()):
            found = _ids(await store.held_by(agent_id))
            for finding in _compared(f"what {agent_id} holds", found, seen.held[agent_id]):
                yield finding
        for workbin, ids in seen.parked.items():
            found = _ids(await store.in_workbin(workbin))
            for finding in _compared(f"what is parked in {workbin}", found, ids):
                yield finding

    async def _times(self) -> AsyncIterator[Finding]:
        """Deadlines, found by time; one that was taken is found later, but not for long."""
        known = sorted(self._seen.deadlines)
        unsure = self._seen.unreadable
        found = (await self._store.figures(_EVER)).overdue
        if not len(known) <= found <= len(known) + unsure:
            yield Finding("deadlines", "are not as many as interactions have", found, len(known))
        away = any(agent.away_at is not None for agent in self._agents.values())
        if (known or away) and await self._store.next_deadline() is None:
            yield Finding("next deadline", "is none, and there are some")
        step = max(1, len(known) // _TIMES)
        for at in (*(one - 1 for one in known[:1]), *known[::step]):
            found = (await self._store.figures(_time(at))).overdue
            most = bisect_right(known, at)
            exact = self._untaken is not None and at >= self._untaken
            if not (most if exact else 0) <= found <= most + unsure:
                yield Finding(
                    "deadlines", f"until {_time(at)} are others than there are", found, most
                )

    # Agents

    async def _all_agents(self) -> AsyncIterator[Finding]:
        for agent_id in sorted(self._seen.loads.keys() - self._agents.keys()):
            yield Finding(f"agent {agent_id}", "is not stored, and interactions count for it")
        streams: dict[str, Stream] = {}
        for parked in (False, True):
            for stream in await self._store.streams(parked=parked):
                if stream.agent_id in streams or stream.parked is not parked:
                    yield Finding(f"stream of {stream.agent_id}", "is listed as what it is not")
                streams[stream.agent_id] = stream
        for agent in self._agents.values():
            for finding in self._agent(agent):
                yield finding
            stream = await self._store.stream(agent.id)
            if streams.get(agent.id, Stream(agent_id=agent.id)) != stream:
                yield Finding(f"stream of {agent.id}", "is listed with other values")
            async for finding in self._log(agent, stream):
                yield finding

    def _agent(self, agent: Agent) -> Iterator[Finding]:
        where = f"agent {agent.id}"
        counted = self._seen.loads[agent.id]
        if not counted <= agent.load <= counted + self._seen.unreadable:
            yield Finding(where, "has another load than is counted for it", agent.load, counted)
        if agent.version < 1 or agent.missed < 0 or agent.sequence < 0:
            found = (agent.version, agent.missed, agent.sequence)
            yield Finding(where, "has version, missed offers or sequence too low", found)
        if agent.ready and agent.reason is not None:
            yield Finding(where, "is ready, and has a reason not to be", agent.reason)
        if agent.gone and agent.sessions:
            yield Finding(where, "is gone, and has sessions", agent.sessions)
        if agent.away_at is not None and (agent.sessions or not agent.ready):
            yield Finding(where, "is to become away, and is not gone or not ready", agent.away_at)

    async def _log(self, agent: Agent, stream: Stream) -> AsyncIterator[Finding]:
        """The retained deliveries: without gaps, to the last one, and those of the histories."""
        where = f"stream of {agent.id}"
        if not 0 <= stream.delivered <= agent.sequence:
            what = "is delivered further than there are deliveries"
            yield Finding(where, what, stream.delivered, f"0 to {agent.sequence}")
        if stream.parked and stream.delivered >= agent.sequence:
            yield Finding(where, "is parked, and there is nothing to deliver", stream.delivered)
        last: int | None = None
        after = 0
        while page := await self._store.deliveries(agent.id, after, _PAGE):
            for one in page:
                expected = min(one.sequence, stream.delivered + 1) if last is None else last + 1
                if one.sequence != expected:
                    yield Finding(where, "has a gap", one.sequence, expected)
                async for finding in self._delivery(one):
                    yield finding
                last = one.sequence
            after = page[-1].sequence
        end = stream.delivered if last is None else last
        if end < agent.sequence or (last is not None and last > agent.sequence):
            what = "does not end with the agent's latest delivery"
            yield Finding(where, what, last, agent.sequence)

    async def _delivery(self, one: Delivery) -> AsyncIterator[Finding]:
        where = f"delivery {one.sequence} to {one.agent_id}"
        try:
            readable = isinstance(orjson.loads(one.payload), dict)
        except orjson.JSONDecodeError:
            readable = False
        if not readable:
            yield Finding(where, "is no JSON object")
        mark = self._seen.marks.get(one.agent_id, one.sequence)
        if mark == _mark(one.interaction_id, one.offer, one.trigger, one.at):
            return
        found = (one.interaction_id, one.offer, one.trigger, one.at)
        if mark:
            yield Finding(where, "is another one than its line of a history says", found)
        elif await self._is_readable(one.interaction_id):  # and was not forgotten since
            yield Finding(where, "is in no line of a history", found)

    async def _is_readable(self, interaction_id: str) -> bool:
        try:
            return await self._store.interaction(interaction_id) is not None
        except StoreCorrupt:
            return False

    # Mail

    async def _mails(self) -> AsyncIterator[Finding]:
        mails = await self._asked("outgoing mail", self._store.outgoing())
        listed: dict[str, Outgoing] = {}
        for parked in (False, True):
            some = await self._asked("outgoing mail", self._store.outgoing(parked=parked)) or ()
            if any(mail.parked is not parked for mail in some):
                yield Finding("outgoing mail", "is listed as what it is not")
            listed.update((mail.message_id, mail) for mail in some)
        for mail in mails or ():
            where = f"outgoing mail {mail.message_id}"
            if listed.get(mail.message_id) != mail:
                yield Finding(where, "is listed neither as parked nor as not parked")
            if mail.sent or mail.tries < 0 or not mail.recipients or not mail.message:
                found = (mail.sent, mail.tries, mail.recipients, len(mail.message))
                yield Finding(where, "has been sent, or could not be", found)
            async for finding in self._sender(where, mail):
                yield finding

    async def _sender(self, where: str, mail: Outgoing) -> AsyncIterator[Finding]:
        """Mail on its way is that of an interaction that has ended in being sent."""
        id = mail.interaction_id
        try:
            one = await self._store.interaction(id)
        except StoreCorrupt:
            return  # which has been found
        if one is None:
            yield Finding(where, "belongs to no interaction", id)
            return
        rule = self._table.by_name.get(one.state)
        if rule is not None and not rule.outgoing:
            yield Finding(where, "belongs to an interaction that was not sent", (id, one.state))
        if id not in _ids(await self._store.thread(mail.message_id)):
            yield Finding(where, "is not found by its Message-ID")

    async def _figures(self) -> AsyncIterator[Finding]:
        """What the store counts is what there is."""
        figures = await self._store.figures(_EVER)
        mails = await self._asked("outgoing mail", self._store.outgoing()) or ()
        waiting = stopped = 0
        for agent in self._agents.values():
            stream = await self._store.stream(agent.id)
            waiting += agent.sequence - stream.delivered
            stopped += stream.parked
        for name, found, wanted in (
            ("waiting deliveries", figures.waiting, waiting),
            ("stopped streams", figures.stopped, stopped),
            ("mails", figures.mails, len(mails)),
            ("parked mails", figures.parked_mails, sum(mail.parked for mail in mails)),
        ):
            if found != wanted:
                yield Finding("figures", f"count other {name} than there are", found, wanted)


def _offers(table: Table) -> frozenset[str]:
    """The states that only an Invite leads to and that the invited agent answers."""
    others = {row.dest for row in table.rows if row.trigger != Trigger.INVITE}
    return frozenset(
        row.source for row in table.rows
        if row.who is Who.INVITED_AGENT and row.source not in others
    )  # fmt: skip


def _compared(where: str, found: list[str], wanted: set[str]) -> Iterator[Finding]:
    """Where a list is not what it should be."""
    if len(found) != len(set(found)):
        yield Finding(where, "is listed twice", sorted(found))
    if missing := sorted(wanted.difference(found)):
        yield Finding(where, "is not all listed: some is missing", None, missing)
    if wrong := sorted(set(found) - wanted):
        yield Finding(where, "is not all that is listed", wrong)


def _ids(interactions: tuple[Interaction, ...]) -> list[str]:
    return [one.id for one in interactions]


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
