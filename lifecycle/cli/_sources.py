"""L8. Where `lifecycle simulate` finds its mails: files, mbox files, Maildirs, folders, stdin."""

from __future__ import annotations

import contextlib
import mailbox
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

_FROM = b"From "


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
            depth), or `-` for standard input, which is one message or an mbox.

    Returns: the messages. What cannot be read is among the failures; the others are read.
    """
    found = Mails()
    for path in paths:
        try:
            if path == "-":
                found.mails += _split("standard input", sys.stdin.buffer.read())
            elif Path(path).is_dir():
                _read_folder(Path(path), found)
            else:
                found.mails += _read_file(Path(path))
        except OSError as error:
            found.failures.append(_failure(path, error))
    return found


def _failure(path: object, error: OSError) -> str:
    return f"{path}: {error.strerror or error}"


def _read_folder(path: Path, found: Mails) -> None:
    maildir = (path / "new").is_dir() and (path / "cur").is_dir()
    folders = [path / "new", path / "cur"] if maildir else [path]
    for file in sorted(file for folder in folders for file in _files(folder, not maildir)):
        if maildir and file.name.startswith("."):
            continue
        if not maildir and file.suffix.lower() != ".eml":
            found.skipped += 1
            continue
        try:
            found.mails.append((str(file), file.read_bytes()))
        except OSError as error:
            found.failures.append(_failure(file, error))


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.rglob("*") if recursive else folder.iterdir():
        if not path.is_dir():
            yield path


def _read_file(path: Path) -> list[tuple[str, bytes]]:
    data = path.read_bytes()
    # Some programs leave the mbox line before a single message that they save as .eml.
    return [(str(path), data)] if path.suffix.lower() == ".eml" else _split(str(path), data)


def _split(name: str, data: bytes) -> list[tuple[str, bytes]]:
    """The messages of an mbox, or the one message that it is."""
    if not data.startswith(_FROM):
        return [(name, data)] if data else []
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.closing(mailbox.mbox(file.name, create=False)) as box:
            keys = enumerate(box.iterkeys(), 1)
            return [(f"{name} message {number}", box.get_bytes(key)) for number, key in keys]
