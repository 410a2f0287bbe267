"""L8. Where `lifecycle simulate` finds its mails: files, mbox files, Maildirs, folders, stdin."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from lifecycle.cli._terminal import reason

_FROM_LINE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*\n")
"""The line before each message of an mbox: the first one, or one that follows an empty line."""
_MARK = re.compile(rb"^>(>*From )", re.MULTILINE)
"""What an mbox makes of a line that looks like the one before each message."""


@attrs.define
class Mails:
    """What was found under the given paths."""

    mails: list[tuple[str, bytes]] = attrs.field(factory=list)
    """Where each message was and its raw bytes, in a stable order."""
    skipped: int = 0
    """How many files in folders are no `.eml`."""
    failures: list[str] = attrs.field(factory=list)
    """What could not be read: a path and a reason each."""


def read_mails(paths: Iterable[str]) -> Mails:
    """Read every message under paths.

    Arguments:
        paths: an `.eml` or mbox file, a Maildir, a folder (searched for `.eml` files at every
            depth, but not through links to folders), or `-` for standard input, which is one
            message or an mbox. A path that is given twice is read twice.

    Returns: the messages. What cannot be read is among the failures; the others are read. Files
    without content hold no message.
    """
    found = Mails()
    for path in paths:
        try:
            if path == "-":
                found.mails += _split("standard input", sys.stdin.buffer.read())
            elif (folder := Path(path)).is_dir():
                _read_folder(folder, found)
            else:
                found.mails += _read_file(Path(path))
        except OSError as error:
            found.failures.append(f"{path}: {reason(error)}")
    return found


def _read_folder(folder: Path, found: Mails) -> None:
    if (folder / "new").is_dir() and (folder / "cur").is_dir():
        files = [*_listed(folder / "cur", found), *_listed(folder / "new", found)]
        wanted = [file for file in files if not file.name.startswith(".")]
    else:
        files = list(_walked(folder, found))
        wanted = [file for file in files if file.suffix.lower() == ".eml"]
        found.skipped += len(files) - len(wanted)
    for file in wanted:
        try:
            if data := _read_regular(file):
                found.mails.append((str(file), data))
        except OSError as error:
            found.failures.append(f"{file}: {reason(error)}")


def _listed(folder: Path, found: Mails) -> list[Path]:
    """What is in one folder of a Maildir."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        found.failures.append(f"{folder}: {reason(error)}")
        return []


def _walked(folder: Path, found: Mails) -> Iterator[Path]:
    """Every file under a folder."""

    def failed(error: OSError) -> None:
        found.failures.append(f"{error.filename}: {reason(error)}")

    for parent, folders, files in os.walk(folder, onerror=failed):
        folders.sort()
        yield from (Path(parent, file) for file in sorted(files))


def _read_regular(path: Path) -> bytes:
    """Read what was found and not named: a pipe or a device there would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    return path.read_bytes()


def _read_file(path: Path) -> list[tuple[str, bytes]]:
    data = path.read_bytes()
    # Some programs leave the mbox line before a single message that they save as .eml.
    if path.suffix.lower() == ".eml" and data:
        return [(str(path), data)]
    return _split(str(path), data)


def _split(name: str, data: bytes) -> list[tuple[str, bytes]]:
    """The messages of an mbox, or the one message that it is."""
    if not data.startswith(b"From "):
        return [(name, data)] if data else []
    messages = _FROM_LINE.split(data)[1:] or [data]
    return [
        (f"{name} message {number}", _unquoted(message))
        for number, message in enumerate(messages, 1)
        if message
    ]


def _unquoted(message: bytes) -> bytes:
    """A message without the empty line after it, and the marks before `From `, of an mbox."""
    for end in (b"\r\n", b"\n"):
        if message.endswith(end + end):
            message = message.removesuffix(end)
            break
    return _MARK.sub(rb"\1", message)
