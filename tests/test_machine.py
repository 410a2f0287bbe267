"""The compiled step table does what `transitions` itself would do, on every cell (habit 2)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import pytest
import transitions
from builders import COMMANDS, PATHS, START, natural_actor, situation, submitted
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import commands as c
from lifecycle._machine import Cursor, build_machine
from lifecycle.emitters import left
from lifecycle.engine import step
from lifecycle.errors import NotValidInState, TableError, UnknownOperation
from lifecycle.interaction import Change, Interaction, Limits
from lifecycle.table import EMAIL, Row, StateRule, Table
from lifecycle.vocabulary import SYSTEM, Actor, Who

ODD: tuple[Any, ...] = (True, False, 1, 1.0, 0, "yes", None, [1], object())
"""Values that a careless condition may give; only True itself is true."""


@attrs.frozen(eq=False)
class Guard:
    """A condition that says what it is told to."""

    value: Any

    def __call__(self, interaction: Change) -> Any:
        """The value."""
        assert isinstance(interaction, Change)
        return self.value


def hold(change: Change, command: object, actor: Actor, at: datetime, limits: Limits) -> None:
    """An effect after which somebody can hold it."""
    change.agent_id = "ann"


def bare(table: Table, values: Sequence[Any]) -> Table:
    """The table with guards of these values for its conditions, and nothing else to go wrong."""
    given = iter(values)
    rows = [
        attrs.evolve(
            row, effect=hold, condition=None if row.condition is None else Guard(next(given))
        )
        for row in table.rows
    ]
    states = [attrs.evolve(rule, emitter=left) for rule in table.states]
    return Table(states, rows, table.order)


def by_transitions(
    machine: transitions.Machine, interaction: Interaction, trigger: str
) -> str | None:
    """Where `transitions` itself goes from the state of an interaction, None for nowhere."""
    cursor = Cursor(interaction.state)
    try:
        moved = machine.events[trigger].trigger(cursor, interaction)
    except transitions.MachineError:
        moved = False
    if not moved:
        assert cursor.state == interaction.state
        return None
    return cursor.state


def by_step(table: Table, interaction: Interaction, trigger: str) -> str | None:
    """Where the step goes, None for nowhere."""
    rows = [row for row in table.rows if row.trigger == trigger]
    command = COMMANDS[trigger] if trigger in COMMANDS else rows[0].command()
    who = {row.who for row in rows if row.source == interaction.state} or {Who.SYSTEM}
    actor: Actor = SYSTEM if who == {Who.SYSTEM} else "ann"
    try:
        return step(interaction, command, actor=actor, at=START, table=table).interaction.state
    except NotValidInState:
        return None


def held_by_ann(table: Table, state: str) -> Interaction:
    """An interaction in any state, as if Ann held it."""
    return attrs.evolve(submitted(table=table), state=state, agent_id="ann")


def agree(table: Table) -> int:
    """Compare both on the whole product of states and triggers; how many cells moved."""
    machine = build_machine(table)
    moved = 0
    for rule, trigger in itertools.product(table.states, table.triggers):
        interaction = held_by_ann(table, rule.name)
        expected = by_transitions(machine, interaction, trigger)
        assert by_step(table, interaction, trigger) == expected, (rule.name, trigger)
        moved += expected is not None
    return moved


def test_the_machine_is_one_bare_machine_without_models() -> None:
    """No model, no automatic transitions, exactly the table's states, triggers and rows."""
    machine = build_machine(EMAIL)
    assert machine.models == []
    assert list(machine.states) == [rule.name for rule in EMAIL.states]
    assert set(machine.events) == {row.trigger for row in EMAIL.rows}
    taken = [
        (name, one.source, one.dest)
        for name, event in machine.events.items()
        for candidates in event.transitions.values()
        for one in candidates
    ]
    assert sorted(taken) == sorted((row.trigger, row.source, row.dest) for row in EMAIL.rows)


def test_a_cursor_is_a_state_and_nothing_else() -> None:
    """What `transitions` moves has one slot."""
    cursor = Cursor("Queued")
    assert cursor.state == "Queued"
    assert not hasattr(cursor, "__dict__")


@pytest.mark.parametrize("values", list(itertools.product((True, False), repeat=4)))
def test_machine_agrees(values: tuple[bool, ...]) -> None:
    """On all 170 cells, for every valuation of the four conditions."""
    table = bare(EMAIL, values)
    returns, pulls = values[:3], 1  # a Pull always has a row
    assert agree(table) == 25 + sum(returns) + pulls


@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:7] for value in ODD])
def test_only_true_is_true(value: Any) -> None:
    """A condition that gives anything but True itself does not hold, in both."""
    table = bare(EMAIL, [value] * 4)
    assert agree(table) == (29 if value is True else 26)
    parked = held_by_ann(table, "InWorkbin")
    dest = "ReplyCreated" if value is True else "Accepted"
    assert by_step(table, parked, "Pull") == dest


@pytest.mark.parametrize("name", PATHS)
def test_machine_agrees_on_real_interactions(name: str) -> None:
    """With the shipped conditions and effects, on interactions that real steps made."""
    machine = build_machine(EMAIL)
    interaction = situation(name)
    for trigger, command in COMMANDS.items():
        expected = by_transitions(machine, interaction, trigger)
        actor = natural_actor(interaction, trigger)
        try:
            found: str | None = step(interaction, command, actor=actor, at=START).interaction.state
        except NotValidInState:
            found = None
        assert found == expected, trigger


# -- any table ---------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A valid table: a chain to a final state, and more rows in any direction."""
    size = draw(st.integers(2, 6))
    names = [f"S{number}" for number in range(size)]
    triggers = [f"T{number}" for number in range(draw(st.integers(1, 4)))]
    kinds = {name: attrs.frozen(type(name, (c.Command,), {"trigger": name})) for name in triggers}
    people = {name: draw(st.sampled_from([Who.SYSTEM, Who.ANY_AGENT])) for name in triggers}
    plain: set[tuple[str, str]] = set()
    rows = []

    def add(trigger: str, source: str, dest: str, condition: Guard | None) -> None:
        if condition is None:
            if (source, trigger) in plain:
                return
            plain.add((source, trigger))
        rows.append(Row(trigger, source, dest, condition, people[trigger], hold, kinds[trigger]))

    guards = st.none() | st.sampled_from(ODD).map(Guard)
    for source, dest in itertools.pairwise(names):
        add(draw(st.sampled_from(triggers)), source, dest, Guard(draw(st.sampled_from(ODD))))
    for _ in range(draw(st.integers(0, 12))):
        source, dest = draw(st.sampled_from(names[:-1])), draw(st.sampled_from(names))
        add(draw(st.sampled_from(triggers)), source, dest, draw(guards))
    order = draw(st.permutations([name for name in triggers if people[name] is not Who.SYSTEM]))
    used = {row.trigger for row in rows}
    return Table(
        [*(StateRule(name, emitter=left) for name in names[:-1]), StateRule(names[-1], final=True)],
        draw(st.permutations(rows)),
        [name for name in order if name in used],
    )


@given(tables())
def test_machine_agrees_on_any_table(table: Table) -> None:
    """Compiled and asked directly, a table made at random goes the same ways."""
    agree(table)


@given(tables())
def test_the_first_row_whose_condition_holds_is_taken(table: Table) -> None:
    """In each cell: the rows in the order given, those with conditions first."""
    for (state, trigger), rows in table.cells.items():
        holds = [row for row in rows if row.condition is not None]
        plain = [row for row in rows if row.condition is None]
        assert [*holds, *plain] == list(rows)
        assert [row for row in table.rows if row in holds] == holds
        dests = [
            row.dest for row in rows if row.condition is None or row.condition(submitted()) is True
        ]
        expected = dests[0] if dests else None
        assert by_step(table, held_by_ann(table, state), trigger) == expected


@given(tables())
def test_capabilities_are_derived_from_the_rows(table: Table) -> None:
    """In each state: the agents' triggers with a row out of it, in the order of the table."""
    for rule in table.states:
        out = {row.trigger for row in table.rows if row.source == rule.name}
        assert table.capabilities(rule.name) == tuple(n for n in table.order if n in out)


# -- refusals ----------------------------------------------------------------------------------


def test_a_command_of_another_table_is_unknown() -> None:
    """A trigger that the table does not have is no operation, in any state."""
    forward = attrs.frozen(type("Forward", (c.Command,), {"trigger": "Forward"}))
    for name in PATHS:
        interaction = situation(name)
        with pytest.raises(UnknownOperation) as raised:
            step(interaction, forward(), actor="ann", at=START)
        error = raised.value
        assert (error.path, error.value) == ("$.operationName", "Forward")
        assert (error.state, error.trigger) == (interaction.state, "Forward")


def test_a_row_that_leaves_nobody_to_hold_it_is_refused() -> None:
    """A row into a held state must have a holder; one without is named, and nothing changes."""
    rows = [
        attrs.evolve(row, effect=None) if row.trigger == "Invite" else row for row in EMAIL.rows
    ]
    table = Table(EMAIL.states, rows, EMAIL.order)
    before = submitted(table=table)
    with pytest.raises(TableError, match="leaves nobody to hold Invited") as raised:
        step(before, COMMANDS["Invite"], actor=SYSTEM, at=START, table=table)
    assert (raised.value.interaction_id, raised.value.trigger) == (before.id, "Invite")
    assert before == submitted(table=table)


def test_a_condition_that_fails_changes_nothing() -> None:
    """An error in a team's condition or effect is for the caller to see; nothing moved."""

    class Broken(Exception):
        """A fault in a team's own code."""

    def broken(*_: object) -> Any:
        raise Broken

    before = submitted()
    changes: tuple[dict[str, Any], ...] = ({"condition": broken}, {"effect": broken})
    for change in changes:
        rows: list[Any] = [
            attrs.evolve(row, **change) if row.source == "Queued" else row for row in EMAIL.rows
        ]
        table = Table(EMAIL.states, rows, EMAIL.order)
        with pytest.raises(Broken):
            step(before, COMMANDS["Invite"], actor=SYSTEM, at=START, table=table)
        assert before == submitted()


def test_a_condition_that_looks_empty_is_still_asked() -> None:
    """A condition is there or is None; that an object with a length is empty means nothing."""

    class Empty:
        def __len__(self) -> int:
            return 0

        def __call__(self, interaction: Change) -> bool:
            return False

    rows: list[Any] = [
        attrs.evolve(row, condition=Empty()) if row.source == "Queued" else row
        for row in EMAIL.rows
    ]
    table = Table(EMAIL.states, rows, EMAIL.order)
    with pytest.raises(NotValidInState):
        step(submitted(), COMMANDS["Close"], actor=SYSTEM, at=START, table=table)
