"""`lifecycle person export` and `lifecycle person erase`."""

from __future__ import annotations

import base64
import os
import pty
import shutil
import sqlite3
import stat
import subprocess
from pathlib import Path

import orjson
import pytest
from processes import MODULE, environment
from store_files import RAW, Ended, edit, fill, run

from lifecycle import Lifecycle
from lifecycle.cli import people
from lifecycle.errors import NotFound

KIM = "kim@example.net"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a day's work."""
    return fill(tmp_path_factory.mktemp("template") / "store.db")


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(template, tmp_path))


def ask(path: Path, *arguments: object, given: str | None = None) -> Ended:
    """Run a command on a file."""
    return run("person", *arguments, "--store", path, given=given)


# Export


def test_everything_of_a_person_is_exported(path: Path) -> None:
    """Each interaction, oldest first: mail, values, history, raw mail and attachments."""
    ran = ask(path, "export", f"Kim <{KIM.upper()}>")
    assert (ran.status, ran.errors) == (0, "")
    document = orjson.loads(ran.output)
    assert list(document) == ["address", "interactions"]
    assert [one["id"] for one in document["interactions"]] == ["K1", "K2", "K3"]
    first = document["interactions"][0]
    assert list(first) == ["id", "submission", "interaction", "history", "contents"]
    assert first["submission"]["email"]["text"].strip() == "Where is it?"
    assert first["interaction"]["draft"]["toAddress"].endswith(f"<{KIM}>")
    assert [line["trigger"] for line in first["history"]] == [
        "Submit", "Invite", "Accept", "Reply", "Send",
    ]  # fmt: skip
    raw, file = first["contents"]
    assert base64.b64decode(raw.pop("base64")) == RAW
    assert raw == {"id": "K1RAW", "name": "", "mimetype": "message/rfc822", "size": len(RAW)}
    assert base64.b64decode(file["base64"]).strip() == b"%PDF"
    assert (file["name"], file["mimetype"]) == ("bill.pdf", "application/pdf")
    assert "draft" not in document["interactions"][2]["interaction"]


def test_json_is_what_it_always_is(path: Path) -> None:
    """With `--json` and without."""
    assert ask(path, "export", KIM, "--json") == ask(path, "export", KIM)


def test_an_export_goes_into_a_file_of_the_owner_s(path: Path, tmp_path: Path) -> None:
    """Also where another file was there that everybody could read."""
    out = tmp_path / "kim.json"
    for _ in range(2):
        assert ask(path, "export", KIM, "-o", out) == Ended(0, "", "")
        assert out.read_text() == ask(path, "export", KIM).output
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        out.write_bytes(b"x" * 10**6)
        out.chmod(0o644)
    assert ask(path, "export", KIM, "-o", os.devnull) == Ended(0, "", "")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize(
    ("place", "why"), [("none/out", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_written_is_refused(
    place: str, why: str, path: Path, tmp_path: Path
) -> None:
    """One line; exit status 2."""
    ran = ask(path, "export", KIM, "-o", tmp_path / place)
    assert ran == Ended(
        2, "", f"lifecycle person export: cannot write {tmp_path / place}: {why}\n"
    )  # fmt: skip


def test_nothing_is_exported_of_a_stranger(path: Path) -> None:
    """A document without interactions, and a word on standard error."""
    ran = ask(path, "export", "nobody@example.net")
    assert orjson.loads(ran.output) == {"address": "nobody@example.net", "interactions": []}
    assert (ran.status, ran.errors) == (
        0, "lifecycle person export: nothing is stored under this address\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", [("export",), ("erase", "--yes")])
def test_what_is_no_address_is_refused(command: tuple[str, ...], path: Path) -> None:
    """One line; exit status 2."""
    ran = ask(path, *command, "kim")
    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith(f"lifecycle person {command[0]}: must be one address")
    assert len(ran.errors.splitlines()) == 1


# Erasure


def contents(path: Path) -> bytes:
    """All bytes of all columns that could hold a mail."""
    connection = sqlite3.connect(path)
    found = b""
    for table in ("submissions", "interactions", "deliveries", "contents", "people", "threads"):
        for row in connection.execute(f"SELECT * FROM {table}"):
            found += repr(row).encode()
    connection.close()
    return found


def test_finished_interactions_are_erased_and_the_others_left(path: Path) -> None:
    """What has not ended stays, with a reason, and so does what is still to be mailed."""
    ran = ask(path, "erase", KIM, "--yes", "--json")
    assert ran.status == 1
    assert ran.objects == [
        {"interactionId": "K1", "erased": False, "reason": "its reply has not left yet"},
        {"interactionId": "K2", "erased": True, "reason": None},
        {
            "interactionId": "K3", "erased": False,
            "reason": "only a finished interaction can be erased",
        },
    ]  # fmt: skip
    history = run("history", "K2", "--store", path, "--json").objects
    assert [one["trigger"] for one in history] == [
        "Submit", "Invite", "Accept", "StopProcessing", "Erase",
    ]  # fmt: skip
    assert run("store", "check", "--store", path).status == 0
    again = ask(path, "erase", KIM, "--yes")
    assert again.status == 1
    assert [line.split()[:2] for line in again.output.splitlines()[1:]] == [
        ["K1", "no"],
        ["K3", "no"],
    ]


def test_after_an_erasure_nothing_is_found_of_a_person(path: Path) -> None:
    """Where all has ended nothing is left, and the status is 0."""
    assert run("outgoing", "--drop", orjson.loads(
        run("outgoing", "--store", path, "--json").output
    )["messageId"], "--store", path).status == 0  # fmt: skip
    edit(path, f"DELETE FROM people WHERE address = '{KIM}' AND interaction_id = 'K3'")
    assert contents(path).count(b"Where is it?") > 0
    ran = ask(path, "erase", KIM, "--yes")
    assert (ran.status, ran.errors) == (0, "")
    assert [line.split() for line in ran.output.splitlines()[1:]] == [
        ["K1", "yes", "-"],
        ["K2", "yes", "-"],
    ]
    edit(path, "DELETE FROM submissions WHERE id = 'K3'", "DELETE FROM contents")
    edit(path, "DELETE FROM deliveries WHERE interaction_id = 'K3'", "DELETE FROM threads")
    edit(path, "DELETE FROM interactions WHERE id = 'K3'")
    assert b"Where is it?" not in contents(path)
    assert KIM.encode() not in contents(path)
    ran = ask(path, "erase", KIM, "--yes")
    assert ran == Ended(0, "", "lifecycle person erase: nothing is stored under this address\n")


def test_what_cannot_be_read_is_left_and_named(path: Path) -> None:
    """And the others are erased."""
    edit(path, "UPDATE interactions SET data = '{' WHERE id = 'K1'")
    ran = ask(path, "erase", KIM, "--yes", "--json")
    assert ran.status == 1
    assert [one["erased"] for one in ran.objects] == [False, True, False]
    assert "cannot be read" in ran.objects[0]["reason"]


def test_what_was_forgotten_meanwhile_is_no_matter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention may have been faster."""

    async def forgotten(self: Lifecycle, interaction_id: str) -> None:
        raise NotFound("no such interaction")

    monkeypatch.setattr(Lifecycle, "erase", forgotten)
    assert ask(path, "erase", KIM, "--yes") == Ended(0, "", "")


def test_nothing_is_erased_where_nobody_can_be_asked(path: Path) -> None:
    """Without `--yes` somebody must be there."""
    before = contents(path)
    ran = ask(path, "erase", KIM)
    assert ran == Ended(2, "", "lifecycle person erase: nobody can be asked: give --yes\n")
    assert contents(path) == before


@pytest.mark.parametrize(("answer", "status", "erased"), [("n\n", 2, False), ("y\n", 1, True)])
def test_somebody_is_asked(
    answer: str, status: int, erased: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many it would be, on standard error; no is no."""
    monkeypatch.setattr(people, "_is_terminal", lambda: True)
    ran = ask(path, "erase", KIM, given=answer)
    assert ran.status == status
    assert "Erase 3 interactions for good?" in ran.errors
    assert ("K2           yes" in ran.output) is erased
    assert ("nothing was erased" in ran.errors) is not erased


def test_a_terminal_is_asked(path: Path) -> None:
    """The same on a real one."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*MODULE, "person", "erase", KIM, "--store", str(path)],
        env=environment(TERM="xterm"),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.write(controller, b"n\n")
    output, errors = process.communicate(timeout=60)
    os.close(terminal)
    os.close(controller)
    assert (process.returncode, output) == (2, b"")
    assert b"Erase 3 interactions for good?" in errors
