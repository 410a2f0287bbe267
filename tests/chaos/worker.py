"""A process that has the store open and plays; it is made to be killed."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import sys
from datetime import timedelta
from typing import Any

from chaos import builds
from chaos import config as c
from chaos.board import Board, Phase
from chaos.config import Config
from chaos.desk import Desk, resume
from chaos.journal import Journal, Line, read, unresolved
from chaos.player import Player
from chaos.ports import Connections, EndpointMailer, EndpointSink
from chaos.processes import die_with_parent
from lifecycle import Commit, Lifecycle, Limits, MemoryDirectory, Settings
from lifecycle._opening import store_class
from lifecycle.errors import StoreError
from lifecycle.ports import Told

_AGAIN = 0.1


def settings() -> Settings:
    """Leases and timers so short that they end within a run many times."""
    seconds = timedelta(seconds=1)
    return Settings(
        limits=Limits(
            delivering_timeout=c.DELIVERING * seconds,
            handling_timeout=c.HANDLING * seconds,
            transfer_timeout=c.TRANSFER * seconds,
        ),
        backlog=c.BACKLOG,
        missed_offers=c.MISSED_OFFERS,
        presence_timeout=c.PRESENCE * seconds,
        attempts=c.ATTEMPTS,
        first_retry=c.FIRST_RETRY * seconds,
        longest_retry=c.LONGEST_RETRY * seconds,
        sink_timeout=c.SINK_TIMEOUT * seconds,
        lease=c.LEASE * seconds,
        timer_lease=c.TIMER_LEASE * seconds,
        deliveries_kept=c.KEPT * seconds,
        outcomes_kept=None,
        finished_kept=None,
        concurrency=16,
        batch=20,
    )


def directory() -> MemoryDirectory:
    """Who and what exists."""
    return MemoryDirectory(
        agents=c.AGENTS, queues=(*c.QUEUES, c.OUTBOUND), workbins=c.WORKBINS, skills=c.SKILLS
    )


def count_commits(address: str, board: Board, slot: int) -> None:
    """Have every commit of this process counted on the board while it is in flight."""
    kind, _ = store_class(address)
    commit: builds.CommitMethod = kind.commit
    flying = 0

    async def counted(store: Any, one: Commit, committed: Told | None = None) -> None:
        nonlocal flying
        flying += 1
        board.set_in_flight(slot, flying)
        try:
            await commit(store, one, committed)
        finally:
            flying -= 1
            board.set_in_flight(slot, flying)

    kind.commit = counted


def name_of(slot: int, incarnation: int) -> str:
    """What a process is called in journals, and begins its operation ids with."""
    return f"w{slot}i{incarnation}"


def _belong_to(config: Config, name: str) -> None:
    """Have errors, and what Python says at its end, in a file of the run; and end with it."""
    die_with_parent()
    file = os.open(config.path("workers.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, sys.stderr.fileno())
    logging.basicConfig(level=logging.ERROR, format=f"%(asctime)s {name} %(name)s %(message)s")


def main(config: Config, slot: int, incarnation: int) -> None:
    """The process of a worker: the given incarnation in a slot that others had before it."""
    _belong_to(config, name_of(slot, incarnation))
    gc.freeze()
    board = Board(config.path("board"))
    board.set_in_flight(slot, 0)
    count_commits(config.address, board, slot)
    if config.build is not None:
        builds.break_it(config)
    asyncio.run(_run(config, board, slot, incarnation))


async def opened(config: Config, journal: Journal, worker: str) -> Lifecycle:
    """The lifecycle of a worker, as soon as the store can be opened."""
    line = Connections(config.socket, worker)
    while True:
        try:
            return await Lifecycle.open(
                config.address,
                sink=EndpointSink(line),
                mailer=EndpointMailer(line),
                directory=directory(),
                settings=settings(),
                background=True,
            )
        except StoreError as error:
            journal.write("trouble", error=type(error).__name__, text=str(error)[:300])
            await asyncio.sleep(_AGAIN)


def left_open(config: Config, slot: int, incarnation: int) -> list[Line]:
    """The requests that the processes of a slot, up to an incarnation, have heard nothing of.

    A process takes over what those before it left open, and then writes that it has begun; one
    that was killed earlier than that is as good as none.
    """
    lines: list[Line] = []
    for number in range(incarnation, 0, -1):
        earlier = list(read(config.path(f"{name_of(slot, number)}.jsonl")))
        lines = earlier + lines
        if any(line["kind"] == "begun" for line in earlier):
            break
    return list(unresolved(lines).values())


async def _run(config: Config, board: Board, slot: int, incarnation: int) -> None:
    name = name_of(slot, incarnation)
    left = left_open(config, slot, incarnation - 1)
    with Journal(config.path(f"{name}.jsonl")) as journal:
        for line in left:
            journal.write(**line)
        journal.write("begun")
        async with await opened(config, journal, name) as lifecycle:
            desk = Desk(lifecycle, journal, board, name)
            players = [
                Player(desk, config.random(name, number), config.pace)
                for number in range(config.players)
            ]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(resume(desk, left))
                for player in players:
                    tasks.create_task(player.play())
            journal.write("end")


def settle(config: Config, slots: dict[int, int]) -> None:
    """A last process, which asks for nothing new but brings everything to its end.

    Arguments:
        config: the run.
        slots: how many incarnations each slot had.
    """
    _belong_to(config, "settler")
    if config.build is not None:
        builds.break_it(config)
    asyncio.run(_settle(config, slots))


async def _settle(config: Config, slots: dict[int, int]) -> None:
    board = Board(config.path("board"))
    with Journal(config.path("settler.jsonl")) as journal:
        async with await opened(config, journal, "settler") as lifecycle:
            desk = Desk(lifecycle, journal, board, "settler")
            left = [left_open(config, slot, last) for slot, last in slots.items()]
            await resume(desk, list(itertools.chain.from_iterable(left)))
            for agent_id in c.AGENTS:
                await desk.call("connected", agent_id)
            for agent_id in c.AGENTS:
                await desk.call("disconnected", agent_id)
            journal.write("resolved")
            while board.phase is not Phase.OVER:
                for stream in await desk.look(lifecycle.parked, ()):
                    await desk.call("release", stream.agent_id)
                for mail in await desk.look(lambda: lifecycle.outgoing(parked=True), ()):
                    await desk.call("release_mail", mail.message_id)
                await asyncio.sleep(_AGAIN)
