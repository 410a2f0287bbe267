"""L5. What this process has read or committed last, so that most requests need not ask the store.

A value from here may be an old one, where another process has changed it. That does no harm: a
commit holds only where the versions that it was made from are the stored ones, and a request
that is refused, or does nothing, on the strength of such a value is asked of the store again.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from lifecycle.interaction import Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit

_V = TypeVar("_V", Interaction, Agent)
_KEPT = 4096


class Reads(Protocol):
    """Where a request reads the values that its commit replaces."""

    async def interaction(self, id: str) -> Interaction | None:
        """An interaction, None where there is none."""
        ...

    async def agent(self, id: str) -> Agent | None:
        """An agent, None where there is none."""
        ...


class Recent:
    """The latest values that are known here, and behind them the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._interactions: dict[str, Interaction] = {}
        self._agents: dict[str, Agent] = {}
        self.fresh: Reads = _Fresh(self)
        """The store itself; what is read there is remembered."""

    async def interaction(self, id: str) -> Interaction | None:
        """The interaction as known here, or else as stored."""
        return self._interactions.get(id) or await self.fresh.interaction(id)

    async def agent(self, id: str) -> Agent | None:
        """The agent as known here, or else as stored."""
        return self._agents.get(id) or await self.fresh.agent(id)

    def committed(self, commit: Commit) -> None:
        """Remember what a commit has stored."""
        for saved in commit.interactions:
            if saved.finished:
                self._interactions.pop(saved.interaction.id, None)
            else:
                _keep(self._interactions, saved.interaction)
        for agent in commit.agents:
            _keep(self._agents, agent)

    async def read_interaction(self, id: str) -> Interaction | None:
        """The stored interaction, which is remembered."""
        found = await self._store.interaction(id)
        if found is None:
            self._interactions.pop(id, None)
        else:
            _keep(self._interactions, found)
        return found

    async def read_agent(self, id: str) -> Agent | None:
        """The stored agent, who is remembered."""
        found = await self._store.agent(id)
        if found is None:
            self._agents.pop(id, None)
        else:
            _keep(self._agents, found)
        return found


class _Fresh:
    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    async def interaction(self, id: str) -> Interaction | None:
        """The stored interaction."""
        return await self._recent.read_interaction(id)

    async def agent(self, id: str) -> Agent | None:
        """The stored agent."""
        return await self._recent.read_agent(id)


def _keep(values: dict[str, _V], value: _V) -> None:
    """Remember a value, and forget the one that was remembered first where there are too many."""
    if value.id not in values and len(values) >= _KEPT:
        del values[next(iter(values))]
    values[value.id] = value
