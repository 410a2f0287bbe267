"""Running the package in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lifecycle

MODULE = (sys.executable, "-m", "lifecycle")
"""What starts the command."""


def environment(**changes: str) -> dict[str, str]:
    """An environment in which the tested package is found, and nothing else watches.

    Arguments:
        changes: variables to set.
    """
    dropped = ("COV", "PYTEST", "FORCE_COLOR", "NO_COLOR", "TTY_", "COLUMNS", "TERM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONPATH": str(Path(lifecycle.__file__).parent.parent), **changes}
