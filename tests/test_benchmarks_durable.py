"""The durable benchmarks do what they say: every rival writes what it is said to write.

Nothing here depends on how fast anything is.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import orjson
import pytest
from benchmarks import durable, growth, timers
from benchmarks.__main__ import main
from benchmarks.durable_events import Events
from benchmarks.durable_rivals import OutOfDateError, SqliteByHand
from benchmarks.durable_work import (
    BY_HAND,
    EVENTS,
    HELD,
    LARGE,
    OURS,
    QUICK,
    SMALL,
    DurableEffort,
    Ours,
    Payload,
    agent_id,
    alternated,
    interaction_id,
    service,
)
from benchmarks.filled import fill, pattern
from benchmarks.report import Result
from benchmarks.timers import Heartbeat, fire_all

from lifecycle.service import Lifecycle
from lifecycle.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from postgres_server import Server

_P = ParamSpec("_P")

TABLES = ("interactions", "submissions", "agents", "history", "deliveries", "threads", "people")
TIMES = ("at", "deadline", "due_at", "oldest_at")
TINY = DurableEffort(
    rounds=2, seconds=0.02, callers=(2,), pending=(500,), due=30, stored=(600, 900), overdue=20
)


def asynchronous(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """A test that is a coroutine, run by asyncio alone, which is what the benchmarks use."""

    @wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def timeless(columns: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """A row without times, also inside of its JSON."""
    values = {name: value for name, value in zip(columns, row, strict=True) if name not in TIMES}
    if "data" in values:
        values["data"] = orjson.loads(values["data"])
        values["data"].pop("deadline", None)
    return values


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of an SQLite file, by table, without times."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            columns = [column[0] for column in rows.description]
            found[table] = [timeless(columns, row) for row in rows]
    return found


def files(folder: Path) -> tuple[Path, Path]:
    """The files of ours and of the one by hand."""
    [ours] = folder.glob("*/ours.db")
    return ours, ours.with_name("by_hand.db")


async def stepped(worlds: Mapping[str, Any]) -> None:
    """Let the first caller take two steps, the second three, and so on."""
    for name, world in worlds.items():
        for number in range(3):
            for _ in range(number + 2):
                step = world.step(number)
                if name != EVENTS:
                    await step


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the benchmarks put their files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("payload", [LARGE, SMALL])
def test_by_hand_writes_the_same_rows(folder: Path, payload: Payload) -> None:
    """After the same steps both files have the same rows, byte for byte but for the times."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds = await durable.sqlite_worlds(stack, payload, 3, "NORMAL")
            await stepped(worlds)
            ours, by_hand = map(rows_of, files(folder))
            assert ours == by_hand
            assert [row["version"] for row in ours["interactions"]] == [4, 5, 6]
            assert [row["sequence"] for row in ours["agents"]] == [4, 5, 6]
            assert len(ours["deliveries"]) == 3 * 2 + 2 + 3 + 4
            assert len(ours["history"]) == 3 * 3 + 2 + 3 + 4

    asyncio.run(work())


@pytest.mark.parametrize(("payload", "size"), [(LARGE, 3500), (SMALL, 500)])
def test_an_interaction_has_the_size_that_is_told(payload: Payload, size: int) -> None:
    """What is stored of an accepted interaction is within a tenth of it."""
    made = asyncio.run(pattern(payload, accepted=True))
    stored = sum(
        len(dict(zip(made.columns[table], made.rows[table][0], strict=True))["data"])
        for table in ("interactions", "submissions")
    )
    assert size * 0.9 <= stored <= size * 1.1


def test_events_have_the_payloads_of_our_deliveries(folder: Path) -> None:
    """The library saves as many events as there were steps, each with what was notified."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds = await durable.sqlite_worlds(stack, LARGE, 3, "FULL")
            await stepped(worlds)
            events = worlds[EVENTS]
            assert isinstance(events, Events)
            assert events.stored() == 3 + 2 + 3 + 4  # each began with an event
            ours = rows_of(files(folder)[0])["deliveries"]
            with closing(sqlite3.connect(files(folder)[0].with_name("events.db"))) as connection:
                states = connection.execute(
                    "SELECT state FROM stored_events WHERE originator_version > 1"
                )
                saved = sorted(orjson.loads(state)["payload"] for (state,) in states)
            told = [row["payload"].decode() for row in ours if row["sequence"] > 2]
            assert saved == sorted(told)

    asyncio.run(work())


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
def test_all_wait_for_the_disk_alike(folder: Path, synchronous: Any, number: int) -> None:
    """Each connection of ours and of the rivals has the durability that is told."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds: dict[str, Any] = await durable.sqlite_worlds(stack, SMALL, 1, synchronous)
            pragma = "PRAGMA synchronous"
            asked = [
                worlds[OURS]._store._connection.execute(pragma).fetchone()[0],
                worlds[BY_HAND]._connection.execute(pragma).fetchone()[0],
            ]
            datastore = worlds[EVENTS]._application.factory.datastore
            with datastore.transaction(commit=True) as cursor:
                cursor.execute(pragma)
                asked.append(cursor.fetchone()[0])
            assert asked == [number] * 3

    asyncio.run(work())


def test_by_hand_refuses_what_is_out_of_date(folder: Path) -> None:
    """Of two steps from one version neither is written, where they come in one transaction."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds = await durable.sqlite_worlds(stack, SMALL, 1, "NORMAL")
            by_hand = worlds[BY_HAND]
            assert isinstance(by_hand, SqliteByHand)
            before = rows_of(files(folder)[1])
            came = await asyncio.gather(by_hand.step(0), by_hand.step(0), return_exceptions=True)
            lost = [error for error in came if error is not None]
            assert lost
            assert {type(error) for error in lost} == {OutOfDateError}
            steps = len(rows_of(files(folder)[1])["history"]) - len(before["history"])
            assert steps == 2 - len(lost) == by_hand.steps

    asyncio.run(work())


def test_every_step_that_counts_is_stored(folder: Path) -> None:
    """While callers run, each of the subjects stores as many steps as it counts."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds: dict[str, Any] = await durable.sqlite_worlds(stack, SMALL, 4, "NORMAL")
            for world in worlds.values():
                start = time.perf_counter()
                rate = await world.run(0.05)
                assert 0 < rate * 0.05 <= rate * (time.perf_counter() - start)
            for name, path in zip((OURS, BY_HAND), files(folder), strict=True):
                assert worlds[name].steps > 4
                assert len(rows_of(path)["history"]) == 4 * 3 + worlds[name].steps
            events = worlds[EVENTS]
            assert events.stored() == 4 + sum(events.steps)
            assert min(events.steps) > 0
            assert events.threads in (1, 4)

    asyncio.run(work())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    from postgres_server import postgres

    with postgres() as running:
        yield running


def test_by_hand_writes_the_same_rows_in_postgresql(server: Server) -> None:
    """After the same steps both databases have the same rows but for the times."""
    from benchmarks.durable_postgres import postgres_worlds

    def rows(url: str) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for table in TABLES:
            columns = [
                name
                for (name,) in server.run(
                    "SELECT column_name::text FROM information_schema.columns WHERE "
                    f"table_schema = 'lifecycle' AND table_name = '{table}' "
                    "ORDER BY ordinal_position",
                    url=url,
                )
            ]
            listed = ", ".join(f'"{name}"' for name in columns)
            found[table] = [
                timeless(columns, row)
                for row in server.run(f"SELECT {listed} FROM {table} ORDER BY 1, 2", url=url)
            ]
        return found

    async def work() -> None:
        async with AsyncExitStack() as stack:
            worlds: dict[str, Any] = await postgres_worlds(stack, server, SMALL, 3)
            await stepped(worlds)
            assert worlds[EVENTS].stored() == 3 + 2 + 3 + 4

    asyncio.run(work())
    [(copy,)] = server.run("SELECT datname::text FROM pg_database WHERE datname LIKE '%_copy'")
    ours = rows(server.address(copy.removesuffix("_copy")))
    assert ours == rows(server.address(copy))
    assert len(ours["deliveries"]) == 3 * 2 + 2 + 3 + 4


class Fixed:
    """Callers whose rates are known."""

    def __init__(self, name: str, order: list[str], *rates: float) -> None:
        self._name, self._order, self._rates = name, order, list(rates)

    async def run(self, seconds: float) -> float:
        """The next rate."""
        self._order.append(self._name)
        return self._rates.pop(0)

    async def aclose(self) -> None:
        """Nothing is held."""


@asynchronous
async def test_worlds_alternate() -> None:
    """Every other round goes through them backwards, and rates stay with their worlds."""
    order: list[str] = []
    worlds = [Fixed("one", order, 1, 2, 3), Fixed("two", order, 10, 20, 30)]
    assert await alternated(worlds, rounds=3, seconds=0) == [(1, 10), (2, 20), (3, 30)]
    assert order == ["one", "two", "two", "one", "one", "two"]


@pytest.mark.parametrize("held", [True, False])
def test_ratios_are_held_to_bounds(held: bool) -> None:
    """Ratios are taken within rounds, and only where it is said have they bounds."""
    worlds = {
        OURS: Fixed(OURS, [], 0, 70, 140, 600),
        BY_HAND: Fixed(BY_HAND, [], 0, 100, 100, 1000),
        EVENTS: Fixed(EVENTS, [], 0, 40, 70, 100),
    }
    effort = DurableEffort(rounds=3, seconds=0.01)
    results = asyncio.run(durable.compared(worlds, "here", effort, held=held))
    figures = {result.bound.name: result for result in results}
    by_hand, events = (
        figures["here: lifecycle / by hand"],
        figures["here: lifecycle / eventsourcing"],
    )
    assert (by_hand.measured.median, events.measured.median) == (0.7, 2)
    assert (by_hand.passed, events.passed) == ((True, True) if held else (None, None))
    assert by_hand.bound.at_least == (0.7 if held else None)
    assert events.bound.at_least == (2 if held else None)
    assert figures["here: lifecycle"].measured.median == 140


def test_steps_are_held_to_bounds_where_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite that is with 256 callers and FULL alone."""
    held: list[str] = []

    async def compared(
        worlds: Mapping[str, Any], what: str, effort: DurableEffort, *, held: bool
    ) -> list[Result]:
        seen.append((what, held))
        return []

    async def nothing(*arguments: Any) -> dict[str, Any]:
        return {}

    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(durable, "compared", compared)
    monkeypatch.setattr(durable, "sqlite_worlds", nothing)
    assert durable.steps(DurableEffort(stores=("sqlite",))) == []
    held = [what for what, bound in seen if bound]
    assert held == [f"SQLite FULL, {size}, {HELD} callers" for size in ("3.5 kB", "500 B")]
    assert len(seen) == 2 * 3 * 2


# Timers


@pytest.mark.parametrize("name", [OURS, timers.CALL_LATER])
@asynchronous
async def test_timers_that_are_added_are_pending(name: str) -> None:
    """Adding gives figures, and checks for itself that so many are pending."""
    figures = await timers.added(name, 250)
    assert figures["microseconds"] > 0
    assert figures["stall"] > 0


@pytest.mark.parametrize(
    ("name", "collected"),
    [(OURS, True), (OURS, False), (timers.CALL_LATER, False), (timers.IDLE, True)],
)
def test_timers_that_fall_due_are_fired(name: str, collected: bool) -> None:
    """In a process of its own; it fails where not all of them are."""
    figures = timers.apart("fell_due", name, 40, collected)
    assert figures["stall"] >= figures["median"] > 0
    assert figures["seconds"] > 0


@asynchronous
async def test_overdue_offers_really_expire() -> None:
    """Afterwards all are revoked, and each agent has been told of that, too."""
    store = await timers.overdue(30)
    await fire_all(service(store), 30)
    for number in range(30):
        interaction = await store.interaction(interaction_id(number))
        assert interaction is not None
        assert interaction.state == "Revoked"
        told = await store.deliveries(agent_id(number), 0, 10)
        assert [one.trigger for one in told] == ["Invite", "Revoke"]
    with pytest.raises(AssertionError, match="0 of 30 were fired"):
        await fire_all(service(store), 30)


@asynchronous
async def test_a_heartbeat_sees_a_stall() -> None:
    """A task that keeps the event loop for 50 ms is the worst gap."""
    async with Heartbeat() as beat:
        await asyncio.sleep(0.02)
        assert len(beat.gaps) > 1
        time.sleep(0.05)  # blocks the loop, as it must not
    assert beat.worst >= 50
    name, worst = (result.bound.name for result in beat.results("gap"))
    assert (name, worst) == ("gap", "gap, worst")


@asynchronous
async def test_others_go_on_while_many_timers_fire() -> None:
    """While a hundred deadlines expire in one call, another task has turns in between."""
    centre, turns, firing = service(await timers.overdue(100)), 0, True

    async def others() -> None:
        nonlocal turns
        while firing:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    assert await centre.fire_due() == 100
    firing = False
    await task
    assert turns >= 10


# Filled stores


@asynchronous
async def test_filled_stores_are_as_if_submitted(tmp_path: Path) -> None:
    """Interactions can be read and stepped, and belong to the agents that they are shared among."""
    path = tmp_path / "filled.db"
    await fill(path, await pattern(SMALL, accepted=True), 0, 10, agents=3)
    await fill(path, await pattern(SMALL, accepted=True), 10, 2, agents=3)
    store = await SqliteStore.open(path)
    assert [agent.load for agent in await store.agents()] == [4, 4, 4]
    held = await store.held_by(agent_id(1))
    assert [one.id for one in held] == [interaction_id(number) for number in (1, 4, 7, 10)]
    assert held[1].email == SMALL.email(4)
    assert held[1].user_data["customer_field_0"] == "value 0 of 000004"
    assert [entry.trigger for entry in await store.history(interaction_id(4))] == [
        "Submit",
        "Invite",
        "Accept",
    ]
    assert [one.id for one in await store.thread("<m000004@home.example>")] == [interaction_id(4)]
    assert await store.of_person("zoe000004@home.example") == (interaction_id(4),)
    world = Ours(store, 1)
    await world.step(4, 1)
    stepped = await store.interaction(interaction_id(4))
    assert stepped is not None
    assert (stepped.state, stepped.version) == ("ReplyCreated", 3)
    await world.aclose()


@asynchronous
async def test_filled_stores_have_the_deadline_that_is_given(tmp_path: Path) -> None:
    """The interactions themselves have it, and not only their rows."""
    path, due = tmp_path / "filled.db", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    await fill(path, await pattern(SMALL, accepted=False), 0, 5, due=due)
    store = await SqliteStore.open(path)
    found = await store.due(due, due + timedelta(minutes=1), 10)
    assert [one.deadline for one in found] == [due] * 5
    interaction = await store.interaction(interaction_id(3))
    assert interaction is not None
    assert (interaction.deadline, interaction.agent_id) == (due, agent_id(3))
    await store.aclose()


@asynchronous
async def test_callers_among_many_take_any() -> None:
    """One caller takes any interaction; of several each takes those of its own agent."""

    class Noting:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int | None]] = []

        async def step(self, number: int, agent: int | None = None) -> None:
            """Note it."""
            self.seen.append((number, agent))

    world = Noting()
    alone = growth.Among(world, 300, 1)
    for _ in range(3000):
        await alone.step(0)
    assert {number for number, _ in world.seen} == set(range(300))
    assert all(agent == number % 256 for number, agent in world.seen)
    world.seen.clear()
    many = growth.Among(world, 600, 256)
    for caller in (0, 80, 255):
        for _ in range(50):
            await many.step(caller)
    assert {number for number, _ in world.seen} == {0, 256, 512, 80, 336, 592, 255, 511}
    assert {agent for _, agent in world.seen} == {0, 80, 255}
    world.seen.clear()
    staying = growth.Among(world, 600, 256, staying=True)
    for caller in (0, 80, 255, 0, 80, 255):
        await staying.step(caller)
    assert world.seen == 2 * [(256, 0), (336, 80), (511, 255)]


def test_growth_and_recovery_measure_what_they_say(folder: Path) -> None:
    """Of tiny stores all figures are there, and those with bounds have them."""
    found = growth.growth(TINY) + growth.recovery(TINY)
    bounds = {result.bound.name: result.bound.at_most for result in found if result.bound.at_most}
    assert bounds == {
        "SQLite: opening and firing 20 overdue among 900 / 600": 5,
        **{
            f"SQLite FULL, 500 B, {callers} callers, {which}: step among 900 / among 600": 1.3
            for callers in (1, 256)
            for which in ("each its own", "any")
        },
        "SQLite, 30 open and overdue, 500 B: "
        "stall of a 1 ms heartbeat while they are fired, worst": 10,
    }
    assert all(result.measured.low > 0 for result in found)
    assert growth.growth(DurableEffort(stores=("postgresql",))) == []
    assert growth.recovery(DurableEffort(stores=("postgresql",))) == []


@asynchronous
async def test_what_is_missing_is_seen(tmp_path: Path) -> None:
    """Where fewer are found or fired than there should be, there is no figure."""
    path, another = tmp_path / "filled.db", tmp_path / "another.db"
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    for each in (path, another):
        await fill(each, await pattern(SMALL, accepted=False), 0, 4, due=past)
    with pytest.raises(AssertionError, match="4 of 5 were found"):
        growth.scanned(path, 5)
    with pytest.raises(AssertionError, match="4 of 5 were found"):
        await growth.taken(path, 5, 0)
    with pytest.raises(AssertionError, match="4 of 5 were fired"):
        await growth.fired(another, 5)


# The command


@pytest.mark.parametrize(
    ("arguments", "effort"),
    [
        ([], DurableEffort()),
        (["--rounds", "9"], DurableEffort(rounds=9)),
        (["--store", "sqlite"], DurableEffort(stores=("sqlite",))),
        (
            ["--store", "postgresql", "--rounds", "1"],
            DurableEffort(stores=("postgresql",), rounds=1),
        ),
        (["--quick"], QUICK),
    ],
)
def test_the_command_says_how_hard_to_measure(
    arguments: list[str], effort: DurableEffort, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flags of the durable benchmarks, which leave the others out."""
    asked: list[DurableEffort] = []

    def suite(given: DurableEffort) -> list[Result]:
        asked.append(given)
        return []

    assert main(["--durable", *arguments], suites={}, durable={"steps": suite}) == 0
    assert asked == [effort]


def test_the_command_keeps_its_suites_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A durable suite can be picked only with the flag, another one only without it."""
    for arguments, told in (
        (["--only", "timers"], "timers is measured with --durable"),
        (["--durable", "--only", "legality"], "legality is measured without --durable"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert told in capsys.readouterr().err


def test_a_service_of_the_benchmarks_does_nothing_by_itself(tmp_path: Path) -> None:
    """Nothing is delivered or fired but when it is asked for."""

    async def work() -> None:
        store = await SqliteStore.open(tmp_path / "x.db")
        async with service(store) as centre:
            assert isinstance(centre, Lifecycle)
            assert len(asyncio.all_tasks()) == 1
        await store.aclose()

    asyncio.run(work())
