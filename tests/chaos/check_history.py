"""Whether histories are whole, follow the table, and say what was asked for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from chaos import config as c
from chaos.facts import Facts, Findings
from chaos.rows import FINAL, HELD, OF_SYSTEM, OWNED, ROWS
from chaos.tables import Row, Tables

_MICROS = 1_000_000
_SLACK = 50_000
"""Microseconds by which the clocks of two processes may differ."""
_WAITING = frozenset({"Queued", "Rejected", "Revoked"})


@dataclass
class Replay:
    """An interaction as its history leaves it."""

    state: str = "Queued"
    holder: str | None = None
    offer: int = 0
    origin: str | None = None
    """Who has transferred it, while that is outstanding."""
    target: str | None = None
    """To which agent."""
    parked_from: str | None = None
    at: int = 0
    """When the latest step was made."""
    invited_at: int = 0
    transferred_at: int = 0
    delivering: float = c.DELIVERING


def erased_ids(tables: Tables) -> set[str]:
    """The interactions whose content was erased."""
    return {row["interaction_id"] for row in tables.history if row["trigger"] == "Erase"}


def check_histories(tables: Tables, facts: Facts, found: Findings) -> dict[str, Replay]:
    """Replay every history; what is left of each interaction, by id."""
    histories: dict[str, list[Row]] = defaultdict(list)
    for entry in tables.history:
        histories[entry["interaction_id"]].append(entry)
    erased = erased_ids(tables)
    asked = _asked(tables, erased, found)
    stored = {row["id"]: row for row in tables.interactions}
    submitted = {row["id"] for row in tables.submissions}
    replays = {}
    for id, entries in histories.items():
        entries.sort(key=lambda entry: entry["version"])
        replays[id] = _replay(id, entries, None if id in erased else asked, facts, found)
        if id not in stored:
            found.lost(f"{id}: it has a history but is not stored")
            continue
        _compare(stored[id], entries[-1], replays[id], found)
    for id in stored:
        if id not in histories:
            found.lost(f"{id}: it is stored and has no history")
        if id not in submitted:
            found.lost(f"{id}: its submission is not stored")
    for id in submitted - set(stored):
        found.lost(f"{id}: its submission is stored, and nothing else")
    _check_loads(tables, found)
    return replays


def _asked(tables: Tables, erased: set[str], found: Findings) -> dict[tuple[str, int], str]:
    """The operation ids that led to versions; nobody can say of what was erased."""
    asked: dict[tuple[str, int], str] = {}
    for row in tables.outcomes:
        if row["version"] is None or row["interaction_id"] in erased:
            continue
        step = row["interaction_id"], row["version"]
        if step in asked:
            found.repeated(f"{step}: both {asked[step]} and {row['operation_id']} led to it")
        asked[step] = row["operation_id"]
    return asked


def _replay(
    id: str,
    entries: list[Row],
    asked: dict[tuple[str, int], str] | None,
    facts: Facts,
    found: Findings,
) -> Replay:
    """Replay a history; `asked` is None where nobody can say what was asked for."""
    one = Replay()
    accepted: set[int] = set()
    for version, entry in enumerate(entries):
        where = f"{id} version {entry['version']} ({entry['trigger']})"
        if entry["version"] != version:
            (found.repeated if entry["version"] < version else found.lost)(
                f"{where}: stands where version {version} is expected"
            )
            return one
        operation_id = None if asked is None else asked.get((id, version))
        if entry["trigger"] == "Erase":
            if entry["source"] != one.state or entry["dest"] != one.state or one.state not in FINAL:
                found.invented(f"{where}: erased before its end")
            continue
        if asked is not None:
            _check_asked(where, entry, operation_id, facts, found)
        if version == 0:
            if (entry["trigger"], entry["source"], entry["dest"]) != ("Submit", None, "Queued"):
                found.invented(f"{where}: no submission")
        else:
            command = {} if operation_id is None else _command(facts, operation_id)
            _check_row(where, entry, one, found)
            _check_actor(where, entry, one, found)
            if operation_id is None and asked is not None:
                _check_timer(where, entry, one, found)
            if entry["trigger"] == "Accept":
                if entry["offer"] in accepted:
                    found.two_owners(f"{where}: offer {entry['offer']} was accepted before")
                accepted.add(entry["offer"])
            _step(one, entry, command)
            _check_notified(where, entry, one, found)
        one.state, one.at, one.offer = entry["dest"], entry["at"], entry["offer"]
    return one


def _command(facts: Facts, operation_id: str) -> Row:
    return facts.command(operation_id) if operation_id in facts.intents else {}


def _check_asked(
    where: str, entry: Row, operation_id: str | None, facts: Facts, found: Findings
) -> None:
    """What an agent did, somebody asked for under an operation id, and nothing else."""
    if operation_id is None:
        if entry["actor"] is not None or entry["trigger"] == "Submit":
            found.invented(f"{where}: nobody asked for it")
        return
    intent = facts.intents.get(operation_id)
    if intent is None:
        found.invented(f"{where}: by {operation_id}, which nobody asked for")
        return
    if intent["what"] == "submit":
        wanted = ("Submit", None)
    else:
        wanted = (facts.command(operation_id)["operationName"], intent["agent"])
    if (entry["trigger"], entry["actor"]) != wanted:
        found.invented(f"{where}: {operation_id} asked for {wanted}")


def _check_row(where: str, entry: Row, one: Replay, found: Findings) -> None:
    row = entry["trigger"], entry["source"], entry["dest"]
    if entry["source"] != one.state:
        found.lost(f"{where}: begins in {entry['source']}, and the one before ends in {one.state}")
    if row not in ROWS:
        found.invented(f"{where}: {row} is not in the table")
    if entry["trigger"] == "Pull" and one.parked_from is not None:
        wanted = "ReplyCreated" if one.parked_from == "ReplyCreated" else "Accepted"
        if entry["dest"] != wanted:
            found.invented(f"{where}: leads to {entry['dest']}, parked from {one.parked_from}")
    if entry["trigger"] == "Return" and one.origin is None:
        found.invented(f"{where}: nobody had transferred it")
    if entry["offer"] != one.offer + (entry["trigger"] == "Invite"):
        found.two_owners(f"{where}: offer {entry['offer']} after offer {one.offer}")


def _check_actor(where: str, entry: Row, one: Replay, found: Findings) -> None:
    trigger, actor = entry["trigger"], entry["actor"]
    if trigger in OF_SYSTEM:
        if actor is not None:
            found.invented(f"{where}: by {actor}, who may not")
    elif trigger == "Pull":
        if actor is None:
            found.invented(f"{where}: by nobody")
    elif actor != one.holder:
        found.two_owners(f"{where}: by {actor}, and {one.holder} holds it")
    if trigger == "Accept":
        deadline = one.invited_at + round(one.delivering * _MICROS)
        if entry["at"] >= deadline + _SLACK:
            found.invented(f"{where}: accepted after the deadline of the offer")


def _check_timer(where: str, entry: Row, one: Replay, found: Findings) -> None:
    """A step that nobody asked for was brought by a timer, and not before its time."""
    at = entry["at"] + _SLACK
    match entry["trigger"]:
        case "Invite":
            if one.state != "Transferred" or one.target != entry["agent_id"]:
                found.invented(f"{where}: nobody asked for it, nor was it transferred to the agent")
        case "Revoke" if one.state in OWNED:
            if at < one.at + round(c.HANDLING * _MICROS):
                found.invented(f"{where}: the handling time was not over")
        case "Revoke" if one.state == "Invited":
            pass  # the offer expired, or the agent became not ready
        case "Return":
            over = one.transferred_at + round(c.TRANSFER * _MICROS)
            if one.target is None and at < over:
                found.invented(f"{where}: the transfer was not over")
        case _:
            found.invented(f"{where}: no timer brings it")


def _step(one: Replay, entry: Row, command: Row) -> None:
    """What the row changes (section 2)."""
    trigger = entry["trigger"]
    before = one.holder
    match trigger:
        case "Invite":
            one.holder, one.invited_at = entry["agent_id"], entry["at"]
            one.delivering = command.get("deliveringTimeout") or c.DELIVERING
        case "Accept":
            one.origin = one.target = None
        case "Return":
            one.holder = one.origin
            one.origin = one.target = None
        case "Close":
            one.origin = one.target = None
        case "Transfer":
            one.origin, one.target = before, command.get("agentId")
            one.transferred_at = entry["at"]
        case "PlaceInWorkbin":
            one.parked_from = entry["source"]
        case "Pull":
            one.holder, one.parked_from = entry["actor"], None
        case "Revoke":
            one.parked_from = None
    if entry["dest"] not in HELD:
        one.holder = None


def _check_notified(where: str, entry: Row, one: Replay, found: Findings) -> None:
    if entry["dest"] in HELD and entry["agent_id"] != one.holder:
        found.two_owners(f"{where}: {entry['agent_id']} is notified, and {one.holder} holds it")
    if (entry["agent_id"] is None) != (entry["sequence"] is None):
        found.lost(f"{where}: {entry['agent_id']} is notified under {entry['sequence']}")


def _compare(row: Row, last: Row, one: Replay, found: Findings) -> None:
    """What is stored of an interaction is what its history says."""
    id = row["id"]
    if (row["version"], row["state"]) != (last["version"], last["dest"]):
        found.lost(
            f"{id}: stored as version {row['version']} ({row['state']}), and its history ends with "
            f"{last['version']} ({last['dest']})"
        )
        return
    if row["agent_id"] != one.holder:
        found.two_owners(f"{id}: stored with {row['agent_id']}, and {one.holder} holds it")
    if row["origin"] != one.origin:
        found.two_owners(f"{id}: stored with origin {row['origin']}, and not {one.origin}")
    listed = row["state"] in _WAITING and one.target is None
    if listed and not row["waiting"]:
        found.stuck(f"{id}: it is {row['state']} and not listed as waiting")
    if row["waiting"] and row["state"] not in (*_WAITING, "Transferred"):
        found.invented(f"{id}: it is {row['state']} and listed as waiting")
    if bool(row["workbin"]) != (row["state"] == "InWorkbin"):
        found.invented(f"{id}: it is {row['state']} and stored in workbin {row['workbin']}")


def _check_loads(tables: Tables, found: Findings) -> None:
    loads: dict[str, int] = defaultdict(int)
    for row in tables.interactions:
        for agent_id in {row["agent_id"], row["origin"]} - {None}:
            loads[agent_id] += 1
    for agent in tables.agents:
        if agent["load"] != loads[agent["id"]]:
            found.two_owners(
                f"{agent['id']}: has {loads[agent['id']]}, and is counted with {agent['load']}"
            )
