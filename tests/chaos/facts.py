"""What the journals of a run say, sorted for the checker. Imports nothing of the library."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.journal import Line, read

FAULTS = (
    "lost",
    "invented",
    "repeated under another sequence",
    "out of order",
    "two owners",
    "stuck",
)
"""The columns of faults."""
_SLACK = 1.0
"""Seconds for which a request that failed may still have been carried out afterwards."""


class Findings:
    """Faults by column, each as a sentence."""

    def __init__(self) -> None:
        self.faults: dict[str, list[str]] = {name: [] for name in FAULTS}

    def lost(self, what: str) -> None:
        """Something acknowledged or committed is not there."""
        self.faults["lost"].append(what)

    def invented(self, what: str) -> None:
        """Something is there that nobody asked for."""
        self.faults["invented"].append(what)

    def repeated(self, what: str) -> None:
        """One thing has happened twice."""
        self.faults["repeated under another sequence"].append(what)

    def disordered(self, what: str) -> None:
        """Something came before what it follows."""
        self.faults["out of order"].append(what)

    def two_owners(self, what: str) -> None:
        """Something was given to more than may have it."""
        self.faults["two owners"].append(what)

    def stuck(self, what: str) -> None:
        """Something will never come to its end."""
        self.faults["stuck"].append(what)

    def __bool__(self) -> bool:
        return any(self.faults.values())


@dataclass
class Ready:
    """An answered `ready` or `not_ready`."""

    what: str
    version: int
    """The agent's, afterwards."""
    sequence: int
    """That of the agent's latest delivery, then."""
    begun: float
    ended: float


@dataclass
class Facts:
    """The requests of a run and what came of them, and what arrived at the endpoint."""

    intents: dict[str, Line] = field(default_factory=dict)
    """What was asked for, by operation id."""
    acks: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """The answers, by operation id."""
    readiness: dict[str, list[Ready]] = field(default_factory=lambda: defaultdict(list))
    """By agent, in the order of the agent's versions."""
    unsure_ready: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """When a `ready` may have been carried out of which nobody has heard, by agent."""
    arrivals: list[Line] = field(default_factory=list)
    """What arrived at the endpoint, in order."""
    trouble: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often the store could not, by the name of the error."""

    @property
    def steps(self) -> int:
        """How many requests were acknowledged that changed something."""
        return sum("refused" not in acks[0] for acks in self.acks.values())

    @property
    def refusals(self) -> int:
        """How many requests were refused."""
        return sum("refused" in acks[0] for acks in self.acks.values())

    def command(self, operation_id: str) -> Line:
        """The command of a request, as it went over the wire."""
        command: Line = json.loads(self.intents[operation_id].get("command", "{}"))
        return command


def gather(processes: Iterable[Iterable[Line]], endpoint: Iterable[Line]) -> Facts:
    """Sort the journals of all processes, and the endpoint's.

    Arguments:
        processes: the journals, those of one slot from its first process to its last.
        endpoint: what arrived.
    """
    facts = Facts(arrivals=list(endpoint))
    for lines in processes:
        _gather_one(facts, list(lines))
    for changes in facts.readiness.values():
        changes.sort(key=lambda one: one.version)
    return facts


def _gather_one(facts: Facts, lines: list[Line]) -> None:
    calls: dict[int, Line] = {}
    for line in lines:
        match line["kind"]:
            case "intent":
                facts.intents.setdefault(line["op"], line)
            case "ack":
                facts.acks[line["op"]].append(line)
            case "call":
                calls[line["number"]] = line
            case "done":
                _answered(facts, calls.pop(line["number"]), line)
            case "failed":
                call = calls.pop(line["number"])
                if call["what"] == "ready":
                    facts.unsure_ready[call["agent"]].append((call["t"], line["t"] + _SLACK))
            case "trouble":
                facts.trouble[line["error"]] += 1
    last = lines[-1]["t"] if lines else 0.0
    for call in calls.values():  # cut off by the kill, which came soon after the last line
        if call["what"] == "ready":
            facts.unsure_ready[call["agent"]].append((call["t"], last + 10 * _SLACK))


def _answered(facts: Facts, call: Line, answer: Line) -> None:
    if call["what"] in ("ready", "not_ready") and answer.get("version") is not None:
        facts.readiness[call["agent"]].append(
            Ready(call["what"], answer["version"], answer["sequence"], call["t"], answer["t"])
        )


def of_folder(folder: Path) -> Facts:
    """The facts of a run that has ended."""
    names = sorted(one for one in folder.glob("*.jsonl") if one.name != "endpoint.jsonl")
    return gather(map(read, names), read(folder / "endpoint.jsonl"))
