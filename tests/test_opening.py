"""Stores by their addresses: which store opens, what is refused, and who closes it again."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import anyio
import pytest
from builders import MAIL
from clocks import START, VirtualClock

from lifecycle import Lifecycle, MemorySink, MemoryStore, Settings
from lifecycle._opening import open_store, store_class
from lifecycle.errors import (
    InvalidParameter,
    LifecycleError,
    SchemaMismatch,
    StoreUnavailable,
)

pytestmark = pytest.mark.anyio

SECRET = "s3cret"


class Opened(MemoryStore):
    """A store that stands for one on a disk or a server, and remembers what became of it."""

    opened: list[Opened]
    error: LifecycleError | None = None

    def __init__(self, place: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.place = place
        self.options = options
        self.watched: list[bool] = []
        self.closed = 0
        self.opened.append(self)

    @classmethod
    async def open(cls, place: str, **options: Any) -> Opened:
        """As the classes of real stores."""
        await anyio.lowlevel.checkpoint()
        if cls.error is not None:
            raise cls.error
        return cls(place, options)

    def watch(self, changed: Any) -> None:
        """Remember whether it is watched."""
        self.watched.append(changed is not None)

    async def aclose(self) -> None:
        """Remember that it was closed; it takes a moment."""
        await anyio.lowlevel.checkpoint()
        self.closed += 1


class OpenedFile(Opened):
    """In the place of the store in a file."""

    opened: list[Opened]


class OpenedServer(Opened):
    """In the place of the store on a server."""

    opened: list[Opened]


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both adapters are replaced: what is tested here is who gets which address."""
    kinds = {"sqlite": ("SqliteStore", OpenedFile), "postgres": ("PostgresStore", OpenedServer)}
    for module, (name, kind) in kinds.items():
        replaced = ModuleType(f"lifecycle.stores.{module}")
        setattr(replaced, name, kind)
        monkeypatch.setitem(sys.modules, replaced.__name__, replaced)
        monkeypatch.setattr(kind, "opened", [], raising=False)
        monkeypatch.setattr(kind, "error", None)


class Odd:
    """A path that says what it is told to."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        """The path."""
        return self.path


FILES = {
    "lifecycle.db": "lifecycle.db",
    "/var/lib/lifecycle.db": "/var/lib/lifecycle.db",
    "./a:b.db": "./a:b.db",
    "dir.d:e/x": "dir.d:e/x",
    "C:\\data\\life.db": "C:\\data\\life.db",
    "a\\b:c": "a\\b:c",
    "sqlite:///lifecycle.db": "lifecycle.db",
    "sqlite:////var/lib/lifecycle.db": "/var/lib/lifecycle.db",
    "sqlite:///a b%20c?d.db": "a b%20c?d.db",
}


@pytest.mark.parametrize("address", FILES)
async def test_a_path_is_a_file(address: str) -> None:
    """With or without `sqlite:///`; nothing in it is read as anything but a name."""
    store = await open_store(address, synchronous="NORMAL")
    assert isinstance(store, OpenedFile)
    assert (store.place, store.options) == (FILES[address], {"synchronous": "NORMAL"})
    assert store_class(address) == (OpenedFile, FILES[address])


@pytest.mark.parametrize("name", ["life.db", "memory:", "postgresql://x", "/var/life.db"])
async def test_a_path_object_is_always_a_file(name: str) -> None:
    """However it is called."""
    for path in (PurePosixPath(name), Odd(name)):
        store = await open_store(path)
        assert isinstance(store, OpenedFile)
        assert store.place == str(path if isinstance(path, PurePosixPath) else name)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://life:{SECRET}@db.example:5432/life",
        f"postgres://life:{SECRET}@db.example/life?sslmode=require",
        f"postgresql:///life?host=/run/postgresql&password={SECRET}",
        "postgresql://[::1]/life",
    ],
)
async def test_a_server_gets_the_whole_address(address: str) -> None:
    """As it was written."""
    store = await open_store(address, pool=3)
    assert isinstance(store, OpenedServer)
    assert (store.place, store.options) == (address, {"pool": 3})
    assert store_class(address) == (OpenedServer, address)


async def test_memory_is_a_new_store_each_time() -> None:
    """Nothing is shared."""
    first, second = await open_store("memory:"), await open_store("memory:")
    assert type(first) is type(second) is MemoryStore
    assert first is not second
    assert store_class("memory:")[0] is MemoryStore


REFUSED = {
    "": "must not be empty",
    f"mysql://life:{SECRET}@db.example/life": "must be a path, or begin with",
    f"{'x' * 40}:{SECRET}": "must be a path, or begin with",
    ":memory:": "must be a path, or begin with",
    f"SQLITE:///{SECRET}": "must be a path, or begin with",
    "sqlite:": "must be sqlite:///PATH",
    f"sqlite:{SECRET}": "must be sqlite:///PATH",
    f"sqlite://{SECRET}": "must be sqlite:///PATH",
    f"sqlite://life:{SECRET}@host/x.db": "must be sqlite:///PATH",
    "sqlite:///": "must be sqlite:///PATH",
    f"memory:{SECRET}": "must be memory: and nothing else",
    "memory://": "must be memory: and nothing else",
    "postgresql:": "names no server",
    f"postgresql:life:{SECRET}@db": "names no server",
    f"postgresql:///life?password={SECRET}": "names no server",
    f"postgresql://life:{SECRET}@[db/life": "names no server",
    f"postgresql://life:{SECRET}@\u2100/life": "names no server",
}


@pytest.mark.parametrize("address", REFUSED)
async def test_what_names_no_store_is_refused(address: str) -> None:
    """With what is wrong, and without what may be a password; also where a store is asked for."""
    for ask in (open_store, Lifecycle.open):
        with pytest.raises(InvalidParameter, match=REFUSED[address]) as caught:
            await ask(address)
        error: BaseException | None = caught.value
        assert caught.value.path == "$.store"
        while error is not None:
            assert SECRET not in f"{error} {error!r} {vars(error)}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    with pytest.raises(InvalidParameter):
        store_class(address)


@pytest.mark.parametrize("address", [None, 7, b"life.db", ["life.db"], Odd(b"life.db"), Odd(7)])
async def test_what_is_no_text_is_refused(address: Any) -> None:
    """A path is text, here; bytes are none."""
    with pytest.raises(InvalidParameter, match="must be a path or an address") as caught:
        await Lifecycle.open(address)
    assert (caught.value.path, caught.value.value) == ("$.store", address)


@pytest.mark.parametrize(
    ("address", "module", "named"),
    [
        (f"postgresql://life:{SECRET}@db/life", "postgres", "email-lifecycle[postgres]"),
        ("life.db", "sqlite", "email-lifecycle"),
    ],
)
async def test_a_library_that_is_missing_is_named(
    address: str, module: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install, and no password."""
    monkeypatch.setitem(sys.modules, f"lifecycle.stores.{module}", None)
    errors = []
    with pytest.raises(StoreUnavailable) as caught:
        await Lifecycle.open(address)
    errors.append(caught.value)
    with pytest.raises(StoreUnavailable) as caught:
        store_class(address)
    errors.append(caught.value)
    for error in errors:
        assert f"pip install '{named}'" in str(error)
        assert error.path == {"postgres": "postgresql"}.get(module, module)
        assert f"lifecycle.stores.{module}" in error.value
        assert isinstance(error.__cause__, ImportError)
        assert SECRET not in f"{error}{error.__cause__}"


# A lifecycle that opens its store


async def test_what_was_opened_is_closed() -> None:
    """Once, when the context ends; and it is watched only while the context is open."""
    lifecycle = await Lifecycle.open(
        "life.db", sink=MemorySink(), clock=VirtualClock(), background=False
    )
    (store,) = OpenedFile.opened
    assert (store.closed, store.watched) == (0, [])
    async with lifecycle as same:
        assert same is lifecycle
        assert (await lifecycle.submit(MAIL, queue=None, id="I1")).id == "I1"
        assert await store.interaction("I1")
        assert (store.closed, store.watched) == (0, [True])
    assert (store.closed, store.watched) == (1, [True, False])
    await lifecycle.aclose()
    assert store.closed == 1


async def test_what_was_opened_can_be_closed_without_a_context() -> None:
    """By `aclose`, as often as one likes."""
    lifecycle = await Lifecycle.open("life.db")
    for _ in range(2):
        await lifecycle.aclose()
    assert [store.closed for store in OpenedFile.opened] == [1]


async def test_a_store_that_was_given_is_its_owners_to_close() -> None:
    """Neither the context nor `aclose` does."""
    store = await OpenedFile.open("life.db")
    lifecycle = Lifecycle(store=store, background=False)
    async with lifecycle:
        pass
    await lifecycle.aclose()
    assert store.closed == 0
    assert store.watched == [True, False]


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("error", [ValueError("of the body"), KeyboardInterrupt()], ids=repr)
async def test_what_was_opened_is_closed_where_the_body_fails(
    error: BaseException, background: bool
) -> None:
    """And the error goes on as it is."""
    with pytest.raises(type(error)) as caught:
        async with await Lifecycle.open("life.db", background=background):
            raise error
    assert caught.value is error
    assert [store.closed for store in OpenedFile.opened] == [1]


async def test_what_was_opened_is_closed_where_the_body_is_cancelled() -> None:
    """Though closing takes a moment."""
    with anyio.CancelScope() as scope:
        async with await Lifecycle.open("life.db"):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert [store.closed for store in OpenedFile.opened] == [1]


async def test_what_was_opened_is_closed_where_nobody_can_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that fails to end its watching is closed all the same."""

    def watch(self: Opened, changed: Any) -> None:
        if changed is None:
            raise OSError("no connection")

    monkeypatch.setattr(OpenedFile, "watch", watch)
    with pytest.raises(OSError, match="no connection"):
        async with await Lifecycle.open("life.db", background=False):
            pass
    assert [store.closed for store in OpenedFile.opened] == [1]


async def test_what_was_opened_is_closed_where_no_lifecycle_can_be_made() -> None:
    """An argument that is refused leaves no connection behind."""

    class Broken:
        """A clock that has stopped."""

        def now(self) -> Any:
            raise OSError("no time")

    with pytest.raises(OSError, match="no time"):
        await Lifecycle.open("life.db", clock=Broken())
    assert [store.closed for store in OpenedFile.opened] == [1]


async def test_what_the_store_says_when_it_is_opened_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error of the store's, unchanged."""
    error = SchemaMismatch("the schema is newer", value=9)
    monkeypatch.setattr(OpenedFile, "error", error)
    with pytest.raises(SchemaMismatch) as caught:
        await Lifecycle.open("life.db")
    assert caught.value is error


async def test_the_other_arguments_go_to_the_lifecycle() -> None:
    """The clock, the settings, the ids and the observer are those that were given."""
    told: list[object] = []
    async with await Lifecycle.open(
        "memory:",
        sink=(sink := MemorySink()),
        clock=VirtualClock(),
        ids=lambda at: "N1",
        settings=Settings(backlog=1),
        observer=told.append,
        background=False,
    ) as lifecycle:
        made = await lifecycle.submit(MAIL, queue="sales")
        assert (made.id, made.submission.received_at) == ("N1", f"{START:%Y-%m-%dT%H:%M:%SZ}")
        await lifecycle.ready("ann")
        await lifecycle.invite("N1", "ann")
        assert await lifecycle.drain() == len(sink.deliveries) == 1
    assert len(told) == 3


class ClockedStore(MemoryStore):
    """A store on a server with a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()


async def test_the_clock_is_the_stores_where_it_has_one() -> None:
    """Semantics 5: one source of time; one that was given goes before."""
    own, given = Lifecycle(store=ClockedStore()), VirtualClock(START.replace(year=2030))
    assert (await own.submit(MAIL, queue=None)).submission.received_at.startswith("2026-03-02T09")
    told = Lifecycle(store=ClockedStore(), clock=given)
    assert (await told.submit(MAIL, queue=None)).submission.received_at.startswith("2030-")


async def test_a_real_file_is_opened_by_a_path(tmp_path: Path) -> None:
    """What is there after one lifecycle is there for the next."""
    for name in ("lifecycle.stores.sqlite", "lifecycle.stores.postgres"):
        del sys.modules[name]
    path = tmp_path / "life.db"
    async with await Lifecycle.open(path, background=False) as lifecycle:
        made = await lifecycle.submit(MAIL, queue=None)
    async with await Lifecycle.open(f"sqlite:///{path}", background=False) as lifecycle:
        assert await lifecycle.get(made.id) == made
