"""`lifecycle export`: what it writes, what `--check` finds, what it refuses."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import attrs
import pytest
import typer
from typer.testing import CliRunner

from lifecycle.cli import app
from lifecycle.cli.export import FILES, FORMATS, differences, exported
from lifecycle.commands import Close
from lifecycle.diagram import dot, markdown, mermaid
from lifecycle.table import EMAIL, Row, StateRule, Table
from lifecycle.vocabulary import Who

TEXTS = {"markdown": markdown, "mermaid": mermaid, "dot": dot}
PICTURES = ("svg", "png")
OTHER = Table(
    ("Begin", StateRule("Done", final=True)),
    [Row("Close", "Begin", "Done", None, Who.SYSTEM, None, Close)],
    (),
)


@attrs.frozen
class Ended:
    """How the command ended, and what it said."""

    status: int
    output: bytes
    errors: str


def run(*arguments: object) -> Ended:
    """Run the command; an error that it does not expect is the test's."""
    result = CliRunner().invoke(app, ["export", *map(str, arguments)], catch_exceptions=False)
    return Ended(result.exit_code, result.stdout_bytes, result.stderr)


def refusal(*arguments: object) -> str:
    """What the command says, on one line of standard error, when it refuses."""
    result = run(*arguments)
    assert (result.status, result.output) == (2, b"")
    (line,) = result.errors.splitlines()
    return line


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG; fails where a length or a checksum is wrong."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert data[at + 8 + length : at + 12 + length] == struct.pack(
            ">I", zlib.crc32(kind + body)
        )
        yield kind, body
        at += 12 + length


@pytest.fixture(scope="module")
def drawings() -> dict[str, bytes]:
    """The pictures of the shipped table."""
    return {format_: exported(format_) for format_ in PICTURES}


@pytest.fixture
def directory(tmp_path: Path, drawings: dict[str, bytes]) -> Path:
    """A directory as `--all` leaves it."""
    for name, format_ in FILES.items():
        data = drawings[format_] if format_ in PICTURES else TEXTS[format_](EMAIL).encode()
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing can be drawn."""
    monkeypatch.setattr(shutil, "which", lambda *args, **options: None)


def stand_in(monkeypatch: pytest.MonkeyPatch, path: Path, script: str) -> None:
    """Put a program of the test's in the place of the renderer."""
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *args, **options: str(path))


@pytest.mark.parametrize("format_", TEXTS)
def test_text_goes_to_standard_output(format_: str) -> None:
    """Without a file the bytes of the text are the standard output, and nothing else is said."""
    result = run(format_)
    assert (result.status, result.errors) == (0, "")
    assert result.output == TEXTS[format_](EMAIL).encode()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("option", ["-o", "--output"])
def test_every_format_goes_to_a_file(format_: str, option: str, tmp_path: Path) -> None:
    """The file holds what `exported` gives, and replaces what was there."""
    path = tmp_path / "out"
    path.write_text("x" * 1_000_000)
    result = run(format_, option, path)
    assert result == Ended(0, b"", "")
    assert path.read_bytes() == exported(format_)


def test_a_picture_goes_to_standard_output(drawings: dict[str, bytes]) -> None:
    """A picture's bytes pass unchanged."""
    assert run("png").output == drawings["png"]


def test_svg_is_a_drawing_of_the_table(drawings: dict[str, bytes]) -> None:
    """Well-formed, with every state in it, and marked at its end."""
    root = ElementTree.fromstring(drawings["svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    titles = {title.text for title in root.iter("{http://www.w3.org/2000/svg}title")}
    assert {f"state {rule.name}" for rule in EMAIL.states} <= titles
    last = drawings["svg"].splitlines()[-1]
    assert last.startswith(b"<!-- lifecycle export ")


def test_png_is_whole_and_marked(drawings: dict[str, bytes]) -> None:
    """Every chunk has its checksum; the mark is a text chunk before the last one."""
    kinds = list(chunks(drawings["png"]))
    assert kinds[0][0] == b"IHDR"
    assert kinds[-1] == (b"IEND", b"")
    name, body = kinds[-2]
    assert name == b"tEXt"
    assert body.split(b"\0")[0] == b"lifecycle export"
    width, height = struct.unpack_from(">II", kinds[0][1])
    assert min(width, height) > 900


@pytest.mark.parametrize("format_", FORMATS)
def test_any_table_is_exported(format_: str) -> None:
    """Another table gives another text or picture."""
    assert exported(format_, OTHER) != exported(format_)
    if format_ != "png":
        assert b"Begin" in exported(format_, OTHER)


def test_all_writes_every_format(tmp_path: Path, drawings: dict[str, bytes]) -> None:
    """A directory that need not exist gets five files; a second run changes nothing."""
    target = tmp_path / "docs" / "diagrams"
    result = run("--all", target)
    assert result == Ended(0, b"", "")
    texts = {name: TEXTS[f](EMAIL).encode() for name, f in FILES.items() if f in TEXTS}
    pictures = {name: drawings[f] for name, f in FILES.items() if f in PICTURES}
    assert contents(target) == texts | pictures
    assert set(FILES.values()) == set(FORMATS)
    before = contents(target)
    assert run("--all", target).status == 0
    assert contents(target) == before
    assert run("--all", target, "--check").status == 0


@pytest.mark.usefixtures("no_renderer")
def test_check_accepts_what_all_wrote(directory: Path) -> None:
    """Nothing differs, nothing is said, and no renderer is needed to see it."""
    before = contents(directory)
    result = run("--all", directory, "--check")
    assert result == Ended(0, b"", "")
    assert contents(directory) == before


@pytest.mark.parametrize("name", FILES)
def test_check_names_a_missing_file(directory: Path, name: str) -> None:
    """A missing file is named, and not written."""
    (directory / name).unlink()
    result = run("--all", directory, "--check")
    assert (result.status, result.output) == (1, b"")
    assert result.errors == f"lifecycle export: {directory / name} is missing\n"
    assert not (directory / name).exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("position", [0, 100, -1, -20, -80])
def test_check_names_a_changed_file(directory: Path, name: str, position: int) -> None:
    """One other byte, wherever it is, in the drawing or in its mark, makes a file differ."""
    data = bytearray((directory / name).read_bytes())
    data[position] ^= 1
    (directory / name).write_bytes(data)
    result = run("--all", directory, "--check")
    assert (result.status, result.output) == (1, b"")
    assert result.errors == (
        f"lifecycle export: {directory / name} is out of date or was changed\n"
    )
    assert (directory / name).read_bytes() == data


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("data", [b"", b"x", b"x" * 300])
def test_check_names_a_file_of_another_kind(directory: Path, name: str, data: bytes) -> None:
    """A file that is empty, short or something else differs."""
    (directory / name).write_bytes(data)
    assert differences(directory) == [f"{directory / name} is out of date or was changed"]


@pytest.mark.parametrize("name", FILES)
def test_check_names_a_file_with_more_at_its_end(directory: Path, name: str) -> None:
    """Something appended makes a file differ."""
    with (directory / name).open("ab") as file:
        file.write(b"\n")
    assert differences(directory) == [f"{directory / name} is out of date or was changed"]


def test_check_names_what_should_not_be_there(directory: Path) -> None:
    """Other files and directories are named, sorted, and left where they are."""
    (directory / "old.svg").write_text("")
    (directory / "more").mkdir()
    result = run("--all", directory, "--check")
    assert result.status == 1
    assert result.errors.splitlines() == [
        f"lifecycle export: {directory / 'more'} should not be there",
        f"lifecycle export: {directory / 'old.svg'} should not be there",
    ]
    assert (directory / "old.svg").exists()


def test_check_names_every_difference(directory: Path) -> None:
    """All differences of one run are named, not only the first."""
    (directory / "extra").write_text("")
    (directory / "lifecycle.md").unlink()
    (directory / "lifecycle.png").write_bytes(b"")
    result = run("--all", directory, "--check")
    assert result.status == 1
    assert [line.split()[2] for line in result.errors.splitlines()] == [
        str(directory / name) for name in ("extra", "lifecycle.md", "lifecycle.png")
    ]


@pytest.mark.usefixtures("no_renderer")
def test_a_drawing_of_another_table_is_out_of_date(directory: Path) -> None:
    """When the table has changed every file differs, the pictures by their marks."""
    assert differences(directory) == []
    assert differences(directory, OTHER) == [
        f"{directory / name} is out of date or was changed" for name in FILES
    ]


def test_check_of_no_directory_names_every_file(tmp_path: Path) -> None:
    """Where there is no directory all files are missing, and it is not made."""
    result = run("--all", tmp_path / "none", "--check")
    assert result.status == 1
    assert result.errors.splitlines() == [
        f"lifecycle export: {tmp_path / 'none' / name} is missing" for name in FILES
    ]
    assert not (tmp_path / "none").exists()


def test_a_renderer_of_another_version_changes_nothing_for_check(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that another version draws otherwise are not out of date: the table is the same."""
    name = "lifecycle.svg"
    program = tmp_path.parent / f"{tmp_path.name}-renderer"
    stand_in(monkeypatch, program, "print('<svg><g/></svg>')")
    other = exported("svg")
    assert other.startswith(b"<svg><g/></svg>\n<!-- lifecycle export ")
    assert other != (directory / name).read_bytes()
    assert differences(directory) == []
    (directory / name).write_bytes(other)
    assert differences(directory) == []


def test_a_mistyped_format_is_refused() -> None:
    """The refusal names what was given and what there is."""
    line = refusal("pgn")
    assert "'pgn'" in line
    assert all(format_ in line for format_ in FORMATS)


def test_a_format_or_all_is_needed() -> None:
    """Nothing to do is a refusal that says what can be done."""
    line = refusal()
    assert "--all" in line
    assert all(format_ in line for format_ in FORMATS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("svg", "--all", "DIR"), ("'svg'", "--all")),
        (("--all", "DIR", "-o", "FILE"), ("--output", "--all")),
        (("--all", "DIR", "-o", "FILE", "--check"), ("--output", "--all")),
        (("--check",), ("--check", "--all")),
        (("svg", "--check"), ("--check", "--all")),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FORMAT and --all exclude each other; -o is FORMAT's and --check is --all's."""
    monkeypatch.chdir(tmp_path)
    line = refusal(*arguments)
    assert all(word in line for word in words)
    assert contents(tmp_path) == {}


def test_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The refusal names the file and the reason, and is no traceback."""
    path = tmp_path / "none" / "x.dot"
    assert refusal("dot", "-o", path) == (
        f"lifecycle export: cannot write {path}: No such file or directory"
    )
    assert str(tmp_path) in refusal("dot", "-o", tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in the place of DIR stays as it is."""
    path = tmp_path / "file"
    path.write_text("kept")
    assert str(path) in refusal("--all", path)
    assert str(path) in refusal("--all", path, "--check")
    assert path.read_text() == "kept"


def test_a_file_that_cannot_be_read_is_refused(directory: Path) -> None:
    """A directory in the place of a file is named by --check."""
    (directory / "lifecycle.dot").unlink()
    (directory / "lifecycle.dot").mkdir()
    assert str(directory / "lifecycle.dot") in refusal("--all", directory, "--check")


def failing_echo(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output refuse everything."""
    real = typer.echo

    def echo(message: object, nl: bool = True, err: bool = False) -> None:
        if not err:
            raise error
        real(message, nl=nl, err=err)

    monkeypatch.setattr(typer, "echo", echo)


def test_standard_output_that_is_full_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk behind standard output is named like any other."""
    failing_echo(OSError(28, "No space left on device"), monkeypatch)
    assert refusal("dot") == (
        "lifecycle export: cannot write to standard output: No space left on device"
    )


def test_a_reader_that_has_enough_ends_it_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe is no error of ours: the command ends without a word."""
    failing_echo(BrokenPipeError(32, "Broken pipe"), monkeypatch)
    assert run("dot") == Ended(1, b"", "")


@pytest.mark.usefixtures("no_renderer")
@pytest.mark.parametrize("format_", PICTURES)
def test_a_missing_renderer_is_named(format_: str, tmp_path: Path) -> None:
    """The refusal says what to install; nothing is written, with --all not even the texts."""
    line = refusal(format_, "-o", tmp_path / "x")
    assert "graphviz-pure" in line
    assert 'pip install "email-lifecycle[cli]"' in line
    assert "graphviz-pure" in refusal("--all", tmp_path / "new")
    assert contents(tmp_path) == {}


def test_the_environments_own_renderer_comes_first(
    monkeypatch: pytest.MonkeyPatch, drawings: dict[str, bytes]
) -> None:
    """An environment need not be activated: its renderer is found without the search path."""
    monkeypatch.setenv("PATH", "")
    assert exported("svg") == drawings["svg"]


def test_a_renderer_on_the_search_path_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawings: dict[str, bytes]
) -> None:
    """Where the environment has no renderer, the one on the search path is taken."""
    real = shutil.which
    asked: list[str | None] = []

    def which(name: str, path: str | None = None) -> str | None:
        asked.append(path)
        return None if path else found

    found = real("graphviz-pure", path=str(Path(sys.executable).parent)) or real("graphviz-pure")
    monkeypatch.setattr(shutil, "which", which)
    assert exported("svg") == drawings["svg"]
    assert len(asked) == 2


def test_a_renderer_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the renderer says stands in the refusal, on the same line."""
    program = tmp_path / "renderer"
    stand_in(monkeypatch, program, "import sys; sys.exit('no\\nmemory')")
    assert refusal("svg") == f"lifecycle export: {program} failed with status 1: no memory"


def test_a_renderer_that_cannot_be_started_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that is none is named with the system's reason."""
    monkeypatch.setattr(shutil, "which", lambda *args, **options: str(tmp_path))
    assert f"{tmp_path} failed: " in refusal("png")


def test_a_renderer_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is bounded in time."""

    def hanging(command: list[str], **options: object) -> NoReturn:
        assert isinstance(options["timeout"], float)
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hanging)
    assert "timed out after 60.0 seconds" in refusal("svg")
