"""The commands of section 2a: names, defaults, what each refuses, and their wire JSON."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import attrs
import pytest
from builders import COMMANDS, attachment

from lifecycle import commands as c
from lifecycle.codec import decode_command, encode_command
from lifecycle.errors import InvalidParameter, LifecycleError, MissingParameter, UnknownOperation
from lifecycle.interaction import Attachment, UserData
from lifecycle.vocabulary import Trigger

REPLY = {
    "text": "",
    "structuredText": "",
    "subjectPrefix": "Re: ",
    "quoteOriginal": False,
    "replyToStartLine": "",
    "indentCharacter": "> ",
}
EDITS = {
    "subject": None,
    "text": None,
    "structuredText": None,
    "toAddress": None,
    "ccAddresses": None,
}
DEFAULTS: dict[str, tuple[c.Command, dict[str, Any]]] = {
    "Invite": (c.Invite(agent_id="bob"), {"agentId": "bob", "deliveringTimeout": None}),
    "Accept": (c.Accept(), {"offer": None}),
    "Reject": (c.Reject(), {"offer": None, "reason": None}),
    "Revoke": (c.Revoke(), {"reason": None}),
    "Return": (c.Return(), {}),
    "Close": (c.Close(), {"reason": None}),
    "Transfer": (c.Transfer(agent_id="bob"), {"agentId": "bob", "skill": None}),
    "Reply": (c.Reply(), REPLY),
    "ReplyAll": (c.ReplyAll(), REPLY),
    "StopProcessing": (c.StopProcessing(), {"reason": None}),
    "PlaceInQueue": (c.PlaceInQueue(queue="q"), {"queue": "q"}),
    "PlaceInWorkbin": (c.PlaceInWorkbin(workbin="w"), {"workbin": "w"}),
    "UpdateProperties": (
        c.UpdateProperties(),
        {**EDITS, "userData": {}, "deleteKeys": [], "comment": None},
    ),
    "Pull": (c.Pull(), {}),
    "Cancel": (c.Cancel(), {}),
    "Send": (c.Send(), {**EDITS, "queue": None}),
    "LinkAttachment": (
        c.LinkAttachment(attachment=Attachment(id="A1", name="a", size=0, mimetype="text/plain")),
        {"attachment": {"id": "A1", "name": "a", "size": 0, "mimetype": "text/plain"}},
    ),
}
"""Every command with its required parameters, and all of its parameters on the wire."""

GIVEN: list[tuple[str, c.Command]] = [
    (
        '{"operationName":"Invite","agentId":"bob","deliveringTimeout":2.5}',
        c.Invite(agent_id="bob", delivering_timeout=2.5),
    ),
    (
        '{"operationName":"Invite","agentId":"bob","deliveringTimeout":45}',
        c.Invite(agent_id="bob", delivering_timeout=45),
    ),
    ('{"operationName":"Accept","offer":1}', c.Accept(offer=1)),
    ('{"operationName":"Accept","offer":null}', c.Accept()),
    ('{"operationName":"Reject","offer":3,"reason":"busy"}', c.Reject(offer=3, reason="busy")),
    ('{"reason":"late","operationName":"Revoke"}', c.Revoke(reason="late")),
    ('{"operationName":"Return"}', c.Return()),
    ('{"operationName":"Close","reason":""}', c.Close(reason="")),
    ('{"operationName":"Transfer","agentId":"bob"}', c.Transfer(agent_id="bob")),
    ('{"operationName":"Transfer","agentId":"bob","skill":null}', c.Transfer(agent_id="bob")),
    ('{"operationName":"Transfer","skill":"french"}', c.Transfer(skill="french")),
    (
        '{"operationName":"Reply","text":"a","structuredText":"<p>","subjectPrefix":"AW: ",'
        '"quoteOriginal":true,"replyToStartLine":"You wrote:","indentCharacter":"| "}',
        c.Reply(
            text="a",
            structured_text="<p>",
            subject_prefix="AW: ",
            quote_original=True,
            reply_to_start_line="You wrote:",
            indent_character="| ",
        ),
    ),
    ('{"operationName":"ReplyAll","text":"é\\n"}', c.ReplyAll(text="é\n")),
    ('{"operationName":"StopProcessing","reason":"done"}', c.StopProcessing(reason="done")),
    ('{"operationName":"PlaceInQueue","queue":"billing"}', c.PlaceInQueue(queue="billing")),
    ('{"operationName":"PlaceInWorkbin","workbin":"mine"}', c.PlaceInWorkbin(workbin="mine")),
    (
        '{"operationName":"UpdateProperties","userData":{"a":[1,{"b":null}]},"deleteKeys":["c"],'
        '"comment":"","subject":"s","text":"t","structuredText":"u","toAddress":"a@b.example",'
        '"ccAddresses":["c@d.example"]}',
        c.UpdateProperties(
            user_data={"a": [1, {"b": None}]},
            delete_keys=["c"],
            comment="",
            subject="s",
            text="t",
            structured_text="u",
            to_address="a@b.example",
            cc_addresses=["c@d.example"],
        ),
    ),
    ('{"operationName":"Pull"}', c.Pull()),
    ('{"operationName":"Cancel"}', c.Cancel()),
    (
        '{"operationName":"Send","subject":"s","ccAddresses":[],"queue":"out"}',
        c.Send(subject="s", cc_addresses=(), queue="out"),
    ),
    (
        '{"operationName":"LinkAttachment","attachment":'
        '{"id":"A1","name":"bill.pdf","size":5120,"mimetype":"application/pdf"}}',
        c.LinkAttachment(attachment=attachment()),
    ),
]


def test_there_is_a_command_for_every_trigger() -> None:
    """Seventeen commands, each named like its trigger on the wire and in Python."""
    assert list(DEFAULTS) == list(Trigger)
    for name, (command, _) in DEFAULTS.items():
        assert type(command).__name__ == name
        assert command.trigger == name
        assert type(command.trigger) is str


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_those_of_section_2a(name: str) -> None:
    """What is not given has the documented default, in the documented wire names."""
    command, parameters = DEFAULTS[name]
    assert json.loads(encode_command(command)) == {"operationName": name, **parameters}


@pytest.mark.parametrize("name", DEFAULTS)
def test_only_the_required_parameters_are_required(name: str) -> None:
    """A body with nothing but what has no default gives the command of the defaults."""
    command, parameters = DEFAULTS[name]
    required = {"agentId", "queue", "workbin", "attachment"} & parameters.keys()
    body = {key: parameters[key] for key in required if parameters[key] is not None}
    assert decode_command({"operationName": name, **body}) == command


@pytest.mark.parametrize(("wire", "command"), GIVEN)
def test_a_body_gives_its_command(wire: str, command: c.Command) -> None:
    """Wire JSON, as text, bytes, other bytes and object, gives the command and all its values."""
    decoded = decode_command(wire)
    assert decoded == command
    assert type(decoded) is type(command)
    data = wire.encode()
    for same in (data, bytearray(data), memoryview(data), json.loads(wire)):
        assert decode_command(same) == command


def test_bodies_of_every_command_are_tested() -> None:
    """The list above has every trigger."""
    assert {command.trigger for _, command in GIVEN} == set(Trigger)


@pytest.mark.parametrize("command", [*COMMANDS.values(), *(command for _, command in GIVEN)])
def test_what_is_written_is_read_back(command: c.Command) -> None:
    """encode_command writes UTF-8 JSON, operationName first, that decode_command reads."""
    written = encode_command(command)
    assert written.startswith(b'{"operationName":"%s"' % command.trigger.encode())
    assert decode_command(written) == command


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_unknown_key_is_refused(name: str) -> None:
    """A key that the command does not have is refused, not ignored; snake_case is unknown too."""
    _, parameters = DEFAULTS[name]
    for key in ("agent", "agent_id", "trigger", "", "a b"):
        with pytest.raises(InvalidParameter, match="unknown key") as raised:
            decode_command({"operationName": name, **parameters, key: 5})
        assert (raised.value.path, raised.value.value) == (f"$.{key}", 5)
        assert (raised.value.status_code, raised.value.http_status) == (10, 400)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.operationName"),
        ({"agentId": "bob"}, "$.operationName"),
        ({"operationName": "Invite"}, "$.agentId"),
        ({"operationName": "Transfer"}, "$.agentId"),
        ({"operationName": "Transfer", "agentId": None, "skill": None}, "$.agentId"),
        ({"operationName": "PlaceInQueue"}, "$.queue"),
        ({"operationName": "PlaceInWorkbin"}, "$.workbin"),
        ({"operationName": "LinkAttachment"}, "$.attachment"),
    ],
)
def test_a_missing_parameter_is_named(body: dict[str, Any], path: str) -> None:
    """Status 1 with the path of what is missing; neither of Transfer's targets is missing one."""
    with pytest.raises(MissingParameter) as raised:
        decode_command(body)
    error = raised.value
    assert (error.status_code, error.http_status) == (1, 400)
    assert (error.path, error.value) == (path, None)


@pytest.mark.parametrize("name", ["accept", "Forward", "", "CancelReply", 7, None, ["Accept"]])
def test_an_unknown_operation_is_refused(name: Any) -> None:
    """Names are exact; what is no string is no operation either."""
    with pytest.raises(UnknownOperation) as raised:
        decode_command({"operationName": name})
    error = raised.value
    assert (error.status_code, error.http_status) == (10, 400)
    assert (error.path, error.value) == ("$.operationName", name)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", "{'a':1}", b'{"operationName":NaN}', "[" * 9])
def test_what_is_not_json_is_refused(data: bytes | str) -> None:
    """Broken JSON is an invalid parameter at the root."""
    with pytest.raises(InvalidParameter, match="not JSON") as raised:
        decode_command(data)
    assert (raised.value.path, raised.value.value) == ("$", data)


@pytest.mark.parametrize("data", [b"null", "[]", b'"Accept"', "7", b"true"])
def test_what_is_not_an_object_is_refused(data: bytes | str) -> None:
    """A body is a JSON object."""
    with pytest.raises(InvalidParameter, match="object") as raised:
        decode_command(data)
    assert raised.value.path == "$"


LONG = 86_400 * 365
FILE = {"id": "A1", "name": "bill.pdf", "size": 5120, "mimetype": "application/pdf"}
BREAKS = ["a\nb", "a\r\nb", "a\rb", "a\n", "\na", "a\0b"]
WRONG: list[tuple[str, str, list[Any]]] = [
    ("Invite", "agentId", [None, 7, True, "", ["bob"]]),
    ("Invite", "deliveringTimeout", ["30", True, 0, -1, 0.0, LONG + 1, 10**40, []]),
    ("Accept", "offer", ["1", 1.0, True, 0, -1]),
    ("Reject", "offer", ["1", 1.5, False, 0]),
    ("Reject", "reason", [7, True, [], {}]),
    ("Revoke", "reason", [7]),
    ("Close", "reason", [7]),
    ("StopProcessing", "reason", [7]),
    ("Transfer", "agentId", ["", 7, True]),
    ("Transfer", "skill", ["", 7, True]),
    ("Reply", "text", [None, 7, ["a"]]),
    ("Reply", "structuredText", [None, 7]),
    ("Reply", "subjectPrefix", [None, 7, *BREAKS]),
    ("Reply", "quoteOriginal", [None, 0, 1, "true"]),
    ("Reply", "replyToStartLine", [None, 7]),
    ("Reply", "indentCharacter", [None, 7]),
    ("ReplyAll", "subjectPrefix", BREAKS),
    ("ReplyAll", "quoteOriginal", [1]),
    ("PlaceInQueue", "queue", [None, "", 7]),
    ("PlaceInWorkbin", "workbin", [None, "", 7]),
    ("UpdateProperties", "userData", [None, 7, "a", [], [["a", 1]]]),
    ("UpdateProperties", "deleteKeys", [None, "a", {"a": 1}, 7]),
    ("UpdateProperties", "comment", [7, []]),
    ("UpdateProperties", "subject", [7, *BREAKS]),
    ("UpdateProperties", "text", [7]),
    ("UpdateProperties", "structuredText", [7]),
    ("UpdateProperties", "toAddress", [7, ["a@b.example"], *BREAKS]),
    ("UpdateProperties", "ccAddresses", ["a@b.example", 7, {"a": 1}]),
    ("Send", "subject", [7, *BREAKS]),
    ("Send", "toAddress", [7, *BREAKS]),
    ("Send", "ccAddresses", ["a@b.example", 7]),
    ("Send", "queue", ["", 7]),
    ("LinkAttachment", "attachment", [None, "A1", 7, []]),
]
"""Command, parameter on the wire, and values that it must refuse at that very path."""
WRONG_INSIDE: list[tuple[str, dict[str, Any], str, Any]] = [
    ("UpdateProperties", {"deleteKeys": ["a", 7]}, "$.deleteKeys[1]", 7),
    ("UpdateProperties", {"ccAddresses": ["a", None]}, "$.ccAddresses[1]", None),
    ("Send", {"ccAddresses": ["a@b.example", "c\r\nBcc: d"]}, "$.ccAddresses[1]", "c\r\nBcc: d"),
    ("UpdateProperties", {"ccAddresses": ["c\n"]}, "$.ccAddresses[0]", "c\n"),
    ("LinkAttachment", {"attachment": {**FILE, "id": "a-1"}}, "$.attachment.id", "a-1"),
    ("LinkAttachment", {"attachment": {**FILE, "id": ""}}, "$.attachment.id", ""),
    ("LinkAttachment", {"attachment": {**FILE, "id": "é"}}, "$.attachment.id", "é"),
    ("LinkAttachment", {"attachment": {**FILE, "id": 7}}, "$.attachment.id", 7),
    ("LinkAttachment", {"attachment": {**FILE, "name": "a\nb"}}, "$.attachment.name", "a\nb"),
    ("LinkAttachment", {"attachment": {**FILE, "name": None}}, "$.attachment.name", None),
    ("LinkAttachment", {"attachment": {**FILE, "size": -1}}, "$.attachment.size", -1),
    ("LinkAttachment", {"attachment": {**FILE, "size": 1.0}}, "$.attachment.size", 1.0),
    ("LinkAttachment", {"attachment": {**FILE, "size": True}}, "$.attachment.size", True),
    ("LinkAttachment", {"attachment": {**FILE, "mimetype": "a\r"}}, "$.attachment.mimetype", "a\r"),
    ("LinkAttachment", {"attachment": {**FILE, "extra": 1}}, "$.attachment.extra", 1),
    ("UpdateProperties", {"userData": {"a": {"b": [1, {"c": {1}}]}}}, "$.userData.a.b[1].c", {1}),
]
SNAKE = {
    "agentId": "agent_id",
    "deliveringTimeout": "delivering_timeout",
    "structuredText": "structured_text",
    "subjectPrefix": "subject_prefix",
    "quoteOriginal": "quote_original",
    "replyToStartLine": "reply_to_start_line",
    "indentCharacter": "indent_character",
    "userData": "user_data",
    "deleteKeys": "delete_keys",
    "toAddress": "to_address",
    "ccAddresses": "cc_addresses",
}
CASES = [(name, key, value) for name, key, values in WRONG for value in values]


@pytest.mark.parametrize(("name", "key", "value"), CASES)
def test_a_wrong_value_is_refused_on_the_wire(name: str, key: str, value: Any) -> None:
    """Type and range of every parameter are checked, and the error names path and value."""
    _, parameters = DEFAULTS[name]
    body = {**parameters, key: value}
    if key == "skill":
        del body["agentId"]
    with pytest.raises(InvalidParameter) as raised:
        decode_command({"operationName": name, **body})
    error = raised.value
    assert (error.path, error.value) == (f"$.{key}", value)
    assert (error.status_code, error.http_status) == (10, 400)
    assert f"$.{key}" in str(error)


@pytest.mark.parametrize(("name", "key", "value"), CASES)
def test_a_wrong_value_is_refused_in_python(name: str, key: str, value: Any) -> None:
    """The same values are refused by the command itself, with the wire's path."""
    command, parameters = DEFAULTS[name]
    given = {SNAKE.get(k, k): v for k, v in {**parameters, key: value}.items()}
    if key == "skill":
        del given["agent_id"]
    with pytest.raises(InvalidParameter) as raised:
        type(command)(**given)
    assert (raised.value.path, raised.value.value) == (f"$.{key}", value)


@pytest.mark.parametrize(("name", "body", "path", "value"), WRONG_INSIDE)
def test_a_wrong_value_inside_a_parameter_is_named(
    name: str, body: dict[str, Any], path: str, value: Any
) -> None:
    """The path leads into lists and objects."""
    with pytest.raises(InvalidParameter) as raised:
        decode_command({"operationName": name, **body})
    assert (raised.value.path, raised.value.value) == (path, value)


@pytest.mark.parametrize("key", FILE)
def test_an_attachment_has_all_of_its_keys(key: str) -> None:
    """Each key of an attachment is required, and named by its path."""
    body = {name: value for name, value in FILE.items() if name != key}
    with pytest.raises(LifecycleError) as raised:
        decode_command({"operationName": "LinkAttachment", "attachment": body})
    assert (raised.value.path, raised.value.http_status) == (f"$.attachment.{key}", 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "a 1"), ("name", "a\nb"), ("mimetype", 7), ("size", "1"), ("size", True)],
)
def test_an_attachment_made_in_python_is_checked_when_it_is_linked(field: str, value: Any) -> None:
    """LinkAttachment checks each field of the attachment that it is given."""
    with pytest.raises(InvalidParameter) as raised:
        c.LinkAttachment(attachment=attachment(**{field: value}))
    assert (raised.value.path, raised.value.value) == (f"$.attachment.{field}", value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_timeout_is_finite(value: float) -> None:
    """No offer runs for ever or for no number of seconds."""
    with pytest.raises(InvalidParameter) as raised:
        c.Invite(agent_id="bob", delivering_timeout=value)
    assert raised.value.path == "$.deliveringTimeout"


SURROGATES: list[tuple[str, type[Any], dict[str, Any]]] = [
    ("$.agentId", c.Invite, {"agent_id": "\ud800"}),
    ("$.skill", c.Transfer, {"skill": "\udfff"}),
    ("$.reason", c.Reject, {"reason": "a\ud800"}),
    ("$.text", c.Reply, {"text": "\ud83d"}),
    ("$.subjectPrefix", c.Reply, {"subject_prefix": "\ud800"}),
    ("$.comment", c.UpdateProperties, {"comment": "\ud800"}),
    ("$.deleteKeys[0]", c.UpdateProperties, {"delete_keys": ["\ud800"]}),
    ("$.ccAddresses[0]", c.Send, {"cc_addresses": ["\ud800"]}),
    ("$.userData.a", c.UpdateProperties, {"user_data": {"a": "\ud800"}}),
    ("$.attachment.name", c.LinkAttachment, {"attachment": attachment(name="\ud800")}),
]


@pytest.mark.parametrize(("path", "command", "given"), SURROGATES)
def test_no_text_holds_a_lone_surrogate(
    path: str, command: type[Any], given: dict[str, Any]
) -> None:
    """What cannot be written as UTF-8 is refused before it can reach a notification."""
    with pytest.raises(InvalidParameter, match="surrogate") as raised:
        command(**given)
    assert raised.value.path == path
    assert str(raised.value).isascii()


def test_both_targets_of_a_transfer_are_refused() -> None:
    """Status 10, where neither target is status 1."""
    both = {"operationName": "Transfer", "agentId": "bob", "skill": "french"}
    for attempt in (
        partial(c.Transfer, agent_id="bob", skill="french"),
        partial(decode_command, both),
    ):
        with pytest.raises(InvalidParameter, match="exclude") as raised:
            attempt()
        assert (raised.value.path, raised.value.value) == ("$.skill", "french")
        assert raised.value.trigger == "Transfer"
    with pytest.raises(MissingParameter) as missing:
        c.Transfer()
    assert (missing.value.path, missing.value.trigger) == ("$.agentId", "Transfer")


def test_a_text_may_hold_line_breaks() -> None:
    """Only header values are one line; bodies, reasons and quoting lines are free."""
    c.Reply(text="a\nb", reply_to_start_line="On Monday\nyou wrote:", indent_character="\t")
    c.UpdateProperties(text="a\r\nb", structured_text="<p>\n", comment="a\nb")
    c.Reject(reason="a\nb")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_is_immutable_and_hashable(command: c.Command) -> None:
    """A command can be shared: nothing in it can be set, and its lists were copied."""
    for field in attrs.fields(type(command)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(command, field.name, None)
    assert hash(command) == hash(attrs.evolve(command))


def test_a_command_keeps_its_own_lists() -> None:
    """Changing the list or the map that it was made of changes nothing in the command."""
    addresses, keys, data = ["a@b.example"], ["k"], {"x": [1]}
    command = c.UpdateProperties(cc_addresses=addresses, delete_keys=keys, user_data=data)
    addresses.append("c@d.example")
    keys.clear()
    data["x"].append(2)
    assert command.cc_addresses == ("a@b.example",)
    assert command.delete_keys == ("k",)
    assert command.user_data == UserData.of({"x": [1]})


def test_commands_take_keywords_only() -> None:
    """Parameters are named, so that their order means nothing."""
    with pytest.raises(TypeError):
        c.Accept(1)  # type: ignore[call-arg]  # that it fails is the test


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_a_wire_integer_beyond_64_bits_is_refused(number: int) -> None:
    """It does not become a float on its way in: refused with its path (semantics 4)."""
    wire = b'{"operationName":"UpdateProperties","userData":{"a":[{"n":%d}]}}' % number
    with pytest.raises(InvalidParameter) as raised:
        decode_command(wire)
    assert raised.value.path == "$.userData.a[0].n"


@pytest.mark.parametrize("digits", [100, 5_000, 100_000])
def test_an_integer_of_any_length_is_refused(digits: int) -> None:
    """Also one that Python itself would not turn into a number."""
    wire = b'{"operationName":"UpdateProperties","userData":{"n":-%s}}' % (b"9" * digits)
    with pytest.raises(InvalidParameter):
        decode_command(wire)


@pytest.mark.parametrize("depth", [900, 1_000, 1_020, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_body_of_any_depth_is_refused(depth: int, opening: str, closing: str) -> None:
    """However deep it nests, and whichever parser gives up first."""
    inner = opening * depth + "0" + closing * depth
    for name in ("offer", "nowhere"):
        with pytest.raises(InvalidParameter) as raised:
            decode_command(f'{{"operationName":"Accept","{name}":{inner}}}')
        assert raised.value.path in ("$", f"$.{name}")


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        ('{"operationName":"Accept","operationName":"Reject"}', "$.operationName"),
        ('{"operationName":"Accept","offer":1,"offer":2}', "$.offer"),
        (
            '{"operationName":"UpdateProperties","userData":{"a":[0,{"b":1,"c":2,"b":3}]}}',
            "$.userData.a[1].b",
        ),
    ],
)
def test_a_key_that_stands_twice_is_refused(wire: str, path: str) -> None:
    """Of two values under one key none is meant for sure, so it is refused with its path."""
    with pytest.raises(InvalidParameter) as raised:
        decode_command(wire)
    assert raised.value.path == path


@pytest.mark.parametrize("operation_id", ["", "op1", "é"])
def test_an_operation_id_is_left_to_the_host(operation_id: str) -> None:
    """Semantics 2a: it stands beside the name, and is no parameter of any command."""
    for wire in ({"operationName": "Accept", "offer": 2}, {"operationName": "Cancel"}):
        both = {"operationId": operation_id, **wire}
        assert decode_command(both) == decode_command(json.dumps(both)) == decode_command(wire)
        assert both == {"operationId": operation_id, **wire}


@pytest.mark.parametrize("operation_id", [7, None, True, ["op1"], {"id": "op1"}], ids=repr)
def test_an_operation_id_is_a_string(operation_id: Any) -> None:
    """Of another type it is refused with its path, whoever reads it afterwards."""
    wire = {"operationName": "Accept", "operationId": operation_id}
    for data in (wire, json.dumps(wire)):
        with pytest.raises(InvalidParameter) as raised:
            decode_command(data)
        assert (raised.value.path, raised.value.value) == ("$.operationId", operation_id)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 1.0, 1e300, -0.0])
def test_a_wire_number_within_64_bits_is_kept(number: float) -> None:
    """Integers stay integers and floats stay floats."""
    wire = json.dumps({"operationName": "UpdateProperties", "userData": {"n": number}})
    command = decode_command(wire)
    assert isinstance(command, c.UpdateProperties)
    kept = command.user_data["n"]
    assert (type(kept), repr(kept)) == (type(number), repr(number))
