"""L5. Optimistic commits, and requests with an operation id that happen once (semantics 9)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
import attrs
import orjson

from lifecycle._recent import Reads, Recent
from lifecycle.codec import encode_command
from lifecycle.commands import Command, check_name
from lifecycle.errors import (
    Conflict,
    InternalError,
    InvalidParameter,
    LifecycleError,
    OperationIdReused,
    RaceLost,
    StoreError,
)
from lifecycle.interaction import Interaction, UserData
from lifecycle.ports import Clock, Store
from lifecycle.records import Commit, Outcome, Refusal

_T = TypeVar("_T")
Work: TypeAlias = Callable[[datetime, Reads], Awaitable[tuple[Commit | None, _T]]]
"""Reads, decides, and says what to commit, and what to return once it is committed."""

_TRIES = 1000
"""How often a request reads again because others were faster, before it gives up."""


@attrs.frozen
class Request:
    """A request that must happen once."""

    operation_id: str
    """The id that the caller gave."""
    fingerprint: str
    """A digest of everything else that the caller gave."""

    @classmethod
    def of(cls, operation_id: str | None, *parts: object) -> Request | None:
        """The request of these parts; None where there is no operation id.

        Raises `InvalidParameter` for an id that is no string, or empty.
        """
        if operation_id is None:
            return None
        _check_operation_id(operation_id)
        digest = hashlib.sha256()
        for part in parts:
            data = _canonical(part)
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return cls(operation_id, digest.hexdigest())


def _canonical(part: object) -> bytes:
    """The bytes of a part of a request, the same for equal parts in every process."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, Command):
        fields = orjson.loads(encode_command(part)).items()
        part = {key: _number(value) for key, value in fields}
    elif isinstance(part, UserData):
        part = orjson.loads(part.json)
    try:
        return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an Email, or an argument that will be refused for what it is
        return repr(part).encode(errors="surrogatepass")


def _number(value: object) -> object:
    """The same for 30 and 30.0 seconds."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_operation_id(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidParameter("must be a string, not empty", path="$.operationId", value=value)
    check_name("$.operationId", value)


class Committer:
    """Carries out work against a store: again where it conflicts, once where it has an id."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        committed: Callable[[Commit], None],
        unsure: Callable[[], None],
    ) -> None:
        """Prepare for a store.

        Arguments:
            store: where to commit.
            clock: the one source of time.
            committed: called after each commit, before its request goes on.
            unsure: called where nobody can say whether a commit was made.
        """
        self._store = store
        self._recent = Recent(store)
        self._clock = clock
        self._committed = committed
        self._unsure = unsure
        self._running: dict[str, anyio.Event] = {}

    async def run(self, work: Work[_T], *, recent: bool = True) -> _T:
        """Do work that may be done again.

        Arguments:
            work: what is to be done.
            recent: whether it may begin with what is known here: whether all that it reads of
                interactions and agents, and leaves as it is, makes no difference.

        Raises what the work raises, and `RaceLost` where others are faster all the time.
        """
        done = await self._try_recent(work) if recent else None
        tries = 0
        while done is None:
            if tries == _TRIES:
                raise RaceLost("others were faster every time", value=_TRIES)
            tries += 1
            commit, result = await work(self._now(), self._recent.fresh)
            if await self._stored(commit):
                done = (result,)
        return done[0]

    async def _try_recent(self, work: Work[_T]) -> tuple[_T] | None:
        """Do work from what is known here; only what is then committed is to be believed.

        Returns: what came of it, or None where the store itself has to be asked.
        """
        try:
            commit, result = await work(self._now(), self._recent)
        except InternalError:
            raise
        except LifecycleError:
            return None
        if commit is None or not (commit.interactions or commit.agents):
            return None  # nothing in it would tell that what is known here is out of date
        return (result,) if await self._stored(commit) else None

    def _now(self) -> datetime:
        return self._clock.now().astimezone(UTC)

    async def _stored(self, commit: Commit | None) -> bool:
        """Whether there was nothing to commit, or it was committed."""
        try:
            if commit is not None:
                await self._commit(commit)
        except Conflict:
            return False
        return True

    async def run_once(self, work: Work[Interaction], request: Request | None) -> Interaction:
        """Do work on behalf of a request: the same request again gives the first outcome.

        Raises what the work raises, or raised the first time; `OperationIdReused` where the id
        was used for another request.
        """
        if request is None:
            return await self.run(work)
        while (running := self._running.get(request.operation_id)) is not None:
            await running.wait()
        finished = self._running[request.operation_id] = anyio.Event()
        try:
            return await self._first(work, request)
        finally:
            del self._running[request.operation_id]
            finished.set()

    async def _first(self, work: Work[Interaction], request: Request) -> Interaction:
        refused: list[LifecycleError] = []

        async def recorded(at: datetime, reads: Reads) -> tuple[Commit | None, Outcome]:
            refused.clear()
            # first as if the id were new: where it is not, the commit conflicts
            known = (
                None if reads is self._recent else await self._store.outcome(request.operation_id)
            )
            if known is not None:
                return None, known
            new = Outcome(operation_id=request.operation_id, fingerprint=request.fingerprint, at=at)
            try:
                commit, interaction = await work(at, reads)
            except InternalError:
                raise
            except LifecycleError as error:
                if reads is self._recent:
                    raise
                refused.append(error)
                new = attrs.evolve(new, refusal=Refusal.of(error))
                return Commit(at=at, outcome=new), new
            new = attrs.evolve(new, interaction=interaction)
            return attrs.evolve(commit or Commit(at=at), outcome=new), new

        outcome = await self.run(recorded)
        if outcome.fingerprint != request.fingerprint:
            raise OperationIdReused(
                "used before for another request",
                path="$.operationId",
                value=request.operation_id,
            )
        if refused:  # by this very call: as it was raised, also where it is a team's own
            raise refused[0]
        if outcome.refusal is not None:
            raise outcome.refusal.error()
        if outcome.interaction is None:
            raise InternalError("an outcome says nothing", value=request.operation_id)
        return outcome.interaction

    async def _commit(self, commit: Commit) -> None:
        # What was committed is told by the store itself, as the caller may have been cancelled
        # meanwhile; in the caller's context, in which telemetry knows what it belongs to.
        told = partial(copy_context().run, self._told, commit)
        try:
            await self._store.commit(commit, told)
        except LifecycleError as error:
            if isinstance(error, StoreError):
                self._unsure()
            raise
        except BaseException:  # also a cancellation, for which the store has waited to the end
            self._unsure()  # it may have been committed all the same
            raise

    def _told(self, commit: Commit) -> None:
        self._recent.committed(commit)
        self._committed(commit)
