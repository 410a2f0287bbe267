"""L8. The command `lifecycle`; each of its commands has a module of its own."""

from __future__ import annotations

import pkgutil
from typing import Annotated

import typer

from lifecycle.cli import people, queues, stores
from lifecycle.cli.export import export
from lifecycle.cli.show import show
from lifecycle.cli.simulate import simulate

app = typer.Typer(
    name="lifecycle",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(simulate)
app.command()(show)
app.command()(export)
app.command()(queues.history)
app.command()(queues.agents)
app.command()(queues.queue)
app.command()(queues.deliveries)
app.command()(queues.outgoing)
app.add_typer(stores.app, name="store")
app.add_typer(people.app, name="person")


def _print_version(wanted: bool) -> None:
    if wanted:
        # The package itself stands above all its modules, so none imports from it.
        typer.echo(f"lifecycle {pkgutil.resolve_name('lifecycle:__version__')}")
        raise typer.Exit


@app.callback()
def lifecycle(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The life of an inbound e-mail in a contact centre, as a finite-state machine."""


def main() -> None:
    """Run the command line."""
    app(prog_name="lifecycle")
