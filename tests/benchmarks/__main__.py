"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import imports, size, speed
from benchmarks.report import Result, as_json, failed, table
from benchmarks.speed import Effort

SUITES: Mapping[str, Callable[[Effort], list[Result]]] = {
    "legality": speed.legality,
    "refusal": speed.refusal,
    "capabilities": speed.capabilities_,
    "step": speed.full,
    "step-new": speed.new,
    "memory": size.memory,
    "growth": size.growth,
    "import": imports.imports,
}
_QUICK = Effort(rounds=3, duration=0.005, residents=10_000, processes=3)


def main(
    arguments: Sequence[str] | None = None,
    suites: Mapping[str, Callable[[Effort], list[Result]]] = SUITES,
) -> int:
    """Measure, print the table, and say by the exit status whether all bounds are kept."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="Ratios from alternated runs; exit status 1 for a missed bound."
    )
    parser.add_argument("--rounds", type=int, default=15, help="alternated rounds (default 15)")
    parser.add_argument("--quick", action="store_true", help="few, short rounds: only a look")
    parser.add_argument("--only", action="append", choices=list(suites), help="may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    effort = _QUICK if options.quick else Effort(rounds=options.rounds)
    results: list[Result] = []
    for name in options.only or suites:
        print(f"{name}...", file=sys.stderr, flush=True)
        results += suites[name](effort)
    print(table(results))
    if options.json is not None:
        options.json.write_text(as_json(results), encoding="utf-8")
    missed = failed(results)
    for result in missed:
        print(f"missed: {result.bound.name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
