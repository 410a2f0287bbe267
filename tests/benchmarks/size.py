"""How much memory a resident interaction takes, and what many of them cost a step."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from benchmarks import work
from benchmarks.harness import Spread, Subject, measure
from benchmarks.report import Bound, Result
from benchmarks.rivals import HandWritten
from benchmarks.speed import OURS, Effort
from lifecycle.codec import encode
from lifecycle.commands import Invite, Revoke
from lifecycle.engine import step
from lifecycle.interaction import Change, Interaction, Submission
from lifecycle.vocabulary import SYSTEM

_PAGE = 4096
_MEASURED = 100_000

Record: type[Any] = attrs.make_class(
    "Record", [field.name for field in attrs.fields(Change)], slots=True, weakref_slot=False
)
"""A plain slotted attrs class with the fields of an interaction."""


def resident(submission: Submission, number: int) -> Interaction:
    """An invited interaction with a deadline of its own; mail and ids are shared."""
    present = Interaction(submission, 0, "Queued", "support")
    at = work.AT + timedelta(seconds=number)
    return step(present, Invite(agent_id=work.AGENT), actor=SYSTEM, at=at).interaction


def record(submission: Submission, number: int) -> Any:
    """The same values in a plain record."""
    deadline = work.AT + timedelta(seconds=number + 30)
    shared = resident(submission, 0)
    values = {field.name: getattr(shared, field.name) for field in attrs.fields(Change)}
    return Record(**{**values, "deadline": deadline})


KINDS: dict[str, Callable[[Submission, int], Any]] = {"resident": resident, "record": record}


def grown(kind: str, count: int, *, traced: bool) -> float:
    """The bytes that each of `count` objects of a kind takes, measured in this process."""
    submission = work.interaction().submission
    make = KINDS[kind]
    make(submission, 0)  # what is compiled on first use is no object's own
    held: list[Any] = [None] * count
    gc.collect()
    if traced:
        tracemalloc.start()
    before = _taken(traced=traced)
    for number in range(count):
        held[number] = make(submission, number)
    gc.collect()
    taken = _taken(traced=traced) - before
    tracemalloc.stop()
    return taken / count


def _taken(*, traced: bool) -> int:
    if traced:
        return tracemalloc.get_traced_memory()[0]
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _apart(kind: str, count: int, *, traced: bool) -> float:
    """`grown`, in a process of its own."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from benchmarks.size import grown; "
        f"print(grown({kind!r}, {count}, traced={traced}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def memory(effort: Effort) -> list[Result]:
    """Bytes for each resident interaction, beside a record with the same fields."""
    count = min(_MEASURED, effort.residents)
    results = []
    for traced in (True, False):
        by = "tracemalloc" if traced else "resident set"
        pairs = [
            [_apart(kind, count, traced=traced) for kind in ("resident", "record")]
            for _ in range(3)
        ]
        ours, plain = (Spread.of(values) for values in zip(*pairs, strict=True))
        beyond = Spread.of([one - other for one, other in pairs])
        results += [
            Result(Bound(name=f"interaction with its deadline ({by})", unit="B"), ours),
            Result(Bound(name=f"attrs slots record, same fields ({by})", unit="B"), plain),
            Result(
                Bound(
                    name=f"interaction beyond its own fields ({by})",
                    at_most=64,
                    wanted=0,
                    unit="B",
                ),
                beyond,
            ),
        ]
    return results


# --- many residents ---------------------------------------------------------------------------


@attrs.define
class _ByHand(HandWritten):
    id: str
    agent_id: str | None
    deadline: datetime | None
    version: int


@attrs.define
class Crowd:
    """Many residents, visited in a random order: each is invited and then revoked."""

    count: int
    residents: dict[int, Interaction] = attrs.field(init=False)
    by_hand: dict[int, _ByHand] = attrs.field(init=False)
    order: list[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        shared = work.interaction()
        ids = [f"0A1B2C3D{number:08}" for number in range(self.count)]
        self.residents = {
            number: attrs.evolve(shared, submission=attrs.evolve(shared.submission, id=id))
            for number, id in enumerate(ids)
        }
        self.by_hand = {
            number: _ByHand("Queued", id, None, None, 0) for number, id in enumerate(ids)
        }
        self.order = random.Random(7).choices(range(self.count), k=VISITS * 64)

    def subjects(self) -> dict[str, Subject]:
        """A visit of some residents, in the same order for both."""
        return {
            OURS: Subject(self._walk(self._step), 2 * VISITS),
            "by hand": Subject(self._walk(self._fire), 2 * VISITS),
        }

    def _walk(self, visit: Callable[[list[int]], None]) -> Callable[[], None]:
        start = 0

        def walk() -> None:
            nonlocal start
            visit(self.order[start : start + VISITS])
            start = (start + VISITS) % len(self.order)

        return walk

    def _step(self, numbers: list[int]) -> None:
        residents = self.residents
        for number in numbers:
            present = residents[number]
            for command in _COMMANDS:
                made = step(present, command, actor=SYSTEM, at=work.AT)
                encode(made.notification)
                present = made.interaction
            residents[number] = present

    def _fire(self, numbers: list[int]) -> None:
        by_hand = self.by_hand
        for number in numbers:
            present = by_hand[number]
            for trigger in _TRIGGERS:
                present.fire(trigger)


VISITS = 500
"""How many residents one run visits."""
_COMMANDS = (Invite(agent_id=work.AGENT), Revoke())
_TRIGGERS = tuple(command.trigger for command in _COMMANDS)


def growth(effort: Effort) -> list[Result]:
    """The cost of a step among few and among many, beside a dict of hand-written objects."""
    sizes = [size for size in (10**3, 10**4, 10**5, 10**6) if size <= effort.residents]
    was_enabled = gc.isenabled()
    gc.disable()  # a collection of a million objects is not what is measured
    try:
        crowds = {size: Crowd(size) for size in sizes}
        subjects = {
            f"{name} among {size}": subject
            for size, crowd in crowds.items()
            for name, subject in crowd.subjects().items()
        }
        samples = measure(subjects, rounds=effort.rounds, duration=effort.duration)
    finally:
        if was_enabled:
            gc.enable()
    smallest, largest = sizes[0], sizes[-1]
    ours, by_hand = (
        [
            many / few
            for few, many in zip(
                samples.seconds[f"{name} among {smallest}"],
                samples.seconds[f"{name} among {largest}"],
                strict=True,
            )
        ]
        for name in (OURS, "by hand")
    )
    pairs = zip(ours, by_hand, strict=True)
    return [
        *(
            Result(
                Bound(name=f"step and JSON among {size:,} residents, random order", unit="us"),
                Spread.of([1e6 * value for value in samples.seconds[f"{OURS} among {size}"]]),
            )
            for size in sizes
        ),
        Result(Bound(name=f"growth of a step, {smallest:,} to {largest:,}"), Spread.of(ours)),
        Result(Bound(name="growth of a dict of hand-written objects"), Spread.of(by_hand)),
        Result(
            Bound(name="growth of a step / growth of hand-written objects", at_most=1.3),
            Spread.of([one / other for one, other in pairs]),
        ),
    ]
