"""L4. What the service needs from outside, as Protocols; adapters implement them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeAlias, runtime_checkable

import attrs

from lifecycle.interaction import Interaction
from lifecycle.records import (
    Agent,
    Commit,
    Delivery,
    Due,
    Entry,
    Figures,
    Outcome,
    Outgoing,
    Stream,
)

Told: TypeAlias = Callable[[], None]
"""Is called once something has happened."""


class Answer(Enum):
    """What a sink says of a delivery (semantics 9)."""

    DELIVERED = "delivered"
    """The agent, or what stands for the agent, has it."""
    FAILED = "failed"
    """It could not be delivered; it is tried again, and parked after too many failures."""
    NOT_CONNECTED = "not connected"
    """The agent is not there; it waits, and no try is counted."""


class MailAnswer(Enum):
    """What a mailer says of a message (semantics 9)."""

    SENT = "sent"
    """It is the mailer's from here on."""
    DEFERRED = "deferred"
    """Not now; it is tried again, and parked after too many failures."""
    REFUSED = "refused"
    """Never; it is parked."""


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> datetime:
        """The present time, with a time zone."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """A store with a clock of its own, which every process that uses it goes by."""

    @property
    def clock(self) -> Clock:
        """The clock of the server that it is on."""
        ...


class Ids(Protocol):
    """The source of ids."""

    def __call__(self, at: datetime) -> str:
        """A new id: letters and digits, later ones sorting after earlier ones."""
        ...


class Sink(Protocol):
    """What deliveries are handed to.

    It must expect a delivery again after a crash or a failure, with the same sequence.
    """

    async def deliver(self, delivery: Delivery) -> Answer:
        """Take a delivery. An exception counts as `Answer.FAILED`."""
        ...


class Mailer(Protocol):
    """What sent replies are handed to.

    It must expect a message again after a crash or a failure, with the same Message-ID.
    """

    async def send(self, mail: Outgoing) -> MailAnswer:
        """Take a message. An exception counts as `MailAnswer.DEFERRED`."""
        ...


@runtime_checkable
class ContentStore(Protocol):
    """Where the bytes of attachments and raw mails are."""

    async def put(self, id: str, data: bytes, at: datetime) -> None:
        """Keep bytes under an id; what was there under it is replaced.

        Arguments:
            id: the id.
            data: the bytes.
            at: now; what nobody links may be forgotten after a while.
        """
        ...

    async def content(self, id: str) -> bytes | None:
        """The bytes under an id, None where there are none."""
        ...

    async def delete(self, id: str) -> None:
        """Forget the bytes under an id, where there are any."""
        ...


class Directory(Protocol):
    """Who and what exists in the contact centre (semantics 6)."""

    def capacity(self, agent_id: str) -> int | None:
        """How many interactions an agent may hold or be offered; None for no such agent."""
        ...

    def has_queue(self, queue: str) -> bool:
        """Whether there is such a queue."""
        ...

    def has_workbin(self, workbin: str) -> bool:
        """Whether there is such a workbin."""
        ...

    def has_skill(self, skill: str) -> bool:
        """Whether there is such a skill."""
        ...

    def is_member(self, agent_id: str, workbin: str) -> bool:
        """Whether an agent belongs to a workbin."""
        ...

    def is_skilled(self, agent_id: str, skill: str) -> bool:
        """Whether an agent has a skill."""
        ...


class Store(Protocol):
    """What keeps interactions, agents, deliveries and outgoing mail.

    Every method may be called concurrently. What `commit` has returned from is durable, as far
    as the store promises it, and seen by every later call. A method of a store that cannot do
    what it is asked raises a `StoreError`, and never an error of its driver's own. Times are
    given and returned with a time zone, and kept to the microsecond.

    Lists of interactions leave out what cannot be read any more, with an error in the log; to
    ask for one of those raises `StoreCorrupt`.
    """

    async def aclose(self) -> None:
        """Give back what the store holds. Nothing may be asked of it afterwards."""
        ...

    def watch(self, changed: Callable[[], None] | None) -> None:
        """Have a function called whenever somebody else may have committed.

        Commits through another object of the store, in this process or another, are somebody
        else's. The function is called in the event loop that `watch` was called in, perhaps more
        often than needed, and must not block; None ends it.
        """
        ...

    async def commit(self, commit: Commit, committed: Told | None = None) -> None:
        """Commit everything that is in `commit`, or nothing.

        Arguments:
            commit: what is to be committed.
            committed: is called in the event loop of the caller once it is committed, before
                the caller goes on and also where the caller has been cancelled meanwhile; for
                the commits of one event loop in the order in which they were committed. It
                raises nothing.

        A caller who is cancelled, and has something to be called, goes on once nothing can come
        of the commit any more.

        A store may carry out the commits of several callers in one transaction of its own; each
        is still all or nothing. The content of an interaction that is erased goes: its mail, its
        contents, its thread and its person; the interactions and refusals that outcomes hold of
        it are replaced by what is left.

        Raises `Conflict` where the stored version of an interaction or agent is not the expected
        one, an outcome is stored under the operation id already, or a stream is not `Invitable`;
        nothing is changed then.
        """
        ...

    async def interaction(self, id: str) -> Interaction | None:
        """The latest value of an interaction, None where there is none."""
        ...

    async def ids(self, after: str, limit: int) -> tuple[str, ...]:
        """The ids of interactions that sort after `after`, in order, at most `limit`."""
        ...

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        ...

    async def waiting(
        self, queue: str | None = None, *, limit: int | None = None
    ) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest submission first.

        Arguments:
            queue: only what waits in this queue; None for all queues.
            limit: how many at most; None for all.
        """
        ...

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest submission first."""
        ...

    async def in_workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest submission first."""
        ...

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions whose mail or reply has this Message-ID or whose mail refers to it.

        Oldest submission first.
        """
        ...

    async def of_person(self, address: str) -> tuple[str, ...]:
        """The ids of interactions whose mail is from an address, oldest submission first.

        Arguments:
            address: a bare address, as `senders` has it.
        """
        ...

    async def due(self, at: datetime, until: datetime, limit: int) -> tuple[Due, ...]:
        """Take deadlines at or before `at`, earliest first, at most `limit`.

        What was taken is not found again before `until`, by anybody, unless the interaction has
        changed: whoever took it has so long to do what it brings.
        """
        ...

    async def next_deadline(self) -> datetime | None:
        """The earliest time at which there is something due, away or lapsed; None for none."""
        ...

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        ...

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        ...

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Take agents whose `away_at` is at or before `at`, earliest first, as `due` does."""
        ...

    async def renew(self, worker: str, until: datetime) -> bool:
        """Say that a process is alive until a time, or longer.

        Returns: whether it was known. One that is new is known from here on.
        """
        ...

    async def lapsed(self, at: datetime) -> tuple[str, ...]:
        """The processes that were alive until `at` or before, and not longer."""
        ...

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """The agents who have sessions with a process, by id."""
        ...

    async def forget(self, worker: str, at: datetime) -> None:
        """Forget a process that was alive until `at` or before, and not longer."""
        ...

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        ...

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        ...

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        ...

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Take streams in which something can be tried now, for one worker alone.

        `worker` is a name that only this claim has. Those are streams with an undelivered
        delivery that are neither parked nor absent, whose
        `retry_at` has come, and that no other worker has. They are the worker's until `until` or
        until it gives them back by `progress`. First those that have not failed, by the time of
        the oldest undelivered delivery and then by agent id; then by when they may be retried.
        """
        ...

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Store how far a stream has come, and give it back.

        Where the agent has connected since it was claimed, it is not stored as absent.

        Returns: False, and nothing is changed, where the stream is not the worker's any more.
        """
        ...

    async def change_stream(self, agent_id: str, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream whoever has it, as one step, and return the new value.

        `change` may be called again, in any thread; what it raises comes out, and nothing is
        changed then.
        """
        ...

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        ...

    async def claim_outgoing(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Outgoing, ...]:
        """Take mail that can be tried now, for one worker alone, as `claim` does; oldest first."""
        ...

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back; as `progress`."""
        ...

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Outgoing mail that the mailer does not have, oldest first.

        Arguments:
            parked: only what is parked, or only what is not; None for both.
        """
        ...

    async def change_outgoing(
        self, message_id: str, change: Callable[[Outgoing], Outgoing | None]
    ) -> Outgoing | None:
        """Change a mail whoever has it; None from `change` removes it. As `change_stream`.

        Returns: the value before, None where there is no such mail.
        """
        ...

    async def next_delivery(self) -> datetime | None:
        """The earliest time at which a stream can be claimed; None for none.

        A time in the past where one can be claimed now.
        """
        ...

    async def next_mail(self) -> datetime | None:
        """The earliest time at which a mail can be claimed, as `next_delivery`."""
        ...

    async def finished(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Ids of interactions that ended before a time and have no mail on its way; some."""
        ...

    async def remove(self, ids: Collection[str]) -> None:
        """Forget interactions with all that belongs to them, but not their deliveries."""
        ...

    async def prune(
        self, *, deliveries: datetime, outcomes: datetime, contents: datetime, limit: int
    ) -> int:
        """Forget what is old, at most `limit` of each kind, and say how much it was.

        Arguments:
            deliveries: those from before this time that the sink has; the first ones of a log.
            outcomes: those from before this time.
            contents: those put before this time that no interaction owns.
            limit: how many of each kind at most.
        """
        ...

    async def figures(self, at: datetime) -> Figures:
        """What there is to do."""
        ...

    async def faults(self) -> tuple[str, ...]:
        """What the store itself finds wrong with how it keeps things, one sentence each."""
        ...


@attrs.frozen(kw_only=True)
class Committed:
    """What an observer is told after each commit."""

    at: datetime
    """When."""
    interactions: tuple[Interaction, ...]
    """The new values of interactions."""
    agents: tuple[Agent, ...]
    """The new values of agents."""
    entries: tuple[Entry, ...]
    """The new lines of histories: what was done, by whom."""
    waiting: Collection[str]
    """Ids of those interactions that wait to be offered."""


Observer: TypeAlias = Callable[[Committed], None]
"""Called once after each commit; it must not block, and what it raises is logged.

Commits of different callers may be told in another order than they were made; the versions of
interactions and agents tell which is later.
"""


class Telemetry(Protocol):
    """What is told how a lifecycle does, for metrics and traces.

    It is called in the event loop and must not block. What it raises is logged, and changes
    nothing. An error that it sees may quote a mail: of that it must keep no more than the class.
    """

    def span(
        self, name: str, *, interaction_id: str | None, agent_id: str | None, trigger: str | None
    ) -> AbstractContextManager[Callable[[str], None]]:
        """What surrounds a piece of work, in the task that does it.

        Arguments:
            name: the request: `submit`, `perform`, `expire` for a deadline, `ready`, `not_ready`,
                `gone` for an agent without a session, `erase`; or a hand-over: `deliver` to the
                sink, `mail` to the mailer.
            interaction_id, agent_id, trigger: what it is about, as far as it is known before.

        Returns: a context manager, which must not swallow what is raised in it. It is entered
        with a function that is told what came of a hand-over, once: the value of an `Answer` or
        `MailAnswer`.
        """
        ...

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """Learn of the steps of a commit, within the span of the request that made them."""
        ...

    def figures(self, figures: Figures, at: datetime) -> None:
        """Learn what the store has to do; every `Settings.figures_every`."""
        ...
