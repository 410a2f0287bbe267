"""Runs the command from wherever it is called: `python tests/chaos/run.py --store sqlite ...`."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    for name, place in (("chaos", _TESTS), ("lifecycle", _TESTS.parent)):
        if find_spec(name) is None:
            sys.path.insert(0, str(place))
    sys.exit(import_module("chaos.command").main())
