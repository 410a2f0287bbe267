"""The SQLite store: the shipped suites on a real file, and what can be wrong with a file."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest

from lifecycle import Agent, Commit, Interaction, Invite, Lifecycle, MemorySink, SqliteStore
from lifecycle.conformance._samples import START, commit, delivery, invited, later, queued
from lifecycle.conformance.store_suite import ContentSuite, SharedSuite, StoreSuite
from lifecycle.errors import (
    InvalidParameter,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from lifecycle.records import Content, Outcome, Stream
from lifecycle.stores import _cache, _sqlite_commit, _thread
from lifecycle.stores._sqlite_file import translated
from lifecycle.stores._sqlite_schema import APPLICATION, MIGRATIONS

Change = Callable[[sqlite3.Connection], object]


class TestSqliteStore(StoreSuite, ContentSuite):
    """The SQLite store behaves as every store does."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """An empty store."""
        store = await SqliteStore.open(tmp_path / "store.db")
        yield store
        await store.aclose()


class TestSharedFile(SharedSuite):
    """Two objects of one file behave as one store does."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """An empty store."""
        store = await SqliteStore.open(tmp_path / "store.db")
        yield store
        await store.aclose()

    @pytest.fixture
    async def other(self, tmp_path: Path, store: SqliteStore) -> AsyncIterator[SqliteStore]:
        """The same again."""
        other = await SqliteStore.open(tmp_path / "store.db")
        yield other
        await other.aclose()


pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store."""
    store = await SqliteStore.open(path)
    yield store
    await store.aclose()


async def by_hand(path: Path, *statements: str) -> None:
    """Change a file as somebody with the `sqlite3` command would."""

    def change() -> None:
        connection = sqlite3.connect(path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    await anyio.to_thread.run_sync(change)


# Opening


async def test_what_was_committed_is_there_again(path: Path) -> None:
    """A store that was closed and opened, with FULL or NORMAL, has everything."""
    first = invited(queued(), "ann")
    store = await SqliteStore.open(path)
    await commit(store, attrs.evolve(first, version=0))
    await store.aclose()
    again = await SqliteStore.open(str(path), synchronous="NORMAL")
    assert await again.interaction("I1") == attrs.evolve(first, version=0)
    await again.aclose()


async def test_a_closed_store_says_so(store: SqliteStore) -> None:
    """Closing twice is nothing; asking afterwards is an error."""
    await store.aclose()
    await store.aclose()
    for ask in (store.agents(), store.commit(Commit(at=START)), store.forget("w", START)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await ask


async def test_closing_finishes_what_was_begun(path: Path) -> None:
    """Commits that callers wait for are carried out before the file is closed."""
    store = await SqliteStore.open(path)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(commit, store, queued(f"I{number}"))
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(store.aclose)
    again = await SqliteStore.open(path)
    assert len(await again.ids("", 100)) == 20
    await again.aclose()


@pytest.mark.parametrize(
    ("content", "statements", "error"),
    [
        pytest.param(b"From: kim\r\n" * 400, (), StoreCorrupt, id="no SQLite file"),
        pytest.param(b"", ("CREATE TABLE t (x)",), SchemaMismatch, id="another application's"),
        pytest.param(b"", ("PRAGMA application_id = 7",), SchemaMismatch, id="another mark"),
    ],
)
async def test_what_is_no_store_is_refused(
    path: Path, content: bytes, statements: tuple[str, ...], error: type[StoreError]
) -> None:
    """A file of somebody else's is named in the error, and not touched."""
    path.write_bytes(content)
    if statements:
        await by_hand(path, *statements)
    before = path.read_bytes()
    with pytest.raises(error) as refused:
        await SqliteStore.open(path)
    assert refused.value.path == str(path)
    assert path.read_bytes() == before


async def test_a_schema_from_the_future_is_refused(path: Path) -> None:
    """A newer release has been here; nothing is changed."""
    await (await SqliteStore.open(path)).aclose()
    await by_hand(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="99") as refused:
        await SqliteStore.open(path)
    assert (refused.value.path, refused.value.value) == (str(path), 99)
    assert path.read_bytes() == before


async def test_an_sqlite_that_is_too_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may come with any; no file is made then."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 32, 3))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.32.3")
    with pytest.raises(StoreUnavailable, match=r"older than 3\.33\.0.*3\.32\.3"):
        await SqliteStore.open(path)
    assert not path.exists()


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """A folder that is missing, a folder in the file's place, and a wrong argument."""
    for place in (tmp_path / "missing" / "store.db", tmp_path):
        with pytest.raises(StoreUnavailable) as refused:
            await SqliteStore.open(place)
        assert refused.value.path == str(place)
    off: Any = "OFF"
    with pytest.raises(InvalidParameter) as wrong:
        await SqliteStore.open(tmp_path / "x.db", synchronous=off)
    assert wrong.value.path == "$.synchronous"
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_may_not_be_written(path: Path) -> None:
    """Whatever keeps SQLite from writing, a read-only folder or disk, is one clear error."""
    store = await SqliteStore.open(path)
    await commit(store, queued())
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable) as refused:
        await commit(store, queued("I2"))
    assert refused.value.path == str(path)
    assert await store.interaction("I1") == queued()
    store._connection.execute("PRAGMA query_only = OFF")
    await commit(store, queued("I2"))
    await store.aclose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    """A commit that does not fit fails whole; what fits goes on, and room that is made is used."""
    store = await SqliteStore.open(small_disk / "store.db")
    await commit(store, queued())
    filler = small_disk / "filler"
    room = os.statvfs(small_disk)
    filler.write_bytes(b"x" * (room.f_bavail * room.f_bsize))
    with pytest.raises((StoreFull, StoreUnavailable)):
        await store.put("C1", b"x" * 1_000_000, START)
    big = attrs.evolve(delivery("ann", 1), payload=b"x" * 100_000)
    with pytest.raises(StoreError) as refused:
        await commit(store, queued("I2"), agents=(Agent(id="ann", version=1),), deliveries=(big,))
    assert refused.value.path == str(small_disk / "store.db")
    assert await store.interaction("I1") == queued()
    assert await store.interaction("I2") is None
    filler.unlink()
    await commit(store, queued("I2"))
    assert await store.faults() == ()
    await store.aclose()


async def test_a_read_only_folder(small_disk: Path) -> None:
    """A store cannot be made or opened there, and the error names it."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreUnavailable) as refused:
        await SqliteStore.open(small_disk / "store.db")
    assert refused.value.path == str(small_disk / "store.db")


# Migration


async def test_a_schema_is_brought_forward(path: Path) -> None:
    """An older store is migrated when it is opened, and keeps what it has."""
    store = await SqliteStore.open(path)
    await commit(store, queued())
    await store.aclose()
    newer = (*MIGRATIONS, ("CREATE TABLE more (x)", "INSERT INTO more VALUES (1)"))
    again = await SqliteStore.open(path, migrations=newer)
    assert await again.interaction("I1") == queued()
    assert again._connection.execute("SELECT x FROM more").fetchall() == [(1,)]
    await again.aclose()
    await (await SqliteStore.open(path, migrations=newer)).aclose()
    with pytest.raises(SchemaMismatch):
        await SqliteStore.open(path)


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    """All of the steps or none of them."""
    await (await SqliteStore.open(path)).aclose()
    broken = (*MIGRATIONS, ("CREATE TABLE more (x)",), ("CREATE TABLE more (x)",))
    with pytest.raises(StoreError, match="already exists"):
        await SqliteStore.open(path, migrations=broken)
    store = await SqliteStore.open(path)
    tables = store._connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'")
    assert tables.fetchall() == [(0,)]
    await store.aclose()


async def test_many_processes_open_a_new_store_at_the_same_time(path: Path) -> None:
    """The schema is made once, under a lock; nobody fails."""
    program = (
        "import sys, anyio\n"
        "from lifecycle import SqliteStore\n"
        "async def main():\n"
        "    store = await SqliteStore.open(sys.argv[1])\n"
        "    await store.aclose()\n"
        "anyio.run(main)\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchall() == [(APPLICATION,)]
    connection.close()


# Grouping


async def test_many_callers_share_a_transaction(store: SqliteStore) -> None:
    """What waits at the same time is written to the disk together."""
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(commit, store, queued(f"I{number}"))
    assert 1 <= statements.count("COMMIT") < 20
    assert len(await store.ids("", 200)) == 100


async def test_a_commit_that_cannot_be_stored_harms_no_other(store: SqliteStore) -> None:
    """A value that SQLite refuses fails alone, whoever was in the same transaction."""
    odd = attrs.evolve(queued("odd"), offer=1)
    bad = Agent(id="ann", version=1, load=2**70)
    failed: list[BaseException] = []

    async def break_it() -> None:
        try:
            await commit(store, odd, agents=(bad,))
        except OverflowError as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(commit, store, queued(f"I{number}"))
        tasks.start_soon(break_it)
    assert len(failed) == 1
    assert len(await store.ids("", 100)) == 10
    assert await store.interaction("odd") is None


async def test_a_question_that_fails_fails_alone(store: SqliteStore) -> None:
    """The driver's error becomes one of ours, for the one who asked."""
    with pytest.raises(StoreError, match="the store failed") as failed:
        await store._rows("SELECT nothing FROM nowhere")
    assert isinstance(failed.value.__cause__, sqlite3.Error)
    assert await store.agents() == ()


async def test_a_rollback_that_fails_is_logged(
    store: SqliteStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets the first error, and the log the second."""

    class Broken:
        in_transaction = True

        def execute(self, statement: str, *_: object) -> object:
            raise sqlite3.OperationalError(f"cannot {statement}")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_connection", Broken())
        with pytest.raises(StoreError, match="cannot BEGIN IMMEDIATE"):
            await commit(store, queued())
    assert "could not roll back" in caplog.text


# Several processes


async def test_others_commits_are_told(path: Path) -> None:
    """Whoever watches learns that another has committed, and not of what is its own."""
    one, two = await SqliteStore.open(path), await SqliteStore.open(path)
    seen = anyio.Event()
    one.watch(lambda: seen.set())
    with anyio.fail_after(20):
        await seen.wait()  # where it begins to watch it looks once
        seen = anyio.Event()
        await commit(two, queued())
        await seen.wait()
    one.watch(None)
    assert await one.interaction("I1") == queued()
    await one.aclose()
    await two.aclose()


def ended_loop() -> asyncio.AbstractEventLoop:
    """An event loop that is closed."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


async def test_a_watcher_that_is_gone_is_forgotten(store: SqliteStore) -> None:
    """An event loop that has ended is told nothing, and nothing fails for it."""
    store._changed = (ended_loop(), lambda: None)
    store._seen = -1
    await store.agents()
    await store.agents()
    assert store._changed is None


async def test_looking_that_fails_is_logged(
    store: SqliteStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again later."""
    caplog.set_level(logging.WARNING)
    store._changed = (_thread.running_loop(), lambda: None)

    class Broken:
        def execute(self, *_: object) -> object:
            raise sqlite3.OperationalError("cannot look")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_connection", Broken())
        store._glance()
    assert "cannot look" in caplog.text
    store._changed = None


async def test_a_value_that_another_process_changed_is_read_anew(path: Path) -> None:
    """What is kept decoded is known by its version; another's step is seen at once."""
    one, two = await SqliteStore.open(path), await SqliteStore.open(path)
    first = queued()
    await commit(one, first)
    assert await one.interaction("I1") == await two.interaction("I1") == first
    await commit(two, invited(first, "ann"))
    assert await one.interaction("I1") == invited(first, "ann")
    await one.aclose()
    await two.aclose()


async def test_a_job_of_an_ended_loop_hurts_nobody() -> None:
    """Who waits no more is not told, and the others are."""
    gone = _thread.Job(None, ended_loop())
    here = _thread.Job(None, _thread.running_loop())
    _thread.finish([gone, here])
    with anyio.fail_after(5):
        await here.done


async def test_more_jobs_than_one_round_takes(store: SqliteStore) -> None:
    """However many wait, all of them are carried out."""
    async with anyio.create_task_group() as tasks:
        for number in range(3000):
            tasks.start_soon(store.agent, f"a{number}")
        tasks.start_soon(commit, store, queued())
    assert await store.interaction("I1") == queued()


async def test_a_change_that_the_driver_refuses(store: SqliteStore) -> None:
    """It is rolled back, and fails alone."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit, store, queued())
        with pytest.raises(StoreError, match="the store failed"):
            await store._do(lambda connection: connection.execute("nonsense"))
    assert await store.interaction("I1") == queued()


def test_the_cache_forgets_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds so many values and no more; one that is there already takes no more room."""
    monkeypatch.setattr(_cache, "_KEPT", 2)
    cache = _cache.Cache()
    for number, id in enumerate(("I1", "I2", "I2", "I3")):
        cache.keep(number, queued(id))
    assert cache.find("I1", 0, 0, "Queued") is None
    assert cache.find("I2", 2, 0, "Queued") == queued("I2")
    assert cache.find("I3", 3, 0, "Queued") == queued("I3")
    cache.renew(queued("I4"))
    assert cache.find("I4", 3, 0, "Queued") is None


# Rows that were edited by hand

EDITS = {
    "no JSON": "UPDATE interactions SET data = '{'",
    "another shape": "UPDATE interactions SET data = '[]'",
    "another version": "UPDATE interactions SET version = version + 1",
    "another state": "UPDATE interactions SET state = 'Nonsense'",
    "a wrong type": "UPDATE interactions SET data = json_set(data, '$.offer', 'two')",
    "an unknown key": "UPDATE interactions SET data = json_set(data, '$.owner', 'eve')",
    "a wrong time": "UPDATE interactions SET data = json_set(data, '$.deadline', 'soon')",
    "a time of nowhere": "UPDATE interactions SET data = json_set(data, '$.deadline', '2026-05')",
    "user data of a wrong type": "UPDATE interactions SET data = json_set(data, '$.userData', 7)",
    "no submission": "DELETE FROM submissions",
    "another submission": "UPDATE submissions SET data = json_set(data, '$.id', 'I7')",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_a_row_that_cannot_be_right(
    path: Path, edit: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused by name, and the rest of the store is served; nothing is changed."""
    store = await SqliteStore.open(path)
    value = invited(queued(), "ann")
    await commit(store, attrs.evolve(value, version=0))
    await store.aclose()
    await by_hand(path, EDITS[edit])
    store = await SqliteStore.open(path)
    other = invited(queued("I2"), "ann")
    await commit(store, attrs.evolve(other, version=0))
    with pytest.raises(StoreCorrupt) as refused:
        await store.interaction("I1")
    assert refused.value.interaction_id == "I1"
    assert refused.value.path is not None
    assert [one.id for one in await store.held_by("ann")] == ["I2"]
    assert [one.__dict__["interaction_id"] for one in caplog.records] == ["I1"]
    assert await store.interaction("I2") is not None
    assert len(await store.due(later(1_000_000), later(1_000_001), 10)) == 2
    await store.aclose()


async def test_a_row_edited_while_it_is_known(path: Path, store: SqliteStore) -> None:
    """Also what this process has read before is looked at again."""
    await commit(store, queued())
    assert await store.interaction("I1") == queued()
    await by_hand(path, "UPDATE interactions SET state = 'Accepted'")
    with pytest.raises(StoreCorrupt) as refused:
        await store.interaction("I1")
    assert (refused.value.path, refused.value.value) == ("$.state", "Accepted")


async def test_an_agent_or_outcome_that_cannot_be_read(path: Path, store: SqliteStore) -> None:
    """The same for the other records; a timer of the service goes on for the others."""
    value = queued()
    outcome = Outcome(operation_id="op1", fingerprint="f", at=START, interaction=value)
    agents = (Agent(id="ann", version=1), Agent(id="bob", version=1))
    await commit(store, value, agents=agents, outcome=outcome)
    await by_hand(path, "UPDATE agents SET sessions = '{' WHERE id = 'ann'")
    with pytest.raises(StoreCorrupt) as refused:
        await store.agent("ann")
    assert (refused.value.agent_id, refused.value.path) == ("ann", "$.sessions")
    assert await store.agent("bob") == agents[1]
    await by_hand(path, "DELETE FROM submissions")
    with pytest.raises(StoreCorrupt, match="outcome"):
        await store.outcome("op1")
    await by_hand(path, "UPDATE outcomes SET data = 'x'")
    with pytest.raises(StoreCorrupt, match="outcome"):
        await store.outcome("op1")


async def test_a_damaged_file_is_found(path: Path) -> None:
    """`faults` says what SQLite finds, and which rows belong to nothing."""
    store = await SqliteStore.open(path)
    await commit(store, queued(), queued("I2"))
    assert await store.faults() == ()
    await by_hand(
        path,
        "DELETE FROM submissions WHERE id = 'I1'",
        "INSERT INTO submissions VALUES ('I9', '{}')",
        "INSERT INTO contents VALUES ('C1', 'I8', 0, x'00')",
        "INSERT INTO deliveries VALUES ('zoe', 1, 't', 'I1', 1, 'Invite', 0, x'00')",
        "INSERT INTO history VALUES ('I7', 0, 0, NULL, 'Submit', NULL, 'Queued', 0, NULL, NULL)",
    )
    assert len(await store.faults()) == 5
    await store.aclose()
    schema = "UPDATE sqlite_master SET sql = replace(sql, 'until INTEGER{}', 'until INTEGER{}')"
    unchecked, checked = schema.format(" NOT NULL", ""), schema.format("", " NOT NULL")
    await by_hand(path, "PRAGMA writable_schema = ON", unchecked)
    await by_hand(path, "INSERT INTO workers VALUES ('w', NULL)")
    await by_hand(path, "PRAGMA writable_schema = ON", checked)
    store = await SqliteStore.open(path)
    assert "NULL value in workers.until" in await store.faults()
    await store.aclose()
    pages = bytearray(path.read_bytes())
    for start in range(4096 * 2, len(pages), 4096):
        pages[start : start + 200] = b"\xff" * 200
    path.write_bytes(pages)

    async def read() -> None:
        damaged = await SqliteStore.open(path)
        try:
            await damaged.interaction("I1")
        finally:
            await damaged.aclose()

    with pytest.raises(StoreCorrupt):
        await read()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_IOERR | 3 << 8, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_CONSTRAINT, StoreError),
        (None, StoreError),
    ],
)
def test_every_error_of_the_driver_becomes_ours(code: int | None, kind: type[StoreError]) -> None:
    """By its primary code, also where there is an extended one, or none."""
    error = sqlite3.OperationalError("what SQLite says")
    if code is not None:
        error.sqlite_errorcode = code
    ours = translated(error, "x.db")
    assert type(ours) is kind
    assert (ours.path, ours.value) == ("x.db", "what SQLite says")
    assert ours.__cause__ is error


def test_other_errors_stay_what_they_are() -> None:
    """Ours, and those of what callers gave."""
    for error in (KeyError("x"), StoreFull("full")):
        assert translated(error, "x.db") is error


# The whole, across a restart


async def test_a_life_goes_on_after_a_restart(path: Path) -> None:
    """Timers that passed while nobody ran fire once, and deliveries come, when it is up again."""
    async with await Lifecycle.open(path, background=False) as first:
        raw = b"From: kim@example.net\r\nTo: help@example.com\r\nSubject: Hello\r\n\r\nHi!"
        mail = await first.submit(raw, queue="inbox", operation_id="op1")
        await first.ready("ann")
        await first.perform(
            mail.id, Invite(agent_id="ann", delivering_timeout=0.000_001), agent_id=_system()
        )
    sink = MemorySink()
    async with await Lifecycle.open(path, sink=sink, background=False) as second:
        assert await second.submit(raw, queue="inbox", operation_id="op1") == mail
        assert await second.fire_due() == 1
        assert await second.fire_due() == 0
        assert await second.drain() == 2
        assert [one.trigger for one in sink.deliveries] == ["Invite", "Revoke"]
        assert await second.drain() == 0
        assert (await second.get(mail.id)).state == "Revoked"
        assert await second.content(f"{mail.id}RAW") == raw


def _system() -> Any:
    from lifecycle import SYSTEM

    return SYSTEM


async def test_deliveries_wait_for_a_sink(path: Path) -> None:
    """Without a sink they stay in the store, numbered."""
    async with await Lifecycle.open(path) as centre:
        mail: Interaction = await centre.submit(b"Subject: x\r\n\r\ny", queue=None)
        await centre.ready("ann")
        await centre.invite(mail.id, "ann")
        assert await centre.drain() == 0
        assert [one.sequence for one in await centre.deliveries("ann")] == [1]


Question = Callable[[SqliteStore], Awaitable[Any]]


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(lambda s: s.due(later(9), later(99), 9), id="due"),
        pytest.param(lambda s: s.away(later(9), later(99), 9), id="away"),
        pytest.param(lambda s: s.claim("w", later(9), later(99), 9), id="claim"),
        pytest.param(lambda s: s.claim_outgoing("w", later(9), later(99), 9), id="mail"),
    ],
)
async def test_looking_for_work_writes_nothing(store: SqliteStore, question: Question) -> None:
    """Where there is nothing to take, no transaction is begun."""
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    assert await question(store) == ()
    assert not [one for one in statements if not one.startswith("SELECT")]


async def test_a_change_made_by_a_function_that_fails(store: SqliteStore) -> None:
    """Whatever it raises comes out, and the next one is carried out."""

    def fail(stream: Stream) -> Stream:
        raise ZeroDivisionError(stream.agent_id)

    with pytest.raises(ZeroDivisionError, match="ann"):
        await store.change_stream("ann", fail)
    assert await store.streams(parked=False) == ()


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("no")])
async def test_telling_that_fails_holds_up_nobody(
    store: SqliteStore, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and all callers go on."""

    def fail() -> None:
        raise error

    commits = [Commit(at=START, agents=(Agent(id=f"a{n}", version=1),)) for n in range(20)]
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for one in commits:
                tasks.start_soon(store.commit, one, fail)
    assert len(await store.agents()) == 20
    assert caplog.messages == ["what was committed could not be told"] * 20


def test_one_who_is_told_waits_for_the_end(path: Path) -> None:
    """However often a task is cancelled; nothing can come of the commit afterwards."""
    told: list[str] = []

    async def cancelled() -> None:
        store = await SqliteStore.open(path)
        one = Commit(at=START, agents=(Agent(id="ann", version=1),))
        caller = asyncio.create_task(store.commit(one, lambda: told.append("told")))
        await asyncio.sleep(0)
        while not caller.done():
            caller.cancel()
            await asyncio.sleep(0)
        assert caller.cancelled()
        assert told == ["told"]
        assert len(await store.agents()) == 1
        await store.aclose()

    asyncio.run(cancelled())
    assert told == ["told"]


def test_one_who_only_asks_does_not_wait(path: Path) -> None:
    """A question that is cancelled is over at once."""

    async def cancelled() -> None:
        store = await SqliteStore.open(path)
        caller = asyncio.create_task(store.agents())
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0)
        assert caller.cancelled()
        await store.aclose()

    asyncio.run(cancelled())


async def test_large_contents_do_not_stay(store: SqliteStore) -> None:
    """What is large is written by itself, so that no prepared statement keeps much of it."""
    rows: list[tuple[object, ...]] = [("a", 1), ("b", "x" * 9000), ("c", None), ("d", b"y" * 9000)]
    portions = [list(some) for some in _sqlite_commit._portions(rows)]
    assert portions == [[rows[1]], [rows[3]], [rows[0], rows[2]]]
    contents = tuple(Content(id=f"c{n}", data=bytes([n]) * 5000 * n) for n in range(5))
    await store.commit(Commit(at=START, contents=contents))
    assert [await store.content(one.id) for one in contents] == [one.data for one in contents]
