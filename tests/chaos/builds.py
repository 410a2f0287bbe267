"""The library, broken on purpose: each build undoes one decision that a guarantee hangs on.

They change classes of the process that they run in, through the ports, so that they break every
store alike.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import attrs

from chaos.config import LEASE, SINK_TIMEOUT, Config
from chaos.ports import Connections, EndpointSink
from lifecycle import Answer, Commit, Delivery, Sink
from lifecycle._opening import store_class
from lifecycle._relay import Piece, Relay
from lifecycle.errors import Conflict
from lifecycle.ports import Told

_TRIES = 50
_WINDOW = 30
"""How many undelivered rows of an agent are looked at."""


class CommitMethod(Protocol):
    """How a class of stores commits."""

    async def __call__(self, store: Any, commit: Commit, committed: Told | None = None, /) -> None:
        """As `Store.commit`, the store given."""
        ...


def break_it(config: Config) -> None:
    """Break the library in this process as the run says."""
    kind, _ = store_class(config.address)
    right: CommitMethod = kind.commit
    match config.build:
        case "commit-before-log":
            kind.commit = _committing(_commit_before_log, right)
        case "delivery-before-commit":
            sink = EndpointSink(Connections(config.socket, "early"))
            kind.commit = _committing(_delivery_before_commit, right, sink)
        case "no-expected-version":
            kind.commit = _committing(_no_expected_version, right)
        case "sequence-outside-lock":
            kind.commit = _committing(_sequence_outside_lock, right, _Counters(config.folder))
        case "row-by-row":
            rows = _Rows(config.path("rows"))
            relay: Any = Relay
            relay.claim_streams = partial_method(_claim_rows, rows)
        case other:
            raise ValueError(f"there is no build {other!r}")


def partial_method(function: Callable[..., Any], *given: Any) -> Callable[..., Any]:
    """A method that passes what is given before its object."""

    async def method(self: Any, *rest: Any) -> Any:
        return await function(*given, self, *rest)

    return method


def _committing(function: Callable[..., Awaitable[None]], *given: Any) -> CommitMethod:
    """The method of a store that commits by a function, and then says that it has."""

    async def commit(self: Any, commit: Commit, committed: Told | None = None) -> None:
        await function(*given, self, commit)
        if committed is not None:
            committed()

    return commit


def numbered(commit: Commit, number: Callable[[str], int]) -> Commit:
    """The commit with other sequences: each delivery, with its entry and its agent, anew."""
    given: dict[tuple[str | None, int | None], int] = {}
    deliveries = []
    for one in commit.deliveries:
        given[one.agent_id, one.sequence] = sequence = number(one.agent_id)
        deliveries.append(attrs.evolve(one, sequence=sequence))
    latest = {one.agent_id: one.sequence for one in deliveries}
    return attrs.evolve(
        commit,
        deliveries=tuple(deliveries),
        entries=tuple(
            attrs.evolve(one, sequence=given.get((one.agent_id, one.sequence), one.sequence))
            for one in commit.entries
        ),
        agents=tuple(
            attrs.evolve(one, sequence=latest.get(one.id, one.sequence)) for one in commit.agents
        ),
    )


async def _commit_before_log(right: CommitMethod, store: Any, commit: Commit) -> None:
    """The step is committed, and then what tells of it: history and deliveries."""
    if not commit.entries:
        return await right(store, commit)
    new = Counter(one.agent_id for one in commit.deliveries)
    agents = [attrs.evolve(one, sequence=one.sequence - new[one.id]) for one in commit.agents]
    await right(store, attrs.evolve(commit, agents=tuple(agents), entries=(), deliveries=()))
    for _ in range(_TRIES):
        stored = {name: await store.agent(name) for name in new}
        numbers = {name: agent.sequence for name, agent in stored.items()}
        log = numbered(
            Commit(
                at=commit.at,
                entries=commit.entries,
                deliveries=commit.deliveries,
                agents=tuple(attrs.evolve(one, version=one.version + 1) for one in stored.values()),
            ),
            partial(_next, numbers),
        )
        try:
            return await right(store, log)
        except Conflict:
            continue
    return None


def _next(numbers: dict[str, int], agent_id: str) -> int:
    numbers[agent_id] += 1
    return numbers[agent_id]


async def _delivery_before_commit(
    right: CommitMethod, sink: Sink, store: Any, commit: Commit
) -> None:
    """The sink is told first, and what it was told of is committed afterwards, if at all."""
    for one in commit.deliveries:
        try:
            await sink.deliver(one)
        except (OSError, KeyError):
            continue  # it will be delivered again anyway
    await right(store, commit)


async def _no_expected_version(right: CommitMethod, store: Any, commit: Commit) -> None:
    """Whatever is stored by now, what was made of an earlier version goes on top of it."""
    for _ in range(_TRIES):
        try:
            return await right(store, commit)
        except Conflict as conflict:
            if conflict.value != "version":
                raise
            commit = await _on_top(store, commit)
    return None


async def _on_top(store: Any, commit: Commit) -> Commit:
    saved, versions = [], {}
    for one in commit.interactions:
        stored = await store.interaction(one.interaction.id)
        expected = None if stored is None else stored.version
        versions[one.interaction.id] = version = -1 if expected is None else expected
        after = attrs.evolve(one.interaction, version=version + 1)
        saved.append(attrs.evolve(one, interaction=after, expected=expected))
    agents = []
    numbers: dict[str, int] = {}
    for agent in commit.agents:
        known = await store.agent(agent.id)
        numbers[agent.id] = 0 if known is None else known.sequence
        agents.append(
            attrs.evolve(
                agent,
                version=1 if known is None else known.version + 1,
                sequence=numbers[agent.id],
            )
        )
    entries = [
        attrs.evolve(one, version=versions[one.interaction_id] + 1) for one in commit.entries
    ]
    above = attrs.evolve(
        commit, interactions=tuple(saved), agents=tuple(agents), entries=tuple(entries)
    )
    return numbered(above, partial(_next, numbers))


class _Counters:
    """A number for each agent, shared by all processes, which no transaction gives back."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def __call__(self, agent_id: str) -> int:
        file = os.open(self._folder / f"{agent_id}.counter", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = int(os.pread(file, 20, 0) or b"0") + 1
            os.pwrite(file, b"%d" % number, 0)
        finally:
            os.close(file)
        return number


async def _sequence_outside_lock(
    right: CommitMethod, counters: _Counters, store: Any, commit: Commit
) -> None:
    """Sequences come from a counter of their own, as they do from an SQL sequence."""
    await right(store, numbered(commit, counters))


class _Rows:
    """Who has which row of the deliveries, and which of them are done: a file for each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder

    def take(self, row: Delivery) -> bool:
        """Whether the row is this process's now."""
        path = self._path(row.agent_id, row.sequence, "taken")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            try:
                if time.time() - path.stat().st_mtime < LEASE:
                    return False
                path.touch()
            except FileNotFoundError:
                return False  # given back just now
        return True

    def give_back(self, row: Delivery) -> None:
        """Let others try the row."""
        self._path(row.agent_id, row.sequence, "taken").unlink(missing_ok=True)

    def finish(self, row: Delivery) -> None:
        """The sink has it."""
        self._path(row.agent_id, row.sequence, "done").touch()

    def is_done(self, agent_id: str, sequence: int) -> bool:
        """Whether the sink has it."""
        return self._path(agent_id, sequence, "done").exists()

    def _path(self, agent_id: str, sequence: int, what: str) -> Path:
        return self._folder / f"{agent_id}.{sequence}.{what}"


async def _claim_rows(rows: _Rows, relay: Any, limit: int) -> list[Piece]:
    """Claim single deliveries, of whatever agent, as a queue of rows is claimed."""
    pieces: list[Piece] = []
    for stream in await relay._store.streams(parked=False):
        if stream.absent:
            continue
        for row in await relay._store.deliveries(stream.agent_id, stream.delivered, _WINDOW):
            if len(pieces) == limit:
                return pieces
            if not rows.is_done(row.agent_id, row.sequence) and rows.take(row):
                deliver = partial(_deliver_row, rows, relay, row)
                pieces.append(Piece({"agent_id": row.agent_id}, deliver))
    return pieces


async def _deliver_row(rows: _Rows, relay: Any, row: Delivery) -> int:
    try:
        answer = await asyncio.wait_for(relay._sink.deliver(row), SINK_TIMEOUT)
    except (OSError, TimeoutError):
        answer = Answer.FAILED
    if answer is not Answer.DELIVERED:
        rows.give_back(row)
        return 0
    rows.finish(row)

    def advanced(stream: Any) -> Any:
        delivered = stream.delivered
        while rows.is_done(row.agent_id, delivered + 1):
            delivered += 1
        return attrs.evolve(stream, delivered=delivered)

    await relay._store.change_stream(row.agent_id, advanced)
    return 1
