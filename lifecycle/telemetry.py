"""L6. Traces and metrics by OpenTelemetry: the extra `otel`.

Only OpenTelemetry's API is needed here; which SDK exports what, and where to, is the host's
choice. Nothing of a mail's content is in any name, attribute, event or status.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Literal

import attrs
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider

from lifecycle.errors import InternalError, LifecycleError
from lifecycle.records import Entry, Figures

_SCOPE = "lifecycle"
_OK = "ok"
_CANCELLED = "cancelled"

_INTERACTION = "lifecycle.interaction.id"
_AGENT = "lifecycle.agent.id"
_TRIGGER = "lifecycle.trigger"
_OUTCOME = "lifecycle.outcome"
_SOURCE = "lifecycle.state.source"
_DEST = "lifecycle.state.dest"
_STEPS = "lifecycle.steps"
_ERROR = "error.type"

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; what OpenTelemetry takes by default is meant for milliseconds."""


@attrs.frozen
class Metric:
    """One metric, as it is created and documented."""

    name: str
    """Its name."""
    kind: Literal["counter", "histogram", "gauge"]
    """Its instrument."""
    unit: str
    """Its unit, as UCUM writes it."""
    attributes: tuple[str, ...]
    """The attributes of its points."""
    meaning: str
    """What it says."""


METRICS = (
    Metric("lifecycle.steps", "counter", "{step}", (_TRIGGER, _OUTCOME),
           "Steps that were committed (`ok`), and requests for one that were not: the outcome is "
           "the class of the error, or `cancelled`"),
    Metric("lifecycle.step.duration", "histogram", "s", (_TRIGGER, _OUTCOME),
           "How long the request took that a step was part of, its commit included"),
    Metric("lifecycle.delivery.duration", "histogram", "s", (_OUTCOME,),
           "How long the sink took over one delivery: `delivered`, `failed`, `not connected`, "
           "`cancelled`"),
    Metric("lifecycle.mail.duration", "histogram", "s", (_OUTCOME,),
           "How long the mailer took over one mail: `sent`, `deferred`, `refused`, `failed`, "
           "`cancelled`"),
    Metric("lifecycle.deadlines.overdue", "gauge", "{deadline}", (),
           "Deadlines of interactions that have passed and have not been fired"),
    Metric("lifecycle.deliveries.waiting", "gauge", "{delivery}", (),
           "Deliveries that the sink does not have, those of parked streams among them"),
    Metric("lifecycle.deliveries.age", "gauge", "s", (),
           "How long the oldest of them has been waiting; 0 where none waits"),
    Metric("lifecycle.streams.parked", "gauge", "{stream}", (),
           "Agents whose deliveries have stopped at one that failed too often"),
    Metric("lifecycle.mails.waiting", "gauge", "{mail}", (),
           "Replies that the mailer does not have, the parked ones among them"),
    Metric("lifecycle.mails.parked", "gauge", "{mail}", (),
           "Replies that the mailer refused, or failed at too often"),
)  # fmt: skip
"""All metrics. Gauges are of the whole store: every process that shares it reports the same."""

SPANS = {
    "lifecycle.submit": "A mail becomes an interaction",
    "lifecycle.perform": "A command of an agent or the system: the trigger says which",
    "lifecycle.expire": "A deadline of an interaction has passed",
    "lifecycle.ready": "An agent becomes ready",
    "lifecycle.not_ready": "An agent becomes not ready, and pending offers are revoked",
    "lifecycle.gone": "The same, for an agent without a session",
    "lifecycle.erase": "A finished interaction loses its content",
    "lifecycle.deliver": "A delivery is handed to the sink",
    "lifecycle.mail": "A reply is handed to the mailer",
}
"""All spans."""

ATTRIBUTES = {
    _INTERACTION: "Which interaction",
    _AGENT: "The agent who asked, or else who is concerned",
    _TRIGGER: "What was asked for, or what a deadline led to",
    _OUTCOME: "`ok`, the class of the error, `cancelled`, or what the sink or mailer answered",
    _SOURCE: "The state before the step; none for a submission",
    _DEST: "The state after it",
    _STEPS: "How many steps were committed, where there were any",
    _ERROR: "The class of an error that is no refusal; the status is then an error too",
}
"""All attributes of spans; those that are not known are left out."""

_HANDED = {
    "deliver": ("lifecycle.delivery.duration", ("delivered", "not connected")),
    "mail": ("lifecycle.mail.duration", ("sent",)),
}
"""For each hand-over its metric, and the outcomes that are no failure."""


@attrs.define
class _Work:
    """A request that is being carried out."""

    entries: list[Entry] = attrs.Factory(list)
    """The steps that it has committed."""


class OpenTelemetry:
    """A `Telemetry` that makes spans and metrics.

    Arguments:
        tracer_provider: where spans go; None for the global provider.
        meter_provider: where metrics go; None for the global provider.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._work: ContextVar[_Work | None] = ContextVar("lifecycle_work", default=None)
        self._counters = {
            metric.name: meter.create_counter(metric.name, metric.unit, metric.meaning)
            for metric in METRICS
            if metric.kind == "counter"
        }
        self._histograms = {
            metric.name: meter.create_histogram(
                metric.name,
                metric.unit,
                metric.meaning,
                explicit_bucket_boundaries_advisory=_BUCKETS,
            )
            for metric in METRICS
            if metric.kind == "histogram"
        }
        self._gauges = {
            metric.name: meter.create_gauge(metric.name, metric.unit, metric.meaning)
            for metric in METRICS
            if metric.kind == "gauge"
        }

    @contextmanager
    def span(
        self, name: str, *, interaction_id: str | None, agent_id: str | None, trigger: str | None
    ) -> Iterator[Callable[[str], None]]:
        """Surround a piece of work with the span `lifecycle.<name>`, and measure it."""
        ids = {_INTERACTION: interaction_id, _AGENT: agent_id, _TRIGGER: trigger}
        work = _Work()
        told: list[str] = []
        start = time.perf_counter()
        # no exception is recorded, as its words and those of its traceback may quote a mail
        with self._tracer.start_as_current_span(
            f"{_SCOPE}.{name}",
            attributes=_known(ids),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            token = self._work.set(work)
            error: BaseException | None = None
            try:
                yield told.append
            except BaseException as raised:
                error = raised
                raise
            finally:
                self._work.reset(token)
                seconds = time.perf_counter() - start
                outcome = told[0] if told and error is None else _outcome(error)
                _describe(span, ids, work.entries, error)
                span.set_attribute(_OUTCOME, outcome)
                if name in _HANDED:
                    self._handed(name, span, outcome, seconds)
                else:
                    self._measured(work.entries, trigger, outcome, seconds)

    def _handed(self, name: str, span: Span, outcome: str, seconds: float) -> None:
        """Measure a hand-over."""
        metric, fine = _HANDED[name]
        self._histograms[metric].record(seconds, {_OUTCOME: outcome})
        if outcome not in (*fine, _CANCELLED):
            span.set_status(Status(StatusCode.ERROR))

    def _measured(
        self, entries: Iterable[Entry], trigger: str | None, outcome: str, seconds: float
    ) -> None:
        """Measure the steps of a request, or the one that was asked for and not made."""
        points = [(str(entry.trigger), _OK) for entry in entries]
        if not points and outcome != _OK and trigger is not None:
            points = [(trigger, outcome)]
            self._counters["lifecycle.steps"].add(1, {_TRIGGER: trigger, _OUTCOME: outcome})
        for of_trigger, of_outcome in points:
            self._histograms["lifecycle.step.duration"].record(
                seconds, {_TRIGGER: of_trigger, _OUTCOME: of_outcome}
            )

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """Count the steps of a commit, and give them to the span that they are within."""
        for entry in entries:
            self._counters["lifecycle.steps"].add(1, {_TRIGGER: str(entry.trigger), _OUTCOME: _OK})
        work = self._work.get()
        if work is not None:
            work.entries.extend(entries)

    def figures(self, figures: Figures, at: datetime) -> None:
        """Set the gauges."""
        age = 0.0 if figures.oldest is None else (at - figures.oldest).total_seconds()
        values = {
            "lifecycle.deadlines.overdue": figures.overdue,
            "lifecycle.deliveries.waiting": figures.waiting,
            "lifecycle.deliveries.age": max(age, 0.0),  # the clock may have been set back
            "lifecycle.streams.parked": figures.stopped,
            "lifecycle.mails.waiting": figures.mails,
            "lifecycle.mails.parked": figures.parked_mails,
        }
        for name, value in values.items():
            self._gauges[name].set(value)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return _OK
    return type(error).__name__ if isinstance(error, Exception) else _CANCELLED


def _describe(
    span: Span, ids: dict[str, str | None], entries: list[Entry], error: BaseException | None
) -> None:
    """Say of a piece of work what was not known before it was done."""
    if isinstance(error, LifecycleError):
        known = {
            _INTERACTION: error.interaction_id,
            _AGENT: error.agent_id,
            _TRIGGER: error.trigger,
        }
        _complete(span, ids, known)
    if isinstance(error, Exception) and (
        isinstance(error, InternalError) or not isinstance(error, LifecycleError)
    ):
        span.set_attribute(_ERROR, type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
    if not entries:
        return
    first = entries[0]
    span.set_attribute(_STEPS, len(entries))
    if len(entries) == 1 or first.interaction_id == ids[_INTERACTION]:
        known = {
            _INTERACTION: first.interaction_id,
            _AGENT: first.actor or first.agent_id,
            _TRIGGER: first.trigger,
        }
        _complete(span, ids, known)
        span.set_attributes(_known({_SOURCE: first.source, _DEST: first.dest}))


def _complete(span: Span, ids: dict[str, str | None], known: dict[str, str | None]) -> None:
    """Set those ids that the span does not have."""
    span.set_attributes(_known({key: id for key, id in known.items() if ids[key] is None}))


def _known(values: dict[str, str | None]) -> dict[str, str]:
    """What is text, as text alone: a trigger may be a member of an enumeration."""
    return {key: str(value) for key, value in values.items() if isinstance(value, str)}


def metrics_table() -> str:
    """The metrics as a Markdown table, one line each; ends with a line end."""
    return _table(
        ("Metric", "Kind", "Unit", "Attributes", "Meaning"),
        (
            (
                f"`{one.name}`",
                one.kind,
                f"`{one.unit}`",
                ", ".join(f"`{name}`" for name in one.attributes),
                one.meaning,
            )
            for one in METRICS
        ),
    )


def spans_table() -> str:
    """The spans and their attributes as two Markdown tables; ends with a line end."""
    spans = _table(("Span", "Meaning"), ((f"`{name}`", text) for name, text in SPANS.items()))
    named = ((f"`{name}`", text) for name, text in ATTRIBUTES.items())
    return spans + "\n" + _table(("Attribute", "Meaning"), named)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
