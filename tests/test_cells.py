"""All 170 cells of states and triggers: each is a row or a refusal that changes nothing.

The expectations are written out by hand from semantics 2 and 3, and not read from the table.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from builders import COMMANDS, ID, PATHS, START, Unchanged, natural_actor, situation

from lifecycle.engine import step
from lifecycle.errors import NotValidInState
from lifecycle.interaction import Interaction
from lifecycle.notifications import Accepted, Invited, Left, ReplyCreated
from lifecycle.vocabulary import SYSTEM, Operation, State, Trigger

STATES = (
    "Queued",
    "Invited",
    "Accepted",
    "Rejected",
    "Revoked",
    "ReplyCreated",
    "Transferred",
    "InWorkbin",
    "Sent",
    "Completed",
)
TRIGGERS = (
    "Invite",
    "Accept",
    "Reject",
    "Revoke",
    "Return",
    "Close",
    "Transfer",
    "Reply",
    "ReplyAll",
    "StopProcessing",
    "PlaceInQueue",
    "PlaceInWorkbin",
    "UpdateProperties",
    "Pull",
    "Cancel",
    "Send",
    "LinkAttachment",
)
CAPABILITIES = {
    "Invited": ("Accept", "Reject"),
    "Accepted": (
        "Transfer",
        "Reply",
        "ReplyAll",
        "StopProcessing",
        "PlaceInQueue",
        "PlaceInWorkbin",
        "UpdateProperties",
    ),
    "ReplyCreated": ("Cancel", "Send", "PlaceInWorkbin", "UpdateProperties", "LinkAttachment"),
}

ACCEPTED = {
    "Revoke": "Revoked",
    "Transfer": "Transferred",
    "Reply": "ReplyCreated",
    "ReplyAll": "ReplyCreated",
    "StopProcessing": "Completed",
    "PlaceInQueue": "Queued",
    "PlaceInWorkbin": "InWorkbin",
    "UpdateProperties": "Accepted",
}
WAITING = {"Invite": "Invited", "Close": "Completed"}
OFFERED = {"Accept": "Accepted", "Reject": "Rejected", "Revoke": "Revoked"}

OUTCOMES = {
    "Queued": WAITING,
    "Invited": OFFERED,
    "Invited in a transfer": OFFERED,
    "Accepted": ACCEPTED,
    "Accepted with a kept draft": ACCEPTED,
    "Rejected": WAITING,
    "Rejected in a transfer": {**WAITING, "Return": "Accepted"},
    "Rejected in a transfer to a skill": {**WAITING, "Return": "Accepted"},
    "Revoked": WAITING,
    "Revoked in a transfer": {**WAITING, "Return": "Accepted"},
    "Revoked with a kept draft": WAITING,
    "ReplyCreated": {
        "Revoke": "Revoked",
        "PlaceInWorkbin": "InWorkbin",
        "UpdateProperties": "ReplyCreated",
        "Cancel": "Accepted",
        "Send": "Sent",
        "LinkAttachment": "ReplyCreated",
    },
    "Transferred": {"Invite": "Invited", "Return": "Accepted"},
    "Transferred to a skill": {"Invite": "Invited", "Return": "Accepted"},
    "Transferred by nobody": {"Invite": "Invited"},
    "InWorkbin": {"Revoke": "Revoked", "Pull": "Accepted"},
    "InWorkbin with a kept draft": {"Revoke": "Revoked", "Pull": "Accepted"},
    "InWorkbin from ReplyCreated": {"Revoke": "Revoked", "Pull": "ReplyCreated"},
    "InWorkbin from nowhere": {"Revoke": "Revoked", "Pull": "Accepted"},
    "Sent": {},
    "Completed": {},
}
"""Where each trigger leads in each situation; a trigger that is not there is refused."""

MESSAGES: dict[str, type[Any]] = {
    "Invited": Invited,
    "Accepted": Accepted,
    "ReplyCreated": ReplyCreated,
}
CELLS = [(name, trigger) for name in OUTCOMES for trigger in TRIGGERS]


def built(name: str) -> Interaction:
    """A situation; two are beyond what steps can reach, for the other value of a condition."""
    if name == "Transferred by nobody":
        return attrs.evolve(situation("Transferred"), transfer=None)
    if name == "InWorkbin from nowhere":
        return attrs.evolve(situation("InWorkbin"), parking=None)
    return situation(name)


def state_of(name: str) -> str:
    """The state of a situation: the first word of its name."""
    return name.split()[0]


def test_the_cells_are_those_of_the_specification() -> None:
    """Ten states and seventeen triggers make 170 cells, 29 of them legal, with 30 outcomes."""
    assert tuple(State) == STATES
    assert tuple(Trigger) == TRIGGERS
    assert set(PATHS) < set(OUTCOMES)
    cells = {(state_of(name), trigger) for name, trigger in CELLS}
    assert len(cells) == 170
    legal = {
        (state_of(name), trigger, dest)
        for name, outcomes in OUTCOMES.items()
        for trigger, dest in outcomes.items()
    }
    assert len({cell[:2] for cell in legal}) == 29
    assert len(legal) == 30


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_situation_is_in_its_state(name: str) -> None:
    """The steps of each situation end in the state that it is named after."""
    assert built(name).state == state_of(name)


@pytest.mark.parametrize(
    ("name", "trigger"), [cell for cell in CELLS if cell[1] in OUTCOMES[cell[0]]]
)
def test_a_row_is_taken(name: str, trigger: str) -> None:
    """A legal cell leads to its state and holder, one version later, and tells whom it must."""
    before = built(name)
    dest = OUTCOMES[name][trigger]
    holders = {"Invite": "dan", "Return": "ann", "Pull": "cat"}
    holds = holders.get(trigger, before.agent_id) if dest in CAPABILITIES else None
    with Unchanged(before):
        result = step(before, COMMANDS[trigger], actor=natural_actor(before, trigger), at=START)
    now = result.interaction
    assert type(now) is Interaction
    assert (now.state, now.version, now.agent_id) == (dest, before.version + 1, holds)
    assert now.submission is before.submission
    assert (result.row.trigger, result.row.source, result.row.dest) == (
        trigger,
        state_of(name),
        dest,
    )
    told = holds or before.agent_id
    assert result.agent_id == told
    if told is None:
        assert result.notification is None
    else:
        assert type(result.notification) is MESSAGES.get(dest, Left)
        assert result.notification.state == dest
        assert result.notification.id == ID
        assert result.notification.capabilities == CAPABILITIES.get(dest, ())


@pytest.mark.parametrize(
    ("name", "trigger"), [cell for cell in CELLS if cell[1] not in OUTCOMES[cell[0]]]
)
def test_a_refusal_changes_nothing_and_says_why(name: str, trigger: str) -> None:
    """An illegal cell raises NotValidInState with all of its fields, whoever may do it else."""
    before = built(name)
    actor = natural_actor(before, trigger)
    with Unchanged(before), pytest.raises(NotValidInState) as raised:
        step(before, COMMANDS[trigger], actor=actor, at=START)
    error = raised.value
    assert type(error) is NotValidInState
    assert (error.status_code, error.http_status) == (2, 409)
    assert error.interaction_id == ID
    assert (error.state, error.trigger) == (state_of(name), trigger)
    assert error.capabilities == CAPABILITIES.get(state_of(name), ())
    assert error.agent_id == (None if actor is SYSTEM else actor)
    assert (error.path, error.value) == (None, None)
    for said in (ID, state_of(name), trigger):
        assert said in str(error)


def test_operations_are_the_triggers_that_can_be_capabilities() -> None:
    """Every operation is a capability of some state, and no other trigger ever is."""
    assert {name for names in CAPABILITIES.values() for name in names} == set(Operation)
    assert set(Trigger) - set(Operation) == {"Invite", "Revoke", "Return", "Close", "Pull"}
