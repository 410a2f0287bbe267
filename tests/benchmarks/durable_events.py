"""The `eventsourcing` library, which saves aggregates whose events have the same payload.

Its callers are threads. Where fewer threads than callers save more, the callers share them, each
thread taking its callers in turn; and the aggregates stay in memory, so that it only writes.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import median
from time import perf_counter
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteFactory

_TRIED = (1, 8, 32, 256)
"""How many threads are tried."""
_TRIALS = 3
_LOCK_SECONDS = 60


class Interaction(Aggregate):
    """An aggregate that is told what was notified."""

    payload = ""

    @event("Stepped")
    def step(self, payload: str) -> None:
        """Take the notification of a step in."""
        self.payload = payload


def sqlite_application(path: str, synchronous: str) -> Application[UUID]:
    """An application with an SQLite file."""
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": path,
            "SQLITE_LOCK_TIMEOUT": str(_LOCK_SECONDS),
        }
    )
    factory = application.factory
    assert isinstance(factory, SQLiteFactory)
    factory.datastore.pool.close()
    factory.datastore.pool = _Pool(path, synchronous)
    return application


class _Pool(SQLiteConnectionPool):
    """Connections with a durability that was chosen."""

    def __init__(self, path: str, synchronous: str) -> None:
        self._synchronous = synchronous
        super().__init__(db_name=path, lock_timeout=_LOCK_SECONDS, pool_timeout=_LOCK_SECONDS)

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        connection.cursor().execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection


def postgres_application(parts: Mapping[str, str | int]) -> Application[UUID]:
    """An application with a PostgreSQL database.

    Arguments:
        parts: host, port, user, password, dbname.
    """
    return Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts["port"]),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": str(parts["password"]),
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_POOL_SIZE": "32",
            "POSTGRES_MAX_OVERFLOW": "0",
            "POSTGRES_POOL_TIMEOUT": str(_LOCK_SECONDS),
            "POSTGRES_CONNECT_TIMEOUT": str(_LOCK_SECONDS),
        }
    )


class Events:
    """Callers who save an aggregate each.

    Arguments:
        application: what they save with; it is closed with the object.
        payloads: what the steps of each caller notify in turn.
    """

    def __init__(self, application: Application[UUID], payloads: Sequence[Sequence[str]]) -> None:
        self._application = application
        self._payloads = payloads
        self._aggregates = [Interaction() for _ in payloads]
        application.save(*self._aggregates)
        self.steps = [0] * len(payloads)
        self.threads: int | None = None
        """How many threads save most; None before it was tried."""

    def step(self, number: int) -> None:
        """Save what the next step of a caller notifies."""
        payloads, aggregate = self._payloads[number], self._aggregates[number]
        aggregate.step(payloads[self.steps[number] % len(payloads)])
        self._application.save(aggregate)
        self.steps[number] += 1

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long, with as many threads as have proven best."""
        if self.threads is None:
            callers = len(self.steps)
            tried = sorted({min(number, callers) for number in _TRIED})
            rates: dict[int, list[float]] = {number: [] for number in tried}
            for _ in range(_TRIALS):
                for number, each in rates.items():
                    each.append(self._saved(number, seconds / _TRIALS))
            self.threads = max(tried, key=lambda number: median(rates[number]))
        return self._saved(self.threads, seconds)

    def _saved(self, threads: int, seconds: float) -> float:
        gc.collect()
        before = sum(self.steps)
        failures: list[BaseException] = []
        start = perf_counter()
        until = start + seconds

        def calling(first: int) -> None:
            try:
                for number in cycle(range(first, len(self.steps), threads)):
                    self.step(number)
                    if perf_counter() >= until:
                        break
            except BaseException as error:  # it is raised where all have ended
                failures.append(error)

        if threads == 1:
            calling(0)
        else:
            running = [threading.Thread(target=calling, args=(first,)) for first in range(threads)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
        if failures:
            raise failures[0]
        return (sum(self.steps) - before) / (perf_counter() - start)

    def stored(self) -> int:
        """How many events the database has of all aggregates."""
        recorder = self._application.recorder
        return sum(len(recorder.select_events(one.id)) for one in self._aggregates)

    async def aclose(self) -> None:
        """Close the application."""
        self._application.close()
