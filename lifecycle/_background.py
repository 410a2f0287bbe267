"""L5. What goes on by itself while a service is open: timers and deliveries (semantics 5, 9)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import anyio.abc
import anyio.lowlevel

from lifecycle._relay import Relay
from lifecycle.errors import LifecycleError
from lifecycle.ports import Clock, Store

_log = logging.getLogger("lifecycle.service")

_GLANCE = 1.0
"""Seconds after which a waiting timer looks at the clock again, in case it was set, and after
which what failed is tried again."""


class Background:
    """Two tasks that sleep until something is due or has changed.

    Arguments:
        clock: the one source of time.
        store: says when something is due.
        relay: what deliveries are carried on by.
        fire_due: does what is due, and says how much it was.
        concurrency: to how many agents is delivered at a time.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        relay: Relay,
        fire_due: Callable[[], Awaitable[int]],
        concurrency: int,
    ) -> None:
        self._clock = clock
        self._store = store
        self._relay = relay
        self._fire_due = fire_due
        self._concurrency = concurrency
        self._busy = 0
        self._timers_changed = anyio.Event()
        self._work_changed = anyio.Event()

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start both in a task group, which ends them when it is cancelled."""
        tasks.start_soon(self._keep, self._fire)
        tasks.start_soon(self._keep_delivering)

    def timers_changed(self) -> None:
        """Say that there may be an earlier deadline."""
        self._timers_changed.set()

    def work_changed(self) -> None:
        """Say that there may be something to deliver."""
        self._work_changed.set()

    async def _keep_delivering(self) -> None:
        async with anyio.create_task_group() as carriers:
            await self._keep(lambda: self._hand_out(carriers))

    async def _keep(self, round: Callable[[], Awaitable[None]]) -> None:
        """Go on for ever, also where the store fails for a while."""
        while True:
            try:
                await round()
            except LifecycleError:
                _log.exception("timers or deliveries could not go on; trying again")
                await anyio.sleep(_GLANCE)

    async def _fire(self) -> None:
        """Fire what is due, or else wait for the next deadline."""
        self._timers_changed = anyio.Event()
        if await self._fire_due():
            await anyio.lowlevel.checkpoint()
        else:
            await self._wait(self._timers_changed, await self._store.next_deadline())

    async def _hand_out(self, carriers: anyio.abc.TaskGroup) -> None:
        """Give claimed work to carriers, or else wait until there is some, or a carrier."""
        self._work_changed = anyio.Event()
        free = self._concurrency - self._busy
        work = await self._relay.claim(free) if free else []
        for piece in work:
            self._busy += 1
            carriers.start_soon(self._carry, piece)
        if work:
            await anyio.lowlevel.checkpoint()
        else:
            until = await self._store.next_try() if free else None
            await self._wait(self._work_changed, until)

    async def _carry(self, piece: Callable[[], Awaitable[int]]) -> None:
        try:
            await piece()
        except LifecycleError:
            _log.exception("a delivery could not be tried")
        finally:
            self._busy -= 1
            self._work_changed.set()

    async def _wait(self, changed: anyio.Event, until: datetime | None) -> None:
        """Wait for an event or a time, by the monotonic clock but never past a clock that jumps."""
        if until is None:
            await changed.wait()
            return
        while not changed.is_set():
            remaining = (until - self._clock.now()).total_seconds()
            # what is overdue and could not be done is tried again, but not without a pause
            with anyio.move_on_after(min(_GLANCE, remaining) if remaining > 0 else _GLANCE):
                await changed.wait()
            if self._clock.now() >= until:
                return
