"""`lifecycle show`: timelines of captures, right ones, wrong ones and hostile ones."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from processes import MODULE, environment
from rich.console import Console
from typer.testing import CliRunner

from lifecycle.cli import app
from lifecycle.simulation import Simulation
from lifecycle.sinks.jsonl import JsonLinesSink


def delivery(**changes: Any) -> dict[str, Any]:
    """A delivery as `simulate` writes it, shortened."""
    return {
        "agentId": "ann",
        "topic": "/me/interactions",
        "sequence": 1,
        "interactionId": "A1",
        "offer": 1,
        "trigger": "Invite",
        "at": "2026-01-05T08:00:20.123000Z",
        "data": notification("Invited", ["Accept", "Reject"], subject="Late parcel"),
        **changes,
    }


def notification(state: str, capabilities: list[str], **email: str) -> dict[str, Any]:
    """A notification of a state, shortened."""
    return {
        "messageTypeName": "InteractionStateMessage",
        "id": "A1",
        "email_object": email,
        "state": state,
        "capabilities": capabilities,
    }


def capture(path: Path, *lines: Any) -> Path:
    """A file of lines: bytes as they are, anything else as JSON."""
    path.write_bytes(
        b"".join((ln if isinstance(ln, bytes) else orjson.dumps(ln)) + b"\n" for ln in lines)
    )
    return path


def show(
    file: object, *, given: bytes | None = None, charset: str = "utf-8"
) -> tuple[int, str, str]:
    """Exit status, output and errors of the command."""
    runner = CliRunner(charset=charset)
    result = runner.invoke(app, ["show", str(file)], input=given, catch_exceptions=False)
    return (
        result.exit_code,
        result.stdout_bytes.decode(charset),
        result.stderr_bytes.decode(charset),
    )


LIFE = (
    delivery(),
    delivery(
        sequence=2,
        trigger="Accept",
        at="2026-01-05T08:00:28.5Z",
        data=notification("Accepted", ["Transfer", "Reply"], Subject="Late parcel"),
    ),
    delivery(interactionId="B2", agentId="bob", data=notification("Invited", [], subject="Other")),
    delivery(
        sequence=3,
        trigger="Transfer",
        at="2026-01-05T08:01:00Z",
        data=notification("Transferred", [], subject="Late parcel"),
    ),
)
SHOWN = """\
A1  Late parcel
  2026-01-05 08:00:20  Invite           Invited      ann      offer 1  may Accept, Reject
  2026-01-05 08:00:28  Accept           Accepted     ann      offer 1  may Transfer, Reply
  2026-01-05 08:01:00  Transfer         Transferred  ann      offer 1

B2  Other
  2026-01-05 08:00:20  Invite           Invited      bob      offer 1

"""


def test_each_interaction_has_a_timeline(tmp_path: Path) -> None:
    """Lines of several interactions are told apart, each in its order, the subject on top."""
    assert show(capture(tmp_path / "x", *LIFE)) == (0, SHOWN, "")


def test_standard_input_is_read() -> None:
    """`-` is a capture too."""
    given = b"\n".join(map(orjson.dumps, LIFE))
    assert show("-", given=given) == (0, SHOWN, "")


def test_a_simulation_is_shown(tmp_path: Path) -> None:
    """Everything that a simulation prints is understood: one line for each delivery."""
    written = io.BytesIO()
    mails = [b"From: kim@example.net\nSubject: mail %d\n\nHello" % number for number in range(5)]
    anyio.run(Simulation(sink=JsonLinesSink(written)).run, mails)
    (tmp_path / "x").write_bytes(written.getvalue())
    status, output, errors = show(tmp_path / "x")
    assert (status, errors) == (0, "")
    deliveries = [orjson.loads(line) for line in written.getvalue().splitlines()]
    assert sum(line.startswith("  2026-01-") for line in output.splitlines()) == len(deliveries)
    heads = [line.split("  ") for line in output.splitlines() if line[:1].isalnum()]
    assert [head[0] for head in heads] == list(
        dict.fromkeys(one["interactionId"] for one in deliveries)
    )
    assert {head[1] for head in heads} <= {f"mail {number}" for number in range(5)}


def test_nothing_is_shown_of_nothing(tmp_path: Path) -> None:
    """An empty capture, or one of blank lines, is none to complain about."""
    assert show(capture(tmp_path / "x")) == (0, "", "")
    assert show(capture(tmp_path / "x", b"", b"  ")) == (0, "", "")


BARE = "a capture made with --bare does not say who was told, or when"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON: "),
        (b"\xff\xfe", "not JSON: "),
        (b"[" * 2000, "not JSON: "),
        (b"[1]", "must be an object at $: [1]"),
        (b"null", "must be an object at $: None"),
        (notification("Invited", []), BARE),
        ({}, "must be a string at $.agentId: None"),
        (delivery(agentId=["x"]), "must be a string at $.agentId: ['x']"),
        (delivery(interactionId={}), "must be a string at $.interactionId: {}"),
        (delivery(sequence="1"), "must be an integer at $.sequence: '1'"),
        (delivery(offer=True), "must be an integer at $.offer: True"),
        (delivery(offer=None), "must be an integer at $.offer: None"),
        (delivery(trigger=1), "must be a string at $.trigger: 1"),
        (delivery(at=20260105), "must be a string at $.at: 20260105"),
        (delivery(data=[]), "must be an object at $.data: []"),
        (delivery(data={}), "must be a string at $.data.state: None"),
        (
            delivery(data={"state": "Invited", "capabilities": "Accept"}),
            "must be a list of strings at $.data.capabilities: 'Accept'",
        ),
        (
            delivery(data={"state": "Invited", "capabilities": [1]}),
            "must be a list of strings at $.data.capabilities: [1]",
        ),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_shown(
    line: Any, reason: str, tmp_path: Path
) -> None:
    """Number, as an editor counts, and reason; nothing of it in the output; exit status 1."""
    path = capture(tmp_path / "x", LIFE[0], b"", line, *LIFE[1:])
    status, output, errors = show(path)
    assert (status, output) == (1, SHOWN)
    (said,) = errors.splitlines()
    assert said.startswith(f"lifecycle show: {path}:3: {reason}")


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    """One line each, in order."""
    path = capture(tmp_path / "x", b"{", b"[]", LIFE[0], b"}")
    status, output, errors = show(path)
    assert status == 1
    assert output.startswith("A1  Late parcel\n")
    assert [said.split(":")[2] for said in errors.splitlines()] == ["1", "2", "4"]


@pytest.mark.parametrize("data", [{"state": "Sent"}, {"state": "Sent", "email_object": "x"}])
def test_a_notification_without_a_mail_is_shown(data: dict[str, Any], tmp_path: Path) -> None:
    """What other captures leave out is left empty."""
    status, output, _ = show(capture(tmp_path / "x", delivery(data=data)))
    assert (status, output.splitlines()[0].rstrip()) == (0, "A1")
    assert "Sent" in output.splitlines()[1]


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """One line that names the file and the reason; exit status 2."""
    missing = tmp_path / "missing"
    assert show(missing) == (
        2, "", f"lifecycle show: cannot read {missing}: No such file or directory\n"
    )  # fmt: skip
    assert show(tmp_path) == (2, "", f"lifecycle show: cannot read {tmp_path}: Is a directory\n")


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nB2  fake\u202e"


def test_mail_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Controls in any shown text are written out, and no text takes a second line."""
    path = capture(
        tmp_path / "x",
        delivery(
            agentId=HOSTILE, interactionId=HOSTILE, trigger=HOSTILE, at=HOSTILE,
            data=notification(HOSTILE, [HOSTILE], subject=HOSTILE),
        ),
        {HOSTILE: HOSTILE},
        HOSTILE,
    )  # fmt: skip
    status, output, errors = show(path)
    assert status == 1
    text = output + errors
    assert [char for char in text if char != "\n" and not char.isprintable()] == []
    assert len(output.splitlines()) == 3
    assert len(errors.splitlines()) == 2
    assert r"\x1b]0;owned\x07\x1b[2J\x9b31m\r\nB2  fake\u202e" in output


def test_markup_in_mail_is_text(tmp_path: Path) -> None:
    """What the console library would take for markup, emoji or links stands as it is."""
    subject = "[bold red]sale[/] :smile: [link=http://example.com]x[/link]"
    path = capture(tmp_path / "x", delivery(data=notification("Invited", [], subject=subject)))
    assert f"A1  {subject}\n" in show(path)[1]


def test_a_long_subject_is_cut(tmp_path: Path) -> None:
    """A megabyte of subject does not fill the screen; a usual one stays on its line."""
    for length, shown in ((200, "x" * 200), (201, "x" * 200 + "..."), (10**6, "x" * 200 + "...")):
        data = notification("Invited", [], subject="x" * length)
        _, output, _ = show(capture(tmp_path / "x", delivery(data=data)))
        assert output.splitlines()[0] == f"A1  {shown}"


def test_any_encoding_will_do(tmp_path: Path) -> None:
    """What the output's encoding lacks is written out."""
    data = notification("Invited", [], subject="Grüße 你好")
    path = capture(tmp_path / "x", delivery(data=data))
    assert show(path)[1].splitlines()[0] == "A1  Grüße 你好"
    assert show(path, charset="latin-1")[1].splitlines()[0] == r"A1  Grüße \u4f60\u597d"


def test_a_terminal_gets_colours_and_a_pipe_does_not(tmp_path: Path) -> None:
    """Piped output is plain text, as wide as it is."""
    path = capture(tmp_path / "x", *LIFE)
    command = [*MODULE, "show", str(path)]
    piped = subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=True)
    assert (piped.stdout.decode(), piped.stderr) == (SHOWN, b"")
    forced = subprocess.run(
        command, env=environment(FORCE_COLOR="1"), capture_output=True, timeout=60, check=True
    )
    assert b"\x1b[" in forced.stdout


def test_a_reader_that_has_enough_ends_it_in_silence(tmp_path: Path) -> None:
    """`lifecycle show FILE | head -1` says nothing of a broken pipe."""
    path = capture(tmp_path / "x", *(delivery(interactionId=f"A{n}") for n in range(3000)))
    process = subprocess.Popen(
        [*MODULE, "show", str(path)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"A0  Late parcel\n"
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")


def test_output_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk behind standard output is named, in one line."""

    def full(self: Console, *args: object, **options: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Console, "print", full)
    assert show(capture(tmp_path / "x", *LIFE)) == (
        2, "", "lifecycle show: cannot write to standard output: No space left on device\n"
    )  # fmt: skip
