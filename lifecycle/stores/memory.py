"""L6. A store in memory: for tests, simulations, and hosts that need no durability."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import attrs

from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.records import Agent, Commit, Delivery, Entry, Outcome, Outgoing, Stream

_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@attrs.define
class _Lease:
    worker: str
    until: datetime


class _Deadlines:
    """Times by key, found by time: a heap whose outdated entries are dropped as they come up."""

    def __init__(self) -> None:
        self._current: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def set(self, key: str, at: datetime | None) -> None:
        """Give a key a time, or none."""
        if self._current.get(key) == at:
            return
        if at is None:
            del self._current[key]
            return
        self._current[key] = at
        heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._current) + 64:
            self._heap = [(at, key) for key, at in self._current.items()]
            heapq.heapify(self._heap)

    def earliest(self) -> datetime | None:
        """The earliest time, None where there is none."""
        while self._heap and self._current.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, at: datetime, limit: int) -> list[str]:
        """The keys whose times are at or before `at`, earliest first, at most `limit`."""
        found: dict[str, datetime] = {}
        while len(found) < limit and (earliest := self.earliest()) is not None and earliest <= at:
            due, key = heapq.heappop(self._heap)
            found[key] = due
        for key, due in found.items():
            heapq.heappush(self._heap, (due, key))
        return list(found)


class MemoryStore:
    """Keeps everything in dictionaries, as long as the process lives.

    No method waits for anything, so each is one step for every other task of the event loop. It
    also keeps content, in the same commits.
    """

    def __init__(self) -> None:
        self._interactions: dict[str, Interaction] = {}
        self._waiting: set[str] = set()
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._parked: defaultdict[str, set[str]] = defaultdict(set)
        self._order: dict[str, int] = {}
        self._threads: defaultdict[str, set[str]] = defaultdict(set)
        self._history: defaultdict[str, list[Entry]] = defaultdict(list)
        self._deadlines = _Deadlines()
        self._agents: dict[str, Agent] = {}
        self._away = _Deadlines()
        self._outcomes: dict[str, Outcome] = {}
        self._contents: dict[str, bytes] = {}
        self._position = 0
        self._logs: defaultdict[str, list[tuple[int, Delivery]]] = defaultdict(list)
        self._streams: dict[str, Stream] = {}
        self._undelivered: set[str] = set()
        self._leases: dict[str, _Lease] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._mail_leases: dict[str, _Lease] = {}

    async def commit(self, commit: Commit) -> None:
        """Commit everything that is in `commit`, or raise `Conflict` and change nothing."""
        self._check(commit)
        for saved in commit.interactions:
            self._save(saved.interaction, waiting=saved.waiting)
        for agent in commit.agents:
            self._agents[agent.id] = agent
            self._away.set(agent.id, agent.away_at)
        for entry in commit.entries:
            self._history[entry.interaction_id].append(entry)
        for delivery in commit.deliveries:
            self._position += 1
            self._logs[delivery.agent_id].append((self._position, delivery))
            self._streams.setdefault(delivery.agent_id, Stream(agent_id=delivery.agent_id))
            self._undelivered.add(delivery.agent_id)
        for mail in commit.outgoing:
            self._outgoing[mail.message_id] = mail
            self._threads[mail.message_id].add(mail.interaction_id)
        for content in commit.contents:
            self._contents[content.id] = content.data
        if commit.outcome is not None:
            self._outcomes[commit.outcome.operation_id] = commit.outcome

    def _check(self, commit: Commit) -> None:
        for saved in commit.interactions:
            stored = self._interactions.get(saved.interaction.id)
            if (None if stored is None else stored.version) != saved.expected:
                raise Conflict(
                    "the interaction changed", interaction_id=saved.interaction.id, value="version"
                )
        for agent in commit.agents:
            known = self._agents.get(agent.id)
            if (0 if known is None else known.version) != agent.version - 1:
                raise Conflict("the agent changed", agent_id=agent.id, value="version")
        outcome = commit.outcome
        if outcome is not None and outcome.operation_id in self._outcomes:
            raise Conflict("the operation id is taken", value=outcome.operation_id)

    def _save(self, interaction: Interaction, *, waiting: bool) -> None:
        id = interaction.id
        before = self._interactions.get(id)
        if before is None:
            self._order[id] = len(self._order)
            email = interaction.email
            for name in (email.message_id, *email.references):
                if name is not None:
                    self._threads[name].add(id)
        else:
            self._held[before.agent_id or ""].discard(id)
            self._parked[before.workbin or ""].discard(id)
        self._interactions[id] = interaction
        if interaction.agent_id is not None:
            self._held[interaction.agent_id].add(id)
        if interaction.workbin is not None:
            self._parked[interaction.workbin].add(id)
        self._deadlines.set(id, interaction.deadline)
        (self._waiting.add if waiting else self._waiting.discard)(id)

    def _oldest_first(self, ids: Iterable[str]) -> tuple[Interaction, ...]:
        return tuple(self._interactions[id] for id in sorted(ids, key=self._order.__getitem__))

    async def interaction(self, id: str) -> Interaction | None:
        """The latest value of an interaction, None where there is none."""
        return self._interactions.get(id)

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        return tuple(self._history.get(id, ()))

    async def waiting(self, queue: str | None = None) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest submission first; all queues where none is named."""
        waiting = self._oldest_first(self._waiting)
        return tuple(one for one in waiting if queue is None or one.queue == queue)

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest submission first."""
        return self._oldest_first(self._held.get(agent_id, ()))

    async def in_workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest submission first."""
        return self._oldest_first(self._parked.get(workbin, ()))

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions whose mail or reply has or refers to a Message-ID, oldest first."""
        return self._oldest_first(self._threads.get(message_id, ()))

    async def due(self, at: datetime, limit: int) -> tuple[Interaction, ...]:
        """Interactions whose deadline is at or before `at`, earliest first, at most `limit`."""
        return tuple(self._interactions[id] for id in self._deadlines.due(at, limit))

    async def next_deadline(self) -> datetime | None:
        """The earliest deadline of an interaction, or `away_at` of an agent; None for none."""
        earliest = (self._deadlines.earliest(), self._away.earliest())
        return min(filter(None, earliest), default=None)

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        return self._agents.get(id)

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        return tuple(self._agents[id] for id in sorted(self._agents))

    async def away(self, at: datetime, limit: int) -> tuple[Agent, ...]:
        """Agents whose `away_at` is at or before `at`, earliest first, at most `limit`."""
        return tuple(self._agents[id] for id in self._away.due(at, limit))

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        return self._outcomes.get(operation_id)

    async def put(self, id: str, data: bytes) -> None:
        """Keep bytes under an id; what was there under it is replaced."""
        self._contents[id] = data

    async def content(self, id: str) -> bytes | None:
        """The bytes under an id, None where there are none."""
        return self._contents.get(id)

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        return self._streams.get(agent_id) or Stream(agent_id=agent_id)

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        streams = (self._streams[id] for id in sorted(self._streams))
        return tuple(stream for stream in streams if stream.parked is parked)

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Take streams in which something can be tried now, oldest undelivered delivery first."""
        ready = [
            (self._next(stream), stream)
            for stream in map(self._streams.__getitem__, self._undelivered)
            if self._stream_time(stream) <= at
        ]
        ready.sort(key=lambda pair: pair[0][0])
        claimed = tuple(stream for _, stream in ready[:limit])
        for stream in claimed:
            self._leases[stream.agent_id] = _Lease(worker, until)
        return claimed

    def _next(self, stream: Stream) -> tuple[int, Delivery]:
        return self._logs[stream.agent_id][stream.delivered]

    def _stream_time(self, stream: Stream) -> datetime:
        """When something can be tried in a stream."""
        if stream.parked or stream.absent:
            return _NEVER
        return _latest(stream.retry_at, self._leases.get(stream.agent_id))

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Store how far a stream has come, and give it back; False where another has it."""
        lease = self._leases.get(stream.agent_id)
        if lease is None or lease.worker != worker:
            return False
        del self._leases[stream.agent_id]
        stored = self._streams[stream.agent_id]
        if stored.connects != stream.connects:
            stream = attrs.evolve(stream, absent=False, connects=stored.connects)
        self._put_stream(stream)
        return True

    async def change_stream(self, agent_id: str, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream whoever has it, as one step, and return the new value."""
        self._put_stream(change(await self.stream(agent_id)))
        return self._streams[agent_id]

    def _put_stream(self, stream: Stream) -> None:
        self._streams[stream.agent_id] = stream
        if stream.delivered < len(self._logs[stream.agent_id]):
            self._undelivered.add(stream.agent_id)
        else:
            self._undelivered.discard(stream.agent_id)

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        log = self._logs.get(agent_id, [])
        start = max(after, 0)
        return tuple(delivery for _, delivery in log[start : start + limit])

    async def claim_outgoing(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Outgoing, ...]:
        """Take mail that can be tried now, oldest first."""
        waiting = self._outgoing.values()
        ready = [mail for mail in waiting if self._mail_time(mail) <= at][:limit]
        for mail in ready:
            self._mail_leases[mail.message_id] = _Lease(worker, until)
        return tuple(ready)

    def _mail_time(self, mail: Outgoing) -> datetime:
        """When a mail can be tried."""
        if mail.parked:
            return _NEVER
        return _latest(mail.retry_at, self._mail_leases.get(mail.message_id))

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back; False where another has it."""
        lease = self._mail_leases.get(mail.message_id)
        if lease is None or lease.worker != worker or mail.message_id not in self._outgoing:
            return False
        del self._mail_leases[mail.message_id]
        if mail.sent:
            del self._outgoing[mail.message_id]
        else:
            self._outgoing[mail.message_id] = mail
        return True

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Outgoing mail that the mailer does not have, oldest first."""
        mails = self._outgoing.values()
        return tuple(mail for mail in mails if parked is None or mail.parked is parked)

    async def change_outgoing(
        self, message_id: str, change: Callable[[Outgoing], Outgoing | None]
    ) -> Outgoing | None:
        """Change a mail whoever has it; None from `change` removes it; the value before."""
        mail = self._outgoing.get(message_id)
        if mail is None:
            return None
        changed = change(mail)
        if changed is None:
            del self._outgoing[message_id]
            self._mail_leases.pop(message_id, None)
        else:
            self._outgoing[message_id] = changed
        return mail

    async def next_delivery(self) -> datetime | None:
        """The earliest time at which a stream can be claimed; None for none."""
        return _earliest(self._stream_time(self._streams[id]) for id in self._undelivered)

    async def next_mail(self) -> datetime | None:
        """The earliest time at which a mail can be claimed; None for none."""
        return _earliest(map(self._mail_time, self._outgoing.values()))


def _earliest(times: Iterable[datetime]) -> datetime | None:
    earliest = min(times, default=_NEVER)
    return None if earliest == _NEVER else earliest


def _latest(retry_at: datetime | None, lease: _Lease | None) -> datetime:
    """When something can be tried: at any time that is not before its retry or its lease.

    Not even before it was committed, as a clock may have been set back since.
    """
    times = [_EVER]
    if retry_at is not None:
        times.append(retry_at)
    if lease is not None:
        times.append(lease.until)
    return max(times)
