"""How long `import lifecycle` takes, beside the libraries that it stands on."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

from benchmarks.harness import Spread
from benchmarks.report import Bound, Result
from benchmarks.speed import Effort

LIBRARIES = "transitions, attrs, cattrs, orjson"


def seconds(modules: str, bytecode: str) -> float:
    """How long a new process takes to import modules, once it runs.

    Arguments:
        modules: what is imported, with commas.
        bytecode: a folder for what Python compiles, so that all modules are compiled before.
    """
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from time import perf_counter\n"
        "start = perf_counter()\n"
        f"import {modules}\n"
        "print(perf_counter() - start)\n"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


def imports(effort: Effort) -> list[Result]:
    """Imports in processes of their own, alternated."""
    with TemporaryDirectory() as bytecode:
        for modules in ("lifecycle", LIBRARIES):
            seconds(modules, bytecode)
        pairs = [
            (seconds("lifecycle", bytecode), seconds(LIBRARIES, bytecode))
            for _ in range(effort.processes)
        ]
    ours, libraries = zip(*pairs, strict=True)
    return [
        Result(Bound(name="import lifecycle", unit="ms"), Spread.of([1e3 * one for one in ours])),
        Result(
            Bound(name=f"import {LIBRARIES}", unit="ms"),
            Spread.of([1e3 * one for one in libraries]),
        ),
        Result(
            Bound(name="import lifecycle / import of those alone", at_most=2),
            Spread.of([one / other for one, other in pairs]),
        ),
    ]
