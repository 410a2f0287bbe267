"""A team's own table, by the public API alone: a quality review, and a Forward (semantics 2).

A reply that the user data marks for review does not leave with Send: it goes to `InReview`,
where any agent approves it, or disapproves, which gives it back to its author. `Forward` sends
the mail itself on to somebody outside and is an operation of its own, between Reply and
ReplyAll, with a notification of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import attrs
import pytest
from builders import COMMANDS, ID, START, differences, later, submitted
from test_machine import agree, bare

from lifecycle import (
    EMAIL,
    SYSTEM,
    Actor,
    Change,
    Command,
    Interaction,
    Left,
    Limits,
    Row,
    StateRule,
    Step,
    Table,
    UserData,
    Who,
    capabilities,
    decode,
    decode_command,
    encode,
    encode_command,
    expiry,
    is_waiting,
    step,
    submit,
)
from lifecycle import commands as c
from lifecycle.errors import (
    InvalidParameter,
    MissingParameter,
    NotPermitted,
    NotValidInState,
    TableError,
    UnknownOperation,
)


@attrs.frozen(kw_only=True)
class Approve(Command):
    """Let a reviewed reply leave."""

    trigger: ClassVar[str] = "Approve"


@attrs.frozen(kw_only=True)
class Disapprove(Command):
    """Give a reviewed reply back to its author."""

    trigger: ClassVar[str] = "Disapprove"
    what_is_wrong: str
    """What the author should change."""
    severity: int = 1
    """How bad it is."""


@attrs.frozen(kw_only=True)
class Forward(Command):
    """Send the mail on."""

    trigger: ClassVar[str] = "Forward"
    to_address: str
    """To whom."""
    notes: tuple[str, ...] = ()
    """What to say."""


@attrs.frozen(kw_only=True)
class UnderReview:
    """What the author sees of a reply that is under review."""

    kind: str = "Review"
    id: str
    draft_subject: str
    capabilities: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Forwarded:
    """What the agent sees of a mail that was sent on."""

    id: str
    to: str
    state: str
    user_data: UserData


def review_is_due(interaction: Change) -> bool:
    """the reply must be reviewed

    Trainees' replies are.
    """
    return interaction.user_data.get("review") is True


def ask_for_review(
    change: Change, command: c.Send, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The shipped effect of Send, and who wrote it."""
    send(change, command, actor, at, limits)
    change.user_data = change.user_data.changed(UserData.of({"author": change.agent_id}))


def give_to_author(
    change: Change, command: Disapprove, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The author owns it again."""
    change.agent_id = change.user_data["author"]
    change.comment = command.what_is_wrong


def forward(change: Change, command: Forward, actor: Actor, at: datetime, limits: Limits) -> None:
    """To whom it went is kept with the data."""
    change.user_data = change.user_data.changed(UserData.of({"forwardedTo": command.to_address}))


def in_review(interaction: Interaction, capabilities: tuple[str, ...]) -> UnderReview:
    """The message of InReview."""
    assert interaction.draft is not None
    return UnderReview(
        id=interaction.id, draft_subject=interaction.draft.subject, capabilities=capabilities
    )


def forwarded(interaction: Interaction, capabilities: tuple[str, ...]) -> Forwarded:
    """The message of Forwarded."""
    return Forwarded(
        id=interaction.id,
        to=interaction.user_data["forwardedTo"],
        state=interaction.state,
        user_data=interaction.user_data,
    )


def reviewing(change: Change, command: object, at: datetime, limits: Limits) -> datetime | None:
    """The review timer: twice the handling time."""
    return at + 2 * limits.handling_timeout


[SEND] = EMAIL.cells["ReplyCreated", "Send"]
send: Any = SEND.effect
REVIEWED = EMAIL.extend(
    states=[
        StateRule("InReview", timer=reviewing, emitter=in_review),
        StateRule("Forwarded", final=True, emitter=forwarded),
    ],
    rows=[
        Row("Send", "ReplyCreated", "InReview", review_is_due, Who.OWNER, ask_for_review, c.Send),
        Row("Approve", "InReview", "Sent", None, Who.ANY_AGENT, None, Approve),
        Row("Disapprove", "InReview", "ReplyCreated", None, Who.ANY_AGENT, give_to_author,
            Disapprove),
        Row("Revoke", "InReview", "Revoked", None, Who.SYSTEM,
            EMAIL.cells["ReplyCreated", "Revoke"][0].effect, c.Revoke),
        Row("Forward", "Accepted", "Forwarded", None, Who.OWNER, forward, Forward),
    ],
    order=[
        "Accept", "Reject", "Transfer", "Reply", "Forward", "ReplyAll", "StopProcessing",
        "PlaceInQueue", "Cancel", "Send", "PlaceInWorkbin", "UpdateProperties", "LinkAttachment",
        "Approve", "Disapprove",
    ],
)  # fmt: skip


def take(interaction: Interaction, command: Command, actor: Actor) -> Step:
    """A step on the team's table."""
    return step(interaction, command, actor=actor, at=later(10), table=REVIEWED)


def owned(*, review: bool = True) -> Interaction:
    """A mail on Ann's desk, to be reviewed or not."""
    interaction = submitted(user_data={"review": review}, table=REVIEWED)
    interaction = take(interaction, c.Invite(agent_id="ann"), SYSTEM).interaction
    return take(interaction, c.Accept(), "ann").interaction


def sent(*, review: bool = True) -> Step:
    """A reply that Ann sent."""
    replying = take(owned(review=review), c.Reply(text="Soon."), "ann").interaction
    return take(replying, c.Send(), "ann")


def test_the_condition_decides_where_send_leads() -> None:
    """The conditional row is tried before the shipped, unconditional one."""
    reviewed, plain = sent(), sent(review=False)
    assert (reviewed.interaction.state, plain.interaction.state) == ("InReview", "Sent")
    assert reviewed.interaction.user_data["author"] == "ann"
    assert "author" not in plain.interaction.user_data
    assert [row.dest for row in REVIEWED.cells["ReplyCreated", "Send"]] == ["InReview", "Sent"]


def test_the_team_has_its_own_notification() -> None:
    """The state's emitter makes the message; encode writes it; the author is told."""
    result = sent()
    assert result.agent_id == "ann"
    assert json.loads(encode(result.notification)) == {
        "kind": "Review",
        "id": ID,
        "draft_subject": "Re: Where is my order?",
        "capabilities": ["Approve", "Disapprove"],
    }


@pytest.mark.parametrize("reviewer", ["ann", "bob"])
def test_any_agent_approves(reviewer: str) -> None:
    """Any agent may, the system may not; what leaves is the draft as it was sent."""
    under_review = sent().interaction
    with pytest.raises(NotPermitted, match="only any agent may"):
        take(under_review, Approve(), SYSTEM)
    result = take(under_review, Approve(), reviewer)
    assert (result.interaction.state, result.agent_id, result.notification) == ("Sent", None, None)
    assert result.interaction.draft == under_review.draft
    assert differences(under_review, result.interaction) == {"state": "Sent", "deadline": None}


def test_disapproval_gives_it_back_to_the_author() -> None:
    """The effect names the new owner, who is told with the shipped message of ReplyCreated."""
    result = take(sent().interaction, Disapprove(what_is_wrong="too short"), "bob")
    now = result.interaction
    assert (now.state, now.agent_id, now.comment) == ("ReplyCreated", "ann", "too short")
    assert now.deadline is not None
    assert now.deadline == later(10) + Limits().handling_timeout
    assert result.agent_id == "ann"
    assert decode(encode(result.notification), table=REVIEWED) == result.notification


def test_the_team_has_its_own_timer() -> None:
    """InReview ends by itself: its deadline is set, and the system revokes it then."""
    under_review = sent().interaction
    assert under_review.deadline == later(10) + 2 * Limits().handling_timeout
    assert expiry(under_review, REVIEWED) == (c.Revoke(),)
    revoked = take(under_review, c.Revoke(), SYSTEM)
    assert (revoked.interaction.state, revoked.notification) == ("Revoked", None)
    assert is_waiting(revoked.interaction, REVIEWED)
    assert not is_waiting(under_review, REVIEWED)


def test_forward_is_an_operation() -> None:
    """The owner's alone; it has its parameters, its effect and its final state."""
    with pytest.raises(NotPermitted, match="only owner may"):
        take(owned(), Forward(to_address="x@y.example"), "bob")
    result = take(owned(), Forward(to_address="x@y.example"), "ann")
    assert (result.interaction.state, result.agent_id) == ("Forwarded", "ann")
    assert json.loads(encode(result.notification)) == {
        "id": ID,
        "to": "x@y.example",
        "state": "Forwarded",
        "user_data": {"review": True, "forwardedTo": "x@y.example"},
    }
    with pytest.raises(NotValidInState) as raised:
        take(result.interaction, c.Close(), SYSTEM)
    assert raised.value.capabilities == ()


def test_capabilities_follow_the_teams_order() -> None:
    """Forward stands where the order says; the reviewers' operations are those of InReview."""
    assert capabilities("Accepted", REVIEWED) == (
        "Transfer",
        "Reply",
        "Forward",
        "ReplyAll",
        "StopProcessing",
        "PlaceInQueue",
        "PlaceInWorkbin",
        "UpdateProperties",
    )
    assert capabilities("InReview", REVIEWED) == ("Approve", "Disapprove")
    assert capabilities("Forwarded", REVIEWED) == ()
    interaction = submitted(table=REVIEWED)
    invited = take(interaction, c.Invite(agent_id="ann"), SYSTEM).interaction
    assert take(invited, c.Accept(), "ann").notification.capabilities == capabilities(
        "Accepted", REVIEWED
    )


def test_refusals_name_the_teams_capabilities() -> None:
    """What is allowed instead is what the team's table allows."""
    with pytest.raises(NotValidInState) as raised:
        take(owned(), Approve(), "ann")
    assert raised.value.capabilities == capabilities("Accepted", REVIEWED)
    assert (raised.value.state, raised.value.trigger) == ("Accepted", "Approve")


def test_the_wire_knows_the_teams_commands() -> None:
    """decode_command reads them with the table, strictly and in camelCase."""
    command = Disapprove(what_is_wrong="too short", severity=3)
    written = encode_command(command)
    assert json.loads(written) == {
        "operationName": "Disapprove",
        "whatIsWrong": "too short",
        "severity": 3,
    }
    assert decode_command(written, table=REVIEWED) == command
    body = {"operationName": "Forward", "toAddress": "x@y.example", "notes": ["a", "b"]}
    assert decode_command(body, table=REVIEWED) == Forward(
        to_address="x@y.example", notes=("a", "b")
    )
    assert decode_command({"operationName": "Approve"}, table=REVIEWED) == Approve()


@pytest.mark.parametrize(
    ("body", "kind", "path"),
    [
        ({"operationName": "Disapprove"}, MissingParameter, "$.whatIsWrong"),
        ({"operationName": "Disapprove", "what_is_wrong": "x"}, InvalidParameter,
         "$.what_is_wrong"),
        ({"operationName": "Disapprove", "whatIsWrong": 7}, InvalidParameter, "$.whatIsWrong"),
        ({"operationName": "Disapprove", "whatIsWrong": "x", "severity": True},
         InvalidParameter, "$.severity"),
        ({"operationName": "Forward", "toAddress": "x", "notes": ["a", 7]},
         InvalidParameter, "$.notes[1]"),
        ({"operationName": "Escalate"}, UnknownOperation, "$.operationName"),
    ],
)  # fmt: skip
def test_bad_bodies_of_the_teams_commands_are_refused(
    body: dict[str, Any], kind: type[Exception], path: str
) -> None:
    """With the same errors and paths as the shipped commands."""
    with pytest.raises(InvalidParameter if kind is InvalidParameter else kind) as raised:
        decode_command(body, table=REVIEWED)
    assert type(raised.value) is kind
    assert getattr(raised.value, "path", None) == path


@attrs.frozen(kw_only=True)
class Label(Command):
    """A command with parameters of more types than the shipped ones have."""

    trigger: ClassVar[str] = "Label"
    labels: Mapping[str, str] = attrs.field(factory=dict)
    tags: list[str] = attrs.field(factory=list)
    until: float | None = None


@attrs.frozen(kw_only=True)
class Weigh(Command):
    """A command whose parameter is of either type."""

    trigger: ClassVar[str] = "Weigh"
    weight: int | str


LABELLED = EMAIL.extend(
    rows=[
        Row("Label", "Accepted", "Accepted", None, Who.OWNER, None, Label),
        Row("Weigh", "Accepted", "Accepted", None, Who.OWNER, None, Weigh),
    ],
)


@pytest.mark.parametrize(
    "given",
    [
        {"labels": {"a": "b"}},
        {"tags": ["a", "b"]},
        {"until": 1.5},
        {"until": None},
        {},
    ],
)
def test_a_teams_command_may_have_other_types(given: dict[str, Any]) -> None:
    """Maps and lists are read and written."""
    command = Label(**given)
    assert decode_command({"operationName": "Label", **given}, table=LABELLED) == command
    assert decode_command(encode_command(command), table=LABELLED) == command


@pytest.mark.parametrize(
    ("key", "value"), [("labels", 7), ("tags", 7), ("until", "x"), ("until", True)]
)
def test_a_wrong_type_in_a_teams_command_is_refused(key: str, value: Any) -> None:
    """With the library's own error and the path, whatever the type is."""
    with pytest.raises(InvalidParameter) as raised:
        decode_command({"operationName": "Label", key: value}, table=LABELLED)
    assert (raised.value.path, raised.value.value) == (f"$.{key}", value)


@pytest.mark.parametrize("weight", [3, "heavy"])
def test_a_parameter_may_be_of_either_type(weight: int | str) -> None:
    """A union is read, and what is of neither type is refused with its path."""
    body = {"operationName": "Weigh", "weight": weight}
    assert decode_command(body, table=LABELLED) == Weigh(weight=weight)
    with pytest.raises(InvalidParameter) as raised:
        decode_command({"operationName": "Weigh", "weight": []}, table=LABELLED)
    assert raised.value.path == "$.weight"


def test_the_shipped_table_is_untouched() -> None:
    """The same commands and states are unknown to the shipped table."""
    for name in ("Forward", "Approve"):
        with pytest.raises(UnknownOperation):
            decode_command({"operationName": name}, table=EMAIL)
    with pytest.raises(UnknownOperation):
        step(owned(), Forward(to_address="x"), actor="ann", at=START)
    with pytest.raises(TableError):
        capabilities("InReview")
    assert len(EMAIL.rows) == 30
    with pytest.raises(InvalidParameter) as raised:
        step(sent().interaction, c.Close(), actor=SYSTEM, at=START)
    assert raised.value.path == "$.state"


def test_the_teams_states_are_read_back_in_revokeds_shape() -> None:
    """Without an emitter of its own a state is shown as Revoked is, and decode knows its name."""
    table = EMAIL.extend(
        states=[StateRule("Forwarded", final=True)],
        rows=[Row("Forward", "Accepted", "Forwarded", None, Who.OWNER, forward, Forward)],
    )
    result = step(owned(), Forward(to_address="x"), actor="ann", at=START, table=table)
    assert type(result.notification) is Left
    written = encode(result.notification)
    assert decode(written, table=table) == result.notification
    with pytest.raises(InvalidParameter, match="no such state"):
        decode(written)


def test_a_document_of_the_teams_capabilities_is_read_with_its_table() -> None:
    """What Accepted permits differs between tables, and decode goes by the one it is given."""
    invited = take(submitted(table=REVIEWED), c.Invite(agent_id="ann"), SYSTEM).interaction
    written = encode(take(invited, c.Accept(), "ann").notification)
    assert decode(written, table=REVIEWED).capabilities == capabilities("Accepted", REVIEWED)
    with pytest.raises(InvalidParameter) as raised:
        decode(written)
    assert raised.value.path == "$.capabilities"


def test_the_machine_agrees_on_the_teams_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled and asked directly, on every cell and every value of its five conditions."""
    commands = {"Approve": Approve(), "Disapprove": Disapprove(what_is_wrong="x")}
    for name, command in {**commands, "Forward": Forward(to_address="x")}.items():
        monkeypatch.setitem(COMMANDS, name, command)
    for number in range(2**5):
        values = [bool(number >> bit & 1) for bit in range(5)]
        table: Table = bare(REVIEWED, values)
        returns = sum(
            value
            for value, row in zip(
                values, (row for row in REVIEWED.rows if row.condition), strict=True
            )
            if row.trigger == "Return"
        )
        assert agree(table) == 25 + 1 + returns + 4


def test_a_table_may_begin_elsewhere() -> None:
    """A table made from nothing: its first state is where a submission begins."""
    table = Table(
        [StateRule("Inbox"), StateRule("Gone", final=True)],
        [Row("Approve", "Inbox", "Gone", None, Who.ANY_AGENT, None, Approve)],
        ["Approve"],
    )
    interaction = submit(submitted().email, id=ID, queue=None, at=START, table=table)
    assert interaction.state == "Inbox"
    assert not is_waiting(interaction, table)
    gone = step(interaction, Approve(), actor="ann", at=START, table=table)
    assert (gone.interaction.state, gone.notification) == ("Gone", None)
