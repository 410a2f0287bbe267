"""L6. What is asked for by key, answered to many callers together, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from lifecycle.errors import StoreUnavailable
from lifecycle.interaction import Interaction
from lifecycle.records import Agent, Outcome, Stream
from lifecycle.stores import _rows as r
from lifecycle.stores._cache import Cache
from lifecycle.stores._postgres_errors import translated
from lifecycle.stores._postgres_links import Job, fail
from lifecycle.stores._postgres_schema import Connection, Record, unescaped

_INTERACTIONS = """SELECT i.id, i.number, i.version, i.state,
        CASE WHEN known.same THEN NULL ELSE i.data END, s.data
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
        AS k (id, number, version, state)
    JOIN interactions i ON i.id = k.id
    CROSS JOIN LATERAL (SELECT
        (k.number, k.version, k.state) IS NOT DISTINCT FROM (i.number, i.version, i.state) AS same
    ) known
    LEFT JOIN submissions s ON s.id = i.id AND NOT known.same"""
_DATA = 4
_AGENTS = f"SELECT {r.AGENT} FROM agents WHERE id = ANY($1::text[]) AND version > 0"
_STREAMS = f"SELECT {r.STREAM} FROM agents WHERE id = ANY($1::text[])"
_OUTCOMES = """SELECT o.operation_id, o.fingerprint, o.at, o.interaction_id, o.data, s.data
    FROM outcomes o LEFT JOIN submissions s ON s.id = o.interaction_id
    WHERE o.operation_id = ANY($1::text[])"""

Kind: TypeAlias = Literal["interaction", "agent", "stream", "outcome"]
Question: TypeAlias = tuple[Kind, str]
"""What is asked for, and its key."""


class Asking:
    """Answers questions of many callers, those of a kind with one statement.

    Arguments:
        address: of the store, without secrets.
        values: interactions that have been decoded.
    """

    def __init__(self, address: str, values: Cache) -> None:
        self._address = address
        self._values = values

    async def carry_out(self, connection: Connection, jobs: Sequence[Job[Question]]) -> None:
        """Answer; what cannot be read or asked fails alone."""
        kinds: dict[Kind, dict[str, list[Job[Question]]]] = {}
        for job in jobs:
            kind, key = job.work
            kinds.setdefault(kind, {}).setdefault(key, []).append(job)
        for kind, wanted in kinds.items():
            await self._answer(connection, kind, wanted)

    async def _answer(
        self, connection: Connection, kind: Kind, wanted: dict[str, list[Job[Question]]]
    ) -> None:
        try:
            answers = await self._answers(connection, kind, list(wanted))
        except Exception as error:
            ours = translated(error, self._address)
            if len(wanted) == 1 or isinstance(ours, StoreUnavailable):
                for jobs in wanted.values():
                    fail(jobs, ours)
                return
            for key, jobs in wanted.items():
                await self._answer(connection, kind, {key: jobs})
            return
        for key, jobs in wanted.items():
            try:
                answer = answers[key]() if key in answers else _nothing(kind, key)
            except Exception as error:
                fail(jobs, error)
            else:
                for job in jobs:
                    job.finish(answer)

    async def _answers(
        self, connection: Connection, kind: Kind, keys: list[str]
    ) -> dict[str, Callable[[], Any]]:
        """What decodes the answer, by key, where there is one."""
        if kind == "interaction":
            return await self._interactions(connection, keys)
        statement, decode = _BY_KEY[kind]
        return {row[0]: partial(decode, row) for row in await connection.fetch(statement, keys)}

    async def _interactions(
        self, connection: Connection, keys: list[str]
    ) -> dict[str, Callable[[], Interaction]]:
        """Interactions; one that is as it was decoded before is not sent again."""
        kept = [self._values.entry(key) for key in keys]
        rows = await connection.fetch(
            _INTERACTIONS,
            keys,
            [entry and entry[0] for entry in kept],
            [entry and entry[1].version for entry in kept],
            [entry and entry[1].state for entry in kept],
        )
        values = {entry[1].id: entry[1] for entry in kept if entry is not None}
        return {
            row[0]: partial(self._values.read, row)
            if row[_DATA] is not None
            else partial(values.__getitem__, row[0])
            for row in rows
        }


def agent_of(row: Record) -> Agent:
    """The agent of a row of `AGENT`."""
    id, version, ready, reason, *rest = row
    return r.agent_of((id, version, ready, unescaped(reason), *rest))


def _outcome(row: Record) -> Outcome:
    *stored, submission = row
    return r.outcome_of(stored, submission)


_BY_KEY: dict[Kind, tuple[str, Callable[[Record], Any]]] = {
    "agent": (_AGENTS, agent_of),
    "stream": (_STREAMS, r.stream_of),
    "outcome": (_OUTCOMES, _outcome),
}


def _nothing(kind: Kind, key: str) -> Stream | None:
    """The answer where nothing is stored."""
    return Stream(agent_id=key) if kind == "stream" else None
