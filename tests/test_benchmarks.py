"""The benchmarks' mechanics: what is compared, how ratios are made, when a bound is missed.

Nothing here depends on how fast anything is.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import orjson
import pytest
from benchmarks import imports, size, speed, work
from benchmarks.__main__ import SUITES, main
from benchmarks.harness import Samples, Spread, Subject, measure
from benchmarks.report import Bound, Result, as_json, failed, table
from benchmarks.rivals import HandWritten, ObviousBuild, Stock
from benchmarks.speed import LIMIT, OBVIOUS, OURS, STOCK, Effort

import lifecycle
from lifecycle._values import kept
from lifecycle.errors import LifecycleError
from lifecycle.table import EMAIL

SMALLEST = Effort(rounds=1, duration=1e-6, residents=1000, processes=1)


class FakeClock:
    """A clock that only the timed work moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        """The time."""
        return self.now

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """Work that takes the given times in turn, and the last one from then on."""
        left = list(seconds)

        def run() -> None:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_rounds_alternate_and_ratios_are_taken_within_them() -> None:
    """A machine that is slow in one round is slow for both, and the ratio does not see it."""
    clock = FakeClock()
    # the first time is the calibration's; a run of a second leaves one loop for each round
    subjects = {
        "one": Subject(clock.work("one", 1, 2, 20, 4)),
        "two": Subject(clock.work("two", 1, 1, 10, 4)),
    }
    samples = measure(subjects, rounds=3, duration=0.5, clock=clock)
    assert clock.order == ["one", "two", "one", "two", "two", "one", "one", "two"]
    assert samples.seconds == {"one": [2, 20, 4], "two": [1, 10, 4]}
    assert samples.ratio("one", "two") == Spread(median=2, low=1, high=2)
    assert samples.ratio("two", "one") == Spread(median=0.5, low=0.5, high=1)
    assert samples.time("one") == Spread(median=4, low=2, high=20)


def test_short_work_is_looped_and_reported_per_unit() -> None:
    """Work of 10 ms with 4 units fills half a second with 50 loops."""
    clock = FakeClock()
    samples = measure(
        {"short": Subject(clock.work("short", 0.01), 4)}, rounds=1, duration=0.5, clock=clock
    )
    assert samples.time("short").median == pytest.approx(0.0025)
    calibration = 1 + 2 + 4 + 8 + 16
    assert len(clock.order) == calibration + 50


@pytest.mark.parametrize("enabled", [True, False])
def test_rounds_run_without_garbage_collection(enabled: bool) -> None:
    """Collection is off while the work runs, and afterwards as it was before."""
    seen = []
    clock = FakeClock()
    run = clock.work("", 1)

    def look() -> None:
        seen.append(gc.isenabled())
        run()

    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        measure({"": Subject(look)}, rounds=2, clock=clock)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert set(seen) == {False}


@pytest.mark.parametrize(
    ("bound", "median", "passed"),
    [
        (Bound(name="", at_most=2), 2, True),
        (Bound(name="", at_most=2), 2.01, False),
        (Bound(name="", at_most=0), 0, True),
        (Bound(name="", at_least=2), 2, True),
        (Bound(name="", at_least=2), 1.99, False),
        (Bound(name="", wanted=1), 100, None),
    ],
)
def test_the_median_is_held_to_the_bound(bound: Bound, median: float, passed: bool | None) -> None:
    """A figure at its bound passes, one beyond it does not, and no bound gives no verdict."""
    assert Result(bound, Spread(median, 0, 1000)).passed is passed


def test_a_report_shows_what_was_missed() -> None:
    """The table and the JSON tell which of two bounds was kept."""
    kept = Result(Bound(name="kept", at_most=2, wanted=1), Spread(1.5, 1, 3))
    missed = Result(Bound(name="missed", at_least=60), Spread(59, 58, 150))
    lines = table([kept, missed]).splitlines()
    assert lines[1].split() == ["kept", "1.50", "x", "1.00", "3.00", "<=", "2", "1", "ok"]
    assert lines[2].split() == ["missed", "59.00", "x", "58.00", "150", ">=", "60", "MISSED"]
    assert failed([kept, missed]) == [missed]
    entries = json.loads(as_json([kept, missed]))
    assert [(one["name"], one["median"], one["passed"]) for one in entries] == [
        ("kept", 1.5, True),
        ("missed", 59, False),
    ]


def slow(monkeypatch: pytest.MonkeyPatch, name: str, factor: float) -> None:
    """Let every suite measure fixed times: one subject takes `factor`, the others 1 second."""

    def measured(subjects: dict[str, Subject], **_: object) -> Samples:
        return Samples({one: [factor if one == name else 1.0] for one in subjects})

    monkeypatch.setattr(speed, "measure", measured)


@pytest.mark.parametrize(
    ("suite", "slowed", "missed"),
    [
        ("legality", OURS, {"legality and destination / dict of dicts"}),
        ("refusal", OURS, {"refusal / dict of dicts that raises the same"}),
        ("step", OURS, {f"full step / limit ({LIMIT})", f"full step / bare {STOCK}"}),
    ],
)
def test_a_slow_subject_misses_its_bounds(
    monkeypatch: pytest.MonkeyPatch, suite: str, slowed: str, missed: set[str]
) -> None:
    """A subject made a thousand times as slow fails the ratios that it stands in, and no other.

    Where all take the same time, the ratios to what must be far slower fail as well.
    """
    slow(monkeypatch, OURS, 1)
    equal = {result.bound.name for result in failed(SUITES[suite](SMALLEST))}
    slow(monkeypatch, slowed, 1000)
    found = {result.bound.name for result in failed(SUITES[suite](SMALLEST))}
    assert missed <= found
    assert found - equal == missed - equal


@pytest.mark.parametrize(
    ("suite", "slowed"),
    [("legality", "transitions"), ("capabilities", "get_triggers"), ("step", OBVIOUS)],
)
def test_a_library_must_be_slower_by_its_bound(
    monkeypatch: pytest.MonkeyPatch, suite: str, slowed: str
) -> None:
    """Equal times miss the bound on a library's ratio, a thousandfold time keeps it."""
    slow(monkeypatch, slowed, 1)
    equal = [result.bound.name for result in failed(SUITES[suite](SMALLEST))]
    slow(monkeypatch, slowed, 1000)
    later = [result.bound.name for result in failed(SUITES[suite](SMALLEST))]
    assert len(set(equal) - set(later)) == 1


def test_the_command_says_by_its_status_whether_bounds_were_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0 with all bounds kept, 1 with one missed, which standard error names."""
    kept = Result(Bound(name="fast", at_most=2), Spread(1, 1, 1))
    missed = Result(Bound(name="slow", at_most=2), Spread(3, 3, 3))
    efforts = []

    def good(effort: Effort) -> list[Result]:
        efforts.append(effort)
        return [kept]

    suites = {"good": good, "bad": lambda _: [missed]}
    assert main(["--only", "good", "--rounds", "9"], suites) == 0
    assert efforts == [Effort(rounds=9)]
    assert "missed" not in capsys.readouterr().err
    file = tmp_path / "figures.json"
    assert main(["--quick", "--json", str(file)], suites) == 1
    assert efforts[1].rounds < 9
    assert "missed: slow" in capsys.readouterr().err
    assert [one["name"] for one in json.loads(file.read_text())] == ["fast", "slow"]
    with pytest.raises(SystemExit):
        main(["--rounds", "0"], suites)


def test_the_work_is_what_the_bounds_speak_of() -> None:
    """Two small and two large notifications; Accepted has 30 keys, 2 kB and an attachment."""
    invited, accepted, reply, revoked = work.ready_dicts()
    states = [one["state"] for one in (invited, accepted, reply, revoked)]
    assert states == ["Invited", "Accepted", "ReplyCreated", "Revoked"]
    assert len(accepted["userData"]) == 30
    assert len(accepted["email_object"]["Text"]) == len(reply["email_object"]["Text"]) == 2048
    assert len(accepted["email_object"]["attachments"]) == 1
    assert len(orjson.dumps(revoked)) < 1000


def test_all_subjects_write_the_same_notifications() -> None:
    """Ours, the limit and the obvious build put equal JSON into their sinks, again and again."""
    expected = list(work.ready_dicts())
    for make in (speed.full_subjects, lambda sink: speed.new_subjects(sink, 1)):
        sink = Kept()
        subjects = make(sink)
        for name in (OURS, LIMIT, OBVIOUS):
            for _ in range(3):
                subjects[name].run()
                assert [orjson.loads(one) for one in sink.taken()] == expected, name


def test_new_subjects_go_through_different_interactions() -> None:
    """Each cycle of the cold subjects writes another mail, the same one for all of them."""
    sink = Kept()
    subjects = speed.new_subjects(sink, 2)
    for number in (0, 1, 0):
        for name in (OURS, LIMIT, OBVIOUS):
            subjects[name].run()
            written = [orjson.loads(one) for one in sink.taken()]
            assert written == list(work.ready_dicts(number)), name
    texts = [one[1]["email_object"]["Text"] for one in map(work.ready_dicts, (0, 1))]
    assert texts[0] != texts[1]


class Kept(list[bytes]):
    """A sink that shows what was put into it before it was emptied."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: list[bytes] = []

    def clear(self) -> None:
        """Empty it."""
        self._taken += self
        super().clear()

    def taken(self) -> list[bytes]:
        """What has been put into it since this was asked last."""
        taken, self._taken = self._taken, []
        return taken


def test_every_machine_goes_through_the_cycle() -> None:
    """After a cycle all stand in Revoked, and can go round again."""
    hand_written, stock = HandWritten(EMAIL.initial), Stock(EMAIL.initial)
    for _ in range(2):
        for trigger in work.CYCLE:
            hand_written.fire(trigger)
        stock.cycle()
        assert hand_written.state == stock.cursor.state == "Revoked"
    assert work.versions()[-1].state == "Revoked"


def test_the_obvious_build_keeps_the_rules_too() -> None:
    """Another agent may not accept; the owner is forgotten when it is revoked."""
    sink: list[bytes] = []
    record = ObviousBuild.of(work.interaction(), sink.append)
    record.invite(work.AGENT)
    with pytest.raises(PermissionError):
        record.accept("somebody else")
    record.accept(work.AGENT)
    record.revoke()
    assert (record.state, record.agent, record.deadline, record.offer) == ("Revoked", None, None, 1)


@pytest.mark.parametrize("library", ["statemachine", "automat"])
def test_other_libraries_go_through_the_cycle(library: str) -> None:
    """Where they are installed, their machines take the cycle twice without a refusal."""
    pytest.importorskip(library, reason=f"{library} is only needed to compare with it")
    subjects = speed.other_subjects()
    name = {"statemachine": "python-statemachine", "automat": "automat"}[library]
    for _ in range(2):
        subjects[name].run()


def test_libraries_that_are_missing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-statemachine and automat there is nothing to compare with, and no error."""
    monkeypatch.setitem(sys.modules, "statemachine", None)
    monkeypatch.setitem(sys.modules, "automat", None)
    assert speed.other_subjects() == {}


def test_refusals_are_the_same_error() -> None:
    """The engine and the dict raise the same class with the same fields."""
    errors = [subject.run() for subject in speed.refusal_subjects().values()]
    assert all(isinstance(error, LifecycleError) for error in errors)
    ours, dicts = errors
    assert type(ours) is type(dicts)
    assert vars(ours) == vars(dicts)
    assert str(ours) == str(dicts)


def test_what_is_not_refused_is_no_refusal() -> None:
    """A subject that lets the command pass is an error, not a fast refusal."""
    hand_written = HandWritten("ReplyCreated")
    run = speed.refused(lambda: hand_written.refuse("1", "Send"))
    with pytest.raises(AssertionError, match="not refused"):
        run()


def test_a_record_has_the_fields_of_an_interaction() -> None:
    """What memory is compared with holds the same values, with a deadline of its own."""
    submission = work.interaction().submission
    ours, plain = size.resident(submission, 3), size.record(submission, 3)
    names = [field.name for field in attrs.fields(type(ours))]
    assert names == [field.name for field in attrs.fields(type(plain))]
    assert all(getattr(ours, name) == getattr(plain, name) for name in names)
    assert ours.deadline != size.resident(submission, 4).deadline


@pytest.mark.parametrize("traced", [True, False])
def test_memory_counts_what_objects_take(monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    """A block of 20 kB for each is seen by either way of measuring."""
    monkeypatch.setitem(size.KINDS, "block", lambda _, number: bytes(20_000 + number % 2))
    assert size.grown("block", 500, traced=traced) == pytest.approx(20_000, rel=0.2)


def test_a_crowd_is_visited_in_one_order() -> None:
    """Both walks visit the same residents: as often each, and to the same state."""
    crowd = size.Crowd(1000)
    for subject in crowd.subjects().values():
        subject.run()
    visited = set(crowd.order[: size.VISITS])
    assert {number for number, one in crowd.residents.items() if one.version} == visited
    assert {number for number, one in crowd.by_hand.items() if one.state != "Queued"} == visited
    assert {crowd.residents[number].state for number in visited} == {"Revoked"}
    assert {crowd.by_hand[number].state for number in visited} == {"Revoked"}
    assert len({one.id for one in crowd.residents.values()}) == 1000


def test_growth_is_compared_with_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as slow among many, where the dict is four times as slow: half its growth."""

    def measured(subjects: dict[str, Subject], **_: object) -> Samples:
        few, many = 1000, 10_000
        times = {
            f"{OURS} among {few}": 1.0,
            f"{OURS} among {many}": 2.0,
            f"by hand among {few}": 0.5,
            f"by hand among {many}": 2.0,
        }
        return Samples({name: [times[name]] for name in subjects})

    monkeypatch.setattr(size, "measure", measured)
    *_, ours, by_hand, both = size.growth(attrs.evolve(SMALLEST, residents=10_000))
    assert [one.measured.median for one in (ours, by_hand, both)] == [2, 4, 0.5]
    assert both.passed
    assert gc.isenabled()


def test_imports_are_timed_in_new_processes(tmp_path: Path) -> None:
    """The time is the import's own, and what is compiled for it goes to the given folder."""
    assert 0 < imports.seconds("colorsys", str(tmp_path)) < 60
    assert list(tmp_path.rglob("colorsys*.pyc"))


def test_imports_are_compared_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as long as the libraries misses the bound."""
    monkeypatch.setattr(
        imports, "seconds", lambda modules, _: 0.3 if modules == "lifecycle" else 0.1
    )
    *_, compared = imports.imports(SMALLEST)
    assert compared.measured.median == pytest.approx(3)
    assert compared.passed is False


def test_the_documented_command_runs() -> None:
    """`python tests/benchmarks/run.py` prints the table; its status is that of the bounds."""
    script = str(Path(work.__file__).with_name("run.py"))
    done = subprocess.run(
        [sys.executable, script, "--quick", "--only", "refusal"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(lifecycle.__file__).parent.parent)},
    )
    assert "refusal / dict of dicts that raises the same" in done.stdout, done.stderr
    assert done.returncode == ("MISSED" in done.stdout)


def test_what_is_made_of_a_value_is_kept_for_a_while() -> None:
    """The same value and note give the same result; a long one, or an old one, is made anew."""
    made: list[tuple[object, ...]] = []

    @kept(len)
    def make(value: list[str], note: str | None = None) -> list[str]:
        made.append((value[0], note))
        return value * int(value[0])

    value, long = ["1"], [str(64 * 1024 + 1)]
    assert make(value) is make(value)
    assert make(value, "note") is make(value, "note")
    assert made == [("1", None), ("1", "note")]
    make(value)
    assert made[2:] == [("1", None)]
    assert make(["1"]) is not make(value)  # equal, and yet another one
    del made[:]
    assert make(long) == make(long)
    assert len(made) == 2
    del made[:]
    many = [["1"] for _ in range(speed.NEW)]
    for _ in range(2):
        for one in many:
            make(one)
    assert len(made) == 2 * speed.NEW  # so nothing is kept of the interactions that are new
