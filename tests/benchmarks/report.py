"""What was measured, beside what it may be at most or must be at least."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from benchmarks.harness import Spread


@attrs.frozen(kw_only=True)
class Bound:
    """What a figure is held to; with neither `at_most` nor `at_least` it is only shown."""

    name: str
    """What is measured, in words."""
    at_most: float | None = None
    """The largest figure that passes."""
    at_least: float | None = None
    """The smallest figure that passes."""
    wanted: float | None = None
    """What would be better still."""
    unit: str = "x"
    """What the figure counts; `x` for a ratio."""


@attrs.frozen
class Result:
    """A figure beside its bound."""

    bound: Bound
    measured: Spread

    @property
    def passed(self) -> bool | None:
        """Whether the median keeps the bound; None where there is none."""
        if self.bound.at_most is not None:
            return self.measured.median <= self.bound.at_most
        if self.bound.at_least is not None:
            return self.measured.median >= self.bound.at_least
        return None


def failed(results: Iterable[Result]) -> list[Result]:
    """The results that miss their bounds."""
    return [result for result in results if result.passed is False]


_HEADINGS = ("", "measured", "lowest", "highest", "bound", "wanted", "")


def table(results: Sequence[Result]) -> str:
    """The results as lines of text in columns."""
    rows = [_HEADINGS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        name, *figures, verdict = row
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells, verdict]).rstrip())
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    bound, measured = result.bound, result.measured
    sign, limit = (">=", bound.at_least) if bound.at_most is None else ("<=", bound.at_most)
    return (
        bound.name,
        f"{_figure(measured.median)} {bound.unit}",
        _figure(measured.low),
        _figure(measured.high),
        "" if limit is None else f"{sign} {limit:g}",
        "" if bound.wanted is None else f"{bound.wanted:g}",
        {True: "ok", False: "MISSED", None: ""}[result.passed],
    )


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def as_json(results: Iterable[Result]) -> str:
    """The results as JSON, for keeping."""
    entries: list[dict[str, Any]] = [
        {**attrs.asdict(result.bound), **attrs.asdict(result.measured), "passed": result.passed}
        for result in results
    ]
    return json.dumps(entries, indent=2) + "\n"
