"""Two processes on one PostgreSQL: mutually exclusive requests, round after round.

`python tests/races.py --rounds 10000` starts a server and two processes, and prints how many
rounds of each kind had one winner. It ends with 1 where one had none, or two, or where a refusal
does not say why.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from lifecycle import Accept, Lifecycle, MemoryDirectory, PlaceInQueue, Reject
from lifecycle.errors import LifecycleError
from lifecycle.settings import Settings

KINDS = ("two tabs", "accept or reject", "accept or expiry", "accept or not ready", "two invites")
PAIRS = 50
SETTINGS = Settings(missed_offers=None, batch=200)


async def act(centre: Lifecycle, what: dict[str, Any]) -> dict[str, Any]:
    """Do one thing, and say what came of it."""
    id, agent = what.get("id", ""), what["agent"]
    try:
        match what["do"]:
            case "accept":
                await centre.perform(id, Accept(offer=what["offer"]), agent_id=agent)
            case "reject":
                await centre.perform(id, Reject(offer=what["offer"]), agent_id=agent)
            case "not ready":
                await centre.not_ready(agent, reason="race")
            case "invite":
                await centre.invite(id, agent, delivering_timeout=what.get("timeout"))
            case "expire":
                await centre.fire_due()
    except LifecycleError as error:
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "id": error.interaction_id,
            "state": error.state,
            "trigger": error.trigger,
            "agent": error.agent_id,
        }
    return {"error": None}


async def child(url: str) -> None:
    """Do what is asked on standard input: one list of things at a time, all of them at once."""
    directory = MemoryDirectory(default=1)
    async with await Lifecycle.open(
        url, background=False, directory=directory, settings=SETTINGS
    ) as centre:
        while line := await asyncio.to_thread(sys.stdin.readline):
            done = await asyncio.gather(*(act(centre, what) for what in json.loads(line)))
            print(json.dumps(done), flush=True)


class Racer:
    """One of the two processes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str) -> Racer:
        """Start one."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__)),
            "--child",
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        return cls(process)

    async def do(self, things: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Have things done at once; raises where the process takes a minute, or ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(things).encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        done: list[dict[str, Any]] = json.loads(line)
        return done

    async def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def race(url: str, rounds: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Run rounds; how many there were of each kind and outcome, and what was wrong."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    racers = [await Racer.start(url) for _ in range(2)]
    directory = MemoryDirectory(default=1)
    async with await Lifecycle.open(
        url, background=False, directory=directory, settings=SETTINGS
    ) as centre:
        raw = b"From: kim@example.net\r\nTo: help@example.com\r\nSubject: x\r\n\r\nHi"
        ids = [[(await centre.submit(raw, queue="q")).id for _ in range(2)] for _ in range(PAIRS)]
        done = 0
        while done < rounds:
            kinds = [chance.choice(KINDS) for _ in range(min(PAIRS, rounds - done))]
            await asyncio.gather(
                *(_prepare(centre, ids[n], f"a{n}", kind) for n, kind in enumerate(kinds))
            )
            things = [
                [await _thing(centre, ids[n], f"a{n}", kind, side) for n, kind in enumerate(kinds)]
                for side in range(2)
            ]
            if chance.random() < 0.5:
                things.reverse()
            answers = await asyncio.gather(*(r.do(t) for r, t in zip(racers, things, strict=True)))
            for n, kind in enumerate(kinds):
                said = [(things[side][n], answers[side][n]) for side in range(2)]
                verdict = await _judge(centre, ids[n], f"a{n}", kind, said)
                outcomes[f"{kind}: {verdict}" if "!" not in verdict else "wrong"] += 1
                if "!" in verdict:
                    wrong.append(f"{kind}: {verdict} {said}")
            done += len(kinds)
    for racer in racers:
        await racer.end()
    return outcomes, wrong


async def _prepare(centre: Lifecycle, pair: list[str], agent: str, kind: str) -> None:
    """Bring an agent and two interactions where the round begins."""
    for id in pair:
        one = await centre.get(id)
        if one.state == "Accepted" and one.agent_id is not None:
            await centre.perform(id, PlaceInQueue(queue="q"), agent_id=one.agent_id)
        elif one.state == "Invited":
            await centre.revoke(id)
    await centre.ready(agent)
    if kind != "two invites":
        timeout = 0.4 if kind == "accept or expiry" else None
        await centre.invite(pair[0], agent, delivering_timeout=timeout)


async def _thing(
    centre: Lifecycle, pair: list[str], agent: str, kind: str, side: int
) -> dict[str, Any]:
    """What one side does in a round."""
    if kind == "two invites":
        return {"do": "invite", "id": pair[side], "agent": agent}
    offer = (await centre.get(pair[0])).offer
    other = {
        "two tabs": "accept",
        "accept or reject": "reject",
        "accept or expiry": "expire",
        "accept or not ready": "not ready",
    }[kind]
    return {"do": other if side else "accept", "id": pair[0], "agent": agent, "offer": offer}


async def _judge(
    centre: Lifecycle,
    pair: list[str],
    agent: str,
    kind: str,
    said: list[tuple[dict[str, Any], dict[str, Any]]],
) -> str:
    """Who won; with `!` where not exactly one did, or a refusal does not say why."""
    if kind == "accept or expiry":
        await centre.fire_due()  # where it was not due yet, it is by now or soon
    winners = [what["do"] for what, answer in said if answer["error"] is None]
    losers = [(what, answer) for what, answer in said if answer["error"] is not None]
    state = (await centre.get(pair[0])).state
    held = [id for id in pair if (await centre.get(id)).agent_id == agent]
    load = (await centre.agent(agent)).load
    if len(held) > 1 or load != len(held):
        return f"! holds {len(held)}, load {load}"
    for what, answer in losers:
        if answer["status"] not in (2, 3) or answer["id"] != what["id"]:
            return f"! {answer}"
        if not (answer["state"] and answer["trigger"] and answer["agent"]):
            return f"! {answer} does not say why"
    if kind in ("two tabs", "accept or reject", "two invites"):
        return winners[0] if len(winners) == 1 else f"! {len(winners)} winners"
    accepted = "accept" in winners
    if accepted != (state == "Accepted"):
        return f"! accepted {accepted}, and it is {state}"
    return "accept" if accepted else "the other"


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", metavar="URL")
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(child(arguments.child))
        return 0
    from postgres_server import postgres

    with postgres() as place:
        outcomes, wrong = asyncio.run(race(place.database(), arguments.rounds, arguments.seed))
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7} {outcome}")
    for line in wrong[:20]:
        print(line)
    print(f"{outcomes.total()} rounds, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
