"""Whether agents and mailer received what was committed: all of it, in order, and no more."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TypeAlias

from chaos.check_history import erased_ids
from chaos.config import AGENTS
from chaos.facts import Facts, Findings
from chaos.journal import Line
from chaos.rows import HELD
from chaos.tables import Row, Tables

_Log: TypeAlias = dict[int, Row]


def check_deliveries(tables: Tables, facts: Facts, found: Findings) -> None:
    """Histories, logs, streams and what arrived, agent by agent; and the mails."""
    logs = _logs(tables, found)
    erased = erased_ids(tables)
    agents = {row["id"]: row for row in tables.agents}
    for agent_id in sorted(logs.keys() - agents.keys()):
        found.lost(f"{agent_id}: was notified and is not stored")
    arrivals: dict[str, list[Line]] = defaultdict(list)
    for line in facts.arrivals:
        if line["kind"] == "delivery":
            arrivals[line["agent"]].append(line)
    retained: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in tables.deliveries:
        retained[row["agent_id"]][row["sequence"]] = row
    for agent_id in sorted({*logs, *agents, *arrivals, *retained}):
        agent = agents.get(agent_id, {"sequence": 0, "delivered": 0})
        log = logs.get(agent_id, {})
        _check_log(agent_id, agent, log, found)
        _check_retained(agent_id, agent, log, retained[agent_id], found)
        digests = _check_arrivals(agent_id, log, arrivals[agent_id], found)
        _check_taken(agent_id, agent, arrivals[agent_id], found)
        for sequence, row in retained[agent_id].items():
            arrived = digests.get(sequence, row["digest"])
            if arrived != row["digest"] and row["interaction_id"] not in erased:
                found.repeated(f"{agent_id} {sequence}: arrived as something else than is stored")
        _check_offers(agent_id, log, found)
        _check_readiness(agent_id, log, facts, found)
    _check_mails(tables, facts, found)


def _logs(tables: Tables, found: Findings) -> dict[str, _Log]:
    """What each agent is to be notified of, by sequence, as the histories have it."""
    logs: dict[str, _Log] = defaultdict(dict)
    for entry in tables.history:
        agent_id, sequence = entry["agent_id"], entry["sequence"]
        if agent_id is None or sequence is None:
            continue
        if sequence in logs[agent_id]:
            found.repeated(f"{agent_id} {sequence}: given twice")
        logs[agent_id][sequence] = entry
    return logs


def _check_log(agent_id: str, agent: Row, log: _Log, found: Findings) -> None:
    latest = agent["sequence"]
    for sequence in sorted(set(range(1, latest + 1)) - log.keys()):
        found.lost(f"{agent_id} {sequence}: the number was given to nothing")
    for sequence in sorted(one for one in log if one > latest):
        found.invented(f"{agent_id} {sequence}: the agent's latest is {latest}")
    if agent["delivered"] > latest:
        found.invented(f"{agent_id}: {agent['delivered']} of {latest} are delivered")


def _check_retained(
    agent_id: str, agent: Row, log: _Log, retained: dict[int, Row], found: Findings
) -> None:
    """The log of deliveries is an end of what the histories say, with all that is undelivered."""
    for sequence, row in retained.items():
        entry = log.get(sequence)
        if entry is None:
            found.invented(f"{agent_id} {sequence}: a delivery of no step")
        elif any(row[key] != entry[key] for key in ("interaction_id", "offer", "trigger", "at")):
            found.invented(f"{agent_id} {sequence}: the delivery is of another step")
    first = min([*retained, agent["delivered"] + 1])
    for sequence in range(first, agent["sequence"] + 1):
        if sequence not in retained:
            found.lost(f"{agent_id} {sequence}: its delivery is not stored")


def _check_arrivals(
    agent_id: str, log: _Log, arrivals: list[Line], found: Findings
) -> dict[int, str]:
    """What arrived was committed, under its one sequence, and in order; digests by sequence."""
    digests: dict[int, str] = {}
    high = 0
    for line in arrivals:
        sequence, digest = line["sequence"], line["digest"]
        where = f"{agent_id} {sequence}"
        if sequence > high + 1:
            found.disordered(f"{where}: arrived after {high}")
        if line["answer"] == "delivered":
            high = max(high, sequence)
        if digests.setdefault(sequence, digest) != digest:
            found.repeated(f"{where}: arrived with two contents")
        entry = log.get(sequence)
        if entry is None:
            found.invented(f"{where}: arrived ({line['trigger']}) and was never committed")
        elif any(
            line[mine] != entry[its]
            for mine, its in (
                ("interaction", "interaction_id"),
                ("offer", "offer"),
                ("trigger", "trigger"),
            )
        ):
            found.invented(f"{where}: arrived as {line['trigger']} of {line['interaction']}")
    return digests


def _check_taken(agent_id: str, agent: Row, arrivals: list[Line], found: Findings) -> None:
    taken = {line["sequence"] for line in arrivals if line["answer"] == "delivered"}
    for sequence in range(1, agent["sequence"] + 1):
        if sequence in taken:
            continue
        if sequence <= agent["delivered"]:
            found.lost(f"{agent_id} {sequence}: marked as delivered, and never was")
        else:
            found.stuck(f"{agent_id} {sequence}: was not delivered")


def _check_offers(agent_id: str, log: _Log, found: Findings) -> None:
    """No agent was invited beyond capacity: who holds what follows from the agent's own log."""
    held: set[str] = set()
    for sequence, entry in sorted(log.items()):
        if entry["trigger"] == "Invite" and len(held) >= AGENTS[agent_id]:
            found.two_owners(
                f"{agent_id} {sequence}: invited to {entry['interaction_id']} with {len(held)}"
            )
        if entry["dest"] in HELD:
            held.add(entry["interaction_id"])
        else:
            held.discard(entry["interaction_id"])


def _check_readiness(agent_id: str, log: _Log, facts: Facts, found: Findings) -> None:
    """No invitation between `not_ready` and the next `ready` (section 6)."""
    changes = facts.readiness.get(agent_id, [])
    for change, following in pairwise([*changes, None]):
        if change is None or change.what != "not_ready":
            continue
        until = float("inf") if following is None else following.ended
        if any(
            begun < until and ended > change.begun
            for begun, ended in facts.unsure_ready.get(agent_id, [])
        ):
            continue  # it may have become ready without anybody having heard of it
        last = max(log, default=0) if following is None else following.sequence
        for sequence in range(change.sequence + 1, last + 1):
            if sequence in log and log[sequence]["trigger"] == "Invite":
                found.invented(f"{agent_id} {sequence}: invited while not ready")


def _check_mails(tables: Tables, facts: Facts, found: Findings) -> None:
    """Every sent reply reached the mailer, under one Message-ID, and nothing else did."""
    sent = {row["interaction_id"] for row in tables.history if row["trigger"] == "Send"}
    known: dict[str, tuple[str, str]] = {}
    taken = set()
    for line in facts.arrivals:
        if line["kind"] != "mail":
            continue
        id = line["interaction"]
        message = line["message_id"], line["digest"]
        if id not in sent:
            found.invented(f"{id}: mail {message[0]}, and no reply was sent")
        if known.setdefault(id, message) != message:
            found.repeated(f"{id}: mailed as {known[id]} and {message}")
        if line["answer"] == "sent":
            taken.add(id)
    waiting = {row["interaction_id"] for row in tables.outgoing}
    for id in sorted(sent - taken):
        (found.stuck if id in waiting else found.lost)(f"{id}: its reply was never mailed")
    for id in sorted(waiting & taken):
        found.stuck(f"{id}: its reply was mailed, and still waits")
