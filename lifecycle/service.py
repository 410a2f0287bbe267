"""L5. The lifecycle as a running service: load, step, commit, deliver (semantics 5 to 9).

The only orchestration. Every request reads, steps the pure engine, and commits against the
versions that it read; where somebody else was faster it reads again. Timers and deliveries
are carried on by two background tasks, or by hand with `fire_due` and `drain`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from lifecycle._background import Background
from lifecycle._committer import Committer, Request
from lifecycle._housekeeping import ERASE, Dossier, Housekeeping
from lifecycle._hushed import hushed
from lifecycle._opening import Address, open_store
from lifecycle._presence import Presence
from lifecycle._questions import Questions
from lifecycle._relay import Relay
from lifecycle._reporting import Reporting
from lifecycle._requests import Requests
from lifecycle._system import SystemClock, new_id
from lifecycle._timers import Timers
from lifecycle.commands import Close, Command, Invite, LinkAttachment, Revoke, check_name
from lifecycle.directory import MemoryDirectory
from lifecycle.errors import InvalidParameter, NotFound
from lifecycle.interaction import Attachment, Email, Interaction, UserData
from lifecycle.ports import (
    Clock,
    Clocked,
    Committed,
    ContentStore,
    Directory,
    Ids,
    Mailer,
    Observer,
    Sink,
    Store,
    Telemetry,
)
from lifecycle.records import Agent, Commit, Outgoing, Stream
from lifecycle.settings import Settings
from lifecycle.table import EMAIL, Table
from lifecycle.vocabulary import SYSTEM, Actor

_log = logging.getLogger("lifecycle.service")


class Options(TypedDict, total=False):
    """What `Lifecycle.open` passes on to `Lifecycle`."""

    mailer: Mailer | None
    directory: Directory | None
    clock: Clock | None
    ids: Ids
    contents: ContentStore | None
    table: Table
    settings: Settings | None
    observer: Observer | None
    telemetry: Telemetry | None
    background: bool


class Lifecycle(Questions):
    """Runs interactions against a store, a sink and a mailer.

    Arguments:
        store: keeps everything.
        sink: takes deliveries; None to leave them in the store.
        mailer: takes sent replies; None to leave them in the store.
        directory: says who and what exists; the default knows everybody and everything.
        clock: the one source of time; by default the store's, where it has one.
        ids: makes ids of interactions and contents.
        contents: keeps attachments and raw mail; by default the store, in the same commit.
        table: the rule table.
        settings: durations and bounds.
        observer: told of every commit.
        telemetry: told of requests, hand-overs and what there is to do, such as `OpenTelemetry`.
        background: whether timers and deliveries are carried on while it is open; if not,
            somebody calls `fire_due` and `drain`.

    It is an asynchronous context manager, under asyncio or trio. Raises `InvalidParameter`
    where neither `contents` nor the store keeps content.
    """

    @classmethod
    async def open(
        cls, store: Address, *, sink: Sink | None = None, **rest: Unpack[Options]
    ) -> Self:
        """Open a store, and make a lifecycle that closes it again.

        Arguments:
            store: a path, `sqlite:///PATH`, `postgresql://...` or `memory:`.
            sink: as `Lifecycle` has it.
            rest: the other arguments of `Lifecycle`.

        Returns: a lifecycle; `async with` it, or close it with `aclose`. Raises
        `InvalidParameter` for an address that says nothing, `StoreUnavailable`, `StoreCorrupt`,
        `SchemaMismatch`.
        """
        opened = await open_store(store)
        try:
            self = cls(store=opened, sink=sink, **rest)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await opened.aclose()
            raise
        self._opened = opened
        return self

    def __init__(
        self,
        *,
        store: Store,
        sink: Sink | None = None,
        mailer: Mailer | None = None,
        directory: Directory | None = None,
        clock: Clock | None = None,
        ids: Ids = new_id,
        contents: ContentStore | None = None,
        table: Table = EMAIL,
        settings: Settings | None = None,
        observer: Observer | None = None,
        telemetry: Telemetry | None = None,
        background: bool = True,
    ) -> None:
        if contents is None:
            if not isinstance(store, ContentStore):
                raise InvalidParameter("the store keeps no content", path="$.contents", value=store)
            contents = store
        super().__init__(store, MemoryDirectory() if directory is None else directory, contents)
        if clock is None:
            clock = store.clock if isinstance(store, Clocked) else SystemClock()
        self._clock = clock
        self._ids = ids
        self._settings = Settings() if settings is None else settings
        self._observer = observer
        self._background = background
        self._requests = Requests(store, contents, self._directory, ids, table, self._settings)
        self._committer = Committer(store, self._clock, self._committed, self._unsure)
        worker = new_id(self._clock.now())  # unlike any other process, whatever `ids` makes
        self._reporting = Reporting(telemetry, store, self._clock)
        self._relay = Relay(
            worker, store, sink, mailer, self._clock, self._settings, self._reporting
        )
        self._housekeeping = Housekeeping(store, contents, table, self._settings)
        self._presence = Presence(
            worker, store, self._committer, self._requests, self._clock, self._settings
        )
        self._timers = Timers(
            store,
            self._committer,
            self._requests,
            self._presence,
            self._reporting,
            self._clock,
            self._settings,
        )
        self._opened: Store | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._going_on = Background(
            clock=self._clock,
            store=store,
            relay=self._relay,
            fire_due=self.fire_due,
            next_time=self._timers.next_time,
            prune=self.prune,
            sample=self._reporting.sample if self._reporting.is_sampling else None,
            sample_every=self._settings.figures_every.total_seconds(),
            concurrency=self._settings.concurrency,
        )

    async def __aenter__(self) -> Self:
        self._store.watch(self._unsure)
        if self._background:
            self._tasks = anyio.create_task_group()
            await self._tasks.__aenter__()
            self._going_on.start(self._tasks)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            self._store.watch(None)
            return await self._end_tasks(kind, error, traceback)
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """Close the store that `open` has opened; any other is its owner's to close."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def _end_tasks(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._tasks is None:
            return None
        tasks, self._tasks = self._tasks, None
        tasks.cancel_scope.cancel()
        try:
            return await tasks.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            if group.exceptions != (error,):
                raise
            return None  # only what the body raised, which goes on without a group around it

    # Requests

    async def submit(
        self,
        email: Email | bytes,
        *,
        queue: str | None,
        id: str | None = None,
        user_data: Mapping[str, Any] | None = None,
        our_addresses: Sequence[str] = (),
        in_queues: Sequence[str] = (),
        out_queues: Sequence[str] = (),
        contact_id: str | None = None,
        comment: str | None = None,
        operation_id: str | None = None,
    ) -> Interaction:
        """Make an interaction of a mail, and keep it.

        Arguments:
            email: the mail; raw bytes are parsed, and they and their attachments are kept.
            queue, user_data, our_addresses, in_queues, out_queues, contact_id, comment: as
                `lifecycle.submit` has them.
            id: the interaction's id; None for a new one.
            operation_id: makes the request happen once.

        Returns: version 0 of the interaction.
        Raises `InvalidParameter` as `lifecycle.submit` does, `MailTooLarge`, `MailTooDeep` and
        `MailTooManyParts` as `parse_email` does, `NotFound` for an unknown queue,
        `AlreadyExists` where another interaction has the id, `OperationIdReused`.
        """
        rest = {
            "user_data": None if user_data is None else UserData.of(user_data),
            "our_addresses": _listed(our_addresses),
            "in_queues": _listed(in_queues),
            "out_queues": _listed(out_queues),
            "contact_id": contact_id,
            "comment": comment,
        }
        work = partial(self._requests.submit, email=email, id=id, queue=queue, rest=rest)
        told = [value for key, value in rest.items() if key != "user_data"]
        request = Request.of(operation_id, "submit", email, id, queue, rest["user_data"], told)
        doing = self._committer.run_once(work, request)
        return await self._reporting.request(doing, "submit", interaction_id=id, trigger="Submit")

    async def perform(
        self,
        interaction_id: str,
        command: Command,
        *,
        agent_id: Actor,
        operation_id: str | None = None,
    ) -> Interaction:
        """Take an interaction one transition further, and commit everything that follows.

        Arguments:
            interaction_id: which interaction.
            command: what is asked for.
            agent_id: who asks: an agent's id, or `SYSTEM`.
            operation_id: makes the request happen once.

        Returns: the interaction after the step. Its notification is in the agent's log.
        Raises what `lifecycle.step` raises; `NotFound` for an interaction, agent, queue,
        workbin, skill or attachment that does not exist; `NotPermitted` for a workbin that is
        not the agent's; for an Invite `AgentNotReady`, `AgentAtCapacity`, `BacklogFull`,
        `StreamStopped`; `OperationIdReused`. Nothing is changed then.
        """

        work = partial(
            self._requests.perform, interaction_id=interaction_id, command=command, actor=agent_id
        )
        request = Request.of(operation_id, "perform", interaction_id, command, repr(agent_id))
        return await self._reporting.request(
            self._committer.run_once(work, request),
            "perform",
            interaction_id=interaction_id,
            agent_id=agent_id,
            trigger=getattr(command, "trigger", None),
        )

    async def invite(
        self,
        interaction_id: str,
        agent_id: str,
        *,
        delivering_timeout: float | None = None,
        operation_id: str | None = None,
    ) -> Interaction:
        """Offer an interaction to an agent; otherwise as `perform`.

        Arguments:
            interaction_id: which interaction.
            agent_id: whom.
            delivering_timeout: seconds to accept in; None for the configured default.
            operation_id: makes the request happen once.
        """
        command = Invite(agent_id=agent_id, delivering_timeout=delivering_timeout)
        return await self.perform(
            interaction_id, command, agent_id=SYSTEM, operation_id=operation_id
        )

    async def revoke(
        self, interaction_id: str, *, reason: str | None = None, operation_id: str | None = None
    ) -> Interaction:
        """Take an interaction away from whoever has it; otherwise as `perform`."""
        return await self.perform(
            interaction_id, Revoke(reason=reason), agent_id=SYSTEM, operation_id=operation_id
        )

    async def close(
        self, interaction_id: str, *, reason: str | None = None, operation_id: str | None = None
    ) -> Interaction:
        """End an interaction that nobody holds; otherwise as `perform`."""
        return await self.perform(
            interaction_id, Close(reason=reason), agent_id=SYSTEM, operation_id=operation_id
        )

    async def ready(self, agent_id: str) -> Agent:
        """Set an agent's media channel to `Ready` (semantics 6).

        Returns: the agent. Raises `NotFound` for one whom the directory does not know.
        """
        doing = self._committer.run(partial(self._requests.ready, agent_id=agent_id))
        return await self._reporting.request(doing, "ready", agent_id=agent_id)

    async def not_ready(self, agent_id: str, *, reason: str | None = None) -> Agent:
        """Set an agent's media channel to `NotReady` (semantics 6).

        The agent's pending offers are revoked in the same commit. Work that was accepted goes
        on. Returns: the agent. Raises `NotFound` for one whom the directory does not know.
        """
        work = partial(self._requests.not_ready, agent_id=agent_id, reason=reason)
        doing = self._committer.run(work, recent=False)
        return await self._reporting.request(doing, "not_ready", agent_id=agent_id)

    async def connected(self, agent_id: str) -> None:
        """Say that a session of an agent has begun, once the sink can deliver to it (6, 9).

        Arguments:
            agent_id: whose.

        What waits for the agent is delivered from here on, and presence does not run out. Raises
        `InvalidParameter` for what is no agent id; the session does not count then.
        """
        check_name("$.agentId", agent_id)
        await self._store.change_stream(
            agent_id,
            lambda stream: attrs.evolve(stream, absent=False, connects=stream.connects + 1),
        )
        # last, as presence must not stop running out for a session that does not count
        await self._presence.began(agent_id)
        self._going_on.work_changed()

    async def disconnected(self, agent_id: str) -> None:
        """Say that a session of an agent has ended: after the last, presence runs out (6).

        Arguments:
            agent_id: whose.

        Raises `InvalidParameter` for what is no agent id.
        """
        check_name("$.agentId", agent_id)
        try:
            await self._presence.ended(agent_id)
        finally:
            self._going_on.timers_changed()  # also where it failed: it is tried again

    async def add_content(self, data: bytes, *, name: str, mimetype: str) -> Attachment:
        """Keep content that `LinkAttachment` can name.

        Arguments:
            data: the bytes.
            name: the file's name.
            mimetype: for example `application/pdf`.

        Returns: the attachment, with its new id.
        """
        if not isinstance(data, bytes):
            raise InvalidParameter("must be bytes", path="$.data", value=data)
        id = self._ids(self._clock.now())
        attachment = Attachment(id=id, name=name, size=len(data), mimetype=mimetype)
        LinkAttachment(attachment=attachment)  # refuses what could not be linked
        await self._contents.put(id, data, self._clock.now())
        return attachment

    # What stopped

    async def release(self, agent_id: str) -> Stream:
        """Try the delivery again at which an agent's stream stopped, and go on from there."""
        return await self._change_stream(agent_id, delivered=0)

    async def drop(self, agent_id: str) -> Stream:
        """Give up the delivery at which an agent's stream stopped, and go on after it."""
        return await self._change_stream(agent_id, delivered=1)

    async def _change_stream(self, agent_id: str, *, delivered: int) -> Stream:
        def change(stream: Stream) -> Stream:
            if not stream.parked:
                raise NotFound("the agent's deliveries have not stopped", agent_id=agent_id)
            return attrs.evolve(
                stream, delivered=stream.delivered + delivered, tries=0, parked=False
            )

        stream = await self._store.change_stream(agent_id, change)
        self._going_on.work_changed()
        return stream

    async def release_mail(self, message_id: str) -> None:
        """Try a parked reply again. Raises `NotFound` where there is none."""

        def change(mail: Outgoing) -> Outgoing:
            if not mail.parked:
                raise NotFound("the mail has not been parked", path="$.id", value=message_id)
            return attrs.evolve(mail, tries=0, retry_at=None, parked=False)

        await self._change_mail(message_id, change)
        self._going_on.work_changed()

    async def drop_mail(self, message_id: str) -> None:
        """Give up a reply that the mailer does not have. Raises `NotFound` where there is none."""
        await self._change_mail(message_id, lambda mail: None)

    async def _change_mail(
        self, message_id: str, change: Callable[[Outgoing], Outgoing | None]
    ) -> None:
        if await self._store.change_outgoing(message_id, change) is None:
            raise NotFound("there is no such outgoing mail", path="$.id", value=message_id)

    # What goes on by itself

    async def fire_due(self, limit: int | None = None) -> int:
        """Do what is due by now: expired timers, follow-ups, agents who are gone (5, 6).

        Arguments:
            limit: how many at most; None for one batch of each kind.

        Returns: how many did something. One that fails is logged and tried again after
        `Settings.timer_lease`, and the others go on.
        """
        return await self._timers.fire_due(limit)

    async def prune(self) -> int:
        """Forget what `Settings` says is too old to be kept, in small batches.

        Returns: how many deliveries, outcomes, contents and finished interactions it was.
        """
        pruned = 0
        while some := await self._housekeeping.prune(self._clock.now()):
            pruned += some
            await anyio.lowlevel.checkpoint()  # so much may be old that others would wait long
        return pruned

    # A person's data

    async def export_person(self, address: str) -> tuple[Dossier, ...]:
        """Everything that is stored of the interactions whose mail is from an address.

        Arguments:
            address: the sender's address; names and letter case make no difference.

        Returns: oldest first. Raises `InvalidParameter` for what is not one address.
        """
        return await self._housekeeping.export(address)

    async def erase(self, interaction_id: str) -> Interaction:
        """Erase what people wrote of a finished interaction: the history keeps the fact.

        Arguments:
            interaction_id: which one.

        Returns: what is left. Mail, attachments, reply, user data, comment and reason are gone,
        here, in outcomes, and in the retained deliveries, which keep their numbers and keys.
        Raises `NotFound`, and `Forbidden` where it has not ended or its reply has not left.
        """
        doing = self._committer.run(
            partial(self._housekeeping.erase, interaction_id=interaction_id)
        )
        return await self._reporting.request(
            doing, "erase", interaction_id=interaction_id, trigger=ERASE
        )

    async def drain(self) -> int:
        """Deliver and mail everything that can be tried now, in order (9).

        Returns: how many deliveries and mails were handed over.
        """
        handed = 0
        for claim in (self._relay.claim_streams, self._relay.claim_mails):
            while work := await claim(self._settings.batch):
                for piece in work:
                    handed += await piece()
        return handed

    def _unsure(self) -> None:
        """Something may have been committed: look."""
        self._going_on.timers_changed()
        self._going_on.work_changed()

    def _committed(self, commit: Commit) -> None:
        if commit.interactions or commit.agents:
            self._going_on.timers_changed()
        if commit.deliveries or commit.outgoing:
            self._going_on.work_changed()
        self._reporting.committed(commit.entries)
        if self._observer is None or not (commit.interactions or commit.agents):
            return
        try:
            self._observer(
                Committed(
                    at=commit.at,
                    interactions=tuple(saved.interaction for saved in commit.interactions),
                    agents=commit.agents,
                    entries=commit.entries,
                    waiting=frozenset(
                        saved.interaction.id for saved in commit.interactions if saved.waiting
                    ),
                )
            )
        except Exception as error:  # what was committed stands, whatever an observer makes of it
            _log.error("the observer failed", exc_info=hushed(error))


def _listed(values: Sequence[str]) -> Sequence[str]:
    """A copy that nobody else changes; a string stays one, so that it is refused."""
    return values if isinstance(values, str) else tuple(values)
