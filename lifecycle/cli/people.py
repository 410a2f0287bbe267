"""L8. `lifecycle person export` and `lifecycle person erase`: a person's data, on request."""

from __future__ import annotations

import base64
import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
import orjson
import typer

from lifecycle._housekeeping import Dossier
from lifecycle._requests import raw_mail_id
from lifecycle._stored import write_interaction, write_submission
from lifecycle.cli._stores import (
    AsJson,
    StoreAddress,
    entry_object,
    fail,
    print_json,
    print_table,
    run,
    service,
)
from lifecycle.cli._terminal import reason, say
from lifecycle.errors import Forbidden, NotFound, StoreCorrupt
from lifecycle.ports import Store

app = typer.Typer(
    help="What is stored of the person who wrote from an address.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="The address that they wrote from.")
]


@app.command()
def export(
    address: Address,
    store: StoreAddress,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; standard output if not given."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Always so: it is JSON.")] = True,
) -> None:
    """Print everything that is stored of a person's mails, as one JSON document.

    It has an object for each interaction, oldest first: `submission`, `interaction`, `history`,
    and `contents`, the raw mail and all attachments in base64. A file is readable by its owner
    alone.
    """

    async def work(opened: Store) -> int:
        dossiers = await service(opened).export_person(address)
        document = {
            "address": address,
            "interactions": [_dossier(dossier) for dossier in dossiers],
        }
        data = orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2) + b"\n"
        if output is None:
            typer.echo(data, nl=False)
        else:
            await anyio.to_thread.run_sync(_write, output, data)
        if not dossiers:
            say("person export", "nothing is stored under this address")
        return 0

    run("person export", store, work)


def _dossier(dossier: Dossier) -> dict[str, Any]:
    one = dossier.interaction
    files = one.email.attachments + (() if one.draft is None else one.draft.attachments)
    names = {file.id: file for file in files}
    contents: list[dict[str, Any]] = []
    for id, data in dossier.contents.items():
        file = names.get(id)
        is_raw = id == raw_mail_id(one.id)
        contents.append(
            {
                "id": id,
                "name": file.name if file is not None else "",
                "mimetype": "message/rfc822" if is_raw or file is None else file.mimetype,
                "size": len(data),
                "base64": base64.b64encode(data).decode(),
            }
        )
    return {
        "id": one.id,
        "submission": orjson.Fragment(write_submission(one.submission)),
        "interaction": orjson.Fragment(write_interaction(one)),
        "history": [entry_object(entry) for entry in dossier.history],
        "contents": contents,
    }


def _write(path: Path, data: bytes) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), 0o600)  # it may have been there, readable by others
            file.write(data)
    except OSError as error:
        fail("person export", f"cannot write {path}: {reason(error)}")


@app.command()
def erase(
    address: Address,
    store: StoreAddress,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Erase what people wrote in a person's finished interactions; histories keep the facts.

    Prints each interaction, and why it was left where it was. Exit status 1 says that something
    was left: what has not ended, what cannot be read, a reply that has not left yet.
    """

    async def work(opened: Store) -> int:
        lifecycle = service(opened)
        ids = await lifecycle.of_person(address)
        if not ids:
            say("person erase", "nothing is stored under this address")
            return 0
        if not yes:
            _confirm(len(ids))
        done: list[tuple[str, str | None]] = []
        for id in ids:
            try:
                await lifecycle.erase(id)
            except NotFound:
                continue  # forgotten meanwhile
            except (Forbidden, StoreCorrupt) as error:
                done.append((id, error.message))
            else:
                done.append((id, None))
            if json:
                _, why = done[-1]
                print_json({"interactionId": id, "erased": why is None, "reason": why})
        if not json:
            print_table(
                ("interaction", "erased", "reason"),
                ((id, why is None, why) for id, why in done),
            )
        return 1 if any(why is not None for _, why in done) else 0

    run("person erase", store, work)


def _confirm(number: int) -> None:
    if not _is_terminal():
        fail("person erase", "nobody can be asked: give --yes")
    # typer's own question would put a space on standard output
    typer.echo(f"Erase {number} interactions for good? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        fail("person erase", "nothing was erased")


def _is_terminal() -> bool:
    return sys.stdin.isatty()
