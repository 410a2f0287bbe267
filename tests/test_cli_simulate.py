"""`lifecycle simulate`: where mail comes from, what is written, what is reported."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import attrs
import orjson
import pytest
from page_checker import check_lines
from processes import MODULE, environment
from typer.testing import CliRunner

from lifecycle.cli import app
from lifecycle.cli._sources import Mails, read_mails
from lifecycle.records import Delivery
from lifecycle.sinks.jsonl import JsonLinesSink

MAIL = Path(__file__).parent / "mail"
ALL = (str(MAIL), str(MAIL / "samples.mbox"), str(MAIL / "maildir"))
NOTE = b"From: kim@example.net\nTo: help@example.com\nSubject: a note\n\nHello there\n"
OTHER = NOTE.replace(b"a note", b"another")


@attrs.frozen
class Ended:
    """How the command ended, and what it said."""

    status: int
    output: bytes
    errors: str

    @property
    def said(self) -> list[str]:
        """The messages on standard error, without the table."""
        prefix = "lifecycle simulate: "
        lines = self.errors.splitlines()
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]

    @property
    def interactions(self) -> int:
        """How many interactions there were, as the table says."""
        found = re.search(r"(\d+) interactions, \d+ steps, \d+ of 30 rows taken", self.errors)
        return int(found[1]) if found else 0


def simulate(*arguments: object, given: bytes | None = None) -> Ended:
    """Run the command; an error that it does not expect is the test's."""
    result = CliRunner().invoke(
        app, ["simulate", *map(str, arguments)], input=given, catch_exceptions=False
    )
    return Ended(result.exit_code, result.stdout_bytes, result.stderr)


def written(path: Path, data: bytes = NOTE) -> Path:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def raw(found: Mails) -> list[bytes]:
    """The messages alone."""
    return [mail for _, mail in found.mails]


# Where it is kept


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("form", ["sqlite:///{}", "{}"])
def test_a_store_changes_no_byte(form: str, seed: int, tmp_path: Path) -> None:
    """The same seed gives the same lines as in memory, and what is kept passes the check."""
    address = form.format(tmp_path / "x.db")
    ran = simulate(*ALL, "--seed", seed, "--store", address)
    assert ran == simulate(*ALL, "--seed", seed)
    assert ran.status == 0
    checked = CliRunner().invoke(app, ["store", "check", "--store", address])
    assert (checked.exit_code, checked.stdout) == (0, "")
    assert f"{ran.interactions} interactions read, findings: 0" in checked.stderr


def test_a_store_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """Nothing is written, neither to it nor to a file that is there."""
    address, out = f"sqlite:///{tmp_path / 'x.db'}", written(tmp_path / "out", b"kept")
    assert simulate(written(tmp_path / "a.eml"), "--store", address).status == 0
    before = (tmp_path / "x.db").read_bytes()
    ran = simulate(*ALL, "--store", address, "--out", out)
    assert (ran.status, ran.output) == (2, b"")
    assert ran.errors == (
        "lifecycle simulate: the store must be empty, and there is something in it\n"
    )
    assert out.read_bytes() == b"kept"
    assert (tmp_path / "x.db").read_bytes() == before


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    """Exit status 2; nothing is simulated."""
    written(tmp_path / "x.db", b"SQLite format 3\0" + b"\xff" * 4000)
    for address in (f"sqlite:///{tmp_path / 'x.db'}", str(tmp_path / "none" / "x.db"), "mysql:y"):
        ran = simulate(*ALL, "--store", address)
        assert (ran.status, ran.output) == (2, b"")
        assert re.fullmatch(r"lifecycle simulate: [^\n]+\n", ran.errors)


def test_the_store_of_the_environment_is_not_simulated_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the one that people work with: only an option names one to simulate in."""
    monkeypatch.setenv("LIFECYCLE_STORE", str(tmp_path / "x.db"))
    assert simulate(written(tmp_path / "a.eml")).status == 0
    assert not (tmp_path / "x.db").exists()


# What is written


def test_the_first_command_of_the_readme() -> None:
    """Every message of the tests becomes an interaction, and all 30 rows are taken."""
    ran = simulate(*ALL)
    assert ran.status == 0
    files = len(list(MAIL.glob("*.eml"))) + 4 + 3  # in the mbox and in the Maildir
    assert ran.interactions == files
    assert "30 of 30 rows taken" in ran.errors
    rows = re.findall(r"^│ (\w+) +│ (\w+) +│ (\w+) +│ +(\d+) │$", ran.errors, re.MULTILINE)
    assert len(rows) == len({row[:3] for row in rows}) == 30
    assert all(int(row[3]) > 0 for row in rows)
    skipped = sum(path.is_file() and path.suffix != ".eml" for path in MAIL.rglob("*"))
    assert ran.said == [f"files in folders that are no .eml, skipped: {skipped}"]
    assert check_lines(ran.output.splitlines()) == []


def test_a_row_that_was_not_taken_is_counted_as_such(tmp_path: Path) -> None:
    """One mail cannot end in five ways: the table has all rows, some with 0."""
    ran = simulate(written(tmp_path / "a.eml"))
    counts = re.findall(r"│ +(\d+) │$", ran.errors, re.MULTILINE)
    assert len(counts) == 30
    taken = sum(count != "0" for count in counts)
    assert 0 < taken < 30
    assert f"1 interactions, {sum(map(int, counts))} steps, {taken} of 30 rows" in ran.errors


def test_each_line_is_a_delivery() -> None:
    """Exactly the documented keys, in their order; one line each; the notification inside."""
    ran = simulate(MAIL)
    for line in ran.output.splitlines():
        assert list(orjson.loads(line)) == [
            "agentId", "topic", "sequence", "interactionId", "offer", "trigger", "at", "data",
        ]  # fmt: skip
    assert ran.output.endswith(b"}}\n")


@pytest.mark.parametrize("documented_only", [False, True])
def test_bare_lines_are_the_notifications(documented_only: bool) -> None:
    """`--bare` prints the bytes under `data`, with and without `--documented-only`."""
    option = ["--documented-only"] if documented_only else []
    full = simulate(*ALL, *option, "--seed", 5)
    bare = simulate(*ALL, *option, "--seed", 5, "--bare")
    assert full.status == bare.status == 0
    pairs = zip(full.output.splitlines(), bare.output.splitlines(), strict=True)
    assert all(line.endswith(b',"data":' + data + b"}") for line, data in pairs)
    for ran, is_bare in ((full, False), (bare, True)):
        lines = ran.output.splitlines()
        assert check_lines(lines, bare=is_bare, documented_only=documented_only) == []
    states = {orjson.loads(line)["state"] for line in bare.output.splitlines()}
    assert ("Sent" in states) is not documented_only


def test_agents_and_seed_are_what_was_asked_for() -> None:
    """Another seed is another run; so are other agents, and there are as many as asked for."""
    default, seeded = simulate(MAIL), simulate(MAIL, "--seed", 0)
    assert default == seeded
    assert simulate(MAIL, "--seed", 1).output != default.output
    few = simulate(MAIL, "--agents", 2)
    assert {orjson.loads(line)["agentId"] for line in few.output.splitlines()} == {"ann", "bob"}


def test_fewer_than_two_agents_are_wrong_usage() -> None:
    """The refusal names the option; nothing is simulated."""
    ran = simulate(MAIL, "--agents", 1)
    assert (ran.status, ran.output) == (2, b"")
    assert "--agents" in ran.errors


def test_no_argument_is_wrong_usage() -> None:
    """Standard input is read only where `-` says so."""
    ran = simulate(given=NOTE)
    assert (ran.status, ran.output) == (2, b"")
    assert "MAIL" in ran.errors


def test_the_same_seed_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Whatever the hash seed: the same bytes, to a file and to standard output."""
    command = [*MODULE, "simulate", *ALL, "--seed", "7"]
    outputs = []
    for hash_seed in ("0", "4321"):
        done = subprocess.run(
            command,
            env=environment(PYTHONHASHSEED=hash_seed),
            capture_output=True,
            timeout=60,
            check=True,
        )
        outputs.append(done.stdout)
    out = tmp_path / "out"
    ran = simulate(*ALL, "--seed", 7, "--out", out)
    assert (ran.status, ran.output) == (0, b"")
    assert outputs == [out.read_bytes()] * 2
    assert len(outputs[0].splitlines()) > 200


def test_out_replaces_what_was_there(tmp_path: Path) -> None:
    """A longer file leaves no rest."""
    out = written(tmp_path / "out", b"x" * 10**7)
    simulate(MAIL, "--out", out)
    assert out.read_bytes() == simulate(MAIL).output


@pytest.mark.parametrize(
    ("place", "why"), [("none/out", "No such file or directory"), (".", "Is a directory")]
)
def test_out_that_cannot_be_opened_is_refused(place: str, why: str, tmp_path: Path) -> None:
    """One line with the path and the reason; exit status 2."""
    path = tmp_path / place
    ran = simulate(MAIL, "--out", path)
    assert (ran.status, ran.output) == (2, b"")
    assert ran.errors == f"lifecycle simulate: cannot write {path}: {why}\n"


def failing(monkeypatch: pytest.MonkeyPatch, error: OSError) -> list[int]:
    """Make writing fail from the third delivery on; returns a count of what came."""
    came = [0]
    real = JsonLinesSink.deliver

    async def deliver(self: JsonLinesSink, delivery: Delivery) -> object:
        came[0] += 1
        if came[0] >= 3:
            raise error
        return await real(self, delivery)

    monkeypatch.setattr(JsonLinesSink, "deliver", deliver)
    return came


def test_a_disk_that_fills_up_ends_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stays, the reason is said, and nothing is tried again."""
    came = failing(monkeypatch, OSError(28, "No space left on device"))
    ran = simulate(MAIL)
    assert ran.status == 2
    assert len(ran.output.splitlines()) == 2
    assert ran.errors == (
        "lifecycle simulate: cannot write to standard output: No space left on device\n"
    )
    assert came == [3]


def test_a_reader_that_has_enough_ends_it_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe is no error of ours: the command ends without a word."""
    failing(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    ran = simulate(MAIL)
    assert (ran.status, ran.errors) == (1, "")


def test_head_ends_it_in_silence() -> None:
    """`lifecycle simulate MAIL | head -1`, as it is."""
    process = subprocess.Popen(
        [*MODULE, "simulate", *ALL],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert orjson.loads(process.stdout.readline())["sequence"] == 1
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")


def on_a_terminal(*, output_too: bool = False) -> bytes:
    """What a terminal as standard error shows."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [*MODULE, "simulate", *ALL],
            env=environment(TERM="xterm", COLUMNS="100"),
            stdin=subprocess.DEVNULL,
            stdout=slave if output_too else subprocess.DEVNULL,
            stderr=slave,
        )
    finally:
        os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # how a terminal that nobody writes to any more ends
        pass
    finally:
        os.close(master)
    assert process.wait(timeout=60) == 0
    return shown


def test_a_terminal_shows_progress() -> None:
    """A bar that goes away, and the table."""
    shown = on_a_terminal()
    assert b"interactions ended" in shown
    assert b"30 of 30 rows taken" in shown


def test_a_bar_does_not_run_through_the_lines() -> None:
    """Where the deliveries go to the terminal themselves there is no bar."""
    shown = on_a_terminal(output_too=True)
    assert b"interactions ended" not in shown
    assert b"messageTypeName" in shown


def test_what_is_no_terminal_gets_no_progress() -> None:
    """Not even where colours are forced."""
    done = subprocess.run(
        [*MODULE, "simulate", *ALL],
        env=environment(FORCE_COLOR="1"),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"interactions ended" not in done.stderr
    assert "rows taken" in done.stderr.decode()


# Where mail comes from


def test_a_folder_is_searched_at_every_depth(tmp_path: Path) -> None:
    """`.eml` in any case; everything else is counted, a Maildir and an mbox inside too."""
    for name in ("b.eml", "a/z.EML", "a/b/c/d.eml"):
        written(tmp_path / name)
    for name in ("notes.txt", "a/box.mbox", "a/eml", "md/new/1.host", "md/cur/2.host:2,S"):
        written(tmp_path / name)
    found = read_mails([str(tmp_path)])
    assert [path.removeprefix(f"{tmp_path}/") for path, _ in found.mails] == [
        "b.eml", "a/z.EML", "a/b/c/d.eml",
    ]  # fmt: skip
    assert (found.skipped, found.failures) == (5, [])
    ran = simulate(tmp_path)
    assert (ran.status, ran.interactions) == (0, 3)
    assert ran.said == ["files in folders that are no .eml, skipped: 5"]


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    """Not that of the file system, which may be another elsewhere: files, then folders."""
    names = [f"{folder}/{file}.eml" for folder in "dacb" for file in "2413"]
    for name in ["4.eml", "3.eml", *names]:
        written(tmp_path / name)
    found = [path for path, _ in read_mails([str(tmp_path)]).mails]
    assert found == [str(tmp_path / name) for name in ["3.eml", "4.eml", *sorted(names)]]
    for folder in ("md/new", "md/cur"):
        for name in "2413":
            written(tmp_path / folder / name)
    found = [path for path, _ in read_mails([str(tmp_path / "md")]).mails]
    assert found == [str(tmp_path / "md" / place / name) for place in ("cur", "new")
                     for name in "1234"]  # fmt: skip


def test_a_folder_that_points_to_itself_is_no_trap(tmp_path: Path) -> None:
    """Links to folders are not followed; links to mails are."""
    folder = tmp_path / "folder"
    written(folder / "a.eml")
    (folder / "again").symlink_to(folder)
    (folder / "b.eml").symlink_to(written(tmp_path / "elsewhere", OTHER))
    assert raw(read_mails([str(folder)])) == [NOTE, OTHER]


def test_a_maildir_is_read(tmp_path: Path) -> None:
    """What was seen, then what is new; not what is half written, nor hidden files."""
    for name in ("cur/1:2,S", "new/2", "tmp/3", "cur/.hidden", "new/.hidden"):
        written(tmp_path / name, NOTE + name.encode())
    found = read_mails([str(tmp_path)])
    assert raw(found) == [NOTE + b"cur/1:2,S", NOTE + b"new/2"]
    assert (found.skipped, found.failures) == (0, [])


def test_a_folder_with_one_half_of_a_maildir_is_a_folder(tmp_path: Path) -> None:
    """Only `new` and `cur` together make a Maildir."""
    written(tmp_path / "new" / "1")
    written(tmp_path / "new" / "2.eml")
    found = read_mails([str(tmp_path)])
    assert (len(found.mails), found.skipped) == (1, 1)


MBOX = b"From kim Mon Mar 25 00:00:00 2024\n%s\nFrom lou Mon Mar 25 01:00:00 2024\n%s\n"


def test_an_mbox_is_split() -> None:
    """One mail after the other, without the empty line that follows each."""
    assert raw(read_mails([str(MAIL / "samples.mbox")]))[0].endswith(b"for one order?\n")


@pytest.mark.parametrize(
    ("data", "mails"),
    [
        (MBOX % (NOTE, OTHER), [NOTE, OTHER]),
        ((MBOX % (NOTE, OTHER)).removesuffix(b"\n"), [NOTE, OTHER]),
        (
            (MBOX % (NOTE, OTHER)).replace(b"\n", b"\r\n"),
            [NOTE.replace(b"\n", b"\r\n"), OTHER.replace(b"\n", b"\r\n")],
        ),
        (MBOX % (NOTE + b"From now on\n", OTHER), [NOTE + b"From now on\n", OTHER]),
        (
            MBOX % (NOTE + b"\n>From now\n>>From then\n> From me\n", OTHER),
            [NOTE + b"\nFrom now\n>From then\n> From me\n", OTHER],
        ),
        (MBOX % (b"Subject: no body\n\n", OTHER), [b"Subject: no body\n\n", OTHER]),
        (b"From kim\n", []),
        (b"From kim", [b"From kim"]),
        (NOTE, [NOTE]),
        (b"\xff\x00", [b"\xff\x00"]),
        (b"", []),
    ],
    ids=[
        "two", "no last empty line", "CRLF", "unquoted From", "quoted From", "no body",
        "no message", "no line end", "no mbox", "no mail", "empty",
    ],
)  # fmt: skip
def test_a_file_is_an_mbox_or_one_message(data: bytes, mails: list[bytes], tmp_path: Path) -> None:
    """What begins with `From ` is an mbox; such a line after an empty one begins a message."""
    found = read_mails([str(written(tmp_path / "box", data))])
    assert raw(found) == mails
    assert (found.skipped, found.failures) == (0, [])


def test_an_eml_is_one_message_whatever_it_begins_with(tmp_path: Path) -> None:
    """Some programs leave the mbox line in it."""
    data = MBOX % (NOTE, OTHER)
    assert raw(read_mails([str(written(tmp_path / "a.eml", data))])) == [data]


def test_standard_input_is_one_message_or_an_mbox(tmp_path: Path) -> None:
    """The same mail gives the same bytes as a file, on standard input, and in an mbox."""
    expected = simulate(written(tmp_path / "a.eml"))
    assert expected.interactions == 1
    assert simulate("-", given=NOTE) == expected
    assert simulate("-", given=b"From kim\n" + NOTE + b"\n") == expected
    assert simulate(written(tmp_path / "mbox", b"From kim\n" + NOTE)) == expected
    both = simulate("-", given=MBOX % (NOTE, OTHER))
    assert both.interactions == 2
    assert simulate(tmp_path / "a.eml", "-", given=OTHER) == both


def test_a_path_given_twice_is_read_twice(tmp_path: Path) -> None:
    """Each argument counts for itself."""
    path = written(tmp_path / "a.eml")
    assert simulate(path, path, tmp_path).interactions == 3


@pytest.mark.parametrize("kind", ["empty file", "empty folder", "empty input", "no such file"])
def test_no_mail_is_said(kind: str, tmp_path: Path) -> None:
    """Exit status 1, no table, and no file is written or overwritten."""
    out = written(tmp_path / "out", b"precious")
    (tmp_path / "folder").mkdir()
    paths: dict[str, object] = {
        "empty file": written(tmp_path / "empty.eml", b""),
        "empty folder": tmp_path / "folder",
        "empty input": "-",
        "no such file": tmp_path / "none",
    }
    ran = simulate(paths[kind], "--out", out, given=b"")
    assert (ran.status, ran.output) == (1, b"")
    assert ran.said[-1] == "no mail was found"
    assert len(ran.errors.splitlines()) == len(ran.said) == (2 if kind == "no such file" else 1)
    assert out.read_bytes() == b"precious"


def test_empty_files_in_folders_hold_no_mail(tmp_path: Path) -> None:
    """Neither a mail nor a failure."""
    written(tmp_path / "a.eml", b"")
    written(tmp_path / "b.eml")
    written(tmp_path / "md" / "cur" / "1", b"")
    written(tmp_path / "md" / "new" / "2")
    for path in (tmp_path, tmp_path / "md"):
        found = read_mails([str(path)])
        assert (raw(found), found.failures) == ([NOTE], [])


# What cannot be read


def fifo(path: Path) -> None:
    """A pipe that nobody writes to: opening it would wait for ever."""
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    """A socket that nobody listens to."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
        (bound_socket, "not a regular file"),
        (fifo, "not a regular file"),
    ],
    ids=["dangling link", "link to itself", "device", "socket", "pipe"],
)
@pytest.mark.parametrize("maildir", [False, True], ids=["folder", "Maildir"])
def test_an_unreadable_file_is_reported_and_the_others_go_on(
    make: Callable[[Path], None], why: str, maildir: bool, tmp_path: Path
) -> None:
    """Path and reason, exit status 1; what is no regular file is never opened."""
    folder = tmp_path / "cur" if maildir else tmp_path
    (tmp_path / "new").mkdir()
    expected = simulate(written(folder / "z.eml"))
    make(folder / "a.eml")
    ran = simulate(tmp_path)
    assert (ran.status, ran.output) == (1, expected.output)
    assert ran.said == [f"{folder / 'a.eml'}: {why}"]
    assert ran.interactions == 1


def test_a_path_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """Every one of them, after the table, and the others go on."""
    good, first, second = written(tmp_path / "a.eml"), tmp_path / "x.eml", tmp_path / "y"
    ran = simulate(first, good, second)
    assert (ran.status, ran.interactions) == (1, 1)
    assert ran.errors.splitlines()[-2:] == [
        f"lifecycle simulate: {first}: No such file or directory",
        f"lifecycle simulate: {second}: No such file or directory",
    ]


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somewhere below, at the top, or in a Maildir: by its path, and the others go on."""
    for name in ("a.eml", "shut/b.eml", "md/cur/1", "md/new/2"):
        written(tmp_path / name)
    real_scan, real_list = os.scandir, Path.iterdir
    shut = {str(tmp_path / "shut"), str(tmp_path / "md" / "cur")}

    def refuse(path: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    # Tests may run as root, who may read everything.
    monkeypatch.setattr(
        os, "scandir", lambda path: refuse(path) if str(path) in shut else real_scan(path)
    )
    monkeypatch.setattr(
        Path, "iterdir", lambda path: refuse(path) if str(path) in shut else real_list(path)
    )
    found = read_mails([str(tmp_path), str(tmp_path / "shut"), str(tmp_path / "md")])
    assert sorted(found.failures) == sorted(
        f"{tmp_path / name}: Permission denied" for name in ("shut", "md/cur", "shut", "md/cur")
    )
    assert raw(found) == [NOTE, NOTE]


def test_a_mail_beyond_the_limits_is_reported(tmp_path: Path) -> None:
    """By its path, or its place in the mbox; the others go on."""
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
        for level in range(600)
    )
    path = written(tmp_path / "deep.eml", deep)
    box = written(tmp_path / "box", MBOX % (NOTE, deep))
    ran = simulate(path, box)
    assert (ran.status, ran.interactions) == (1, 1)
    assert len(ran.said) == 2
    assert ran.said[0].startswith(f"{path}: ")
    assert ran.said[1].startswith(f"{box} message 2: ")
    assert "deep" in ran.said[1].removeprefix(f"{box}")


def named(folder: Path, name: bytes) -> bytes:
    """A path with any name; skips where the file system does not have such names."""
    path = os.path.join(os.fsencode(folder), name)
    try:
        with open(path, "wb") as file:
            file.write(NOTE)
    except OSError:
        pytest.skip("the file system does not have such names")
    return path


@pytest.mark.parametrize("given_itself", [False, True])
def test_names_need_not_be_text(given_itself: bool, tmp_path: Path) -> None:
    """A file name that is not UTF-8 is read, and reported where it cannot be."""
    path = named(tmp_path, b"caf\xe9.eml")
    argument = os.fsdecode(path if given_itself else os.fsencode(tmp_path))
    ran = simulate(argument)
    assert (ran.status, ran.interactions, ran.said) == (0, 1, [])
    os.unlink(path)
    os.symlink("nowhere", path)
    ran = simulate(argument)
    assert ran.status == 1
    assert ran.said[0] == rf"{tmp_path}/caf\udce9.eml: No such file or directory"


def test_names_cannot_command_the_terminal(tmp_path: Path) -> None:
    """A hostile name of an unreadable file is written out, on one line, and is no markup."""
    name = "\x1b]0;owned\x07\n[red]lifecycle simulate: fine\u202e.eml"
    (tmp_path / name).symlink_to("nowhere")
    ran = simulate(tmp_path)
    assert ran.said == [
        rf"{tmp_path}/\x1b]0;owned\x07\n[red]lifecycle simulate: fine\u202e.eml: "
        "No such file or directory",
        "no mail was found",
    ]
    assert len(ran.errors.splitlines()) == 2
