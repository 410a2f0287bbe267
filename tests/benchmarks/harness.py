"""Alternated rounds, and ratios within them.

A time in microseconds says as much about the machine as about the code, and a shared machine
changes its speed while it measures. So all subjects run one after the other in every round, a
ratio is taken between two times of the same round, and the median of the rounds counts.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TypeAlias

import attrs

Clock: TypeAlias = Callable[[], float]
Run: TypeAlias = Callable[[], object]


@attrs.frozen
class Subject:
    """Something to be timed."""

    run: Run
    """The work."""
    units: int = 1
    """How many units of work one run does; times are reported for each unit."""


@attrs.frozen
class Spread:
    """The median of some numbers, and how far they lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@attrs.frozen
class Samples:
    """The seconds that one unit of each subject took, by round."""

    seconds: Mapping[str, Sequence[float]]

    def time(self, name: str) -> Spread:
        """How long one unit of a subject took."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, beside: str) -> Spread:
        """How many times as long as another subject a subject took, in the same rounds."""
        pairs = zip(self.seconds[name], self.seconds[beside], strict=True)
        return Spread.of([one / other for one, other in pairs])


def measure(
    subjects: Mapping[str, Subject],
    *,
    rounds: int,
    duration: float = 0.02,
    clock: Clock = perf_counter,
) -> Samples:
    """Time subjects in alternated rounds, without garbage collection inside them.

    Arguments:
        subjects: what is timed. Every other round goes through them backwards, so that none
            always runs after the same one.
        rounds: how many rounds, at least 1.
        duration: about how many seconds a subject gets in a round.
        clock: what tells the time, in seconds.
    """
    names = list(subjects)
    loops = {name: _loops(subjects[name].run, duration, clock) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            subject = subjects[name]
            taken = _timed(subject.run, loops[name], clock)
            seconds[name].append(taken / (loops[name] * subject.units))
    return Samples(seconds)


def _loops(run: Run, duration: float, clock: Clock) -> int:
    """How many runs take about the duration; what is made on first use is made meanwhile."""
    loops = 1
    while (taken := _timed(run, loops, clock)) < duration / 4:
        loops *= 2
    return max(1, round(loops * duration / taken))


def _timed(run: Run, loops: int, clock: Clock) -> float:
    gc.collect(0)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        for _ in range(loops):
            run()
        return clock() - start
    finally:
        if was_enabled:
            gc.enable()
