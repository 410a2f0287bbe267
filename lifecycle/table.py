"""L2. The rule table (semantics 2, 3). Every rule about legality lives here, and only here.

What may follow what, on which condition and by whose hand stands once, in the literal
`EMAIL` below. Capabilities, the machine that runs, diagrams and exports are derived from it.
No other module may ask for a state by name in order to allow or refuse something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from lifecycle import _effects as effects
from lifecycle import commands as c
from lifecycle._table_checks import check
from lifecycle.errors import TableError
from lifecycle.interaction import Change, Limits
from lifecycle.vocabulary import Actor, Operation, State, Who

Condition: TypeAlias = Callable[[Change], bool]
"""Asked of the interaction before the step; pure. Its docstring's first line is its label."""
Effect: TypeAlias = Callable[[Change, Any, Actor, datetime, Limits], None]
"""Writes to the change what the row changes, besides state, holder and deadline; pure."""
Timer: TypeAlias = Callable[[Change, Any, datetime, Limits], datetime | None]
"""When the timer of the state expires that the change has come to; None for never; pure."""

Emitter: TypeAlias = Callable[[Any, tuple[str, ...]], Any]
"""Makes the notification of an interaction; the second argument is its capabilities; pure."""


def _plain(value: str) -> str:
    return str.__str__(value)


def _who(value: str) -> Who:
    try:
        return Who(value)
    except ValueError:
        raise TableError(f"nobody is called {value!r}", value=value) from None


def _rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(rows)


def _callable(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise TableError(f"{field.name} must be callable, not {value!r}", value=value)


@attrs.frozen
class StateRule:
    """One state of a table."""

    name: str = attrs.field(converter=_plain)
    """Its wire name: a letter, then letters and digits."""
    final: bool = attrs.field(default=False, kw_only=True)
    """Whether the life ends here."""
    held: bool = attrs.field(default=False, kw_only=True)
    """Whether an agent holds an interaction in this state (semantics 1)."""
    documented: bool = attrs.field(default=False, kw_only=True)
    """Whether the documented page shows its notification (semantics 2, 4)."""
    outgoing: bool = attrs.field(default=False, kw_only=True)
    """Whether the draft leaves for the mailer when this state is entered (semantics 2)."""
    timer: Timer | None = attrs.field(default=None, kw_only=True, validator=_callable)
    """Its timer (semantics 5), None where none runs."""
    emitter: Emitter | None = attrs.field(default=None, kw_only=True, validator=_callable)
    """Interaction and capabilities to notification; None for the shipped one (semantics 4)."""


@attrs.frozen
class Row:
    """One row of a table: what a trigger does in one state.

    `who` is taken as a `Who` or as its text; anything else raises `TableError`.
    """

    trigger: str = attrs.field(converter=_plain)
    """The trigger's wire name."""
    source: str = attrs.field(converter=_plain)
    """The state that it is valid in."""
    dest: str = attrs.field(converter=_plain)
    """The state that it leads to."""
    condition: Condition | None = attrs.field(default=None, validator=_callable)
    """What must hold besides; None for nothing."""
    who: Who = attrs.field(default=Who.SYSTEM, converter=_who)
    """Who may."""
    effect: Effect | None = attrs.field(default=None, validator=_callable)
    """What else changes; None for nothing."""
    command: type[c.Command] = c.Command
    """The command that carries its parameters."""

    def __str__(self) -> str:
        condition = "" if self.condition is None else f" if {condition_label(self.condition)}"
        return f"{self.trigger}: {self.source} -> {self.dest}{condition}"


def condition_label(condition: Condition) -> str:
    """What a condition says: the first line of its docstring, or else its name, in words."""
    lines = (condition.__doc__ or "").strip().splitlines()
    name = getattr(condition, "__name__", type(condition).__name__).replace("_", " ")
    return lines[0].rstrip(".") if lines else name


def _rules(states: Iterable[StateRule | str]) -> tuple[StateRule, ...]:
    return tuple(state if isinstance(state, StateRule) else StateRule(state) for state in states)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_plain, names))


@attrs.frozen(eq=False)
class Table:
    """A validated, immutable rule table; two are equal only if they are one.

    Raises `TableError`, naming the state or the row, for: a name that is not a letter and then
    letters and digits, duplicate states or rows, a row that names an unknown state or carries
    another trigger's command, two unconditional rows in a cell, a trigger with two commands or
    with both system and agents as actors, a final state with exits or held or timed, another
    state without exits, without a way to it or from it to a final state, an agent's row of the
    wrong kind for its state, a held state without a timer, an initial state that is held or
    timed, an order that names what is not an agent's trigger or names it twice.
    """

    states: tuple[StateRule, ...] = attrs.field(converter=_rules)
    """The states; the first is the initial one."""
    rows: tuple[Row, ...] = attrs.field(converter=_rows)
    """The rows. Those of one cell are tried in this order, an unconditional one last."""
    order: tuple[str, ...] = attrs.field(converter=_names)
    """The capabilities in the global order (semantics 3); a trigger that is not in it is none."""
    by_name: Mapping[str, StateRule] = attrs.field(init=False, repr=False)
    """The states by name."""
    cells: Mapping[tuple[str, str], tuple[Row, ...]] = attrs.field(init=False, repr=False)
    """The rows by state and trigger, in the order in which they are tried."""
    commands: Mapping[str, type[c.Command]] = attrs.field(init=False, repr=False)
    """The triggers and the command of each, in the order of the rows."""
    _capabilities: Mapping[str, tuple[str, ...]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        cells: dict[tuple[str, str], tuple[Row, ...]] = {}
        for row in sorted(self.rows, key=lambda row: row.condition is None):
            cell = (row.source, row.trigger)
            cells[cell] = (*cells.get(cell, ()), row)
        derived: dict[str, dict[Any, Any]] = {
            "by_name": {rule.name: rule for rule in self.states},
            "cells": cells,
            "commands": {row.trigger: row.command for row in self.rows},
            "_capabilities": {
                rule.name: tuple(name for name in self.order if (rule.name, name) in cells)
                for rule in self.states
            },
        }
        for name, value in derived.items():
            object.__setattr__(self, name, MappingProxyType(value))
        check(self)

    @property
    def initial(self) -> str:
        """The state in which a submitted interaction begins."""
        return self.states[0].name

    @property
    def triggers(self) -> tuple[str, ...]:
        """All triggers, in the order of their first rows."""
        return tuple(self.commands)

    def capabilities(self, state: str) -> tuple[str, ...]:
        """What an agent may do in a state, in the global order (semantics 3).

        Raises `TableError` for a state that the table does not have.
        """
        return capabilities(state, self)

    def extend(
        self,
        *,
        states: Iterable[StateRule | str] = (),
        rows: Iterable[Row] = (),
        order: Iterable[str] | None = None,
    ) -> Table:
        """A new table with more states and rows (semantics 2).

        Arguments:
            states: states to add; a string stands for a state with no properties.
            rows: rows to add. In a cell that has rows already they are tried after these, but
                before an unconditional one.
            order: the whole new order of capabilities; None to keep the present one.

        Returns: the new table; this one is unchanged.
        Raises `TableError` as the class does.
        """
        return Table(
            (*self.states, *_rules(states)),
            (*self.rows, *rows),
            self.order if order is None else order,
        )


def transfer_origin_recorded(interaction: Change) -> bool:
    """a transfer origin is recorded"""
    return interaction.transfer is not None


def parked_from_reply(interaction: Change) -> bool:
    """it was parked from ReplyCreated"""
    return interaction.parking is not None and interaction.parking.source == State.REPLY_CREATED


_QUEUED, _INVITED, _ACCEPTED = State.QUEUED, State.INVITED, State.ACCEPTED
_REJECTED, _REVOKED, _TRANSFERRED = State.REJECTED, State.REVOKED, State.TRANSFERRED
_REPLY, _WORKBIN = State.REPLY_CREATED, State.IN_WORKBIN
_SENT, _COMPLETED = State.SENT, State.COMPLETED
_SYSTEM, _INVITEE, _OWNER, _MEMBER = Who.SYSTEM, Who.INVITED_AGENT, Who.OWNER, Who.WORKBIN_AGENT
_origin, _reply = transfer_origin_recorded, parked_from_reply

# fmt: off
EMAIL: Final = Table(
    states=(
        StateRule(_QUEUED),
        StateRule(_INVITED, held=True, documented=True, timer=effects.delivering),
        StateRule(_ACCEPTED, held=True, documented=True, timer=effects.handling),
        StateRule(_REJECTED, timer=effects.returning),
        StateRule(_REVOKED, documented=True, timer=effects.returning),
        StateRule(_REPLY, held=True, documented=True, timer=effects.handling),
        StateRule(_TRANSFERRED, timer=effects.returning),
        StateRule(_WORKBIN),
        StateRule(_SENT, final=True, outgoing=True),
        StateRule(_COMPLETED, final=True),
    ),
    rows=(
        Row("Invite", _QUEUED, _INVITED, None, _SYSTEM, effects.invite, c.Invite),
        Row("Invite", _REJECTED, _INVITED, None, _SYSTEM, effects.invite, c.Invite),
        Row("Invite", _REVOKED, _INVITED, None, _SYSTEM, effects.invite, c.Invite),
        Row("Invite", _TRANSFERRED, _INVITED, None, _SYSTEM, effects.invite, c.Invite),
        Row("Accept", _INVITED, _ACCEPTED, None, _INVITEE, effects.accept, c.Accept),
        Row("Reject", _INVITED, _REJECTED, None, _INVITEE, effects.reject, c.Reject),
        Row("Revoke", _INVITED, _REVOKED, None, _SYSTEM, effects.revoke, c.Revoke),
        Row("Revoke", _ACCEPTED, _REVOKED, None, _SYSTEM, effects.revoke, c.Revoke),
        Row("Revoke", _REPLY, _REVOKED, None, _SYSTEM, effects.revoke, c.Revoke),
        Row("Revoke", _WORKBIN, _REVOKED, None, _SYSTEM, effects.revoke, c.Revoke),
        Row("Return", _TRANSFERRED, _ACCEPTED, _origin, _SYSTEM, effects.give_back, c.Return),
        Row("Return", _REJECTED, _ACCEPTED, _origin, _SYSTEM, effects.give_back, c.Return),
        Row("Return", _REVOKED, _ACCEPTED, _origin, _SYSTEM, effects.give_back, c.Return),
        Row("Close", _QUEUED, _COMPLETED, None, _SYSTEM, effects.close, c.Close),
        Row("Close", _REJECTED, _COMPLETED, None, _SYSTEM, effects.close, c.Close),
        Row("Close", _REVOKED, _COMPLETED, None, _SYSTEM, effects.close, c.Close),
        Row("Transfer", _ACCEPTED, _TRANSFERRED, None, _OWNER, effects.transfer, c.Transfer),
        Row("Reply", _ACCEPTED, _REPLY, None, _OWNER, effects.reply, c.Reply),
        Row("ReplyAll", _ACCEPTED, _REPLY, None, _OWNER, effects.reply, c.ReplyAll),
        Row("StopProcessing", _ACCEPTED, _COMPLETED, None, _OWNER, effects.stop_processing,
            c.StopProcessing),
        Row("PlaceInQueue", _ACCEPTED, _QUEUED, None, _OWNER, effects.place_in_queue,
            c.PlaceInQueue),
        Row("PlaceInWorkbin", _ACCEPTED, _WORKBIN, None, _OWNER, effects.place_in_workbin,
            c.PlaceInWorkbin),
        Row("PlaceInWorkbin", _REPLY, _WORKBIN, None, _OWNER, effects.place_in_workbin,
            c.PlaceInWorkbin),
        Row("UpdateProperties", _ACCEPTED, _ACCEPTED, None, _OWNER, effects.update_properties,
            c.UpdateProperties),
        Row("UpdateProperties", _REPLY, _REPLY, None, _OWNER, effects.update_draft,
            c.UpdateProperties),
        Row("Pull", _WORKBIN, _REPLY, _reply, _MEMBER, effects.pull, c.Pull),
        Row("Pull", _WORKBIN, _ACCEPTED, None, _MEMBER, effects.pull, c.Pull),
        Row("Cancel", _REPLY, _ACCEPTED, None, _OWNER, effects.cancel, c.Cancel),
        Row("Send", _REPLY, _SENT, None, _OWNER, effects.send, c.Send),
        Row("LinkAttachment", _REPLY, _REPLY, None, _OWNER, effects.link_attachment,
            c.LinkAttachment),
    ),
    order=Operation,
)
# fmt: on
"""The lifecycle of an inbound e-mail: ten states, thirty rows, seventeen triggers."""


def capabilities(state: str, table: Table = EMAIL) -> tuple[str, ...]:
    """What an agent may do in a state, in the global order (semantics 3).

    Arguments:
        state: the state's wire name, or a `State`.
        table: the rule table.

    Raises `TableError` for a state that the table does not have.
    """
    try:
        return table._capabilities[state]
    except KeyError:
        raise TableError(f"there is no state {state!r}", value=state) from None


__all__ = [
    "EMAIL",
    "Condition",
    "Effect",
    "Emitter",
    "Row",
    "StateRule",
    "Table",
    "Timer",
    "capabilities",
    "condition_label",
]
