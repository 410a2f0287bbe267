"""L8. `lifecycle export`: the rule table as tables, diagram source and pictures (semantics 2, 3).

`diagram` makes the texts; here they are drawn by the `graphviz-pure` command, written and
compared. A drawing ends with a mark, the SHA-256 of the DOT source and of the drawing itself.
So `--check` need not draw anything: it recognizes a drawing of another table and a drawing
that was changed, but not one that another version of the renderer laid out otherwise.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sysconfig
import zlib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from lifecycle.diagram import dot, markdown, mermaid
from lifecycle.table import EMAIL, Table

_TEXTS: Final[Mapping[str, Callable[[Table], str]]] = {
    "markdown": markdown,
    "mermaid": mermaid,
    "dot": dot,
}
_PICTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "svg": ("-Tsvg",),
    "png": ("-Tpng", "-Gdpi=144"),  # sharp on screens of twice the usual density
}
FORMATS: Final = (*_TEXTS, *_PICTURES)
"""What `lifecycle export` can write."""

FILES: Final[Mapping[str, str]] = {
    "lifecycle.md": "markdown",
    "lifecycle.mmd": "mermaid",
    "lifecycle.dot": "dot",
    "lifecycle.svg": "svg",
    "lifecycle.png": "png",
}
"""The files of `--all` and the format of each."""

_RENDERER: Final = "graphviz-pure"
_SECONDS: Final = 60.0
_AFTER_MARK: Final = {"svg": 0, "png": 12}  # the last chunk of a PNG, IEND, is 12 bytes long


def export(
    format_: Annotated[
        str | None,
        typer.Argument(metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; standard output if not given."
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--all", metavar="DIR", help="Write lifecycle.* into DIR, in every format."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="With --all: write nothing, fail on any difference."),
    ] = False,
) -> None:
    """Export the state machine as tables, diagram source or a picture."""
    if directory is None:
        if check:
            _fail("--check needs --all DIR")
        if format_ is None:
            _fail(f"give a format, one of {', '.join(FORMATS)}, or --all DIR")
        if format_ not in FORMATS:
            _fail(f"there is no format {format_!r}; there are {', '.join(FORMATS)}")
        _write(output, exported(format_))
    elif format_ is not None:
        _fail(f"the format {format_!r} and --all exclude each other")
    elif output is not None:
        _fail("--output and --all exclude each other")
    elif check:
        _check(directory)
    else:
        _write_all(directory)


def exported(format_: str, table: Table = EMAIL) -> bytes:
    """A table in one of the `FORMATS`.

    Arguments:
        format_: the name of the format.
        table: the rule table.

    Returns: UTF-8 text, or the bytes of a marked picture.
    Raises `typer.Exit(2)`, after one line on standard error, where the picture cannot be drawn.
    """
    if format_ in _TEXTS:
        return _TEXTS[format_](table).encode()
    source = dot(table).encode()
    return _marked(format_, source, _drawn(format_, source))


def differences(directory: Path, table: Table = EMAIL) -> list[str]:
    """How a directory differs from what `--all` writes; draws and writes nothing.

    Arguments:
        directory: it need not exist.
        table: the rule table.

    Returns: one line a file that is missing, differs or should not be there.
    Raises `OSError` for what cannot be read.
    """
    found = {path.name for path in directory.iterdir()} if directory.exists() else set()
    lines = [f"{directory / name} should not be there" for name in sorted(found - FILES.keys())]
    for name, format_ in FILES.items():
        path = directory / name
        if name not in found:
            lines.append(f"{path} is missing")
        elif not _is_current(format_, path.read_bytes(), table):
            lines.append(f"{path} is out of date or was changed")
    return lines


def _is_current(format_: str, data: bytes, table: Table) -> bool:
    if format_ in _TEXTS:
        return data == exported(format_, table)
    end = len(data) - _AFTER_MARK[format_]
    start = end - len(_mark(format_, b"", b""))
    return data == _marked(format_, dot(table).encode(), data[:start] + data[end:])


def _marked(format_: str, source: bytes, drawing: bytes) -> bytes:
    end = len(drawing) - _AFTER_MARK[format_]
    return drawing[:end] + _mark(format_, source, drawing) + drawing[end:]


def _mark(format_: str, source: bytes, drawing: bytes) -> bytes:
    """The mark of a drawing, equally long for all of one format: a comment, or a text chunk."""
    digest = sha256(source + b"\0" + drawing).hexdigest().encode()
    if format_ == "svg":
        return b"<!-- lifecycle export " + digest + b" -->\n"
    chunk = b"tEXtlifecycle export\0" + digest
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _drawn(format_: str, source: bytes) -> bytes:
    # a virtual environment need not be activated: its own commands come first
    renderer = shutil.which(_RENDERER, path=sysconfig.get_path("scripts"))
    renderer = renderer or shutil.which(_RENDERER)
    if renderer is None:
        _fail(f'{_RENDERER}, which draws {format_}, is missing: pip install "email-lifecycle[cli]"')
    command = [renderer, *_PICTURES[format_]]
    try:
        result = subprocess.run(
            command, input=source, capture_output=True, check=True, timeout=_SECONDS
        )
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())
        _fail(f"{renderer} failed with status {error.returncode}: {said}")
    except (OSError, subprocess.TimeoutExpired) as error:
        _fail(f"{renderer} failed: {error}")
    return result.stdout


def _write(output: Path | None, data: bytes) -> None:
    try:
        if output is None:
            typer.echo(data, nl=False)
        else:
            output.write_bytes(data)
    except BrokenPipeError:
        raise  # the reader has enough: typer ends the command in silence
    except OSError as error:
        _fail(f"cannot write {output or 'to standard output'}: {error.strerror or error}")


def _write_all(directory: Path) -> None:
    contents = {name: exported(format_) for name, format_ in FILES.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _fail(f"cannot make the directory {directory}: {error.strerror or error}")
    for name, data in contents.items():
        _write(directory / name, data)


def _check(directory: Path) -> None:
    try:
        lines = differences(directory)
    except OSError as error:
        _fail(f"cannot read {error.filename or directory}: {error.strerror or error}")
    for line in lines:
        _say(line)
    if lines:
        raise typer.Exit(1)


def _fail(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(2)


def _say(message: str) -> None:
    typer.echo(f"lifecycle export: {message}", err=True)
