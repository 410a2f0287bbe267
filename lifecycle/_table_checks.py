"""L2. What must hold of a rule table, checked once when it is built (semantics 2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lifecycle.errors import TableError
from lifecycle.vocabulary import Trigger, Who

if TYPE_CHECKING:
    from lifecycle.table import Row, Table

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SYSTEM_EXITS = {Trigger.REVOKE.value, Trigger.RETURN.value}
_HOLDERS = (Who.INVITED_AGENT, Who.OWNER)


def check(table: Table) -> None:
    """Raise `TableError`, naming the state or the row, where a table does not hold together."""
    if not table.states:
        raise TableError("a table needs a state")
    _check_names(table)
    for row in table.rows:
        _check_row(table, row)
    _check_rows(table)
    _check_states(table)
    _check_order(table)


def _check_names(table: Table) -> None:
    names = [rule.name for rule in table.states]
    for name in (*names, *table.triggers):
        if not _NAME.fullmatch(name):
            raise TableError(f"{name!r} is not a letter and then letters and digits", value=name)
    _refuse_repeated("state", names)


def _check_row(table: Table, row: Row) -> None:
    for state in (row.source, row.dest):
        if state not in table.by_name:
            raise TableError(f"{row} names an unknown state {state!r}", value=state)
    if getattr(row.command, "trigger", None) != row.trigger:
        raise TableError(
            f"{row} needs the command of {row.trigger}, not {row.command.__name__}",
            value=row.command,
        )
    if (row.who in _HOLDERS) and not table.by_name[row.source].held:
        raise TableError(f"{row} is for the {row.who}, but nobody holds {row.source}", value=row)


def _check_rows(table: Table) -> None:
    keys = [(row.trigger, row.source, row.dest, row.condition) for row in table.rows]
    for row, key in zip(table.rows, keys, strict=True):
        if keys.count(key) > 1:
            raise TableError(f"row stands twice: {row}", value=row)
    for rows in table.cells.values():
        unconditional = [str(row) for row in rows if row.condition is None]
        if len(unconditional) > 1:
            raise TableError(f"unconditional rows exclude each other: {'; '.join(unconditional)}")
        actors = {row.who is Who.SYSTEM for row in rows}
        if len(actors) > 1:
            raise TableError(f"{rows[0]} and {rows[1]} have system and agent as actors")
    for row in table.rows:
        if row.command is not table.commands[row.trigger]:
            raise TableError(f"{row} has another command than other rows of {row.trigger}")


def _check_states(table: Table) -> None:
    exits = Counter(row.source for row in table.rows)
    for rule in table.states:
        if rule.final and (exits[rule.name] or rule.held or rule.timer):
            raise TableError(
                f"{rule.name} is final, so it has no exit, holder or timer", value=rule.name
            )
        if not rule.final and not exits[rule.name]:
            raise TableError(f"{rule.name} is not final and has no exit", value=rule.name)
        if rule.held and rule.timer is None:
            raise TableError(f"{rule.name} is held, so it needs a timer", value=rule.name)
        if rule.timer is not None and not _SYSTEM_EXITS & {
            row.trigger for row in table.rows if row.source == rule.name
        }:
            raise TableError(
                f"{rule.name} has a timer, so it needs a row of Revoke or Return", value=rule.name
            )
    first = table.states[0]
    if first.held or first.timer is not None:
        raise TableError(f"{first.name} is initial, so it has no holder or timer", value=first.name)
    forward = [(row.source, row.dest) for row in table.rows]
    backward = [(row.dest, row.source) for row in table.rows]
    reached = _closure([table.initial], forward)
    ending = _closure([rule.name for rule in table.states if rule.final], backward)
    for rule in table.states:
        if rule.name not in reached:
            raise TableError(f"{rule.name} cannot be reached", value=rule.name)
        if rule.name not in ending:
            raise TableError(f"{rule.name} has no way to a final state", value=rule.name)


def _check_order(table: Table) -> None:
    _refuse_repeated("capability", table.order)
    for name in table.order:
        actors = [row.who for row in table.rows if row.trigger == name]
        if not actors or Who.SYSTEM in actors:
            raise TableError(f"the order names {name!r}, no trigger of an agent's", value=name)


def _refuse_repeated(kind: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise TableError(f"{kind} stands twice: {name}", value=name)


def _closure(start: Iterable[str], edges: Iterable[tuple[str, str]]) -> set[str]:
    edges = list(edges)
    reached = set(start)
    growing = True
    while growing:
        found = {dest for source, dest in edges if source in reached} - reached
        growing = bool(found)
        reached |= found
    return reached
