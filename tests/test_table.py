"""The rule table: what it refuses when it is built, and what is derived from it (semantics 2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
import pytest

from lifecycle import commands as c
from lifecycle.errors import LifecycleError, TableError
from lifecycle.interaction import Change, Limits
from lifecycle.table import EMAIL, Row, StateRule, Table, capabilities, condition_label
from lifecycle.vocabulary import Operation, State, Trigger, Who


def command(name: str) -> type[c.Command]:
    """A command without parameters for a trigger."""
    made = type(name, (c.Command,), {"trigger": name, "__doc__": f"{name}."})
    return attrs.frozen(made)


COMMANDS = {name: command(name) for name in ("Open", "Work", "Shut", "Drop", "Revoke", "Return")}


def timer(change: Change, command: object, at: datetime, limits: Limits) -> datetime | None:
    """A timer."""
    return at + limits.handling_timeout


def always(interaction: Change) -> bool:
    """Always."""
    return True


def row(
    trigger: str,
    source: str,
    dest: str,
    condition: Callable[[Change], bool] | None = None,
    who: Who = Who.SYSTEM,
) -> Row:
    """A row with its trigger's command."""
    kind = COMMANDS.get(trigger) or command(trigger)
    return Row(trigger, source, dest, condition, who, None, kind)


NEW, BUSY, DONE = StateRule("New"), StateRule("Busy"), StateRule("Done", final=True)
OPEN, SHUT = row("Open", "New", "Busy"), row("Shut", "Busy", "Done")


def table(*rows: Row, states: tuple[StateRule, ...] = (NEW, BUSY, DONE), order: Any = ()) -> Table:
    """A small table: New, Open, Busy, Shut, Done; and more."""
    return Table(states, (OPEN, SHUT, *rows), order)


# -- the shipped table -------------------------------------------------------------------------


def test_the_shipped_table_has_its_size() -> None:
    """Ten states, thirty rows, seventeen triggers in 29 cells, twelve capabilities."""
    assert [rule.name for rule in EMAIL.states] == list(State)
    assert len(EMAIL.rows) == 30
    assert EMAIL.triggers == tuple(EMAIL.commands)
    assert set(EMAIL.triggers) == set(Trigger)
    assert len(EMAIL.cells) == 29
    assert EMAIL.order == tuple(Operation)
    assert EMAIL.initial == "Queued"


def test_the_rows_a_trigger_has_are_counted_in_section_2() -> None:
    """Invite 4, Accept 1, and so on: the count in brackets under the list."""
    counts = {name: sum(row.trigger == name for row in EMAIL.rows) for name in Trigger}
    assert counts == {
        "Invite": 4,
        "Accept": 1,
        "Reject": 1,
        "Revoke": 4,
        "Return": 3,
        "Close": 3,
        "Transfer": 1,
        "Reply": 1,
        "ReplyAll": 1,
        "StopProcessing": 1,
        "PlaceInQueue": 1,
        "PlaceInWorkbin": 2,
        "UpdateProperties": 2,
        "Pull": 2,
        "Cancel": 1,
        "Send": 1,
        "LinkAttachment": 1,
    }


def test_the_states_of_the_shipped_table() -> None:
    """Who is final, held, and on the page (section 2's first table and section 1's last row)."""
    by = attrs.fields(StateRule)
    marked = {
        name: [str(rule.name) for rule in EMAIL.states if getattr(rule, name)]
        for name in (by.final.name, by.held.name, by.documented.name)
    }
    assert marked == {
        "final": ["Sent", "Completed"],
        "held": ["Invited", "Accepted", "ReplyCreated"],
        "documented": ["Invited", "Accepted", "Revoked", "ReplyCreated"],
    }
    assert [rule.name for rule in EMAIL.states if rule.outgoing] == ["Sent"]


def test_names_in_a_table_are_plain_strings() -> None:
    """Members of enumerations become the strings that they are equal to."""
    for rule in EMAIL.states:
        assert type(rule.name) is str
    for one in EMAIL.rows:
        assert {type(one.trigger), type(one.source), type(one.dest)} == {str}
    assert {type(name) for name in EMAIL.order} == {str}


def test_the_wire_name_is_the_member() -> None:
    """Each member of State, Operation and Trigger is equal to its wire name."""
    names = [*State, *Operation, *Trigger]
    assert names == [member.value for member in names]
    assert {"ReplyCreated", "PlaceInWorkbin", "Pull"} < set(names)
    assert f"{Trigger.LINK_ATTACHMENT}" == "LinkAttachment"


def test_a_table_is_immutable() -> None:
    """Neither its fields nor what it derived can be changed."""
    for name in ("states", "rows", "order", "cells", "commands", "by_name"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(EMAIL, name, ())
    mappings: tuple[Any, ...] = (EMAIL.cells, EMAIL.commands, EMAIL.by_name)
    for mapping in mappings:
        with pytest.raises(TypeError):
            mapping["x"] = ()


def test_two_tables_are_equal_only_if_they_are_one() -> None:
    """A table is a key by identity, so that a compiled machine belongs to one table."""
    other = EMAIL.extend()
    assert other.rows == EMAIL.rows
    assert other != EMAIL
    assert len({other, EMAIL}) == 2


# -- what is derived ---------------------------------------------------------------------------


def test_rows_of_a_cell_are_tried_in_order_the_unconditional_one_last() -> None:
    """Conditional rows keep their order, wherever the unconditional one stands."""

    def first(interaction: Change) -> bool:
        return True

    rows = (row("Work", "Busy", "Done"), row("Work", "Busy", "New", first))
    built = table(*rows, row("Work", "Busy", "Busy", always))
    assert [one.dest for one in built.cells["Busy", "Work"]] == ["New", "Busy", "Done"]


def test_capabilities_follow_the_global_order() -> None:
    """Only triggers of agents that are in the order are capabilities, in that order."""
    rows = [row(name, "Busy", "Busy", who=Who.ANY_AGENT) for name in ("Work", "Drop", "Skip")]
    built = table(*rows, order=("Drop", "Work"))
    assert built.capabilities("Busy") == ("Drop", "Work")
    assert capabilities("Busy", built) == ("Drop", "Work")
    assert built.capabilities("New") == ()
    with pytest.raises(TableError, match="no state 'Queued'"):
        built.capabilities("Queued")


@pytest.mark.parametrize(
    ("condition", "label"),
    [
        (always, "Always"),
        (lambda interaction: True, "<lambda>"),
        (EMAIL.cells["InWorkbin", "Pull"][0].condition, "it was parked from ReplyCreated"),
        (EMAIL.cells["Rejected", "Return"][0].condition, "a transfer origin is recorded"),
    ],
)
def test_a_condition_has_a_label(condition: Any, label: str) -> None:
    """The first line of its docstring, without the stop, or else its name."""
    assert condition_label(condition) == label


def test_a_condition_without_docstring_is_labelled_by_its_name() -> None:
    """In words; an object that can be called, by the name of its class."""

    def needs_review(interaction: Change) -> bool:
        return True

    class Sometimes:
        def __call__(self, interaction: Change) -> bool:
            return True

    assert condition_label(needs_review) == "needs review"
    assert condition_label(Sometimes()) == "Sometimes"


def test_a_row_says_what_it_is() -> None:
    """Trigger, source, destination and, where there is one, the condition."""
    assert str(OPEN) == "Open: New -> Busy"
    assert str(row("Work", "Busy", "New", always)) == "Work: Busy -> New if Always"


def test_a_row_takes_an_actor_by_its_text() -> None:
    """`who` is a Who or its text."""
    named: Any = "owner"
    assert Row("Work", "Busy", "New", who=named).who is Who.OWNER


# -- extending ---------------------------------------------------------------------------------


def test_extending_gives_a_new_table() -> None:
    """States and rows are added behind the old ones; the old table is as it was."""
    base = table()
    wider = base.extend(
        states=["Aside"], rows=[row("Work", "Busy", "Aside"), row("Shut", "Aside", "Done")]
    )
    assert [rule.name for rule in wider.states] == ["New", "Busy", "Done", "Aside"]
    assert wider.rows[:2] == base.rows
    assert "Aside" not in base.by_name
    assert ("Busy", "Work") not in base.cells
    assert wider.order == base.order == ()


def test_extending_replaces_the_order_whole() -> None:
    """A new order is the whole order; without one the old stays."""
    extra = [row("Work", "Busy", "Busy", who=Who.ANY_AGENT)]
    wider = table().extend(rows=extra, order=["Work"])
    assert wider.capabilities("Busy") == ("Work",)
    assert wider.extend().order == ("Work",)
    assert wider.extend(order=[]).capabilities("Busy") == ()


def test_added_conditional_rows_come_before_an_unconditional_one() -> None:
    """In a cell that has rows, an added row with a condition is tried before the plain one."""
    wider = table().extend(rows=[row("Shut", "Busy", "New", always)])
    assert [one.dest for one in wider.cells["Busy", "Shut"]] == ["New", "Done"]


# -- refusals ----------------------------------------------------------------------------------

HELD = StateRule("Busy", held=True, timer=timer)
OWNED = row("Work", "Busy", "Busy", who=Who.OWNER)
REVOKED = row("Revoke", "Busy", "New")
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "no states": (lambda: Table((), (), ()), "needs a state"),
    "duplicate state": (lambda: table(states=(NEW, BUSY, NEW, DONE)), "state stands twice: New"),
    "name with a dot": (lambda: table(states=(NEW, BUSY, DONE, StateRule("A.b"))), "'A.b' is not"),
    "name from a digit": (lambda: table(states=(NEW, BUSY, DONE, StateRule("1a"))), "'1a' is not"),
    "empty name": (lambda: table(states=(NEW, BUSY, DONE, StateRule(""))), "'' is not"),
    "name with a break": (lambda: table(states=(NEW, BUSY, DONE, StateRule("A\n"))), "is not"),
    "bad trigger name": (lambda: table(row("to_x", "Busy", "New")), "'to_x' is not"),
    "unknown source": (lambda: table(row("Work", "Nowhere", "New")), "unknown state 'Nowhere'"),
    "unknown dest": (lambda: table(row("Work", "Busy", "Nowhere")), "unknown state 'Nowhere'"),
    "unknown actor": (lambda: Row("Work", "Busy", "New", who=UNKNOWN), "nobody is called 'boss'"),
    "duplicate row": (
        lambda: table(row("Work", "Busy", "New", always), row("Work", "Busy", "New", always)),
        "row stands twice: Work: Busy -> New if Always",
    ),
    "duplicate plain row": (lambda: table(SHUT), "row stands twice: Shut: Busy -> Done"),
    "two unconditional rows": (
        lambda: table(row("Shut", "Busy", "New")),
        "unconditional rows exclude each other: Shut: Busy -> Done; Shut: Busy -> New",
    ),
    "two kinds of actors": (
        lambda: table(row("Shut", "Busy", "New", always, Who.ANY_AGENT)),
        "Shut: Busy -> New if Always and Shut: Busy -> Done have system and agent as actors",
    ),
    "the command of another trigger": (
        lambda: table(Row("Work", "Busy", "New", command=c.Close)),
        "needs the command of Work, not Close",
    ),
    "no command": (lambda: table(Row("Work", "Busy", "New")), "needs the command of Work"),
    "two commands for a trigger": (
        lambda: table(row("Skip", "Busy", "New"), row("Skip", "New", "New")),
        "Skip: Busy -> New has another command than other rows of Skip",
    ),
    "final with exits": (lambda: table(row("Work", "Done", "New")), "Done is final, so it has no"),
    "final and held": (
        lambda: table(states=(NEW, BUSY, StateRule("Done", final=True, held=True, timer=timer))),
        "Done is final",
    ),
    "final with a timer": (
        lambda: table(states=(NEW, BUSY, StateRule("Done", final=True, timer=timer))),
        "Done is final",
    ),
    "not final, no exit": (
        lambda: table(row("Work", "Busy", "Stuck"), states=(NEW, BUSY, DONE, StateRule("Stuck"))),
        "Stuck is not final and has no exit",
    ),
    "held without a timer": (
        lambda: table(OWNED, states=(NEW, StateRule("Busy", held=True), DONE)),
        "Busy is held, so it needs a timer",
    ),
    "a timer that leads nowhere": (
        lambda: table(OWNED, states=(NEW, HELD, DONE)),
        "Busy has a timer, so it needs a row of Revoke or Return",
    ),
    "an owner where nobody holds it": (
        lambda: table(OWNED),
        "Work: Busy -> Busy is for the owner, but nobody holds Busy",
    ),
    "an invited agent where nobody holds it": (
        lambda: table(row("Work", "Busy", "New", who=Who.INVITED_AGENT)),
        "is for the invited agent, but nobody holds Busy",
    ),
    "unreachable": (
        lambda: table(row("Work", "Island", "Done"), states=(NEW, BUSY, DONE, StateRule("Island"))),
        "Island cannot be reached",
    ),
    "an unreachable ring": (
        lambda: table(
            row("Work", "A", "B"),
            row("Work", "B", "A"),
            row("Shut", "A", "Done"),
            states=(NEW, BUSY, DONE, StateRule("A"), StateRule("B")),
        ),
        "A cannot be reached",
    ),
    "no way to a final state": (
        lambda: table(
            row("Work", "Busy", "A"),
            row("Drop", "A", "B"),
            row("Drop", "B", "A"),
            states=(NEW, BUSY, DONE, StateRule("A"), StateRule("B")),
        ),
        "A has no way to a final state",
    ),
    "no final state": (
        lambda: Table((NEW, BUSY), (OPEN, row("Shut", "Busy", "New")), ()),
        "New has no way to a final state",
    ),
    "an order that names nothing": (lambda: table(order=("Fly",)), "the order names 'Fly'"),
    "an order that names the system's": (lambda: table(order=("Shut",)), "the order names 'Shut'"),
    "an order with a name twice": (
        lambda: table(row("Work", "Busy", "New", who=Who.ANY_AGENT), order=("Work", "Work")),
        "capability stands twice: Work",
    ),
}
UNKNOWN: Any = "boss"


@pytest.mark.parametrize(("build", "message"), BAD.values(), ids=list(BAD))
def test_a_table_that_does_not_hold_together_is_refused(
    build: Callable[[], object], message: str
) -> None:
    """Each fault is refused when the table is built, and the message names what it is."""
    with pytest.raises(TableError) as raised:
        build()
    assert message in str(raised.value)
    assert isinstance(raised.value, LifecycleError)
    assert isinstance(raised.value, ValueError)


def test_the_small_table_holds_together() -> None:
    """The table that the faults above are put into is itself good, also with a held state."""
    assert table().capabilities("Busy") == ()
    held = table(OWNED, REVOKED, states=(NEW, HELD, DONE), order=["Work"])
    assert held.capabilities("Busy") == ("Work",)


def test_an_extension_is_checked_like_a_table() -> None:
    """extend refuses what the class refuses."""
    with pytest.raises(TableError, match="stands twice"):
        EMAIL.extend(states=[State.SENT])
    with pytest.raises(TableError, match="cannot be reached"):
        EMAIL.extend(states=[StateRule("Aside", final=True)])
    with pytest.raises(TableError, match="unconditional rows"):
        EMAIL.extend(rows=[Row("Send", "ReplyCreated", "Completed", None, Who.OWNER, None, c.Send)])


@pytest.mark.parametrize("condition", ["parked", 1, True])
def test_a_condition_must_be_callable(condition: Any) -> None:
    """A name or a constant is no condition, and is refused when the table is built."""
    with pytest.raises(TableError):
        table(row("Work", "Busy", "New", condition))


def test_an_initial_state_that_somebody_holds_is_refused() -> None:
    """Nobody holds what was just submitted, and no timer of it runs."""
    first = StateRule("New", held=True, timer=timer)
    with pytest.raises(TableError, match="New"):
        table(row("Revoke", "New", "Busy"), states=(first, BUSY, DONE))
