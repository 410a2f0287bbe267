"""What the tests of the commands on stores share: a file with a day's work, and the command."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import attrs
import orjson
from builders import MAIL
from clocks import VirtualClock
from desks import CountingIds
from typer.testing import CliRunner

from lifecycle import (
    Accept,
    Answer,
    Command,
    Delivery,
    Interaction,
    Lifecycle,
    MailAnswer,
    MemoryDirectory,
    Outgoing,
    Settings,
)
from lifecycle import commands as c
from lifecycle.cli import app
from lifecycle.stores.sqlite import SqliteStore

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\nlifecycle: fine\u202e"
"""A text that a terminal would obey."""
RAW = (
    b"From: Kim <kim@example.net>\r\nTo: help@shop.example\r\nSubject: late\r\n"
    b"Message-ID: <m1@example.net>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nWhere is it?\r\n"
    b"--b\r\nContent-Type: application/pdf; name=bill.pdf\r\n"
    b"Content-Disposition: attachment; filename=bill.pdf\r\n\r\n%PDF\r\n--b--\r\n"
)
"""A mail of Kim's with a file."""


class Broken:
    """A sink that fails for Ann, and is not there for Bob."""

    async def deliver(self, delivery: Delivery) -> Answer:
        """Fail, or say that nobody is there."""
        return Answer.FAILED if delivery.agent_id == "ann" else Answer.NOT_CONNECTED


class Refusing:
    """A mailer that takes no mail."""

    async def send(self, mail: Outgoing) -> MailAnswer:
        """Refuse it."""
        return MailAnswer.REFUSED


@attrs.frozen
class Ended:
    """How a command ended, and what it said."""

    status: int
    output: str
    errors: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of the output."""
        return [orjson.loads(line) for line in self.output.splitlines()]

    @property
    def cells(self) -> list[list[str]]:
        """The table of the output, without its head."""
        return [line.split() for line in self.output.splitlines()[1:]]


def run(*arguments: object, given: str | None = None, **environment: str) -> Ended:
    """Run a command; an error that it does not expect is the test's."""
    result = CliRunner(env={"LIFECYCLE_STORE": None, **environment}).invoke(
        app, [*map(str, arguments)], input=given, catch_exceptions=False
    )
    return Ended(result.exit_code, result.stdout, result.stderr)


def lifecycle_of(store: SqliteStore, clock: VirtualClock) -> Lifecycle:
    """A service over a file whose sink and mailer take nothing."""
    return Lifecycle(
        store=store,
        sink=Broken(),
        mailer=Refusing(),
        directory=MemoryDirectory(
            agents={"ann": 9, "bob": 9}, queues=("sales", "support"), workbins={"late": ("ann",)}
        ),
        clock=clock,
        ids=CountingIds(),
        settings=Settings(attempts=1),
        background=False,
    )


async def _submit(lifecycle: Lifecycle, id: str, mail: Any = MAIL, **changes: Any) -> Interaction:
    return await lifecycle.submit(mail, id=id, **{"queue": "sales", **changes})


async def _act(lifecycle: Lifecycle, id: str, *commands: Command) -> None:
    await lifecycle.invite(id, "ann")
    for command in commands:
        await lifecycle.perform(id, command, agent_id="ann")


async def _fill(path: Path) -> None:
    clock = VirtualClock()
    store = await SqliteStore.open(path, synchronous="NORMAL")
    lifecycle = lifecycle_of(store, clock)
    await lifecycle.ready("ann")
    await lifecycle.ready("bob")
    await lifecycle.not_ready("bob", reason="lunch")
    await _submit(lifecycle, "W1")
    clock.advance(60)
    await _submit(lifecycle, "W2", queue="support")
    hostile = attrs.evolve(MAIL, subject=HOSTILE, from_address=f"{HOSTILE} <a@b.example>")
    await _submit(lifecycle, "W3", hostile)
    await _submit(lifecycle, "K1", RAW)
    await _act(lifecycle, "K1", Accept(), c.Reply(text="Here."), c.Send())
    await _submit(lifecycle, "K2", RAW)
    await _act(lifecycle, "K2", Accept(), c.StopProcessing(reason="by phone"))
    await _submit(lifecycle, "K3", RAW)
    await _act(lifecycle, "K3", Accept())
    clock.advance(60)
    await lifecycle.drain()
    await store.aclose()


def fill(path: Path) -> Path:
    """Make a file with mails that wait, are held and have ended, a stopped stream, a stopped mail.

    K1 to K3 are Kim's: sent with its mail still here, completed, and accepted.
    """
    anyio.run(_fill, path)
    return path


def edit(path: Path, *statements: str) -> None:
    """Edit a file by hand."""
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0
    connection.commit()
    connection.close()
