"""L8. `lifecycle simulate`: real mails through their whole lives, every notification printed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import anyio
import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from lifecycle.cli._sources import read_mails
from lifecycle.errors import LifecycleError
from lifecycle.mail import parse_mail
from lifecycle.ports import Answer
from lifecycle.records import Delivery
from lifecycle.simulation import Simulation
from lifecycle.sinks.jsonl import JsonLinesSink
from lifecycle.table import EMAIL


def simulate(
    mail: Annotated[
        list[str],
        typer.Argument(
            help="An .eml or mbox file, a Maildir, a folder (searched for .eml files), or -."
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
) -> None:
    """Take mails through their whole lives and print every notification as a JSON line.

    Simulated agents accept, reject, ignore, transfer, park, reply and send, on a virtual clock,
    until every interaction has ended. The same seed gives the same bytes. At the end a table on
    standard error says how often each row of the rule table was taken.

    Exit status 1 says that some mail could not be read; the others were simulated.
    """
    console = Console(stderr=True)
    found = read_mails(mail)
    mails, failures = [], list(found.failures)
    for path, raw in found.mails:
        try:
            parse_mail(raw)
        except LifecycleError as error:
            failures.append(f"{path}: {error}")
        else:
            mails.append(raw)
    try:
        with _opened(out) as file, _progress(console, len(mails)) as progress:
            writer = _Writer(JsonLinesSink(file, bare=bare))
            simulation = Simulation(
                sink=writer,
                agents=agents,
                seed=seed,
                documented_only=documented_only,
                progress=partial(_told, writer, progress),
            )
            taken = anyio.run(simulation.run, mails)
    except BrokenPipeError:
        # Whoever read the lines has had enough; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as error:
        console.print(f"{out or 'standard output'}: {error.strerror or error}", markup=False)
        raise typer.Exit(2) from None
    console.print(_summary(taken, len(mails)))
    if found.skipped:
        console.print(f"{found.skipped} files skipped, which are no .eml")
    for failure in failures:
        console.print(f"could not be read: {failure}", markup=False, style="red")
    if failures or not mails:
        if not mails:
            console.print("no mail was found", style="red")
        raise typer.Exit(1)


def _told(writer: _Writer, progress: Callable[[int], None], submitted: int, ended: int) -> None:
    writer.check()
    progress(ended)


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
def _progress(console: Console, mails: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many interactions have ended."""
    bar = Progress(
        TextColumn("interactions ended"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=mails)
        yield lambda ended: bar.update(task, completed=ended)


def _summary(taken: Counter[tuple[str, str, str]], mails: int) -> Table:
    seen = sum(1 for count in taken.values() if count)
    table = Table(
        title=f"{mails} interactions, {taken.total()} steps, {seen} of {len(EMAIL.rows)} rows taken"
    )
    for column in ("trigger", "from", "to"):
        table.add_column(column)
    table.add_column("taken", justify="right")
    for row in EMAIL.rows:
        count = taken[row.trigger, row.source, row.dest]
        style = None if count else "bold red"
        table.add_row(row.trigger, row.source, row.dest, str(count), style=style)
    return table
