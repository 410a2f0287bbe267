"""How long a step takes, and its parts (in one thread, in memory)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import attrs
import orjson

from benchmarks import work
from benchmarks.harness import Run, Samples, Spread, Subject, measure
from benchmarks.report import Bound, Result
from benchmarks.rivals import (
    Automat,
    HandWritten,
    ObviousBuild,
    PythonStatemachine,
    Stock,
)
from lifecycle.codec import encode
from lifecycle.commands import Command
from lifecycle.engine import compiled, step
from lifecycle.errors import LifecycleError
from lifecycle.interaction import Interaction
from lifecycle.table import EMAIL, capabilities
from lifecycle.vocabulary import Actor

OURS = "step"
LIMIT = "dict of dicts, orjson of ready dicts"
OBVIOUS = "transitions, plain cattrs, json.dumps"
STOCK = "transitions trigger, nothing emitted"
NEW = 2048
"""How many interactions the cold subjects go through: four times what is ever kept."""


@attrs.frozen(kw_only=True)
class Effort:
    """How hard to measure."""

    rounds: int = 15
    """How many alternated rounds."""
    duration: float = 0.02
    """About how many seconds each subject gets in a round."""
    residents: int = 1_000_000
    """How many interactions there are at most."""
    processes: int = 9
    """How many processes import the library."""


def time_of(samples: Samples, name: str, label: str) -> Result:
    """A time for the reader's eye; it has no bound."""
    seconds = samples.time(name)
    microseconds = Spread(*(1e6 * value for value in attrs.astuple(seconds)))
    return Result(Bound(name=label, unit="us"), microseconds)


# --- legality ---------------------------------------------------------------------------------


def legality_subjects() -> dict[str, Subject]:
    """What decides whether a command is legal, and where it leads."""
    move = compiled(EMAIL).move
    asked = list(zip(work.versions(), work.CYCLE, strict=False))
    hand_written = HandWritten(EMAIL.initial)

    def ours() -> None:
        for interaction, trigger in asked:
            move(interaction, trigger).dest  # noqa: B018 - reading it is the work

    def dicts() -> None:
        fire = hand_written.fire
        for _, trigger in asked:
            fire(trigger)

    return {
        OURS: Subject(ours, 4),
        "dicts": Subject(dicts, 4),
        "transitions": Subject(Stock(EMAIL.initial).cycle, 4),
    }


def legality(effort: Effort) -> list[Result]:
    """Legality and destination of a command."""
    samples = measure(legality_subjects(), rounds=effort.rounds, duration=effort.duration)
    bound = Bound(name="legality and destination / dict of dicts", at_most=1.5)
    stock = Bound(name="transitions trigger / legality and destination", at_least=60)
    return [
        time_of(samples, OURS, "legality and destination of a command"),
        Result(bound, samples.ratio(OURS, "dicts")),
        Result(stock, samples.ratio("transitions", OURS)),
    ]


def refusal_subjects() -> dict[str, Subject]:
    """What says no to a Send before there is a draft."""
    interaction = work.interaction()
    move = compiled(EMAIL).move
    hand_written = HandWritten(interaction.state)
    return {
        OURS: Subject(refused(lambda: move(interaction, "Send"))),
        "dicts": Subject(refused(lambda: hand_written.refuse(interaction.id, "Send"))),
    }


def refused(ask: Run) -> Run:
    """A run that gives the error which the asking raises, as it must."""

    def catching() -> LifecycleError:
        try:
            ask()
        except LifecycleError as error:
            return error
        raise AssertionError("it was not refused")

    return catching


def refusal(effort: Effort) -> list[Result]:
    """An error with all of its fields."""
    samples = measure(refusal_subjects(), rounds=effort.rounds, duration=effort.duration)
    bound = Bound(name="refusal / dict of dicts that raises the same", at_most=1.5)
    return [
        time_of(samples, OURS, "refusal"),
        Result(bound, samples.ratio(OURS, "dicts")),
    ]


def capabilities_subjects() -> dict[str, Subject]:
    """What says what an agent may do."""
    machine = Stock(EMAIL.initial).machine
    states = ("Invited", "Accepted", "ReplyCreated", "Revoked")

    def ours() -> None:
        for state in states:
            capabilities(state)

    def stock() -> None:
        for state in states:
            machine.get_triggers(state)

    return {OURS: Subject(ours, 4), "get_triggers": Subject(stock, 4)}


def capabilities_(effort: Effort) -> list[Result]:
    """The operations that a state permits."""
    samples = measure(capabilities_subjects(), rounds=effort.rounds, duration=effort.duration)
    bound = Bound(name="transitions' get_triggers / capabilities", at_least=100)
    return [
        time_of(samples, OURS, "capabilities of a state"),
        Result(bound, samples.ratio("get_triggers", OURS)),
    ]


# --- the full step ----------------------------------------------------------------------------


@attrs.define
class Round:
    """One interaction that goes round and round; its draft is kept and resumed."""

    sink: list[bytes]
    present: Interaction = attrs.field(factory=work.interaction)
    commands: tuple[tuple[Command, Actor], ...] = attrs.field(factory=work.commands)

    def cycle(self) -> None:
        """The four steps."""
        put, present = self.sink.append, self.present
        for command, actor in self.commands:
            made = step(present, command, actor=actor, at=work.AT)
            present = made.interaction
            put(encode(made.notification))
        self.present = present


@attrs.define
class Limit:
    """A dict of dicts, and notifications that somebody else has made."""

    sink: list[bytes]
    ready: tuple[dict[str, Any], ...] = attrs.field(factory=work.ready_dicts)
    machine: HandWritten = attrs.field(factory=lambda: HandWritten(EMAIL.initial))

    def cycle(self) -> None:
        """The four steps."""
        put, fire, dumps = self.sink.append, self.machine.fire, orjson.dumps
        for trigger, notification in zip(work.CYCLE, self.ready, strict=False):
            fire(trigger)
            put(dumps(notification))


def full_subjects(sink: list[bytes]) -> dict[str, Subject]:
    """Complete steps on one interaction, from a command to bytes in a sink."""
    obvious, text = ObviousBuild.of(work.interaction(), sink.append), work.reply_text()
    runs = {
        OURS: Round(sink).cycle,
        LIMIT: Limit(sink).cycle,
        OBVIOUS: lambda: obvious.cycle(text),
    }
    return _emptied(sink, runs) | {STOCK: Subject(Stock(EMAIL.initial).cycle, 4)}


def new_subjects(sink: list[bytes], count: int = NEW) -> dict[str, Subject]:
    """The same, each cycle on an interaction that nothing has been kept of."""
    numbers = range(count)
    ours = cycle([(work.interaction(n), work.commands(n)) for n in numbers])
    limits = cycle([Limit(sink, work.ready_dicts(n)) for n in numbers])
    records = cycle(
        [(ObviousBuild.of(work.interaction(n), sink.append), work.reply_text(n)) for n in numbers]
    )

    def obvious() -> None:
        record, text = next(records)
        record.draft = None
        record.cycle(text)

    runs = {
        OURS: lambda: Round(sink, *next(ours)).cycle(),
        LIMIT: lambda: next(limits).cycle(),
        OBVIOUS: obvious,
    }
    return _emptied(sink, runs) | {STOCK: Subject(Stock(EMAIL.initial).cycle, 4)}


def _emptied(sink: list[bytes], runs: Mapping[str, Run]) -> dict[str, Subject]:
    """Subjects of the four steps, after which the list that is the sink is emptied."""

    def emptied(run: Run) -> Run:
        def emptying() -> None:
            run()
            sink.clear()

        return emptying

    return {name: Subject(emptied(run), 4) for name, run in runs.items()}


def other_subjects() -> dict[str, Subject]:
    """Bare transitions in other libraries, those that are installed."""
    found = {}
    for name, rival in (("python-statemachine", PythonStatemachine), ("automat", Automat)):
        try:
            found[name] = Subject(rival().cycle, 4)
        except ImportError:
            continue
    return found


def full(effort: Effort) -> list[Result]:
    """The full step: guards, new value, notification, JSON bytes, sink call."""
    others = other_subjects()
    subjects = full_subjects([]) | others
    samples = measure(subjects, rounds=effort.rounds, duration=effort.duration)
    return [
        *(time_of(samples, name, f"full cycle, per step: {name}") for name in subjects),
        *(
            Result(Bound(name=f"bare transition in {name} / full step"), samples.ratio(name, OURS))
            for name in others
        ),
        *_held(samples, "full step", gate=True),
    ]


def new(effort: Effort) -> list[Result]:
    """The full step where every interaction is new."""
    subjects = new_subjects([])
    samples = measure(subjects, rounds=effort.rounds, duration=effort.duration)
    return [
        *(time_of(samples, name, f"new interactions, per step: {name}") for name in subjects),
        *_held(samples, "full step, new interactions", gate=False),
    ]


def _held(samples: Samples, what: str, *, gate: bool) -> list[Result]:
    figures = (
        (f"{what} / limit ({LIMIT})", OURS, LIMIT, 5.5, None, 3),
        (f"obvious build ({OBVIOUS}) / {what}", OBVIOUS, OURS, None, 6.5, 12),
        (f"{what} / bare {STOCK}", OURS, STOCK, 0.55, None, 0.3),
    )
    return [
        Result(
            Bound(
                name=name,
                at_most=at_most if gate else None,
                at_least=at_least if gate else None,
                wanted=wanted,
            ),
            samples.ratio(one, other),
        )
        for name, one, other, at_most, at_least, wanted in figures
    ]
