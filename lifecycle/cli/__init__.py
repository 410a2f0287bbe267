"""L8. The command `lifecycle`; each of its commands has a module of its own."""

from __future__ import annotations

import typer

from lifecycle.cli.export import export
from lifecycle.cli.show import show
from lifecycle.cli.simulate import simulate

app = typer.Typer(
    name="lifecycle",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The life of an inbound e-mail in a contact centre, as a finite-state machine.",
)
app.command()(simulate)
app.command()(show)
app.command()(export)


def main() -> None:
    """Run the command line."""
    app(prog_name="lifecycle")
