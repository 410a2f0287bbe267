"""L5. Who is there: sessions of agents, counted across processes (semantics 6).

Each process counts the sessions that it has, and the store holds the counts of all processes
in its agents. A process says every now and then that it is alive. Where one has not for too
long, any other takes its sessions for ended.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from lifecycle._committer import Committer
from lifecycle._hushed import hushed
from lifecycle._recent import Reads
from lifecycle._requests import Requests
from lifecycle.ports import Clock, Store
from lifecycle.records import Commit
from lifecycle.settings import Settings

_log = logging.getLogger("lifecycle.service")
_EVER = datetime.min.replace(tzinfo=UTC)


class Presence:
    """The sessions that this process has, and those of processes that are no more.

    Arguments:
        worker: the name of this process.
        store, committer, requests, clock, settings: as the service has them.
    """

    def __init__(
        self,
        worker: str,
        store: Store,
        committer: Committer,
        requests: Requests,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._worker = worker
        self._store = store
        self._committer = committer
        self._requests = requests
        self._clock = clock
        self._lease = settings.lease
        self._sessions: Counter[str] = Counter()
        self._uncounted: set[str] = set()
        self._until: datetime | None = None
        self._pause = settings.first_retry
        self._failed_at: datetime | None = None

    async def began(self, agent_id: str) -> None:
        """Count one more session of an agent; where that fails it does not count."""
        await self._stay_alive()  # first, so that no session is with a process nobody knows
        self._sessions[agent_id] += 1
        try:
            await self._attend(agent_id)
        except BaseException:
            self._ended(agent_id)
            raise

    async def ended(self, agent_id: str) -> None:
        """Count one session of an agent less; where the store fails, it learns of it later."""
        self._ended(agent_id)
        await self._attend(agent_id)

    def _ended(self, agent_id: str) -> None:
        if self._sessions[agent_id] > 1:
            self._sessions[agent_id] -= 1
        else:
            del self._sessions[agent_id]  # also where a session ends that nobody knows of

    async def _attend(self, agent_id: str) -> None:
        """Bring what the store counts for this process and agent into line."""
        count = partial(self._sessions.__getitem__, agent_id)
        work = partial(self._requests.attend, agent_id=agent_id, worker=self._worker, count=count)
        try:
            # a cancelled caller waits, so that what it leaves is what the store has been told
            with anyio.CancelScope(shield=True):
                await self._committer.run(work)
        except BaseException:
            self._uncounted.add(agent_id)  # nobody can say what the store has now
            raise

    @property
    def next_time(self) -> datetime | None:
        """When `keep` has something to do for this process; None for never."""
        if self._uncounted:
            return _EVER
        if self._until is None or not self._sessions:
            return None
        return self._until - self._lease / 2

    async def keep(self) -> int:
        """Say that this process is alive, and end the sessions of those that are not.

        Returns: how many agents lost sessions. An agent for whom that fails is logged and tried
        again after `Settings.first_retry`, and the others go on.
        """
        if self._sessions:
            await self._stay_alive()
        if self._pauses():
            return 0
        self._failed_at = None
        await self._count_again()
        ended = 0
        for worker in await self._lapsed():
            _log.warning("a process is gone", extra={"worker": worker})
            agents = await self._store.sessions_of(worker)
            done = [await self._tried(agent.id, self._end(agent.id, worker)) for agent in agents]
            ended += sum(done)
            if all(done):
                await self._store.forget(worker, self._clock.now())
        return ended

    def _pauses(self) -> bool:
        """Whether something has just failed: a commit that fails wakes whoever waits to retry."""
        if self._failed_at is None:
            return False
        return abs(self._clock.now() - self._failed_at) < self._pause  # the clock may have been set

    async def _lapsed(self) -> tuple[str, ...]:
        return await self._store.lapsed(self._clock.now())

    async def _end(self, agent_id: str, worker: str) -> None:
        """End the sessions of an agent with a process, unless that one turns out to live."""

        async def work(at: datetime, reads: Reads) -> tuple[Commit | None, None]:
            commit, _ = await self._requests.attend(
                at, reads, agent_id=agent_id, worker=worker, count=int
            )
            # asked after the agent was read: what it does from here on makes the commit fail
            return (commit if worker in await self._lapsed() else None), None

        await self._committer.run(work)

    async def _stay_alive(self) -> None:
        """Where it is time, say that this process is alive.

        Where others may have taken it for gone meanwhile, its sessions are counted again.
        """
        now, before = self._clock.now(), self._until
        if before is not None and now < before - self._lease / 2:
            return
        until = now + self._lease
        known = await self._store.renew(self._worker, until)
        if not known or (before is not None and before <= now):
            self._uncounted.update(self._sessions)
        self._until = until
        await self._count_again()

    async def _count_again(self) -> None:
        for agent_id in sorted(self._uncounted):
            self._uncounted.discard(agent_id)
            await self._tried(agent_id, self._attend(agent_id))

    async def _tried(self, agent_id: str, change: Coroutine[Any, Any, None]) -> bool:
        """Whether a change to an agent's sessions was made; where not, it is logged."""
        try:
            await change
        except Exception as error:  # of a port; neither the other agents nor the timers wait
            _log.error(
                "sessions could not be counted",
                exc_info=hushed(error),
                extra={"agent_id": agent_id},
            )
            self._failed_at = self._clock.now()
            return False
        return True
