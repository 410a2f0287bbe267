"""The README is true: its examples run, its tables are those of the table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle import diagram, telemetry

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- example -->\n```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)\n```", TEXT, re.DOTALL)
GENERATED = re.compile(
    r"(<!-- generated: lifecycle export markdown -->\n)(.*?)(<!-- end of generated -->)", re.DOTALL
)


def tables() -> str:
    """The tables as the README has them: one heading level below its own."""
    return diagram.markdown(level=3)


def test_every_python_block_is_an_example() -> None:
    """No block of Python escapes the tests."""
    assert len(EXAMPLES) == TEXT.count("```python") == 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number: int) -> None:
    """Each example runs on its own, without a warning."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[number]],
        check=True,
        capture_output=True,
        timeout=60,
    )


def test_the_first_example_prints_the_notifications() -> None:
    """The ten lines step an interaction and print what the agent is told."""
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES[0]], check=True, capture_output=True, text=True, timeout=60
    )
    states = re.findall(r'"state":"(\w+)"', done.stdout)
    assert states == ["Invited", "Accepted", "ReplyCreated"]
    assert all(line.startswith('ann {"messageTypeName"') for line in done.stdout.splitlines())


def test_the_tables_are_generated() -> None:
    """The tables between the markers are what `lifecycle export markdown` prints."""
    found = GENERATED.search(TEXT)
    assert found is not None
    assert found[2].strip() == tables().strip()


def test_metrics_and_spans_are_documented() -> None:
    """What the telemetry's own tables say stands between the markers, every line of it."""
    begin, end = "<!-- generated: lifecycle.telemetry -->", "<!-- end of telemetry -->"
    found = TEXT[TEXT.index(begin) + len(begin) : TEXT.index(end)]
    wanted = f"{telemetry.metrics_table()}\n{telemetry.spans_table()}"
    lines = [line for line in wanted.splitlines() if line.strip()]
    assert [line for line in found.splitlines() if line.strip()] == lines


def test_the_paths_exist() -> None:
    """What the commands and the picture name is there."""
    assert len(COMMANDS) == 4
    paths = re.findall(r"tests/[\w./]+", COMMANDS[0])
    assert len(paths) == 3
    run = re.findall(r"tests/[\w./]+", COMMANDS[-1])
    assert len(run) == 2
    for path in (*paths, *run, "diagrams/lifecycle.svg"):
        assert (README.parent / path).exists()
