"""L8. How the commands come to a store: its address, its errors in one line, its answers.

Exit status 2 says that a command could not do what it was asked, after one line on standard
error; 1, that it has done it and something is wrong. No line shows a password.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import unquote

import anyio
import orjson
import typer
from rich.cells import cell_len
from rich.console import Console

from lifecycle._opening import open_store, store_class
from lifecycle.cli._terminal import plain, reason, say
from lifecycle.errors import LifecycleError, StoreUnavailable
from lifecycle.ports import Store
from lifecycle.records import Entry
from lifecycle.service import Lifecycle
from lifecycle.stores.sqlite import SqliteStore

StoreAddress = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="LIFECYCLE_STORE",
        metavar="ADDRESS",
        help="sqlite:///PATH, a path, or postgresql://USER@HOST/DATABASE.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]

_SECRETS: Final = (
    re.compile(r"//[^:/@]*:([^/]*)@"),
    re.compile(r"//[^:/@]*:(.*)@"),
    re.compile(r"[?&](?:ssl)?password=([^&#]*)"),
)
"""Where a password stands in an address, also in one that is not written as it should be."""
_FIELDS: Final = ("interaction_id", "agent_id", "trigger", "path")
"""The fields of what is logged that are shown."""


class _Says(logging.Handler):
    """Shows what is logged as lines of a command, with its fields, and no traceback."""

    def __init__(self, said: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        fields = {name: getattr(record, name, None) for name in _FIELDS}
        known = [f"{name}={value}" for name, value in fields.items() if value is not None]
        self._said(f"{record.getMessage()} [{', '.join(known)}]")


def run(command: str, address: str, work: Callable[[Store], Awaitable[int]]) -> None:
    """Open a store that is there, do something with it, and close it.

    Arguments:
        command: the name of the command, for messages.
        address: of the store.
        work: takes the store and returns the exit status.

    Raises `typer.Exit` with the status that `work` returns where that is not 0, and with 2,
    after one line on standard error, for an error of the store or of what was asked.
    """

    async def main() -> int:
        check_exists(address)
        store = await open_store(address)
        try:
            return await work(store)
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()

    with telling(command, address):
        status = anyio.run(main)
    if status:
        raise typer.Exit(status)


@contextmanager
def telling(command: str, address: str) -> Iterator[None]:
    """Say errors and what is logged in one line each, and end the command where there are any."""

    def tell(message: str) -> None:
        say(command, without_secrets(message, address))

    log = logging.getLogger("lifecycle")
    handler = _Says(tell)
    log.addHandler(handler)
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read the lines has had enough: typer ends the command in silence
    except LifecycleError as error:
        tell(str(error))
        raise typer.Exit(2) from None
    except OSError as error:
        tell(reason(error))
        raise typer.Exit(2) from None
    finally:
        log.removeHandler(handler)


def without_secrets(text: str, address: str) -> str:
    """A text in which nothing stands that is secret in the address of a store."""
    found = [secret for pattern in _SECRETS for secret in pattern.findall(address)]
    for secret in sorted({form for one in found for form in (one, unquote(one))}, key=len):
        if secret:
            text = text.replace(secret, "***")
    return text


def check_exists(address: str) -> None:
    """Refuse an SQLite file that is not there or empty: to open it would make a store of it.

    Raises `StoreUnavailable`, and `InvalidParameter` for an address of no kind.
    """
    path = sqlite_path(address)
    if path is not None and (not path.exists() or (path.is_file() and not path.stat().st_size)):
        raise StoreUnavailable("there is no such store", path=str(path), value="no file")


def sqlite_path(address: str) -> Path | None:
    """The file of an SQLite store; None where the address is of another kind."""
    kind, place = store_class(address)
    return Path(place) if kind is SqliteStore else None


def sqlite_version(path: Path) -> int:
    """The version of the schema in a file, 0 where there is none yet.

    Raises `StoreUnavailable` where the file cannot be read.
    """
    if not path.exists():
        return 0
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            [(version,)] = connection.execute("PRAGMA user_version")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreUnavailable("cannot be read", path=str(path), value=str(error)) from None
    return int(version)


def service(store: Store) -> Lifecycle:
    """A service for one request, which does nothing by itself."""
    return Lifecycle(store=store, background=False)


def fail(command: str, message: str) -> NoReturn:
    """Say why a command cannot do what it was asked, and end it."""
    say(command, message)
    raise typer.Exit(2)


def print_json(value: object) -> None:
    """One object on a line of standard output; times in UTC."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_UTC_Z, default=_text))


def _text(value: object) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def entry_object(entry: Entry) -> dict[str, Any]:
    """A line of a history, as `lifecycle history --json` prints it."""
    return {
        "interactionId": entry.interaction_id,
        "version": entry.version,
        "at": entry.at,
        "actor": entry.actor,
        "trigger": entry.trigger,
        "source": entry.source,
        "dest": entry.dest,
        "offer": entry.offer,
        "agentId": entry.agent_id,
        "sequence": entry.sequence,
    }


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows in columns, however wide the terminal is; nothing where there are no rows.

    Every cell is shown on one line, and commands no terminal.
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    safe = partial(plain, encoding=console.encoding)
    cells = [[safe(_cell(value)) for value in row] for row in rows]
    if not cells:
        return
    cells.insert(0, list(head))
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        line = "  ".join(
            cell + " " * (width - cell_len(cell))
            for cell, width in zip(row, widths, strict=True)
        )  # fmt: skip
        console.print(line.rstrip(), style="bold" if number == 0 else None)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def shortened(text: str, length: int = 60) -> str:
    """A text that fits into a column."""
    return text if len(text) <= length else f"{text[:length]}..."
