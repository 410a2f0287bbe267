"""L6. A thread that carries out the jobs of many callers together, for blocking drivers.

The callers of one turn of an event loop hand their jobs over at its end, all at once. A thread
that took each job as it comes would contend with them for Python's lock, and carry out a few
where it could have carried out all.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio

from lifecycle.stores._told import tell

_T = TypeVar("_T")

_MOST = 1024
"""How many jobs are carried out together at most."""


class Waiter(Awaitable[None], Protocol):
    """What a caller waits for, in its own event loop."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, result: None, /) -> None:
        """Let the caller go on."""
        ...


class Loop(Protocol):
    """The part of an event loop that is needed here; it can be told from others by comparing."""

    def create_future(self) -> Waiter:
        """Something to wait for."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Have a function called, from the loop's own thread."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Have a function called, from any thread."""
        ...


def running_loop() -> Loop:
    """The event loop that is running here."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        from lifecycle.stores._trio import TrioLoop  # it is what runs here

        return TrioLoop()


class Job(Generic[_T]):
    """A question or a change, and what came of it."""

    __slots__ = ("done", "error", "is_over", "loop", "result", "told", "work")

    def __init__(self, work: _T, loop: Loop, told: Callable[[], None] | None = None) -> None:
        self.work = work
        """What is to be done."""
        self.result: Any = None
        """What came of it."""
        self.error: BaseException | None = None
        """Why nothing came of it."""
        self.loop: Loop | None = loop
        """Where its caller waits; None once it is finished."""
        self.done = loop.create_future()
        """What its caller waits for."""
        self.told = told
        """Is called there once it is carried out, whether or not its caller still waits."""
        self.is_over = False
        """Whether its caller was let go."""


class JobThread(Generic[_T]):
    """Takes jobs, as many at a time as there are, and hands them to one function.

    Arguments:
        carry_out: called in the thread with the jobs at hand, never without any; it sets their
            results or errors, and raises nothing.
        idle: called in the thread after every round, and where there is no job every `glance`
            seconds, unless that is None.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Job[_T]]], None],
        idle: Callable[[], None],
    ) -> None:
        self._carry_out = carry_out
        self._idle = idle
        self.glance: float | None = None
        self._ended = False
        self._jobs: deque[Job[_T]] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ringing: set[Loop] = set()
        self._thread = threading.Thread(target=self._run, name="lifecycle-store", daemon=True)
        self._thread.start()

    async def do(self, work: _T, told: Callable[[], None] | None = None) -> Any:
        """Have a job carried out, and return or raise what came of it.

        Arguments:
            work: what is to be done.
            told: is called in this event loop where no error came of it, in the order in which
                jobs were carried out; it raises nothing.

        Where the caller is cancelled meanwhile the job is carried out all the same; one who is
        to be told of it waits for that.
        """
        loop = running_loop()
        job = Job(work, loop, told)
        self._jobs.append(job)  # first, as the bell may be rung for another loop just now
        if loop not in self._ringing:
            self._ringing.add(loop)
            loop.call_soon(partial(self._ring, loop))
        try:
            await job.done
        except BaseException:
            if told is not None:
                with anyio.CancelScope(shield=True):
                    await _end_of(job, loop)
            raise
        if job.error is not None:
            raise job.error
        return job.result

    def _ring(self, loop: Loop) -> None:
        self._ringing.discard(loop)
        self._bell.put(None)

    def nudge(self) -> None:
        """Have `idle` called soon."""
        self._bell.put(None)

    def end(self) -> None:
        """End the thread once the jobs that it has are carried out, and wait for that."""
        self._ended = True
        self._bell.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not (self._ended and not self._jobs):
            jobs = self._take()
            if jobs:
                self._carry_out(jobs)
                finish(jobs)
            if not self._ended:
                self._idle()

    def _take(self) -> list[Job[_T]]:
        """The jobs at hand; waits for the bell, or for the time of a glance."""
        try:
            self._bell.get(timeout=self.glance)
        except queue.Empty:
            return []
        while not self._bell.empty():  # nobody else takes from it
            self._bell.get()
        taken = [self._jobs.popleft() for _ in range(min(len(self._jobs), _MOST))]
        if self._jobs:
            self._bell.put(None)  # for those that are left
        return taken


async def _end_of(job: Job[Any], loop: Loop) -> None:
    """Wait until a job is over, however often its caller is cancelled."""
    while not job.is_over:
        job.done = loop.create_future()
        with suppress(asyncio.CancelledError):
            await job.done


def finish(jobs: Sequence[Job[Any]]) -> None:
    """Let those go on who wait for jobs; each job is finished once, however often it is named."""
    by_loop: dict[Loop, list[Job[Any]]] = {}
    for job in jobs:
        if job.loop is not None:
            by_loop.setdefault(job.loop, []).append(job)
            job.loop = None
    for loop, done in by_loop.items():
        try:
            loop.call_soon_threadsafe(partial(_let_go, done))
        except RuntimeError:  # the event loop is closed: nobody waits any more
            continue


def _let_go(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.is_over = True
        if job.error is None:
            tell(job.told)
        if not job.done.done():  # unless who waited was cancelled
            job.done.set_result(None)
