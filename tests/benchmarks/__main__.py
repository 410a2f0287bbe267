"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

from benchmarks import durable, growth, imports, size, speed, timers
from benchmarks.durable_work import QUICK, DurableEffort
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
DURABLE: Mapping[str, Callable[[DurableEffort], list[Result]]] = {
    "steps": durable.steps,
    "timers": timers.timers,
    "recovery": growth.recovery,
    "stored": growth.growth,
}
_ROUNDS = 15
STORES = ("sqlite", "postgresql")
_QUICK = Effort(rounds=3, duration=0.005, residents=10_000, processes=3)


def main(
    arguments: Sequence[str] | None = None,
    suites: Mapping[str, Callable[[Effort], list[Result]]] = SUITES,
    durable: Mapping[str, Callable[[DurableEffort], list[Result]]] = DURABLE,
) -> int:
    """Measure, print the table, and say by the exit status whether all bounds are kept."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="Ratios from alternated runs; exit status 1 for a missed bound."
    )
    parser.add_argument("--durable", action="store_true", help="what is durable, and timers")
    parser.add_argument(
        "--store", choices=[*STORES, "all"], default="all", help="with --durable (default all)"
    )
    parser.add_argument(
        "--rounds", type=int, help="alternated rounds (default 15; 5 with --durable)"
    )
    parser.add_argument("--quick", action="store_true", help="few, short rounds: only a look")
    parser.add_argument(
        "--only", action="append", choices=[*suites, *durable], help="may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    runs = _durable(options, durable) if options.durable else _hot(options, suites)
    for name in options.only or ():
        if name not in runs:
            parser.error(f"{name} is measured {'without' if options.durable else 'with'} --durable")
    results: list[Result] = []
    for name in options.only or runs:
        print(f"{name}...", file=sys.stderr, flush=True)
        results += runs[name]()
    print(table(results))
    if options.json is not None:
        options.json.write_text(as_json(results), encoding="utf-8")
    missed = failed(results)
    for result in missed:
        print(f"missed: {result.bound.name}", file=sys.stderr)
    return 1 if missed else 0


def _hot(
    options: argparse.Namespace, suites: Mapping[str, Callable[[Effort], list[Result]]]
) -> dict[str, Callable[[], list[Result]]]:
    effort = _QUICK if options.quick else Effort(rounds=options.rounds or _ROUNDS)
    return {name: partial(suite, effort) for name, suite in suites.items()}


def _durable(
    options: argparse.Namespace, suites: Mapping[str, Callable[[DurableEffort], list[Result]]]
) -> dict[str, Callable[[], list[Result]]]:
    effort = QUICK if options.quick else DurableEffort()
    if options.rounds is not None:
        effort = attrs.evolve(effort, rounds=options.rounds)
    if options.store != "all":
        effort = attrs.evolve(effort, stores=(options.store,))
    return {name: partial(suite, effort) for name, suite in suites.items()}


if __name__ == "__main__":
    sys.exit(main())
