"""What `checking` finds in stores that were damaged by hand, and that it finds nothing else."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from builders import MAIL, START
from clocks import VirtualClock
from desks import CountingIds
from test_extended_table import REVIEWED, Approve
from test_simulation import OWN

from lifecycle import (
    Accept,
    Command,
    Lifecycle,
    MemoryDirectory,
    MemorySink,
    MemoryStore,
    Settings,
    Store,
)
from lifecycle import commands as c
from lifecycle.checking import Finding, check
from lifecycle.errors import StoreCorrupt, StoreUnavailable
from lifecycle.simulation import Simulation
from lifecycle.stores.sqlite import SqliteStore
from lifecycle.table import EMAIL

pytestmark = pytest.mark.anyio

DIRECTORY = MemoryDirectory(
    agents={"ann": 20, "bob": 20, "eva": 1},
    queues=("sales", "support"),
    workbins={"late": ("ann", "bob")},
    skills={"french": ("bob",)},
)
REPLY: tuple[Command, ...] = (Accept(), c.Reply(text="Soon."))
RAW = b"From: kim@example.net\nTo: help@shop.example\nSubject: hi\nMessage-ID: <m@x>\n\nHello\n"
LIVES: dict[str, tuple[Command, ...]] = {
    "A1": (Accept(),),
    "R1": REPLY,
    "P1": (Accept(), c.PlaceInWorkbin(workbin="late")),
    "P2": (*REPLY, c.PlaceInWorkbin(workbin="late")),
    "T1": (Accept(), c.Transfer(skill="french")),
    "T2": (Accept(), c.Transfer(agent_id="bob")),
    "J1": (c.Reject(reason="busy"),),
    "S1": (*REPLY, c.Send()),
    "S2": (*REPLY, c.Send()),
    "X1": (*REPLY, c.Send()),
    "Q1": (Accept(), c.PlaceInQueue(queue="support")),
    "U1": (Accept(), c.UpdateProperties(comment="x"), c.StopProcessing()),
    "I1": (),
}
"""What Ann does with what she is invited to."""


async def work(store: Store) -> None:
    """Bring mails into all situations: the sink has some deliveries, the mailer no mail."""
    clock = VirtualClock()
    lifecycle = Lifecycle(
        store=store,
        sink=MemorySink(),
        directory=DIRECTORY,
        clock=clock,
        ids=CountingIds(),
        background=False,
        settings=Settings(finished_kept=timedelta(days=365)),
    )
    for agent_id in ("ann", "bob"):
        await lifecycle.ready(agent_id)
    await lifecycle.not_ready("eva", reason="lunch")
    await lifecycle.connected("bob")
    for id in ("W1", "W2", "C1"):
        await lifecycle.submit(MAIL, id=id, queue="support" if id == "W2" else "sales")
    await lifecycle.submit(MAIL, id="W3", queue=None)
    await lifecycle.close("C1", reason="spam")
    for id, commands in LIVES.items():
        clock.advance(1)
        await lifecycle.submit(RAW if id == "S2" else MAIL, id=id, queue="sales")
        await lifecycle.invite(id, "ann")
        for command in commands:
            await lifecycle.perform(id, command, agent_id="ann")
        if id == "X1":
            for mail in await lifecycle.outgoing():
                if mail.interaction_id in ("S2", "X1"):
                    await lifecycle.drop_mail(mail.message_id)
            await lifecycle.erase("S2")
            await store.remove(["X1"])
            await lifecycle.drain()
    await lifecycle.perform("P1", c.Pull(), agent_id="bob")
    await lifecycle.disconnected("bob")


async def found(store: Store, **options: Any) -> list[Finding]:
    """All findings."""
    return [finding async for finding in check(store, **options)]


@pytest.fixture
async def memory() -> MemoryStore:
    """A store in memory in which all is well."""
    store = MemoryStore()
    await work(store)
    return store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in which all is well, made once."""
    path = tmp_path_factory.mktemp("template") / "store.db"

    async def make() -> None:
        store = await SqliteStore.open(path, synchronous="NORMAL")
        await work(store)
        await store.aclose()

    anyio.run(make)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """A copy of the file in which all is well."""
    return Path(shutil.copy(template, tmp_path))


async def damaged(path: Path, *statements: str) -> list[Finding]:
    """What is found in a file after statements."""
    connection = sqlite3.connect(path)
    for statement in statements:
        changed = connection.execute(statement).rowcount
        assert changed != 0, f"nothing is damaged by {statement}"
    connection.commit()
    connection.close()
    store = await SqliteStore.open(path)
    try:
        return await found(store)
    finally:
        await store.aclose()


async def test_nothing_is_wrong_with_what_the_service_stores(
    memory: MemoryStore, path: Path
) -> None:
    """In memory and in a file: in all situations, with a mail on its way, erased and removed."""
    assert await found(memory) == []
    assert await found(memory, now=START) == []
    store = await SqliteStore.open(path)
    assert await found(store, now=START) == []
    states = {one.state for id in await store.ids("", 100) if (one := await store.interaction(id))}
    assert states == set(EMAIL.by_name) - {"Revoked"}
    [mail] = await store.outgoing()
    assert mail.interaction_id == "S1"
    assert (await store.stream("ann")).delivered > 0
    await store.aclose()


@pytest.mark.parametrize("documented_only", [False, True])
async def test_nothing_is_wrong_after_a_simulation(documented_only: bool, tmp_path: Path) -> None:
    """A whole simulation, in memory and in a file, told page by page."""
    sqlite = await SqliteStore.open(tmp_path / "x.db", synchronous="NORMAL")
    for store in (MemoryStore(), sqlite):
        told: list[int] = []
        simulation = Simulation(sink=MemorySink(), store=store, documented_only=documented_only)
        await simulation.run(OWN)
        assert await found(store, progress=told.append) == []
        assert told == [len(OWN)]
    await sqlite.aclose()


async def test_nothing_is_wrong_in_an_empty_store() -> None:
    """Nothing is there."""
    assert await found(MemoryStore()) == []


async def test_many_interactions_and_deliveries_are_read_in_pages() -> None:
    """More than a page of each; progress is told after each page."""
    store = MemoryStore()
    lifecycle = Lifecycle(
        store=store, ids=CountingIds(), background=False, settings=Settings(backlog=10**6)
    )
    await lifecycle.ready("ann")
    for _ in range(520):
        id = (await lifecycle.submit(MAIL, queue="sales")).id
        await lifecycle.invite(id, "ann")
        await lifecycle.revoke(id)
    told: list[int] = []
    assert await found(store, progress=told.append) == []
    assert told == [500, 520]
    del store._logs["ann"][600]
    texts = [str(one) for one in await found(store)]
    assert texts[0] == "stream of ann has a gap: found 602, wanted 601"


SET = "UPDATE interactions SET"
ON = "WHERE id ="


def put(key: str, value: str, id: str) -> str:
    """Change something in the JSON of an interaction."""
    return f"{SET} data = json_set(data, '$.{key}', {value}) {ON} '{id}'"


def gone(key: str, id: str) -> str:
    """Take something out of the JSON of an interaction."""
    return f"{SET} data = json_remove(data, '$.{key}') {ON} '{id}'"


def line(change: str, id: str, version: int) -> str:
    """Change a line of a history."""
    return f"UPDATE history SET {change} WHERE interaction_id = '{id}' AND version = {version}"


DAMAGES: list[tuple[str, list[str], list[str]]] = [
    # interactions: readable and possible
    ("unreadable", [f"{SET} data = '{{' {ON} 'A1'"], ["interaction A1 cannot be read"]),
    ("another state", [f"{SET} state = 'Queued' {ON} 'A1'"], ["interaction A1 cannot be read"]),
    ("another version", [f"{SET} version = 9 {ON} 'A1'"], ["interaction A1 cannot be read"]),
    (
        "an unknown state",
        [put("state", "'Lost'", "W1"), f"{SET} state = 'Lost' {ON} 'W1'"],
        [
            "interaction W1 is impossible in Lost at $.state: found 'Lost', wanted 'a state that",
            "interaction W1 is not what its history ends in at $.state: found 'Lost', wanted 'Que",
        ],
    ),
    (
        "nobody holds it",
        [gone("agentId", "A1")],
        [
            "interaction A1 is impossible in Accepted at $.agentId: found None, wanted 'one'",
            "interaction A1 is not what its history ends in at $.agentId: found None, wanted 'ann'",
            "what ann holds is not all that is listed: found ['A1']",
            "agent ann has another load",
        ],
    ),
    (
        "no parking",
        [gone("parking", "P2")],
        [
            "interaction P2 is impossible in InWorkbin at $.parking: found None",
        ],
    ),
    ("no transfer", [gone("transfer", "T1")], ["interaction T1 is impossible in Transferred"]),
    ("no draft", [gone("draft", "R1")], ["interaction R1 is impossible in ReplyCreated at $.draf"]),
    (
        "another draft",
        [put("draft.id", "'D7'", "R1")],
        ["interaction R1 has a draft with another id: found 'D7', wanted 'R1D1'"],
    ),
    (
        "no deadline",
        [gone("deadline", "A1")],
        [
            "interaction A1 is impossible in Accepted at $.deadline",
            "deadlines are not as many as interactions have",
        ],
    ),
    (
        "no offer",
        [put("offer", "0", "A1")],
        [
            "interaction A1 is impossible in Accepted at $.offer",
            "interaction A1 is not what its history ends in at $.offer: found 0, wanted 1",
        ],
    ),
    (
        "received at another time",
        ["UPDATE submissions SET data = json_set(data, '$.receivedAt', 'x') WHERE id = 'A1'"],
        ["interaction A1 was submitted at another time than its history says: found 'x'"],
    ),
    (
        "offered to somebody who is not ready",
        ["UPDATE agents SET ready = 0, away_at = NULL WHERE id = 'ann'"],
        ["interaction I1 is offered to an agent who is not ready: found 'ann'"],
    ),
    # histories
    ("no history", ["DELETE FROM history WHERE interaction_id = 'W1'"], ["history of W1 has no"]),
    (
        "a missing line",
        ["DELETE FROM history WHERE interaction_id = 'R1' AND version = 2"],
        ["history of R1, version 3 does not follow the line before: found 3, wanted 2"],
    ),
    (
        "the first line",
        [line("\"trigger\" = 'Invite'", "W1", 0)],
        ["history of W1 does not begin with the submission: its trigger is another: found"],
    ),
    (
        "a broken chain",
        [line("source = 'Revoked'", "A1", 1)],
        ["history of A1, version 1 begins in another state: found 'Revoked', wanted 'Queued'"],
    ),
    (
        "no row",
        [line("\"trigger\" = 'Close'", "A1", 2)],
        ["history of A1, version 2 is no row of the table: found ('Close', 'Invited', 'Accepted')"],
    ),
    (
        "unknown states",
        [line("dest = 'Lost'", "U1", 2), line("source = 'Lost'", "U1", 3)],
        [
            "history of U1, version 2 is no row of the table",
            "history of U1, version 3 is no row of the table",
        ],
    ),
    (
        "the system accepts",
        [line("actor = NULL", "A1", 2)],
        [
            "history of A1, version 2 was done by somebody who may not: found None, "
            "wanted 'invited agent'",
        ],
    ),
    (
        "an agent invites",
        [line("actor = 'bob'", "A1", 1)],
        [
            "history of A1, version 1 was done by somebody who may not: found 'bob'",
            "history of A1, version 1 notifies another agent: found 'ann', wanted 'bob'",
        ],
    ),
    (
        "somebody else accepts",
        [line("actor = 'bob', agent_id = 'bob', sequence = NULL", "A1", 2)],
        [
            "history of A1, version 2 was done by somebody who did not hold it: found 'bob'",
            "history of A1, version 2 has no notification",
            "interaction A1 is not what its history ends in at $.agentId: found 'ann'",
        ],
    ),
    (
        "somebody else is told",
        [line("agent_id = 'bob', sequence = NULL", "J1", 2)],
        ["history of J1, version 2 notifies another agent: found 'bob', wanted 'ann'"],
    ),
    (
        "nobody is told",
        [line("agent_id = NULL", "A1", 2)],
        [
            "history of A1, version 2 leaves it to nobody",
            "history of A1, version 2 has a notification for nobody",
        ],
    ),
    (
        "another offer",
        [line("offer = 3", "A1", 1)],
        [
            "history of A1, version 1 has another offer: found 3, wanted 1",
            "history of A1, version 2 has another offer: found 1, wanted 3",
        ],
    ),
    (
        "the erasure of what has not ended",
        [
            "INSERT INTO history VALUES ('W1', 1, 0, NULL, 'Erase', 'Queued', 'Queued', 0, NULL, "
            "NULL)"
        ],
        [
            "history of W1, version 1 erases what has not ended: found ('Queued', 'Queued')",
            "interaction W1 is not what its history ends in at $.version: found 0, wanted 1",
        ],
    ),
    (
        "an erasure by an agent",
        [line("actor = 'bob', offer = 4", "S2", 5)],
        [
            "history of S2, version 5 erases, and names an agent",
            "history of S2, version 5 has another offer: found 4, wanted 1",
        ],
    ),
    (
        "a number that never was",
        [line("sequence = 999", "A1", 2)],
        ["history of A1, version 2 names a delivery that ann never had: found 999, wanted '1 to"],
    ),
    (
        "a stranger's number",
        [line("agent_id = 'zoe'", "A1", 2)],
        ["history of A1, version 2 names a delivery that zoe never had: found 2, wanted '1 to 0'"],
    ),
    (
        "a number twice",
        [line("sequence = 1", "A1", 2)],
        [
            "history of A1, version 2 names a delivery to ann that another line names too: found 1",
            "delivery 2 to ann is in no line of a history",
        ],
    ),
    # what is found by what
    (
        "does not wait",
        [f"{SET} waiting = 0 {ON} 'W1'"],
        [
            "what waits is not all listed: some is missing: found None, wanted ['W1']",
            "what waits in sales is not all listed: some is missing",
        ],
    ),
    (
        "waits, and does not",
        [f"{SET} waiting = 1 {ON} 'A1'"],
        ["what waits is not all that is listed: found ['A1']"],
    ),
    (
        "waits in another queue",
        [f"{SET} queue = 'support' {ON} 'W1'"],
        [
            "what waits in sales is not all listed: some is missing: found None, wanted ['W1']",
            "what waits in support is not all that is listed: found ['W1']",
        ],
    ),
    (
        "held by another",
        [f"{SET} agent_id = 'bob' {ON} 'A1'"],
        [
            "what ann holds is not all listed: some is missing: found None, wanted ['A1']",
            "what bob holds is not all that is listed: found ['A1']",
        ],
    ),
    (
        "parked elsewhere",
        [f"{SET} workbin = 'lost' {ON} 'P2'"],
        ["what is parked in late is not all listed: some is missing: found None, wanted ['P2']"],
    ),
    (
        "never due",
        [f"{SET} due_at = NULL {ON} 'A1'"],
        ["deadlines are not as many as interactions have"],
    ),
    (
        "due too early",
        [f"{SET} due_at = 5 {ON} 'A1'"],
        ["deadlines until "],
    ),
    (
        "nothing is ever due",
        [f"{SET} due_at = NULL", "UPDATE agents SET away_due = NULL", "DELETE FROM workers"],
        ["next deadline is none, and there are some"],
    ),
    # agents
    ("load", ["UPDATE agents SET load = 50 WHERE id = 'ann'"], ["agent ann has another load than"]),
    (
        "an unreadable agent",
        ["UPDATE agents SET sessions = '{' WHERE id = 'bob'"],
        ["agents cannot be read", "agent ann is not stored, and interactions count for it"],
    ),
    (
        "an agent who is gone",
        ["DELETE FROM agents WHERE id = 'bob'"],
        [
            "store says of itself: ",
            "agent bob is not stored, and interactions count for it",
        ],
    ),
    (
        "missed",
        ["UPDATE agents SET missed = -1 WHERE id = 'ann'"],
        ["agent ann has version, missed offers or sequence too low"],
    ),
    (
        "a reason",
        ["UPDATE agents SET reason = 'lunch' WHERE id = 'ann'"],
        ["agent ann is ready, and has a reason not to be: found 'lunch'"],
    ),
    (
        "gone and there",
        ["UPDATE agents SET gone = 1, sessions = '[\"w\"]' WHERE id = 'ann'"],
        ["agent ann is gone, and has sessions: found ('w',)"],
    ),
    (
        "away and there",
        ["UPDATE agents SET away_at = 5, sessions = '[\"w\"]' WHERE id = 'ann'"],
        ["agent ann is to become away, and is not gone or not ready"],
    ),
    (
        "away and not ready",
        ["UPDATE agents SET away_at = 5 WHERE id = 'eva'"],
        ["agent eva is to become away, and is not gone or not ready"],
    ),
    # deliveries
    (
        "a gap",
        ["DELETE FROM deliveries WHERE agent_id = 'ann' AND sequence = 3"],
        ["stream of ann has a gap: found 4, wanted 3"],
    ),
    (
        "the latest is missing",
        [
            "DELETE FROM deliveries WHERE agent_id = 'ann' AND sequence = "
            "(SELECT sequence FROM agents WHERE id = 'ann')"
        ],
        ["stream of ann does not end with the agent's latest delivery: found "],
    ),
    (
        "none is left",
        ["DELETE FROM deliveries WHERE agent_id = 'ann'"],
        ["stream of ann does not end with the agent's latest delivery: found None"],
    ),
    (
        "undelivered ones are missing",
        [
            "DELETE FROM deliveries WHERE agent_id = 'ann' AND sequence <= "
            "(SELECT delivered + 1 FROM agents WHERE id = 'ann')"
        ],
        ["stream of ann has a gap: found "],
    ),
    (
        "delivered too far",
        ["UPDATE agents SET delivered = 900 WHERE id = 'ann'"],
        ["stream of ann is delivered further than there are deliveries: found 900, wanted '0 to"],
    ),
    (
        "stopped at nothing",
        ["UPDATE agents SET parked = 1, delivered = sequence WHERE id = 'ann'"],
        ["stream of ann is parked, and there is nothing to deliver"],
    ),
    (
        "no JSON",
        ["UPDATE deliveries SET payload = CAST('{' AS BLOB) WHERE sequence = 1"],
        ["delivery 1 to ann is no JSON object"],
    ),
    (
        "no object",
        ["UPDATE deliveries SET payload = CAST('[1]' AS BLOB) WHERE sequence = 1"],
        ["delivery 1 to ann is no JSON object"],
    ),
    *(
        (
            f"another {column}",
            [f'UPDATE deliveries SET "{column}" = {value} WHERE agent_id = \'ann\' AND sequence=1'],
            ["delivery 1 to ann is another one than its line of a history says: found ("],
        )
        for column, value in (
            ("interaction_id", "'W1'"), ("offer", "7"), ("trigger", "'Close'"), ("at", "at + 1")
        )
    ),
    (
        "in no history",
        [line("agent_id = NULL, sequence = NULL", "A1", 1)],
        ["delivery 1 to ann is in no line of a history: found ('A1', 1, 'Invite', "],
    ),
    # mail
    (
        "mail of nothing",
        ["UPDATE outgoing SET interaction_id = 'Z9'"],
        ["outgoing mail <", "belongs to no interaction: found 'Z9'"],
    ),
    (
        "mail of what was not sent",
        ["UPDATE outgoing SET interaction_id = 'A1'"],
        ["belongs to an interaction that was not sent: found ('A1', 'Accepted')"],
    ),
    (
        "mail that is not found",
        ["DELETE FROM threads WHERE message_id IN (SELECT message_id FROM outgoing)"],
        ["is not found by its Message-ID"],
    ),
    (
        "mail to nobody",
        ["UPDATE outgoing SET recipients = '[]'"],
        ["has been sent, or could not be: found (False, 0, (), "],
    ),
    (
        "mail of what cannot be read",
        [f"{SET} data = '{{' {ON} 'S1'"],
        ["interaction S1 cannot be read"],
    ),
    (
        "a delivery of what cannot be read",
        [
            f"{SET} data = '{{' {ON} 'A1'",
            line("agent_id = NULL, sequence = NULL", "A1", 1),
        ],
        ["interaction A1 cannot be read", "history of A1, version 1 leaves it to nobody"],
    ),
    # what the store says
    (
        "a lost submission",
        ["DELETE FROM submissions WHERE id = 'W1'"],
        ["store says of itself: interaction W1: its submission is missing"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [pytest.param(*rest, id=name) for name, *rest in DAMAGES],
)
async def test_damage_is_found(statements: list[str], wanted: list[str], path: Path) -> None:
    """Each invariant, broken by hand in the file; the findings name what and where."""
    texts = [str(one) for one in await damaged(path, *statements)]
    assert texts
    for want in wanted:
        assert any(want in text for text in texts), (want, texts)


async def test_one_damage_gives_no_findings_elsewhere(path: Path) -> None:
    """What is found is about what was damaged."""
    texts = [str(one) for one in await damaged(path, f"{SET} data = '{{' {ON} 'A1'")]
    [text] = texts
    assert text.startswith("interaction A1 cannot be read: the stored interaction cannot be read")


async def test_deadlines_that_are_far_too_late_are_found(path: Path) -> None:
    """Where the time is known: what nobody can have taken yet must be found at its time."""
    connection = sqlite3.connect(path)
    connection.execute(f"{SET} due_at = due_at + 999999999999 {ON} 'A1'")
    connection.commit()
    connection.close()
    store = await SqliteStore.open(path)
    assert await found(store) == []
    texts = [str(one) for one in await found(store, now=START)]
    assert texts
    assert all(text.startswith("deadlines until ") for text in texts)
    later = START + timedelta(days=1)
    assert await found(store, now=later) == []  # it may have been taken
    await store.aclose()


async def test_a_deadline_that_was_taken_is_no_fault(memory: MemoryStore) -> None:
    """It is found again later."""
    now = START + timedelta(minutes=10)
    assert await memory.due(now, now + timedelta(seconds=30), 100)
    assert await found(memory, now=now) == []


def lying(store: MemoryStore, question: str, answer: Callable[..., Any]) -> None:
    """Have a store answer one question with what is made of the true answer."""
    true = getattr(store, question)

    async def asked(*arguments: Any, **more: Any) -> Any:
        return answer(await true(*arguments, **more), *arguments, *more.values())

    setattr(store, question, asked)


LIES: list[tuple[str, Callable[..., Any], str]] = [
    ("faults", lambda true: ("broken",), "store says of itself: broken"),
    ("waiting", lambda true, *_: true + true, "what waits is listed twice"),
    ("interaction", lambda true, id: None if id == "W1" else true, "interaction W1 is listed and"),
    ("streams", lambda true, parked: () if parked else true + true, "is listed as what it is not"),
    (
        "streams",
        lambda true, parked: tuple(attrs.evolve(one, tries=3) for one in true),
        "stream of ann is listed with other values",
    ),
    (
        "streams",
        lambda true, parked: tuple(attrs.evolve(one, parked=True) for one in true),
        "stream of ann is listed as what it is not",
    ),
    ("outgoing", lambda true, *kind: true if not kind else (), "is listed neither as parked nor"),
    (
        "outgoing",
        lambda true, *kind: tuple(attrs.evolve(one, parked=not kind[0]) for one in true)
        if kind else true,
        "outgoing mail is listed as what it is not",
    ),
    ("figures", lambda true, at: attrs.evolve(true, waiting=99), "figures count other waiting del"),
    ("figures", lambda true, at: attrs.evolve(true, stopped=9), "figures count other stopped str"),
    ("figures", lambda true, at: attrs.evolve(true, mails=9), "figures count other mails than"),
    ("figures", lambda true, at: attrs.evolve(true, parked_mails=9), "figures count other parked"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "wanted"), LIES)
async def test_answers_that_contradict_each_other_are_found(
    question: str, answer: Callable[..., Any], wanted: str, memory: MemoryStore
) -> None:
    """Where two questions of the port are answered differently."""
    lying(memory, question, answer)
    texts = [str(one) for one in await found(memory)]
    assert any(wanted in text for text in texts), texts


@pytest.mark.parametrize("question", ["history", "outgoing", "agents"])
async def test_what_cannot_be_read_is_a_finding(question: str, memory: MemoryStore) -> None:
    """And the rest is checked all the same."""

    def corrupt(true: Any, *arguments: Any) -> Any:
        if question == "history" and arguments != ("W1",):
            return true
        raise StoreCorrupt("no such thing", value=1)

    lying(memory, question, corrupt)
    lying(memory, "waiting", lambda true, *_: ())
    texts = [str(one) for one in await found(memory)]
    assert any("cannot be read: no such thing" in text for text in texts)
    assert any(text.startswith("what waits is not all listed") for text in texts)


async def test_a_store_that_cannot_be_reached_is_no_finding(memory: MemoryStore) -> None:
    """Its error comes out."""

    def fail(true: Any, *arguments: Any) -> Any:
        raise StoreUnavailable("gone")

    lying(memory, "history", fail)
    with pytest.raises(StoreUnavailable):
        await found(memory)


async def test_what_a_team_s_own_table_allows_is_no_finding() -> None:
    """Its rows, holders and offers are its own; with the shipped table they are findings."""
    store = MemoryStore()
    lifecycle = Lifecycle(store=store, table=REVIEWED, ids=CountingIds(), background=False)
    await lifecycle.ready("ann")
    await lifecycle.submit(MAIL, id="F1", queue="sales", user_data={"review": True})
    await lifecycle.invite("F1", "ann")
    for command in (*REPLY, c.Send()):
        await lifecycle.perform("F1", command, agent_id="ann")
    assert await found(store, table=REVIEWED) == []
    assert "is no row of the table" in str((await found(store))[1].what)
    await lifecycle.perform("F1", Approve(), agent_id="bob")
    assert await found(store, table=REVIEWED) == []


def test_a_finding_is_a_sentence() -> None:
    """With what there is and what should be, where that can be said."""
    assert str(Finding("agent a", "is odd")) == "agent a is odd"
    assert str(Finding("agent a", "is odd", 1)) == "agent a is odd: found 1"
    assert str(Finding("agent a", "is odd", None, 2)) == "agent a is odd: found None, wanted 2"
