"""Durable steps a second, beside loops by hand and beside `eventsourcing`, alternated."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from benchmarks import durable_rivals as rivals
from benchmarks.durable_work import (
    BY_HAND,
    EVENTS,
    HELD,
    LARGE,
    OURS,
    SMALL,
    DurableEffort,
    Ours,
    Payload,
    World,
    alternated,
    prepare,
)
from benchmarks.harness import Spread
from benchmarks.report import Bound, Result
from lifecycle.stores.sqlite import SqliteStore

AT_LEAST: Mapping[str, float] = {BY_HAND: 0.7, EVENTS: 2}

if TYPE_CHECKING:
    from postgres_server import Server

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]


def steps(effort: DurableEffort) -> list[Result]:
    """Steps a second that were acknowledged durable."""
    results = asyncio.run(_on_sqlite(effort)) if "sqlite" in effort.stores else []
    if "postgresql" in effort.stores:
        from postgres_server import postgres

        with postgres(durable=True) as server:
            results += asyncio.run(_on_postgres(effort, server))
    return results


def _loads(effort: DurableEffort) -> Iterator[tuple[Payload, int, str]]:
    for payload in (LARGE, SMALL):
        for callers in effort.callers:
            yield payload, callers, f"{payload.name}, {callers} callers"


async def _on_sqlite(effort: DurableEffort) -> list[Result]:
    results: list[Result] = []
    settings: tuple[Synchronous, ...] = ("FULL", "NORMAL")
    for payload, callers, load in _loads(effort):
        for synchronous in settings:
            async with AsyncExitStack() as stack:
                worlds = await sqlite_worlds(stack, payload, callers, synchronous)
                held = callers == HELD and synchronous == "FULL"
                what = f"SQLite {synchronous}, {load}"
                results += await compared(worlds, what, effort, held=held)
    return results


async def _on_postgres(effort: DurableEffort, server: Server) -> list[Result]:
    from benchmarks.durable_postgres import postgres_worlds

    results: list[Result] = []
    for payload, callers, load in _loads(effort):
        async with AsyncExitStack() as stack:
            worlds = await postgres_worlds(stack, server, payload, callers)
            held = callers == HELD
            results += await compared(worlds, f"PostgreSQL, {load}", effort, held=held)
    return results


async def sqlite_worlds(
    stack: AsyncExitStack, payload: Payload, callers: int, synchronous: Synchronous
) -> dict[str, World]:
    """The subjects, each with a file of its own; ours and the one by hand begin as copies."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    ours, by_hand = folder / "ours.db", folder / "by_hand.db"
    store = await SqliteStore.open(ours, synchronous="NORMAL")
    await prepare(store, payload, callers)
    await store.aclose()
    shutil.copy(ours, by_hand)
    worlds: dict[str, World] = {
        OURS: Ours(await SqliteStore.open(ours, synchronous=synchronous), callers)
    }
    stack.push_async_callback(worlds[OURS].aclose)
    payloads = [rivals.payloads(*read) for read in _read(by_hand)]
    worlds[BY_HAND] = rivals.SqliteByHand(str(by_hand), synchronous, callers)
    stack.push_async_callback(worlds[BY_HAND].aclose)
    try:
        from benchmarks import durable_events as events
    except ImportError:
        print("eventsourcing is not installed", file=sys.stderr)
        return worlds
    application = events.sqlite_application(str(folder / "events.db"), synchronous)
    worlds[EVENTS] = events.Events(application, payloads)
    stack.push_async_callback(worlds[EVENTS].aclose)
    return worlds


def _read(path: Path) -> Sequence[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT i.data, s.data FROM interactions i JOIN submissions s ON s.id = i.id "
            "ORDER BY i.number"
        ).fetchall()
    finally:
        connection.close()


async def compared(
    worlds: Mapping[str, World], what: str, effort: DurableEffort, *, held: bool
) -> list[Result]:
    """The rates of worlds, and how ours compares with each rival in the same rounds."""
    for world in worlds.values():
        await world.run(min(0.3, effort.seconds))  # what is made on first use is made here
    rounds = await alternated(list(worlds.values()), rounds=effort.rounds, seconds=effort.seconds)
    rates = dict(zip(worlds, zip(*rounds, strict=True), strict=True))
    results = [
        Result(Bound(name=f"{what}: {name}", unit="/s"), Spread.of(each))
        for name, each in rates.items()
    ]
    for name in list(worlds)[1:]:
        pairs = zip(rates[OURS], rates[name], strict=True)
        bound = Bound(name=f"{what}: {OURS} / {name}", at_least=AT_LEAST[name] if held else None)
        results.append(Result(bound, Spread.of([one / other for one, other in pairs])))
    for result in results:
        print(f"  {result.bound.name}: {result.measured.median:.2f}", file=sys.stderr, flush=True)
    return results
