"""The statements that a process sends to its store, and death before or after one of them."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal, Self

_LOOKS = ("PRAGMA data_version",)
"""What a store asks now and then by itself; it says nothing about what is done."""


@dataclass(frozen=True)
class Point:
    """Where a process dies."""

    when: Literal["before", "after"]
    number: int
    """Of the statement, from 1."""


class Tracer:
    """Records statements, or kills the process at a point; patches the drivers while entered.

    Arguments:
        point: where to die; None to live and record.
    """

    def __init__(self, point: Point | None = None) -> None:
        self._point = point
        self._running = False
        self._undo: list[Callable[[], None]] = []
        self.statements: list[str] = []
        """What was sent, in order."""
        self.ends: set[int] = set()
        """The numbers of statements after which control came back to the store."""

    def start(self) -> None:
        """Look from here on."""
        self._running = True

    def stop(self) -> None:
        """Look no longer."""
        self._running = False

    def before(self, statement: str) -> None:
        """A statement is about to be carried out."""
        if self._running and statement not in _LOOKS:
            self.statements.append(statement)
            self._die(Point("before", len(self.statements)))

    def after(self) -> None:
        """What the latest call had for the store was carried out."""
        if self._running and self.statements:
            self.ends.add(len(self.statements))
            self._die(Point("after", len(self.statements)))

    def _die(self, here: Point) -> None:
        if here == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    def __enter__(self) -> Self:
        self._trace_sqlite()
        if find_spec("asyncpg") is not None:
            self._trace_postgres()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._undo:
            self._undo.pop()()

    def patch(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute until the end."""
        old = getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, old))
        setattr(owner, name, value)

    def _trace_sqlite(self) -> None:
        tracer = self
        connect = sqlite3.connect

        class Traced(sqlite3.Connection):
            """A connection that tells of every statement, each row of a batch by itself."""

            def execute(self, *given: Any) -> sqlite3.Cursor:
                """As the driver has it."""
                cursor = super().execute(*given)
                tracer.after()
                return cursor

            def executemany(self, *given: Any) -> sqlite3.Cursor:
                """As the driver has it."""
                cursor = super().executemany(*given)
                tracer.after()
                return cursor

        def connected(*given: Any, **named: Any) -> sqlite3.Connection:
            connection = connect(*given, factory=Traced, **named)
            connection.set_trace_callback(tracer.before)
            return connection

        self.patch(sqlite3, "connect", connected)

    def _trace_postgres(self) -> None:
        """Where the driver tells those who log queries, it tells the tracer."""
        from asyncpg.connection import Connection

        tracer = self
        make = Connection.__init__

        def made(self: Any, *given: Any, **named: Any) -> None:
            make(self, *given, **named)
            self._query_loggers = {tracer}  # it looks only whether there is anybody

        @contextmanager
        def told(self: Any, query: str, args: Any, timeout: Any) -> Iterator[None]:
            tracer.before(query)
            yield
            tracer.after()

        self.patch(Connection, "__init__", made)
        self.patch(Connection, "_time_and_log", told)
