"""`lifecycle history`, `agents`, `queue`, `deliveries`, `outgoing` and `store`."""

from __future__ import annotations

import logging
import os
import pty
import re
import shutil
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from clocks import START
from processes import MODULE, environment
from store_files import Ended, edit, fill, run

from lifecycle import MemoryStore, Store
from lifecycle.cli import _stores, stores
from lifecycle.errors import StoreFull, StoreUnavailable
from lifecycle.stores.sqlite import SqliteStore

READING: tuple[tuple[str, ...], ...] = (
    ("history", "K1"),
    ("agents",),
    ("queue",),
    ("deliveries",),
    ("deliveries", "ann"),
    ("deliveries", "--release", "ann"),
    ("outgoing",),
    ("outgoing", "--drop", "x"),
    ("store", "check"),
    ("person", "export", "a@b.example"),
    ("person", "erase", "a@b.example", "--yes"),
)
"""Every command that must not make a store."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a day's work."""
    return fill(tmp_path_factory.mktemp("template") / "store.db")


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(template, tmp_path))


def ask(path: Path, *arguments: object) -> Ended:
    """Run a command on a file."""
    return run(*arguments, "--store", f"sqlite:///{path}")


# What is asked


def test_history_is_printed(path: Path) -> None:
    """One line for each version, oldest first."""
    ran = ask(path, "history", "K2")
    assert (ran.status, ran.errors) == (0, "")
    assert ran.output == (
        "version  at                   trigger         from      to         by      notified"
        "  sequence  offer\n"
        "0        2026-03-02 09:01:00  Submit          -         Queued     system  -       "
        "  -         0\n"
        "1        2026-03-02 09:01:00  Invite          Queued    Invited    system  ann     "
        "  5         1\n"
        "2        2026-03-02 09:01:00  Accept          Invited   Accepted   ann     ann     "
        "  6         1\n"
        "3        2026-03-02 09:01:00  StopProcessing  Accepted  Completed  ann     ann     "
        "  7         1\n"
    )


def test_history_as_json(path: Path) -> None:
    """One object for each line, with the documented keys."""
    ran = ask(path, "history", "K2", "--json")
    assert [one["version"] for one in ran.objects] == [0, 1, 2, 3]
    last = ran.objects[-1]
    at = last.pop("at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", at)
    assert last == {
        "interactionId": "K2", "version": 3, "actor": "ann", "trigger": "StopProcessing",
        "source": "Accepted", "dest": "Completed", "offer": 1, "agentId": "ann", "sequence": 7,
    }  # fmt: skip


def test_a_history_that_is_not_there_is_refused(path: Path) -> None:
    """One line; exit status 2."""
    ran = ask(path, "history", "Z9")
    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith("lifecycle history: there is no such interaction")
    assert len(ran.errors.splitlines()) == 1


def test_agents_are_printed(path: Path) -> None:
    """Readiness, load and deliveries of each."""
    ran = ask(path, "agents")
    assert ran.status == 0
    assert ran.cells == [
        ["ann", "yes", "-", "1", "0", "0", "0", "9", "yes"],
        ["bob", "no", "lunch", "0", "0", "0", "0", "0", "no"],
    ]
    ann, bob = ask(path, "agents", "--json").objects
    assert ann == {
        "agentId": "ann", "ready": True, "reason": None, "load": 1, "missed": 0, "sessions": 0,
        "gone": False, "awayAt": None, "sequence": 9, "delivered": 0, "absent": False,
        "stopped": True,
    }  # fmt: skip
    assert (bob["ready"], bob["reason"]) == (False, "lunch")


def test_the_queue_is_printed_oldest_first(path: Path) -> None:
    """All that waits, or one queue, or some."""
    ran = ask(path, "queue")
    assert [cells[:3] for cells in ran.cells] == [
        ["W1", "sales", "Queued"],
        ["W2", "support", "Queued"],
        ["W3", "sales", "Queued"],
    ]
    assert [one["interactionId"] for one in ask(path, "queue", "--json").objects] == [
        "W1", "W2", "W3",
    ]  # fmt: skip
    assert [cells[0] for cells in ask(path, "queue", "support").cells] == ["W2"]
    assert [cells[0] for cells in ask(path, "queue", "sales", "--limit", 1).cells] == ["W1"]
    assert ask(path, "queue", "nowhere") == Ended(0, "", "")
    [w2] = ask(path, "queue", "support", "--json").objects
    assert list(w2) == [
        "interactionId", "queue", "state", "receivedAt", "version", "offer", "fromAddress",
        "subject",
    ]  # fmt: skip


def test_what_a_mail_says_commands_no_terminal(path: Path) -> None:
    """A hostile subject stays in its line, written out."""
    ran = ask(path, "queue")
    assert len(ran.output.splitlines()) == 4
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ran.output)
    assert r"\x1b]0;owned\x07" in ran.output


def test_streams_are_printed(path: Path) -> None:
    """How far each has come, or those that stopped, and at what."""
    ran = ask(path, "deliveries")
    assert [cells[0] for cells in ran.cells] == ["ann"]
    [ann] = ask(path, "deliveries", "--parked", "--json").objects
    at = ann["next"].pop("at")
    assert at.endswith("Z")
    assert ann == {
        "agentId": "ann", "delivered": 0, "waiting": 9, "tries": 1, "retryAt": None,
        "absent": False, "stopped": True,
        "next": {"sequence": 1, "interactionId": "K1", "trigger": "Invite"},
    }  # fmt: skip
    assert "K1" in ask(path, "deliveries", "--parked").output


def test_a_stream_that_goes_on_is_not_among_the_stopped(path: Path) -> None:
    """After all was delivered nothing is next; one who only connected has no deliveries."""
    edit(
        path,
        "UPDATE agents SET parked = 0, delivered = sequence, retry_at = 5 WHERE id = 'ann'",
        "INSERT INTO agents (id, connects) VALUES ('zoe', 1)",
    )
    assert ask(path, "deliveries", "--parked") == Ended(0, "", "")
    ann, zoe = ask(path, "deliveries", "--json").objects
    assert (ann["next"], ann["waiting"], ann["retryAt"]) == (None, 0, "1970-01-01T00:00:00.000005Z")
    assert (zoe["agentId"], zoe["waiting"]) == ("zoe", 0)
    assert "1970-01-01 00:00:00" in ask(path, "deliveries").output


def test_what_waits_for_an_agent_is_printed(path: Path) -> None:
    """In order; with the notifications as JSON."""
    ran = ask(path, "deliveries", "ann", "--limit", 2)
    assert [(cells[0], cells[3], cells[4]) for cells in ran.cells] == [
        ("1", "Invite", "K1"),
        ("2", "Accept", "K1"),
    ]
    objects = ask(path, "deliveries", "ann", "--json").objects
    assert [one["sequence"] for one in objects] == list(range(1, 10))
    assert objects[0]["data"]["messageTypeName"] == "InteractionStateMessage"
    edit(path, "UPDATE agents SET parked = 0, delivered = 7 WHERE id = 'ann'")
    assert [cells[0] for cells in ask(path, "deliveries", "ann").cells] == ["8", "9"]
    assert ask(path, "deliveries", "nobody") == Ended(0, "", "")


def stream(path: Path) -> tuple[int, int, int]:
    """Delivered, tries and parked of Ann's stream."""
    connection = sqlite3.connect(path)
    [row] = connection.execute("SELECT delivered, tries, parked FROM agents WHERE id = 'ann'")
    connection.close()
    return (row[0], row[1], row[2])


def test_a_stream_is_released(path: Path) -> None:
    """It is tried again where it stopped; a second time there is nothing to release."""
    assert stream(path) == (0, 1, 1)
    ran = ask(path, "deliveries", "--release", "ann")
    assert (ran.status, ran.cells) == (0, [["ann", "released", "0"]])
    assert stream(path) == (0, 0, 0)
    ran = ask(path, "deliveries", "--release", "ann", "--json")
    assert (ran.status, ran.output) == (2, "")
    assert "have not stopped" in ran.errors


def test_a_delivery_is_dropped(path: Path) -> None:
    """The stream goes on after it."""
    ran = ask(path, "deliveries", "--drop", "ann", "--json")
    assert ran.objects == [{"agentId": "ann", "dropped": True, "delivered": 1}]
    assert stream(path) == (1, 0, 0)
    assert ask(path, "deliveries", "--drop", "ann").status == 2
    assert ask(path, "store", "check").status == 0


def mails(path: Path) -> list[tuple[str, int]]:
    """The mails that are here, and whether they are parked."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT message_id, parked FROM outgoing").fetchall()
    connection.close()
    return rows


def test_outgoing_mail_is_printed(path: Path) -> None:
    """What the mailer does not have."""
    [(message_id, _)] = mails(path)
    for arguments in ((), ("--parked",)):
        ran = ask(path, "outgoing", *arguments)
        assert (ran.status, ran.cells[0][:3]) == (0, [message_id, "K1", "-"])
        assert ran.cells[0][-1] == "yes"
    [mail] = ask(path, "outgoing", "--json").objects
    assert re.fullmatch(r"[\d-]+T[\d:]+Z", mail.pop("at"))
    assert mail.pop("bytes") > 100
    assert mail == {
        "messageId": message_id, "interactionId": "K1", "queue": None,
        "sender": "help@shop.example", "recipients": ["kim@example.net"], "tries": 1,
        "retryAt": None, "parked": True,
    }  # fmt: skip
    edit(path, "UPDATE outgoing SET parked = 0, retry_at = 5")
    assert ask(path, "outgoing", "--parked") == Ended(0, "", "")
    assert "1970-01-01 00:00:00" in ask(path, "outgoing").output


@pytest.mark.parametrize("brackets", [True, False])
def test_mail_is_released_and_dropped(brackets: bool, path: Path) -> None:
    """By its Message-ID, with its brackets or without; what is not there is refused."""
    [(message_id, _)] = mails(path)
    id = message_id if brackets else message_id[1:-1]
    ran = ask(path, "outgoing", "--release", id)
    assert (ran.status, ran.cells) == (0, [[message_id, "released"]])
    assert mails(path) == [(message_id, 0)]
    ran = ask(path, "outgoing", "--release", id)
    assert (ran.status, ran.output) == (2, "")
    assert "has not been parked" in ran.errors
    ran = ask(path, "outgoing", "--drop", id, "--json")
    assert ran.objects == [{"messageId": message_id, "dropped": True}]
    assert mails(path) == []
    assert ask(path, "outgoing", "--drop", id).status == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("deliveries", "ann", "--parked"),
        ("deliveries", "--release", "ann", "--drop", "bob"),
        ("deliveries", "ann", "--drop", "bob"),
        ("outgoing", "--parked", "--drop", "x"),
        ("outgoing", "--release", "x", "--drop", "x"),
    ],
)
def test_what_excludes_each_other_is_wrong_usage(arguments: tuple[str, ...], path: Path) -> None:
    """One line; nothing is done."""
    before = stream(path), mails(path)
    ran = ask(path, *arguments)
    assert (ran.status, ran.output) == (2, "")
    assert re.fullmatch(rf"lifecycle {arguments[0]}: give one of .*\n", ran.errors)
    assert (stream(path), mails(path)) == before


# The store


def test_a_good_store_passes(path: Path) -> None:
    """Nothing on standard output, and how much was read on standard error."""
    ran = ask(path, "store", "check")
    assert ran == Ended(0, "", "lifecycle store check: 6 interactions read, findings: 0\n")


def test_findings_are_printed_a_line_each(path: Path) -> None:
    """Whatever stands in them; exit status 1."""
    edit(path, "UPDATE agents SET load = 7 WHERE id = 'ann'")
    edit(path, "UPDATE interactions SET data = json_set(data, '$.state', char(27)) WHERE id = 'W1'")
    ran = ask(path, "store", "check")
    assert ran.status == 1
    first, second = ran.output.splitlines()
    assert first.startswith("interaction W1 cannot be read: ")
    assert second.startswith("agent ann has another load")
    assert "\x1b" not in ran.output
    assert ran.errors.endswith("6 interactions read, findings: 2\n")
    finding = ask(path, "store", "check", "--json").objects[1]
    assert finding == {
        "where": "agent ann", "what": "has another load than is counted for it", "found": 7,
        "wanted": 1,
    }  # fmt: skip


def test_findings_of_any_value_are_json(path: Path) -> None:
    """Times as text, lists as lists, bytes as what they say."""
    edit(path, "UPDATE deliveries SET offer = 9 WHERE sequence = 1")
    [finding] = ask(path, "store", "check", "--json").objects
    assert finding["found"][:3] == ["K1", 9, "Invite"]
    assert finding["found"][3].endswith("Z")
    assert _stores._text(b"a\xff") == "a\ufffd"
    assert _stores._text(path) == str(path)


def test_progress_is_shown_on_a_terminal(path: Path) -> None:
    """On standard error, where that is one; the findings stay alone on standard output."""
    edit(path, "UPDATE agents SET load = 7 WHERE id = 'ann'")
    controller, terminal = pty.openpty()
    done = subprocess.run(
        [*MODULE, "store", "check", "--store", str(path)],
        env=environment(TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=terminal,
        timeout=60,
        check=False,
    )
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    assert done.returncode == 1
    assert done.stdout.startswith(b"agent ann has another load")
    assert len(done.stdout.splitlines()) == 1
    assert "6 interactions read, findings: 1" in shown
    assert "\x1b" in shown


def test_the_stores_own_clock_is_gone_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it has one."""
    asked: list[int] = []

    class Clock:
        def now(self) -> datetime:
            asked.append(1)
            return START

    class Clocked(MemoryStore):
        clock = Clock()

    async def opened(address: str) -> Store:
        return Clocked()

    monkeypatch.setattr(_stores, "open_store", opened)
    assert run("store", "check", "--store", "memory:").status == 0
    assert asked == [1]


def test_migrate_makes_and_keeps_a_store(tmp_path: Path) -> None:
    """From version 0 to the newest, once; afterwards nothing is to do."""
    path = tmp_path / "new.db"
    ran = ask(path, "store", "migrate")
    newest = _stores.sqlite_version(path)
    assert newest >= 1
    assert ran == Ended(
        0, f"sqlite:///{path}: migrated from version 0, version {newest}\n", ""
    )  # fmt: skip
    ran = ask(path, "store", "migrate", "--json")
    assert ran.objects == [{"from": newest, "to": newest}]
    assert "is up to date" in ask(path, "store", "migrate").output
    assert ask(path, "store", "check").status == 0


def test_migrate_calls_the_store_that_migrates_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One on a server; its address is shown without the password."""

    class Server:
        @staticmethod
        async def migrate(address: str) -> tuple[int, int]:
            assert address == "postgresql://me:geheim@db/mail"
            return 1, 2

    def found(address: str) -> tuple[type, str]:
        return Server, address

    monkeypatch.setattr(stores, "store_class", found)
    monkeypatch.setattr(_stores, "store_class", found)
    ran = run("store", "migrate", "--store", "postgresql://me:geheim@db/mail")
    assert ran == Ended(0, "postgresql://me:***@db/mail: migrated from version 1, version 2\n", "")


def test_memory_has_no_schema() -> None:
    """To migrate it is wrong usage."""
    ran = run("store", "migrate", "--store", "memory:")
    assert ran == Ended(2, "", "lifecycle store migrate: this store has no schema\n")


def test_a_file_that_is_no_store_is_not_migrated(tmp_path: Path) -> None:
    """Neither what is no SQLite file nor a folder; they are as they were."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all, but long enough to be read as one " * 40)
    before = path.read_bytes()
    for place in (path, tmp_path):
        ran = ask(place, "store", "migrate")
        assert (ran.status, ran.output) == (2, "")
        assert re.fullmatch(r"lifecycle store migrate: .*\n", ran.errors)
    assert path.read_bytes() == before


# What goes wrong


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_no_command_makes_a_store_by_reading(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A file that is not there or empty is said to be no store, and nothing is made."""
    missing, empty = tmp_path / "missing.db", tmp_path / "empty.db"
    empty.touch()
    for place in (missing, empty):
        ran = run(*arguments, "--store", place)
        assert (ran.status, ran.output) == (2, "")
        assert f"there is no such store at {place}" in ran.errors
        assert len(ran.errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [empty]
    assert empty.stat().st_size == 0


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_damaged_file_is_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """No traceback, exit status 2, and the file as it was."""
    path = tmp_path / "bad.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    ran = run(*arguments, "--store", path)
    assert (ran.status, ran.output) == (2, "")
    assert re.fullmatch(r"lifecycle [\w ]+: [^\n]+\n", ran.errors)
    assert path.read_bytes()[16:] == b"\xff" * 4000


def test_a_schema_from_the_future_is_one_line(path: Path) -> None:
    """It says which version is there and which is known."""
    edit_version = sqlite3.connect(path)
    edit_version.execute("PRAGMA user_version = 99")
    edit_version.close()
    for command in (("agents",), ("store", "check"), ("store", "migrate")):
        ran = ask(path, *command)
        assert (ran.status, ran.output) == (2, "")
        assert "the store is of version 99, and this release knows" in ran.errors


def test_an_address_of_no_kind_is_one_line() -> None:
    """Without what may be a password in it."""
    ran = run("agents", "--store", "mysql:geheim")
    assert (ran.status, ran.output) == (2, "")
    assert "must be a path, or begin with one of" in ran.errors
    assert "geheim" not in ran.errors


def test_the_address_is_required_and_may_come_from_the_environment(path: Path) -> None:
    """`LIFECYCLE_STORE` stands for `--store`; an option goes before it."""
    ran = run("agents")
    assert (ran.status, ran.output) == (2, "")
    assert "--store" in ran.errors
    assert "LIFECYCLE_STORE" in ran.errors
    ran = run("agents", LIFECYCLE_STORE=f"sqlite:///{path}")
    assert (ran.status, ran.cells[0][0]) == (0, "ann")
    assert run("agents", "--store", "memory:", LIFECYCLE_STORE=str(path)) == Ended(0, "", "")


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have every store fail when it is opened."""

    async def opened(address: str) -> Store:
        raise error

    monkeypatch.setattr(_stores, "open_store", opened)
    monkeypatch.setattr(_stores, "check_exists", lambda address: None)


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("postgresql://me:geheim@db/mail", ["geheim"]),
        ("postgresql://me:ge%68eim@db/mail", ["ge%68eim", "geheim"]),
        ("postgresql://db/mail?user=me&password=geheim", ["geheim"]),
        ("postgresql://me:geheim@[db/mail", ["geheim"]),
        ("postgresql://me:ge@h/eim@db/mail", ["ge@h/eim"]),
    ],
)
def test_no_error_shows_a_password(
    address: str, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However an adapter quotes its address."""
    for secret in secrets:
        failing(
            monkeypatch,
            StoreUnavailable(f"no way to {address}", path=address, value=f"password {secret}"),
        )
        ran = run("agents", "--store", address)
        assert (ran.status, ran.output) == (2, "")
        assert "***" in ran.errors
        assert not any(one in ran.errors for one in secrets)
        assert len(ran.errors.splitlines()) == 1


def test_an_empty_password_is_no_secret() -> None:
    """And an address without one has none."""
    for address in ("postgresql://me:@db/mail", "postgresql://me@db/mail", "x.db"):
        assert _stores.without_secrets(f"no way to {address}", address) == f"no way to {address}"


@pytest.mark.parametrize("error", [StoreFull("no room", value="full"), PermissionError(13, "no")])
def test_errors_of_store_and_system_are_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are the system's own."""
    failing(monkeypatch, error)
    ran = run("agents", "--store", "memory:")
    assert (ran.status, ran.output) == (2, "")
    assert re.fullmatch(r"lifecycle agents: no[^\n]*\n", ran.errors)


def test_a_reader_that_has_enough_ends_it_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe is no error of ours."""
    failing(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    ran = run("agents", "--store", "memory:")
    assert (ran.status, ran.output, ran.errors) == (1, "", "")


def test_what_is_logged_is_said_in_one_line(path: Path) -> None:
    """A row that cannot be read is left out, and named; the others are printed."""
    edit(path, "UPDATE interactions SET data = char(27) || '[2J' WHERE id = 'W1'")
    ran = ask(path, "queue")
    assert (ran.status, [cells[0] for cells in ran.cells]) == (0, ["W2", "W3"])
    assert re.fullmatch(
        r"lifecycle queue: [^\n\x1b]*left out \[interaction_id=W1, path=\$\]\n", ran.errors
    )
    assert not [
        handler for handler in logging.getLogger("lifecycle").handlers
        if type(handler) is _stores._Says
    ]  # fmt: skip


def test_the_store_is_closed_after_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens in between."""
    closed: list[bool] = []
    aclose = SqliteStore.aclose

    async def counted(self: SqliteStore) -> None:
        closed.append(True)
        await aclose(self)

    monkeypatch.setattr(SqliteStore, "aclose", counted)
    assert ask(path, "history", "Z9").status == 2
    assert closed == [True]


def test_a_file_that_cannot_be_read_has_no_version(tmp_path: Path) -> None:
    """What SQLite says of it is told."""
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        _stores.sqlite_version(tmp_path)
