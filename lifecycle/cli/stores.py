"""L8. `lifecycle store check` and `lifecycle store migrate`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import anyio
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn

from lifecycle._opening import open_store, store_class
from lifecycle.checking import Finding, check
from lifecycle.cli._stores import (
    AsJson,
    StoreAddress,
    fail,
    print_json,
    run,
    sqlite_path,
    sqlite_version,
    telling,
    without_secrets,
)
from lifecycle.cli._terminal import plain, say
from lifecycle.ports import Clocked, Store

app = typer.Typer(
    help="Verify a store, or bring its schema up to date.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("check")
def check_command(store: StoreAddress, json: AsJson = False) -> None:
    """Verify every invariant of a store, and print what is wrong, a line each.

    Nothing is changed. Nobody should be working on the store meanwhile. Exit status 1 says that
    something is wrong; 2, that the store could not be opened or read.
    """

    async def work(opened: Store) -> int:
        findings = read = 0
        bar = Progress(
            TextColumn("interactions read"),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty() or sys.stdout.isatty(),
            redirect_stdout=False,  # it would send the findings to standard error
        )
        task = bar.add_task("", total=None)

        def progress(interactions: int) -> None:
            nonlocal read
            read = interactions
            bar.update(task, completed=read)

        now = opened.clock.now() if isinstance(opened, Clocked) else datetime.now(UTC)
        with bar:
            async for finding in check(opened, now=now, progress=progress):
                findings += 1
                _print(finding, json=json)
        say("store check", f"{read} interactions read, findings: {findings}")
        return 1 if findings else 0

    run("store check", store, work)


def _print(finding: Finding, *, json: bool) -> None:
    if json:
        print_json(
            {
                "where": finding.where,
                "what": finding.what,
                "found": finding.found,
                "wanted": finding.wanted,
            }
        )
    else:
        typer.echo(plain(str(finding), sys.stdout.encoding))


@app.command()
def migrate(store: StoreAddress, json: AsJson = False) -> None:
    """Make the schema of a store, or bring it up to date; print from which version to which.

    An SQLite file that is not there is made. Exit status 2 says that the schema is as it was.
    """
    with telling("store migrate", store):
        before, after = anyio.run(_migrated, store)
    if json:
        print_json({"from": before, "to": after})
    else:
        done = "is up to date" if before == after else f"migrated from version {before}"
        shown = without_secrets(store, store)
        typer.echo(plain(f"{shown}: {done}, version {after}", sys.stdout.encoding))


async def _migrated(address: str) -> tuple[int, int]:
    path = sqlite_path(address)
    if path is not None:
        before = sqlite_version(path)
        opened = await open_store(address)
        await opened.aclose()
        return before, sqlite_version(path)
    kind, place = store_class(address)
    if not hasattr(kind, "migrate"):
        fail("store migrate", "this store has no schema")
    versions: tuple[int, int] = await kind.migrate(place)
    return versions
