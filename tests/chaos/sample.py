"""A small run in which nothing went wrong, written by hand: what the checker's tests spoil."""

from __future__ import annotations

import json
from typing import Any

from chaos.checker import check
from chaos.facts import Facts, Findings, gather
from chaos.journal import Line
from chaos.tables import Row, Tables

ANN, BOB = "agent01", "agent00"
"""Ann may hold two interactions, Bob one."""
_SECOND = 1_000_000
_START = 1_000 * _SECOND
NOW = 2_000.0
"""When the store is read, in seconds."""
_STEPS: tuple[tuple[str, str, str, str | None, str | None, str | None, int], ...] = (
    # interaction, trigger, destination, actor, notified, asked for with, tenths of a second
    ("A", "Submit", "Queued", None, None, "{}", 0),
    ("A", "Invite", "Invited", None, ANN, '{"agentId": "agent01"}', 1),
    ("A", "Accept", "Accepted", ANN, ANN, '{"offer": 1}', 2),
    ("A", "Transfer", "Transferred", ANN, ANN, '{"agentId": "agent00"}', 3),
    ("A", "Invite", "Invited", None, BOB, None, 4),
    ("A", "Reject", "Rejected", BOB, BOB, "{}", 5),
    ("A", "Return", "Accepted", None, ANN, None, 6),
    ("A", "Reply", "ReplyCreated", ANN, ANN, "{}", 7),
    ("A", "PlaceInWorkbin", "InWorkbin", ANN, ANN, '{"workbin": "late"}', 8),
    ("A", "Pull", "ReplyCreated", ANN, ANN, "{}", 9),
    ("A", "Send", "Sent", ANN, ANN, "{}", 10),
    ("B", "Submit", "Queued", None, None, "{}", 0),
    ("B", "Invite", "Invited", None, BOB, '{"agentId": "agent00"}', 20),
    ("B", "Accept", "Accepted", BOB, BOB, '{"offer": 1}', 21),
    ("B", "Revoke", "Revoked", None, BOB, None, 90),
    ("C", "Submit", "Queued", None, None, "{}", 0),
    ("C", "Invite", "Invited", None, ANN, '{"agentId": "agent01"}', 100),
    ("C", "Accept", "Accepted", ANN, ANN, '{"offer": 1}', 101),
    ("C", "StopProcessing", "Completed", ANN, ANN, "{}", 102),
    ("C", "Erase", "Completed", None, None, None, 103),
)


class Sample:
    """What a store holds and what the journals say, to be spoiled."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.journal: list[Line] = []
        """What one worker wrote."""
        self.endpoint: list[Line] = []
        """What arrived."""
        self._state: dict[str, tuple[int, str | None, int]] = {}
        self._sequences = {ANN: 0, BOB: 0}
        for agent_id in (ANN, BOB):
            self.call("ready", agent_id, version=1, sequence=0)
        for step in _STEPS:
            self._add(*step)
        self._finish()

    def _add(
        self,
        id: str,
        trigger: str,
        dest: str,
        actor: str | None,
        agent_id: str | None,
        command: str | None,
        tenths: int,
    ) -> None:
        version, source, offer = self._state.get(id, (-1, None, 0))
        version += 1
        offer += trigger == "Invite"
        self._state[id] = version, dest, offer
        sequence = None
        if agent_id is not None:
            self._sequences[agent_id] += 1
            sequence = self._sequences[agent_id]
        entry = {
            "interaction_id": id,
            "version": version,
            "at": _START + tenths * _SECOND // 10,
            "actor": actor,
            "trigger": trigger,
            "source": source,
            "dest": dest,
            "offer": offer,
            "agent_id": agent_id,
            "sequence": sequence,
        }
        self.tables.history.append(entry)
        if agent_id is not None:
            self._deliver(entry)
        if command is not None:
            self._ask(entry, json.loads(command))

    def _deliver(self, entry: Row) -> None:
        id, agent_id, sequence = entry["interaction_id"], entry["agent_id"], entry["sequence"]
        digest = f"{agent_id} {sequence}"
        keys = ("agent_id", "sequence", "interaction_id", "offer", "trigger", "at")
        self.tables.deliveries.append({**{key: entry[key] for key in keys}, "digest": digest})
        self.endpoint.append(
            {
                "kind": "delivery",
                "agent": agent_id,
                "sequence": sequence,
                "interaction": id,
                "offer": entry["offer"],
                "trigger": entry["trigger"],
                "digest": digest,
                "answer": "delivered",
            }
        )
        if entry["trigger"] == "Send":
            self.endpoint.append(
                {
                    "kind": "mail",
                    "interaction": id,
                    "message_id": f"<{id}>",
                    "digest": id,
                    "answer": "sent",
                }
            )

    def _ask(self, entry: Row, command: dict[str, Any]) -> None:
        id, version = entry["interaction_id"], entry["version"]
        operation_id = f"{id}{version}"
        intent = {"kind": "intent", "t": 0.0, "op": operation_id}
        if version == 0:
            self.journal.append({**intent, "what": "submit"})
        else:
            wire = json.dumps({"operationName": entry["trigger"], **command})
            agent = entry["actor"]
            self.journal.append(
                {**intent, "what": "perform", "interaction": id, "command": wire, "agent": agent}
            )
        self.journal.append(
            {
                "kind": "ack",
                "t": 0.0,
                "op": operation_id,
                "interaction": id,
                "version": version,
                "state": entry["dest"],
                "offer": entry["offer"],
            }
        )
        self.tables.outcomes.append(
            {
                "operation_id": operation_id,
                "interaction_id": id,
                "version": version,
                "refused": None,
            }
        )

    def call(self, what: str, agent_id: str, **answer: int) -> None:
        """An answered request without an operation id."""
        number = len(self.journal)
        self.journal.append(
            {"kind": "call", "t": 0.0, "number": number, "what": what, "agent": agent_id}
        )
        self.journal.append({"kind": "done", "t": 0.0, "number": number, **answer})

    def _finish(self) -> None:
        """What the tables hold in the end, and a refusal."""
        for id, (version, state, _) in self._state.items():
            erased = id == "C"
            self.tables.submissions.append({"id": id})
            self.tables.interactions.append(
                {
                    "id": id,
                    "version": version,
                    "state": state,
                    "agent_id": None,
                    "workbin": None,
                    "waiting": state == "Revoked",
                    "deadline": None,
                    "due_at": None,
                    "origin": None,
                    "operation_id": None if erased else f"{id}0",
                }
            )
            if not erased:
                self.tables.contents.append({"id": f"{id}RAW", "owner": id})
        for agent_id, sequence in self._sequences.items():
            self.tables.agents.append(
                {
                    "id": agent_id,
                    "version": 20,
                    "ready": True,
                    "load": 0,
                    "sequence": sequence,
                    "sessions": "[]",
                    "away_at": None,
                    "delivered": sequence,
                    "absent": False,
                    "parked": False,
                    "worker": None,
                    "lease_until": None,
                }
            )
        self.journal += [
            {
                "kind": "intent",
                "t": 0.0,
                "op": "refused",
                "what": "perform",
                "interaction": "B",
                "command": '{"operationName": "Accept"}',
                "agent": ANN,
            },
            {"kind": "ack", "t": 0.0, "op": "refused", "refused": "NotPermitted"},
        ]
        self.tables.outcomes.append(
            {
                "operation_id": "refused",
                "interaction_id": "B",
                "version": None,
                "refused": "NotPermitted",
            }
        )

    def facts(self) -> Facts:
        """The journals, sorted."""
        return gather([self.journal], self.endpoint)

    def check(self) -> Findings:
        """What the checker finds."""
        return check(self.tables, self.facts(), now=NOW)

    # What spoils it

    def entry(self, id: str, version: int) -> Row:
        """A line of history."""
        return _one(self.tables.history, interaction_id=id, version=version)

    def interaction(self, id: str) -> Row:
        """A stored interaction."""
        return _one(self.tables.interactions, id=id)

    def agent(self, id: str) -> Row:
        """A stored agent."""
        return _one(self.tables.agents, id=id)

    def delivery(self, agent_id: str, sequence: int) -> Row:
        """A stored delivery."""
        return _one(self.tables.deliveries, agent_id=agent_id, sequence=sequence)

    def outcome(self, operation_id: str) -> Row:
        """A stored outcome."""
        return _one(self.tables.outcomes, operation_id=operation_id)

    def arrival(self, agent_id: str, sequence: int) -> Line:
        """What arrived at the sink."""
        return _one(self.endpoint, agent=agent_id, sequence=sequence)

    def mail(self, id: str) -> Line:
        """What arrived at the mailer."""
        return _one(self.endpoint, kind="mail", interaction=id)

    def line(self, kind: str, operation_id: str) -> Line:
        """What a worker wrote of a request."""
        return _one(self.journal, kind=kind, op=operation_id)


def _one(rows: list[Row], **wanted: Any) -> Row:
    [row] = [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
    return row
