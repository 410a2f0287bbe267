"""L5. What falls due: deadlines of interactions, and agents and processes that are gone (5, 6)."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

import anyio
import anyio.lowlevel

from lifecycle._committer import Committer, Work
from lifecycle._hushed import hushed
from lifecycle._presence import Presence
from lifecycle._reporting import Reporting
from lifecycle._requests import Requests
from lifecycle.ports import Clock, Store
from lifecycle.settings import Settings

_log = logging.getLogger("lifecycle.service")

_AT_A_TIME = 3
"""How many timers are begun before others of the event loop go on."""


class Timers:
    """Takes what is due from the store, and does what it brings.

    Arguments:
        store, committer, requests, presence, reporting, clock, settings: as the service has them.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        requests: Requests,
        presence: Presence,
        reporting: Reporting,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store = store
        self._committer = committer
        self._requests = requests
        self._presence = presence
        self._reporting = reporting
        self._clock = clock
        self._settings = settings

    async def fire_due(self, limit: int | None) -> int:
        """Do what is due by now, as the service has it."""
        ended = await self._presence.keep()
        at = self._clock.now()
        until = at + self._settings.timer_lease
        size = self._settings.batch if limit is None else limit
        due = await self._store.due(at, until, size)
        expired = await self._fire(
            "expire",
            "interaction_id",
            [(one.interaction_id, partial(self._requests.expire, due=one)) for one in due],
        )
        size = size if limit is None else limit - len(due)
        away = await self._store.away(at, until, size)
        gone = await self._fire(
            "gone", "agent_id", [(one.id, partial(self._requests.gone, due=one)) for one in away]
        )
        return ended + expired + gone

    async def _fire(self, name: str, key: str, work: list[tuple[str, Work[bool]]]) -> int:
        """Do what is due, all at the same time; how much of it did something."""
        done: list[bool] = []

        async def fire(id: str, one: Work[bool]) -> None:
            try:
                doing = self._committer.run(one)
                done.append(await self._reporting.request(doing, name, **{key: id}))
            except Exception as error:  # of a port or a team's own effect; the others go on
                _log.error("a timer could not be fired", exc_info=hushed(error), extra={key: id})

        async with anyio.create_task_group() as tasks:
            for number, (id, one) in enumerate(work, start=1):
                tasks.start_soon(fire, id, one)
                if number % _AT_A_TIME == 0:
                    await anyio.lowlevel.checkpoint()  # so many fall due that others would wait
        return sum(done)

    async def next_time(self) -> datetime | None:
        """When there is something to do next; None for never."""
        times = (await self._store.next_deadline(), self._presence.next_time)
        return min(filter(None, times), default=None)
