"""L6. Which commits of a group hold, and what they write, for the SQL stores.

A group of commits is carried out in one transaction. What its commits expect is read once, under
lock; then each is judged in turn by what those before it leave, so that one that conflicts is
left out and harms no other; then the rows of all that hold are written, a table at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
import orjson

from lifecycle._addresses import senders
from lifecycle._stored import write_interaction, write_submission
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.records import Agent, Commit, Delivery, Erasure, Invitable, Saved
from lifecycle.stores._rows import (
    ANY_TIME,
    Row,
    entry_row,
    mail_row,
    micros,
    optional_micros,
    outcome_row,
)

_FINISHED_AT = 7
"""Where a row of an interaction has the time of its end, which the first one gives."""


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
    `admit` about each commit in turn, and writes the rows: what a commit changes of what an
    earlier one has made is one row.
    """

    versions: dict[str, int] = attrs.field(factory=dict)
    """The stored versions of interactions, by id."""
    agents: dict[str, KnownAgent] = attrs.field(factory=dict)
    """What is stored of agents, by id."""
    outcomes: set[str] = attrs.field(factory=set)
    """Operation ids that are taken."""
    submitted: dict[str, Row] = attrs.field(factory=dict)
    """New interactions, by id: as in `changed`."""
    submissions: list[Row] = attrs.field(factory=list)
    """Id and JSON of submissions."""
    changed: dict[str, Row] = attrs.field(factory=dict)
    """Other interactions, by id: id, version, state, queue, agent_id, workbin, waiting,
    finished_at, deadline, data."""
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
    contents: dict[str, Row] = attrs.field(factory=dict)
    """By id: id, owner, at, data."""
    linked: dict[str, Row] = attrs.field(factory=dict)
    """Contents that are not among `contents`, by id: id, owner."""
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
        self.history.extend(map(entry_row, commit.entries))
        for agent in commit.agents:
            self._save_agent(agent)
        for delivery in commit.deliveries:
            self._deliver(delivery)
        for mail in commit.outgoing:
            self.outgoing.append(mail_row(mail))
            self.threads.append((mail.message_id, mail.interaction_id))
        self._keep_contents(commit)
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
        rows = self.submitted if saved.expected is None or id in self.submitted else self.changed
        finished_at = rows[id][_FINISHED_AT] if id in rows else None
        if finished_at is None and saved.finished:
            finished_at = micros(at)
        rows[id] = (
            id,
            interaction.version,
            interaction.state,
            interaction.queue,
            interaction.agent_id,
            interaction.workbin,
            saved.waiting,
            finished_at,
            optional_micros(interaction.deadline),
            write_interaction(interaction).decode(),
        )
        if saved.expected is None:
            email = interaction.email
            self.submissions.append((id, write_submission(interaction.submission).decode()))
            names = dict.fromkeys(filter(None, (email.message_id, *email.references)))
            self.threads.extend((name, id) for name in names)
            self.people.extend((one, id) for one in senders(email.from_address, email.reply_to))
        self.versions[id] = interaction.version
        self.saved[id] = interaction

    def _save_agent(self, agent: Agent) -> None:
        known = self.agents.get(agent.id)
        if known is None:
            known = self.agents[agent.id] = KnownAgent()
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

    def _keep_contents(self, commit: Commit) -> None:
        at = micros(commit.at)
        for content in commit.contents:
            self.contents[content.id] = (content.id, content.owner, at, content.data)
            self.linked.pop(content.id, None)
        for id, owner in commit.linked:
            if id in self.contents:
                _, _, *rest = self.contents[id]
                self.contents[id] = (id, owner, *rest)
            else:
                self.linked[id] = (id, owner)

    def agent_rows(self) -> list[Row]:
        """The agents' rows, by id, each followed by `ready_at` and `oldest_at`."""
        return [
            (*row, self.agents[id].ready_at, self.agents[id].oldest_at)
            for id, row in sorted(self.stored_agents.items())
        ]


def names(commits: Sequence[Commit]) -> tuple[list[str], list[str], list[str]]:
    """The ids of interactions, agents and operations that commits name, each sorted."""
    interactions = {saved.interaction.id for one in commits for saved in one.interactions}
    agents = {agent.id for one in commits for agent in one.agents}
    agents.update([wanted.agent_id for one in commits for wanted in one.invitable])
    operations = {one.outcome.operation_id for one in commits if one.outcome is not None}
    return sorted(interactions), sorted(agents), sorted(operations)
