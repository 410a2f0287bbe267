"""A small file system of the run's own, in memory, that can be full. Needs to be root on Linux.

It is mounted in a namespace of this process and its children, and is gone with them, however
they end.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEW_NAMESPACE = 0x00020000
_PRIVATE = 0x00040000 | 0x00004000
_REMOUNT = 0x00000020
_DETACH = 0x00000002
_SIZE = 6 * 1024**3
_TRIES = 1000


class NoDisk(Exception):
    """The system does not let this process mount anything; the text says why."""


class Disk:
    """A folder with a file system in memory.

    Arguments:
        folder: where to mount it.

    Raises `NoDisk` where that is not possible.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._call(self._libc.unshare(_NEW_NAMESPACE))
        except AttributeError as error:
            raise NoDisk(f"no such function: {error}") from error
        self._mount(b"none", b"/", None, _PRIVATE, None)
        folder.mkdir()
        self._mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % _SIZE)
        folder.chmod(0o777)

    def fill(self) -> None:
        """Leave no room: the file system is now as large as what is in it.

        Raises `NoDisk` where somebody writes so much that it never can be.
        """
        for tries_left in reversed(range(_TRIES)):
            state = os.statvfs(self.folder)
            try:
                return self._resize((state.f_blocks - state.f_bfree) * state.f_frsize)
            except NoDisk:  # somebody has written meanwhile, and it may not be smaller than that
                if not tries_left:
                    raise
        return None

    def clear(self) -> None:
        """Give the room back."""
        self._resize(_SIZE)

    def close(self) -> None:
        """Take the file system away, with all that is in it."""
        self._call(self._libc.umount2(os.fsencode(self.folder), _DETACH))

    def _resize(self, size: int) -> None:
        self._mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", _REMOUNT, b"size=%d" % size)

    def _mount(
        self, source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None
    ) -> None:
        self._call(self._libc.mount(source, target, kind, ctypes.c_ulong(flags), data))

    def _call(self, result: int) -> None:
        if result != 0:
            raise NoDisk(os.strerror(ctypes.get_errno()))
