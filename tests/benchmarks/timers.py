"""What pending deadlines cost the process, beside `loop.call_later`, and when many fall due.

Each figure of adding is taken in a process of its own, as both leave a heap behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel

from benchmarks.durable_work import (
    OUR_ADDRESS,
    OURS,
    SMALL,
    DurableEffort,
    agent_id,
    interaction_id,
    service,
)
from benchmarks.harness import Spread
from benchmarks.report import Bound, Result
from lifecycle.codec import encode
from lifecycle.commands import Invite
from lifecycle.engine import step, submit
from lifecycle.records import Agent, Commit, Delivery, Entry, Saved
from lifecycle.service import Lifecycle
from lifecycle.stores.memory import MemoryStore
from lifecycle.vocabulary import SYSTEM

CALL_LATER = "loop.call_later"
IDLE = "nothing"
_HOUR = 3600
_TOGETHER = 100
_BEAT = 0.001
_PAGE = 4096
_LONG_AGO = timedelta(minutes=10)
MOST_STALL = 10
"""Milliseconds that others may wait while many fall due."""


class Heartbeat:
    """A task that wants to run every millisecond while the body runs, and how it was kept."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        """The milliseconds between one beat and the next."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        await asyncio.sleep(10 * _BEAT)
        self.gaps.clear()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.sleep(2 * _BEAT)  # so that a stall at the end is seen, too
        self._task.cancel()

    async def _beat(self) -> None:
        last = perf_counter()
        while True:
            await asyncio.sleep(_BEAT)
            now = perf_counter()
            self.gaps.append(1000 * (now - last))
            last = now

    @property
    def worst(self) -> float:
        """The longest gap."""
        return max(self.gaps)

    def results(self, name: str, *, at_most: float | None = None) -> list[Result]:
        """The worst gap, held to a bound, and how the gaps are spread."""
        worst = Bound(name=f"{name}, worst", at_most=at_most, unit="ms")
        return [
            Result(Bound(name=name, unit="ms"), Spread.of(self.gaps)),
            Result(worst, Spread.of([self.worst])),
        ]


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collections for a while."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def fire_all(centre: Lifecycle, overdue: int) -> float:
    """Fire what is overdue as the background does; the seconds that it took."""
    start = perf_counter()
    done = 0
    while some := await centre.fire_due():
        done += some
        await anyio.lowlevel.checkpoint()
    taken = perf_counter() - start
    if done != overdue:
        raise AssertionError(f"{done} of {overdue} were fired")
    return taken


def timers(effort: DurableEffort) -> list[Result]:
    """Adding timers, and many that fall due at once."""
    results: list[Result] = []
    for count in effort.pending:
        pairs = [
            (apart("added", OURS, count), apart("added", CALL_LATER, count))
            for _ in range(min(effort.rounds, 5))
        ]
        for name, which in ((OURS, 0), (CALL_LATER, 1)):
            what = f"{count:,} pending, {name}"
            results += [
                Result(
                    Bound(name=f"{what}: {figure}", unit=unit),
                    Spread.of([pair[which][key] for pair in pairs]),
                )
                for figure, key, unit in (
                    ("add", "microseconds", "us"),
                    ("each", "bytes", "B"),
                    ("worst stall while adding", "stall", "ms"),
                )
            ]
        results += [
            Result(
                Bound(name=f"{count:,} pending, add: {OURS} / {CALL_LATER}", at_most=0.4),
                Spread.of([one["microseconds"] / other["microseconds"] for one, other in pairs]),
            ),
            Result(
                Bound(name=f"{count:,} pending, bytes: {OURS} / {CALL_LATER}"),
                Spread.of([one["bytes"] / other["bytes"] for one, other in pairs]),
            ),
        ]
    return results + _due_at_once(effort)


def _due_at_once(effort: DurableEffort) -> list[Result]:
    """Held to the bound without collections, which in so large a heap take long by themselves."""
    found: dict[tuple[str, bool], list[dict[str, float]]] = {
        (IDLE, False): [],
        (OURS, False): [],
        (OURS, True): [],
        (CALL_LATER, False): [],
        (CALL_LATER, True): [],
    }
    for _ in range(min(effort.rounds, 3)):
        for (name, collected), each in found.items():
            each.append(apart("fell_due", name, effort.due, collected))
    results = []
    for (name, collected), each in found.items():
        what = f"{effort.due:,} due at once in memory, {name}{', GC on' if collected else ''}"
        most = MOST_STALL if name == OURS and not collected else None
        results += [
            Result(
                Bound(name=f"{what}: worst stall", at_most=most, unit="ms"),
                Spread.of([one["stall"] for one in each]),
            ),
            Result(
                Bound(name=f"{what}: usual gap of a heartbeat", unit="ms"),
                Spread.of([one["median"] for one in each]),
            ),
        ]
        if name != IDLE:
            rates = Spread.of([effort.due / one["seconds"] for one in each])
            results.append(Result(Bound(name=f"{what}: fired", unit="/s"), rates))
    return results


def apart(function: str, *arguments: object) -> dict[str, float]:
    """The figures that a function of this module gives in a process of its own."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import asyncio, json; "
        f"from benchmarks import timers; "
        f"print(json.dumps(asyncio.run(timers.{function}(*{arguments!r}))))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


async def added(name: str, count: int) -> dict[str, float]:
    """What it takes to add timers, a hundred at a time between which others go on.

    Ids and times are there before, as an interaction has them in any case.
    """
    rng = random.Random(1)
    delays = [rng.uniform(_HOUR, 2 * _HOUR) for _ in range(count)]
    ids = [interaction_id(number) for number in range(count)]
    begin = datetime.now(UTC)
    times = [begin + timedelta(seconds=delay) for delay in delays]
    add, pending = _adder(name, ids, delays, times)
    gc.collect()
    before, seconds = _resident(), 0.0
    async with Heartbeat() as beat:
        for first in range(0, count, _TOGETHER):
            last = min(first + _TOGETHER, count)
            start = perf_counter()
            add(first, last)
            seconds += perf_counter() - start
            await asyncio.sleep(0)
    taken = _resident() - before
    if pending() != count:
        raise AssertionError(f"{pending()} of {count} are pending")
    return {
        "microseconds": 1e6 * seconds / count,
        "bytes": taken / count,
        "stall": beat.worst,
    }


def _adder(
    name: str, ids: list[str], delays: list[float], times: list[datetime]
) -> tuple[Callable[[int, int], None], Callable[[], int]]:
    """What adds the timers between two numbers, and what counts those that are pending."""
    if name == OURS:
        store: Any = MemoryStore()  # of which only what a deadline adds to it is used
        store._order.update((id, number) for number, id in enumerate(ids))
        deadlines, rank = store._deadlines, store._rank

        def ours(first: int, last: int) -> None:
            for number in range(first, last):
                id = ids[number]
                deadlines.set(id, times[number], rank(id))

        return ours, lambda: deadlines.count(datetime.max.replace(tzinfo=UTC))
    loop = asyncio.get_running_loop()
    handles = []

    def later(first: int, last: int) -> None:
        for number in range(first, last):
            handles.append(loop.call_later(delays[number], print, ids[number]))

    return later, lambda: sum(not handle.cancelled() for handle in handles)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


async def fell_due(name: str, count: int, collected: bool) -> dict[str, float]:
    """How a heartbeat is kept where timers fall due at once, or where nothing does.

    Arguments:
        name: which timers.
        count: how many.
        collected: whether there are garbage collections meanwhile.
    """
    if not collected:
        gc.disable()
    if name == OURS:
        centre = service(await overdue(count))
        async with Heartbeat() as beat:
            seconds = await fire_all(centre, count)
    elif name == CALL_LATER:
        loop, fired = asyncio.get_running_loop(), list[int]()
        at = loop.time() + 1 + count / 10**5
        for number in range(count):
            loop.call_at(at, fired.append, number)
        async with Heartbeat() as beat:
            while not fired:
                await asyncio.sleep(_BEAT)
        seconds = loop.time() - at
        if len(fired) != count:
            raise AssertionError(f"{len(fired)} of {count} were fired")
    else:
        async with Heartbeat() as beat:
            start = perf_counter()
            while (seconds := perf_counter() - start) < 1:
                await asyncio.sleep(0)
    return {
        "stall": beat.worst,
        "median": Spread.of(beat.gaps).median,
        "seconds": seconds,
    }


async def overdue(count: int) -> MemoryStore:
    """A store with offers that were told and have expired, each of another agent."""
    store, at = MemoryStore(), datetime.now(UTC) - _LONG_AGO
    for number in range(count):
        agent = agent_id(number)
        queued = submit(
            SMALL.email(number),
            id=interaction_id(number),
            queue="support",
            at=at,
            our_addresses=(OUR_ADDRESS,),
            user_data=SMALL.user_data(number),
        )
        invited = step(queued, Invite(agent_id=agent), actor=SYSTEM, at=at)
        offered = invited.interaction
        await store.commit(
            Commit(
                at=at,
                interactions=(
                    Saved(interaction=offered, expected=None, waiting=False, finished=False),
                ),
                agents=(Agent(id=agent, version=1, ready=True, load=1, sequence=1),),
                entries=(
                    Entry(
                        interaction_id=offered.id,
                        version=offered.version,
                        at=at,
                        actor=None,
                        trigger=Invite.trigger,
                        source=queued.state,
                        dest=offered.state,
                        offer=offered.offer,
                        agent_id=agent,
                        sequence=1,
                    ),
                ),
                deliveries=(
                    Delivery(
                        agent_id=agent,
                        sequence=1,
                        interaction_id=offered.id,
                        offer=offered.offer,
                        trigger=Invite.trigger,
                        at=at,
                        payload=encode(invited.notification),
                    ),
                ),
            )
        )
    return store
