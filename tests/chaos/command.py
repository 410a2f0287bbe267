"""The command: `python tests/chaos/run.py --store sqlite --seconds 600 --seed 1`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from chaos.config import BUILDS, Config
from chaos.disk import Disk, NoDisk
from chaos.places import place
from chaos.supervisor import Report, Supervisor

_SHOWN = 5
_LINES = 40
_OFTEN = 5
"""So often can the disk be full without anybody needing more of it; not more often."""
KILLS = 300 / 600
IN_FLIGHT = 100 / 600
STEPS = 50_000 / 600
"""What a run must reach at least, per second."""


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table, and say with which code to exit."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that nothing is left running
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(options.keep or name)
        folder.mkdir(parents=True, exist_ok=True)
        report = _run(options, folder)
        errors = _last_lines(folder / "workers.log") if report.crashed else []
    print(table(report), flush=True)
    for column, faults in report.found.faults.items():
        for fault in faults[:_SHOWN]:
            print(f"{column}: {fault}")
    for crash in report.crashed[:_SHOWN]:
        print(f"crashed: {crash}")
    for line in errors:
        print(f"workers.log: {line}")
    wanting = [] if options.build else too_little(report, options)
    for want in wanting:
        print(f"too little: {want}")
    return int(bool(report.found) or bool(report.crashed) or bool(wanting))


def _last_lines(log: Path) -> list[str]:
    """What the workers have said last, where one has said anything."""
    return log.read_text(errors="replace").splitlines()[-_LINES:] if log.exists() else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), required=True)
    parser.add_argument("--seconds", type=float, required=True, help="how long to kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--players", type=int, default=12, help="how many play in each worker")
    parser.add_argument("--pace", type=float, default=0.03, help="seconds that a player thinks")
    parser.add_argument("--build", choices=BUILDS, help="break the library on purpose")
    parser.add_argument("--settle", type=float, default=40.0, help="seconds to come to an end")
    parser.add_argument("--keep", help="a new folder for the journals, to look at afterwards")
    parser.add_argument("--expect-kills", type=int)
    parser.add_argument("--expect-in-flight", type=int)
    parser.add_argument("--expect-steps", type=int)
    return parser


def _run(options: argparse.Namespace, folder: Path) -> Report:
    disk: Disk | None = None
    try:
        disk = Disk(folder / "disk")
    except NoDisk as error:
        print(f"the disk is never full in this run: {error}", file=sys.stderr)
        (folder / "disk").mkdir(exist_ok=True)
    where = place(options.store, folder / "disk")
    try:
        where.start()
        config = Config(
            address=where.address,
            folder=str(folder),
            seed=options.seed,
            workers=options.workers,
            players=options.players,
            pace=options.pace,
            build=options.build,
        )
        supervisor = Supervisor(config, where, disk, lambda text: print(text, file=sys.stderr))
        return supervisor.run(options.seconds, options.settle)
    finally:
        where.stop()
        if disk is not None and not options.keep:
            disk.close()


def table(report: Report) -> str:
    """What was done and what came of it, a column each."""
    columns = {
        "kills": report.kills,
        "with a commit in flight": report.in_flight,
        "server kills": report.server_kills,
        "stops": report.stops,
        "full disks": report.full,
        "steps acknowledged": report.facts.steps,
        "refused": report.facts.refusals,
        **{name: len(faults) for name, faults in report.found.faults.items()},
        "crashed": len(report.crashed),
    }
    names = " | ".join(columns)
    values = " | ".join(str(value).rjust(len(name)) for name, value in columns.items())
    trouble = ", ".join(f"{name} {count}" for name, count in sorted(report.facts.trouble.items()))
    return f"{names}\n{values}\ntrouble told to callers: {trouble or 'none'}"


def too_little(report: Report, options: argparse.Namespace) -> list[str]:
    """What a run of that duration should have reached and did not."""
    wanted = (
        ("kills", report.kills, options.expect_kills, KILLS),
        ("kills with a commit in flight", report.in_flight, options.expect_in_flight, IN_FLIGHT),
        ("steps acknowledged", report.facts.steps, options.expect_steps, STEPS),
    )
    found = []
    for what, number, expected, rate in wanted:
        least = int(rate * options.seconds) if expected is None else expected
        if number < least:
            found.append(f"{number} {what}, not {least}")
    if report.full >= _OFTEN and not report.facts.trouble:
        found.append("the disk was full, and nobody was told")
    return found
