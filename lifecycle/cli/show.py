"""L8. `lifecycle show`: captured deliveries as one readable timeline per interaction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import attrs
import orjson
import typer
from rich.console import Console
from rich.text import Text

from lifecycle.errors import InvalidParameter

_STYLES = {"Invited": "cyan", "Accepted": "green", "ReplyCreated": "green", "Revoked": "yellow"}
_KEYS = ("agentId", "sequence", "interactionId", "offer", "trigger", "at", "data")


@attrs.define
class _Life:
    subject: str
    lines: list[dict[str, Any]] = attrs.field(factory=list)


def show(
    file: Annotated[str, typer.Argument(help="What `lifecycle simulate` printed, or -.")],
) -> None:
    """Print, for each interaction in a capture, what happened to it and who was told.

    Exit status 1 says that some lines could not be understood; the others are shown.
    """
    errors = Console(stderr=True)
    lives: dict[str, _Life] = {}
    bad = 0
    try:
        for number, line in enumerate(_lines(file), 1):
            try:
                delivery = _delivery(line)
            except InvalidParameter as error:
                bad += 1
                errors.print(f"{file}:{number}: {error}", markup=False, style="red")
                continue
            life = lives.setdefault(delivery["interactionId"], _Life(_subject(delivery)))
            life.lines.append(delivery)
    except OSError as error:
        errors.print(f"{file}: {error.strerror or error}", markup=False, style="red")
        raise typer.Exit(2) from None
    console = Console(highlight=False)
    for interaction_id, life in lives.items():
        _print(console, interaction_id, life)
    if bad:
        raise typer.Exit(1)


def _lines(file: str) -> Iterator[bytes]:
    if file == "-":
        yield from (line for line in sys.stdin.buffer if line.strip())
        return
    with Path(file).open("rb") as opened:
        yield from (line for line in opened if line.strip())


def _delivery(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"not JSON: {error}", path="$", value=line) from None
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", path="$", value=value)
    for key in _KEYS:
        if key not in value:
            raise InvalidParameter(
                "is required; a capture made with --bare cannot be shown", path=f"$.{key}"
            )
    data = value["data"]
    if not isinstance(data, dict) or not isinstance(data.get("state"), str):
        raise InvalidParameter("must be a notification", path="$.data", value=data)
    return value


def _subject(delivery: dict[str, Any]) -> str:
    email = delivery["data"].get("email_object")
    if not isinstance(email, dict):
        return ""
    return str(email.get("subject", email.get("Subject", "")))


def _print(console: Console, interaction_id: str, life: _Life) -> None:
    console.print(Text.assemble((interaction_id, "bold"), "  ", life.subject))
    for line in life.lines:
        state = line["data"]["state"]
        capabilities = line["data"].get("capabilities") or []
        may = f"may {', '.join(map(str, capabilities))}" if capabilities else ""
        console.print(
            Text.assemble(
                f"  {_time(line['at'])}  {line['trigger']:<17}",
                (f"{state:<13}", _STYLES.get(state, "dim")),
                f"{line['agentId']:<8} ",
                (f"offer {line['offer']}  {may}", "dim"),
            ),
            soft_wrap=True,
        )
    console.print()


def _time(at: object) -> str:
    """A time to the second, as a person reads it."""
    return str(at).replace("T", " ")[:19]
