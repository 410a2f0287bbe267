"""Finds what is wrong in the notification lines of the engine, without the engine.

Written from the documented page (its keys, constants and capability lists stand here as the page
has them) and from semantics 1-4, 6 and 9. It imports nothing of the package, so that a fault in
the package cannot hide itself here. What may follow what is judged as an agent would judge it:
an operation must be among the capabilities that the last notification showed to the agent who
holds the interaction.

It reads one line after the other and remembers a little per interaction and per agent.

    python tests/page_checker.py FILE [--bare] [--documented-only]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import reprlib
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

RULES = {
    "utf-8": "a line is UTF-8",
    "json": "a line is one JSON value, on one line",
    "duplicate-key": "a key stands once in an object",
    "surrogate": "no string holds a lone surrogate",
    "non-finite": "every number is finite",
    "type": "a value has the documented type",
    "key-missing": "every documented key is there",
    "key-unknown": "no other key is there",
    "key-order": "the keys stand in the documented order",
    "constant": "a fixed value is the documented one",
    "size": "a size is not negative",
    "state": "the state is one of the ten",
    "undocumented": "with documented-only, the state is one of the page's four",
    "capabilities": "the capabilities are the page's list for the state",
    "id": "an interaction id is ASCII letters and digits",
    "id-mismatch": "every copy of the interaction id is the same",
    "line-break": "no header value of a draft holds a line break",
    "user-data-integer": "an integer of the user data fits in 64 bits",
    "user-data-depth": "user data nests at most 64 maps and lists, itself counted",
    "user-data-size": "user data is at most 256 KiB, by its keys and strings alone",
    "received-at": "receivedAt is a second in UTC, and not after the first notification",
    "at": "at is an ISO 8601 time in UTC",
    "at-order": "at never goes back",
    "sequence": "an agent's sequence starts at 1 and has no gaps",
    "offer": "offers are numbered from 1, one more on each Invite, and on nothing else",
    "trigger": "the trigger is a known one",
    "trigger-state": "the trigger leads to the state and notifies somebody of it",
    "ended": "nothing follows Sent or Completed",
    "holder": "one agent holds an interaction at a time, and only that agent works it",
    "capability": "an operation was among the capabilities last shown to its agent",
    "origin": "Return goes to the agent who transferred",
    "order": "the state can follow the state notified before",
    "changed": "what no trigger since could change is as it was shown before",
}


@dataclass(frozen=True)
class Fault:
    """One rule that a line breaks: line from 1 (0 without lines), rule, `$.path`, message."""

    line: int
    rule: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.line}: {self.rule} {self.path}: {self.message}"


Finding = tuple[str, str, str]
Check = Callable[[object, str], Iterator[Finding]]


# -- JSON ------------------------------------------------------------------------------------


class JsonObject(dict[str, object]):
    """A parsed object, its keys in the order of the text, that remembers repeated ones."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.names = [name for name, _ in pairs]


def parse(text: str) -> object:
    """Parse JSON into JsonObjects; raises ValueError, or RecursionError where it nests too deep."""
    return json.loads(text, object_pairs_hook=JsonObject)


def _show(value: object) -> str:
    return reprlib.repr(value).encode("ascii", "backslashreplace").decode()


def _member(path: str, name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    return f"{path}.{name}" if plain else f"{path}[{json.dumps(name)}]"


def _walk(value: object, path: str) -> Iterator[tuple[str, int, object]]:
    """Every value with its path and depth, in document order; any depth, so not recursive."""
    stack = [(path, 1, value)]
    while stack:
        path, depth, value = stack.pop()
        yield path, depth, value
        inner: list[tuple[str, object]] = []
        if isinstance(value, dict):
            inner = [(_member(path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        stack.extend((name, depth + 1, item) for name, item in reversed(inner))


_LONE = re.compile("[\ud800-\udfff]")


def _values(document: object, path: str) -> Iterator[Finding]:
    """What no JSON of the engine may hold anywhere."""
    for where, _, value in _walk(document, path):
        if isinstance(value, float) and not math.isfinite(value):
            yield "non-finite", where, f"{value} is not finite"
        elif isinstance(value, str) and _LONE.search(value):
            yield "surrogate", where, f"{_show(value)} holds a lone surrogate"
        elif isinstance(value, dict):
            for name in value:
                if _LONE.search(name):
                    yield "surrogate", _member(where, name), "the key holds a lone surrogate"
            if isinstance(value, JsonObject) and len(value.names) > len(value):
                for name in value:
                    if value.names.count(name) > 1:
                        yield "duplicate-key", _member(where, name), "the key stands twice"


# -- checks of one value ---------------------------------------------------------------------


def _typed(value: object, path: str, wanted: str) -> Finding:
    return "type", path, f"{_show(value)} is not {wanted}"


def _anything(value: object, path: str) -> Iterator[Finding]:
    yield from ()


def _string(
    rule: str = "", holds: Callable[[str], object] = lambda text: True, fault: str = ""
) -> Check:
    def check(value: object, path: str) -> Iterator[Finding]:
        if not isinstance(value, str):
            yield _typed(value, path, "a string")
        elif not holds(value):
            yield rule, path, f"{_show(value)} {fault}"

    return check


def _fixed(wanted: str) -> Check:
    return _string("constant", lambda text: text == wanted, f"is not {wanted!r}")


def _text_or_null(value: object, path: str) -> Iterator[Finding]:
    if value is not None and not isinstance(value, str):
        yield _typed(value, path, "a string or null")


def _integer(value: object, path: str) -> Iterator[Finding]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield _typed(value, path, "an integer")


def _size(value: object, path: str) -> Iterator[Finding]:
    yield from _integer(value, path)
    if isinstance(value, int) and value < 0:
        yield "size", path, f"{value} is negative"


def _list(item_check: Check) -> Check:
    def check(value: object, path: str) -> Iterator[Finding]:
        if not isinstance(value, list):
            yield _typed(value, path, "a list")
            return
        for index, item in enumerate(value):
            yield from item_check(item, f"{path}[{index}]")

    return check


def _object(fields: Mapping[str, Check]) -> Check:
    def check(value: object, path: str) -> Iterator[Finding]:
        if not isinstance(value, dict):
            yield _typed(value, path, "an object")
            return
        for name in fields:
            if name not in value:
                yield "key-missing", _member(path, name), "the documented key is missing"
        for name in value:
            if name not in fields:
                yield "key-unknown", _member(path, name), "the key is not documented"
        stands = [name for name in value if name in fields]
        wanted = [name for name in fields if name in value]
        for name, here in zip(wanted, stands, strict=True):
            if name != here:
                yield "key-order", _member(path, here), f"{name!r} belongs here"
                break
        for name in wanted:
            yield from fields[name](value[name], _member(path, name))

    return check


def _capabilities(wanted: list[str]) -> Check:
    strings = _list(_text)

    def check(value: object, path: str) -> Iterator[Finding]:
        found = list(strings(value, path))
        yield from found
        if not found and value != wanted:
            yield "capabilities", path, f"{_show(value)} is not {wanted}"

    return check


def _user_data(value: object, path: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield _typed(value, path, "an object")
        return
    size = 0
    too_deep = False
    for where, depth, item in _walk(value, path):
        if isinstance(item, (dict, list)) and depth > 64 and not too_deep:
            too_deep = True
            yield "user-data-depth", where, "more than 64 maps and lists are nested"
        # Signed and unsigned 64 bits are both "64 bits".
        if isinstance(item, int) and not -(2**63) <= item < 2**64:
            yield "user-data-integer", where, "the integer is beyond 64 bits"
        texts = item if isinstance(item, dict) else [item]
        size += sum(len(t.encode(errors="replace")) for t in texts if isinstance(t, str))
    if size > 256 * 1024:
        yield "user-data-size", path, f"{size} bytes of keys and strings"


_SECOND = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_RECEIVED_AT = re.compile(_SECOND + "Z", re.ASCII)
_AT = re.compile(_SECOND + r"(\.\d{1,6})?(Z|\+00:00)", re.ASCII)


def _moment(value: object, form: re.Pattern[str]) -> datetime | None:
    if not isinstance(value, str) or not form.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


_text = _string()
_header = _string("line-break", re.compile(r"[^\r\n]*").fullmatch, "holds a line break")
_identifier = _string("id", re.compile(r"[0-9A-Za-z]+").fullmatch, "is not letters and digits")
_received_at = _string(
    "received-at", lambda text: _moment(text, _RECEIVED_AT), "is not like 2014-03-11T10:22:18Z"
)
_at = _string("at", lambda text: _moment(text, _AT), "is not an ISO 8601 time in UTC")


# -- the page --------------------------------------------------------------------------------

CAPABILITIES: dict[str, list[str]] = {
    "Invited": ["Accept", "Reject"],
    "Revoked": [],
    "Accepted": [
        "Transfer",
        "Reply",
        "ReplyAll",
        "StopProcessing",
        "PlaceInQueue",
        "PlaceInWorkbin",
        "UpdateProperties",
    ],
    "ReplyCreated": ["Cancel", "Send", "PlaceInWorkbin", "UpdateProperties", "LinkAttachment"],
}
DOCUMENTED = tuple(CAPABILITIES)
HELD = ("Invited", "Accepted", "ReplyCreated")
ENDED = ("Sent", "Completed")

_HEAD: dict[str, Check] = {
    "messageTypeName": _fixed("InteractionStateMessage"),
    "id": _identifier,
    "channel": _fixed("email"),
}
_ATTACHMENT = _object({"id": _text, "name": _text, "size": _size, "mimetype": _text})


def _body(header: Check) -> dict[str, Check]:
    return {
        "ToAddress": header,
        "FromAddress": header,
        "CCAddresses": _list(header),
        "Subject": header,
        "Text": _text,
        "StructuredText": _text,
        "MimeType": _text,
        "StructuredTextMimeType": _text,
    }


def _tail(state: str) -> dict[str, Check]:
    return {"state": _fixed(state), "capabilities": _capabilities(CAPABILITIES.get(state, []))}


SHAPES: dict[str, Check] = {
    "Invited": _object(
        {
            **_HEAD,
            "email_object": _object({"subject": _text, "interactionId": _text}),
            "interactionType": _fixed("Email"),
            "interactionSubType": _fixed("InboundNew"),
            "userData": _user_data,
            "currentQueue": _text_or_null,
            **_tail("Invited"),
        }
    ),
    "Accepted": _object(
        {
            **_HEAD,
            "email_object": _object(
                {
                    **_body(_text),
                    "TheComment": _text_or_null,
                    "ContactID": _text_or_null,
                    "attachments": _list(_ATTACHMENT),
                }
            ),
            "interactionType": _fixed("Email"),
            "interactionSubType": _fixed("InboundNew"),
            "userData": _user_data,
            "currentQueue": _text_or_null,
            "inQueues": _list(_text),
            "outQueues": _list(_text),
            "receivedAt": _received_at,
            **_tail("Accepted"),
        }
    ),
    "ReplyCreated": _object(
        {
            **_HEAD,
            "email_object": _object(_body(_header)),
            "interactionType": _fixed("Email"),
            "interactionSubType": _fixed("OutboundReply"),
            "receivedAt": _received_at,
            **_tail("ReplyCreated"),
        }
    ),
}
SHAPES |= {
    state: _object({**_HEAD, "email_object": _object({"subject": _text}), **_tail(state)})
    for state in ("Revoked", "Queued", "Rejected", "Transferred", "InWorkbin", "Sent", "Completed")
}


def _shape(value: object, path: str, documented_only: bool = False) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield _typed(value, path, "an object")
        return
    where = f"{path}.state"
    state = value.get("state")
    if "state" not in value:
        yield "key-missing", where, "the documented key is missing"
    elif not isinstance(state, str):
        yield _typed(state, where, "a string")
    elif state not in SHAPES:
        yield "state", where, f"{_show(state)} is not a state"
    else:
        if documented_only and state not in DOCUMENTED:
            yield "undocumented", where, f"{state} is not on the page"
        yield from SHAPES[state](value, path)
        mail = value.get("email_object")
        if isinstance(mail, dict):
            copy = mail.get("interactionId")
            yield from _same_id(copy, value, f"{path}.email_object.interactionId")


def _same_id(copy: object, data: Mapping[str, object], path: str) -> Iterator[Finding]:
    ident = data.get("id")
    if isinstance(copy, str) and isinstance(ident, str) and copy != ident:
        yield "id-mismatch", path, f"{_show(copy)} is not the id {_show(ident)}"


def check_notification(value: object, *, path: str = "$") -> list[Fault]:
    """Check one notification by itself.

    Parse it with `parse`: a plain dict has lost its repeated keys. Returns what is wrong with
    it, with line 0; nothing is raised.
    """
    findings = [*_values(value, path), *_shape(value, path)]
    return [Fault(0, *finding) for finding in findings]


# -- lines -----------------------------------------------------------------------------------

ENVELOPE = _object(
    {
        "agentId": _text,
        "topic": _fixed("/me/interactions"),
        "sequence": _integer,
        "interactionId": _identifier,
        "offer": _integer,
        "trigger": _text,
        "at": _at,
        "data": _anything,
    }
)

# Which states an agent can be told of after each trigger.
LEADS_TO: dict[str, tuple[str, ...]] = {
    "Invite": ("Invited",),
    "Accept": ("Accepted",),
    "Reject": ("Rejected",),
    "Revoke": ("Revoked",),
    "Return": ("Accepted",),
    "Close": (),  # nobody holds it before or after, so nobody is told
    "Transfer": ("Transferred",),
    "Reply": ("ReplyCreated",),
    "ReplyAll": ("ReplyCreated",),
    "StopProcessing": ("Completed",),
    "PlaceInQueue": ("Queued",),
    "PlaceInWorkbin": ("InWorkbin",),
    "UpdateProperties": ("Accepted", "ReplyCreated"),
    "Pull": ("Accepted", "ReplyCreated"),
    "Cancel": ("Accepted",),
    "Send": ("Sent",),
    "LinkAttachment": ("ReplyCreated",),
}


def _facts(data: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Name, path and value of all that is shown again later."""
    for key, value in data["email_object"].items():
        if data["state"] == "ReplyCreated":
            name = f"draft {key}"
        else:
            name = "Subject" if key == "subject" else key
        yield name, f"email_object.{key}", value
    for key in ("userData", "currentQueue", "inQueues", "outQueues", "receivedAt"):
        if key in data:
            yield key, key, data[key]


def _changed_by(causes: Sequence[str], name: str) -> bool:
    if name in ("userData", "TheComment"):
        return "UpdateProperties" in causes
    if name.startswith("draft "):
        return not {"UpdateProperties", "Reply", "ReplyAll"}.isdisjoint(causes)
    return name == "currentQueue" and "PlaceInQueue" in causes


@dataclass
class _Life:
    """What is remembered of one interaction."""

    state: str = "nothing"  # last notified
    holder: str | None = None
    offer: int = 0
    origin: str | None = None  # who transferred; with documented-only: who may have
    parked_from: str = ""
    began: datetime | None = None  # time of the first notification
    shown: dict[str, int] = field(default_factory=dict)  # digests of what was shown

    def objection(
        self, trigger: str, state: str, agent: str, hidden: bool
    ) -> tuple[str, str] | None:
        """Rule and reason why `trigger` cannot have led here; `hidden`: documented states only."""
        was = self.state
        if was in ENDED:
            return "ended", f"{state} after {was}"
        taken = "holder", f"{_show(self.holder)} holds it in {was}"
        if trigger in ("Invite", "Return", "Pull"):
            # These start where nobody holds it; a step that put it there may have been hidden.
            if self.holder is not None and not hidden:
                return taken
            if trigger == "Return" and self.origin != agent:
                return "origin", f"{_show(agent)} has no transfer of it under way"
            parked = was if hidden else self.parked_from
            if trigger == "Pull" and parked != state:
                return "order", f"Pull to {state}, but {was} was notified before"
            return None
        if self.holder is not None and self.holder != agent:
            return taken
        if trigger == "Revoke":
            nobody = "order", f"Revoked, but nobody holds it in {was}"
            return nobody if self.holder is None else None
        if trigger not in CAPABILITIES.get(was, []):
            return "capability", f"{trigger} is not a capability of {was}"
        if trigger == "UpdateProperties" and state != was:
            return "order", f"{trigger} in {was} led to {state}"
        return None

    def forget(self, causes: Sequence[str]) -> None:
        """Forget what was shown and may have been changed by one of the triggers."""
        for name in [name for name in self.shown if _changed_by(causes, name)]:
            del self.shown[name]

    def move(self, state: str, agent: str, hidden: bool) -> None:
        """Take the notification as the truth, whether or not it was at fault."""
        if state == "Transferred" or (hidden and state == "Accepted"):
            self.origin = agent
        elif state in ("Accepted", "ReplyCreated"):
            self.origin = None
        elif state == "Revoked" and self.state == "Accepted":
            self.origin = None  # revoked from its owner, so not transferred
        self.parked_from = self.state if state == "InWorkbin" else ""
        self.holder = agent if state in HELD else None
        self.state = state
        if state in ENDED:
            self.shown.clear()


class _Stream:
    """Checks line after line; holds what is remembered between them."""

    def __init__(self, *, bare: bool, documented_only: bool) -> None:
        self.bare = bare
        self.hidden = documented_only
        self.lives: dict[str, _Life] = {}
        self.sequences: dict[str, int] = {}
        self.latest: datetime | None = None

    def line(self, raw: str | bytes) -> Iterator[Finding]:
        try:
            text = raw.decode() if isinstance(raw, bytes) else raw
        except UnicodeDecodeError as error:
            yield "utf-8", "$", str(error)
            return
        try:
            document = parse(text)
        except (ValueError, RecursionError) as error:
            yield "json", "$", str(error)
            return
        if "\n" in text.removesuffix("\n"):
            yield "json", "$", "the value takes more than one line"
        yield from _values(document, "$")
        if self.bare:
            yield from self._notification(document, "$", {"agentId": "somebody"})
        else:
            yield from ENVELOPE(document, "$")
            if isinstance(document, dict):
                yield from self._counters(document)
                if "data" in document:
                    yield from self._notification(document["data"], "$.data", document)

    def _counters(self, envelope: Mapping[str, object]) -> Iterator[Finding]:
        agent, sequence = envelope.get("agentId"), envelope.get("sequence")
        if isinstance(agent, str) and isinstance(sequence, int):
            wanted = self.sequences.get(agent, 0) + 1
            if sequence != wanted:
                yield "sequence", "$.sequence", f"{sequence} for {_show(agent)}, not {wanted}"
            self.sequences[agent] = sequence
        at = _moment(envelope.get("at"), _AT)
        if at is not None:
            if self.latest is not None and at < self.latest:
                yield "at-order", "$.at", f"{envelope['at']} is before {self.latest.isoformat()}"
            self.latest = at

    def _notification(
        self, data: object, path: str, envelope: Mapping[str, object]
    ) -> Iterator[Finding]:
        found = list(_shape(data, path, self.hidden))
        yield from found
        if not isinstance(data, dict):
            return
        yield from _same_id(envelope.get("interactionId"), data, "$.interactionId")
        ident, state, agent = data.get("id"), data.get("state"), envelope.get("agentId")
        if not (isinstance(ident, str) and isinstance(state, str) and isinstance(agent, str)):
            return
        if state not in SHAPES:
            return
        life = self.lives.setdefault(ident, _Life())
        trigger = envelope.get("trigger")
        where = f"{path}.state" if self.bare else "$.trigger"
        causes = yield from self._causes(life, trigger, state, agent, where)
        if self.hidden and state == "Invited":
            causes = [*causes, "PlaceInQueue"]
        life.forget(causes)
        yield from self._offer(life, state, envelope.get("offer"))
        life.began = life.began or _moment(envelope.get("at"), _AT)
        if not found:
            yield from self._kept(life, data, path)
        life.move(state, agent, self.hidden)

    def _causes(
        self, life: _Life, trigger: object, state: str, agent: str, where: str
    ) -> Generator[Finding, None, list[str]]:
        """The triggers that may have led here: the named one, or without a name all that could."""
        fitting = [name for name, states in LEADS_TO.items() if state in states]
        if isinstance(trigger, str):
            if trigger not in LEADS_TO:
                yield "trigger", where, f"{_show(trigger)} is not a trigger"
                return fitting
            if trigger not in fitting:
                yield "trigger-state", where, f"{trigger} notifies nobody of {state}"
                return fitting
            fitting = [trigger]
        objections = [life.objection(name, state, agent, self.hidden) for name in fitting]
        causes = [name for name, why in zip(fitting, objections, strict=True) if why is None]
        if causes:
            return causes
        reasons = [why for why in objections if why is not None]
        if len({rule for rule, _ in reasons}) == 1:
            rule, message = reasons[0]
        else:
            rule, message = "order", f"{state} after {life.state}"
        yield rule, where, message
        return fitting

    def _offer(self, life: _Life, state: str, offer: object) -> Iterator[Finding]:
        if not isinstance(offer, int):
            return
        wanted = life.offer + 1 if state == "Invited" else max(life.offer, 1)
        if offer != wanted:
            yield "offer", "$.offer", f"{offer} with {state}, not {wanted}"
        life.offer = offer

    def _kept(self, life: _Life, data: Mapping[str, object], path: str) -> Iterator[Finding]:
        """Compare with what was shown before; the notification has its documented shape."""
        received = _moment(data.get("receivedAt"), _RECEIVED_AT)
        # A second of grace: it has whole seconds only.
        if received and life.began and received - life.began >= timedelta(seconds=1):
            yield "received-at", f"{path}.receivedAt", "it was notified before it was received"
        for name, place, value in _facts(data):
            digest = hash(json.dumps(value, sort_keys=True))
            if life.shown.setdefault(name, digest) != digest:
                yield "changed", f"{path}.{place}", f"{_show(value)} is not what was shown before"
                life.shown[name] = digest


def iter_faults(
    lines: Iterable[str | bytes], *, bare: bool = False, documented_only: bool = False
) -> Iterator[Fault]:
    """As `check_lines`, each fault as soon as its line was read."""
    stream = _Stream(bare=bare, documented_only=documented_only)
    for number, raw in enumerate(lines, 1):
        for finding in stream.line(raw):
            yield Fault(number, *finding)


def check_lines(
    lines: Iterable[str | bytes], *, bare: bool = False, documented_only: bool = False
) -> list[Fault]:
    """Check the lines that `lifecycle simulate` prints.

    `bare`: each line is only the notification. `documented_only`: notifications of states that
    the page does not show were suppressed, so steps may be missing between two lines.
    Returns every fault in the order of the lines; nothing is raised.
    """
    return list(iter_faults(lines, bare=bare, documented_only=documented_only))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the faults of a file; returns 0 where there are none, else 1; exits with 2 unread."""
    parser = argparse.ArgumentParser(description="Check notification lines against the page.")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--bare", action="store_true", help="lines are notifications only")
    parser.add_argument("--documented-only", action="store_true", help="the page's states only")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        with options.file.open("rb") as lines:
            for fault in iter_faults(
                lines, bare=options.bare, documented_only=options.documented_only
            ):
                print(fault)
                failed = 1
    except OSError as error:
        parser.error(str(error))
    return failed


if __name__ == "__main__":
    sys.exit(main())
