"""Where the players of a worker ask for things: everything is written down before and after."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

from chaos.board import Board, Phase
from chaos.config import OUTBOUND, QUEUES
from chaos.journal import Journal, Line
from lifecycle import (
    SYSTEM,
    Command,
    Interaction,
    Lifecycle,
    LifecycleError,
    decode_command,
    encode_command,
)
from lifecycle.errors import InternalError, RaceLost

_T = TypeVar("_T")
_D = TypeVar("_D")
_AGAIN = 0.1
"""Seconds after which what failed is asked for again."""
_ADDRESS = "help@contact.example"
_REMEMBERED = 50


def mail(operation_id: str) -> bytes:
    """A customer's mail, one like no other; with an attachment now and then."""
    draw = Random(operation_id)
    head = (
        f"From: Customer <c{draw.randrange(500)}@shop.example>\r\nTo: {_ADDRESS}\r\n"
        f"Subject: About {operation_id}\r\nMessage-ID: <{operation_id}@shop.example>\r\n"
        "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    )
    text = "Where is what I ordered?\r\n" * draw.randint(1, 20)
    if draw.random() < 0.8:
        return f"{head}Content-Type: text/plain\r\n\r\n{text}".encode()
    return (
        f'{head}Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
        '--b\r\nContent-Type: application/pdf; name="bill.pdf"\r\n'
        'Content-Disposition: attachment; filename="bill.pdf"\r\n\r\n'
        f"%PDF {operation_id}\r\n--b--\r\n"
    ).encode()


class Desk:
    """Asks a lifecycle for things, and writes down what for and what came of it.

    Arguments:
        lifecycle: whom to ask.
        journal: where to write.
        board: says when to stop.
        name: what no other process of the run is called.
    """

    def __init__(self, lifecycle: Lifecycle, journal: Journal, board: Board, name: str) -> None:
        self.lifecycle = lifecycle
        self._journal = journal
        self._board = board
        self._name = name
        self._numbers = itertools.count(1)
        self._recent: deque[Line] = deque(maxlen=_REMEMBERED)

    @property
    def is_open(self) -> bool:
        """Whether something new may be asked for."""
        return self._board.phase is Phase.RUNNING

    def _next_id(self) -> str:
        return f"{self._name}n{next(self._numbers)}"

    async def submit(self, queue: str, *, whole: bool) -> None:
        """A new interaction, of raw bytes or with nothing but a subject."""
        await self.request({"op": self._next_id(), "what": "submit", "queue": queue, "raw": whole})

    async def perform(self, id: str, command: Command, agent_id: str | None) -> None:
        """A step; None for the system."""
        await self.request(
            {
                "op": self._next_id(),
                "what": "perform",
                "interaction": id,
                "command": encode_command(command).decode(),
                "agent": agent_id,
            }
        )

    async def again(self, draw: Random) -> None:
        """A request that was answered already, under the same operation id."""
        if self._recent:
            await self.request(draw.choice(self._recent))

    async def request(self, line: Line) -> None:
        """Ask until there is an answer; the first one counts, however often it is asked."""
        line = {key: value for key, value in line.items() if key not in ("kind", "t")}
        self._journal.write("intent", **line)
        while self._board.phase is not Phase.OVER:
            try:
                after = await self._send(line)
            except (InternalError, RaceLost) as error:  # nobody can say what came of it
                self.trouble(error)
                await asyncio.sleep(_AGAIN)
            except LifecycleError as error:
                self._journal.write("ack", op=line["op"], refused=type(error).__name__)
                break
            else:
                self._journal.write(
                    "ack",
                    op=line["op"],
                    interaction=after.id,
                    version=after.version,
                    state=after.state,
                    offer=after.offer,
                    agent=after.agent_id,
                )
                break
        self._recent.append(line)

    async def _send(self, line: Line) -> Interaction:
        operation_id = line["op"]
        if line["what"] == "submit":
            return await self.lifecycle.submit(
                mail(operation_id),
                queue=line["queue"],
                user_data={"op": operation_id},
                our_addresses=(_ADDRESS,),
                in_queues=QUEUES,
                out_queues=(OUTBOUND,),
                operation_id=operation_id,
            )
        return await self.lifecycle.perform(
            line["interaction"],
            decode_command(line["command"]),
            agent_id=SYSTEM if line["agent"] is None else line["agent"],
            operation_id=operation_id,
        )

    async def call(self, what: str, about: str) -> None:
        """A request that takes no operation id: readiness, sessions, releases.

        Arguments:
            what: the method of the lifecycle.
            about: its argument.
        """
        number = next(self._numbers)
        self._journal.write("call", number=number, what=what, agent=about)
        try:
            answer: Any = await getattr(self.lifecycle, what)(about)
        except InternalError as error:
            self.trouble(error)
            self._journal.write("failed", number=number)
            await asyncio.sleep(_AGAIN)
        except LifecycleError as error:
            self._journal.write("done", number=number, refused=type(error).__name__)
        else:
            seen = {name: getattr(answer, name, None) for name in ("version", "sequence")}
            self._journal.write("done", number=number, **seen)

    async def look(self, question: Callable[[], Awaitable[_T]], default: _D) -> _T | _D:
        """Ask a question; where the store cannot answer, the default."""
        try:
            return await question()
        except InternalError as error:
            self.trouble(error)
            await asyncio.sleep(_AGAIN)
            return default

    def trouble(self, error: LifecycleError) -> None:
        """Write down that the store could not do what it was asked."""
        self._journal.write("trouble", error=type(error).__name__, text=str(error)[:300])


async def resume(desk: Desk, lines: list[Line]) -> None:
    """Ask again for what a process that was killed has not heard of."""
    await asyncio.gather(*map(desk.request, lines))
