"""Whether a run has kept every promise. Shares no code with the library, and imports none of it.

It reads what the workers were told, what agents and mailer received, and what the store holds;
the run must have come to its end.
"""

from __future__ import annotations

from collections import defaultdict

from chaos.check_deliveries import check_deliveries
from chaos.check_history import check_histories, erased_ids
from chaos.facts import Facts, Findings
from chaos.tables import Row, Tables

_MICROS = 1_000_000


def check(tables: Tables, facts: Facts, *, now: float) -> Findings:
    """Everything that is wrong.

    Arguments:
        tables: what is stored.
        facts: what the journals say.
        now: seconds since 1970, when the store was read.
    """
    found = Findings()
    check_histories(tables, facts, found)
    check_deliveries(tables, facts, found)
    erased = erased_ids(tables)
    _check_answers(tables, facts, erased, found)
    _check_submissions(tables, facts, erased, found)
    _check_ends(tables, facts, now, found)
    return found


def _check_answers(tables: Tables, facts: Facts, erased: set[str], found: Findings) -> None:
    """Every answer is one that is stored, and is the only one under its operation id.

    Of what was erased the answers are stored as what is left.
    """
    outcomes = {row["operation_id"]: row for row in tables.outcomes}
    entries = {(row["interaction_id"], row["version"]): row for row in tables.history}
    for operation_id in sorted(outcomes.keys() - facts.intents.keys()):
        found.invented(f"{operation_id}: an outcome of what nobody asked for")
    for operation_id, acks in facts.acks.items():
        first, *others = ({**ack, "t": 0} for ack in acks)
        if any(other != first for other in others):
            found.repeated(f"{operation_id}: was answered {first}, and then otherwise")
        outcome = outcomes.get(operation_id)
        if outcome is None:
            found.lost(f"{operation_id}: was answered, and its outcome is not stored")
        elif "refused" in first:
            if outcome["refused"] != first["refused"]:
                found.repeated(f"{operation_id}: refused, and stored as version {outcome}")
        else:
            _check_step(operation_id, first, entries, found)
            step = first["interaction"], first["version"]
            stored = outcome["interaction_id"], outcome["version"]
            if stored != step and (stored[0] != step[0] or step[0] not in erased):
                found.repeated(f"{operation_id}: acknowledged as {step}, and stored as {stored}")


def _check_step(
    operation_id: str, ack: Row, entries: dict[tuple[str, int], Row], found: Findings
) -> None:
    step = ack["interaction"], ack["version"]
    entry = entries.get(step)
    if entry is None:
        found.lost(f"{operation_id}: acknowledged as {step}, which is not in the history")
    elif (entry["dest"], entry["offer"]) != (ack["state"], ack["offer"]):
        found.lost(f"{operation_id}: acknowledged as {ack}, and {step} is another step")


def _check_submissions(tables: Tables, facts: Facts, erased: set[str], found: Findings) -> None:
    """A submission made one interaction, with its mail; and nothing else made any."""
    made: dict[str, list[str]] = defaultdict(list)
    for row in tables.interactions:
        if row["id"] not in erased:
            made[row["operation_id"]].append(row["id"])
        elif row["operation_id"] is not None:
            found.lost(f"{row['id']}: was erased, and its user data is there")
    for operation_id, ids in made.items():
        if facts.intents.get(operation_id, {}).get("what") != "submit":
            found.invented(f"{ids}: submitted by {operation_id}")
        if len(ids) > 1:
            found.repeated(f"{operation_id}: made {ids}")
    owners = {row["id"]: row["owner"] for row in tables.contents}
    for operation_id, acks in facts.acks.items():
        intent = facts.intents[operation_id]
        if intent["what"] != "submit" or "refused" in acks[0]:
            continue
        id = acks[0]["interaction"]
        if id in erased:
            continue
        if id not in made[operation_id]:
            found.lost(f"{operation_id}: acknowledged as {id}, which is not there")
        if owners.get(f"{id}RAW") != id:
            found.lost(f"{id}: its raw mail is not there")
    for id in sorted(erased.intersection(filter(None, owners.values()))):
        found.invented(f"{id}: was erased, and its contents are there")
    stored = {row["id"] for row in tables.interactions}
    for id, owner in owners.items():
        if owner is not None and owner not in stored:
            found.invented(f"content {id}: of {owner}, which is not there")


def _check_ends(tables: Tables, facts: Facts, now: float, found: Findings) -> None:
    """Nothing is pending that should have been done by now."""
    for operation_id in sorted(facts.intents.keys() - facts.acks.keys()):
        found.stuck(f"{operation_id}: was never answered")
    for row in tables.interactions:
        if row["deadline"] is not None and row["deadline"] < now * _MICROS:
            late = now - row["deadline"] / _MICROS
            found.stuck(f"{row['id']}: its deadline passed {late:.1f} s ago ({row['state']})")
    for agent in tables.agents:
        id = agent["id"]
        if agent["parked"]:
            found.stuck(f"{id}: its stream is parked, and was released")
        if agent["worker"] is not None:
            found.stuck(f"{id}: its stream was claimed by {agent['worker']} and never given back")
        if agent["sessions"] not in ("[]", []):
            found.stuck(f"{id}: has sessions {agent['sessions']}, and all processes are gone")
        if agent["away_at"] is not None and agent["away_at"] < now * _MICROS:
            found.stuck(f"{id}: has no session, and is {'not ' * (not agent['ready'])}ready")
    for row in tables.outgoing:
        found.stuck(f"{row['message_id']}: was not mailed")
    for row in tables.workers:
        if row["until"] < now * _MICROS:
            found.stuck(f"{row['name']}: its time is over, and it counts as a process")
