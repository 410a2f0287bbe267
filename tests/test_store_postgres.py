"""The PostgreSQL store: the shipped suites on a real server, and what can be wrong with one."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import attrs
import pytest
from postgres_server import Server, postgres

from lifecycle import Agent, Commit, Interaction, Invite, Lifecycle, MemorySink
from lifecycle.conformance._samples import START, commit, delivery, invited, later, queued, saved
from lifecycle.conformance.store_suite import ContentSuite, SharedSuite, StoreSuite
from lifecycle.errors import (
    Conflict,
    InvalidParameter,
    LifecycleError,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from lifecycle.interaction import Email
from lifecycle.ports import Clocked
from lifecycle.records import Content, Outcome, Outgoing, Stream
from lifecycle.stores import (
    _postgres_commit,
    _postgres_keeping,
    _postgres_questions,
    _postgres_relay,
)
from lifecycle.stores import _postgres_links as links
from lifecycle.stores import postgres as postgres_module
from lifecycle.stores._postgres_errors import translated, without_secrets
from lifecycle.stores._postgres_schema import MIGRATIONS, escaped, unescaped
from lifecycle.stores.postgres import PostgresStore
from lifecycle.vocabulary import SYSTEM

PATIENCE = 60.0
SECRET = "s3cr3t-word"
NEWEST = len(MIGRATIONS)
TERMINATE = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""Ends all connections to the database, as an administrator may, and waits for their end."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all cases of the module."""
    with postgres() as server:
        yield server


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that the driver runs under."""
    return "asyncio"


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    """The address of a store that the cases have one after the other."""
    return server.database()


@pytest.fixture
def url(server: Server, database: str) -> Iterator[str]:
    """The address of an empty store."""
    yield database
    server.clear(database)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """An empty store."""
    store = await PostgresStore.open(url)
    yield store
    await store.aclose()


@pytest.fixture
async def other(url: str, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same store again, as another process has it."""
    other = await PostgresStore.open(url)
    yield other
    await other.aclose()


class TestPostgresStore(StoreSuite, ContentSuite):
    """The PostgreSQL store behaves as every store does."""


class TestSharedDatabase(SharedSuite):
    """Two objects of one database behave as one store does."""


pytestmark = pytest.mark.anyio


async def refused(work: Awaitable[object]) -> LifecycleError:
    """The error of ours that something raises, which shows no password."""
    with pytest.raises(LifecycleError) as error:
        await work
    assert SECRET not in f"{error.value} {error.value!r} {error.value.__dict__}"
    assert error.value.__cause__ is None
    return error.value


async def results(*calls: Awaitable[object]) -> list[str]:
    """What becomes of calls at the same time: `""`, or the name of the error."""
    with anyio.fail_after(PATIENCE):
        done = await asyncio.gather(*calls, return_exceptions=True)
    return [type(one).__name__ if isinstance(one, BaseException) else "" for one in done]


# Opening


async def test_what_was_committed_is_there_again(url: str) -> None:
    """A store that was closed and opened has everything; closing again is nothing."""
    store = await PostgresStore.open(url)
    await commit(store, queued())
    await store.aclose()
    await store.aclose()
    again = await PostgresStore.open(url)
    assert await again.interaction("I1") == queued()
    await again.aclose()


async def test_a_closed_store_says_so(store: PostgresStore) -> None:
    """Whatever is asked of it."""
    await store.aclose()
    for ask in (
        store.agents(),
        store.commit(Commit(at=START)),
        store.agent("a"),
        store.forget("w", START),
    ):
        assert "closed" in str(await refused(ask))


async def test_closing_finishes_what_was_begun(url: str) -> None:
    """Commits that callers wait for are carried out before the connections end."""
    store = await PostgresStore.open(url)
    commits = [commit(store, queued(f"I{number}")) for number in range(20)]
    assert await results(*commits, store._commits.end(), store.aclose()) == [""] * 22
    again = await PostgresStore.open(url)
    assert len(await again.ids("", 100)) == 20
    await again.aclose()


async def test_what_is_not_there(server: Server, unused_port: int) -> None:
    """No socket, a port that refuses, a host without a name, a database that is missing."""
    for address in (
        f"postgresql://life:{SECRET}@/life?host=/nowhere",
        f"postgresql://life:{SECRET}@127.0.0.1:{unused_port}/life",
        f"postgresql://life@127.0.0.1:{unused_port}/life?password={SECRET}",
        f"postgresql://life:{SECRET}@nowhere.invalid/life",
        server.address("missing", password=SECRET),
    ):
        for ask in (PostgresStore.open(address), PostgresStore.migrate(address)):
            error = await refused(ask)
            assert type(error) is StoreUnavailable
            assert error.path == without_secrets(address)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nobody listens on, nor can as long as the case runs."""
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever accepts connections and says nothing is given up after a time."""
    monkeypatch.setattr(links, "_CONNECT_TIMEOUT", 0.2)
    silent = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = silent.extra(anyio.abc.SocketAttribute.local_port)
    address = f"postgresql://life:{SECRET}@127.0.0.1:{port}/life"
    with anyio.fail_after(PATIENCE):
        error = await refused(PostgresStore.open(address))
    assert type(error) is StoreUnavailable
    await silent.aclose()
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://life:{SECRET}@db/life",
        f"postgresql://life:{SECRET}@db:{SECRET}/life",
        f"postgresql://life:{SECRET}@db/life?sslmode={SECRET}",
        f"postgresql://life:{SECRET}@[db/life",
    ],
)
async def test_what_is_no_address(address: str) -> None:
    """It is refused without being shown."""
    error = await refused(PostgresStore.open(address))
    assert isinstance(error, InvalidParameter)
    assert error.path == "$.store"


@pytest.fixture
def guarded(server: Server) -> Iterator[str]:
    """A user who must give a password."""
    rules = server.folder / "pg_hba.conf"
    before = rules.read_text()
    server.run(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'", "SELECT 1")
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    server.reload()
    yield "guarded"
    rules.write_text(before)
    server.reload()
    server.run("DROP OWNED BY guarded", "DROP ROLE guarded", "SELECT 1")


async def test_a_password_that_fails(server: Server, guarded: str, url: str) -> None:
    """It is said, and not shown; the right one without rights is said as well."""
    name = url.partition("@/")[2].partition("?")[0]
    wrong = await refused(
        PostgresStore.open(server.address(name, user=guarded, password=f"not-{SECRET}"))
    )
    assert type(wrong) is StoreUnavailable
    assert str(wrong.value).startswith("28P01")
    right = server.address(name, user=guarded, password=SECRET)
    without_rights = await refused(PostgresStore.open(right))
    assert type(without_rights) is StoreUnavailable
    assert str(without_rights.value).startswith("42501")
    empty = server.address("template1", user=guarded, password=SECRET)
    assert type(await refused(PostgresStore.migrate(empty))) is StoreUnavailable
    granted = (
        f"GRANT USAGE ON SCHEMA lifecycle TO {guarded}",
        f"GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA lifecycle TO {guarded}",
        "SELECT 1",
    )
    server.run(*granted, url=url)
    store = await PostgresStore.open(right)
    assert SECRET not in f"{store!r} {store.__dict__} {links.Connector(right)!r}"
    assert await store.agents() == ()
    assert type(await refused(commit(store, queued()))) is StoreUnavailable
    await store.aclose()
    server.run(f"REVOKE ALL ON SCHEMA lifecycle FROM {guarded}", "SELECT 1", url=url)
    server.run(f"DROP OWNED BY {guarded}", "SELECT 1", url=url)


def test_another_event_loop_is_refused() -> None:
    """Trio's, with one clear error."""

    async def main() -> None:
        for ask in (
            PostgresStore.open("postgresql://x/y"),
            PostgresStore.migrate("postgresql://x/y"),
        ):
            error = await refused(ask)
            assert type(error) is StoreUnavailable
            assert "asyncio" in str(error)

    anyio.run(main, backend="trio")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://life:word@db:5432/life", "postgresql://life@db:5432/life"),
        ("postgresql://db/life?password=word&host=/run/x", "postgresql://db/life?host=/run/x"),
        ("postgres://x:word@[::1]:5432/life", "postgresql://x@[::1]:5432/life"),
        ("postgresql://life@db:word/life", "postgresql:..."),
        ("postgresql:///life?sslpassword=word", "postgresql:///life"),
        ("postgresql://life:w@rd@db/life", "postgresql://life@db/life"),
        ("postgresql://life:word@[db/life", "postgresql:..."),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    """Wherever the password stands."""
    assert without_secrets(address) == shown


# Migration


async def test_a_new_database_must_be_migrated(server: Server) -> None:
    """Opening it never does; migrating says what it did, and can be done again."""
    url = server.empty_database()
    error = await refused(PostgresStore.open(url))
    assert isinstance(error, SchemaMismatch)
    assert "lifecycle store migrate --store" in str(error)
    assert error.value == 0
    assert server.run("SELECT to_regnamespace('lifecycle')::text", url=url) == [(None,)]
    assert await PostgresStore.migrate(url) == (0, NEWEST)
    assert await PostgresStore.migrate(url) == (NEWEST, NEWEST)
    store = await PostgresStore.open(url)
    await commit(store, queued())
    await store.aclose()


async def test_a_schema_is_brought_forward(server: Server) -> None:
    """An older store is refused until it is migrated, and a newer one always; nothing is lost."""
    url = server.database()
    store = await PostgresStore.open(url)
    await commit(store, queued())
    newer = (*MIGRATIONS, ("CREATE TABLE more (x int)", "INSERT INTO more VALUES (1)"))
    older = await refused(PostgresStore.open(url, migrations=newer))
    assert isinstance(older, SchemaMismatch)
    assert "lifecycle store migrate --store" in str(older)
    assert await PostgresStore.migrate(url, migrations=newer) == (NEWEST, NEWEST + 1)
    again = await PostgresStore.open(url, migrations=newer)
    assert await again.interaction("I1") == queued()
    await again.aclose()
    for ask in (PostgresStore.open(url), PostgresStore.migrate(url)):
        future = await refused(ask)
        assert isinstance(future, SchemaMismatch)
        assert future.value == NEWEST + 1
    assert server.run("SELECT x FROM more", url=url) == [(1,)]
    # Connections that are open already go on; new ones are refused.
    await commit(store, queued("I2"))
    await anyio.to_thread.run_sync(partial(server.run, TERMINATE, url=url))
    assert isinstance(await refused(commit(store, queued("I3"))), SchemaMismatch)
    await store.aclose()


async def test_a_migration_that_fails_changes_nothing(server: Server) -> None:
    """All of the steps or none of them; the schema itself too."""
    url = server.empty_database()
    broken = (*MIGRATIONS, ("CREATE TABLE more (x int)",), ("CREATE TABLE more (x int)",))
    error = await refused(PostgresStore.migrate(url, migrations=broken))
    assert type(error) is StoreError
    assert str(error.value).startswith("42P07")
    assert server.run("SELECT to_regnamespace('lifecycle')::text", url=url) == [(None,)]
    assert await PostgresStore.migrate(url) == (0, NEWEST)


async def test_a_migration_that_is_killed_changes_nothing(server: Server) -> None:
    """The server ends the connection in the middle of one."""
    url = server.empty_database()
    suicide = (*MIGRATIONS, ("SELECT pg_terminate_backend(pg_backend_pid())",))
    assert type(await refused(PostgresStore.migrate(url, migrations=suicide))) is StoreUnavailable
    assert server.run("SELECT to_regnamespace('lifecycle')::text", url=url) == [(None,)]


async def test_many_processes_migrate_at_the_same_time(server: Server) -> None:
    """The schema is made once, under a lock; nobody fails."""
    url = server.empty_database()
    program = (
        "import asyncio, sys\n"
        "from lifecycle.stores.postgres import PostgresStore\n"
        "print(asyncio.run(PostgresStore.migrate(sys.argv[1]))[0])\n"
    )
    command = [sys.executable, "-c", program, url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    said = [child.communicate(timeout=PATIENCE)[0].strip() for child in children]
    assert sorted(said) == [b"0", b"%d" % NEWEST, b"%d" % NEWEST]


async def test_a_database_that_is_not_ours(server: Server) -> None:
    """A schema of our name with another's tables, or another encoding, is not touched."""
    url = server.empty_database()
    server.run("CREATE SCHEMA lifecycle", "SELECT 1", url=url)
    assert await PostgresStore.migrate(url) == (0, NEWEST)
    url = server.empty_database()
    server.run("CREATE SCHEMA lifecycle", "CREATE TABLE lifecycle.t (x int)", "SELECT 1", url=url)
    error = await refused(PostgresStore.migrate(url))
    assert isinstance(error, SchemaMismatch)
    assert "another application" in str(error)
    server.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'", "SELECT 1")
    error = await refused(PostgresStore.migrate(server.address("latin")))
    assert isinstance(error, SchemaMismatch)
    assert error.value == "LATIN1"


# Grouping


def transactions(server: Server, url: str) -> int:
    """How many transactions have written to any database, one more for being asked."""
    [(number,)] = server.run("SELECT pg_current_xact_id()::text::bigint", url=url)
    return int(number)


async def test_many_callers_share_a_transaction(
    server: Server, url: str, store: PostgresStore
) -> None:
    """What waits at the same time is committed together, and asked for together."""
    await commit(store, queued("first"))
    before = transactions(server, url)
    done = await results(*(commit(store, queued(f"I{number}")) for number in range(256)))
    assert set(done) == {""}
    assert transactions(server, url) - before <= 5
    statements: list[str] = []
    carry_out = store._questions._carry_out

    async def counted(connection: Any, jobs: Any) -> None:
        with connection.query_logger(lambda record: statements.append(record.query)):
            await carry_out(connection, jobs)

    store._questions._carry_out = counted
    found = await asyncio.gather(*(store.interaction(f"I{number}") for number in range(256)))
    assert [one.id for one in found if one] == [f"I{number}" for number in range(256)]
    assert 1 <= len(statements) <= 3


@pytest.mark.parametrize("ids", [("a", "b\x01c"), ("\x01",), ("\x02", "d"), ("a", "b")])
async def test_columns_are_sent_whatever_they_hold(
    store: PostgresStore, ids: tuple[str, ...]
) -> None:
    """Also what parts the texts of a column where they are sent as one."""
    agents = tuple(Agent(id=id, version=1, reason=None) for id in ids)
    await store.commit(Commit(at=START, agents=agents))
    assert {one.id: one for one in await store.agents()} == {one.id: one for one in agents}


@pytest.mark.parametrize(
    ("column", "joined"),
    [
        (("a", "b"), "a\x01b"),
        (("a", None, ""), "a\x01\x02\x01"),
        (("", ""), "\x01"),
        ((None,), "\x02"),
        ((7, None, -(2**63)), f"7\x01\x02\x01{-(2**63)}"),
        ((True, False), "True\x01False"),
        (("",), None),
        (("a\x01b",), None),
        (("a", "\x02"), None),
        (("\x02", None), None),
    ],
)
def test_columns_are_joined_where_they_can_be_told_apart(
    column: tuple[str | int | None, ...], joined: str | None
) -> None:
    """An empty text by itself would be no text at all."""
    assert _postgres_commit._joined(column) == joined


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(_postgres_commit._LOCK, id="lock"),
        pytest.param(_postgres_commit._statement(tuple(_postgres_commit._PARTS), True), id="write"),
        pytest.param(_postgres_questions._INTERACTIONS, id="interaction"),
        pytest.param(_postgres_questions._OUTCOMES, id="outcome"),
        pytest.param(_postgres_relay.CLAIM, id="claim"),
        pytest.param(_postgres_relay.CLAIM_MAIL, id="claim mail"),
        pytest.param(_postgres_relay._PUT, id="progress"),
        pytest.param(postgres_module._DUE, id="due"),
        pytest.param(postgres_module._AWAY, id="away"),
        pytest.param(_postgres_keeping._FINISHED, id="finished"),
        pytest.param(_postgres_keeping._OLD_DELIVERIES, id="old deliveries"),
        *(pytest.param(one, id="prune") for one in _postgres_keeping._PRUNE),
    ],
)
async def test_no_table_is_searched(url: str, statement: str) -> None:
    """What is asked often is found by index, in its order, also as planned while all is empty."""
    connection: Any = await links.Connector(url).connect(NEWEST)
    types = [one.name for one in (await connection.prepare(statement)).get_parameters()]
    types = [f"{name.removesuffix('[]')}[]" if name.endswith("[]") else name for name in types]
    await connection.execute(f"PREPARE question ({', '.join(types)}) AS {statement}")
    nulls = ", ".join("NULL" for _ in types)
    plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE question ({nulls})")]
    await connection.close()
    assert not [line for line in plan if "Seq Scan" in line or "Bitmap" in line]
    for line, following in pairwise(plan):
        assert not ("Limit" in line and "Sort" in following), plan


async def test_progress_of_many_streams_is_one_transaction(
    server: Server, url: str, store: PostgresStore
) -> None:
    """What becomes of streams at the same time is stored together; each hears its own answer."""
    agents = [Agent(id=f"a{number:03}", version=1, sequence=1) for number in range(64)]
    deliveries = tuple(delivery(agent.id, 1) for agent in agents)
    await commit(store, agents=tuple(agents), deliveries=deliveries)
    streams = await store.claim("w", START, later(60), 64)
    before = transactions(server, url)
    done = await asyncio.gather(
        *(store.progress("w", attrs.evolve(one, delivered=1)) for one in streams),
        store.progress("w", streams[0]),
        store.progress("another", streams[1]),
        store.progress("w", Stream(agent_id="nobody")),
    )
    assert done == [True] * 64 + [False] * 3
    assert transactions(server, url) - before <= 4
    assert await store.claim("w", START, later(60), 64) == ()
    assert (await store.stream("a000")).delivered == 1


async def test_steps_of_one_interaction_in_one_group(store: PostgresStore) -> None:
    """What commits do to each other's new rows is what they would do one after the other."""
    values = [queued(), *(attrs.evolve(queued(), version=n, comment=str(n)) for n in (1, 2))]
    ended = attrs.evolve(saved(values[1]), finished=True)
    commits = [
        Commit(
            at=START,
            interactions=(saved(values[0]),),
            contents=(Content(id="C1", data=b"old"), Content(id="C2", data=b"loose")),
        ),
        Commit(at=START, interactions=(ended,), linked=(("C2", "I1"), ("C9", "I1"))),
        Commit(
            at=later(9),
            interactions=(saved(values[2]),),
            contents=(Content(id="C1", data=b"new", owner="I1"),),
        ),
    ]
    assert await results(*map(store.commit, commits)) == ["", "", ""]
    assert await store.interaction("I1") == values[2]
    assert await store.finished(later(1), 9) == ("I1",)
    assert await store.content("C1") == b"new"
    assert await store.prune(deliveries=START, outcomes=START, contents=later(99), limit=9) == 0
    more = [attrs.evolve(queued(), version=n, comment=str(n)) for n in (3, 4)]
    late = attrs.evolve(saved(more[1]), finished=True)
    commits = [
        Commit(at=later(10), interactions=(saved(more[0]),)),
        Commit(at=later(11), interactions=(late,)),
    ]
    assert await results(*map(store.commit, commits)) == ["", ""]
    assert await store.interaction("I1") == more[1]
    assert await store.finished(later(1), 9) == ("I1",)


async def test_a_commit_that_cannot_be_stored_harms_no_other(store: PostgresStore) -> None:
    """What the driver or the server refuses fails alone, whoever was in the same transaction."""
    mail = Outgoing(
        message_id="<m@x>", interaction_id="I0", queue=None, sender="a@x", recipients=(), at=START,
        message=b"",
    )  # fmt: skip
    done = await results(
        commit(store, queued("I0"), outgoing=(mail,)),
        commit(store, queued("odd1"), agents=(Agent(id="ann", version=1, load=2**70),)),
        commit(store, queued("odd2"), agents=(Agent(id="a\0b", version=1),)),
        commit(store, queued("odd3"), agents=(Agent(id="\ud800", version=1),)),
        commit(store, queued("odd4"), outgoing=(mail, mail)),
        commit(store, queued("I1")),
    )
    assert done == ["", "StoreError", "StoreError", "StoreError", "StoreError", ""]
    assert await store.ids("", 100) == ("I0", "I1")


async def test_a_question_that_cannot_be_asked_fails_alone(store: PostgresStore) -> None:
    """For whoever asks it; those at the same time are answered."""
    await commit(store, queued())
    done = await results(
        store.interaction("I1"),
        store.interaction("\0"),
        store.agent("\ud800"),
        store.agent("ann"),
        store.stream("\0"),
        store.history("\0"),
        store.outcome("op"),
        store.progress("w", Stream(agent_id="\0")),
        store.progress("w", Stream(agent_id="ann")),
    )
    refusal = "StoreError"
    assert done == ["", refusal, refusal, "", refusal, refusal, "", refusal, ""]
    again = await refused(store._rows("SELECT nothing FROM nowhere"))
    assert str(again.value).startswith("42P01")


async def test_errors_do_not_quote_what_was_sent(store: PostgresStore) -> None:
    """Nothing of a mail is in them, nor in what they come from."""
    content = f"{SECRET} " * 3
    mail = Email(subject=content, text=content, from_address=f"{SECRET}@home.example")
    value = queued(email=mail)
    bad = Agent(id="a\0", version=1, reason=SECRET)
    assert type(await refused(commit(store, value, agents=(bad,)))) is StoreError
    no_bytes: Any = SECRET
    odd = attrs.evolve(delivery("ann", 1), payload=no_bytes)
    agents = (Agent(id="ann", version=1, sequence=1),)
    assert type(await refused(commit(store, value, agents=agents, deliveries=(odd,)))) is StoreError


async def test_cancelled_callers_leave_no_connection_behind(
    server: Server, url: str, store: PostgresStore
) -> None:
    """Whatever they were waiting for, the store goes on, and nothing stays in a transaction."""
    await commit(store, queued("I"), agents=(Agent(id="ann", version=1),))
    for steps in range(6):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(commit, store, queued(f"I{steps}x{number}"))
                tasks.start_soon(store.interaction, "I")
                tasks.start_soon(store.history, "I")
                tasks.start_soon(store.claim, "w", START, later(9), 9)
                tasks.start_soon(store.change_stream, "ann", lambda stream: stream)
            for _ in range(steps):
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
    await commit(store, queued("last"))
    assert await store.interaction("last") == queued("last")
    await store.change_stream("ann", lambda stream: stream)
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert server.run(idle, url=url) == [(0,)]
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    assert server.run(ours, url=url)[0][0] <= 7


async def test_what_is_in_the_way_is_passed_by(store: PostgresStore) -> None:
    """A change that the server ends because of somebody else's is made again, so often."""
    calls = 0

    def unlucky(stream: Stream) -> Stream:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise asyncpg.DeadlockDetectedError("somebody else")
        return attrs.evolve(stream, connects=1)

    assert (await store.change_stream("ann", unlucky)).connects == 1
    calls = -1000
    error = await refused(store.change_stream("ann", unlucky))
    assert type(error) is StoreError
    assert str(error.value).startswith("40P01")
    assert calls > -1000 + 3


async def test_a_caller_who_is_gone_is_not_told() -> None:
    """Neither a result nor an error."""
    finishing = links.Finishing()
    job = links.Job("work", finishing)
    caller = asyncio.create_task(job.outcome())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    job.fail(StoreFull())
    job.finish(1)
    await asyncio.sleep(0)
    assert finishing.is_over
    assert not job.begin()


async def test_a_job_is_finished_once() -> None:
    """What comes of it first counts, also where its caller has not gone on yet."""
    job = links.Job("work", links.Finishing())
    job.finish(1)
    job.fail(StoreFull())
    assert await job.outcome() == 1


async def test_one_who_is_told_waits_for_the_end() -> None:
    """However often the caller is cancelled."""
    told: list[str] = []
    finishing = links.Finishing()
    job = links.Job("work", finishing, partial(told.append, "told"))
    caller = asyncio.create_task(job.outcome())
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    assert job.begin()
    job.finish(1)
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert told == ["told"]


async def test_one_who_was_told_goes_on() -> None:
    """Also where the cancellation comes with the end."""
    told: list[str] = []
    job = links.Job("work", links.Finishing(), partial(told.append, "told"))
    caller = asyncio.create_task(job.outcome())
    await asyncio.sleep(0)
    job._finish(1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert told == ["told"]


async def test_telling_that_fails_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the callers go on."""

    def fail() -> None:
        raise asyncio.CancelledError

    finishing = links.Finishing()
    jobs = [links.Job(number, finishing, fail) for number in range(20)]
    for job in jobs:
        job.finish(job.work)
    assert [await job.outcome() for job in jobs] == list(range(20))
    assert caplog.messages == ["what was committed could not be told"] * 20


class _NoConnection:
    """What there is nothing to end of."""

    def is_closed(self) -> bool:
        """It is."""
        return True


async def test_a_lane_that_ends_lets_all_callers_go_on() -> None:
    """Who was served is told before it has ended, however many they are."""

    async def connect() -> Any:
        return _NoConnection()

    async def carry_out(_: object, jobs: Sequence[links.Job[int]]) -> None:
        for job in jobs:
            job.finish(-job.work)

    lane: links.Lane[int] = links.Lane(connect, "here", carry_out, most=99)
    told: list[int] = []
    callers = [lane.do(number, partial(told.append, number)) for number in range(40)]
    waiting = asyncio.gather(*callers)
    await asyncio.sleep(0)
    await lane.end()
    assert told == list(range(40))
    assert await waiting == [-number for number in range(40)]


async def test_a_lane_that_is_cancelled_leaves_nobody_waiting() -> None:
    """As at the end of an event loop in which nobody has closed the store."""
    begun = asyncio.Event()

    async def connect() -> Any:
        return _NoConnection()

    async def carry_out(_: object, jobs: Sequence[links.Job[int]]) -> None:
        begun.set()
        await asyncio.Event().wait()

    lane: links.Lane[int] = links.Lane(connect, "here", carry_out, most=1)
    told: list[int] = []
    callers = [asyncio.create_task(lane.do(n, partial(told.append, n))) for n in range(3)]
    await begun.wait()
    for task in (*callers[:2], *lane._tasks):
        task.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([*callers, *lane._tasks])
    assert [caller.cancelled() for caller in callers] == [True, True, False]
    assert isinstance(callers[2].exception(), StoreUnavailable)
    assert told == []
    with pytest.raises(StoreUnavailable, match="closed"):
        await lane.do(4)


async def test_callers_go_on_a_few_at_a_time() -> None:
    """In the order in which they were served, and others of the event loop between them."""
    finishing, gone = links.Finishing(), list[int]()
    counts = [0]
    for number in range(20):
        finishing.add(partial(gone.append, number))
    while not finishing.is_over:
        await asyncio.sleep(0)
        counts.append(len(gone))
        if len(counts) == 2:
            finishing.add(partial(gone.append, 20))  # served later, and so behind the others
    assert gone == list(range(21))
    assert max(after - before for before, after in pairwise(counts)) <= 8


async def test_what_nobody_waits_for_any_more_is_not_done(store: PostgresStore) -> None:
    """A caller who is cancelled before anything was begun leaves nothing."""
    caller = asyncio.create_task(commit(store, queued()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    await commit(store, queued("I2"))
    assert await store.ids("", 9) == ("I2",)


async def test_a_change_made_by_a_function_that_fails(store: PostgresStore) -> None:
    """Whatever it raises comes out, nothing is changed, and the next one is carried out."""

    def fail(stream: Stream) -> Stream:
        raise ZeroDivisionError(stream.agent_id)

    with pytest.raises(ZeroDivisionError, match="ann"):
        await store.change_stream("ann", fail)
    assert await store.streams(parked=False) == ()
    assert (await store.change_stream("ann", lambda stream: stream)).agent_id == "ann"


# Several processes


def new_id(id: str, n: int) -> Commit:
    """A new interaction under the same id."""
    return Commit(at=START, interactions=(saved(queued(id, comment=str(n))),))


def new_outcome(id: str, n: int) -> Commit:
    """Another interaction under the same operation id."""
    outcome = Outcome(operation_id=f"op{id}", fingerprint=str(n), at=START)
    return Commit(at=START, interactions=(saved(queued(f"{id}o{n}")),), outcome=outcome)


def new_agent(id: str, n: int) -> Commit:
    """The first commit of an agent, with an interaction of its own."""
    agents = (Agent(id=id, version=1, load=n),)
    return Commit(at=START, interactions=(saved(queued(f"{id}a{n}")),), agents=agents)


def step(id: str, n: int) -> Commit:
    """A step from the same version."""
    return Commit(at=START, interactions=(saved(invited(queued(id), f"agent{n}")),))


def changed_agent(id: str, n: int) -> Commit:
    """A change of an agent from the same version."""
    return Commit(at=START, agents=(Agent(id=id, version=2, load=n),))


RACES = (new_id, new_outcome, new_agent, step, changed_agent)


async def test_of_two_that_race_one_wins(store: PostgresStore, other: PostgresStore) -> None:
    """The same new id, operation id, or agent, by two objects: one each, and the rest conflict."""
    both = (store, other) * 2
    for number in range(30):
        id = f"I{number:02}"
        for kind in RACES:
            done = await results(*(store_.commit(kind(id, n)) for n, store_ in enumerate(both)))
            assert sorted(done) == ["", "Conflict", "Conflict", "Conflict"]


async def test_two_that_name_the_same_in_another_order(
    store: PostgresStore, other: PostgresStore
) -> None:
    """No deadlock, whatever stands first: locks are taken in one order."""
    for version in range(1, 25):
        agents = [Agent(id=name, version=version) for name in ("ann", "bob", "cat")]
        values = [attrs.evolve(queued(id), version=version - 1) for id in ("I1", "I2", "I3")]
        forth = Commit(at=START, interactions=tuple(map(saved, values)), agents=tuple(agents))
        back = attrs.evolve(forth, interactions=forth.interactions[::-1], agents=forth.agents[::-1])
        progress = [
            one.change_stream(name, lambda stream: attrs.evolve(stream, tries=stream.tries + 1))
            for one, name in ((store, "bob"), (other, "ann"))
        ]
        done = await results(store.commit(forth), other.commit(back), *progress)
        assert sorted(done) == ["", "", "", "Conflict"]
    assert (await store.stream("ann")).tries == (await other.stream("bob")).tries == 24


async def test_a_deadlock_is_resolved(url: str, store: PostgresStore) -> None:
    """Where somebody else locks in another order the server ends one, and it is done again."""
    agents = tuple(Agent(id=name, version=1) for name in ("ann", "bob"))
    await commit(store, agents=agents)
    settings = {"search_path": "lifecycle", "deadlock_timeout": "10s"}
    rude = await asyncpg.connect(url, server_settings=settings)
    lock = "SELECT 1 FROM agents WHERE id = $1 FOR UPDATE"
    following = tuple(attrs.evolve(agent, version=2) for agent in agents)
    async with rude.transaction():
        await rude.fetch(lock, "bob")
        waiting = asyncio.create_task(store.commit(Commit(at=START, agents=following)))
        taking = asyncio.create_task(store.change_stream("bob", lambda stream: stream))
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with anyio.fail_after(PATIENCE):
            while await rude.fetchval(blocked) < 2:
                await asyncio.sleep(0.01)
            await rude.fetch(lock, "ann")
    await rude.close()
    with anyio.fail_after(PATIENCE):
        await waiting
        await taking
    assert [agent.version for agent in await store.agents()] == [2, 2]


async def test_a_lock_that_is_held_too_long(url: str, store: PostgresStore) -> None:
    """Whoever waits is told after a time, and the store goes on."""
    await commit(store, queued(), agents=(Agent(id="ann", version=1),))
    hurried = await PostgresStore.open(url)
    rude = await asyncpg.connect(url, server_settings={"search_path": "lifecycle"})
    hurried._commits._connect = partial(links.Connector(url).connect, NEWEST, patience=0.2)
    async with rude.transaction():
        await rude.fetch("SELECT 1 FROM agents FOR UPDATE")
        error = await refused(commit(hurried, agents=(Agent(id="ann", version=2),)))
        assert type(error) is StoreUnavailable
        assert (await hurried.agent("ann")) == Agent(id="ann", version=1)
    await rude.close()
    await commit(hurried, agents=(Agent(id="ann", version=2),))
    await hurried.aclose()


async def test_others_commits_are_told_and_not_ones_own(
    store: PostgresStore, other: PostgresStore
) -> None:
    """Whoever watches hears of each commit of the other, change of a stream, and mail."""
    told = 0

    def changed() -> None:
        nonlocal told
        told += 1

    async def until(number: int) -> None:
        with anyio.fail_after(PATIENCE):
            while told < number:
                await asyncio.sleep(0.005)
        assert told == number

    mail = Outgoing(
        message_id="<m@x>", interaction_id="I1", queue=None, sender="a@x", recipients=(), at=START,
        message=b"",
    )  # fmt: skip
    store.watch(changed)
    await until(1)  # once when it begins: somebody may have committed before
    await commit(store, queued(), outgoing=(mail,))
    await store.change_stream("ann", lambda stream: stream)
    await commit(other, queued("I2"))
    await until(2)
    await other.change_stream("ann", lambda stream: stream)
    await until(3)
    await other.change_outgoing("<m@x>", lambda mail: None)
    await until(4)
    assert await other.change_outgoing("<m@x>", lambda mail: None) is None
    with pytest.raises(Conflict):
        await commit(other, queued("I2"))
    await commit(other, queued("I3"))
    await until(5)
    store.watch(None)
    store._listener._heard(None, 0, "", "of somebody else's")
    assert told == 5


# The clock


async def test_the_clock_is_the_servers(server: Server, store: PostgresStore) -> None:
    """It stands between two times that the server says, and has a time zone."""
    assert isinstance(store, Clocked)
    [(before,)] = server.run("SELECT clock_timestamp()")
    await commit(store, queued())
    now = store.clock.now()
    [(after,)] = server.run("SELECT clock_timestamp()")
    assert before - timedelta(seconds=1) <= now <= after
    assert now.utcoffset() == timedelta(0)


def test_the_clock_follows_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It jumps with the server's, forth and back, but not because an answer was slow."""
    mono = 1_000_000
    monkeypatch.setattr(links, "_monotonic", lambda: mono)
    clock = links.ServerClock()

    def now() -> int:
        return (clock.now() - links._EPOCH) // timedelta(microseconds=1)

    asked = clock.asking()
    mono += 10
    clock.heard(asked, 50_000_000)
    assert now() == 50_000_000
    asked = clock.asking()
    mono += 5_000  # a slow answer, which left the server in time
    clock.heard(asked, 50_000_005)
    assert now() == 50_005_000
    asked = clock.asking()
    mono += 10
    clock.heard(asked, 90_000_000)
    assert now() == 90_000_000
    asked = clock.asking()
    mono += 10
    clock.heard(asked, 20_000_000)
    assert now() == 20_000_010


async def test_the_clock_is_asked_while_nothing_happens(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that listens asks from time to time."""
    monkeypatch.setattr(links, "_HEARTBEAT", 0.01)
    asked = asyncio.Event()
    count = 0
    heard = links.ServerClock.heard

    def counted(self: links.ServerClock, sent: int, server_time: int) -> None:
        nonlocal count
        count += 1
        heard(self, sent, server_time)
        if count == 4:
            asked.set()

    monkeypatch.setattr(links.ServerClock, "heard", counted)
    store.watch(lambda: None)
    with anyio.fail_after(PATIENCE):
        await asked.wait()


# Servers that fail


async def test_an_administrator_ends_the_connections(
    server: Server, url: str, store: PostgresStore
) -> None:
    """Whoever comes afterwards is connected again; the listener too, who then looks at once."""
    await commit(store, queued())
    told = asyncio.Event()
    store.watch(told.set)
    with anyio.fail_after(PATIENCE):
        await told.wait()
        told.clear()
        await anyio.to_thread.run_sync(partial(server.run, TERMINATE, url=url))
        await told.wait()
    await commit(store, queued("I2"))
    assert await store.ids("", 9) == ("I1", "I2")


async def test_a_connection_that_is_lost_in_the_middle(store: PostgresStore, url: str) -> None:
    """Whoever is under way is told that nobody can say, and the next one is served."""
    await commit(store, agents=(Agent(id="ann", version=1),))
    rude = await asyncpg.connect(url, server_settings={"search_path": "lifecycle"})
    async with rude.transaction():
        await rude.fetch("SELECT 1 FROM agents FOR UPDATE")
        calls = [
            asyncio.create_task(work)
            for work in (
                refused(commit(store, queued(), agents=(Agent(id="ann", version=2),))),
                refused(store.progress("w", Stream(agent_id="ann"))),
                refused(store.change_stream("ann", lambda stream: stream)),
                refused(store._rows("SELECT 1 FROM agents FOR UPDATE")),
            )
        ]
        with anyio.fail_after(PATIENCE):
            while await rude.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 4:
                await asyncio.sleep(0.01)
        await rude.fetch(TERMINATE)
        errors = await asyncio.gather(*calls)
    await rude.close()
    assert [type(error) for error in errors] == [StoreUnavailable] * 4
    assert await store.interaction("I1") is None
    await commit(store, queued(), agents=(Agent(id="ann", version=2),))


async def test_a_server_that_is_killed_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    """Commits under way are whole or nothing, calls meanwhile fail at once, then all goes on."""
    with postgres() as server:
        store = await PostgresStore.open(server.database())
        told = asyncio.Event()
        store.watch(told.set)
        stored: list[str] = []
        failed: dict[str, type[BaseException]] = {}

        async def submit(worker: int) -> None:
            for number in range(1000):
                value = queued(f"I{worker:02}x{number:04}")
                try:
                    await commit(store, value, agents=(Agent(id=value.id, version=1),))
                except Exception as error:
                    failed[value.id] = type(error)
                    return
                stored.append(value.id)

        async with anyio.create_task_group() as tasks:
            for worker in range(8):
                tasks.start_soon(submit, worker)
            with anyio.fail_after(PATIENCE):
                while len(stored) < 50:
                    await asyncio.sleep(0.001)
            server.kill()
        assert set(failed.values()) == {StoreUnavailable}
        with anyio.fail_after(PATIENCE):
            for ask in (store.agents(), store.agent("a"), commit(store, queued("down"))):
                assert type(await refused(ask)) is StoreUnavailable
        told.clear()
        await anyio.to_thread.run_sync(server.start)
        found = await store.ids("", 10_000)
        agents = await store.agents()
        assert set(stored) <= set(found) <= {*stored, *failed}
        assert tuple(agent.id for agent in agents) == found
        await commit(store, queued("afterwards"))
        with anyio.fail_after(PATIENCE):
            await told.wait()  # the listener is back, and says that it has missed something
        await anyio.to_thread.run_sync(server.stop)
        assert type(await refused(store.stream("ann"))) is StoreUnavailable
        await anyio.to_thread.run_sync(server.start)
        assert await store.stream("ann") == Stream(agent_id="ann")
        await store.aclose()
    said = [one.getMessage() for one in caplog.records if "not heard of" in one.getMessage()]
    assert 1 <= len(said) <= 4


async def test_a_connection_that_cannot_be_ended_in_order(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is dropped."""
    caplog.set_level(logging.DEBUG)

    class Broken:
        terminated = 0

        def is_closed(self) -> bool:
            return False

        async def close(self, *, timeout: float) -> None:
            raise TimeoutError(timeout)

        async def execute(self, query: str) -> str:
            raise ConnectionResetError(query)

        def terminate(self) -> None:
            self.terminated += 1

    broken: Any = Broken()
    await links.close(broken)
    await links.roll_back(broken)
    assert broken.terminated == 2
    assert "TimeoutError" in caplog.text
    assert "ConnectionResetError" in caplog.text


async def test_a_standby_is_unavailable(server: Server, url: str, store: PostgresStore) -> None:
    """What may only be read is served, and a change is refused."""
    await commit(store, queued())
    name = url.partition("@/")[2].partition("?")[0]
    server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on", "SELECT 1")
    reader = await PostgresStore.open(url)
    assert await reader.interaction("I1") == queued()
    for ask in (commit(reader, queued("I2")), reader.put("C1", b"", START)):
        error = await refused(ask)
        assert type(error) is StoreUnavailable
        assert str(error.value).startswith("25006")
    await reader.aclose()
    server.run(f"ALTER DATABASE {name} RESET default_transaction_read_only", "SELECT 1")


@pytest.fixture
def small_disk(server: Server, tmp_path: Path) -> Iterator[Path]:
    """A disk of two mebibytes that the server may use."""
    place = server.folder.parent / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    owner = server.folder.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


async def test_a_full_disk(
    server: Server, url: str, small_disk: Path, store: PostgresStore
) -> None:
    """A commit that does not fit fails whole; what fits goes on."""
    server.run(f"CREATE TABLESPACE small LOCATION '{small_disk}'", "SELECT 1")
    server.run("ALTER TABLE contents SET TABLESPACE small", "SELECT 1", url=url)
    noise = os.urandom(4_000_000)  # which cannot be made smaller
    assert type(await refused(store.put("C1", noise, START))) is StoreFull
    contents = (Content(id="C2", data=noise, owner="I1"),)
    assert type(await refused(commit(store, queued(), contents=contents))) is StoreFull
    assert await store.interaction("I1") is None
    assert await store.content("C1") is None
    await commit(store, queued("I2"), contents=(Content(id="C3", data=b"x", owner="I2"),))
    assert await store.content("C3") == b"x"
    server.run("ALTER TABLE contents SET TABLESPACE pg_default", "SELECT 1", url=url)
    server.run("DROP TABLESPACE small", "SELECT 1")


async def test_a_damaged_page(server: Server) -> None:
    """What the server finds damaged on its disk is said to be; the rest is served."""
    url = server.database()
    store = await PostgresStore.open(url)
    await commit(store, queued())
    await store.put("C1", b"content", START)
    [(path,)] = server.run("SELECT pg_relation_filepath('contents')", url=url)
    server.stop()
    page = server.folder / path
    damaged = bytearray(page.read_bytes())
    damaged[100:200] = b"\xff" * 100
    page.write_bytes(damaged)
    server.start()
    error = await refused(store.content("C1"))
    assert type(error) is StoreCorrupt
    assert str(error.value).startswith("XX001")
    assert await store.interaction("I1") == queued()
    await store.aclose()


# What the errors mean

STATES = {
    "53100": StoreFull,
    "XX001": StoreCorrupt,
    "XX002": StoreCorrupt,
    "25006": StoreUnavailable,
    "25P03": StoreUnavailable,
    "25P04": StoreUnavailable,
    "3D000": StoreUnavailable,
    "42501": StoreUnavailable,
    "55P03": StoreUnavailable,
}
CLASSES = dict.fromkeys(("08", "28", "53", "57", "58"), StoreUnavailable)


def test_every_error_of_the_server_becomes_ours() -> None:
    """All that the driver knows, by their states; what it does not know too."""
    kinds = [kind for kind in vars(asyncpg.exceptions).values() if isinstance(kind, type)]
    states = set()
    for kind in kinds:
        if issubclass(kind, asyncpg.PostgresError):
            error = kind(SECRET)
            state = error.sqlstate or ""
            states.add(state)
            ours = translated(error, "there")
            assert isinstance(ours, StoreError)
            assert type(ours) is STATES.get(state, CLASSES.get(state[:2], StoreError)), state
            assert ours.path == "there"
            assert SECRET not in str(ours)
            assert kind.__name__ in ours.value
    assert set(STATES) - {"25P04"} <= states
    assert len(states) > 200
    unknown = asyncpg.PostgresError.new({"C": "25P04", "S": "ERROR", "M": "out of time"})
    ours = translated(unknown, "there")
    assert isinstance(ours, StoreUnavailable)
    assert ours.value == "25P04: out of time"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("refused"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (EOFError(), StoreUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (asyncpg.TargetServerAttributeNotMatched("none"), StoreUnavailable),
        (asyncpg.InternalClientError("odd"), StoreError),
        (asyncpg.ProtocolError("odd"), StoreError),
    ],
)
def test_every_error_of_the_driver_becomes_ours(error: Exception, kind: type[StoreError]) -> None:
    """Also those that the server has no part in."""
    ours = translated(error, "there")
    assert type(ours) is kind
    assert isinstance(ours, StoreError)
    assert (ours.path, bool(ours.value)) == ("there", True)


def test_other_errors_stay_what_they_are() -> None:
    """Ours, and those of what callers gave."""
    for error in (KeyError("x"), StoreFull("full")):
        assert translated(error, "there") is error


@pytest.mark.parametrize("text", [None, "", "plain", "\\", "\0", "\\0", "a\0\\\\0\0\\b", "0\\\0"])
def test_any_text_comes_back(text: str | None) -> None:
    """Also one that the server takes no column of."""
    stored = escaped(text)
    assert stored is None or "\0" not in stored
    assert unescaped(stored) == text


# Rows that were edited by hand

JSON = "UPDATE interactions SET data = jsonb_set(data::jsonb, '{{{}}}', '{}')::text"
EDITS = {
    "no JSON": "UPDATE interactions SET data = '{'",
    "another shape": "UPDATE interactions SET data = '[]'",
    "another version": "UPDATE interactions SET version = version + 1",
    "another state": "UPDATE interactions SET state = 'Nonsense'",
    "a wrong type": JSON.format("offer", '"two"'),
    "an unknown key": JSON.format("owner", '"eve"'),
    "a wrong time": JSON.format("deadline", '"soon"'),
    "user data of a wrong type": JSON.format("userData", "7"),
    "no submission": "DELETE FROM submissions",
    "another submission": "UPDATE submissions SET data = "
    "jsonb_set(data::jsonb, '{id}', '\"I7\"')::text",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_a_row_that_cannot_be_right(
    server: Server, url: str, store: PostgresStore, edit: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused by name, and the rest of the store is served; nothing is changed."""
    value = invited(queued(), "ann")
    await commit(store, attrs.evolve(value, version=0))
    server.run(EDITS[edit] + " RETURNING 1", url=url)
    other = attrs.evolve(invited(queued("I2"), "ann"), version=0)
    await commit(store, other)
    wrong, right = await asyncio.gather(refused(store.interaction("I1")), store.interaction("I2"))
    assert isinstance(wrong, StoreCorrupt)
    assert wrong.interaction_id == "I1"
    assert wrong.path is not None
    assert right == other
    assert [one.id for one in await store.held_by("ann")] == ["I2"]
    assert [one.__dict__["interaction_id"] for one in caplog.records] == ["I1"]
    assert len(await store.due(later(1_000_000), later(1_000_001), 10)) == 2


async def test_a_row_edited_while_it_is_known(
    server: Server, url: str, store: PostgresStore
) -> None:
    """What was read before is not sent again, and yet looked at again."""
    await commit(store, queued())
    assert await store.interaction("I1") == queued()
    assert await store.interaction("I1") is await store.interaction("I1")
    server.run("UPDATE interactions SET state = 'Accepted' RETURNING 1", url=url)
    error = await refused(store.interaction("I1"))
    assert (error.path, error.value) == ("$.state", "Accepted")


async def test_an_agent_or_outcome_that_cannot_be_read(
    server: Server, url: str, store: PostgresStore
) -> None:
    """The same for the other records."""
    value = queued()
    outcome = Outcome(operation_id="op1", fingerprint="f", at=START, interaction=value)
    agents = (Agent(id="ann", version=1), Agent(id="bob", version=1))
    await commit(store, value, agents=agents, outcome=outcome)
    server.run("UPDATE agents SET sessions = '{' WHERE id = 'ann' RETURNING 1", url=url)
    wrong, right = await asyncio.gather(refused(store.agent("ann")), store.agent("bob"))
    assert isinstance(wrong, StoreCorrupt)
    assert (wrong.agent_id, wrong.path, right) == ("ann", "$.sessions", agents[1])
    for edit in ("DELETE FROM submissions", "UPDATE outcomes SET data = 'x'"):
        server.run(f"{edit} RETURNING 1", url=url)
        assert isinstance(await refused(store.outcome("op1")), StoreCorrupt)


async def test_rows_that_belong_to_nothing_are_found(
    server: Server, url: str, store: PostgresStore
) -> None:
    """`faults` names each."""
    await commit(store, queued(), queued("I2"))
    assert await store.faults() == ()
    server.run(
        "DELETE FROM submissions WHERE id = 'I1'",
        "INSERT INTO submissions VALUES ('I9', '{}')",
        "INSERT INTO contents VALUES ('C1', 'I8', 0, '')",
        "INSERT INTO deliveries VALUES ('zoe', 1, 't', 'I1', 1, 'Invite', 0, '')",
        "INSERT INTO history VALUES ('I7', 0, 0, NULL, 'Submit', NULL, 'Queued', 0, NULL, NULL)",
        "SELECT 1",
        url=url,
    )
    faults = await store.faults()
    for name, fault in zip(("I1", "I9", "I7", "C1", "zoe"), faults, strict=True):
        assert name in fault


# The whole, across a restart


async def test_a_life_goes_on_after_a_restart(url: str) -> None:
    """Timers that passed while nobody ran fire once, and deliveries come, when it is up again."""
    async with await Lifecycle.open(url, background=False) as first:
        raw = b"From: kim@example.net\r\nTo: help@example.com\r\nSubject: Hello\r\n\r\nHi!"
        mail: Interaction = await first.submit(raw, queue="inbox", operation_id="op1")
        await first.ready("ann")
        offer = Invite(agent_id="ann", delivering_timeout=0.000_001)
        await first.perform(mail.id, offer, agent_id=SYSTEM)
    sink = MemorySink()
    async with await Lifecycle.open(url, sink=sink, background=False) as second:
        assert await second.submit(raw, queue="inbox", operation_id="op1") == mail
        assert await second.fire_due() == 1
        assert await second.fire_due() == 0
        assert await second.drain() == 2
        assert [one.trigger for one in sink.deliveries] == ["Invite", "Revoke"]
        assert (await second.get(mail.id)).state == "Revoked"
        assert await second.content(f"{mail.id}RAW") == raw


async def test_two_processes_tell_each_other(url: str) -> None:
    """What one commits the other's relay delivers, without waiting for a poll."""
    sink = MemorySink()
    async with (
        await Lifecycle.open(url, background=False) as desk,
        await Lifecycle.open(url, sink=sink) as relay,
    ):
        mail = await desk.submit(b"Subject: x\r\n\r\ny", queue=None)
        await desk.ready("ann")
        await desk.invite(mail.id, "ann")
        with anyio.fail_after(PATIENCE):
            while not sink.deliveries:
                await asyncio.sleep(0.005)
        assert (await relay.get(mail.id)).state == "Invited"
        assert [one.sequence for one in sink.deliveries] == [1]
