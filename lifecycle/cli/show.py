"""L8. `lifecycle show`: captured deliveries as one readable timeline per interaction."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
import orjson
import typer
from rich.console import Console
from rich.text import Text

from lifecycle.cli._terminal import plain, reason, say
from lifecycle.errors import InvalidParameter

_say = partial(say, "show")
_STYLES = {"Invited": "cyan", "Accepted": "green", "ReplyCreated": "green", "Revoked": "yellow"}
_TYPES = {
    "agentId": str,
    "sequence": int,
    "interactionId": str,
    "offer": int,
    "trigger": str,
    "at": str,
    "data": dict,
}
_KINDS = {str: "a string", int: "an integer", dict: "an object"}
_SUBJECT_LENGTH = 200


@attrs.frozen
class _Event:
    """What is shown of one delivery."""

    at: str
    trigger: str
    state: str
    agent_id: str
    offer: int
    capabilities: tuple[str, ...]


@attrs.define
class _Life:
    subject: str
    events: list[_Event] = attrs.field(factory=list)


def show(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `lifecycle simulate` printed, or -.")
    ],
) -> None:
    """Print, for each interaction in a capture, what happened to it and who was told.

    Exit status 1 says that some lines could not be understood, while the others are shown; 2,
    that the file could not be read.
    """
    lives: dict[str, _Life] = {}
    bad = 0
    try:
        for number, line in _lines(file):
            try:
                delivery = _delivery(line)
            except InvalidParameter as error:
                bad += 1
                _say(f"{file}:{number}: {error}")
                continue
            life = lives.setdefault(delivery["interactionId"], _Life(_subject(delivery)))
            life.events.append(_event(delivery))
    except OSError as error:
        _say(f"cannot read {file}: {reason(error)}")
        raise typer.Exit(2) from None
    try:
        console = Console(highlight=False, soft_wrap=True)
        for interaction_id, life in lives.items():
            _print(console, interaction_id, life)
    except OSError as error:  # not of a broken pipe, which ends the command in silence
        _say(f"cannot write to standard output: {reason(error)}")
        raise typer.Exit(2) from None
    if bad:
        raise typer.Exit(1)


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, and their numbers."""
    if file == "-":
        yield from _numbered(sys.stdin.buffer)
        return
    with Path(file).open("rb") as opened:
        yield from _numbered(opened)


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _delivery(line: bytes) -> dict[str, Any]:
    """A delivery; raises `InvalidParameter` for what cannot be shown as one."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"not JSON: {error}", path="$", value=line) from None
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", path="$", value=value)
    if "messageTypeName" in value:
        raise InvalidParameter("a capture made with --bare does not say who was told, or when")
    for key, kind in _TYPES.items():
        _check(value, key, kind, "$")
    _check(value["data"], "state", str, "$.data")
    capabilities = value["data"].get("capabilities", [])
    if not isinstance(capabilities, list) or not all(isinstance(one, str) for one in capabilities):
        raise InvalidParameter(
            "must be a list of strings", path="$.data.capabilities", value=capabilities
        )
    return value


def _check(value: dict[str, Any], key: str, kind: type, path: str) -> None:
    if type(value.get(key)) is not kind:
        raise InvalidParameter(
            f"must be {_KINDS[kind]}", path=f"{path}.{key}", value=value.get(key)
        )


def _subject(delivery: dict[str, Any]) -> str:
    email = delivery["data"].get("email_object")
    if not isinstance(email, dict):
        return ""
    subject = str(email.get("subject", email.get("Subject", "")))
    if len(subject) <= _SUBJECT_LENGTH:
        return subject
    return f"{subject[:_SUBJECT_LENGTH]}..."


def _event(delivery: dict[str, Any]) -> _Event:
    return _Event(
        at=delivery["at"],
        trigger=delivery["trigger"],
        state=delivery["data"]["state"],
        agent_id=delivery["agentId"],
        offer=delivery["offer"],
        capabilities=tuple(delivery["data"].get("capabilities", ())),
    )


def _print(console: Console, interaction_id: str, life: _Life) -> None:
    safe = partial(plain, encoding=console.encoding)
    console.print(Text.assemble((safe(interaction_id), "bold"), "  ", safe(life.subject)))
    for event in life.events:
        may = f"  may {', '.join(event.capabilities)}" if event.capabilities else ""
        console.print(
            Text.assemble(
                safe(f"  {_time(event.at)}  {event.trigger:<17}"),
                (safe(f"{event.state:<13}"), _STYLES.get(event.state, "dim")),
                safe(f"{event.agent_id:<8} "),
                (safe(f"offer {event.offer}{may}"), "dim"),
            ),
        )
    console.print()


def _time(at: str) -> str:
    """A time to the second, as a person reads it."""
    return at.replace("T", " ")[:19]
