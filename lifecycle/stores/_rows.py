"""L6. What the SQL stores have in common: records as rows, and which commits of a group hold.

A group of commits is carried out in one transaction. What its commits expect is read once, under
lock; then each is judged in turn by what those before it leave, so that one that conflicts is
left out and harms no other; then the rows of all that hold are written, a table at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import attrs
import orjson

from lifecycle._addresses import senders
from lifecycle._stored import (
    read_interaction,
    read_outcome,
    read_submission,
    write_interaction,
    write_outcome,
    write_submission,
)
from lifecycle.errors import Conflict, StoreCorrupt
from lifecycle.interaction import Interaction
from lifecycle.records import (
    Agent,
    Commit,
    Delivery,
    Entry,
    Erasure,
    Invitable,
    Outcome,
    Outgoing,
    Saved,
    Stream,
)

Row: TypeAlias = tuple[Any, ...]

ANY_TIME = 0
"""When something can be tried that has never failed: always, whatever the clock says."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT = 4096
_LONGEST_KEPT = 64 * 1024


def micros(at: datetime) -> int:
    """A time as microseconds since 1970, which is how times are stored."""
    return (at - _EPOCH) // _MICROSECOND


def optional_micros(at: datetime | None) -> int | None:
    """A time as stored, or none."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The time of what `micros` gave."""
    return _EPOCH + timedelta(microseconds=stored)


def optional_moment(stored: int | None) -> datetime | None:
    """The time of what `optional_micros` gave."""
    return None if stored is None else moment(stored)


@attrs.define
class KnownAgent:
    """What a group of commits has to know of an agent's row."""

    version: int = 0
    sequence: int = 0
    delivered: int = 0
    absent: bool = False
    parked: bool = False
    ready_at: int | None = None
    oldest_at: int | None = None


@attrs.define
class Group:
    """The commits of one transaction: what they name, what is stored of it, what to write.

    The store fills `versions`, `agents` and `outcomes` with what it finds of `names`, asks
    `admit` about each commit in turn, and writes the rows.
    """

    versions: dict[str, int] = attrs.field(factory=dict)
    """The stored versions of interactions, by id."""
    agents: dict[str, KnownAgent] = attrs.field(factory=dict)
    """What is stored of agents, by id."""
    outcomes: set[str] = attrs.field(factory=set)
    """Operation ids that are taken."""
    submitted: list[Row] = attrs.field(factory=list)
    """New interactions: id, then what `changed` has before its id."""
    submissions: list[Row] = attrs.field(factory=list)
    """Id and JSON of submissions."""
    changed: list[Row] = attrs.field(factory=list)
    """Version, state, queue, agent_id, workbin, waiting, finished_at, deadline, data, id."""
    threads: list[Row] = attrs.field(factory=list)
    """Message-ID and interaction id."""
    people: list[Row] = attrs.field(factory=list)
    """Address and interaction id."""
    history: list[Row] = attrs.field(factory=list)
    """Interaction id, version, at, actor, trigger, source, dest, offer, agent_id, sequence."""
    deliveries: list[Row] = attrs.field(factory=list)
    """Agent id, sequence, topic, interaction id, offer, trigger, at, payload."""
    stored_agents: dict[str, Row] = attrs.field(factory=dict)
    """By id: id, version, ready, reason, load, missed, sequence, gone, away_at, sessions."""
    outgoing: list[Row] = attrs.field(factory=list)
    """Message-ID, interaction id, queue, sender, recipients, at, message."""
    contents: list[Row] = attrs.field(factory=list)
    """Id, owner, at, data."""
    linked: list[Row] = attrs.field(factory=list)
    """Owner, id of content."""
    new_outcomes: list[Row] = attrs.field(factory=list)
    """Operation id, fingerprint, at, interaction id, data."""
    erased: list[tuple[Erasure, Interaction]] = attrs.field(factory=list)
    """What is to be erased, and the interaction that is left."""
    saved: dict[str, Interaction] = attrs.field(factory=dict)
    """The latest values, by id."""

    def admit(self, commit: Commit) -> Conflict | None:
        """Take the rows of a commit in, or say what conflicts."""
        conflict = self._conflict(commit)
        if conflict is not None:
            return conflict
        for erasure in commit.erased:
            rest = next(
                one.interaction
                for one in commit.interactions
                if one.interaction.id == erasure.interaction_id
            )
            self.erased.append((erasure, rest))
        for saved in commit.interactions:
            self._save(saved, commit.at)
        self.history.extend(map(_entry_row, commit.entries))
        for agent in commit.agents:
            self._save_agent(agent)
        for delivery in commit.deliveries:
            self._deliver(delivery)
        for mail in commit.outgoing:
            self.outgoing.append(_mail_row(mail))
            self.threads.append((mail.message_id, mail.interaction_id))
        at = micros(commit.at)
        self.contents.extend((one.id, one.owner, at, one.data) for one in commit.contents)
        self.linked.extend((owner, id) for id, owner in commit.linked)
        if commit.outcome is not None:
            self.outcomes.add(commit.outcome.operation_id)
            self.new_outcomes.append(outcome_row(commit.outcome))
        return None

    def _conflict(self, commit: Commit) -> Conflict | None:
        for saved in commit.interactions:
            if self.versions.get(saved.interaction.id) != saved.expected:
                return Conflict(
                    "the interaction changed", interaction_id=saved.interaction.id, value="version"
                )
        for agent in commit.agents:
            known = self.agents.get(agent.id)
            if (0 if known is None else known.version) != agent.version - 1:
                return Conflict("the agent changed", agent_id=agent.id, value="version")
        for wanted in commit.invitable:
            if not self._is_invitable(wanted):
                return Conflict("the stream changed", agent_id=wanted.agent_id, value="stream")
        if commit.outcome is not None and commit.outcome.operation_id in self.outcomes:
            return Conflict("the operation id is taken", value=commit.outcome.operation_id)
        return None

    def _is_invitable(self, wanted: Invitable) -> bool:
        known = self.agents.get(wanted.agent_id) or KnownAgent()
        return not known.parked and known.sequence - known.delivered < wanted.backlog

    def _save(self, saved: Saved, at: datetime) -> None:
        interaction = saved.interaction
        id = interaction.id
        values = (
            interaction.version,
            interaction.state,
            interaction.queue,
            interaction.agent_id,
            interaction.workbin,
            saved.waiting,
            micros(at) if saved.finished else None,
            optional_micros(interaction.deadline),
            write_interaction(interaction).decode(),
        )
        if saved.expected is None:
            email = interaction.email
            self.submitted.append((id, *values))
            self.submissions.append((id, write_submission(interaction.submission).decode()))
            names = dict.fromkeys(filter(None, (email.message_id, *email.references)))
            self.threads.extend((name, id) for name in names)
            self.people.extend((one, id) for one in senders(email.from_address, email.reply_to))
        else:
            self.changed.append((*values, id))
        self.versions[id] = interaction.version
        self.saved[id] = interaction

    def _save_agent(self, agent: Agent) -> None:
        known = self.agents.setdefault(agent.id, KnownAgent())
        known.version = agent.version
        known.sequence = agent.sequence
        self.stored_agents[agent.id] = (
            agent.id,
            agent.version,
            agent.ready,
            agent.reason,
            agent.load,
            agent.missed,
            agent.sequence,
            agent.gone,
            optional_micros(agent.away_at),
            orjson.dumps(agent.sessions).decode() if agent.sessions else "[]",
        )

    def _deliver(self, delivery: Delivery) -> None:
        known = self.agents[delivery.agent_id]
        at = micros(delivery.at)
        if known.oldest_at is None:
            known.oldest_at = at
        if known.ready_at is None and not known.parked and not known.absent:
            known.ready_at = ANY_TIME
        self.deliveries.append(
            (
                delivery.agent_id,
                delivery.sequence,
                delivery.topic,
                delivery.interaction_id,
                delivery.offer,
                delivery.trigger,
                at,
                delivery.payload,
            )
        )

    def agent_rows(self) -> list[Row]:
        """The agents' rows, by id, each followed by `ready_at` and `oldest_at`."""
        return [
            (*row, self.agents[id].ready_at, self.agents[id].oldest_at)
            for id, row in sorted(self.stored_agents.items())
        ]


def names(commits: Iterable[Commit]) -> tuple[list[str], list[str], list[str]]:
    """The ids of interactions, agents and operations that commits name, each sorted."""
    interactions: set[str] = set()
    agents: set[str] = set()
    operations: set[str] = set()
    for commit in commits:
        interactions.update([saved.interaction.id for saved in commit.interactions])
        agents.update([agent.id for agent in commit.agents])
        agents.update([wanted.agent_id for wanted in commit.invitable])
        if commit.outcome is not None:
            operations.add(commit.outcome.operation_id)
    return sorted(interactions), sorted(agents), sorted(operations)


def _entry_row(entry: Entry) -> Row:
    return (
        entry.interaction_id,
        entry.version,
        micros(entry.at),
        entry.actor,
        entry.trigger,
        entry.source,
        entry.dest,
        entry.offer,
        entry.agent_id,
        entry.sequence,
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """The line of history of a row of `Group.history`."""
    id, version, at, actor, trigger, source, dest, offer, agent_id, sequence = row
    return Entry(
        interaction_id=id,
        version=version,
        at=moment(at),
        actor=actor,
        trigger=trigger,
        source=source,
        dest=dest,
        offer=offer,
        agent_id=agent_id,
        sequence=sequence,
    )


def delivery_of(row: Sequence[Any]) -> Delivery:
    """The delivery of a row of `Group.deliveries`."""
    agent_id, sequence, topic, interaction_id, offer, trigger, at, payload = row
    return Delivery(
        agent_id=agent_id,
        sequence=sequence,
        topic=topic,
        interaction_id=interaction_id,
        offer=offer,
        trigger=trigger,
        at=moment(at),
        payload=payload,
    )


def agent_of(row: Sequence[Any]) -> Agent:
    """The agent of a row of `Group.stored_agents`."""
    id, version, ready, reason, load, missed, sequence, gone, away_at, sessions = row
    return Agent(
        id=id,
        version=version,
        ready=bool(ready),
        reason=reason,
        load=load,
        missed=missed,
        sequence=sequence,
        gone=bool(gone),
        away_at=optional_moment(away_at),
        sessions=() if sessions == "[]" else _sessions(id, sessions),
    )


def _sessions(agent_id: str, stored: str) -> tuple[str, ...]:
    try:
        return tuple(orjson.loads(stored))
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(
            f"the stored agent cannot be read: {error}",
            agent_id=agent_id,
            path="$.sessions",
            value=stored,
        ) from None


def stream_of(row: Sequence[Any]) -> Stream:
    """The stream of agent id, delivered, tries, retry_at, absent, connects, parked."""
    agent_id, delivered, tries, retry_at, absent, connects, parked = row
    return Stream(
        agent_id=agent_id,
        delivered=delivered,
        tries=tries,
        retry_at=optional_moment(retry_at),
        absent=bool(absent),
        connects=connects,
        parked=bool(parked),
    )


def _mail_row(mail: Outgoing) -> Row:
    return (
        mail.message_id,
        mail.interaction_id,
        mail.queue,
        mail.sender,
        orjson.dumps(mail.recipients).decode(),
        micros(mail.at),
        mail.message,
    )


def mail_of(row: Sequence[Any]) -> Outgoing:
    """The mail of a row of `Group.outgoing`, followed by tries, retry_at and parked."""
    message_id, interaction_id, queue, sender, recipients, at, message, *state = row
    tries, retry_at, parked = state
    return Outgoing(
        message_id=message_id,
        interaction_id=interaction_id,
        queue=queue,
        sender=sender,
        recipients=tuple(orjson.loads(recipients)),
        at=moment(at),
        message=message,
        tries=tries,
        retry_at=optional_moment(retry_at),
        parked=bool(parked),
    )


def outcome_row(outcome: Outcome) -> Row:
    """Operation id, fingerprint, at, interaction id, data."""
    return (
        outcome.operation_id,
        outcome.fingerprint,
        micros(outcome.at),
        outcome.concerns,
        write_outcome(outcome).decode(),
    )


def outcome_of(row: Sequence[Any], submission: str | None) -> Outcome:
    """The outcome of a row, with the submission of the interaction that it concerns as stored."""
    operation_id, fingerprint, at, concerns, data = row
    return read_outcome(
        data,
        operation_id=operation_id,
        fingerprint=fingerprint,
        at=moment(at),
        submission=None if submission is None else read_submission(submission, concerns),
    )


def ready_at(
    *, pending: bool, stopped: bool, retry_at: int | None, lease_until: int | None
) -> int | None:
    """When something can be tried in a stream or with a mail; None for not by itself.

    Arguments:
        pending: whether there is something to try.
        stopped: whether it is parked, or waits for the agent.
        retry_at: before which it is not to be tried again.
        lease_until: until when somebody has it.
    """
    if not pending or stopped:
        return None
    return max(retry_at or ANY_TIME, lease_until or ANY_TIME)


@attrs.define
class Cache:
    """The latest values of interactions as decoded, by what they are known by in their store.

    A value is found only under the number and version of its row, so one that somebody else
    has changed, erased, or removed and submitted again is not.
    """

    _values: dict[str, tuple[int, Interaction]] = attrs.field(factory=dict)

    def find(self, id: str, number: int, version: int, state: str) -> Interaction | None:
        """The interaction of a row, None where it is not kept."""
        entry = self._values.get(id)
        if entry is None or entry[0] != number:
            return None
        found = entry[1]
        return found if found.version == version and found.state == state else None

    def entry(self, id: str) -> tuple[int, Interaction] | None:
        """The number and value that are kept of an interaction, whatever is stored by now."""
        return self._values.get(id)

    def keep(self, number: int, interaction: Interaction) -> None:
        """Keep a value that was read or committed."""
        if interaction.id not in self._values and len(self._values) >= _KEPT:
            del self._values[next(iter(self._values))]
        self._values[interaction.id] = (number, interaction)

    def renew(self, interaction: Interaction) -> None:
        """Keep a value that was committed, where an earlier one of it is kept."""
        entry = self._values.get(interaction.id)
        if entry is not None:
            self._values[interaction.id] = (entry[0], interaction)

    def drop(self, id: str) -> None:
        """Forget what is kept of an interaction."""
        self._values.pop(id, None)

    def read(self, row: Sequence[Any]) -> Interaction:
        """Decode a row of id, number, version, state, data and submission; keep a small one.

        Raises `StoreCorrupt` where it cannot be what was stored.
        """
        id, number, version, state, data, submission = row
        interaction = read_interaction(data, read_submission(submission or "null", id), version)
        if interaction.state != state:
            raise StoreCorrupt(
                "the stored state is another one than that of the interaction",
                interaction_id=id,
                path="$.state",
                value=state,
            )
        if len(submission) + len(data) <= _LONGEST_KEPT:
            self.keep(number, interaction)
        return interaction
