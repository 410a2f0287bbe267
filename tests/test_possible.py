"""What an interaction can look like at all: by the shipped table, and by a team's own."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from builders import COMMANDS, PATHS, START, later, natural_actor, situation
from desks import Unmoved, desk
from test_extended_table import REVIEWED, owned, sent

from lifecycle import EMAIL, Accept, Reply, Row, Who, step
from lifecycle import commands as c
from lifecycle._possible import (
    Shape,
    check_possible,
    explained,
    is_possible,
    possible_shapes,
)
from lifecycle.errors import LifecycleError, StoreCorrupt
from lifecycle.interaction import Draft, Parking, Transfer

TO_BOB = Transfer(origin="ann", agent_id="bob", skill=None, deadline=START)
DRAFT = Draft(id="I1D1")


@pytest.mark.parametrize("name", PATHS)
def test_what_steps_lead_to_is_possible(name: str) -> None:
    """Every situation, and everything that one more step makes of it."""
    before = situation(name)
    check_possible(before)
    followed = 0
    for trigger, command in COMMANDS.items():
        try:
            made = step(before, command, actor=natural_actor(before, trigger), at=later(5))
        except LifecycleError:
            continue
        followed += 1
        assert is_possible(made.interaction), (name, trigger)
    assert followed or EMAIL.by_name[before.state].final


def test_the_shapes_of_the_shipped_table() -> None:
    """As many as there are, each state among them, and each with its holder and its timer."""
    shapes = possible_shapes(EMAIL)
    assert len(shapes) == 36
    assert {shape.state for shape in shapes} == set(EMAIL.by_name)
    for shape in shapes:
        assert shape.agent_id is EMAIL.by_name[shape.state].held
        assert (shape.parking is not None) is (shape.state == "InWorkbin")
        assert shape.transfer is not None or shape.state != "Transferred"
        assert shape.draft or shape.state != "ReplyCreated"
    timed = {shape.state for shape in shapes if shape.deadline}
    untimed = {shape.state for shape in shapes if not shape.deadline}
    assert timed & untimed == {"Rejected", "Revoked"}  # where no transfer is outstanding


@pytest.mark.parametrize(
    ("name", "changes", "path", "wanted"),
    [
        ("Queued", {"state": "Lost"}, "$.state", "a state that can be reached"),
        ("Queued", {"agent_id": "ann"}, "$.agentId", "none"),
        ("Queued", {"deadline": START}, "$.deadline", "none"),
        ("Queued", {"parking": Parking(workbin="later", source="Accepted")}, "$.parking", "none"),
        ("Queued", {"draft": DRAFT}, "$.offer", "at least 1"),
        ("Invited", {"agent_id": None}, "$.agentId", "one"),
        ("Invited", {"deadline": None}, "$.deadline", "one"),
        ("Invited", {"offer": 0}, "$.offer", "at least 1"),
        ("Accepted", {"transfer": TO_BOB}, "$.transfer", "none"),
        ("Accepted", {"deadline": None}, "$.deadline", "one"),
        ("ReplyCreated", {"draft": None}, "$.draft", "one"),
        ("Transferred", {"transfer": None}, "$.transfer", "one to agent"),
        (
            "Transferred",
            {"transfer": attrs.evolve(TO_BOB, skill="french")},
            "$.transfer",
            "one to agent",
        ),
        (
            "Transferred",
            {"transfer": attrs.evolve(TO_BOB, agent_id=None)},
            "$.transfer",
            "one to agent",
        ),
        ("Rejected in a transfer", {"deadline": None}, "$.deadline", "one"),
        ("Rejected", {"deadline": START}, "$.deadline", "none"),
        (
            "InWorkbin",
            {"parking": None},
            "$.parking",
            "one that was parked from Accepted",
        ),
        (
            "InWorkbin",
            {"parking": Parking(workbin="later", source="Queued")},
            "$.parking",
            "one that was parked from Accepted",
        ),
        ("Sent", {"agent_id": "ann"}, "$.agentId", "none"),
        ("Completed", {"offer": -1}, "$.offer", "at least 1"),
    ],
)
def test_what_cannot_be_is_named(
    name: str, changes: dict[str, Any], path: str, wanted: str
) -> None:
    """The part that does not go with the rest, what it is and what it would have to be."""
    good = situation(name)
    if name == "Completed":
        good = attrs.evolve(good, draft=DRAFT)
    bad = attrs.evolve(good, **changes)
    assert not is_possible(bad)
    why = explained(bad)
    assert (why.path, why.wanted) == (path, wanted)
    with pytest.raises(StoreCorrupt, match="cannot be") as caught:
        check_possible(bad)
    error = caught.value
    assert (error.interaction_id, error.state, error.path) == (bad.id, bad.state, path)
    assert error.value == why.found


def test_a_team_s_own_effects_may_do_anything() -> None:
    """What they might write is possible; what the state alone says still is not otherwise."""
    check_possible(owned(), REVIEWED)
    check_possible(sent().interaction, REVIEWED)
    reviewed = sent().interaction
    assert reviewed.state == "InReview"
    assert is_possible(attrs.evolve(reviewed, deadline=None), REVIEWED)  # the timer is theirs
    assert not is_possible(attrs.evolve(reviewed, agent_id="ann"), REVIEWED)
    assert not is_possible(reviewed)


def perhaps(change: object) -> bool:
    """a condition of a team's own"""
    raise NotImplementedError("nobody asks it")


def test_a_condition_of_a_team_s_own_may_hold_or_not() -> None:
    """Both what its row leads to and what the rows after it lead to are possible."""
    table = EMAIL.extend(rows=[Row("Close", "Queued", "Sent", perhaps, Who.SYSTEM, None, c.Close)])
    ends = {shape.state for shape in possible_shapes(table) if not shape.offer}
    assert ends == {"Queued", "Sent", "Completed"}


def test_what_an_erasure_leaves_is_possible() -> None:
    """A sent interaction without its draft; one that is being written needs it."""
    assert is_possible(attrs.evolve(situation("Sent"), draft=None))
    assert Shape("Sent", False, None, None, False, True, False) in possible_shapes(EMAIL)


@pytest.mark.anyio
async def test_the_service_does_not_go_on_with_what_cannot_be() -> None:
    """A request and a timer are refused and nothing is changed; others are served."""
    it = desk()
    await it.offer("ann", "I1")
    await it.offer("bob", "I2")
    stored = await it.store.interaction("I1")
    assert stored is not None
    it.store._interactions["I1"] = attrs.evolve(stored, state="ReplyCreated")
    other = desk(it.store, clock=it.clock)
    async with Unmoved(other, StoreCorrupt) as refused:
        await other.act("ann", Accept())
    refused.says(interaction_id="I1", path="$.draft", state="ReplyCreated")
    async with Unmoved(other, StoreCorrupt):
        await other.system(c.Revoke())
    assert (await other.act("bob", Accept(), Reply(text="x"), id="I2")).state == "ReplyCreated"
    await other.wait(31)  # the timer of I1 fails, in the log
    assert await other.state("I1") == "ReplyCreated"
