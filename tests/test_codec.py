"""The documented notifications, byte for byte, and how strictly they are read (semantics 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs
import cattrs
import orjson
import pytest
from builders import (
    COMMANDS,
    ID,
    START,
    TO_ANN,
    after,
    attachment,
    mail,
    natural_actor,
    offered,
    situation,
    submitted,
)
from cattrs.preconf.json import make_converter as make_json_converter
from cattrs.preconf.orjson import make_converter as make_orjson_converter
from hypothesis import given
from hypothesis import strategies as st
from page_checker import check_notification, parse

from lifecycle import commands as c
from lifecycle import notifications as n
from lifecycle.codec import configure_converter, decode, encode, make_converter
from lifecycle.engine import step
from lifecycle.errors import InvalidParameter
from lifecycle.interaction import Attachment, Email, Interaction, UserData
from lifecycle.vocabulary import SYSTEM

HEAD = f'{{"messageTypeName":"InteractionStateMessage","id":"{ID}","channel":"email",'
MAIL = (
    '"ToAddress":"Help <help@shop.example>, Max <max@home.example>",'
    '"FromAddress":"Zoé <zoe@home.example>",'
    '"CCAddresses":["Eve <eve@work.example>","sales@shop.example"],'
    '"Subject":"Where is my order?","Text":"Hello,\\nwhere is it?",'
    '"StructuredText":"<p>Hello</p>","MimeType":"text/plain",'
    '"StructuredTextMimeType":"text/html",'
)


def left(state: str) -> str:
    """The message of Revoked's shape for a state without capabilities."""
    subject = '"email_object":{"subject":"Where is my order?"},'
    return f'{HEAD}{subject}"state":"{state}","capabilities":[]}}'


SHOWN: dict[str, tuple[str, c.Command, str, str]] = {
    "Invited": (
        "Queued",
        c.Invite(agent_id="dan"),
        "dan",
        HEAD + '"email_object":{"subject":"Where is my order?","interactionId":"' + ID + '"},'
        '"interactionType":"Email","interactionSubType":"InboundNew",'
        '"userData":{"priority":3,"tags":["new",null]},"currentQueue":"support",'
        '"state":"Invited","capabilities":["Accept","Reject"]}',
    ),
    "Accepted": (
        "Invited",
        c.Accept(),
        "ann",
        HEAD + '"email_object":{' + MAIL + '"TheComment":"a regular customer","ContactID":"C77",'
        '"attachments":[{"id":"A1","name":"bill.pdf","size":5120,"mimetype":"application/pdf"}]},'
        '"interactionType":"Email","interactionSubType":"InboundNew",'
        '"userData":{"priority":3,"tags":["new",null]},"currentQueue":"support",'
        '"inQueues":["support","billing"],"outQueues":["outbox"],'
        '"receivedAt":"2026-03-02T09:00:00Z","state":"Accepted",'
        '"capabilities":["Transfer","Reply","ReplyAll","StopProcessing","PlaceInQueue",'
        '"PlaceInWorkbin","UpdateProperties"]}',
    ),
    "ReplyCreated": (
        "Accepted",
        c.ReplyAll(text="Soon.", structured_text="<p>Soon.</p>"),
        "ann",
        HEAD + '"email_object":{"ToAddress":"Zoé <zoe@home.example>",'
        '"FromAddress":"help@shop.example",'
        '"CCAddresses":["Max <max@home.example>","Eve <eve@work.example>"],'
        '"Subject":"Re: Where is my order?","Text":"Soon.","StructuredText":"<p>Soon.</p>",'
        '"MimeType":"text/plain","StructuredTextMimeType":"text/html"},'
        '"interactionType":"Email","interactionSubType":"OutboundReply",'
        '"receivedAt":"2026-03-02T09:00:00Z","state":"ReplyCreated",'
        '"capabilities":["Cancel","Send","PlaceInWorkbin","UpdateProperties","LinkAttachment"]}',
    ),
    "Revoked": ("Invited", c.Revoke(), "ann", left("Revoked")),
    "Rejected": ("Invited", c.Reject(), "ann", left("Rejected")),
    "Transferred": ("Accepted", c.Transfer(agent_id="dan"), "ann", left("Transferred")),
    "Queued": ("Accepted", c.PlaceInQueue(queue="billing"), "ann", left("Queued")),
    "InWorkbin": ("ReplyCreated", c.PlaceInWorkbin(workbin="mine"), "ann", left("InWorkbin")),
    "Sent": ("ReplyCreated", c.Send(), "ann", left("Sent")),
    "Completed": ("Accepted", c.StopProcessing(), "ann", left("Completed")),
}
"""For each state: where it is come to from, by what, who is told, and the exact message."""


def shown(interaction: Interaction, command: c.Command) -> Any:
    """The notification of a step, by whoever would do it."""
    actor = natural_actor(interaction, command.trigger)
    return step(interaction, command, actor=actor, at=START).notification


def sample(state: str) -> Any:
    """The notification of a state, as the list above comes to it."""
    name, command, _, _ = SHOWN[state]
    return shown(situation(name), command)


# -- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", SHOWN)
def test_a_notification_is_the_documented_json(state: str) -> None:
    """Exactly the documented keys and values in the documented order, for the right agent."""
    name, command, agent_id, written = SHOWN[state]
    before = situation(name)
    result = step(before, command, actor=natural_actor(before, command.trigger), at=START)
    assert result.agent_id == agent_id
    assert encode(result.notification) == written.encode()
    assert check_notification(parse(written)) == []


def test_what_nobody_held_is_told_to_nobody() -> None:
    """Close, and Revoke from a workbin, produce no notification (semantics 4)."""
    for name, command in (("Queued", c.Close()), ("InWorkbin", c.Revoke())):
        result = step(situation(name), command, actor=SYSTEM, at=START)
        assert (result.notification, result.agent_id) == (None, None)


def test_a_notification_goes_to_the_holder_after_it() -> None:
    """Where somebody else holds it afterwards, that agent is told, and not the one before."""
    transferred = situation("Transferred")
    to_bob = step(transferred, c.Invite(agent_id="bob"), actor=SYSTEM, at=START)
    assert to_bob.agent_id == "bob"
    back = step(transferred, c.Return(), actor=SYSTEM, at=START)
    assert back.agent_id == "ann"
    assert back.notification.state == "Accepted"


def test_what_is_unknown_is_null_or_empty() -> None:
    """An empty mail of which the host knows nothing: null and "" where section 4 says so."""
    interaction = submitted(
        Email(),
        queue=None,
        user_data=None,
        our_addresses=(),
        in_queues=(),
        out_queues=(),
        contact_id=None,
        comment=None,
    )
    invited = orjson.loads(encode(shown(interaction, c.Invite(agent_id="ann"))))
    assert (invited["email_object"]["subject"], invited["currentQueue"]) == ("", None)
    assert invited["userData"] == {}
    accepted = orjson.loads(encode(shown(after(interaction, offered("ann")), c.Accept())))
    assert accepted["email_object"] == {
        "ToAddress": "",
        "FromAddress": "",
        "CCAddresses": [],
        "Subject": "",
        "Text": "",
        "StructuredText": "",
        "MimeType": "",
        "StructuredTextMimeType": "",
        "TheComment": None,
        "ContactID": None,
        "attachments": [],
    }
    assert (accepted["currentQueue"], accepted["inQueues"], accepted["outQueues"]) == (None, [], [])
    reply = orjson.loads(encode(shown(after(interaction, *TO_ANN), c.Reply())))
    assert reply["email_object"] == {
        "ToAddress": "",
        "FromAddress": "",
        "CCAddresses": [],
        "Subject": "Re: ",
        "Text": "",
        "StructuredText": "",
        "MimeType": "",
        "StructuredTextMimeType": "",
    }


def test_a_reply_carries_the_interactions_own_id() -> None:
    """The draft's id is never shown (section 8)."""
    assert sample("ReplyCreated").id == ID


def test_an_update_is_notified_in_the_same_state_with_the_new_data() -> None:
    """UpdateProperties and LinkAttachment show the state's message again (section 8)."""
    now = orjson.loads(encode(shown(situation("Accepted"), COMMANDS["UpdateProperties"])))
    assert now["state"] == "Accepted"
    assert now["userData"] == {"priority": 1, "tags": ["new", None]}
    assert now["email_object"]["TheComment"] == "called"
    replying = situation("ReplyCreated")
    edited = orjson.loads(encode(shown(replying, c.UpdateProperties(text="Today."))))
    assert (edited["state"], edited["email_object"]["Text"]) == ("ReplyCreated", "Today.")
    linked = orjson.loads(encode(shown(replying, COMMANDS["LinkAttachment"])))
    assert (linked["state"], linked["email_object"]["Text"]) == ("ReplyCreated", "Soon.")


@pytest.mark.parametrize(
    ("text", "structured", "types"),
    [
        ("", "", ("", "")),
        ("a", "", ("text/plain", "")),
        ("", "<p>", ("", "text/html")),
        ("a", "<p>", ("text/plain", "text/html")),
    ],
)
def test_a_draft_names_the_types_of_the_bodies_it_has(
    text: str, structured: str, types: tuple[str, str]
) -> None:
    """A body that is not there has no MIME type."""
    told = shown(situation("Accepted"), c.Reply(text=text, structured_text=structured))
    assert (told.email_object.mime_type, told.email_object.structured_text_mime_type) == types


def test_the_current_queue_is_where_it_was_put() -> None:
    """After PlaceInQueue the next invitation names the new queue."""
    placed = after(situation("Accepted"), ("ann", c.PlaceInQueue(queue="billing")))
    assert shown(placed, c.Invite(agent_id="bob")).current_queue == "billing"


def test_output_is_utf8_and_escapes_what_json_must() -> None:
    """Text beyond ASCII is written as it is; controls, quotes and U+FFFD survive."""
    subject = 'Größe "?" \\ \x00\x1f\u2028\ufffd\U0001f600'
    written = encode(shown(submitted(mail(subject=subject)), c.Invite(agent_id="ann")))
    assert "Größe".encode() in written
    assert "\U0001f600".encode() in written
    assert json.loads(written)["email_object"]["subject"] == subject


def test_messages_that_look_alike_are_told_apart() -> None:
    """What was shown for one interaction is never shown for another that resembles it."""
    seen = set()
    addresses = [("a@b.example",), ("c@d.example",), ()]
    for cc in addresses:  # the same id and the same number of parts
        interaction = situation("ReplyCreated", email=mail(cc_addresses=cc))
        seen.add(encode(shown(interaction, c.UpdateProperties(cc_addresses=cc))))
        for comment in (None, "", "x"):
            owned = attrs.evolve(
                situation("Accepted", email=mail(cc_addresses=cc)), comment=comment
            )
            seen.add(encode(shown(owned, c.UpdateProperties())))
    for size in (1, 2):
        email = mail(attachments=(attachment(size=size),))
        seen.add(encode(shown(situation("Accepted", email=email), c.UpdateProperties())))
    for contact in (None, "1", "2"):
        owned = situation("Accepted", contact_id=contact)
        seen.add(encode(shown(owned, c.UpdateProperties())))
    assert len(seen) == 3 + 9 + 2 + 3


def test_many_and_large_mails_are_shown_each_as_it_is() -> None:
    """However many mails are on the desks, and however large: each time its own text."""
    texts = [f"mail {number}" for number in range(600)] + ["x" * 100_000, "y" * 100_000]
    desks = [situation("ReplyCreated", email=mail(text=text)) for text in texts]
    for _ in range(2):
        for desk, text in zip(desks, texts, strict=True):
            accepted = orjson.loads(encode(shown(desk, c.Cancel())))
            assert accepted["email_object"]["Text"] == text
            reply = orjson.loads(encode(shown(desk, c.UpdateProperties(text=text[::-1]))))
            assert reply["email_object"]["Text"] == text[::-1]


def test_a_mail_with_a_lone_surrogate_is_refused_at_submission() -> None:
    """It could not be written as UTF-8 later; `parse_email` puts U+FFFD in its place."""
    for field in ("subject", "from_address", "text", "structured_text"):
        with pytest.raises(InvalidParameter):
            submitted(mail(**{field: "a\udc80b"}))
    with pytest.raises(InvalidParameter):
        submitted(mail(cc_addresses=("\udc80",)))
    with pytest.raises(InvalidParameter):
        submitted(mail(attachments=(attachment(name="\udc80"),)))


# -- what is read back -------------------------------------------------------------------------


@pytest.mark.parametrize("state", SHOWN)
def test_what_is_encoded_is_decoded_to_the_same_value(state: str) -> None:
    """Same class, same fields, from each kind of input; and its own bytes again."""
    notification = sample(state)
    written = encode(notification)
    for data in (written, bytearray(written), memoryview(written), written.decode()):
        back = decode(data)
        assert back == notification
        assert type(back) is type(notification)
        assert encode(back) == written


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
addresses = st.lists(texts, max_size=2).map(tuple)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
emails = st.builds(
    Email,
    subject=texts,
    from_address=texts,
    to_address=texts,
    cc_addresses=addresses,
    reply_to=texts,
    text=texts,
    structured_text=texts,
    attachments=st.lists(
        st.builds(
            Attachment,
            id=st.from_regex(r"[0-9A-Za-z]{1,8}", fullmatch=True),
            name=texts,
            size=st.integers(0, 2**53),
            mimetype=texts,
        ),
        max_size=2,
    ).map(tuple),
)


@given(
    email=emails,
    user_data=st.dictionaries(texts, values, max_size=3),
    queues=st.lists(texts, max_size=2),
    comment=st.none() | texts,
)
def test_whatever_is_submitted_is_shown_as_documented(
    email: Email, user_data: dict[str, Any], queues: list[str], comment: str | None
) -> None:
    """Any mail and data: the independent checker accepts each message; decode gives it back."""
    interaction = submitted(
        email, user_data=user_data, in_queues=queues, out_queues=queues, comment=comment
    )
    for actor, command in (
        *TO_ANN,
        ("ann", c.ReplyAll(text=email.text, quote_original=True)),
        ("ann", c.PlaceInWorkbin(workbin="later")),
    ):
        result = step(interaction, command, actor=actor, at=START)
        interaction = result.interaction
        written = encode(result.notification)
        assert check_notification(parse(written.decode())) == []
        assert decode(written) == result.notification
        assert orjson.loads(written).get("userData", user_data) == user_data


# -- what is refused ---------------------------------------------------------------------------


def places(value: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every key of a document but those of userData: its path, the object it is in, itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}", value, key
            if key != "userData":
                yield from places(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, f"{path}[{index}]")


def documents() -> Iterator[tuple[str, str]]:
    """Each documented message with each of its paths."""
    for state in SHOWN:
        for path, _, _ in places(json.loads(SHOWN[state][3])):
            yield state, path


DOCUMENTS = list(documents())


def broken(state: str, path: str, fault: Callable[[dict[str, Any], str], None]) -> bytes:
    """A documented message with a fault at one path."""
    document = json.loads(SHOWN[state][3])
    [(holder, key)] = [(holder, key) for at, holder, key in places(document) if at == path]
    fault(holder, key)
    return json.dumps(document).encode()


def test_every_key_of_every_message_is_tried() -> None:
    """12 of Invited, 28 of Accepted, 17 of ReplyCreated, 7 of each of the seven others."""
    assert len(DOCUMENTS) == 12 + 28 + 17 + 7 * 7


def drop(holder: dict[str, Any], key: str) -> None:
    """Leave a key out."""
    del holder[key]


def rename(holder: dict[str, Any], key: str) -> None:
    """Give a value another key."""
    holder[f"{key}x"] = holder.pop(key)


def put(value: Any) -> Callable[[dict[str, Any], str], None]:
    """Give a key another value."""

    def fault(holder: dict[str, Any], key: str) -> None:
        holder[key] = value

    return fault


@pytest.mark.parametrize(("state", "path"), DOCUMENTS)
def test_a_missing_key_is_refused(state: str, path: str) -> None:
    """All documented keys are always present."""
    with pytest.raises(InvalidParameter, match="required") as raised:
        decode(broken(state, path, drop))
    assert (raised.value.path, raised.value.value) == (path, None)


@pytest.mark.parametrize(("state", "path"), DOCUMENTS)
def test_a_renamed_key_is_refused(state: str, path: str) -> None:
    """A key that is not documented is named; a renamed state is a missing one."""
    with pytest.raises(InvalidParameter) as raised:
        decode(broken(state, path, rename))
    assert raised.value.path == (path if path == "$.state" else f"{path}x")


@pytest.mark.parametrize(("state", "path"), DOCUMENTS)
def test_an_extra_key_is_refused(state: str, path: str) -> None:
    """Beside every key another is one too many."""

    def add(holder: dict[str, Any], key: str) -> None:
        holder["extra"] = holder[key]

    with pytest.raises(InvalidParameter, match="unknown key") as raised:
        decode(broken(state, path, add))
    assert raised.value.path == f"{path.rpartition('.')[0]}.extra"


WRONG: dict[str, list[Any]] = {
    "messageTypeName": [None, 7, "interactionStateMessage", ""],
    "id": [None, 7, "", "a-1", "é1", "a b", ["a"]],
    "channel": [None, "Email", "chat"],
    "email_object": [None, [], "mail", 7],
    "interactionType": [None, "email"],
    "interactionSubType": [None, "InboundReply", ""],
    "userData": [None, [], "x", 7],
    "currentQueue": [7, False, []],
    "inQueues": [None, "support", {}, 7],
    "outQueues": [None, "support", {}, 7],
    "receivedAt": [None, 7, []],
    "capabilities": [None, "Accept", {}, ["Accept", "Accept"], ["Reject", "Accept"], ["Pull"]],
    "subject": [None, 7, []],
    "interactionId": [None, 7],
    "ToAddress": [None, ["a@b.example"], 7],
    "FromAddress": [None, ["a@b.example"], 7],
    "CCAddresses": [None, "a@b.example", {}],
    "Subject": [None, 7],
    "Text": [None, 7, True],
    "StructuredText": [None, 7],
    "MimeType": [None, 7],
    "StructuredTextMimeType": [None, 7],
    "TheComment": [7, True, []],
    "ContactID": [7, True, []],
    "attachments": [None, {}, "A1", 7],
    "name": [None, 7],
    "size": [None, "5120", 5120.0, True],
    "mimetype": [None, 7],
}


@pytest.mark.parametrize(("state", "path"), [place for place in DOCUMENTS if place[1] != "$.state"])
def test_a_value_of_a_wrong_type_is_refused(state: str, path: str) -> None:
    """At every path: a wrong type or constant is named with its path and value."""
    name = path.rpartition(".")[2]
    for value in [7, None] if path.endswith("[0].id") else WRONG[name]:
        with pytest.raises(InvalidParameter) as raised:
            decode(broken(state, path, put(value)))
        assert raised.value.path == path
        assert raised.value.value in (value, tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("$.inQueues", ["support", 7], "$.inQueues[1]"),
        ("$.outQueues", [None], "$.outQueues[0]"),
        ("$.email_object.CCAddresses", ["a@b.example", 7], "$.email_object.CCAddresses[1]"),
        ("$.email_object.attachments", ["A1"], "$.email_object.attachments[0]"),
        ("$.capabilities", ["Transfer", None], "$.capabilities[1]"),
        ("$.userData", {"a": [{"b": 2**70}]}, "$.userData.a[0].b"),
    ],
)
def test_a_wrong_item_is_named(path: str, value: Any, named: str) -> None:
    """The path of an error leads into lists."""
    with pytest.raises(InvalidParameter) as raised:
        decode(broken("Accepted", path, put(value)))
    assert raised.value.path == named


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.receivedAt", "yesterday"),
        ("$.receivedAt", "2026-03-02T09:00:00+00:00"),
        ("$.receivedAt", "2026-03-02T09:00:00.5Z"),
        ("$.receivedAt", "2026-02-30T09:00:00Z"),
        ("$.email_object.attachments[0].size", -1),
        ("$.email_object.attachments[0].id", "a-1"),
    ],
)
def test_a_value_that_is_not_the_documented_one_is_refused(path: str, value: Any) -> None:
    """Times are UTC seconds, sizes numbers of bytes, ids letters and digits (semantics 4)."""
    with pytest.raises(InvalidParameter) as raised:
        decode(broken("Accepted", path, put(value)))
    assert (raised.value.path, raised.value.value) == (path, value)


def test_an_invitation_that_names_two_interactions_is_refused() -> None:
    """The second copy of the id is the same id."""
    path = "$.email_object.interactionId"
    with pytest.raises(InvalidParameter) as raised:
        decode(broken("Invited", path, put("OTHER")))
    assert (raised.value.path, raised.value.value) == (path, "OTHER")


@pytest.mark.parametrize("state", SHOWN)
def test_a_state_makes_its_own_message(state: str) -> None:
    """Under the name of each other state a message is refused, but among those of one shape."""
    plain = set(SHOWN) - {"Invited", "Accepted", "ReplyCreated"}
    for other in set(SHOWN) - {state}:
        data = broken(state, "$.state", put(other))
        if {state, other} <= plain:
            assert decode(data).state == other
        else:
            with pytest.raises(InvalidParameter):
                decode(data)


@pytest.mark.parametrize("state", [None, 7, "", "accepted", "Forwarded", ["Accepted"], {}])
def test_an_unknown_state_is_refused(state: Any) -> None:
    """A state that the table does not have is named."""
    with pytest.raises(InvalidParameter, match="no such state") as raised:
        decode(broken("Revoked", "$.state", put(state)))
    assert (raised.value.path, raised.value.value) == ("$.state", state)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":NaN}', b"\xff", '{"id":"\\ud800"}', b"{} {}"])
def test_what_is_not_json_is_no_notification(data: bytes | str) -> None:
    """Broken JSON, broken UTF-8 and a lone surrogate are refused at the root."""
    with pytest.raises(InvalidParameter, match="not JSON") as raised:
        decode(data)
    assert (raised.value.path, raised.value.value) == ("$", data)


def test_a_key_that_stands_twice_is_no_notification() -> None:
    """A repeated key is refused, at the top and inside, with its path."""
    written = SHOWN["Invited"][3]
    for before, path in (
        ('"channel":', "$.channel"),
        ('"subject":', "$.email_object.subject"),
        ('"priority":', "$.userData.priority"),
    ):
        with pytest.raises(InvalidParameter) as raised:
            decode(written.replace(before, f'{before}"email",{before}'))
        assert raised.value.path == path


@pytest.mark.parametrize("data", [b"[]", b"null", b'"Revoked"', b"1"])
def test_a_notification_is_an_object(data: bytes) -> None:
    """Any other JSON value is refused at the root."""
    with pytest.raises(InvalidParameter, match="object") as raised:
        decode(data)
    assert raised.value.path == "$"


def test_notifications_are_immutable() -> None:
    """No field of a notification or of what is in it can be set."""
    for state in SHOWN:
        notification = sample(state)
        for part in (notification, notification.email_object):
            for field in attrs.fields(type(part)):
                with pytest.raises(attrs.exceptions.FrozenInstanceError):
                    setattr(part, field.name, "x")


def test_a_notification_can_be_made_by_hand() -> None:
    """The classes are public: one made with keywords equals the one of the step."""
    revoked = n.Left(
        id=ID,
        email_object=n.SubjectEmail(subject="Where is my order?"),
        state="Revoked",
        capabilities=(),
    )
    assert revoked == sample("Revoked")
    assert encode(revoked) == SHOWN["Revoked"][3].encode()
    invited = n.Invited(
        id=ID,
        email_object=n.InvitedEmail(subject="Where is my order?", interaction_id=ID),
        user_data={"priority": 3, "tags": ["new", None]},
        current_queue="support",
        capabilities=("Accept", "Reject"),
    )
    assert invited == sample("Invited")
    assert encode(invited) == SHOWN["Invited"][3].encode()


# -- hosts that have a converter of their own --------------------------------------------------


@attrs.frozen
class Ticket:
    """A class of a host, with things that converters treat differently."""

    name: str
    due: datetime
    age: timedelta = timedelta(0)
    tags: frozenset[str] = frozenset({"x"})


def converters() -> list[tuple[str, Callable[[], cattrs.Converter]]]:
    """Converters as hosts have them."""
    return [
        ("plain", cattrs.Converter),
        ("json", make_json_converter),
        ("orjson", make_orjson_converter),
        ("omitting defaults", lambda: cattrs.Converter(omit_if_default=True)),
        ("strict", lambda: cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)),
        ("with attrs converters", lambda: cattrs.Converter(prefer_attrib_converters=True)),
    ]


@pytest.mark.parametrize(("_name", "make"), converters())
@pytest.mark.parametrize("state", SHOWN)
def test_any_cattrs_converter_can_learn_the_notifications(
    _name: str, make: Callable[[], cattrs.Converter], state: str
) -> None:
    """It unstructures to the documented object and structures it back, whatever its settings."""
    converter = make()
    assert configure_converter(converter) is converter
    notification = sample(state)
    plain = converter.unstructure(notification)
    written = SHOWN[state][3]
    assert json.dumps(plain, ensure_ascii=False, separators=(",", ":")) == written
    assert converter.structure(json.loads(written), type(notification)) == notification


@pytest.mark.parametrize(("_name", "make"), converters())
def test_any_cattrs_converter_can_learn_the_commands(
    _name: str, make: Callable[[], cattrs.Converter]
) -> None:
    """Commands are written with their wire names and read strictly."""
    converter = configure_converter(make())
    for command in COMMANDS.values():
        plain = converter.unstructure(command)
        assert converter.structure(json.loads(json.dumps(plain)), type(command)) == command
    with pytest.raises(InvalidParameter) as raised:
        converter.structure({"agentId": "bob", "agent": 1}, c.Transfer)
    assert raised.value.path == "$.agent"


def test_a_converter_of_ones_own_names_paths_too() -> None:
    """Structuring with it raises the library's errors, with the path from the object."""
    converter = configure_converter(make_json_converter())
    document = json.loads(SHOWN["Accepted"][3])
    document["email_object"]["attachments"][0]["size"] = "big"
    with pytest.raises(InvalidParameter) as raised:
        converter.structure(document, n.Accepted)
    assert raised.value.path == "$.email_object.attachments[0].size"
    with pytest.raises(InvalidParameter) as raised:
        converter.structure([], n.Accepted)
    assert (raised.value.path, raised.value.value) == ("$", [])
    with pytest.raises(InvalidParameter) as raised:
        converter.structure({"a": {1, 2}}, UserData)
    assert raised.value.path == "$.a"


@pytest.mark.parametrize(("_name", "make"), converters())
def test_a_configured_converter_treats_other_classes_as_before(
    _name: str, make: Callable[[], cattrs.Converter]
) -> None:
    """Classes of the host, and the library's values that are no messages, stay as they were."""
    plain, configured = make(), configure_converter(make())
    for value in (Ticket("a", START), Ticket("b", START, timedelta(1), frozenset()), mail()):
        assert configured.unstructure(value) == plain.unstructure(value)
    for cls in (dict[str, int], list[str]):
        assert configured.structure(configured.unstructure(cls()), cls) == cls()


def test_a_host_can_put_a_notification_into_its_own_class() -> None:
    """A class with a field of a notification goes through the configured converter whole."""

    @attrs.frozen
    class Envelope:
        to: str
        data: n.Invited

    converter = configure_converter(make_json_converter())
    envelope = Envelope("ann", sample("Invited"))
    text = converter.dumps(envelope)
    assert json.loads(text)["data"] == json.loads(SHOWN["Invited"][3])
    assert converter.structure(json.loads(text), Envelope) == envelope


def test_make_converter_writes_bytes() -> None:
    """The library's own converter is an orjson one, and a fresh one each time."""
    converter = make_converter()
    assert converter is not make_converter()
    for state in SHOWN:
        written = SHOWN[state][3].encode()
        assert converter.dumps(sample(state)) == written
        assert converter.loads(written, type(sample(state))) == sample(state)


def test_a_message_of_ones_own_is_written_as_it_is() -> None:
    """encode takes any attrs class, for the emitters of an extended table."""

    @attrs.frozen
    class Reviewed:
        id: str
        user_data: UserData
        lists: tuple[int, ...] = (1, 2)

    message = Reviewed("A1", UserData.of({"a": "é"}))
    assert encode(message) == '{"id":"A1","user_data":{"a":"é"},"lists":[1,2]}'.encode()
