"""L5. The steps of one commit put together, with what they do to agents (semantics 6, 9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lifecycle._recent import Reads
from lifecycle.codec import encode
from lifecycle.engine import Step, is_waiting
from lifecycle.errors import AgentAtCapacity, AgentNotReady
from lifecycle.interaction import Interaction
from lifecycle.records import (
    Agent,
    Commit,
    Content,
    Delivery,
    Entry,
    Invitable,
    Outcome,
    Outgoing,
    Saved,
    changed_agent,
    make_commit,
    make_delivery,
    make_entry,
    make_saved,
)
from lifecycle.table import Table
from lifecycle.vocabulary import SYSTEM, Actor, Who


def counted_for(interaction: Interaction) -> set[str]:
    """The agents whose load an interaction is part of: who holds it, who transferred it."""
    agents = (interaction.agent_id, interaction.transfer_origin)
    return {agent_id for agent_id in agents if agent_id is not None}


class Batch:
    """Collects what is to be committed at one time, reading the agents that it concerns."""

    def __init__(
        self, reads: Reads, at: datetime, *, table: Table, documented_only: bool = False
    ) -> None:
        self.at = at
        self.reads = reads
        """Where agents and interactions are read."""
        self._table = table
        self._documented_only = documented_only
        self._agents: dict[str, Agent] = {}
        self._read: dict[str, Agent] = {}
        self._saved: dict[str, Saved] = {}
        self._entries: list[Entry] = []
        self._deliveries: list[Delivery] = []
        self._invitable: list[Invitable] = []
        self._linked: list[tuple[str, str]] = []

    async def agent(self, agent_id: str) -> Agent:
        """The agent as this batch leaves it."""
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = await self.reads.agent(agent_id) or Agent(id=agent_id)
            self._agents[agent_id] = self._read[agent_id] = agent
        return agent

    async def change_agent(self, agent_id: str, **changes: Any) -> Agent:
        """Give fields of an agent new values; one that has them already does not change."""
        agent = await self.agent(agent_id)
        for name, value in changes.items():
            if getattr(agent, name) != value:
                return self._change(agent, **changes)
        return agent

    def touch(self, agent_id: str) -> None:
        """Count an agent that was read as changed, so that others see a new version."""
        self._change(self._agents[agent_id])

    def _change(self, agent: Agent, **changes: Any) -> Agent:
        after = changed_agent(agent, version=self._read[agent.id].version + 1, **changes)
        self._agents[agent.id] = after
        return after

    def expect_invitable(self, agent_id: str, backlog: int) -> None:
        """Commit only where the agent's deliveries have not stopped, and not too many wait."""
        self._invitable.append(Invitable(agent_id=agent_id, backlog=backlog))

    def link(self, content_id: str, interaction_id: str) -> None:
        """Give content to an interaction."""
        self._linked.append((content_id, interaction_id))

    def submitted(self, interaction: Interaction) -> None:
        """Add a new interaction."""
        self._save(interaction, None)
        self._entries.append(
            make_entry(
                interaction_id=interaction.id,
                version=interaction.version,
                at=self.at,
                actor=None,
                trigger="Submit",
                source=None,
                dest=interaction.state,
                offer=interaction.offer,
                agent_id=None,
            )
        )

    async def stepped(self, before: Interaction, step: Step, actor: Actor) -> None:
        """Add a step: the value, its history, its delivery, and the loads that it changes."""
        after = step.interaction
        self._save(after, before.version)
        was, is_ = counted_for(before), counted_for(after)
        for agent_id in sorted(was ^ is_):
            agent = await self.agent(agent_id)
            await self.change_agent(agent_id, load=agent.load + (1 if agent_id in is_ else -1))
        if step.row.who is Who.INVITED_AGENT and isinstance(actor, str):
            await self.change_agent(actor, missed=0)
        self._entries.append(
            make_entry(
                interaction_id=after.id,
                version=after.version,
                at=self.at,
                actor=None if actor is SYSTEM else actor,
                trigger=step.row.trigger,
                source=before.state,
                dest=after.state,
                offer=after.offer,
                agent_id=step.agent_id,
                sequence=await self._deliver(step),
            )
        )

    async def _deliver(self, step: Step) -> int | None:
        after, agent_id = step.interaction, step.agent_id
        if agent_id is None:
            return None
        if self._documented_only and not self._table.by_name[after.state].documented:
            return None
        agent = await self.agent(agent_id)
        agent = self._change(agent, sequence=agent.sequence + 1)
        self._deliveries.append(
            make_delivery(
                agent_id=agent_id,
                sequence=agent.sequence,
                interaction_id=after.id,
                offer=after.offer,
                trigger=step.row.trigger,
                at=self.at,
                payload=encode(step.notification),
            )
        )
        return agent.sequence

    def _save(self, interaction: Interaction, expected: int | None) -> None:
        self._saved[interaction.id] = make_saved(
            interaction=interaction,
            expected=expected,
            waiting=is_waiting(interaction, self._table),
            finished=self._table.by_name[interaction.state].final,
        )

    def latest(self, interaction_id: str) -> Interaction:
        """An interaction as this batch leaves it."""
        return self._saved[interaction_id].interaction

    def stored_agent(self, agent_id: str) -> Agent:
        """An agent, who has been read, as the commit stores it: of the next version if changed."""
        return self._agents[agent_id]

    def commit(
        self,
        *,
        outgoing: tuple[Outgoing, ...] = (),
        contents: tuple[Content, ...] = (),
        outcome: Outcome | None = None,
    ) -> Commit:
        """What has been collected; agents that change are held to the version that was read."""
        return make_commit(
            at=self.at,
            interactions=tuple(self._saved.values()),
            agents=tuple(
                [
                    agent
                    for id, agent in self._agents.items()
                    if agent.version != self._read[id].version
                ]
            ),
            entries=tuple(self._entries),
            deliveries=tuple(self._deliveries),
            outgoing=outgoing,
            contents=contents,
            linked=tuple(self._linked),
            invitable=tuple(self._invitable),
            outcome=outcome,
        )


def check_invitable(agent: Agent, capacity: int, *, counted: bool) -> None:
    """Refuse an invitation of an agent who cannot have one (semantics 6).

    Arguments:
        agent: the agent as stored.
        capacity: how many interactions the agent may hold or be offered.
        counted: whether the interaction is part of the agent's load already.

    Raises `AgentNotReady`, `AgentAtCapacity`.
    """
    if not agent.ready:
        raise AgentNotReady(
            f"the agent is not ready ({agent.reason or 'never was'})",
            agent_id=agent.id,
            value=agent.reason,
        )
    if agent.load >= capacity + counted:
        raise AgentAtCapacity(
            f"the agent has {agent.load} of {capacity} interactions",
            agent_id=agent.id,
            value=capacity,
        )
