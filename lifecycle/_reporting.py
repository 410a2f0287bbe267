"""L5. What is logged and told of requests, hand-overs and commits; never a mail's content."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self, TypeVar

from lifecycle._hushed import hushed, place
from lifecycle.errors import LifecycleError
from lifecycle.ports import Clock, Store, Telemetry
from lifecycle.records import Entry

_T = TypeVar("_T")

_log = logging.getLogger("lifecycle.service")
_steps = logging.getLogger("lifecycle.steps")


class Reporting:
    """Logs every step and refusal at DEBUG, and tells them to a telemetry where there is one.

    Arguments:
        telemetry: what is told; it may fail without harm.
        store, clock: as the service has them.
    """

    def __init__(self, telemetry: Telemetry | None, store: Store, clock: Clock) -> None:
        self._telemetry = telemetry
        self._store = store
        self._clock = clock

    @property
    def is_sampling(self) -> bool:
        """Whether anybody wants the figures of the store."""
        return self._telemetry is not None

    def request(
        self,
        work: Awaitable[_T],
        name: str,
        *,
        interaction_id: object = None,
        agent_id: object = None,
        trigger: object = None,
    ) -> Awaitable[_T]:
        """A request that is told and logged while it is carried out.

        Arguments:
            work: the request.
            name: which one.
            interaction_id, agent_id, trigger: what it is about, as far as it is known; what is
                no text is left out.

        Returns: what to await. It is `work` itself where nobody listens.
        """
        if self._telemetry is None and not _steps.isEnabledFor(logging.DEBUG):
            return work
        return self._watched(work, name, _text(interaction_id), _text(agent_id), _text(trigger))

    async def _watched(
        self,
        work: Awaitable[_T],
        name: str,
        interaction_id: str | None,
        agent_id: str | None,
        trigger: str | None,
    ) -> _T:
        fields = {"interaction_id": interaction_id, "agent_id": agent_id, "trigger": trigger}
        with self.span(name, **fields):
            try:
                return await work
            except LifecycleError as error:
                if _steps.isEnabledFor(logging.DEBUG):
                    own = {key: getattr(error, key) for key in fields}
                    known = {key: value or _text(own[key]) for key, value in fields.items()}
                    kind = type(error).__name__
                    extra = {**known, "error": kind, "path": place(error.path)}
                    _steps.debug("%s refused: %s", name, kind, extra=extra)
                raise

    def span(
        self,
        name: str,
        *,
        interaction_id: str | None,
        agent_id: str | None = None,
        trigger: str | None = None,
    ) -> Span:
        """What surrounds a piece of work, and harms nothing where the telemetry fails."""
        telemetry = self._telemetry
        if telemetry is None:
            return Span(None)
        return Span(
            lambda: telemetry.span(
                name, interaction_id=interaction_id, agent_id=agent_id, trigger=trigger
            )
        )

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """Log and tell the steps of a commit, in the task of the request that committed them."""
        if not entries:
            return
        if _steps.isEnabledFor(logging.DEBUG):
            for entry in entries:
                _steps.debug(
                    "%s: %s -> %s", entry.trigger, entry.source, entry.dest, extra=_fields(entry)
                )
        if self._telemetry is not None:
            with _harmless():
                self._telemetry.committed(entries)

    async def sample(self) -> None:
        """Tell what the store has to do."""
        if self._telemetry is not None:
            at = self._clock.now()
            figures = await self._store.figures(at)
            with _harmless():
                self._telemetry.figures(figures, at)


class Span:
    """A piece of work that is told, or not."""

    def __init__(
        self, make: Callable[[], AbstractContextManager[Callable[[str], None]]] | None
    ) -> None:
        self._make = make
        self._inner: AbstractContextManager[object] | None = None
        self._say: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        if self._make is not None:
            with _harmless():
                inner = self._make()
                self._say = inner.__enter__()
                self._inner = inner
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._inner is not None:
            with _harmless():
                self._inner.__exit__(kind, error, traceback)

    def outcome(self, outcome: str) -> None:
        """Say what came of it, where that is neither `ok` nor an error that is raised."""
        if self._say is not None:
            with _harmless():
                self._say(outcome)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # what is watched goes on, whoever cannot watch it
        _log.error("the telemetry failed", exc_info=hushed(error))


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) else None


def _fields(entry: Entry) -> dict[str, str | int | None]:
    """What a log record says of a step; the agent is who did it, or else whom it concerns."""
    return {
        "interaction_id": entry.interaction_id,
        "agent_id": entry.actor or entry.agent_id,
        "trigger": str(entry.trigger),
        "actor": entry.actor,
        "source": entry.source,
        "dest": str(entry.dest),
        "version": entry.version,
        "offer": entry.offer,
        "sequence": entry.sequence,
    }
