"""What the processes of one run have in common. Imports nothing of the library."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

AGENTS = {f"agent{number:02}": 1 + number % 3 for number in range(18)}
"""The agents, and how many interactions each may hold or be offered."""
QUEUES = ("inbox", "billing")
OUTBOUND = "outbound"
WORKBINS = {"late": tuple(AGENTS)[:9], "parts": tuple(AGENTS)[6:]}
"""The workbins, and the agents of each."""
SKILLS = {"german": tuple(AGENTS)[::2], "invoices": tuple(AGENTS)[1::2]}
OPEN = 60
"""So many interactions wait at most before no more are submitted."""

DELIVERING = 1.0
"""Seconds to accept an offer."""
HANDLING = 2.5
"""Seconds that an owner may do nothing."""
TRANSFER = 1.5
"""Seconds after which a transfer returns."""
PRESENCE = 2.0
"""Seconds that an agent may be without a session."""
LEASE = 2.0
SINK_TIMEOUT = 0.6
TIMER_LEASE = 1.0
FIRST_RETRY = 0.03
LONGEST_RETRY = 0.3
ATTEMPTS = 5
BACKLOG = 60
MISSED_OFFERS = 3
KEPT = 90.0
"""Seconds that deliveries are kept which the sink has."""
BUILDS = (
    "commit-before-log",
    "delivery-before-commit",
    "no-expected-version",
    "row-by-row",
    "sequence-outside-lock",
)
"""Ways to break the library on purpose; the command must find each."""


@dataclass(frozen=True)
class Config:
    """One run."""

    address: str
    """The store's."""
    folder: str
    """Where journals, sockets and the board are."""
    seed: int
    """What the schedule and all choices follow from."""
    workers: int = 4
    """How many processes play."""
    players: int = 12
    """How many coroutines each of them has."""
    pace: float = 0.03
    """Seconds that a player thinks, on average."""
    build: str | None = None
    """How the library is to be broken."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def path(self, name: str) -> Path:
        """A file of the run."""
        return Path(self.folder) / name

    @property
    def socket(self) -> str:
        """Where the endpoint listens."""
        return str(self.path("endpoint.sock"))

    def random(self, *names: object) -> Random:
        """A random source of its own for each list of names, the same for the same seed."""
        return Random("/".join(map(str, (self.seed, *names))))
