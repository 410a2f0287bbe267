"""The command as a whole: help, version, what is missing, and what a terminal is shown."""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys

import pytest
from processes import MODULE, environment
from typer.testing import CliRunner

import lifecycle
from lifecycle.cli import app, main
from lifecycle.cli._terminal import plain, reason, say

COMMANDS = (
    "simulate", "show", "export", "history", "agents", "queue", "deliveries", "outgoing", "store",
    "person",
)  # fmt: skip


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def without(packages: str, start: str) -> subprocess.CompletedProcess[str]:
    """Run Python where some packages cannot be imported."""
    program = (
        "import sys, importlib.abc, runpy\n"
        "class Missing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {packages.split()}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n" + start
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    """`--help` succeeds and says what there is."""
    status, output, errors = run("--help")
    assert (status, errors) == (0, "")
    assert all(command in output for command in COMMANDS)
    assert "--version" in output


def test_without_arguments_there_is_help() -> None:
    """`lifecycle` alone shows the same as `--help`, but has done nothing."""
    status, output, errors = run()
    assert status == 2
    assert (output + errors).strip() == run("--help")[1].strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """Each command says how it is used."""
    status, output, _ = run(command, "--help")
    assert status == 0
    assert f"lifecycle {command} [OPTIONS]" in output or f" {command} [OPTIONS]" in output


def test_the_version_is_printed() -> None:
    """`--version` prints it and does nothing else, whatever follows."""
    expected = (0, f"lifecycle {lifecycle.__version__}\n", "")
    assert run("--version") == expected
    assert run("--version", "simulate", "nothing") == expected


def test_an_unknown_command_is_refused() -> None:
    """The refusal names it; the exit status is that of wrong usage."""
    status, output, errors = run("simualte")
    assert (status, output) == (2, "")
    assert "simualte" in errors


def test_python_m_runs_the_command() -> None:
    """`python -m lifecycle` is the command, under the command's name."""
    done = subprocess.run(
        [*MODULE, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert "Usage: lifecycle [OPTIONS] COMMAND" in done.stdout
    assert done.stderr == ""


def test_main_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the script `lifecycle` calls takes the arguments of the process."""
    monkeypatch.setattr(sys, "argv", ["whatever", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lifecycle {lifecycle.__version__}\n"
    monkeypatch.delitem(sys.modules, "lifecycle.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("lifecycle", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lifecycle {lifecycle.__version__}\n"
    assert importlib.import_module("lifecycle.__main__").main is main


@pytest.mark.parametrize("package", ["typer", "rich"])
@pytest.mark.parametrize(
    "start",
    [
        "sys.argv = ['lifecycle', '--help']\nrunpy.run_module('lifecycle', run_name='__main__')",
        "from lifecycle.__main__ import main",
    ],
    ids=["python -m", "script"],
)
def test_without_the_extra_one_line_says_what_to_install(package: str, start: str) -> None:
    """Neither `python -m lifecycle` nor the script shows a traceback."""
    done = without(package, start)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f'lifecycle: {package} is missing: python -m pip install "email-lifecycle[cli]"\n'
    )


def test_the_library_needs_no_extra() -> None:
    """`import lifecycle` and the simulation work where the command's packages are missing."""
    done = without("typer rich graphviz_pure", "import lifecycle, lifecycle.simulation")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_package_ends_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process: the exit carries the line."""
    monkeypatch.setitem(sys.modules, "lifecycle.cli", None)
    monkeypatch.delitem(sys.modules, "lifecycle.__main__", raising=False)
    with pytest.raises(SystemExit, match=r'lifecycle.cli is missing: .*"email-lifecycle\[cli\]"'):
        importlib.import_module("lifecycle.__main__")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 你好 👩\u200d👧", "Grüße, 你好 👩\u200d👧"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred", r"\x9b31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\r\nb\tc\x00\x7f", r"a\r\nb\tc\x00\x7f"),
        ("abc\u202egnp.exe\u2066", r"abc\u202egnp.exe\u2066"),
        ("a\u2028b\u2029c\ufeff\u200b", r"a\u2028b\u2029c\ufeff\u200b"),
        ("\udce9.eml \ud800", r"\udce9.eml \ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("[bold]:smile:", "[bold]:smile:"),
    ],
)
def test_a_terminal_shows_texts_and_obeys_none(text: str, shown: str) -> None:
    """Controls, line ends, turns of direction and halves of characters are written out."""
    assert plain(text) == shown


def test_what_the_encoding_lacks_is_written_out() -> None:
    """A terminal of another encoding is no reason to fail."""
    assert plain("Grüße 你", "latin-1") == r"Grüße \u4f60"
    assert plain("Grüße", "ascii") == r"Gr\xfc\xdfe"


def test_what_is_said_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A message begins with the command, and cannot fake a second line."""
    say("simulate", "a\nlifecycle simulate: all is well\x1b[2J")
    assert capsys.readouterr() == (
        "",
        "lifecycle simulate: a\\nlifecycle simulate: all is well\\x1b[2J\n",
    )


def test_the_reason_of_an_error() -> None:
    """The system's words where there are some, else the error's own."""
    assert reason(FileNotFoundError(2, "No such file or directory", "x")) == (
        "No such file or directory"
    )
    assert reason(OSError("not a regular file")) == "not a regular file"
