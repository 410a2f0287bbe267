"""What a process was about to do and what came of it, written down so that a kill loses nothing.

Imports nothing of the library.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

Line: TypeAlias = dict[str, Any]


class Journal:
    """A file of JSON lines; a line that `write` has returned from survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **fields: Any) -> None:
        """Append a line with its kind and the time, in one call of the system."""
        line = {"kind": kind, "t": time.time(), **fields}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> Iterator[Line]:
    """The lines of a journal; a last one that the kill cut off was never written."""
    if not path.exists():
        return
    *whole, _ = path.read_bytes().split(b"\n")
    for line in whole:
        yield json.loads(line)


def unresolved(lines: Iterable[Line]) -> dict[str, Line]:
    """The requests, by operation id, of which nobody has said what came of them."""
    open_: dict[str, Line] = {}
    for line in lines:
        if line["kind"] == "intent":
            open_[line["op"]] = line
        elif line["kind"] == "ack":
            open_.pop(line["op"], None)
    return open_
