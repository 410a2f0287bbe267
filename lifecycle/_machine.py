"""L3. The machine: a table becomes one shared `transitions.Machine`, compiled into a step table.

The only module that imports `transitions`. The machine has no models: an interaction is
never registered with it. `StepTable` is read off the finished machine, transition by
transition, so what the library would do is what the hot path does.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import transitions as _transitions

from lifecycle.commands import Command
from lifecycle.errors import InvalidParameter, LifecycleError, NotValidInState, UnknownOperation
from lifecycle.interaction import Change
from lifecycle.table import Condition, Effect, Emitter, Row, StateRule, Table, Timer
from lifecycle.vocabulary import Who

_HOLDERS = (Who.INVITED_AGENT, Who.OWNER)


class Cursor:
    """What a `transitions` machine moves when it is asked directly: a state, nothing else."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


class Guard:
    """The condition of a row as `transitions` asks it: only True itself holds.

    The library compares with `==`, for which 1 is true.
    """

    __slots__ = ("row",)

    def __init__(self, row: Row) -> None:
        self.row = row

    def __call__(self, interaction: Change) -> bool:
        condition = self.row.condition
        return condition is not None and condition(interaction) is True


def build_machine(table: Table) -> _transitions.Machine:
    """The `transitions` machine of a table; each of its conditions takes the interaction."""
    machine = _transitions.Machine(
        model=None,
        states=[rule.name for rule in table.states],
        initial=table.initial,
        auto_transitions=False,
    )
    for rows in table.cells.values():
        for row in rows:
            guard = None if row.condition is None else Guard(row)
            machine.add_transition(row.trigger, row.source, row.dest, conditions=guard)
    return machine


@attrs.define(eq=False, weakref_slot=False)
class Move:
    """A compiled row; `otherwise` is what is tried where its condition does not hold."""

    row: Row
    command: type[Command]
    condition: Condition | None
    by_system: bool
    by_holder: bool
    effect: Effect | None
    dest: str
    held: bool
    timer: Timer | None
    capabilities: tuple[str, ...]
    emitter: Emitter
    otherwise: Move | None = None


class StepTable:
    """What a machine would do, as plain dictionaries: state, then trigger, then move."""

    __slots__ = ("cells", "table")

    def __init__(self, table: Table, emitter_of: Callable[[StateRule], Emitter]) -> None:
        """Compile a table; `emitter_of` says what makes the notification of a state."""
        self.table = table
        machine = build_machine(table)
        self.cells: dict[str, dict[str, Move]] = {rule.name: {} for rule in table.states}
        for trigger, event in machine.events.items():
            for source, candidates in event.transitions.items():
                last, *others = reversed(candidates)
                move = _compiled(table, trigger, last, emitter_of, None)
                for transition in others:
                    move = _compiled(table, trigger, transition, emitter_of, move)
                self.cells[source][trigger] = move

    def move(self, interaction: Change, trigger: str) -> Move:
        """The row that a trigger takes: legality and destination of a command.

        Raises `NotValidInState` where there is none, `UnknownOperation` for a trigger that the
        table does not have.
        """
        try:
            move = self.cells[interaction.state][trigger]
        except KeyError:
            raise self.refusal(interaction, trigger) from None
        while move.condition is not None and move.condition(interaction) is not True:
            if move.otherwise is None:
                raise self.refusal(interaction, trigger)
            move = move.otherwise
        return move

    def refusal(self, interaction: Change, trigger: object) -> LifecycleError:
        """Why a trigger has no row in the state of an interaction."""
        if not isinstance(trigger, str) or trigger not in self.table.commands:
            return UnknownOperation(
                "there is no such operation", path="$.operationName", value=trigger
            )
        if interaction.state not in self.cells:
            return InvalidParameter(
                "the table has no such state", path="$.state", value=interaction.state
            )
        return NotValidInState(
            "not valid in this state",
            interaction_id=interaction.id,
            state=interaction.state,
            trigger=trigger,
            capabilities=self.table.capabilities(interaction.state),
        )


def _compiled(
    table: Table,
    trigger: str,
    transition: _transitions.Transition,
    emitter_of: Callable[[StateRule], Emitter],
    otherwise: Move | None,
) -> Move:
    guards = [one.func for one in transition.conditions if isinstance(one.func, Guard)]
    row = guards[0].row if guards else table.cells[transition.source, trigger][-1]
    rule = table.by_name[str(transition.dest)]
    return Move(
        row=row,
        command=row.command,
        condition=row.condition,
        by_system=row.who is Who.SYSTEM,
        by_holder=row.who in _HOLDERS,
        effect=row.effect,
        dest=rule.name,
        held=rule.held,
        timer=rule.timer,
        capabilities=table.capabilities(rule.name),
        emitter=emitter_of(rule),
        otherwise=otherwise,
    )
