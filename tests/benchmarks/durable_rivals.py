"""What the durable steps are compared with: loops by hand that write the same rows.

They know the tables and the two steps, and nothing else: there are no guards, no other command,
and no value is more than a dict.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, TypeAlias

import attrs
import orjson

from benchmarks.durable_work import agent_id, by_tasks, interaction_id

Row: TypeAlias = tuple[Any, ...]
Turn: TypeAlias = tuple[Row, Row, Row, Row]
"""The rows of interaction, history, agent and delivery."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOLD = 3 * 3600 * 10**6
_MOST = 1024
_CAN_REPLY: tuple[str, ...] = (
    "Transfer",
    "Reply",
    "ReplyAll",
    "StopProcessing",
    "PlaceInQueue",
    "PlaceInWorkbin",
    "UpdateProperties",
)
_CAN_SEND: tuple[str, ...] = (
    "Cancel",
    "Send",
    "PlaceInWorkbin",
    "UpdateProperties",
    "LinkAttachment",
)


class OutOfDateError(Exception):
    """Somebody else has changed what was read."""


def turn(data: str, submission: str, agent: Sequence[Any], *, now: int) -> Turn:
    """Decode what was read, reply or cancel, and encode what is to be written.

    Arguments:
        data, submission: the JSON of an interaction.
        agent: version, sequence, ready_at, oldest_at.
        now: microseconds since 1970.
    """
    value, came = orjson.loads(data), orjson.loads(submission)
    email, source, id, who = came["email"], value["state"], came["id"], value["agentId"]
    version, sequence, ready_at, oldest_at = agent
    value["version"] += 1
    due = now + _HOLD
    value["deadline"] = _written(due)
    if source == "Accepted":
        trigger = "Reply"
        value["state"] = "ReplyCreated"
        value["drafts"] = number = value.get("drafts", 0) + 1
        value["draft"] = draft = {
            "id": f"{id}D{number}",
            "toAddress": email["fromAddress"],
            "fromAddress": came["ourAddresses"][0],
            "subject": f"Re: {email['subject']}",
            "references": [email["messageId"]],
        }
        body = {
            "ToAddress": draft["toAddress"],
            "FromAddress": draft["fromAddress"],
            "CCAddresses": [],
            "Subject": draft["subject"],
            "Text": "",
            "StructuredText": "",
            "MimeType": "",
            "StructuredTextMimeType": "",
        }
        rest: dict[str, Any] = {}
        kind = "OutboundReply"
        can = _CAN_SEND
    else:
        trigger = "Cancel"
        value["state"] = "Accepted"
        del value["draft"]
        body = {
            "ToAddress": email["toAddress"],
            "FromAddress": email["fromAddress"],
            "CCAddresses": [],
            "Subject": email["subject"],
            "Text": email["text"],
            "StructuredText": "",
            "MimeType": email["mimeType"],
            "StructuredTextMimeType": "",
            "TheComment": None,
            "ContactID": None,
            "attachments": email.get("attachments", []),
        }
        kind = "InboundNew"
        can = _CAN_REPLY
        rest = {
            "userData": value["userData"],
            "currentQueue": value["queue"],
            "inQueues": [],
            "outQueues": [],
        }
    notification = {
        "messageTypeName": "InteractionStateMessage",
        "id": id,
        "channel": "email",
        "email_object": body,
        "interactionType": "Email",
        "interactionSubType": kind,
        **rest,
        "receivedAt": came["receivedAt"],
        "state": value["state"],
        "capabilities": can,
    }
    offer, dest, after = value["offer"], value["state"], value["version"]
    return (
        (after, dest, value["queue"], who, due, orjson.dumps(value).decode(), id, after - 1),
        (id, after, now, who, trigger, source, dest, offer, who, sequence + 1),
        (version + 1, sequence + 1, ready_at or 0, oldest_at or now, who, version),
        (
            who,
            sequence + 1,
            "/me/interactions",
            id,
            offer,
            trigger,
            now,
            orjson.dumps(notification),
        ),
    )


def _written(at: int) -> str:
    return orjson.dumps(_EPOCH + timedelta(microseconds=at)).decode()[1:-1]


_READ_INTERACTION = """SELECT i.data, s.data FROM interactions i
    JOIN submissions s ON s.id = i.id WHERE i.id = ?"""
_READ_AGENT = "SELECT version, sequence, ready_at, oldest_at FROM agents WHERE id = ?"
_INTERACTION = """UPDATE interactions SET version = ?1, state = ?2, queue = ?3, agent_id = ?4,
    waiting = 0, deadline = ?5, due_at = ?5, data = ?6 WHERE id = ?7 AND version = ?8"""
_AGENT = """UPDATE agents SET version = ?1, sequence = ?2, ready_at = ?3, oldest_at = ?4
    WHERE id = ?5 AND version = ?6"""
_HISTORY = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELIVERY = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@attrs.define
class _Job:
    done: asyncio.Future[Any]
    read: tuple[str, str] | None = None
    """Ids of an interaction and an agent."""
    write: Turn | None = None
    """What came of them."""
    result: Any = None


class SqliteByHand:
    """A thread that reads and writes for all callers at hand, each group in one transaction."""

    def __init__(self, path: str, synchronous: str, callers: int) -> None:
        self.steps = 0
        self._callers = callers
        self._connection = connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )
        for setting in (
            "cache_size = -65536",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            "wal_autocheckpoint = 4000",
        ):
            connection.execute(f"PRAGMA {setting}")
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        going_on = True
        while going_on:
            jobs = [self._jobs.get()]
            try:
                while len(jobs) < _MOST:
                    jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                pass
            going_on = None not in jobs
            asked = [job for job in jobs if job is not None]
            self._serve_all([job for job in asked if job.read], self._read)
            self._serve_all([job for job in asked if job.write], self._write)

    def _serve_all(self, jobs: list[_Job], serve: Callable[[list[_Job]], None]) -> None:
        if not jobs:
            return
        failed: Exception | None = None
        try:
            serve(jobs)
        except Exception as error:  # it is the callers' to raise
            failed = error
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._loop.call_soon_threadsafe(_finish, jobs, failed)

    def _read(self, jobs: list[_Job]) -> None:
        execute = self._connection.execute
        for job in jobs:
            if job.read is not None:
                id, agent = job.read
                job.result = (
                    *execute(_READ_INTERACTION, (id,)).fetchone(),
                    execute(_READ_AGENT, (agent,)).fetchone(),
                )

    def _write(self, jobs: list[_Job]) -> None:
        interactions, history, agents, deliveries = zip(
            *[job.write for job in jobs if job.write is not None], strict=True
        )
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in (
            (_INTERACTION, interactions),
            (_AGENT, agents),
            (_HISTORY, history),
            (_DELIVERY, deliveries),
        ):
            if connection.executemany(statement, rows).rowcount != len(rows):
                raise OutOfDateError(statement)
        connection.execute("COMMIT")

    async def step(self, number: int, agent: int | None = None) -> None:
        """Reply, or cancel the reply; the agent has the interaction's number if not its own."""
        who = agent_id(number if agent is None else agent)
        read = _Job(self._loop.create_future(), read=(interaction_id(number), who))
        self._jobs.put(read)
        await read.done
        write = _Job(self._loop.create_future(), write=turn(*read.result, now=time_ns() // 1000))
        self._jobs.put(write)
        await write.done
        self.steps += 1

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long."""
        return await by_tasks(self.step, self._callers, seconds)

    async def aclose(self) -> None:
        """End the thread, and close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()


def _finish(jobs: Sequence[_Job], failed: Exception | None) -> None:
    for job in jobs:
        if failed is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(failed)


def payloads(data: str, submission: str) -> tuple[str, str]:
    """What the two steps notify that begin with an interaction as read."""
    reply = turn(data, submission, (1, 1, None, None), now=0)
    cancel = turn(reply[0][5], submission, (2, 2, None, None), now=0)
    return reply[3][-1].decode(), cancel[3][-1].decode()
