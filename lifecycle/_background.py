"""L5. What goes on by itself while a service is open: timers and deliveries (semantics 5, 9)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

import anyio
import anyio.abc
import anyio.lowlevel

from lifecycle._hushed import hushed
from lifecycle._relay import Piece, Relay
from lifecycle.ports import Clock, Store

_log = logging.getLogger("lifecycle.service")

_GLANCE = 1.0
"""Seconds after which a waiting timer looks at the clock again, in case it was set, and after
which what failed is tried again."""
_PRUNING = 60.0
"""Seconds between two looks for what is too old to be kept."""


Claim: TypeAlias = Callable[[int], Awaitable[list[Piece]]]
Asked: TypeAlias = Callable[[], Awaitable[datetime | None]]


class Background:
    """Tasks that sleep until something is due or has changed.

    Deliveries and mails have carriers of their own, so that neither waits for the other.

    Arguments:
        clock: the one source of time.
        store: says when something can be delivered or mailed.
        relay: what deliveries and mails are carried on by.
        fire_due: does what is due, and says how much it was.
        next_time: says when something is due next.
        prune: forgets what is old.
        sample: tells a telemetry what the store has to do; None where there is none.
        sample_every: seconds between two samples.
        concurrency: to how many agents is delivered, and how many mails are sent, at a time.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        relay: Relay,
        fire_due: Callable[[], Awaitable[int]],
        next_time: Asked,
        prune: Callable[[], Awaitable[int]],
        sample: Callable[[], Awaitable[None]] | None,
        sample_every: float,
        concurrency: int,
    ) -> None:
        self._clock = clock
        self._fire_due = fire_due
        self._next_time = next_time
        self._prune = prune
        self._sample = sample
        self._sample_every = sample_every
        self._timers_changed = anyio.Event()
        self._carriers = [
            _Carriers(self._wait, claim, next_try, concurrency)
            for there, claim, next_try in (
                (relay.has_sink, relay.claim_streams, store.next_delivery),
                (relay.has_mailer, relay.claim_mails, store.next_mail),
            )
            if there
        ]

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start them in a task group, which ends them when it is cancelled."""
        tasks.start_soon(_keep, self._fire)
        tasks.start_soon(_keep, self._forget)
        if self._sample is not None:
            tasks.start_soon(_keep, partial(self._tell, self._sample))
        for carriers in self._carriers:
            tasks.start_soon(carriers.keep)

    def timers_changed(self) -> None:
        """Say that there may be an earlier deadline."""
        self._timers_changed.set()

    def work_changed(self) -> None:
        """Say that there may be something to deliver or to mail."""
        for carriers in self._carriers:
            carriers.changed.set()

    async def _fire(self) -> None:
        """Fire what is due, or else wait for the next deadline."""
        self._timers_changed = anyio.Event()
        if await self._fire_due():
            await anyio.lowlevel.checkpoint()
        else:
            await self._wait(self._timers_changed, await self._next_time())

    async def _forget(self) -> None:
        """Forget what is old, and look again after a while."""
        await self._prune()
        await anyio.sleep(_PRUNING)

    async def _tell(self, sample: Callable[[], Awaitable[None]]) -> None:
        """Tell what there is to do, and again after a while."""
        await sample()
        await anyio.sleep(self._sample_every)

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


class _Carriers:
    """A number of carriers for one kind of work."""

    def __init__(
        self,
        wait: Callable[[anyio.Event, datetime | None], Awaitable[None]],
        claim: Claim,
        next_try: Asked,
        number: int,
    ) -> None:
        self.changed = anyio.Event()
        self._wait = wait
        self._claim = claim
        self._next_try = next_try
        self._free = number

    async def keep(self) -> None:
        """Carry for ever."""
        async with anyio.create_task_group() as tasks:
            await _keep(lambda: self._hand_out(tasks))

    async def _hand_out(self, tasks: anyio.abc.TaskGroup) -> None:
        """Give claimed work to carriers, or else wait until there is some, or a carrier."""
        self.changed = anyio.Event()
        work = await self._claim(self._free) if self._free else []
        for piece in work:
            self._free -= 1
            tasks.start_soon(self._carry, piece)
        if work:
            await anyio.lowlevel.checkpoint()
        else:
            await self._wait(self.changed, await self._next_try() if self._free else None)

    async def _carry(self, piece: Piece) -> None:
        try:
            await piece()
        except Exception as error:  # of a store or clock; the lease ends, and it is tried again
            _log.error("a delivery could not be tried", exc_info=hushed(error), extra=piece.fields)
        finally:
            self._free += 1
            self.changed.set()


async def _keep(round: Callable[[], Awaitable[None]]) -> None:
    """Go on for ever, also where a port fails for a while."""
    while True:
        try:
            await round()
        except Exception as error:  # whatever a port raises must not end what everybody waits for
            _log.error("timers or deliveries could not go on; trying again", exc_info=hushed(error))
            await anyio.sleep(_GLANCE)
