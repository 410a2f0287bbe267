"""A systematic walk: something is done, and the process dies before and after every statement.

    python -m chaos.walk sqlite accept FOLDER [BUILD]

runs one scenario: once to trace the statements that it sends, and then once for each point, on
a fresh copy of the prepared store, in a process that kills itself there. Then the store is opened
again, everything is brought to its end, and the checker must find nothing. The last line of
output is a JSON object with the statements, the number of points, and what was wrong.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from chaos.board import Board
from chaos.builds import break_it
from chaos.checker import check
from chaos.config import Config
from chaos.facts import of_folder
from chaos.journal import read, unresolved
from chaos.scenarios import SCENARIOS, Scenario, World
from chaos.stations import Station, station
from chaos.tables import Tables, pending, read_tables
from chaos.tracing import Point, Tracer
from lifecycle._stored import (
    read_interaction,
    read_submission,
    write_interaction,
    write_submission,
)

_ROUNDS = 200
_OWNERS = {
    "interactions": "id",
    "submissions": "id",
    "history": "interaction_id",
    "contents": "owner",
}
"""What goes together, and what says to which interaction it belongs; outcomes go earlier."""
_Job: TypeAlias = Callable[[], None]


def in_child(job: _Job) -> int:
    """Do something in a process of its own, and return its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            job()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


class Walk:
    """One scenario on one store.

    Arguments:
        scenario: what is done.
        station: where its stores are made and copied.
        folder: for journals.
        build: how the library is to be broken in the process that dies, None for not at all.
    """

    def __init__(
        self, scenario: Scenario, station: Station, folder: Path, build: str | None = None
    ) -> None:
        self._scenario = scenario
        self._station = station
        self._folder = folder
        self._build = build
        self._prepared = folder / "prepared"
        self.faults: list[str] = []

    def run(self) -> dict[str, Any]:
        """Die at every point in turn; what the test is to look at."""
        self._warm_up()
        self._prepared.mkdir()
        self._must(in_child(self._prepare), "the preparation")
        before = Tables(**json.loads((self._folder / "before.json").read_text()))
        trace = self._folder / "trace.json"
        address = self._fresh("traced")

        def traced() -> None:
            tracer = Tracer()
            self._act(address, self._folder / "traced", tracer)
            trace.write_text(json.dumps([tracer.statements, sorted(tracer.ends)]))

        self._must(in_child(traced), "the traced run")
        statements, ends = json.loads(trace.read_text())
        points = [Point("before", number) for number in range(1, len(statements) + 1)]
        points += [Point("after", number) for number in ends]
        for point in points:
            self._die(point, before)
        return {"statements": statements, "points": len(points), "faults": self.faults}

    def _warm_up(self) -> None:
        """Make what the library makes on first use, here instead of in every child.

        In memory, because a process with threads must not fork.
        """
        folder = self._folder / "warm"
        folder.mkdir()

        async def warm_up() -> None:
            async with self._world("memory:", folder, "p") as world:
                await world.finished()
                one = await world.only()
                submission = read_submission(write_submission(one.submission), one.id)
                read_interaction(write_interaction(one), submission, one.version)

        asyncio.run(warm_up())
        gc.freeze()  # what is never touched again is never copied
        gc.disable()

    def _must(self, status: int, what: str) -> None:
        if status != 0:
            raise RuntimeError(f"{what} failed with {status}")

    def _fresh(self, name: str) -> str:
        """A copy of the prepared store and its journals; the store's address."""
        shutil.copytree(self._prepared, self._folder / name)
        return self._station.copy(name)

    def _prepare(self) -> None:
        async def prepare() -> None:
            tables = Tables()
            if self._scenario.prepare is not None:
                async with self._world(self._station.prepared, self._prepared, "p") as world:
                    await self._scenario.prepare(world)
                tables = await read_tables(self._station.prepared)
            (self._folder / "before.json").write_text(json.dumps(vars(tables)))

        asyncio.run(prepare())

    def _world(self, address: str, folder: Path, name: str) -> World:
        return World(self._config(address, folder), name, self._scenario)

    def _config(self, address: str, folder: Path) -> Config:
        Board(folder / "board")
        return Config(address=address, folder=str(folder), seed=0)

    def _act(self, address: str, folder: Path, tracer: Tracer) -> None:
        """Do what the scenario is about, under a tracer."""
        if self._build is not None:
            break_it(replace(self._config(address, folder), build=self._build))

        async def act() -> None:
            if self._scenario.is_opening:
                tracer.start()
                async with self._world(address, folder, "a"):
                    tracer.stop()
                return
            async with self._world(address, folder, "a") as world:
                tracer.start()
                await self._scenario.act(world)
                tracer.stop()

        with tracer:
            asyncio.run(act())

    def _die(self, point: Point, before: Tables) -> None:
        name = f"{point.when}{point.number}"
        address = self._fresh(name)
        folder = self._folder / name

        status = in_child(lambda: self._act(address, folder, Tracer(point)))
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self._recover(point, address, folder, before)
        else:
            self.faults.append(f"{point}: it did not die there, but ended with {status}")
        shutil.rmtree(folder)
        self._station.forget(name)

    def _recover(self, point: Point, address: str, folder: Path, before: Tables) -> None:
        """Go on with what the process has left, until everything is at its end, and check."""
        result = folder / "faults.json"

        async def recover() -> None:
            left = unresolved([*read(folder / "p.jsonl"), *read(folder / "a.jsonl")])
            async with self._world(address, folder, "r") as world:
                for line in left.values():
                    await world.desk.request(line)
                if self._scenario.again is not None:
                    await self._scenario.again(world)
                for _ in range(_ROUNDS):
                    await world.go_on()
                    if await pending(address) == 0:
                        break
                now = world.clock.now().timestamp()
            tables = restored(await read_tables(address), before, self._scenario.forgets)
            found = check(tables, of_folder(folder), now=now)
            result.write_text(json.dumps(found.faults))

        if (status := in_child(lambda: asyncio.run(recover()))) != 0:
            self.faults.append(f"{point}: could not go on ({status})")
            return
        for column, faults in json.loads(result.read_text()).items():
            self.faults += [f"{point}: {column}: {fault}" for fault in faults]


def restored(tables: Tables, before: Tables, forgets: bool) -> Tables:
    """The tables with what was pruned as a whole, as it was before.

    What is gone from one table and not from all that it belongs in stays away, to be found.
    """
    if not forgets:
        return tables
    left = {row[owner] for name, owner in _OWNERS.items() for row in getattr(tables, name)}
    for name, owner in _OWNERS.items():
        gone = [row for row in getattr(before, name) if row[owner] not in left]
        getattr(tables, name).extend(gone)
    answered = {row["operation_id"] for row in tables.outcomes}
    tables.outcomes += [row for row in before.outcomes if row["operation_id"] not in answered]
    return tables


def main(arguments: list[str]) -> int:
    """Walk through one scenario."""
    store, name, folder, *build = arguments
    where = station(store, Path(folder))
    where.start()
    try:
        result = Walk(SCENARIOS[name], where, Path(folder), *build).run()
    finally:
        where.stop()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
