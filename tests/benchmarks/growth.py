"""What stored interactions cost those who do not ask for them, and what it takes to go on."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Protocol

import attrs
import orjson

from benchmarks import durable_rivals as rivals
from benchmarks.durable_work import (
    HELD,
    LARGE,
    SMALL,
    DurableEffort,
    Ours,
    World,
    alternated,
    by_tasks,
    service,
)
from benchmarks.filled import fill, pattern
from benchmarks.harness import Spread
from benchmarks.report import Bound, Result
from benchmarks.timers import MOST_STALL, Heartbeat, fire_all, uncollected
from lifecycle.stores.sqlite import SqliteStore

AGENTS = HELD
_TOGETHER = 256
_LONG_AGO = timedelta(minutes=10)


class Stepping(Protocol):
    """Somebody who can take any interaction a step further."""

    async def step(self, number: int, agent: int | None = None) -> None:
        """Reply, or cancel the reply."""
        ...


@attrs.define
class Among:
    """Callers who each time take another one of all stored interactions, or stay with one.

    With several callers each has an agent of its own, and so the interactions of that agent.
    """

    world: Stepping
    stored: int
    callers: int
    staying: bool = False
    _random: random.Random = attrs.field(factory=lambda: random.Random(1))

    async def step(self, caller: int) -> None:
        """Take one further."""
        apart = 1 if self.callers == 1 else AGENTS
        others = (self.stored - caller - 1) // apart + 1
        which = others // 2 if self.staying else self._random.randrange(others)
        number = caller + apart * which
        await self.world.step(number, number % AGENTS)

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long."""
        return await by_tasks(self.step, self.callers, seconds)

    async def aclose(self) -> None:
        """Nothing is held."""


def growth(effort: DurableEffort) -> list[Result]:
    """The cost of a step, and of opening and firing, among few stored interactions and many."""
    return asyncio.run(_growth(effort))


async def _growth(effort: DurableEffort) -> list[Result]:
    if "sqlite" not in effort.stores:
        return []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = await pattern(SMALL, accepted=True)
        paths = {}
        for stored in effort.stored:
            start = perf_counter()
            for name in ("ours", "by hand"):
                paths[name, stored] = folder / f"{name}{stored}.db"
            await fill(paths["ours", stored], made, 0, stored, agents=AGENTS)
            await asyncio.to_thread(shutil.copy, paths["ours", stored], paths["by hand", stored])
            print(f"  {stored:,} stored in {perf_counter() - start:.0f} s", file=sys.stderr)
        results = await _opening(effort, {n: paths["ours", n] for n in effort.stored})
        steppers: dict[tuple[str, int], Stepping] = {}
        for stored in effort.stored:
            ours = Ours(await SqliteStore.open(paths["ours", stored]), 1)
            stack.push_async_callback(ours.aclose)
            by_hand = rivals.SqliteByHand(str(paths["by hand", stored]), "FULL", 1)
            stack.push_async_callback(by_hand.aclose)
            steppers |= {("ours", stored): ours, ("by hand", stored): by_hand}
        for callers in (1, AGENTS):
            for staying in (True, False):
                results += await _among(effort, steppers, callers, staying=staying)
    return results


async def _among(
    effort: DurableEffort,
    steppers: Mapping[tuple[str, int], Stepping],
    callers: int,
    *,
    staying: bool,
) -> list[Result]:
    """How much more a step costs among many, ours and the one by hand in the same rounds."""
    few, many = effort.stored
    worlds: list[World] = [
        Among(stepper, stored, callers, staying) for (_, stored), stepper in steppers.items()
    ]
    for world in worlds:
        await world.run(min(0.3, effort.seconds))
    rounds = await alternated(worlds, rounds=effort.rounds, seconds=effort.seconds)
    named = dict(zip(steppers, zip(*rounds, strict=True), strict=True))
    which = "each its own" if staying else "any"
    what = f"SQLite FULL, {SMALL.name}, {callers} callers, {which}"
    ours, by_hand = (
        Spread.of([a / b for a, b in zip(named[who, few], named[who, many], strict=True)])
        for who in ("ours", "by hand")
    )
    return [
        *(
            Result(
                Bound(name=f"{what}: {who}, steps among {stored:,}", unit="/s"), Spread.of(rates)
            )
            for (who, stored), rates in named.items()
        ),
        Result(Bound(name=f"{what}: step among {many:,} / among {few:,}", at_most=1.3), ours),
        Result(Bound(name=f"{what}: the same by hand"), by_hand),
    ]


async def _opening(effort: DurableEffort, paths: dict[int, Path]) -> list[Result]:
    """Opening and firing what is overdue, each time a store of few and one of many."""
    made = await pattern(SMALL, accepted=False)
    seconds: dict[int, list[float]] = {stored: [] for stored in paths}
    for number in range(effort.rounds):
        first = 10**6 + number * effort.overdue  # beyond the others
        for stored, path in paths.items():
            await fill(path, made, first, effort.overdue, due=_past())
            seconds[stored].append(await fired(path, effort.overdue))
    few, many = effort.stored
    what = f"opening and firing {effort.overdue:,} overdue among"
    pairs = zip(seconds[many], seconds[few], strict=True)
    return [
        *(
            Result(Bound(name=f"SQLite: {what} {stored:,}", unit="s"), Spread.of(seconds[stored]))
            for stored in paths
        ),
        Result(
            Bound(name=f"SQLite: {what} {many:,} / {few:,}", at_most=5),
            Spread.of([one / other for one, other in pairs]),
        ),
    ]


def _past() -> datetime:
    return (datetime.now(UTC) - _LONG_AGO).replace(microsecond=0)


async def fired(path: Path, overdue: int) -> float:
    """The seconds that it takes to open a store and to fire what is overdue."""
    start = perf_counter()
    store = await SqliteStore.open(path)
    try:
        await fire_all(service(store), overdue)
        return perf_counter() - start
    finally:
        await store.aclose()


def recovery(effort: DurableEffort) -> list[Result]:
    """Going on with many open interactions, all overdue, beside only reading their rows."""
    return asyncio.run(_recovery(effort)) if "sqlite" in effort.stores else []


async def _recovery(effort: DurableEffort) -> list[Result]:
    results = []
    for payload in (LARGE, SMALL):
        made = await pattern(payload, accepted=False)
        what = f"SQLite, {effort.due:,} open and overdue, {payload.name}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "open.db")
            await fill(path, made, 0, effort.due, due=_past())
            rates = [
                (
                    effort.due / await taken(path, effort.due, number),
                    effort.due / scanned(path, effort.due),
                )
                for number in range(effort.rounds)
            ]
        results += [
            Result(
                Bound(name=f"{what}: opened, found and read", unit="/s"),
                Spread.of([ours for ours, _ in rates]),
            ),
            Result(
                Bound(name=f"{what}: rows only read and decoded", unit="/s"),
                Spread.of([bare for _, bare in rates]),
            ),
            Result(
                Bound(name=f"{what}: opened, found and read / rows only"),
                Spread.of([ours / bare for ours, bare in rates]),
            ),
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "open.db")
        await fill(path, made, 0, effort.due, due=_past())
        store = await SqliteStore.open(path)
        with uncollected():
            async with Heartbeat() as beat:
                seconds = await fire_all(service(store), effort.due)
        await store.aclose()
    return [
        *results,
        Result(Bound(name=f"{what}: fired", unit="/s"), Spread.of([effort.due / seconds])),
        *beat.results(
            f"{what}: stall of a 1 ms heartbeat while they are fired", at_most=MOST_STALL
        ),
    ]


async def taken(path: Path, overdue: int, number: int) -> float:
    """The seconds that it takes to open a store, find what is overdue, and read that."""
    later = timedelta(hours=number)  # what was taken in the round before is due again by then
    start = perf_counter()
    store = await SqliteStore.open(path)
    try:
        now = datetime.now(UTC) + later
        due = await store.due(now, now + timedelta(minutes=1), overdue)
        for at in range(0, len(due), _TOGETHER):
            some = due[at : at + _TOGETHER]
            found = await asyncio.gather(*(store.interaction(one.interaction_id) for one in some))
            if None in found:
                raise AssertionError("one is missing")
        seconds = perf_counter() - start
    finally:
        await store.aclose()
    if len(due) != overdue:
        raise AssertionError(f"{len(due)} of {overdue} were found")
    return seconds


def scanned(path: Path, stored: int) -> float:
    """The seconds that it takes to read and decode all rows, and no more."""
    start = perf_counter()
    found = 0
    with closing(sqlite3.connect(path)) as connection:
        for data, submission in connection.execute(
            "SELECT i.data, s.data FROM interactions i JOIN submissions s ON s.id = i.id"
        ):
            orjson.loads(data)
            orjson.loads(submission)
            found += 1
    taken = perf_counter() - start
    if found != stored:
        raise AssertionError(f"{found} of {stored} were found")
    return taken
