"""L6. A store in memory: for tests, simulations, and hosts that need no durability."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

import attrs

from lifecycle._addresses import senders
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.ports import Told
from lifecycle.records import (
    Agent,
    Commit,
    Content,
    Delivery,
    Due,
    Entry,
    Erasure,
    Figures,
    Outcome,
    Outgoing,
    Stream,
)
from lifecycle.stores._blocks import Blocks
from lifecycle.stores._times import Times

_EVER = datetime.min.replace(tzinfo=UTC)


@attrs.define
class _Lease:
    worker: str
    until: datetime


class MemoryStore:
    """Keeps everything in dictionaries, as long as the process lives.

    No method waits for anything, so each is one step for every other task of the event loop. It
    also keeps content, in the same commits.
    """

    def __init__(self) -> None:
        self._interactions: dict[str, Interaction] = {}
        self._waiting = Blocks()
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._parked: defaultdict[str, set[str]] = defaultdict(set)
        self._order: dict[str, int] = {}
        self._submitted = 0
        self._finished: dict[str, datetime] = {}
        self._threads: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._people: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._history: defaultdict[str, list[Entry]] = defaultdict(list)
        self._deadlines = Times()
        self._agents: dict[str, Agent] = {}
        self._away = Times()
        self._workers = Times()
        self._alive: dict[str, datetime] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._contents: dict[str, tuple[Content, datetime]] = {}
        self._logs: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._streams: dict[str, Stream] = {}
        self._ready = Times()
        self._leases: dict[str, _Lease] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._mails_ready = Times()
        self._mail_leases: dict[str, _Lease] = {}

    async def aclose(self) -> None:
        """Nothing is held."""

    def watch(self, changed: Callable[[], None] | None) -> None:
        """There is nobody else: what is in this object is nowhere else."""

    async def commit(self, commit: Commit, committed: Told | None = None) -> None:
        """Commit everything that is in `commit`, or raise `Conflict` and change nothing."""
        self._check(commit)
        for erasure in commit.erased:
            self._erase(erasure)
        for saved in commit.interactions:
            self._save(saved.interaction, waiting=saved.waiting)
            if saved.finished:
                self._finished.setdefault(saved.interaction.id, commit.at)
        for erasure in commit.erased:
            self._erase_outcomes(erasure.interaction_id)
        for agent in commit.agents:
            self._agents[agent.id] = agent
            self._away.set(agent.id, agent.away_at)
        for entry in commit.entries:
            self._history[entry.interaction_id].append(entry)
        for delivery in commit.deliveries:
            self._logs[delivery.agent_id].append(delivery)
            self._put_stream(self._stream(delivery.agent_id))
        for mail in commit.outgoing:
            self._threads[mail.message_id][mail.interaction_id] = None
            self._put_mail(mail)
        for content in commit.contents:
            self._contents[content.id] = (content, commit.at)
        for id, owner in commit.linked:
            if id in self._contents:
                content, at = self._contents[id]
                self._contents[id] = (attrs.evolve(content, owner=owner), at)
        if commit.outcome is not None:
            self._outcomes[commit.outcome.operation_id] = commit.outcome
        if committed is not None:
            committed()

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
        for wanted in commit.invitable:
            stream = self._streams.get(wanted.agent_id) or Stream(agent_id=wanted.agent_id)
            if stream.parked or self._last(stream.agent_id) - stream.delivered >= wanted.backlog:
                raise Conflict("the stream changed", agent_id=wanted.agent_id, value="stream")
        outcome = commit.outcome
        if outcome is not None and outcome.operation_id in self._outcomes:
            raise Conflict("the operation id is taken", value=outcome.operation_id)

    def _save(self, interaction: Interaction, *, waiting: bool) -> None:
        id = interaction.id
        before = self._interactions.get(id)
        if before is None:
            self._submitted += 1
            self._order[id] = self._submitted
            email = interaction.email
            for name in (email.message_id, *email.references):
                if name is not None:
                    self._threads[name][id] = None
            for address in senders(email.from_address, email.reply_to):
                self._people[address][id] = None
        else:
            self._held[before.agent_id or ""].discard(id)
            self._parked[before.workbin or ""].discard(id)
        self._interactions[id] = interaction
        if interaction.agent_id is not None:
            self._held[interaction.agent_id].add(id)
        if interaction.workbin is not None:
            self._parked[interaction.workbin].add(id)
        self._deadlines.set(id, interaction.deadline, self._rank(id))
        self._waiting.put(self._order[id], id, there=waiting)

    def _rank(self, id: str) -> int:
        """What decides among equal deadlines: the order of submission."""
        return self._order[id]

    def _erase(self, erasure: Erasure) -> None:
        self._disown(erasure.interaction_id)
        for delivery in erasure.deliveries:
            log = self._logs[delivery.agent_id]
            if log and log[0].sequence <= delivery.sequence:  # or else it was pruned meanwhile
                log[delivery.sequence - log[0].sequence] = delivery

    def _erase_outcomes(self, id: str) -> None:
        for operation_id, outcome in self._outcomes.items():
            if outcome.concerns == id:
                self._outcomes[operation_id] = outcome.erased(self._interactions[id])

    def _disown(self, id: str) -> None:
        """Forget what belongs to an interaction: contents, thread, person."""
        for key in [key for key, (one, _) in self._contents.items() if one.owner == id]:
            del self._contents[key]
        for index in (self._threads, self._people):
            for name in [name for name, ids in index.items() if id in ids]:
                del index[name][id]
                if not index[name]:
                    del index[name]

    def _oldest_first(self, ids: Iterable[str]) -> tuple[Interaction, ...]:
        return tuple(self._interactions[id] for id in sorted(ids, key=self._order.__getitem__))

    async def interaction(self, id: str) -> Interaction | None:
        """The latest value of an interaction, None where there is none."""
        return self._interactions.get(id)

    async def ids(self, after: str, limit: int) -> tuple[str, ...]:
        """The ids of interactions that sort after `after`, in order, at most `limit`."""
        ids = sorted(self._interactions)
        start = bisect_right(ids, after)
        return tuple(ids[start : start + limit])

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        return tuple(self._history.get(id, ()))

    async def waiting(
        self, queue: str | None = None, *, limit: int | None = None
    ) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest submission first; all queues where none is named."""
        waiting = (self._interactions[id] for id in self._waiting)
        return tuple(one for one in waiting if queue is None or one.queue == queue)[:limit]

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest submission first."""
        return self._oldest_first(self._held.get(agent_id, ()))

    async def in_workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest submission first."""
        return self._oldest_first(self._parked.get(workbin, ()))

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions whose mail or reply has or refers to a Message-ID, oldest first."""
        return self._oldest_first(self._threads.get(message_id, ()))

    async def of_person(self, address: str) -> tuple[str, ...]:
        """The ids of interactions whose mail is from an address, oldest submission first."""
        return tuple(one.id for one in self._oldest_first(self._people.get(address, ())))

    async def due(self, at: datetime, until: datetime, limit: int) -> tuple[Due, ...]:
        """Take deadlines at or before `at`, earliest first, at most `limit`."""
        taken = []
        for id in self._deadlines.due(at, limit):
            self._deadlines.set(id, until, self._rank(id))
            one = self._interactions[id]
            deadline = one.deadline or at  # it has one, or it would not have been found
            taken.append(Due(interaction_id=id, version=one.version, deadline=deadline))
        return tuple(taken)

    async def next_deadline(self) -> datetime | None:
        """The earliest time at which there is something due, away or lapsed; None for none."""
        times = (self._deadlines, self._away, self._workers)
        return min(filter(None, (one.earliest() for one in times)), default=None)

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        return self._agents.get(id)

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        return tuple(self._agents[id] for id in sorted(self._agents))

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Take agents whose `away_at` is at or before `at`, earliest first, at most `limit`."""
        ids = self._away.due(at, limit)
        for id in ids:
            self._away.set(id, until)
        return tuple(self._agents[id] for id in ids)

    async def renew(self, worker: str, until: datetime) -> bool:
        """Say that a process is alive until a time; whether it was known."""
        known = self._alive.get(worker)
        self._alive[worker] = until if known is None else max(known, until)
        self._workers.set(worker, self._alive[worker])
        return known is not None

    async def lapsed(self, at: datetime) -> tuple[str, ...]:
        """The processes that were alive until `at` or before, and not longer."""
        return tuple(self._workers.due(at, len(self._alive)))

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """The agents who have sessions with a process, by id."""
        return tuple(agent for agent in await self.agents() if worker in agent.sessions)

    async def forget(self, worker: str, at: datetime) -> None:
        """Forget a process that was alive until `at` or before, and not longer."""
        if worker in self._alive and self._alive[worker] <= at:
            del self._alive[worker]
            self._workers.set(worker, None)

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        return self._outcomes.get(operation_id)

    async def put(self, id: str, data: bytes, at: datetime) -> None:
        """Keep bytes under an id; what was there under it is replaced."""
        self._contents[id] = (Content(id=id, data=data), at)

    async def content(self, id: str) -> bytes | None:
        """The bytes under an id, None where there are none."""
        return self._contents[id][0].data if id in self._contents else None

    async def delete(self, id: str) -> None:
        """Forget the bytes under an id, where there are any."""
        self._contents.pop(id, None)

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        return self._stream(agent_id)

    def _stream(self, agent_id: str) -> Stream:
        return self._streams.get(agent_id) or Stream(agent_id=agent_id)

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        streams = (self._streams[id] for id in sorted(self._streams))
        return tuple(stream for stream in streams if stream.parked is parked)

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Take streams in which something can be tried now, as the port has it."""
        ids = self._ready.due(at, limit)
        for id in ids:
            self._leases[id] = _Lease(worker, until)
            self._put_stream(self._streams[id])
        return tuple(self._streams[id] for id in ids)

    def _last(self, agent_id: str) -> int:
        """The sequence of an agent's latest delivery."""
        agent = self._agents.get(agent_id)
        return 0 if agent is None else agent.sequence

    def _next(self, stream: Stream) -> Delivery | None:
        """The first delivery that the sink does not have."""
        log = self._logs[stream.agent_id]
        if not log or stream.delivered >= log[-1].sequence:
            return None
        return log[stream.delivered + 1 - log[0].sequence]

    def _put_stream(self, stream: Stream) -> None:
        """Store a stream, and from when on it can be claimed."""
        id = stream.agent_id
        self._streams[id] = stream
        following = self._next(stream)
        if following is None or stream.parked or stream.absent:
            self._ready.set(id, None)
        else:
            self._ready.set(id, _latest(stream.retry_at, self._leases.get(id)), following.at)

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
        self._put_stream(change(self._stream(agent_id)))
        return self._streams[agent_id]

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        log = self._logs.get(agent_id)
        if not log:
            return ()
        start = max(after + 1 - log[0].sequence, 0)
        return tuple(log[start : start + limit])

    async def claim_outgoing(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Outgoing, ...]:
        """Take mail that can be tried now, as `claim` does."""
        ids = self._mails_ready.due(at, limit)
        for id in ids:
            self._mail_leases[id] = _Lease(worker, until)
            self._put_mail(self._outgoing[id])
        return tuple(self._outgoing[id] for id in ids)

    def _put_mail(self, mail: Outgoing) -> None:
        """Store a mail, and from when on it can be claimed."""
        id = mail.message_id
        self._outgoing[id] = mail
        ready = None if mail.parked else _latest(mail.retry_at, self._mail_leases.get(id))
        self._mails_ready.set(id, ready, mail.at)

    def _drop_mail(self, id: str) -> None:
        del self._outgoing[id]
        self._mail_leases.pop(id, None)
        self._mails_ready.set(id, None)

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back; False where another has it."""
        lease = self._mail_leases.get(mail.message_id)
        if lease is None or lease.worker != worker:
            return False
        if mail.sent:
            self._drop_mail(mail.message_id)
        else:
            del self._mail_leases[mail.message_id]
            self._put_mail(mail)
        return True

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Outgoing mail that the mailer does not have, oldest first."""
        mails = sorted(self._outgoing.values(), key=lambda mail: (mail.at, mail.message_id))
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
            self._drop_mail(message_id)
        else:
            self._put_mail(changed)
        return mail

    async def next_delivery(self) -> datetime | None:
        """The earliest time at which a stream can be claimed; None for none."""
        return self._ready.earliest()

    async def next_mail(self) -> datetime | None:
        """The earliest time at which a mail can be claimed; None for none."""
        return self._mails_ready.earliest()

    async def finished(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Ids of interactions that ended before a time and have no mail on its way; some."""
        kept = {mail.interaction_id for mail in self._outgoing.values()}
        found = (id for id, at in self._finished.items() if at < before and id not in kept)
        return tuple(id for id, _ in zip(found, range(limit), strict=False))

    async def remove(self, ids: Collection[str]) -> None:
        """Forget interactions with all that belongs to them, but not their deliveries."""
        for id in ids:
            interaction = self._interactions.pop(id, None)
            if interaction is None:
                continue
            self._held[interaction.agent_id or ""].discard(id)
            self._parked[interaction.workbin or ""].discard(id)
            self._disown(id)
            self._deadlines.set(id, None)
            self._waiting.put(self._order[id], id, there=False)
            self._finished.pop(id, None)
            del self._order[id]
            self._history.pop(id, None)
            for key in [key for key, one in self._outcomes.items() if one.concerns == id]:
                del self._outcomes[key]

    async def prune(
        self, *, deliveries: datetime, outcomes: datetime, contents: datetime, limit: int
    ) -> int:
        """Forget what is old, at most `limit` of each kind, and say how much it was."""
        pruned = 0
        for agent_id, log in self._logs.items():
            old = 0
            delivered = self._streams[agent_id].delivered
            for delivery in log[: limit - pruned]:
                if delivery.at >= deliveries or delivery.sequence > delivered:
                    break
                old += 1
            del log[:old]
            pruned += old
        known = [key for key, one in self._outcomes.items() if one.at < outcomes][:limit]
        for key in known:
            del self._outcomes[key]
        loose = [
            key for key, (one, at) in self._contents.items() if one.owner is None and at < contents
        ][:limit]
        for key in loose:
            del self._contents[key]
        return pruned + len(known) + len(loose)

    async def figures(self, at: datetime) -> Figures:
        """What there is to do."""
        waiting = [
            (self._last(id) - stream.delivered, self._next(stream))
            for id, stream in self._streams.items()
        ]
        times = [following.at for _, following in waiting if following is not None]
        return Figures(
            overdue=self._deadlines.count(at),
            waiting=sum(number for number, _ in waiting),
            oldest=min(times, default=None),
            stopped=sum(stream.parked for stream in self._streams.values()),
            mails=len(self._outgoing),
            parked_mails=sum(mail.parked for mail in self._outgoing.values()),
        )

    async def faults(self) -> tuple[str, ...]:
        """Nothing is kept in a way that could be wrong by itself."""
        return ()


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
