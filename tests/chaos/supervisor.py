"""Kills, stops and restarts the processes of a run by a schedule that the seed gives."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TypeAlias

from chaos import endpoint, worker
from chaos.board import Board, Phase
from chaos.checker import check
from chaos.config import Config
from chaos.disk import Disk
from chaos.facts import Facts, Findings, of_folder
from chaos.places import Place
from chaos.tables import is_postgres, pending, read_tables

_TICK = 0.01
_ENDING = 15.0
"""Seconds in which everybody must have ended who was asked to."""
_IN_FLIGHT = 0.1
"""Seconds to wait at most for a commit to be in flight before a kill."""
KILLS = 1.1
STOPS = 0.08
FULL = 0.05
SERVER_KILLS = 0.04
"""How often each happens, per second, on average."""

Event: TypeAlias = tuple[float, str, int, float]
"""Seconds from the start, what, which slot, and how long or how lucky."""


@dataclass
class Report:
    """What was done in a run, and what came of it."""

    kills: int = 0
    in_flight: int = 0
    stops: int = 0
    server_kills: int = 0
    full: int = 0
    crashed: list[str] = field(default_factory=list)
    """Processes that ended without having been killed."""
    facts: Facts = field(default_factory=Facts)
    found: Findings = field(default_factory=Findings)


def schedule(config: Config, seconds: float) -> list[Event]:
    """What happens when; the same for the same seed."""
    draw = config.random("schedule")
    events: list[Event] = []
    for what, rate in (
        ("kill", KILLS),
        ("stop", STOPS),
        ("fill", FULL),
        ("kill server", SERVER_KILLS),
    ):
        at = 1.0 + min(draw.expovariate(rate), 0.25 * seconds)  # each at least once, if short
        while at < seconds:
            events.append((at, what, draw.randrange(config.workers), draw.random()))
            at += draw.expovariate(rate)
    return sorted(events)


class Supervisor:
    """Runs one run.

    Arguments:
        config: the run.
        place: where the store is.
        disk: what can be filled, None where nothing can.
        say: told what happens.
    """

    def __init__(
        self, config: Config, place: Place, disk: Disk | None, say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._place = place
        self._disk = disk
        self._say = say
        self._board = Board(config.path("board"))
        self._context = _context(config)
        self._incarnations = dict.fromkeys(range(config.workers), 0)
        self._workers: dict[int, ForkServerProcess] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.report = Report()

    def run(self, seconds: float, settling: float) -> Report:
        """Play for so many seconds, let everything come to its end, and check.

        Arguments:
            seconds: how long to kill.
            settling: how long to wait at most until nothing is pending.
        """
        sink = self._context.Process(target=endpoint.main, args=(self._config,), daemon=True)
        sink.start()
        self._until(self._config.path("endpoint.sock").exists, _ENDING)
        for slot in self._incarnations:
            self._begin(slot)
        self._play(seconds)
        self._say("settling")
        self._end_workers()
        self._settle(settling)
        sink.join(_ENDING)
        self._say("checking")
        tables = asyncio.run(read_tables(self._config.address))
        self.report.facts = of_folder(self._config.path(""))
        self.report.found = check(tables, self.report.facts, now=time.time())
        return self.report

    def _begin(self, slot: int) -> None:
        self._incarnations[slot] += 1
        process = self._context.Process(
            target=worker.main, args=(self._config, slot, self._incarnations[slot]), daemon=True
        )
        process.start()
        self._workers[slot] = process

    def _play(self, seconds: float) -> None:
        start = time.monotonic()
        for at, what, slot, luck in schedule(self._config, seconds):
            while (elapsed := time.monotonic() - start) < at:
                self._look_after()
                time.sleep(min(_TICK, at - elapsed))
            self._do(what, slot, luck)
        while time.monotonic() - start < seconds:
            self._look_after()
            time.sleep(_TICK)
        for _, undo in self._later:
            undo()
        self._later.clear()

    def _do(self, what: str, slot: int, luck: float) -> None:
        match what:
            case "kill":
                self._kill(slot, wait=luck < 0.7)
            case "stop":
                self._stop(slot, seconds=0.2 + 3 * luck)
            case "fill":
                self._fill(seconds=0.5 + luck)
            case "kill server":
                self.report.server_kills += self._place.kill()

    def _look_after(self) -> None:
        """Undo what is over, and start again what ended by itself."""
        now = time.monotonic()
        for at, undo in list(self._later):
            if at <= now:
                self._later.remove((at, undo))
                undo()
        self._place.watch()
        for slot, process in self._workers.items():
            if process.exitcode is not None:
                self._crashed(f"worker {slot}", process.exitcode)
                self._begin(slot)

    def _crashed(self, who: str, code: int | None) -> None:
        self.report.crashed.append(f"{who} ended by itself with {code}; see workers.log")

    def _kill(self, slot: int, *, wait: bool) -> None:
        """Kill a worker, most of the time in the middle of a commit, and start another one."""
        process = self._workers[slot]
        if process.exitcode is not None:
            return  # it is looked after
        if wait:
            self._until(lambda: self._board.in_flight(slot) > 0, _IN_FLIGHT, tick=0.0)
        process.kill()
        process.join()
        self.report.kills += 1
        self.report.in_flight += self._board.in_flight(slot) > 0
        self._begin(slot)

    def _stop(self, slot: int, *, seconds: float) -> None:
        """Let a worker stand still, as a machine that swaps does, and go on later."""
        pid = self._workers[slot].pid
        if pid is None or self._workers[slot].exitcode is not None:
            return
        os.kill(pid, signal.SIGSTOP)
        self.report.stops += 1
        process = self._workers[slot]

        def go_on() -> None:
            if process.exitcode is None:
                os.kill(pid, signal.SIGCONT)

        self._later.append((time.monotonic() + seconds, go_on))

    def _fill(self, *, seconds: float) -> None:
        if self._disk is not None:
            self._disk.fill()
            self.report.full += 1
            self._later.append((time.monotonic() + seconds, self._disk.clear))

    def _end_workers(self) -> None:
        self._board.phase = Phase.SETTLING
        for slot, process in self._workers.items():
            process.join(_ENDING)
            if process.exitcode != 0:
                self._crashed(f"worker {slot}, asked to end,", process.exitcode)
                process.kill()
                process.join()

    def _settle(self, seconds: float) -> None:
        """Let a last process bring everything to its end."""
        settler = self._context.Process(
            target=worker.settle, args=(self._config, self._incarnations), daemon=True
        )
        settler.start()
        self._until(lambda: self._is_quiet() or settler.exitcode is not None, seconds, tick=0.2)
        self._board.phase = Phase.OVER
        settler.join(_ENDING)
        if settler.exitcode != 0:
            self._crashed("the settler", settler.exitcode)
            settler.kill()

    def _is_quiet(self) -> bool:
        """Whether every request of the workers was answered, and nothing is pending."""
        journal = self._config.path("settler.jsonl")
        if not journal.exists() or b'"resolved"' not in journal.read_bytes():
            return False
        return asyncio.run(pending(self._config.address)) == 0

    def _until(self, done: Callable[[], bool], seconds: float, *, tick: float = _TICK) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            time.sleep(tick)


def _context(config: Config) -> ForkServerContext:
    """Where processes come from: a server that has imported everything, and forks."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    context = multiprocessing.get_context("forkserver")
    store = "postgres" if is_postgres(config.address) else "sqlite"
    context.set_forkserver_preload(["chaos.worker", "chaos.endpoint", f"lifecycle.stores.{store}"])
    return context
