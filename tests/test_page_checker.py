"""The page checker accepts good lines and finds each fault, by its rule and where it is."""

from __future__ import annotations

import ast
import dataclasses
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import page_checker
import pytest
from page_checker import RULES, Fault, check_lines, check_notification, iter_faults, parse

NOTES = {
    "Invited": """{"messageTypeName":"InteractionStateMessage","id":"0A1B","channel":"email",
        "email_object":{"subject":"Où est ma commande ?","interactionId":"0A1B"},
        "interactionType":"Email","interactionSubType":"InboundNew",
        "userData":{"visits":0,"tags":["a",null,true,1.5,{"deep":-3}]},"currentQueue":"inbox",
        "state":"Invited","capabilities":["Accept","Reject"]}""",
    "Accepted": """{"messageTypeName":"InteractionStateMessage","id":"0A1B","channel":"email",
        "email_object":{"ToAddress":"help@shop.example, orders@shop.example",
            "FromAddress":"Zoé <zoe@home.example>","CCAddresses":["max@home.example"],
            "Subject":"Où est ma commande ?","Text":"Hello,\\nwhere is it? \\ud83d\\ude00",
            "StructuredText":"<p>Hello</p>","MimeType":"text/plain",
            "StructuredTextMimeType":"text/html","TheComment":null,"ContactID":"c-77",
            "attachments":[{"id":"at1","name":"bill.pdf","size":5120,
                "mimetype":"application/pdf"}]},
        "interactionType":"Email","interactionSubType":"InboundNew",
        "userData":{"visits":0,"tags":["a",null,true,1.5,{"deep":-3}]},"currentQueue":"inbox",
        "inQueues":["inbox"],"outQueues":["outbox"],"receivedAt":"2024-05-06T07:00:00Z",
        "state":"Accepted","capabilities":["Transfer","Reply","ReplyAll","StopProcessing",
            "PlaceInQueue","PlaceInWorkbin","UpdateProperties"]}""",
    "ReplyCreated": """{"messageTypeName":"InteractionStateMessage","id":"0A1B","channel":"email",
        "email_object":{"ToAddress":"zoe@home.example","FromAddress":"help@shop.example",
            "CCAddresses":["max@home.example"],"Subject":"Re: Où est ma commande ?",
            "Text":"Soon.\\n","StructuredText":"","MimeType":"text/plain",
            "StructuredTextMimeType":""},
        "interactionType":"Email","interactionSubType":"OutboundReply",
        "receivedAt":"2024-05-06T07:00:00Z","state":"ReplyCreated",
        "capabilities":["Cancel","Send","PlaceInWorkbin","UpdateProperties","LinkAttachment"]}""",
    "Revoked": """{"messageTypeName":"InteractionStateMessage","id":"0A1B","channel":"email",
        "email_object":{"subject":"Où est ma commande ?"},"state":"Revoked","capabilities":[]}""",
}
NOTES |= {
    state: NOTES["Revoked"].replace('"Revoked"', f'"{state}"')
    for state in ("Queued", "Rejected", "Transferred", "InWorkbin", "Sent", "Completed")
}
DOCUMENTED = ("Invited", "Accepted", "ReplyCreated", "Revoked")

Json = dict[str, Any]


# -- building lines from a story: "agent Trigger State offer [interaction]" a line --------------


def tell(story: str) -> list[Json]:
    """The envelopes of a story; its updates and queue moves change what is shown after them."""
    told: list[Json] = []
    sequences: dict[str, int] = {}
    updates: dict[str, int] = {}
    queues: dict[str, str] = {}
    drafts: dict[str, int] = {}
    for number, step in enumerate(story.strip().splitlines()):
        agent, trigger, state, offer, ident = [*step.split(), "0A1B"][:5]
        sequences[agent] = sequences.get(agent, 0) + 1
        data = json.loads(NOTES[state])
        data["id"] = ident
        mail = data["email_object"]
        if "interactionId" in mail:
            mail["interactionId"] = ident
        updates[ident] = updates.get(ident, 0) + (trigger == "UpdateProperties")
        drafts[ident] = drafts.get(ident, 0) + (trigger in ("Reply", "ReplyAll"))
        if trigger == "PlaceInQueue":
            queues[ident] = f"queue {number}"
        if "userData" in data:
            data["userData"]["visits"] = updates[ident]
            data["currentQueue"] = queues.get(ident, "inbox")
        if state == "Accepted":
            mail["TheComment"] = f"note {updates[ident]}"
        if state == "ReplyCreated":
            mail["Text"] = f"draft {drafts[ident]}, edit {updates[ident]}"
        told.append(
            {
                "agentId": agent,
                "topic": "/me/interactions",
                "sequence": sequences[agent],
                "interactionId": ident,
                "offer": int(offer),
                "trigger": trigger,
                "at": f"2024-05-06T07:{number // 2:02}:00.5Z",
                "data": data,
            }
        )
    return told


def documented(told: list[Json]) -> list[Json]:
    """The same without the states that the page does not show, numbered anew."""
    kept = [line for line in told if line["data"]["state"] in DOCUMENTED]
    sequences: dict[str, int] = {}
    for line in kept:
        line["sequence"] = sequences[line["agentId"]] = sequences.get(line["agentId"], 0) + 1
    return kept


def written(told: list[Json], *, bare: bool = False) -> list[bytes]:
    """The envelopes, or only their notifications, as lines of UTF-8."""
    values = [line["data"] if bare else line for line in told]
    return [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]


def found(
    told: list[Json], *, bare: bool = False, documented_only: bool = False
) -> list[tuple[int, str, str]]:
    """Line, rule and path of each fault."""
    faults = check_lines(written(told, bare=bare), bare=bare, documented_only=documented_only)
    return [(fault.line, fault.rule, fault.path) for fault in faults]


# -- good lines ---------------------------------------------------------------------------------

INVITED = "alice Invite Invited 1\n"
ACCEPTED = INVITED + "alice Accept Accepted 1\n"
REPLYING = ACCEPTED + "alice Reply ReplyCreated 1\n"

GOOD = {
    "a whole life": """alice Invite Invited 1
        alice Reject Rejected 1
        bob Invite Invited 2
        bob Accept Accepted 2
        bob UpdateProperties Accepted 2
        bob Reply ReplyCreated 2
        bob UpdateProperties ReplyCreated 2
        bob LinkAttachment ReplyCreated 2
        bob Cancel Accepted 2
        bob ReplyAll ReplyCreated 2
        bob PlaceInWorkbin InWorkbin 2
        carol Pull ReplyCreated 2
        carol Send Sent 2""",
    "a transfer is accepted": ACCEPTED
    + """alice Transfer Transferred 1
        bob Invite Invited 2
        bob Accept Accepted 2
        bob StopProcessing Completed 2""",
    "a transfer is returned at once": ACCEPTED
    + """alice Transfer Transferred 1
        alice Return Accepted 1
        alice StopProcessing Completed 1""",
    "a transfer is returned after Reject and after Revoke": ACCEPTED
    + """alice Transfer Transferred 1
        bob Invite Invited 2
        bob Reject Rejected 2
        alice Return Accepted 2
        alice Transfer Transferred 2
        bob Invite Invited 3
        bob Revoke Revoked 3
        carol Invite Invited 4
        carol Revoke Revoked 4
        alice Return Accepted 4""",
    "every Revoke, and a kept draft resumed": INVITED
    + """alice Revoke Revoked 1
        alice Invite Invited 2
        alice Accept Accepted 2
        alice Revoke Revoked 2
        bob Invite Invited 3
        bob Accept Accepted 3
        bob Reply ReplyCreated 3
        bob Revoke Revoked 3
        bob Invite Invited 4
        bob Accept Accepted 4
        bob Reply ReplyCreated 4
        bob Send Sent 4""",
    "parked, pulled, parked, revoked unseen, offered": ACCEPTED
    + """alice PlaceInWorkbin InWorkbin 1
        bob Pull Accepted 1
        bob PlaceInWorkbin InWorkbin 1
        alice Invite Invited 2
        alice Accept Accepted 2""",
    "queued again": ACCEPTED
    + """alice UpdateProperties Accepted 1
        alice PlaceInQueue Queued 1
        bob Invite Invited 2
        bob Accept Accepted 2""",
    "two interactions at once": """alice Invite Invited 1 AAA
        bob Invite Invited 1 BBB
        alice Accept Accepted 1 AAA
        alice Invite Invited 1 CCC
        bob Reject Rejected 1 BBB
        alice StopProcessing Completed 1 AAA
        alice Invite Invited 2 BBB""",
}


@pytest.mark.parametrize("story", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("bare", [False, True], ids=["envelopes", "bare"])
@pytest.mark.parametrize("only", [False, True], ids=["all", "documented"])
def test_good_story(story: str, bare: bool, only: bool) -> None:
    """A possible story is accepted, whole, bare, and without the undocumented states."""
    told = documented(tell(story)) if only else tell(story)
    assert len(told) > 1
    assert found(told, bare=bare, documented_only=only) == []


def test_stories_show_every_trigger_and_state() -> None:
    """The good stories take every trigger that notifies, and every state an agent is told of."""
    told = [line for story in GOOD.values() for line in tell(story)]
    assert {line["trigger"] for line in told} == set(page_checker.LEADS_TO) - {"Close"}
    assert {line["data"]["state"] for line in told} == set(NOTES)


def test_empty_file() -> None:
    """No lines have no faults."""
    assert check_lines([]) == []


@pytest.mark.parametrize("state", NOTES)
def test_good_notification(state: str) -> None:
    """Each sample is accepted by itself, parsed with or without memory of repeated keys."""
    assert check_notification(parse(NOTES[state])) == []
    assert check_notification(json.loads(NOTES[state])) == []


@pytest.mark.parametrize("end", ["", "\n"])
def test_text_and_bytes(end: str) -> None:
    """Lines may be str or bytes, with or without the line end."""
    line = json.dumps(tell(INVITED)[0]) + end
    assert check_lines([line]) == []
    assert check_lines([line.encode()]) == []


def user_data(value: object) -> list[tuple[str, str]]:
    """Rule and path of the faults of an invitation with this user data."""
    note = json.loads(NOTES["Invited"])
    note["userData"] = value
    return [(fault.rule, fault.path) for fault in check_notification(note)]


def nested(depth: int, *inmost: str) -> Json:
    """Maps in maps, `depth` of them."""
    value: Json = dict.fromkeys(inmost, 1)
    for _ in range(depth - 1):
        value = {"k": value}
    return value


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": ""},
        {"i": 2**64 - 1, "j": -(2**63)},
        {"flag": True, "none": None, "pi": 3.14},
        nested(64),
        nested(64, "a scalar"),
        {"k": "x" * (256 * 1024 - 1)},
    ],
    ids=["empty", "empty key", "64 bits", "scalars", "64 deep", "64 deep and a scalar", "256 KiB"],
)
def test_user_data_at_its_bounds(value: object) -> None:
    """User data up to the bounds is accepted."""
    assert user_data(value) == []


def test_null_where_unknown() -> None:
    """Queue, comment and contact may be null, and every list may be empty."""
    note = json.loads(NOTES["Accepted"])
    note["currentQueue"] = None
    note["email_object"] |= {"ContactID": None, "attachments": [], "CCAddresses": []}
    note |= {"inQueues": [], "outQueues": []}
    assert check_notification(note) == []


@pytest.mark.parametrize("at", ["2024-05-06T07:00:00Z", "2024-05-06T07:00:00.123456+00:00"])
def test_forms_of_at(at: str) -> None:
    """Both ISO 8601 spellings of UTC are accepted, and equal times may follow each other."""
    told = tell(ACCEPTED)
    for line in told:
        line["at"] = at
    assert found(told) == []


# -- each documented key, of every object of every state ------------------------------------------

Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """The path of each documented key; user data is the submitter's own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            if key != "userData":
                yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


KEYS = [(state, path) for state in NOTES for path in places(json.loads(NOTES[state]))]
KEY_IDS = [f"{state}-{'.'.join(map(str, path))}" for state, path in KEYS]
every_key = pytest.mark.parametrize(("state", "path"), KEYS, ids=KEY_IDS)


def spelled(path: Place) -> str:
    """The path as the checker writes it."""
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


def holder_of(note: Any, path: Place) -> Json:
    """The object that the last key of the path stands in."""
    for part in path[:-1]:
        note = note[part]
    assert isinstance(note, dict)
    return note


def mutated(state: str, path: Place, change: Callable[[Json, str], Json]) -> set[tuple[str, str]]:
    """Rule and path of what is found after `change` of the object that holds the key."""
    note = json.loads(NOTES[state])
    inner = holder_of(note, path)
    after = change(dict(inner), str(path[-1]))
    inner.clear()
    inner.update(after)
    return {(fault.rule, fault.path) for fault in check_notification(note)}


def test_the_keys_are_the_documented_ones() -> None:
    """The samples hold as many keys as the page."""
    counts = {state: sum(1 for s, _ in KEYS if s == state) for state in NOTES}
    assert counts == {"Invited": 12, "Accepted": 28, "ReplyCreated": 17} | {
        state: 7 for state in NOTES if state not in ("Invited", "Accepted", "ReplyCreated")
    }


@every_key
def test_dropped_key(state: str, path: Place) -> None:
    """A missing key is found, and nothing else."""

    def drop(inner: Json, key: str) -> Json:
        del inner[key]
        return inner

    assert mutated(state, path, drop) == {("key-missing", spelled(path))}
    note = json.loads(NOTES[state])
    drop(holder_of(note, path), str(path[-1]))
    faults = check_lines([json.dumps(note)], bare=True)
    assert ("key-missing", spelled(path)) in {(fault.rule, fault.path) for fault in faults}


@every_key
def test_renamed_key(state: str, path: Place) -> None:
    """A key in another spelling is found as missing and as unknown."""
    other = str(path[-1]).swapcase()

    def rename(inner: Json, key: str) -> Json:
        return {other if name == key else name: value for name, value in inner.items()}

    missing, unknown = ("key-missing", spelled(path)), ("key-unknown", spelled((*path[:-1], other)))
    # Without its state nothing says which keys a notification has.
    assert mutated(state, path, rename) == ({missing} if path == ("state",) else {missing, unknown})


WITH_NEIGHBOUR = [
    (state, path) for state, path in KEYS if len(holder_of(json.loads(NOTES[state]), path)) > 1
]


@pytest.mark.parametrize(("state", "path"), WITH_NEIGHBOUR)
def test_key_in_the_place_of_its_neighbour(state: str, path: Place) -> None:
    """A key that changed places with the one after it is found; the last goes to the front."""

    def swap(inner: Json, key: str) -> Json:
        items = list(inner.items())
        index = [name for name, _ in items].index(key)
        items.insert((index + 1) % len(items), items.pop(index))
        return dict(items)

    siblings = list(holder_of(json.loads(NOTES[state]), path))
    index = siblings.index(str(path[-1]))
    first = siblings[min(index + 1, len(siblings) - 1)]
    assert mutated(state, path, swap) == {("key-order", spelled((*path[:-1], first)))}


@every_key
def test_repeated_key(state: str, path: Place) -> None:
    """A key that stands twice is found even where the last value is right."""
    note = json.loads(NOTES[state])
    inner, key = holder_of(note, path), str(path[-1])
    right = json.dumps(inner[key])
    inner[key] = "MARK"
    text = json.dumps(note).replace('"MARK"', f'"MARK", "{key}": {right}')
    faults = check_notification(parse(text))
    assert [(fault.rule, fault.path) for fault in faults] == [("duplicate-key", spelled(path))]


@every_key
def test_unknown_key_beside(state: str, path: Place) -> None:
    """A key more in any object is found."""
    extra = spelled((*path[:-1], "Bcc"))
    assert mutated(state, path, lambda inner, key: {**inner, "Bcc": ""}) == {("key-unknown", extra)}


OR_NULL = ("currentQueue", "TheComment", "ContactID")
LISTS = ("capabilities", "CCAddresses", "inQueues", "outQueues", "attachments")
OBJECTS = ("email_object", "userData")
WRONG: list[object] = ["text", None, True, 7, 7.0, [], {}, [7], [["x"]]]


@every_key
def test_wrong_type(state: str, path: Place) -> None:
    """Every value of another type is found at its key."""
    key = str(path[-1])
    for wrong in WRONG:
        if key == "size":
            right = isinstance(wrong, int) and not isinstance(wrong, bool)
        elif key in LISTS:
            right = wrong == []
        elif key in OBJECTS:
            right = isinstance(wrong, dict)
        else:
            right = isinstance(wrong, str) or (wrong is None and key in OR_NULL)
        if not right:
            note = json.loads(NOTES[state])
            holder_of(note, path)[key] = wrong
            faults = {(fault.rule, fault.path) for fault in check_notification(note)}
            assert {rule for rule, _ in faults} == {"type"}, wrong
            assert all(where.startswith(spelled(path)) for _, where in faults), wrong


CONSTANTS = ("messageTypeName", "channel", "interactionType", "interactionSubType")


@pytest.mark.parametrize(
    ("state", "path"),
    [(state, path) for state, path in KEYS if path[-1] in CONSTANTS],
    ids=[name for name, (_, path) in zip(KEY_IDS, KEYS, strict=True) if path[-1] in CONSTANTS],
)
@pytest.mark.parametrize("wrong", ["", "Other", "swapped case", "the other sub type"])
def test_wrong_constant(state: str, path: Place, wrong: str) -> None:
    """A fixed value that is another one is found."""
    value = holder_of(json.loads(NOTES[state]), path)[str(path[-1])]
    other = {"InboundNew": "OutboundReply", "OutboundReply": "InboundNew"}
    text = {"swapped case": value.swapcase(), "the other sub type": other.get(value, "x")}
    change = {str(path[-1]): text.get(wrong, wrong)}
    assert mutated(state, path, lambda inner, key: inner | change) == {("constant", spelled(path))}


@pytest.mark.parametrize("state", NOTES)
def test_wrong_capabilities(state: str) -> None:
    """One capability less, one more, two swapped, none, and the other states' are each found."""
    right: list[str] = json.loads(NOTES[state])["capabilities"]
    wrong = [right[:index] + right[index + 1 :] for index in range(len(right))]
    wrong += [[*right, name] for name in ("Accept", "LinkAttachment", "Pull", "Revoke", "accept")]
    wrong += [
        [*right[:index], right[index + 1], right[index], *right[index + 2 :]]
        for index in range(len(right) - 1)
    ]
    wrong += [json.loads(NOTES[other])["capabilities"] for other in NOTES]
    tried = [names for names in wrong if names != right]
    assert len(tried) >= 8
    for names in tried:
        note = json.loads(NOTES[state]) | {"capabilities": names}
        faults = check_notification(note)
        assert [(f.rule, f.path) for f in faults] == [("capabilities", "$.capabilities")], names


@pytest.mark.parametrize("state", NOTES)
def test_wrong_state(state: str) -> None:
    """An unknown state is found, and a shape under another documented state's name."""
    note = json.loads(NOTES[state])
    faults = check_notification(note | {"state": state.lower()})
    assert [(fault.rule, fault.path) for fault in faults] == [("state", "$.state")]
    for other in DOCUMENTED:
        if NOTES[other].replace(other, state) != NOTES[state]:
            assert check_notification(note | {"state": other}), other


@pytest.mark.parametrize("value", [None, [], "Invited", 1, True])
def test_not_an_object(value: object) -> None:
    """A notification that is no object is found."""
    assert [(fault.rule, fault.path) for fault in check_notification(value)] == [("type", "$")]


# -- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ident", ["", "0A-1B", "0A 1B", "é", "٣", "0A1B\n"])
@pytest.mark.parametrize("state", NOTES)
def test_wrong_id(state: str, ident: str) -> None:
    """An id is ASCII letters and digits and nothing else."""
    note = json.loads(NOTES[state]) | {"id": ident}
    if "interactionId" in note["email_object"]:
        note["email_object"]["interactionId"] = ident
    assert [(f.rule, f.path) for f in check_notification(note)] == [("id", "$.id")]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2024-05-06",
        "2024-05-06T07:00:00",
        "2024-05-06T07:00:00.0Z",
        "2024-05-06T07:00:00+00:00",
        "2024-05-06 07:00:00Z",
        "2024-02-30T07:00:00Z",
        "2024-05-06T25:00:00Z",
        "٢٠٢٤-05-06T07:00:00Z",
        "2024-05-06T07:00:00Z\n",
    ],
)
@pytest.mark.parametrize("state", ["Accepted", "ReplyCreated"])
def test_wrong_received_at(state: str, value: str) -> None:
    """Receive times of another form, or that no calendar has, are found."""
    faults = check_notification(json.loads(NOTES[state]) | {"receivedAt": value})
    assert [(f.rule, f.path) for f in faults] == [("received-at", "$.receivedAt")]


@pytest.mark.parametrize(
    ("value", "rule", "path"),
    [
        ({"i": 2**64}, "user-data-integer", "$.userData.i"),
        ({"l": [{"i": -(2**63) - 1}]}, "user-data-integer", "$.userData.l[0].i"),
        ({"f": float("nan")}, "non-finite", "$.userData.f"),
        ({"a b": [float("-inf")]}, "non-finite", '$.userData["a b"][0]'),
        ({"s": "\ud800"}, "surrogate", "$.userData.s"),
        ({"\udfff": 1}, "surrogate", '$.userData["\\udfff"]'),
        (nested(65), "user-data-depth", "$.userData" + ".k" * 64),
        (nested(70), "user-data-depth", "$.userData" + ".k" * 64),
        ({"k": "x" * (256 * 1024)}, "user-data-size", "$.userData"),
        ({"k": ["é" * 1024] * 128, "l": ""}, "user-data-size", "$.userData"),
    ],
    ids=lambda value: None if isinstance(value, str) else "data",
)
def test_wrong_user_data(value: object, rule: str, path: str) -> None:
    """User data beyond each bound is found where it is."""
    assert user_data(value) == [(rule, path)]


@pytest.mark.parametrize("key", ["ToAddress", "FromAddress", "Subject", "CCAddresses"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_break_in_a_header_of_a_draft(key: str, end: str) -> None:
    """A draft's header with a line break is found; its text may have some."""
    note = json.loads(NOTES["ReplyCreated"])
    folded = f"x{end} y"
    note["email_object"][key] = [folded] if key == "CCAddresses" else folded
    where = f"$.email_object.{key}" + ("[0]" if key == "CCAddresses" else "")
    assert [(f.rule, f.path) for f in check_notification(note)] == [("line-break", where)]


def test_negative_size() -> None:
    """An attachment of less than nothing is found; one of nothing is not."""
    note = json.loads(NOTES["Accepted"])
    note["email_object"]["attachments"][0]["size"] = -1
    faults = check_notification(note)
    assert [(f.rule, f.path) for f in faults] == [("size", "$.email_object.attachments[0].size")]
    note["email_object"]["attachments"][0]["size"] = 0
    assert check_notification(note) == []


def test_second_attachment() -> None:
    """Every attachment is checked, not only the first."""
    note = json.loads(NOTES["Accepted"])
    files = note["email_object"]["attachments"]
    files.append({"id": "at2", "size": 1, "name": "x", "mimetype": 3})
    assert [(f.rule, f.path) for f in check_notification(note)] == [
        ("key-order", "$.email_object.attachments[1].size"),
        ("type", "$.email_object.attachments[1].mimetype"),
    ]


def test_path_of_the_caller() -> None:
    """The caller's path comes before the checker's."""
    note = json.loads(NOTES["Revoked"]) | {"channel": "chat"}
    fault = check_notification(note, path="$[3]")[0]
    assert (fault.line, fault.rule, fault.path) == (0, "constant", "$[3].channel")


# -- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"", "json"),
        (b"\n", "json"),
        (b"{}{}", "json"),
        (b'{"a":1,}', "json"),
        (b"\xef\xbb\xbf{}", "json"),
        (b"[" * 100_000, "json"),
        (b"9" * 5_000, "json"),
        (b'"\xff"', "utf-8"),
        (b'"\xed\xa0\x80"', "utf-8"),
        (b'"\xc3', "utf-8"),
    ],
    ids=lambda value: repr(value[:12]),
)
@pytest.mark.parametrize("bare", [False, True])
def test_not_json(line: bytes, rule: str, bare: bool) -> None:
    """What is no JSON, or none that a reader can hold, is one fault, and the next line is read."""
    good = written(tell(INVITED), bare=bare)
    faults = check_lines([line, *good], bare=bare)
    assert [(fault.line, fault.rule, fault.path) for fault in faults] == [(1, rule, "$")]


def test_value_over_two_lines() -> None:
    """A value that takes two lines is found."""
    told = tell(INVITED)
    faults = check_lines([json.dumps(told[0], indent=0)])
    assert [(fault.line, fault.rule) for fault in faults] == [(1, "json")]


@pytest.mark.parametrize(
    ("before", "after", "rule", "path"),
    [
        ('"visits": 0', '"visits": NaN', "non-finite", "$.data.userData.visits"),
        ('"visits": 0', '"visits": -Infinity', "non-finite", "$.data.userData.visits"),
        ('"visits": 0', '"visits": 1e999', "non-finite", "$.data.userData.visits"),
        ('"visits": 0', '"visits": "\\udc80"', "surrogate", "$.data.userData.visits"),
        ('"visits": 0', '"visits": "\ud83d"', "surrogate", "$.data.userData.visits"),
        ('"visits": 0', '"visits": 0, "visits": 0', "duplicate-key", "$.data.userData.visits"),
        ('{"deep"', '{"deep": 1, "deep"', "duplicate-key", "$.data.userData.tags[4].deep"),
        ('"offer": 1', '"offer": 1, "offer": 1', "duplicate-key", "$.offer"),
        ('"offer": 1', '"offer": 9, "offer": 1', "duplicate-key", "$.offer"),
    ],
)
def test_json_of_another_kind(before: str, after: str, rule: str, path: str) -> None:
    """What some readers accept and the engine must not write is found where it is."""
    line = json.dumps(tell(INVITED)[0])
    assert line.count(before) == 1
    faults = check_lines([line.replace(before, after)])
    assert [(fault.rule, fault.path) for fault in faults] == [(rule, path)]


# -- the envelope -----------------------------------------------------------------------------

ENVELOPE = ("agentId", "topic", "sequence", "interactionId", "offer", "trigger", "at", "data")
every_part = pytest.mark.parametrize("key", ENVELOPE)


@every_part
def test_envelope_key_dropped(key: str) -> None:
    """A missing key of the envelope is found, and nothing else."""
    told = tell(INVITED)
    del told[0][key]
    assert found(told) == [(1, "key-missing", f"$.{key}")]


@every_part
def test_envelope_key_renamed(key: str) -> None:
    """A key of the envelope in another spelling is found."""
    told = tell(INVITED)
    told[0] = {name.upper() if name == key else name: told[0][name] for name in told[0]}
    assert found(told) == [(1, "key-missing", f"$.{key}"), (1, "key-unknown", f"$.{key.upper()}")]


@pytest.mark.parametrize("index", range(len(ENVELOPE) - 1))
def test_envelope_key_reordered(index: int) -> None:
    """Two neighbours of the envelope that changed places are found."""
    names = list(ENVELOPE)
    names[index : index + 2] = names[index + 1], names[index]
    told = [{name: tell(INVITED)[0][name] for name in names}]
    assert found(told) == [(1, "key-order", f"$.{ENVELOPE[index + 1]}")]


@every_part
def test_envelope_wrong_type(key: str) -> None:
    """A value of another type in the envelope is found, and nothing else."""
    for wrong in WRONG:
        is_number = isinstance(wrong, int) and not isinstance(wrong, bool)
        if key in ("sequence", "offer"):
            right = is_number
        elif key == "data":
            right = isinstance(wrong, dict)
        else:
            right = isinstance(wrong, str)
        told = tell(INVITED)
        told[0][key] = wrong
        if not right:
            assert found(told) == [(1, "type", f"$.{key}")], wrong


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_envelope_is_no_object(value: object) -> None:
    """A line that is JSON and no object is found."""
    assert [(f.rule, f.path) for f in check_lines([json.dumps(value)])] == [("type", "$")]


@pytest.mark.parametrize(
    ("line", "key", "value", "rule"),
    [
        (1, "topic", "/me/interaction", "constant"),
        (1, "interactionId", "0A1C", "id-mismatch"),
        (1, "sequence", 0, "sequence"),
        (1, "sequence", -1, "sequence"),
        (4, "sequence", 3, "sequence"),
        (4, "sequence", 5, "sequence"),
        (1, "offer", 0, "offer"),
        (1, "offer", 2, "offer"),
        (2, "offer", 0, "offer"),
        (4, "offer", 2, "offer"),
        (1, "trigger", "invite", "trigger"),
        (1, "trigger", "", "trigger"),
        (1, "trigger", "Close", "trigger-state"),
        (2, "trigger", "Reject", "trigger-state"),
        (1, "at", "", "at"),
        (1, "at", "2024-05-06T07:00:00", "at"),
        (1, "at", "2024-05-06T07:00:00+02:00", "at"),
        (1, "at", "2024-05-32T07:00:00Z", "at"),
        (4, "at", "2024-05-06T07:01:00", "at"),
        (4, "at", "2024-05-06T07:01:00.499999Z", "at-order"),
        (4, "at", "2024-05-06T06:59:59Z", "at-order"),
    ],
)
def test_envelope_fault(line: int, key: str, value: object, rule: str) -> None:
    """A wrong value in the envelope is found at its line; what it shifts follows from it."""
    told = tell(REPLYING + "alice Send Sent 1")
    told[line - 1][key] = value
    faults = [fault for fault in found(told) if fault[0] <= line]
    assert (line, rule, f"$.{key}") in faults
    assert len(faults) == 1


def test_envelope_id_has_another_form() -> None:
    """An interaction id that is not alphanumeric is found in the envelope as well."""
    told = tell(INVITED)
    told[0]["interactionId"] = "0A.1B"
    assert found(told) == [(1, "id", "$.interactionId"), (1, "id-mismatch", "$.interactionId")]


def test_sequences_are_counted_per_agent() -> None:
    """Each agent counts alone, over all interactions; a repeated line is found."""
    story = "alice Invite Invited 1 AAA\nbob Invite Invited 1 BBB\nalice Invite Invited 1 CCC"
    told = tell(story)
    assert [line["sequence"] for line in told] == [1, 1, 2]
    told[2]["sequence"] = 1
    assert found(told) == [(3, "sequence", "$.sequence")]


def test_one_gap_is_one_fault() -> None:
    """After a gap the count goes on from what was found."""
    told = tell(REPLYING)
    for line in told[1:]:
        line["sequence"] += 5
    assert found(told) == [(2, "sequence", "$.sequence")]


def test_at_is_compared_as_a_time() -> None:
    """Times of two spellings are compared by what they mean, over all agents."""
    told = tell("alice Invite Invited 1 AAA\nbob Invite Invited 1 BBB")
    told[0]["at"], told[1]["at"] = "2024-05-06T07:00:00.5Z", "2024-05-06T07:00:00+00:00"
    assert found(told) == [(2, "at-order", "$.at")]


def test_fault_of_the_notification_in_its_envelope() -> None:
    """What is wrong inside has the path from the line's root, and the line's number."""
    told = tell(ACCEPTED)
    told[1]["data"]["email_object"]["attachments"][0]["size"] = "5"
    assert found(told) == [(2, "type", "$.data.email_object.attachments[0].size")]


def test_two_ids_in_one_notification() -> None:
    """The id in email_object that is another is found."""
    told = tell(INVITED)
    told[0]["data"]["email_object"]["interactionId"] = "ZZZ"
    assert found(told) == [(1, "id-mismatch", "$.data.email_object.interactionId")]


# -- order ------------------------------------------------------------------------------------

TRANSFERRED = ACCEPTED + "alice Transfer Transferred 1\n"
PARKED = ACCEPTED + "alice PlaceInWorkbin InWorkbin 1\n"
DISORDER = {
    # name: story, the one fault of its last line
    "accepted before any offer": ("alice Accept Accepted 1", "capability"),
    "revoked before any offer": ("alice Revoke Revoked 1", "order"),
    "pulled before any offer": ("alice Pull Accepted 1", "order"),
    "returned before any offer": ("alice Return Accepted 1", "origin"),
    "accepted by another": (INVITED + "bob Accept Accepted 1", "holder"),
    "accepted twice": (ACCEPTED + "alice Accept Accepted 1", "capability"),
    "accepted after Reject": (
        INVITED + "alice Reject Rejected 1\nalice Accept Accepted 1",
        "capability",
    ),
    "accepted after Revoke": (
        INVITED + "alice Revoke Revoked 1\nalice Accept Accepted 1",
        "capability",
    ),
    "rejected by another": (INVITED + "bob Reject Rejected 1", "holder"),
    "rejected after Accept": (ACCEPTED + "alice Reject Rejected 1", "capability"),
    "revoked from another": (ACCEPTED + "bob Revoke Revoked 1", "holder"),
    "revoked twice": (INVITED + "alice Revoke Revoked 1\nalice Revoke Revoked 1", "order"),
    "told of a Revoke from the workbin": (PARKED + "alice Revoke Revoked 1", "order"),
    "offered to two": (INVITED + "bob Invite Invited 2", "holder"),
    "offered twice": (INVITED + "alice Invite Invited 2", "holder"),
    "offered while owned": (ACCEPTED + "bob Invite Invited 2", "holder"),
    "offered while replied to": (REPLYING + "bob Invite Invited 2", "holder"),
    "transferred by another": (ACCEPTED + "bob Transfer Transferred 1", "holder"),
    "transferred while replied to": (REPLYING + "alice Transfer Transferred 1", "capability"),
    "updated after Transfer": (TRANSFERRED + "alice UpdateProperties Accepted 1", "capability"),
    "returned to another": (TRANSFERRED + "bob Return Accepted 1", "origin"),
    "returned while offered": (
        TRANSFERRED + "bob Invite Invited 2\nalice Return Accepted 2",
        "holder",
    ),
    "returned after another accepted": (
        TRANSFERRED + "bob Invite Invited 2\nbob Accept Accepted 2\n"
        "bob Revoke Revoked 2\nalice Return Accepted 2",
        "origin",
    ),
    "returned twice": (
        TRANSFERRED + "alice Return Accepted 1\nalice PlaceInQueue Queued 1\n"
        "alice Return Accepted 1",
        "origin",
    ),
    "returned after Reject without Transfer": (
        INVITED + "alice Reject Rejected 1\nalice Return Accepted 1",
        "origin",
    ),
    "replied twice": (REPLYING + "alice ReplyAll ReplyCreated 1", "capability"),
    "replied by another": (ACCEPTED + "bob Reply ReplyCreated 1", "holder"),
    "sent without a reply": (ACCEPTED + "alice Send Sent 1", "capability"),
    "sent by another": (REPLYING + "bob Send Sent 1", "holder"),
    "cancelled without a reply": (ACCEPTED + "alice Cancel Accepted 1", "capability"),
    "linked without a reply": (ACCEPTED + "alice LinkAttachment ReplyCreated 1", "capability"),
    "an update made a reply": (ACCEPTED + "alice UpdateProperties ReplyCreated 1", "order"),
    "an update lost a reply": (REPLYING + "alice UpdateProperties Accepted 1", "order"),
    "stopped while replied to": (REPLYING + "alice StopProcessing Completed 1", "capability"),
    "queued while replied to": (REPLYING + "alice PlaceInQueue Queued 1", "capability"),
    "parked while offered": (INVITED + "alice PlaceInWorkbin InWorkbin 1", "capability"),
    "pulled to another state": (PARKED + "bob Pull ReplyCreated 1", "order"),
    "a parked reply pulled without it": (
        REPLYING + "alice PlaceInWorkbin InWorkbin 1\nbob Pull Accepted 1",
        "order",
    ),
    "pulled twice": (PARKED + "bob Pull Accepted 1\ncarol Pull Accepted 1", "holder"),
    "pulled from the queue": (
        ACCEPTED + "alice PlaceInQueue Queued 1\nalice Pull Accepted 1",
        "order",
    ),
    "offered after Sent": (REPLYING + "alice Send Sent 1\nalice Invite Invited 2", "ended"),
    "sent twice": (REPLYING + "alice Send Sent 1\nalice Send Sent 1", "ended"),
    "offered after Completed": (
        ACCEPTED + "alice StopProcessing Completed 1\nbob Invite Invited 2",
        "ended",
    ),
}


@pytest.mark.parametrize(("story", "rule"), DISORDER.values(), ids=DISORDER)
def test_disorder(story: str, rule: str) -> None:
    """A step that cannot follow is found at its line, and nothing else."""
    told = tell(story)
    assert found(told) == [(len(told), rule, "$.trigger")]


SEEN_WITHOUT_ENVELOPE = (
    "accepted before any offer",
    "revoked before any offer",
    "accepted after Reject",
    "accepted after Revoke",
    "rejected after Accept",
    "revoked twice",
    "told of a Revoke from the workbin",
    "offered twice",
    "offered while replied to",
    "transferred while replied to",
    "sent without a reply",
    "stopped while replied to",
    "queued while replied to",
    "parked while offered",
    "pulled to another state",
    "a parked reply pulled without it",
    "pulled from the queue",
    "offered after Sent",
    "sent twice",
    "offered after Completed",
)


@pytest.mark.parametrize("name", SEEN_WITHOUT_ENVELOPE)
def test_disorder_seen_in_bare_lines(name: str) -> None:
    """What no trigger and no agent can explain is found without them."""
    told = tell(DISORDER[name][0])
    faults = found(told, bare=True)
    assert [(line, path) for line, _, path in faults] == [(len(told), "$.state")]


SEEN_IN_DOCUMENTED = {
    "accepted before any offer": "capability",
    "accepted by another": "holder",
    "accepted twice": "capability",
    "revoked from another": "holder",
    "revoked twice": "order",
    "returned after another accepted": "origin",
    "returned after Reject without Transfer": "origin",
    "replied by another": "holder",
    "linked without a reply": "capability",
    "an update made a reply": "order",
    "an update lost a reply": "order",
    "pulled to another state": "order",
    "a parked reply pulled without it": "order",
}


@pytest.mark.parametrize(("name", "rule"), SEEN_IN_DOCUMENTED.items())
def test_disorder_seen_in_documented_states(name: str, rule: str) -> None:
    """What no hidden step can explain is found in the documented states alone."""
    told = documented(tell(DISORDER[name][0]))
    assert found(told, documented_only=True) == [(len(told), rule, "$.trigger")]


@pytest.mark.parametrize(
    ("story", "fault"),
    [
        (INVITED + "alice Pull Accepted 1", "order"),
        (INVITED + "alice Pull ReplyCreated 1", "order"),
        (REPLYING + "alice Return Accepted 1", "origin"),
        (ACCEPTED + "alice Revoke Revoked 1\nalice Return Accepted 1", "origin"),
        (INVITED + "bob Invite Invited 2\nalice Accept Accepted 2", "holder"),
    ],
)
def test_hidden_steps_do_not_excuse(story: str, fault: str) -> None:
    """A hidden step explains only what it can lead to; an offer that passed on is lost."""
    told = tell(story)
    assert found(told, documented_only=True) == [(len(told), fault, "$.trigger")]


@pytest.mark.parametrize("bare", [False, True])
def test_undocumented_state(bare: bool) -> None:
    """A state that the page does not show is found where only documented ones may be."""
    told = tell(INVITED + "alice Reject Rejected 1")
    path = "$.state" if bare else "$.data.state"
    assert found(told, bare=bare, documented_only=True) == [(2, "undocumented", path)]


def test_bare_return_needs_a_transfer() -> None:
    """Without envelopes, Accepted after Revoked needs a Transfer before it."""
    returned = "bob Invite Invited 2\nbob Revoke Revoked 2\nalice Return Accepted 2"
    assert found(tell(TRANSFERRED + returned), bare=True) == []
    queued = ACCEPTED + "alice PlaceInQueue Queued 1\n"
    assert found(tell(queued + returned), bare=True) == [(6, "order", "$.state")]


def test_order_is_judged_after_a_fault() -> None:
    """After a fault the next lines are judged by what it said, so one fault is one fault."""
    told = tell(INVITED + "bob Accept Accepted 1\nbob Reply ReplyCreated 1\nbob Send Sent 1")
    assert found(told) == [(2, "holder", "$.trigger")]


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("$.agentId", 5, "type"),
        ("$.data", [], "type"),
        ("$.data.id", 5, "type"),
        ("$.data.id", [], "type"),
        ("$.data.state", 5, "type"),
        ("$.data.state", [], "type"),
        ("$.data.state", "Parked", "state"),
    ],
)
def test_line_that_cannot_be_placed(path: str, value: object, rule: str) -> None:
    """A line that names no interaction, state or agent is one fault and moves nothing."""
    told = tell(ACCEPTED + "alice Accept Accepted 1\nalice Reply ReplyCreated 1")
    _, *parents, key = path.split(".")
    inner = told[2]
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    if key == "agentId":
        told[3]["sequence"] -= 1
    assert found(told) == [(3, rule, path)]


# -- what stays through life --------------------------------------------------------------------

LONG = (
    REPLYING
    + """alice LinkAttachment ReplyCreated 1
    alice Cancel Accepted 1
    alice Revoke Revoked 1
    bob Invite Invited 2
    bob Accept Accepted 2"""
)
STAYS: dict[str, tuple[int, str, object]] = {
    # what: number of the line, path in its notification, another value
    "subject, Accepted": (2, "email_object.Subject", "x"),
    "subject, Revoked": (6, "email_object.subject", "x"),
    "subject, Invited": (7, "email_object.subject", "x"),
    "sender": (5, "email_object.FromAddress", "x"),
    "recipients": (5, "email_object.ToAddress", "x"),
    "copies": (8, "email_object.CCAddresses", []),
    "text": (8, "email_object.Text", "x"),
    "structured text": (8, "email_object.StructuredText", "x"),
    "type": (8, "email_object.MimeType", "x"),
    "structured type": (8, "email_object.StructuredTextMimeType", "x"),
    "contact": (8, "email_object.ContactID", None),
    "comment": (8, "email_object.TheComment", None),
    "attachments": (8, "email_object.attachments", []),
    "user data, Invited": (7, "userData", {}),
    "user data, Accepted": (2, "userData", {}),
    "queue, Invited": (7, "currentQueue", "other"),
    "queue, Accepted": (8, "currentQueue", None),
    "in queues": (8, "inQueues", []),
    "out queues": (8, "outQueues", []),
    "received, Accepted": (8, "receivedAt", "2024-05-06T06:59:59Z"),
    "received, ReplyCreated": (3, "receivedAt", "2024-05-06T06:59:59Z"),
    "draft": (4, "email_object.Text", "x"),
    "subject of the draft": (4, "email_object.Subject", "x"),
}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(("line", "path", "value"), STAYS.values(), ids=STAYS)
def test_changed_without_cause(line: int, path: str, value: object, bare: bool) -> None:
    """What no trigger changed must be shown as before; what it is now is compared from then on."""
    told = tell(LONG)
    assert found(told, bare=bare) == []
    inner = told[line - 1]["data"]
    *parents, key = path.split(".")
    for parent in parents:
        inner = inner[parent]
    assert inner[key] != value
    inner[key] = value
    faults = found(told, bare=bare)
    if bare and path.startswith("email_object.") and line == 4:
        assert faults == []  # an update of the draft would look the same
    else:
        root = "$" if bare else "$.data"
        assert faults[0] == (line, "changed", f"{root}.{path}")
        assert {rule for _, rule, _ in faults} == {"changed"}


def test_change_is_compared_exactly() -> None:
    """1, 1.0 and true are different values; the order of user data keys is not compared."""
    told = tell(ACCEPTED)
    told[0]["data"]["userData"] = {"a": 1, "b": 2}
    told[1]["data"]["userData"] = {"b": 2, "a": 1}
    assert found(told) == []
    for other in (1.0, True):
        told[1]["data"]["userData"] = {"a": other, "b": 2}
        assert found(told) == [(2, "changed", "$.data.userData")]


def test_interactions_are_not_compared_with_each_other() -> None:
    """Another interaction's content is another's."""
    told = tell("alice Invite Invited 1 AAA\nalice Invite Invited 1 BBB")
    told[1]["data"]["email_object"]["subject"] = "other"
    assert found(told) == []


def test_queue_may_change_unseen() -> None:
    """Without the undocumented states, an offer may come from another queue; an Accept may not."""
    told = documented(tell(GOOD["queued again"]))
    assert told[3]["data"]["currentQueue"] != told[2]["data"]["currentQueue"]
    assert found(told, documented_only=True) == []
    told[-1]["data"]["currentQueue"] = "third"
    assert found(told, documented_only=True) == [(5, "changed", "$.data.currentQueue")]


def test_only_the_queue_changes_with_the_queue() -> None:
    """PlaceInQueue changes the current queue and nothing else of the mail."""
    told = tell(GOOD["queued again"])
    told[-1]["data"]["inQueues"] = ["third"]
    told[-1]["data"]["email_object"]["Text"] = "x"
    assert found(told) == [
        (6, "changed", "$.data.email_object.Text"),
        (6, "changed", "$.data.inQueues"),
    ]


def test_nothing_is_compared_after_the_end() -> None:
    """A line after the end is that fault alone, whatever it shows."""
    told = tell(DISORDER["sent twice"][0])
    told[-1]["data"]["email_object"]["subject"] = "x"
    assert found(told) == [(5, "ended", "$.trigger")]


@pytest.mark.parametrize(
    ("first", "received", "late"),
    [
        ("2024-05-06T07:00:00.5Z", "2024-05-06T07:00:00Z", False),
        ("2024-05-06T07:00:00.5Z", "2024-05-06T07:00:01Z", False),
        ("2024-05-06T07:00:00.5Z", "2024-05-06T07:00:02Z", True),
        ("2024-05-06T07:00:00Z", "2024-05-06T07:00:01Z", True),
    ],
)
def test_received_after_it_was_notified(first: str, received: str, late: bool) -> None:
    """A mail is received before its first notification; a second is the grain."""
    told = tell(ACCEPTED)
    told[0]["at"] = first
    told[1]["at"] = "2024-05-06T08:00:00Z"
    told[1]["data"]["receivedAt"] = received
    assert found(told) == ([(2, "received-at", "$.data.receivedAt")] if late else [])


# -- the whole ----------------------------------------------------------------------------------


def changed(told: list[Json], line: int, **values: object) -> list[bytes]:
    """The lines, with other values in the envelope of one."""
    told[line - 1].update(values)
    return written(told)


def replaced(story: str, before: str, after: str) -> list[bytes]:
    """The lines, with a text in the last one replaced."""
    *lines, last = written(tell(story))
    assert last.count(before.encode()) == 1
    return [*lines, last.replace(before.encode(), after.encode())]


BREAKS: dict[str, list[bytes]] = {
    "utf-8": [b"\xff"],
    "json": [b"{"],
    "duplicate-key": replaced(INVITED, '"offer": 1', '"offer": 1, "offer": 1'),
    "surrogate": replaced(INVITED, '"inbox"', '"\\ud800"'),
    "non-finite": replaced(INVITED, '"visits": 0', '"visits": NaN'),
    "type": replaced(INVITED, '"inbox"', "5"),
    "key-missing": replaced(INVITED, '"currentQueue": "inbox", ', ""),
    "key-unknown": replaced(INVITED, '"currentQueue": "inbox"', '"currentQueue": "inbox", "x": 1'),
    "key-order": replaced(
        INVITED,
        '"topic": "/me/interactions", "sequence": 1',
        '"sequence": 1, "topic": "/me/interactions"',
    ),
    "constant": replaced(INVITED, '"channel": "email"', '"channel": "chat"'),
    "size": replaced(ACCEPTED, "5120", "-5"),
    "state": replaced(INVITED, '"state": "Invited"', '"state": "Offered"'),
    "undocumented": written(
        documented(tell(INVITED)) + tell("bob Invite Invited 1 X\nbob Reject Rejected 1 X")
    ),
    "capabilities": replaced(INVITED, '"Accept", "Reject"', '"Reject", "Accept"'),
    "id": replaced(INVITED, '"interactionId": "0A1B", "offer"', '"interactionId": "", "offer"'),
    "id-mismatch": changed(tell(INVITED), 1, interactionId="X"),
    "line-break": replaced(REPLYING, "Re: O", "Re:\\nO"),
    "user-data-integer": replaced(INVITED, '"visits": 0', f'"visits": {2**64}'),
    "user-data-depth": replaced(INVITED, '"visits": 0', f'"visits": {"[" * 64}{"]" * 64}'),
    "user-data-size": replaced(INVITED, '"visits": 0', f'"visits": "{"x" * 262144}"'),
    "received-at": replaced(ACCEPTED, "2024-05-06T07:00:00Z", "2024-05-06 07:00"),
    "at": changed(tell(INVITED), 1, at="yesterday"),
    "at-order": changed(tell(ACCEPTED), 2, at="2024-05-06T07:00:00Z"),
    "sequence": changed(tell(ACCEPTED), 2, sequence=3),
    "offer": changed(tell(ACCEPTED), 2, offer=2),
    "trigger": changed(tell(ACCEPTED), 2, trigger="Take"),
    "trigger-state": changed(tell(ACCEPTED), 2, trigger="Reject"),
    "changed": replaced(ACCEPTED, '"visits": 0', '"visits": 1'),
    **{rule: written(tell(story)) for story, rule in DISORDER.values()},
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_something(rule: str) -> None:
    """Each rule has lines that break it, in the last one; without that line all is well."""
    lines = BREAKS[rule]
    only = rule == "undocumented"
    faults = check_lines(lines, documented_only=only)
    assert rule in {fault.rule for fault in faults}
    assert {fault.line for fault in faults} == {len(lines)}
    assert check_lines(lines[:-1], documented_only=only) == []


def test_breaks_are_of_the_rules() -> None:
    """No rule is found that is not named."""
    assert set(BREAKS) == set(RULES)


def test_faults_come_in_the_order_of_the_lines_and_at_once() -> None:
    """Lines are read one at a time: a fault is known before the next line is."""

    def lines() -> Iterator[bytes]:
        yield b"{"
        raise AssertionError("read too far")

    assert next(iter_faults(lines())).line == 1


def test_fault_is_a_frozen_value() -> None:
    """A fault cannot be changed, and reads as line, rule, path and message."""
    fault = check_lines(["x"])[0]
    assert isinstance(fault, Fault)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault.line = 2  # type: ignore[misc]  # the point of the test
    assert str(Fault(3, "id", "$.id", "no")) == "3: id $.id: no"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the faults and answers 1, or prints nothing and answers 0."""
    good, bad, bare = (tmp_path / name for name in ("good", "bad", "bare"))
    good.write_bytes(b"".join(written(tell(GOOD["a whole life"]))))
    bad.write_bytes(b"".join(BREAKS["surrogate"] + BREAKS["utf-8"]))
    bare.write_bytes(b"".join(written(documented(tell(GOOD["queued again"])), bare=True)))
    assert page_checker.main([str(good)]) == 0
    assert page_checker.main([str(bare), "--bare", "--documented-only"]) == 0
    assert capsys.readouterr().out == ""
    assert page_checker.main([str(bad)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("1: surrogate $.data.currentQueue: ")
    assert second.startswith("2: utf-8 $: ")
    assert page_checker.main([str(good), "--documented-only"]) == 1
    assert page_checker.main([str(good), "--bare"]) == 1


def test_the_command_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read is an error of its own, not a fault and not success."""
    with pytest.raises(SystemExit) as caught:
        page_checker.main([str(tmp_path / "none")])
    assert caught.value.code == 2
    assert "none" in capsys.readouterr().err


def test_run_as_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as a script it leaves with the command's answer."""
    path = tmp_path / "lines"
    path.write_bytes(b"{\n")
    monkeypatch.setattr(sys, "argv", ["page_checker.py", str(path)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(page_checker.__file__, run_name="__main__")
    assert caught.value.code == 1


def test_it_shares_nothing_with_the_package() -> None:
    """The checker imports the standard library only."""
    tree = ast.parse(Path(page_checker.__file__).read_text(encoding="utf-8"))
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module or "")
    assert modules
    assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names
