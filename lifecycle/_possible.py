"""L4. What an interaction can look like at all, by a rule table (semantics 1, 2, 5).

The rows and what their effects are known to write say which combinations of state, holder,
parking, transfer, draft, offer and deadline can ever be reached. They are found once for a
table; to ask whether an interaction is possible is one look into a set. What a team's own
effect, condition or timer does is not known, so everything that it might do is possible.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import attrs

from lifecycle import _effects as effects
from lifecycle.commands import wire_name
from lifecycle.errors import StoreCorrupt
from lifecycle.interaction import Interaction, Transfer
from lifecycle.table import (
    EMAIL,
    Row,
    StateRule,
    Table,
    Timer,
    parked_from_reply,
    transfer_origin_recorded,
)
from lifecycle.vocabulary import State

_AGENT, _SKILL = "agent", "skill"
_TARGETS: Final = (None, _AGENT, _SKILL)
_EITHER: Final = (False, True)


class Shape(NamedTuple):
    """What of an interaction follows from the way that it came."""

    state: str
    """The state."""
    agent_id: bool
    """Whether somebody holds it."""
    parking: str | None
    """The state that it was parked from, None where it is not parked."""
    transfer: str | None
    """What it is transferred to: an agent or a skill; None where no transfer is outstanding."""
    draft: bool
    """Whether there is a draft."""
    offer: bool
    """Whether it was ever offered."""
    deadline: bool
    """Whether a timer runs."""


@attrs.frozen
class Impossible:
    """Why an interaction cannot be: a part of it that does not go with the rest."""

    path: str
    """Which part, as a `$.path`."""
    found: object
    """What it is."""
    wanted: str
    """What it would have to be."""


def is_possible(interaction: Interaction, table: Table = EMAIL) -> bool:
    """Whether rows of the table can have led to an interaction like this one."""
    return _shape(interaction) in possible_shapes(table)


def check_possible(interaction: Interaction, table: Table = EMAIL) -> None:
    """Refuse to go on with an interaction that no rows can have led to.

    Raises `StoreCorrupt`, with the interaction, its state, and the path and value of what cannot
    be.
    """
    if not is_possible(interaction, table):
        wrong = explained(interaction, table)
        raise StoreCorrupt(
            f"the stored interaction cannot be: wanted {wrong.wanted}",
            interaction_id=interaction.id,
            state=interaction.state,
            path=wrong.path,
            value=wrong.found,
        )


def explained(interaction: Interaction, table: Table = EMAIL) -> Impossible:
    """What is wrong with an interaction that is not possible."""
    shape = _shape(interaction)
    known = [one for one in possible_shapes(table) if one.state == shape.state]
    if not known:
        return Impossible("$.state", shape.state, "a state that can be reached")
    nearest = min(known, key=lambda one: (_differences(shape, one), repr(one)))
    name, wanted = next(
        (name, want)
        for name, want, found in zip(Shape._fields, nearest, shape, strict=True)
        if want != found
    )
    return Impossible(f"$.{wire_name(name)}", getattr(interaction, name), _said(name, wanted))


def _differences(one: Shape, other: Shape) -> tuple[int, list[bool]]:
    """How much two differ, first in number; what follows from the rest comes last in a shape."""
    differing = [a != b for a, b in zip(one, other, strict=True)]
    return sum(differing), differing


def _said(name: str, wanted: object) -> str:
    if name == "offer":
        return "at least 1" if wanted else "0"
    if not wanted:
        return "none"
    if name == "parking":
        return f"one that was parked from {wanted}"
    return f"one to {wanted!s}" if name == "transfer" else "one"


def _shape(interaction: Interaction) -> Shape:
    parking, transfer = interaction.parking, interaction.transfer
    return Shape(
        interaction.state,
        interaction.agent_id is not None,
        None if parking is None else parking.source,
        None if transfer is None else _target(transfer),
        interaction.draft is not None,
        interaction.offer > 0,
        interaction.deadline is not None,
    )


def _target(transfer: Transfer) -> str:
    if transfer.agent_id is None:
        return _SKILL if transfer.skill is not None else "nobody"
    return _AGENT if transfer.skill is None else "both"


@lru_cache(maxsize=32)
def possible_shapes(table: Table) -> frozenset[Shape]:
    """All shapes that rows of a table can lead to, those of erased interactions among them."""
    start = Shape(table.initial, False, None, None, False, False, False)
    found = {start}
    new = [start]
    while new:
        before = new.pop()
        for after in _following(before, table):
            if after not in found:
                found.add(after)
                new.append(after)
    erased = {one._replace(draft=False) for one in found if table.by_name[one.state].final}
    return frozenset(found | erased)


def _following(before: Shape, table: Table) -> Iterator[Shape]:
    """What one step can make of a shape."""
    for (source, _), rows in table.cells.items():
        if source != before.state:
            continue
        for row in rows:
            holds = _holds(row, before)
            if holds is not False:
                yield from _after(row, before, table)
            if holds is True:
                break


def _holds(row: Row, before: Shape) -> bool | None:
    """Whether the condition of a row holds; None where nobody can say."""
    if row.condition is None:
        return True
    if row.condition is transfer_origin_recorded:
        return before.transfer is not None
    if row.condition is parked_from_reply:
        return before.parking == State.REPLY_CREATED
    return None


def _after(row: Row, before: Shape, table: Table) -> Iterator[Shape]:
    rule = table.by_name[row.dest]
    for change in _written(row, before, table):
        after = before._replace(**change)._replace(state=row.dest, agent_id=rule.held)
        for deadline in _timed(rule, after):
            yield after._replace(deadline=deadline)


_KEEPING: Final = (None, effects.reject, effects.place_in_queue, effects.update_properties)
"""Effects that write nothing that a shape has."""


def _written(row: Row, before: Shape, table: Table) -> list[dict[str, Any]]:
    """What the effect of a row can write."""
    effect = row.effect
    if effect in _KEEPING:
        return [{}]
    if effect is effects.invite:
        return [{"offer": True}]
    if effect in (effects.accept, effects.give_back, effects.close):
        return [{"transfer": None}]
    if effect in (effects.revoke, effects.pull):
        return [{"parking": None}]
    if effect is effects.transfer:
        return [{"transfer": _AGENT}, {"transfer": _SKILL}]
    if effect is effects.place_in_workbin:
        return [{"parking": before.state}]
    if effect in (effects.stop_processing, effects.cancel):
        return [{"draft": False}]
    if effect in (effects.reply, effects.update_draft, effects.send, effects.link_attachment):
        return [{"draft": True}]
    names = ("parking", "transfer", "draft", "offer")
    sources = (None, *table.by_name)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(sources, _TARGETS, _EITHER, _EITHER)
    ]


_ALWAYS: Final[tuple[Timer, ...]] = (effects.delivering, effects.handling)


def _timed(rule: StateRule, after: Shape) -> tuple[bool, ...]:
    """Whether the timer of a state can run."""
    if rule.timer is None:
        return (False,)
    if rule.timer in _ALWAYS:
        return (True,)
    return (after.transfer is not None,) if rule.timer is effects.returning else _EITHER
