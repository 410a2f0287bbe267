"""The checker of the chaos harness finds each fault that is planted, and none where none is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import chaos
import pytest
from chaos import config
from chaos.command import _parser, main, table, too_little
from chaos.facts import FAULTS
from chaos.journal import Journal, read, unresolved
from chaos.rows import FINAL, HELD, ROWS
from chaos.sample import ANN, BOB, NOW, Sample
from chaos.supervisor import Report, schedule

from lifecycle import EMAIL

_LOST, _INVENTED, _REPEATED, _DISORDERED, _TWO_OWNERS, _STUCK = FAULTS
_Plant: TypeAlias = Callable[[Sample], Any]
INDEPENDENT = (
    "checker", "check_history", "check_deliveries", "facts", "tables", "journal", "config", "rows",
)  # fmt: skip


def test_a_run_without_a_fault_has_none() -> None:
    """Transfers, refusals, workbins, replies, timers and erasure: nothing of it is a fault."""
    found = Sample().check()
    assert found.faults == {name: [] for name in FAULTS}
    assert not found


def _remove(rows: list[Any], row: Any) -> None:
    rows.remove(row)


def _each(*plants: _Plant) -> _Plant:
    def plant(one: Sample) -> None:
        for each in plants:
            each(one)

    return plant


def _put_history_off(one: Sample) -> None:
    """The step of B from version 1 is made twice, by two agents."""
    one.entry("B", 2)["actor"] = ANN


def _second_accept(one: Sample) -> None:
    again = {**one.entry("B", 2), "version": 3, "sequence": 5}
    one.entry("B", 3)["version"] = 4
    one.interaction("B")["version"] = 4
    one.tables.history.append(again)


def _invite_beyond_capacity(one: Sample) -> None:
    """Bob, who may hold one, is offered B while A is offered."""
    for row in (one.entry("A", 5), one.arrival(BOB, 2), one.delivery(BOB, 2)):
        row["sequence"] = 99
    for row in (one.entry("B", 1), one.arrival(BOB, 3), one.delivery(BOB, 3)):
        row["sequence"] = 2
    for row in (one.entry("A", 5), one.arrival(BOB, 99), one.delivery(BOB, 99)):
        row["sequence"] = 3


def _swap_arrivals(one: Sample) -> None:
    first, second = (one.endpoint.index(one.arrival(ANN, n)) for n in (2, 3))
    one.endpoint[first], one.endpoint[second] = one.endpoint[second], one.endpoint[first]


def _not_ready_before(one: Sample) -> None:
    """Ann had become not ready after her seventh delivery; the eighth is an invitation."""
    one.call("not_ready", ANN, version=10, sequence=7)


PLANTS: dict[str, tuple[str, _Plant]] = {
    "the last line of a history is gone": (
        _LOST, lambda one: _remove(one.tables.history, one.entry("B", 3))),
    "a line in the middle of a history is gone": (
        _LOST, lambda one: _remove(one.tables.history, one.entry("B", 2))),
    "a whole history is gone": (
        _LOST,
        lambda one: one.tables.history.__setitem__(
            slice(None), [row for row in one.tables.history if row["interaction_id"] != "B"])),
    "an interaction is gone": (
        _LOST, lambda one: _remove(one.tables.interactions, one.interaction("B"))),
    "a submission is gone": (_LOST, lambda one: _remove(one.tables.submissions, {"id": "B"})),
    "only a submission is left": (_LOST, lambda one: one.tables.submissions.append({"id": "X"})),
    "the stored version is an earlier one": (
        _LOST, lambda one: one.interaction("B").update(version=2, state="Accepted")),
    "a step begins where none ended": (
        _LOST, lambda one: one.entry("B", 3).update(source="ReplyCreated")),
    "an outcome is gone": (_LOST, lambda one: _remove(one.tables.outcomes, one.outcome("A2"))),
    "a raw mail is gone": (
        _LOST, lambda one: _remove(one.tables.contents, {"id": "ARAW", "owner": "A"})),
    "an acknowledged step is another one": (
        _LOST, lambda one: one.line("ack", "A2").update(state="Rejected")),
    "a delivery was marked and not made": (
        _LOST, lambda one: _remove(one.endpoint, one.arrival(ANN, 8))),
    "a delivery was taken back": (
        _LOST, lambda one: one.arrival(BOB, 5).update(answer="failed")),
    "a sequence belongs to nothing": (_LOST, lambda one: one.agent(ANN).update(sequence=99)),
    "a retained delivery is gone": (
        _LOST, lambda one: _remove(one.tables.deliveries, one.delivery(ANN, 4))),
    "an agent is gone": (_LOST, lambda one: _remove(one.tables.agents, one.agent(BOB))),
    "a notification has no number": (
        _LOST, lambda one: one.entry("B", 3).update(sequence=None)),
    "a reply was never mailed": (_LOST, lambda one: _remove(one.endpoint, one.mail("A"))),
    "what was erased kept its user data": (
        _LOST, lambda one: one.interaction("C").update(operation_id="C0")),

    "a step is not in the table": (
        _INVENTED, lambda one: one.entry("B", 3).update(trigger="Close")),
    "an agent invites": (_INVENTED, lambda one: one.entry("B", 1).update(actor=ANN)),
    "nobody pulls": (_INVENTED, lambda one: one.entry("A", 9).update(actor=None)),
    "a pull leads elsewhere": (_INVENTED, lambda one: one.entry("A", 9).update(dest="Accepted")),
    "nobody asked for a step": (
        _INVENTED, lambda one: _remove(one.tables.outcomes, one.outcome("A7"))),
    "nobody asked for a submission": (
        _INVENTED, lambda one: _remove(one.tables.outcomes, one.outcome("B0"))),
    "nobody asked for an invitation": (
        _INVENTED, lambda one: _remove(one.tables.outcomes, one.outcome("B1"))),
    "nobody asked for an operation": (
        _INVENTED, _each(lambda one: _remove(one.journal, one.line("intent", "A7")),
                         lambda one: _remove(one.journal, one.line("ack", "A7")))),
    "something else was asked for": (
        _INVENTED,
        lambda one: one.line("intent", "A7").update(command='{"operationName": "ReplyAll"}')),
    "an outcome of nothing": (
        _INVENTED, lambda one: one.tables.outcomes.append({**one.outcome("refused"),
                                                           "operation_id": "X"})),
    "no submission begins a history": (
        _INVENTED, lambda one: one.entry("B", 0).update(dest="Accepted")),
    "an offer was accepted too late": (
        _INVENTED, lambda one: one.entry("B", 2).update(at=one.entry("B", 1)["at"] + 1_100_000)),
    "work was revoked too early": (
        _INVENTED, lambda one: one.entry("B", 3).update(at=one.entry("B", 2)["at"] + 2_000_000)),
    "a transfer returned too early": (
        _INVENTED,
        lambda one: one.line("intent", "A3").update(
            command='{"operationName": "Transfer", "skill": "german"}')),
    "a return that nobody transferred": (
        _INVENTED,
        lambda one: one.entry("B", 3).update(trigger="Return", dest="Accepted", source="Revoked")),
    "a follow-up of another agent": (
        _INVENTED,
        lambda one: one.line("intent", "A3").update(
            command='{"operationName": "Transfer", "agentId": "agent05"}')),
    "a submission of nobody": (
        _INVENTED, lambda one: one.interaction("B").update(operation_id="X")),
    "a delivery of no step": (
        _INVENTED,
        lambda one: one.tables.deliveries.append({**one.delivery(ANN, 1), "sequence": 100})),
    "a delivery of another step": (
        _INVENTED, lambda one: one.delivery(ANN, 2).update(trigger="Reject")),
    "an arrival that was never committed": (
        _INVENTED, lambda one: one.endpoint.append({**one.arrival(ANN, 11), "sequence": 12})),
    "an arrival of another step": (
        _INVENTED, lambda one: one.arrival(ANN, 2).update(interaction="B")),
    "more is delivered than there is": (
        _INVENTED, lambda one: one.agent(ANN).update(delivered=100)),
    "a number beyond the latest": (_INVENTED, lambda one: one.agent(ANN).update(sequence=3)),
    "a mail that nobody sent": (
        _INVENTED, lambda one: one.endpoint.append({**one.mail("A"), "interaction": "B"})),
    "an invitation while not ready": (_INVENTED, _not_ready_before),
    "what is held is listed as waiting": (
        _INVENTED, lambda one: one.interaction("A").update(waiting=True)),
    "what is not parked is in a workbin": (
        _INVENTED, lambda one: one.interaction("A").update(workbin="late")),
    "content of nothing": (
        _INVENTED, lambda one: one.tables.contents.append({"id": "X", "owner": "X"})),
    "what was erased kept its mail": (
        _INVENTED, lambda one: one.tables.contents.append({"id": "CRAW", "owner": "C"})),
    "erased before its end": (
        _INVENTED, lambda one: one.entry("C", 4).update(source="Accepted")),

    "two answers to one request": (
        _REPEATED,
        lambda one: one.journal.append({**one.line("ack", "A2"), "version": 7})),
    "refused, and then done": (
        _REPEATED, lambda one: one.outcome("refused").update(version=2, refused=None)),
    "done, and stored as another step": (
        _REPEATED, lambda one: one.outcome("A2").update(version=7)),
    "two requests led to one step": (
        _REPEATED,
        lambda one: one.tables.outcomes.append({**one.outcome("A2"), "operation_id": "A1"})),
    "a version twice": (
        _REPEATED, lambda one: one.tables.history.append(dict(one.entry("B", 2)))),
    "a sequence twice": (_REPEATED, lambda one: one.entry("B", 3).update(sequence=1)),
    "a submission made two": (
        _REPEATED,
        lambda one: one.interaction("B").update(operation_id="A0")),
    "a sequence arrived as two things": (
        _REPEATED, lambda one: one.endpoint.append({**one.arrival(ANN, 2), "digest": "other"})),
    "something else arrived than is stored": (
        _REPEATED, lambda one: one.delivery(ANN, 2).update(digest="other")),
    "a mail under two Message-IDs": (
        _REPEATED, lambda one: one.endpoint.append({**one.mail("A"), "message_id": "<other>"})),

    "two arrivals in the wrong order": (_DISORDERED, _swap_arrivals),
    "an arrival was skipped": (
        _DISORDERED, lambda one: one.endpoint.append({**one.arrival(ANN, 9), "sequence": 13})),

    "somebody else works it": (_TWO_OWNERS, _put_history_off),
    "an offer is accepted twice": (_TWO_OWNERS, _second_accept),
    "an offer has another's number": (_TWO_OWNERS, lambda one: one.entry("B", 1).update(offer=2)),
    "somebody else is notified": (
        _TWO_OWNERS, lambda one: one.entry("B", 2).update(agent_id=ANN, sequence=50)),
    "stored with somebody": (
        _TWO_OWNERS, lambda one: one.interaction("B").update(agent_id=BOB)),
    "stored with a transfer": (_TWO_OWNERS, lambda one: one.interaction("B").update(origin=BOB)),
    "counted with one too many": (_TWO_OWNERS, lambda one: one.agent(BOB).update(load=1)),
    "invited beyond capacity": (_TWO_OWNERS, _invite_beyond_capacity),

    "a request was never answered": (
        _STUCK, lambda one: _remove(one.journal, one.line("ack", "A7"))),
    "a deadline passed": (
        _STUCK, lambda one: one.interaction("B").update(deadline=int(NOW - 5) * 1_000_000)),
    "a stream is parked": (_STUCK, lambda one: one.agent(ANN).update(parked=True)),
    "a stream is claimed": (_STUCK, lambda one: one.agent(ANN).update(worker="w")),
    "sessions of the dead": (_STUCK, lambda one: one.agent(ANN).update(sessions='["w"]')),
    "nobody noticed that an agent is gone": (
        _STUCK, lambda one: one.agent(ANN).update(away_at=int(NOW - 5) * 1_000_000)),
    "a delivery waits": (
        _STUCK,
        _each(lambda one: one.agent(BOB).update(delivered=4),
              lambda one: _remove(one.endpoint, one.arrival(BOB, 5)))),
    "a mail waits": (
        _STUCK,
        lambda one: one.tables.outgoing.append({"message_id": "<A>", "interaction_id": "A",
                                                "parked": False})),
    "a mail waits that was never tried": (
        _STUCK,
        _each(lambda one: _remove(one.endpoint, one.mail("A")),
              lambda one: one.tables.outgoing.append(
                  {"message_id": "<A>", "interaction_id": "A", "parked": True}))),
    "a process that is gone": (
        _STUCK, lambda one: one.tables.workers.append({"name": "w", "until": 1})),
    "what waits is not listed": (
        _STUCK, lambda one: one.interaction("B").update(waiting=False)),
}  # fmt: skip
"""Each fault: in which column it must be found, and how it is planted."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str) -> None:
    """A checker that overlooks it fails here."""
    column, plant = PLANTS[name]
    sample = Sample()
    plant(sample)
    assert sample.check().faults[column] != []


@pytest.mark.parametrize("name", FAULTS)
def test_every_column_is_planted(name: str) -> None:
    """No column is zero because nothing could be in it."""
    assert any(column == name for column, _ in PLANTS.values())


def test_a_ready_that_nobody_heard_of_excuses_an_invitation() -> None:
    """Where a process was killed while it asked for `ready`, nobody can say when that was."""
    sample = Sample()
    _not_ready_before(sample)
    sample.journal.append({"kind": "call", "t": 0.0, "number": -1, "what": "ready", "agent": ANN})
    assert not sample.check()


def test_a_ready_between_excuses_an_invitation() -> None:
    """After the next `ready` the agent may be invited."""
    sample = Sample()
    _not_ready_before(sample)
    sample.call("ready", ANN, version=11, sequence=7)
    assert not sample.check()


def test_agents_whose_readiness_nobody_heard_of_are_no_fault() -> None:
    """Where every worker was killed before it had the answer, there is nothing to compare."""
    sample = Sample()
    sample.journal = [line for line in sample.journal if line["kind"] not in ("call", "done")]
    assert not sample.check()


def test_a_refusal_that_was_not_stored_is_lost() -> None:
    """A refusal is an outcome like any other."""
    sample = Sample()
    sample.tables.outcomes.remove(sample.outcome("refused"))
    assert sample.check().faults[_LOST] != []


def test_repeats_of_what_came_before_are_no_fault() -> None:
    """The sink may get again, under the same sequence, what it had."""
    sample = Sample()
    sample.endpoint.insert(5, dict(sample.arrival(ANN, 1)))
    sample.endpoint.append(dict(sample.arrival(ANN, 3)))
    sample.endpoint.append(dict(sample.mail("A")))
    assert not sample.check()


def test_the_table_of_the_checker_is_whole() -> None:
    """Thirty rows by hand, which are those of the specification and of the library."""
    assert len(ROWS) == 30
    assert {(row.trigger, row.source, row.dest) for row in EMAIL.rows} == ROWS
    assert {state.name for state in EMAIL.states if state.held} == HELD
    assert {state.name for state in EMAIL.states if state.final} == FINAL


@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_checker_imports_nothing_of_the_library(name: str) -> None:
    """It shares no code with what it checks."""
    folder = Path(chaos.__file__).parent
    found = set()
    for node in ast.walk(ast.parse((folder / f"{name}.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    assert {one for one in found if one.startswith("lifecycle")} == set()
    assert {one.removeprefix("chaos.") for one in found if one.startswith("chaos.")} <= {
        *INDEPENDENT
    }


def test_the_checker_loads_nothing_of_the_library() -> None:
    """In a fresh process, too, where nobody else has."""
    program = "import sys, chaos.checker; print(*[m for m in sys.modules if 'lifecycle' in m])"
    folder = str(Path(chaos.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r}); {program}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == []


def test_a_journal_survives_what_was_cut_off(tmp_path: Path) -> None:
    """A line without its end was never written; what has no answer is unresolved."""
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.write("intent", op="one")
        journal.write("intent", op="two")
        journal.write("ack", op="one")
    with path.open("ab") as file:
        file.write(b'{"kind": "ack", "op": "tw')
    assert list(unresolved(read(path))) == ["two"]
    assert list(read(tmp_path / "none")) == []


def test_a_seed_gives_the_same_schedule() -> None:
    """Another seed gives another one; every kind of event is there."""
    one = config.Config(address="", folder="", seed=1)
    two = config.Config(address="", folder="", seed=2)
    assert schedule(one, 60) == schedule(one, 60)
    assert schedule(one, 60) != schedule(two, 60)
    assert {what for _, what, _, _ in schedule(one, 60)} == {
        "kill", "stop", "fill", "kill server",
    }  # fmt: skip
    assert all(at < 60 for at, _, _, _ in schedule(one, 60))


def test_a_run_that_did_too_little_fails() -> None:
    """Kills, those with a commit in flight, and steps must be enough for the duration."""
    options = _parser().parse_args(["--store", "sqlite", "--seconds", "600"])
    report = Report()
    assert too_little(report, options) == [
        "0 kills, not 300",
        "0 kills with a commit in flight, not 100",
        "0 steps acknowledged, not 50000",
    ]
    report.kills, report.in_flight, report.full = 300, 100, 5
    options.expect_steps = 0
    assert too_little(report, options) == ["the disk was full, and nobody was told"]
    report.facts.trouble["StoreFull"] += 1
    assert too_little(report, options) == []


def test_the_table_names_every_column() -> None:
    """Kills, steps and faults, as the specification of the harness lists them."""
    report = Report(kills=3, crashed=["worker 1"])
    report.found.stuck("something")
    names, values, _ = table(report).splitlines()
    columns = dict(zip(names.split(" | "), map(int, values.split("|")), strict=True))
    assert columns["kills"] == 3
    assert columns["stuck"] == columns["crashed"] == 1
    assert {*FAULTS, "steps acknowledged", "with a commit in flight"} <= set(columns)


def test_the_command_refuses_an_unknown_store(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which there are."""
    with pytest.raises(SystemExit) as refused:
        main(["--store", "paper", "--seconds", "1"])
    assert refused.value.code == 2
    assert "sqlite" in capsys.readouterr().err
