"""Two processes on one PostgreSQL, some hundred rounds; `tests/races.py` runs as many as asked."""

from __future__ import annotations

import asyncio

from postgres_server import postgres
from races import KINDS, race


def test_one_winner_in_every_round() -> None:
    """Semantics 5, 6, 9: of mutually exclusive requests one wins, and the other is told why."""
    with postgres() as place:
        outcomes, wrong = asyncio.run(race(place.database(), 300, 7))
    assert wrong == []
    assert outcomes.total() == 300
    assert {outcome.split(":")[0] for outcome in outcomes} == set(KINDS)
