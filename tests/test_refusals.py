"""Bad input: each with its clear error, its fields, and no change (semantics 7)."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest
from builders import (
    ID,
    START,
    Unchanged,
    after,
    attachment,
    later,
    mail,
    offered,
    situation,
    submitted,
)

from lifecycle import commands as c
from lifecycle import errors as e
from lifecycle.codec import decode_command
from lifecycle.engine import step
from lifecycle.interaction import Email
from lifecycle.table import capabilities
from lifecycle.vocabulary import SYSTEM, Actor

UPDATE = "UpdateProperties"
BREAK = "Hello\r\nBcc: x@y.example"
NAN = float("nan")
FILE = {"id": "A1", "name": "bill.pdf", "size": 1, "mimetype": "application/pdf"}

BAD_BODIES: dict[str, tuple[Any, type[e.LifecycleError], str, Any]] = {
    "unknown operation": ({"operationName": "Forward"}, e.UnknownOperation, "operationName",
                          "Forward"),
    "no operation": ({"agentId": "bob"}, e.MissingParameter, "operationName", None),
    "unknown key": ({"operationName": "Accept", "offr": 1}, e.InvalidParameter, "offr", 1),
    "a Python name": ({"operationName": "Transfer", "agent_id": "bob"}, e.InvalidParameter,
                      "agent_id", "bob"),
    "wrong type": ({"operationName": "Accept", "offer": "1"}, e.InvalidParameter, "offer", "1"),
    "a number for a text": ({"operationName": "Reply", "text": 7}, e.InvalidParameter, "text", 7),
    "missing parameter": ({"operationName": "PlaceInQueue"}, e.MissingParameter, "queue", None),
    "neither target": ({"operationName": "Transfer"}, e.MissingParameter, "agentId", None),
    "both targets": ({"operationName": "Transfer", "agentId": "bob", "skill": "x"},
                     e.InvalidParameter, "skill", "x"),
    "a line break in a subject": ({"operationName": "Send", "subject": BREAK},
                                  e.InvalidParameter, "subject", BREAK),
    "a line break in a prefix": ({"operationName": "Reply", "subjectPrefix": BREAK},
                                 e.InvalidParameter, "subjectPrefix", BREAK),
    "a line break in To": ({"operationName": UPDATE, "toAddress": BREAK}, e.InvalidParameter,
                           "toAddress", BREAK),
    "a line break in Cc": ({"operationName": UPDATE, "ccAddresses": ["a@b.example", BREAK]},
                           e.InvalidParameter, "ccAddresses[1]", BREAK),
    "a line break in a file name": (
        {"operationName": "LinkAttachment", "attachment": {**FILE, "name": BREAK}},
        e.InvalidParameter, "attachment.name", BREAK),
    "an id with a dash": (
        {"operationName": "LinkAttachment", "attachment": {**FILE, "id": "a-1"}},
        e.InvalidParameter, "attachment.id", "a-1"),
    "user data with an infinity": ({"operationName": UPDATE, "userData": {"a": float("inf")}},
                                   e.InvalidParameter, "userData.a", float("inf")),
    "user data with a large integer": ({"operationName": UPDATE, "userData": {"a": [2**64]}},
                                       e.InvalidParameter, "userData.a[0]", 2**64),
    "user data with a number as key": ({"operationName": UPDATE, "userData": {"a": {7: 1}}},
                                       e.InvalidParameter, "userData.a", 7),
    "user data with a surrogate": ({"operationName": UPDATE, "userData": {"a": "\ud800"}},
                                   e.InvalidParameter, "userData.a", "\ud800"),
    "user data of another type": ({"operationName": UPDATE, "userData": {"a": {1}}},
                                  e.InvalidParameter, "userData.a", {1}),
    "user data too large": ({"operationName": UPDATE, "userData": {"a": "x" * 262_144}},
                            e.InvalidParameter, "userData", 262_144 + 8),
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "path", "value"), BAD_BODIES.values(), ids=list(BAD_BODIES)
)
def test_a_bad_body_is_refused_by_class_path_and_value(
    body: Any, kind: type[e.LifecycleError], path: str, value: Any
) -> None:
    """What does not validate never becomes a command, and the error says where and what."""
    kept = copy.deepcopy(body)
    with pytest.raises(kind) as raised:
        decode_command(body)
    error = raised.value
    assert type(error) is kind
    assert (error.path, error.value) == (f"$.{path}", value)
    assert error.status_code == (1 if kind is e.MissingParameter else 10)
    assert error.http_status == 400
    assert f"$.{path}" in error.answer()["statusMessage"]  # type: ignore[operator]  # it is a str
    assert body == kept


def test_nan_in_a_body_is_named_by_its_path() -> None:
    """NaN is equal to nothing, so it is looked at by itself; on the wire it is not even JSON."""
    with pytest.raises(e.InvalidParameter) as raised:
        decode_command({"operationName": UPDATE, "userData": {"a": [NAN]}})
    assert raised.value.path == "$.userData.a[0]"
    assert raised.value.value is NAN
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        with pytest.raises(e.InvalidParameter) as raised:
            decode_command(f'{{"operationName":"{UPDATE}","userData":{{"a":{text}}}}}')
        assert raised.value.path == "$"


def test_user_data_too_deep_is_named_by_its_path() -> None:
    """On the wire as in Python, 64 levels and no more."""
    wire = '{"a":' * 65 + "1" + "}" * 65
    with pytest.raises(e.InvalidParameter, match="deep") as raised:
        decode_command(f'{{"operationName":"{UPDATE}","userData":{wire}}}')
    assert raised.value.path == "$.userData" + ".a" * 64
    decode_command(f'{{"operationName":"{UPDATE}","userData":{wire[5:-1]}}}')


BAD_STEPS: dict[str, tuple[str, dict[str, Any], Actor, type[e.LifecycleError], str | None, Any]] = {
    "the wrong agent accepts": ("Invited", {"operationName": "Accept"}, "bob", e.NotPermitted,
                                None, "bob"),
    "the wrong agent sends": ("ReplyCreated", {"operationName": "Send"}, "bob", e.NotPermitted,
                              None, "bob"),
    "the system replies": ("Accepted", {"operationName": "Reply"}, SYSTEM, e.NotPermitted,
                           None, SYSTEM),
    "an agent revokes": ("Accepted", {"operationName": "Revoke"}, "ann", e.NotPermitted,
                         None, "ann"),
    "another offer's number": ("Invited", {"operationName": "Accept", "offer": 2}, "ann",
                               e.StaleOffer, "$.offer", 2),
    "another offer is rejected": ("Invited", {"operationName": "Reject", "offer": 2}, "ann",
                                  e.StaleOffer, "$.offer", 2),
    "not valid in the state": ("Accepted", {"operationName": "Send"}, "ann", e.NotValidInState,
                               None, None),
    "nothing to return to": ("Rejected", {"operationName": "Return"}, SYSTEM, e.NotValidInState,
                             None, None),
    "oneself as target": ("Accepted", {"operationName": "Transfer", "agentId": "ann"}, "ann",
                          e.InvalidParameter, "$.agentId", "ann"),
    "a draft where there is none": ("Accepted", {"operationName": UPDATE, "text": "x"}, "ann",
                                    e.InvalidParameter, "$.text", "x"),
    "no recipient": ("ReplyCreated", {"operationName": "Send", "toAddress": ""}, "ann",
                     e.InvalidParameter, "$.toAddress", ""),
}  # fmt: skip
CODES: dict[type[e.LifecycleError], tuple[int, int]] = {
    e.NotPermitted: (5, 403),
    e.StaleOffer: (2, 409),
    e.NotValidInState: (2, 409),
    e.InvalidParameter: (10, 400),
}


@pytest.mark.parametrize(
    ("name", "body", "actor", "kind", "path", "value"), BAD_STEPS.values(), ids=list(BAD_STEPS)
)
def test_a_bad_step_is_refused_and_changes_nothing(
    name: str,
    body: dict[str, Any],
    actor: Actor,
    kind: type[e.LifecycleError],
    path: str | None,
    value: Any,
) -> None:
    """The error has the interaction, its state, the trigger, what is allowed, and the agent."""
    before = situation(name)
    command = decode_command(json.dumps(body))
    with Unchanged(before), pytest.raises(e.LifecycleError) as raised:
        step(before, command, actor=actor, at=START)
    error = raised.value
    assert type(error) is kind
    assert (error.status_code, error.http_status) == CODES[kind]
    assert (error.path, error.value) == (path, value)
    assert (error.interaction_id, error.state, error.trigger) == (
        ID,
        before.state,
        body["operationName"],
    )
    assert error.capabilities == capabilities(before.state)
    assert error.agent_id == (None if actor is SYSTEM else actor)


@pytest.mark.parametrize("moment", [30, 31])
def test_an_accept_at_the_deadline_changes_nothing(moment: float) -> None:
    """The offer still stands for the timer to revoke, and can be revoked afterwards."""
    before = situation("Invited")
    with Unchanged(before), pytest.raises(e.DeadlinePassed) as raised:
        step(before, decode_command({"operationName": "Accept"}), actor="ann", at=later(moment))
    assert raised.value.value == before.deadline
    revoke = decode_command({"operationName": "Revoke"})
    assert step(before, revoke, actor=SYSTEM, at=later(moment)).interaction.state == "Revoked"


class Impostor(c.Command):
    """A command of another class under the trigger of a shipped one."""

    trigger = "Accept"


@pytest.mark.parametrize("command", [c.Accept, Impostor(), Impostor], ids=repr)
def test_a_command_of_another_class_is_refused(command: Any) -> None:
    """A trigger is not enough: the parameters of its own command are needed."""
    before = situation("Invited")
    with Unchanged(before), pytest.raises(e.InvalidParameter, match="must be a") as raised:
        step(before, command, actor="ann", at=START)
    error = raised.value
    assert (error.path, error.value) == ("$", command)
    assert (error.interaction_id, error.state, error.trigger) == (ID, "Invited", "Accept")
    assert (error.agent_id, error.capabilities) == ("ann", ("Accept", "Reject"))


def test_a_command_derived_from_a_shipped_one_is_taken() -> None:
    """A team's own class may bring more to a trigger than the shipped one has."""

    @attrs.frozen(kw_only=True)
    class Eager(c.Accept):
        """With something that only the team knows of."""

        how: str = "gladly"

    before = situation("Invited")
    assert step(before, Eager(), actor="ann", at=START).interaction.state == "Accepted"


@pytest.mark.parametrize("command", [None, "Accept", {"operationName": "Accept"}, 7], ids=repr)
def test_what_is_no_command_is_refused(command: Any) -> None:
    """Neither a name nor a wire object is one."""
    before = situation("Invited")
    with Unchanged(before), pytest.raises(e.InvalidParameter, match="command") as raised:
        step(before, command, actor="ann", at=START)
    assert (raised.value.path, raised.value.value) == ("$", command)


@pytest.mark.parametrize("at", ["x", None, 0, START.date(), START.replace(tzinfo=None)], ids=repr)
def test_a_time_that_is_none_is_refused(at: Any) -> None:
    """A step and a submission need a time, with its zone."""
    before = situation("Invited")
    with Unchanged(before), pytest.raises(e.InvalidParameter) as raised:
        step(before, c.Accept(), actor="ann", at=at)
    assert (raised.value.path, raised.value.value, raised.value.state) == ("$.at", at, "Invited")
    with pytest.raises(e.InvalidParameter) as raised:
        submitted(at=at)
    assert (raised.value.path, raised.value.value) == ("$.at", at)


def test_a_refused_command_can_be_corrected() -> None:
    """After a refusal the same interaction takes the right command."""
    invited = after(situation("Rejected"), offered("ann"))
    with pytest.raises(e.StaleOffer):
        step(invited, decode_command('{"operationName":"Accept","offer":1}'), actor="ann", at=START)
    accepted = step(
        invited, decode_command('{"operationName":"Accept","offer":2}'), actor="ann", at=START
    )
    assert accepted.interaction.state == "Accepted"


# -- submissions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id", ["", "a-1", "a 1", "a_1", "é1", "a\n", "\u0663", "a\0", None, 7, b"a1"]
)
def test_an_id_that_is_not_alphanumeric_is_refused(id: Any) -> None:
    """ASCII letters and digits, at least one."""
    with pytest.raises(e.InvalidParameter) as raised:
        submitted(id=id)
    assert (raised.value.path, raised.value.value) == ("$.id", id)


@pytest.mark.parametrize("id", ["0", "a", "Z9", "x" * 200])
def test_any_alphanumeric_id_is_taken(id: str) -> None:
    """Ids need not be those that the engine makes."""
    assert submitted(id=id).id == id


@pytest.mark.parametrize(
    ("argument", "value", "path"),
    [
        ("queue", 7, "$.queue"),
        ("queue", "\ud800", "$.queue"),
        ("queue", "a\0b", "$.queue"),
        ("comment", 7, "$.comment"),
        ("comment", "\ud800", "$.comment"),
        ("contact_id", 7, "$.contactId"),
        ("our_addresses", "help@shop.example", "$.ourAddresses"),
        ("our_addresses", ["help@shop.example", 7], "$.ourAddresses[1]"),
        ("our_addresses", 7, "$.ourAddresses"),
        ("in_queues", "support", "$.inQueues"),
        ("in_queues", [None], "$.inQueues[0]"),
        ("in_queues", None, "$.inQueues"),
        ("in_queues", iter(["support"]), "$.inQueues"),
        ("out_queues", "outbox", "$.outQueues"),
        ("out_queues", ["\ud800"], "$.outQueues[0]"),
        ("user_data", 7, "$.userData"),
        ("user_data", {"a": NAN}, "$.userData.a"),
        ("user_data", {1: 2}, "$.userData"),
        ("email", None, "$.email"),
        ("email", b"Subject: x", "$.email"),
    ],
)
def test_a_bad_argument_of_a_submission_is_named(argument: str, value: Any, path: str) -> None:
    """Every argument is checked, and named by its wire path."""
    with pytest.raises(e.InvalidParameter) as raised:
        submitted(**{argument: value})
    assert (raised.value.path, raised.value.http_status) == (path, 400)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        *(
            (field, value, path)
            for field, path in (
                ("subject", "subject"),
                ("from_address", "fromAddress"),
                ("to_address", "toAddress"),
                ("reply_to", "replyTo"),
                ("text", "text"),
                ("structured_text", "structuredText"),
                ("mime_type", "mimeType"),
                ("structured_text_mime_type", "structuredTextMimeType"),
            )
            for value in (None, 7, b"x", "\ud800")
        ),
        ("cc_addresses", "a@b.example", "ccAddresses"),
        ("cc_addresses", None, "ccAddresses"),
        ("cc_addresses", ("a@b.example", 7), "ccAddresses[1]"),
        ("references", "<m1@home.example>", "references"),
        ("references", None, "references"),
        ("references", ("<m1@home.example>", 7), "references[1]"),
        ("references", ("<m1@home.example>", "m2@home.example"), "references[1]"),
        ("references", ("<m1@home.example> <m2@home.example>",), "references[0]"),
        ("message_id", 7, "messageId"),
        ("message_id", "", "messageId"),
        ("message_id", "m1@home.example", "messageId"),
        ("message_id", "<m1@home.example>\r\nBcc: x@y.example", "messageId"),
        ("message_id", "<m1@h\u00f6me.example>", "messageId"),
        ("message_id", "<>", "messageId"),
        ("message_id", f"<{'x' * 901}>", "messageId"),
        ("date", "2026-03-02T08:59:00Z", "date"),
        ("date", 1772441940, "date"),
        ("date", START.replace(tzinfo=None), "date"),
        ("is_auto_reply", None, "isAutoReply"),
        ("is_auto_reply", "yes", "isAutoReply"),
        ("is_delivery_report", 1, "isDeliveryReport"),
        ("attachments", None, "attachments"),
        ("attachments", "A1", "attachments"),
        ("attachments", [], "attachments"),
        ("attachments", ("A1",), "attachments[0]"),
        ("attachments", (attachment(), attachment(id="a-1")), "attachments[1].id"),
        ("attachments", (attachment(name=7),), "attachments[0].name"),
        ("attachments", (attachment(size=-1),), "attachments[0].size"),
        ("attachments", (attachment(size="1"),), "attachments[0].size"),
        ("attachments", (attachment(mimetype=None),), "attachments[0].mimetype"),
    ],
)
def test_a_bad_field_of_a_mail_is_named(field: str, value: Any, path: str) -> None:
    """Also where the mail was not parsed but made by the host."""
    with pytest.raises(e.InvalidParameter) as raised:
        submitted(mail(**{field: value}))
    assert raised.value.path == f"$.email.{path}"
    assert raised.value.status_code == 10


def test_any_message_id_in_angle_brackets_is_taken() -> None:
    """Senders put many things there, and a reply must name what they put."""
    ids = ("<a>", "<a@b@c>", '<"odd id"@x>'.replace(" ", ""), f"<{'x' * 900}>")
    for message_id in (*ids, None):
        assert submitted(mail(message_id=message_id)).email.message_id == message_id
    assert submitted(mail(references=ids)).email.references == ids


def test_lists_of_a_submission_are_its_own() -> None:
    """Changing a list afterwards changes nothing in the interaction."""
    queues = ["support"]
    interaction = submitted(mail(), in_queues=queues)
    queues.append("billing")
    assert interaction.submission.in_queues == ("support",)


# -- the errors themselves ---------------------------------------------------------------------

TABLE_OF_REFUSALS: dict[type[e.LifecycleError], tuple[int | None, int]] = {
    e.MissingParameter: (1, 400),
    e.NotValidInState: (2, 409),
    e.StaleOffer: (2, 409),
    e.DeadlinePassed: (2, 409),
    e.RaceLost: (2, 409),
    e.Forbidden: (3, 409),
    e.AgentNotReady: (3, 409),
    e.AgentAtCapacity: (3, 409),
    e.BacklogFull: (3, 409),
    e.StreamStopped: (3, 409),
    e.InternalError: (4, 500),
    e.NotPermitted: (5, 403),
    e.NotFound: (6, 404),
    e.InvalidParameter: (10, 400),
    e.UnknownOperation: (10, 400),
    e.OperationIdReused: (10, 400),
    e.AlreadyExists: (18, 409),
    e.NotAuthenticated: (20, 401),
    e.TooLarge: (None, 413),
    e.MailTooLarge: (None, 413),
    e.MailTooDeep: (None, 413),
    e.MailTooManyParts: (None, 413),
    e.TooManyRequests: (None, 429),
}


@pytest.mark.parametrize("kind", TABLE_OF_REFUSALS)
def test_every_refusal_has_the_codes_of_section_7(kind: type[e.LifecycleError]) -> None:
    """Status code and HTTP status, and the body of the answer."""
    status, http = TABLE_OF_REFUSALS[kind]
    error = kind("no")
    assert (error.status_code, error.http_status) == (status, http)
    body = {"statusMessage": "no"}
    assert error.answer() == (body if status is None else {"statusCode": status, **body})
    assert isinstance(error, e.LifecycleError)


def test_every_error_has_one_root() -> None:
    """No exception of the module stands beside LifecycleError."""
    kinds = [
        value
        for value in vars(e).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    ]
    assert all(issubclass(kind, e.LifecycleError) for kind in kinds)
    assert set(TABLE_OF_REFUSALS) < set(kinds)


def full() -> e.NotValidInState:
    """An error with every field."""
    return e.NotValidInState(
        "not now",
        interaction_id="I1",
        state="Accepted",
        trigger="Send",
        capabilities=("Transfer", "Reply"),
        agent_id="ann",
        path="$.text",
        value="x",
    )


def test_an_error_says_what_is_set() -> None:
    """The text names path and value, then the fields that are there."""
    assert str(full()) == (
        "not now at $.text: 'x' [interaction=I1, state=Accepted, trigger=Send, agent=ann, "
        "capabilities=['Transfer', 'Reply']]"
    )
    assert str(e.NotFound("no such queue", agent_id="ann")) == "no such queue [agent=ann]"
    assert str(e.NotFound()) == "NotFound"
    assert str(e.NotFound(state="Sent")) == "NotFound [state=Sent, capabilities=[]]"


def test_a_long_value_is_cut_in_the_text_and_whole_in_the_field() -> None:
    """An error of a large parameter can be read."""
    value = "x" * 10_000
    error = e.InvalidParameter("too long", path="$.text", value=value)
    assert error.value == value
    assert str(error) == "too long at $.text: '" + "x" * 116 + "..."
    assert e.shown("x" * 118) == repr("x" * 118)
    assert len(e.shown("x" * 119)) == 120


def test_an_error_goes_through_pickle_and_copy() -> None:
    """Another process sees the same class, fields and text."""
    error = full()
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is e.NotValidInState
        assert vars(other) == vars(error)
        assert str(other) == str(error)


def test_an_email_may_be_empty() -> None:
    """A mail of which nothing is known is still an interaction."""
    assert submitted(Email()).email.subject == ""
