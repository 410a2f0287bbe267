"""L5. What each request reads, checks and commits (semantics 2a, 5, 6, 9).

Every method takes the time and where to read, and returns what to commit and what to answer;
the committer carries it out, and calls it again where somebody else was faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from lifecycle import engine
from lifecycle._batch import Batch, check_invitable, counted_for
from lifecycle._possible import check_possible
from lifecycle._recent import Reads
from lifecycle._replies import outgoing_mail
from lifecycle.commands import (
    Command,
    Invite,
    LinkAttachment,
    PlaceInQueue,
    PlaceInWorkbin,
    Revoke,
    Send,
    Transfer,
    check_name,
)
from lifecycle.errors import (
    AlreadyExists,
    BacklogFull,
    InternalError,
    InvalidParameter,
    LifecycleError,
    NotFound,
    NotPermitted,
    StreamStopped,
)
from lifecycle.interaction import Attachment, Email, Interaction
from lifecycle.mail import parse_mail
from lifecycle.ports import ContentStore, Directory, Ids, Store
from lifecycle.records import Agent, Commit, Content, Due, Outgoing
from lifecycle.settings import Settings
from lifecycle.table import Row, Table
from lifecycle.vocabulary import SYSTEM, Actor, Who

MISSED_OFFERS = "MissedOffers"
"""The reason of an agent who let offers expire."""
NO_SESSION = "NoSession"
"""The reason of an agent whose last session has been gone for too long."""


_OWNED = re.compile(r"^(?P<id>\w+?)(?:RAW|A[0-9]+)$")
"""The ids of content that came with a mail: the raw mail, and its attachments."""


def raw_mail_id(interaction_id: str) -> str:
    """The id of the content that is an interaction's raw mail."""
    return f"{interaction_id}RAW"


class Requests:
    """The work behind the public methods of the service."""

    def __init__(
        self,
        store: Store,
        contents: ContentStore,
        directory: Directory,
        ids: Ids,
        table: Table,
        settings: Settings,
    ) -> None:
        self._store = store
        self._contents = contents
        own: object = store
        self._contents_in_store = contents is own
        self._directory = directory
        self._ids = ids
        self._table = table
        self._settings = settings

    async def submit(
        self,
        at: datetime,
        reads: Reads,
        *,
        email: Email | bytes,
        id: str | None,
        queue: str | None,
        rest: Mapping[str, Any],
    ) -> tuple[Commit, Interaction]:
        """A new interaction, with the raw mail and its attachments where bytes are given."""
        new_id = self._ids(at) if id is None else id
        contents: list[Content] = []
        if isinstance(email, bytes):
            parsed = parse_mail(email, id_prefix=new_id)
            parts = {**parsed.contents, raw_mail_id(new_id): email}
            contents = [Content(id=key, data=data, owner=new_id) for key, data in parts.items()]
            email = parsed.email
        interaction = engine.submit(email, id=new_id, queue=queue, at=at, table=self._table, **rest)
        if queue is not None and not self._directory.has_queue(queue):
            raise NotFound("there is no such queue", path="$.queue", value=queue)
        if await reads.interaction(new_id) is not None:
            raise AlreadyExists("another interaction has this id", interaction_id=new_id)
        if not self._contents_in_store:
            for content in contents:
                await self._contents.put(content.id, content.data, at)
            contents = []
        batch = self._batch(at, reads)
        batch.submitted(interaction)
        return batch.commit(contents=tuple(contents)), interaction

    async def perform(
        self, at: datetime, reads: Reads, *, interaction_id: str, command: Command, actor: Actor
    ) -> tuple[Commit, Interaction]:
        """One step, asked for by an agent or the system."""
        check_name("$.id", interaction_id)
        before = await reads.interaction(interaction_id)
        if before is None:
            raise no_such_interaction(interaction_id)
        check_possible(before, self._table)
        batch = self._batch(at, reads)
        outgoing = await self._step(batch, before, command, actor)
        return batch.commit(outgoing=outgoing), batch.latest(interaction_id)

    async def expire(self, at: datetime, reads: Reads, *, due: Due) -> tuple[Commit | None, bool]:
        """What a deadline brings, unless version or deadline have changed (5)."""
        before = await reads.interaction(due.interaction_id)
        if before is None or (before.version, before.deadline) != (due.version, due.deadline):
            return None, False
        check_possible(before, self._table)
        refused: LifecycleError = InternalError(
            "nothing follows", interaction_id=due.interaction_id
        )
        for command in engine.expiry(before, self._table):
            batch = self._batch(at, reads)
            try:
                outgoing = await self._step(batch, before, command, SYSTEM)
            except InternalError:
                raise
            except LifecycleError as error:
                refused = error
                continue
            await self._count_missed(batch, before)
            return batch.commit(outgoing=outgoing), True
        raise refused

    async def ready(self, at: datetime, reads: Reads, *, agent_id: str) -> tuple[Commit, Agent]:
        """The media channel is `Ready`; presence runs out where there is no session."""
        self._capacity(agent_id)
        batch = self._batch(at, reads)
        gone = (await batch.agent(agent_id)).gone
        away_at = self._away_at(at) if gone else None
        await batch.change_agent(agent_id, ready=True, reason=None, missed=0, away_at=away_at)
        return batch.commit(), batch.stored_agent(agent_id)

    async def not_ready(
        self, at: datetime, reads: Reads, *, agent_id: str, reason: str | None
    ) -> tuple[Commit, Agent]:
        """The media channel is `NotReady`, and the pending offers are revoked."""
        self._capacity(agent_id)
        batch = self._batch(at, reads)
        await self._make_not_ready(batch, agent_id, reason)
        return batch.commit(), batch.stored_agent(agent_id)

    async def attend(
        self, at: datetime, reads: Reads, *, agent_id: str, worker: str, count: Callable[[], int]
    ) -> tuple[Commit, None]:
        """An agent has `count` sessions with a process: after the last one presence runs out."""
        batch = self._batch(at, reads)
        agent = await batch.agent(agent_id)
        batch.touch(agent_id)  # also where nothing changes: the count may be an older one
        others = [name for name in agent.sessions if name != worker]
        sessions = tuple(sorted(others + [worker] * count()))
        away_at = self._away_at(at) if agent.ready and not sessions else None
        await batch.change_agent(agent_id, sessions=sessions, gone=not sessions, away_at=away_at)
        return batch.commit(), None

    async def gone(self, at: datetime, reads: Reads, *, due: Agent) -> tuple[Commit | None, bool]:
        """Presence has run out, unless the agent has come back since."""
        batch = self._batch(at, reads)
        agent = await batch.agent(due.id)
        if agent.away_at != due.away_at:
            return None, False
        await self._make_not_ready(batch, due.id, NO_SESSION)
        return batch.commit(), True

    def _away_at(self, at: datetime) -> datetime | None:
        timeout = self._settings.presence_timeout
        return None if timeout is None else at + timeout

    def _batch(self, at: datetime, reads: Reads) -> Batch:
        return Batch(reads, at, table=self._table, documented_only=self._settings.documented_only)

    async def _step(
        self, batch: Batch, before: Interaction, command: Command, actor: Actor
    ) -> tuple[Outgoing, ...]:
        """Add one step to a batch, checked against directory and agent."""
        step = engine.step(
            before,
            command,
            actor=actor,
            at=batch.at,
            table=self._table,
            limits=self._settings.limits,
        )
        try:
            self._check_names(command)
            self._check_member(before, step.row, actor)
            if isinstance(command, Invite):
                await self._check_invited(batch, before, command.agent_id)
            outgoing = await self._outgoing(batch, step.interaction, command)
        except LifecycleError as error:
            error.interaction_id = before.id
            error.state = before.state
            error.trigger = command.trigger
            error.capabilities = self._table.capabilities(before.state)
            error.agent_id = error.agent_id or (None if actor is SYSTEM else actor)
            raise
        await batch.stepped(before, step, actor)
        return outgoing

    def _capacity(self, agent_id: str) -> int:
        check_name("$.agentId", agent_id)
        capacity = self._directory.capacity(agent_id)
        if capacity is None:
            raise NotFound(
                "there is no such agent", path="$.agentId", value=agent_id, agent_id=agent_id
            )
        return capacity

    def _check_names(self, command: Command) -> None:
        """Refuse a command that names an agent, skill, queue or workbin that does not exist."""
        match command:
            case Transfer(agent_id=str(agent_id)):
                self._capacity(agent_id)
            case Transfer(skill=str(skill)) if not self._directory.has_skill(skill):
                raise NotFound("there is no such skill", path="$.skill", value=skill)
            case PlaceInQueue(queue=str(queue)) | Send(queue=str(queue)) if (
                not self._directory.has_queue(queue)
            ):
                raise NotFound("there is no such queue", path="$.queue", value=queue)
            case PlaceInWorkbin(workbin=workbin) if not self._directory.has_workbin(workbin):
                raise NotFound("there is no such workbin", path="$.workbin", value=workbin)

    def _check_member(self, before: Interaction, row: Row, actor: Actor) -> None:
        if row.who is not Who.WORKBIN_AGENT or before.workbin is None or actor is SYSTEM:
            return
        if not self._directory.is_member(actor, before.workbin):
            raise NotPermitted("the workbin is not the agent's", value=before.workbin)

    async def _check_invited(self, batch: Batch, before: Interaction, agent_id: str) -> None:
        """Refuse an invitation of an agent who cannot have it now (semantics 6, 9)."""
        capacity = self._capacity(agent_id)
        agent = await batch.agent(agent_id)
        check_invitable(agent, capacity, counted=agent_id in counted_for(before))
        stream = await self._store.stream(agent_id)
        if stream.parked:
            raise StreamStopped(
                "the agent's deliveries have stopped",
                agent_id=agent_id,
                value=stream.delivered + 1,
            )
        if agent.sequence - stream.delivered >= self._settings.backlog:
            raise BacklogFull(
                "too many deliveries wait for the agent",
                agent_id=agent_id,
                value=self._settings.backlog,
            )
        batch.expect_invitable(agent_id, self._settings.backlog)

    async def _outgoing(
        self, batch: Batch, after: Interaction, command: Command
    ) -> tuple[Outgoing, ...]:
        """What leaves for the mailer; also the check of content that is linked."""
        if isinstance(command, LinkAttachment):
            await self._check_linked(batch.reads, after.id, command.attachment)
            batch.link(command.attachment.id, after.id)
        if not self._table.by_name[after.state].outgoing or after.draft is None:
            return ()
        ids = [attachment.id for attachment in after.draft.attachments]
        contents = {id: await self._content(id) for id in ids}
        return (outgoing_mail(after, at=batch.at, contents=contents),)

    async def _check_linked(
        self, reads: Reads, interaction_id: str, attachment: Attachment
    ) -> None:
        """Refuse content that is not there, is another interaction's, or has another size."""
        owner = _OWNED.sub(r"\g<id>", attachment.id)
        if owner not in (attachment.id, interaction_id) and await reads.interaction(owner):
            raise _no_such_content(attachment.id)
        size = len(await self._content(attachment.id))
        if size != attachment.size:
            raise InvalidParameter(
                f"the content has {size} bytes", path="$.attachment.size", value=attachment.size
            )

    async def _content(self, id: str) -> bytes:
        data = await self._contents.content(id)
        if data is None:
            raise _no_such_content(id)
        return data

    async def _count_missed(self, batch: Batch, before: Interaction) -> None:
        """An agent who let an offer expire; after too many in a row, `NotReady` (semantics 6)."""
        if before.agent_id is None or before.state not in _offers(self._table):
            return
        agent = await batch.agent(before.agent_id)
        agent = await batch.change_agent(agent.id, missed=agent.missed + 1)
        bound = self._settings.missed_offers
        if bound is not None and agent.missed >= bound and agent.ready:
            await self._make_not_ready(batch, agent.id, MISSED_OFFERS, besides=before.id)

    async def _make_not_ready(
        self, batch: Batch, agent_id: str, reason: str | None, besides: str | None = None
    ) -> None:
        """Set `NotReady` and revoke the agent's pending offers in one commit (semantics 6)."""
        revoke = Revoke(reason=reason)  # refuses a reason that is no text
        await batch.change_agent(agent_id, ready=False, reason=reason, away_at=None)
        for held in await self._store.held_by(agent_id):
            if held.state in _offers(self._table) and held.id != besides:
                await self._step(batch, held, revoke, SYSTEM)


@cache
def _offers(table: Table) -> frozenset[str]:
    """The states in which an offer is pending."""
    return frozenset(row.source for row in table.rows if row.who is Who.INVITED_AGENT)


def _no_such_content(id: str) -> NotFound:
    return NotFound("there is no such content", path="$.attachment.id", value=id)


def no_such_interaction(interaction_id: str) -> NotFound:
    """The refusal of an interaction that is not there."""
    return NotFound(
        "there is no such interaction",
        interaction_id=interaction_id,
        path="$.id",
        value=interaction_id,
    )
