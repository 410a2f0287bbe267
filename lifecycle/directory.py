"""L4. The shipped directory: who and what exists, in memory or from a file (semantics 6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
import orjson

from lifecycle.errors import InvalidParameter


@attrs.frozen(kw_only=True)
class MemoryDirectory:
    """A directory of fixed lists. A list that is not given holds everything.

    `MemoryDirectory()` therefore knows every agent, with capacity 1, and every queue, workbin
    and skill, and everybody belongs everywhere.
    """

    agents: Mapping[str, int] | None = None
    """Agents and how many interactions each may hold; None for everybody, with `default`."""
    queues: Collection[str] | None = None
    """The queues; None for any."""
    workbins: Mapping[str, Collection[str]] | None = None
    """The workbins and the agents of each; None for any, with everybody."""
    skills: Mapping[str, Collection[str]] | None = None
    """The skills and the agents who have each; None for any, with everybody."""
    default: int = 1
    """The capacity of an agent where `agents` is None."""

    @classmethod
    def from_json(cls, data: bytes | str) -> MemoryDirectory:
        """Read a directory: an object with the keys of this class, all optional.

        `{"agents":{"ann":2},"queues":["sales"],"workbins":{"late":["ann"]},"skills":{}}`

        Raises `InvalidParameter`, with its `$.path`, for anything else.
        """
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidParameter(f"not JSON: {error}", path="$", value=data) from None
        if not isinstance(value, dict):
            raise InvalidParameter("must be an object", path="$", value=value)
        for key, item in value.items():
            if key not in _CHECKS:
                raise InvalidParameter("unknown key", path=f"$.{key}", value=item)
            _CHECKS[key](item, f"$.{key}")
        return cls(**value)

    def capacity(self, agent_id: str) -> int | None:
        """How many interactions an agent may hold or be offered; None for no such agent."""
        return self.default if self.agents is None else self.agents.get(agent_id)

    def has_queue(self, queue: str) -> bool:
        """Whether there is such a queue."""
        return self.queues is None or queue in self.queues

    def has_workbin(self, workbin: str) -> bool:
        """Whether there is such a workbin."""
        return self.workbins is None or workbin in self.workbins

    def has_skill(self, skill: str) -> bool:
        """Whether there is such a skill."""
        return self.skills is None or skill in self.skills

    def is_member(self, agent_id: str, workbin: str) -> bool:
        """Whether an agent belongs to a workbin."""
        return self.workbins is None or agent_id in self.workbins.get(workbin, ())

    def is_skilled(self, agent_id: str, skill: str) -> bool:
        """Whether an agent has a skill."""
        return self.skills is None or agent_id in self.skills.get(skill, ())


def _check_number(value: Any, path: str) -> None:
    if type(value) is not int or value < 1:
        raise InvalidParameter("must be an integer from 1", path=path, value=value)


def _check_agents(value: Any, path: str) -> None:
    for agent_id, capacity in _checked_map(value, path):
        _check_number(capacity, f"{path}.{agent_id}")


def _check_names(value: Any, path: str) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidParameter("must be a list of strings", path=path, value=value)


def _check_groups(value: Any, path: str) -> None:
    for name, members in _checked_map(value, path):
        _check_names(members, f"{path}.{name}")


def _checked_map(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", path=path, value=value)
    return value.items()


_CHECKS = {
    "agents": _check_agents,
    "queues": _check_names,
    "workbins": _check_groups,
    "skills": _check_groups,
    "default": _check_number,
}
