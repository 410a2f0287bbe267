"""What keeps processes of a run from outliving it."""

from __future__ import annotations

import ctypes
import signal

_SET_DEATH_SIGNAL = 1


def die_with_parent() -> None:
    """Have the system kill this process when the one that has started it ends. Linux only."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
