"""L6. Connections to PostgreSQL: made again where they are lost, and shared by many callers.

A lane takes the jobs of its callers, as many at a time as there are, and has them carried out by
tasks of its own: a caller who is cancelled leaves no connection in the middle of something.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import anyio
import asyncpg

from lifecycle.errors import InvalidParameter, StoreFull, StoreUnavailable
from lifecycle.stores._postgres_errors import HIDDEN, is_race, translated, without_secrets
from lifecycle.stores._postgres_schema import SCHEMA, Connection, check_schema
from lifecycle.stores._told import tell

_log = logging.getLogger("lifecycle.store")

_T = TypeVar("_T")

CHANNEL: Final = "lifecycle"
"""Where commits are told of; the payload says which object of the store has committed."""
SERVER_TIME: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's time in microseconds, at this very moment."""

_CONNECT_TIMEOUT = 10.0
_COMMAND_TIMEOUT = 60.0
_CLOSE_TIMEOUT = 5.0
_HEARTBEAT = 10.0
"""Seconds between two looks at the server's clock, where there is nothing else to ask."""
_TOGETHER = 3
"""How often jobs are carried out together before each of them is by itself."""
_ALONE = 20
_AT_A_TIME = 8
"""How many callers go on before others of the event loop do."""
_BACKOFF = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0)
"""Seconds before the listener tries to connect again; the last ones for ever."""
_SETTINGS: Final = {
    "search_path": SCHEMA,
    "default_transaction_isolation": "read committed",
    # All that is asked for often is found by an index, in its order. Statements are planned once,
    # often while the tables are still empty, and must not read or sort much when they have grown.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ServerClock:
    """The time of the server, wherever this machine believes to be.

    It goes by the monotonic clock from what the server said last. Each sample says between which
    bounds the difference of the two must lie, and moves it no further than into them: what a
    slow answer adds does not make the time jump.
    """

    def __init__(self) -> None:
        self._offset: int | None = None

    def now(self) -> datetime:
        """The present time, UTC."""
        return _EPOCH + timedelta(microseconds=_monotonic() + (self._offset or 0))

    def heard(self, asked: int, server_time: int) -> None:
        """Take in what the server said.

        Arguments:
            asked: what `asking` said before it was asked.
            server_time: microseconds since 1970.
        """
        lowest, highest = server_time - _monotonic(), server_time - asked
        offset = lowest if self._offset is None else self._offset
        self._offset = min(max(offset, lowest), highest)

    def asking(self) -> int:
        """The present time of the monotonic clock, in microseconds."""
        return _monotonic()

    async def ask(self, connection: Connection) -> None:
        """Ask the server for its time."""
        asked = self.asking()
        self.heard(asked, await connection.fetchval(f"SELECT {SERVER_TIME}"))


def _monotonic() -> int:
    return time.monotonic_ns() // 1000


class Connector:
    """Makes connections to one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.address = without_secrets(url)
        """The address as it may be shown."""
        self.clock = ServerClock()
        """The clock of the server, as of the latest answers."""

    def __repr__(self) -> str:
        return f"Connector({self.address!r})"

    async def connect(
        self, newest: int | None, *, patience: float = _COMMAND_TIMEOUT
    ) -> Connection:
        """A new connection.

        Arguments:
            newest: the version that the schema must have, None for any.
            patience: how long a statement may take, in seconds.

        Raises `StoreUnavailable`, `SchemaMismatch`, `StoreError`, and `InvalidParameter` for
        what is no address.
        """
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                connection: Connection = await asyncpg.connect(
                    self._url,
                    server_settings=_SETTINGS,
                    timeout=_CONNECT_TIMEOUT,
                    command_timeout=patience,
                    max_cached_statement_lifetime=0,
                    statement_cache_size=1000,
                )
                try:
                    await self.clock.ask(connection)
                    if newest is not None:
                        await check_schema(connection, self.address, newest)
                except BaseException:
                    connection.terminate()
                    raise
        except (asyncpg.PostgresError, OSError) as error:
            raise translated(error, self.address) from None
        except ValueError as error:  # whose text may show a password
            raise InvalidParameter(
                f"is no address of a PostgreSQL server ({type(error).__name__})",
                path="$.store",
                value=HIDDEN,
            ) from None
        except Exception as error:
            raise translated(error, self.address) from None
        return connection


async def close(connection: Connection | None) -> None:
    """End a connection, if there is one, whatever state it is in."""
    if connection is not None and not connection.is_closed():
        try:
            await connection.close(timeout=_CLOSE_TIMEOUT)
        except Exception as error:
            _log.debug("a connection was not closed in order: %s", type(error).__name__)
            connection.terminate()


async def roll_back(connection: Connection) -> None:
    """End a transaction that failed; a connection that cannot is of no use any more."""
    if not connection.is_closed():
        try:
            await connection.execute("ROLLBACK")
        except Exception as error:
            _log.debug("a transaction was not rolled back: %s", type(error).__name__)
            connection.terminate()


class Finishing:
    """Lets callers go on in the order in which they were served, a few in each turn of the loop.

    Were all let go at once, the answers of the server to the next ones would wait for what all
    of them do then.
    """

    def __init__(self) -> None:
        self._served: deque[Callable[[], None]] = deque()

    @property
    def is_over(self) -> bool:
        """Whether all who were served have been let go."""
        return not self._served

    def add(self, let_go: Callable[[], None]) -> None:
        """Have a function called soon, that raises nothing."""
        if not self._served:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._served.append(let_go)

    def _go_on(self) -> None:
        for _ in range(min(_AT_A_TIME, len(self._served))):
            self._served.popleft()()
        if self._served:
            asyncio.get_running_loop().call_soon(self._go_on)


class Job(Generic[_T]):
    """What a caller wants, and the future that the caller waits for."""

    __slots__ = ("_finishing", "_future", "_is_over", "_told", "work")

    def __init__(
        self, work: _T, finishing: Finishing, told: Callable[[], None] | None = None
    ) -> None:
        self.work = work
        """What is to be done."""
        self._finishing = finishing
        self._told = told
        self._is_over = False
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def begin(self) -> bool:
        """Whether somebody waits for it; if nobody does, it is over."""
        self._is_over = self._future.done()
        return not self._is_over

    def finish(self, result: Any) -> None:
        """Tell of it, and let the caller go on; both soon."""
        self._finishing.add(partial(self._finish, result))

    def _finish(self, result: Any) -> None:
        self._is_over = True
        tell(self._told)
        if not self._future.done():
            self._future.set_result(result)

    def fail(self, error: Exception) -> None:
        """Have the caller raise an error, soon; unless it is finished."""
        self._finishing.add(partial(self._fail, error))

    def _fail(self, error: Exception) -> None:
        self._is_over = True
        if not self._future.done():
            self._future.set_exception(error)

    async def outcome(self) -> Any:
        """Wait, and return or raise what came of it.

        A caller who is cancelled waits all the same if it is to be told of it.
        """
        try:
            return await self._future
        except asyncio.CancelledError:
            if self._told is not None:
                with anyio.CancelScope(shield=True):
                    await self._end()
            raise

    async def _end(self) -> None:
        """Wait until it is over, however often its caller is cancelled."""
        while not self._is_over:
            self._future = asyncio.get_running_loop().create_future()
            with suppress(asyncio.CancelledError, Exception):  # the caller raises the first one
                await self._future


async def carry_out_together(
    connection: Connection,
    jobs: Sequence[Job[_T]],
    address: str,
    transact: Callable[[Connection, Sequence[_T]], Awaitable[Sequence[Any]]],
) -> None:
    """Carry jobs out in one transaction; where one of them breaks it, each in one of its own.

    Where somebody else was in the way it is all done again, so often.

    Arguments:
        connection: in no transaction.
        jobs: what is wanted.
        address: of the store, without secrets.
        transact: carries the works of jobs out in a transaction, and returns their results in
            the same order, an error where one fails by itself.
    """
    tries_left = _TOGETHER if len(jobs) > 1 else _ALONE
    while True:
        tries_left -= 1
        try:
            results = await transact(connection, [job.work for job in jobs])
        except Exception as error:
            await roll_back(connection)
            if tries_left and is_race(error):
                continue
            ours = translated(error, address)
            break
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                job.fail(result)
            else:
                job.finish(result)
        return
    if len(jobs) == 1 or isinstance(ours, (StoreUnavailable, StoreFull)):
        fail(jobs, ours)
        return
    for job in jobs:
        await carry_out_together(connection, [job], address, transact)


CarryOut: TypeAlias = Callable[[Connection, Sequence[Job[_T]]], Awaitable[None]]


class Lane(Generic[_T]):
    """Takes jobs, as many at a time as there are, and has them carried out on a connection.

    Arguments:
        connect: makes a connection.
        address: of the store, without secrets.
        carry_out: is given a connection and jobs, never none; it finishes each of them. What it
            raises all of them raise that are not finished.
        most: how many jobs are carried out together at most.
        connections: on how many connections at the same time.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        address: str,
        carry_out: CarryOut[_T],
        *,
        most: int,
        connections: int = 1,
    ) -> None:
        self._connect = connect
        self._address = address
        self._carry_out = carry_out
        self._most = most
        self._ended = False
        self._finishing = Finishing()
        self._jobs: asyncio.Queue[Job[_T] | None] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(connections)]

    async def do(self, work: _T, told: Callable[[], None] | None = None) -> Any:
        """Have a job carried out, and return or raise what came of it.

        Arguments:
            work: what is to be done.
            told: is called where no error came of it, in the order in which jobs were carried
                out, whether or not the caller still waits; it raises nothing.

        Where the caller is cancelled meanwhile it may be carried out all the same.
        """
        if self._ended:
            raise StoreUnavailable("the store is closed", path=self._address)
        job = Job(work, self._finishing, told)
        self._jobs.put_nowait(job)
        return await job.outcome()

    async def end(self) -> None:
        """Carry out what was begun, let all callers go on, and end the connections."""
        if not self._ended:
            self._ended = True
            for _ in self._tasks:
                self._jobs.put_nowait(None)
        await asyncio.wait(self._tasks)
        while not self._finishing.is_over:
            await asyncio.sleep(0)

    async def _run(self) -> None:
        connection: Connection | None = None
        jobs: list[Job[_T]] = []
        try:
            while jobs := await self._take():
                waited_for = [job for job in jobs if job.begin()]
                if not waited_for:
                    continue
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._connect()
                    await self._carry_out(connection, waited_for)
                except Exception as error:
                    fail(waited_for, translated(error, self._address))
        except asyncio.CancelledError:  # the event loop ends, and nobody has closed the store
            self._ended = True
            jobs += filter(None, [self._jobs.get_nowait() for _ in range(self._jobs.qsize())])
            fail(jobs, StoreUnavailable("the store is closed", path=self._address))
            raise
        finally:
            await close(connection)

    async def _take(self) -> list[Job[_T]]:
        """The jobs at hand; waits for one. None once the lane has ended."""
        taken: list[Job[_T]] = []
        job = await self._jobs.get()
        while job is not None:
            taken.append(job)
            if len(taken) == self._most or self._jobs.empty():
                return taken
            job = self._jobs.get_nowait()
        if taken:
            self._jobs.put_nowait(None)  # for the next time
        return taken


def fail(jobs: Sequence[Job[Any]], error: Exception) -> None:
    """Have all callers raise an error who are still waiting, each one of their own."""
    for job in jobs:
        job.fail(copy.copy(error))


class Listener:
    """Hears of what others commit, from the time that somebody first wants to know."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], clock: ServerClock, own: str
    ) -> None:
        """Prepare.

        Arguments:
            connect: makes a connection.
            clock: is kept right meanwhile.
            own: the payload of one's own notifications.
        """
        self._connect = connect
        self._clock = clock
        self._own = own
        self._changed: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, changed: Callable[[], None] | None) -> None:
        """Have a function called for every commit of somebody else's; None ends it."""
        self._changed = changed
        if changed is not None and self._task is None:
            self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Listen no more."""
        self._changed = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                connection = await self._connect()
                tries = 0
                try:
                    await self._listen(connection)
                finally:
                    await close(connection)
            except Exception as error:
                if tries == 0:
                    _log.warning("commits of others are not heard of for now: %s", error)
            await asyncio.sleep(_BACKOFF[min(tries, len(_BACKOFF) - 1)])
            tries += 1

    async def _listen(self, connection: Connection) -> NoReturn:
        """Listen until the connection is lost, which it raises."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, self._heard)
        self._tell()  # somebody may have committed while nobody listened
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT):
                    await lost.wait()
                    raise StoreUnavailable("the connection is lost")
            await self._clock.ask(connection)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        if payload != self._own:
            self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()
