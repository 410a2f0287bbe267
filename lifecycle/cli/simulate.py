"""L8. `lifecycle simulate`: real mails through their whole lives, every notification printed."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import anyio
import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from lifecycle._opening import open_store
from lifecycle.cli._sources import read_mails
from lifecycle.cli._stores import telling
from lifecycle.cli._terminal import reason, say
from lifecycle.errors import LifecycleError
from lifecycle.mail import parse_mail
from lifecycle.ports import Answer
from lifecycle.records import Delivery
from lifecycle.simulation import Simulation, check_empty
from lifecycle.sinks.jsonl import JsonLinesSink
from lifecycle.table import EMAIL

_say = partial(say, "simulate")


def simulate(
    mail: Annotated[
        list[str],
        typer.Argument(
            metavar="MAIL",
            help="An .eml or mbox file, a Maildir, a folder (searched for .eml files), or -.",
        ),
    ],
    agents: Annotated[int, typer.Option(min=2, help="How many agents there are.")] = 6,
    seed: Annotated[int, typer.Option(help="What everything is drawn from.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the deliveries here, not to standard output.")
    ] = None,
    bare: Annotated[bool, typer.Option("--bare", help="Print the notifications alone.")] = False,
    documented_only: Annotated[
        bool,
        typer.Option("--documented-only", help="Deliver only what the documented page shows."),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Keep everything in this store, which must be empty: sqlite:///PATH, a path, or "
            "postgresql://USER@HOST/DATABASE; in memory if not given.",
        ),
    ] = None,
) -> None:
    """Take mails through their whole lives and print every notification as a JSON line.

    Simulated agents accept, reject, ignore, transfer, park, reply and send, on a virtual clock,
    until every interaction has ended. The same seed gives the same bytes, whatever the store. At
    the end a table on standard error says how often each row of the rule table was taken.

    Exit status 1 says that there was no mail, or that some could not be read while the others
    were simulated; 2, that the deliveries could not be written, or the store not be used.
    """
    found = read_mails(mail)
    mails, failures = [], list(found.failures)
    for path, raw in found.mails:
        try:
            parse_mail(raw)
        except LifecycleError as error:
            failures.append(f"{path}: {error}")
        else:
            mails.append(raw)
    if mails:
        make = partial(Simulation, agents=agents, seed=seed, documented_only=documented_only)
        taken = _run(make, mails, out, store or "memory:", bare=bare)
        Console(stderr=True).print(_summary(taken, len(mails)))
    else:
        failures.append("no mail was found")
    if found.skipped:
        _say(f"files in folders that are no .eml, skipped: {found.skipped}")
    for failure in failures:
        _say(failure)
    if failures:
        raise typer.Exit(1)


def _run(
    make: Callable[..., Simulation],
    mails: Sequence[bytes],
    out: Path | None,
    address: str,
    *,
    bare: bool,
) -> Counter[tuple[str, str, str]]:
    """Run the simulation and write what it delivers."""

    async def main() -> Counter[tuple[str, str, str]]:
        store = await open_store(address)
        try:
            await check_empty(store)  # before the file is, as it is emptied
            return await _simulated(partial(make, store=store), mails, out, bare=bare)
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()

    with telling("simulate", address):
        return anyio.run(main)


async def _simulated(
    make: Callable[..., Simulation], mails: Sequence[bytes], out: Path | None, *, bare: bool
) -> Counter[tuple[str, str, str]]:
    try:
        with _opened(out) as file, _progress(file, len(mails)) as show:
            writer = _Writer(JsonLinesSink(file, bare=bare))

            def progress(submitted: int, ended: int) -> None:
                writer.check()
                show(ended)

            return await make(sink=writer, progress=progress).run(mails)
    except BrokenPipeError:
        raise  # whoever read the lines has had enough: typer ends the command in silence
    except OSError as error:
        _say(f"cannot write {out or 'to standard output'}: {reason(error)}")
        raise typer.Exit(2) from None


@attrs.define
class _Writer:
    """A sink whose failure ends the simulation, where a delivery would only be tried again."""

    sink: JsonLinesSink
    failure: OSError | None = None

    async def deliver(self, delivery: Delivery) -> Answer:
        """Write a delivery."""
        try:
            return await self.sink.deliver(delivery)
        except OSError as error:
            self.failure = error
            return Answer.DELIVERED

    def check(self) -> None:
        """Raise what writing has raised."""
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        return
    with path.open("wb") as file:
        yield file


@contextlib.contextmanager
def _progress(file: IO[bytes], mails: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal, unless the deliveries go there, how many interactions have ended."""
    bar = Progress(
        TextColumn("interactions ended"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty() or file.isatty(),
    )
    with bar:
        task = bar.add_task("", total=mails)
        yield lambda ended: bar.update(task, completed=ended)


def _summary(taken: Counter[tuple[str, str, str]], mails: int) -> Table:
    table = Table(
        title=f"{mails} interactions, {taken.total()} steps, "
        f"{len(taken)} of {len(EMAIL.rows)} rows taken"
    )
    for column in ("trigger", "from", "to"):
        table.add_column(column)
    table.add_column("taken", justify="right")
    for row in EMAIL.rows:
        count = taken[row.trigger, row.source, row.dest]
        style = None if count else "bold red"
        table.add_row(row.trigger, row.source, row.dest, str(count), style=style)
    return table
