"""L6. A thread that carries out the jobs of many callers together, for blocking drivers."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import anyio

_T = TypeVar("_T")
Poster: TypeAlias = Callable[[Callable[[], object]], object]
"""Has a function called in an event loop, from any thread."""

_MOST = 1024
"""How many jobs are carried out together at most."""


class Job(Generic[_T]):
    """A question or a change, and what came of it."""

    __slots__ = ("done", "error", "post", "result", "work")

    def __init__(self, work: _T) -> None:
        self.work = work
        """What is to be done."""
        self.result: Any = None
        """What came of it."""
        self.error: BaseException | None = None
        """Why nothing came of it."""
        self.done, self.post = waiter()

    def outcome(self) -> Any:
        """What came of it, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.result


class _Future(asyncio.Future[None]):
    """A future that reads like an event, at half of the price of one."""

    def set(self) -> None:
        """Let who waits go on."""
        if not self.done():  # unless who waited was cancelled
            self.set_result(None)

    async def wait(self) -> None:
        """Wait for it."""
        await self


def waiter() -> tuple[anyio.Event | _Future, Poster]:
    """Something to wait for in the event loop that is running here, and the loop's poster."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return anyio.Event(), poster()
    return _Future(loop=loop), loop.call_soon_threadsafe


def poster() -> Poster:
    """What has functions called in the event loop that is running here."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio  # it is what runs here

        return trio.lowlevel.current_trio_token().run_sync_soon


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
        self._jobs: queue.SimpleQueue[Job[_T] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lifecycle-store", daemon=True)
        self._thread.start()

    async def do(self, work: _T) -> Any:
        """Have a job carried out, and return or raise what came of it.

        Where the caller is cancelled meanwhile the job is carried out all the same.
        """
        job = Job(work)
        self._jobs.put(job)
        await job.done.wait()
        return job.outcome()

    def nudge(self) -> None:
        """Have `idle` called soon."""
        self._jobs.put(None)

    def end(self) -> None:
        """End the thread once the jobs that it has are carried out, and wait for that."""
        self._ended = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not (self._ended and self._jobs.empty()):
            jobs = self._take()
            if jobs:
                self._carry_out(jobs)
                finish(jobs)
            if not self._ended:
                self._idle()

    def _take(self) -> list[Job[_T]]:
        """The jobs at hand; waits for one, or for the time of a glance."""
        taken: list[Job[_T]] = []
        try:
            job = self._jobs.get(timeout=self.glance)
            while len(taken) < _MOST:
                if job is not None:
                    taken.append(job)
                job = self._jobs.get_nowait()
            if job is not None:
                taken.append(job)
        except queue.Empty:
            pass
        return taken


def finish(jobs: Sequence[Job[Any]]) -> None:
    """Let those go on who wait for jobs; each job is finished once, however often it is named."""
    by_loop: dict[Poster, list[Job[Any]]] = {}
    for job in jobs:
        if job.post is not _finished:
            by_loop.setdefault(job.post, []).append(job)
            job.post = _finished
    for post, done in by_loop.items():
        try:
            post(partial(_let_go, done))
        except RuntimeError:  # the event loop is closed: nobody waits any more
            continue


def _let_go(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.done.set()


def _finished(_: Callable[[], object]) -> None:
    """In place of what finishes a job that is finished."""
