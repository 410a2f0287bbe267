"""OpenTelemetry: spans and metrics of whole lives, as an SDK exports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from clocks import START, later
from desks import CancellingStore, Desk, FailingStore, desk
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from lifecycle import (
    Accept,
    Answer,
    CallbackSink,
    Entry,
    Lifecycle,
    MailAnswer,
    MemoryStore,
    Outgoing,
    Reply,
    Send,
    Settings,
    StopProcessing,
    telemetry,
)
from lifecycle._reporting import Reporting
from lifecycle.errors import NotFound, NotValidInState, OperationIdReused, StoreUnavailable
from lifecycle.ports import Telemetry
from lifecycle.records import Figures

pytestmark = pytest.mark.anyio


class Monitor:
    """An SDK in memory, and what it was told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = telemetry.OpenTelemetry(self.tracers, self.meters)

    def spans(self) -> list[ReadableSpan]:
        """The spans since the last time, in the order of their ends."""
        spans = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return spans

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and attributes of the spans since the last time, without what all begin with."""
        return [
            (
                span.name.removeprefix("lifecycle."),
                {
                    key.removeprefix("lifecycle."): value
                    for key, value in (span.attributes or {}).items()
                },
            )
            for span in self.spans()
        ]

    def metrics(self) -> dict[str, Metric]:
        """What is measured now, by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The points of a metric: a number, or of a histogram how many."""
        metric = self.metrics().get(name)
        points: dict[tuple[Any, ...], Any] = {}
        for point in () if metric is None else metric.data.data_points:
            attributes = sorted((point.attributes or {}).items(), reverse=True)  # trigger, outcome
            kind = "count" if hasattr(point, "count") else "value"
            points[tuple(value for _, value in attributes)] = getattr(point, kind)
        return points


def monitored(store: MemoryStore | None = None, **changes: Any) -> tuple[Desk, Monitor]:
    """A desk and what is told of it."""
    monitor = Monitor()
    return desk(store, telemetry=monitor.telemetry, **changes), monitor


# Spans


async def test_every_request_is_a_span() -> None:
    """With interaction, agent, trigger, states and outcome."""
    d, monitor = monitored()
    await d.own()
    assert monitor.told() == [
        (
            "submit",
            {
                "interaction.id": "I1",
                "trigger": "Submit",
                "outcome": "ok",
                "steps": 1,
                "state.dest": "Queued",
            },
        ),
        ("ready", {"agent.id": "ann", "outcome": "ok"}),
        (
            "perform",
            {
                "interaction.id": "I1",
                "agent.id": "ann",  # nobody asked: whom it concerns
                "trigger": "Invite",
                "outcome": "ok",
                "steps": 1,
                "state.source": "Queued",
                "state.dest": "Invited",
            },
        ),
        (
            "perform",
            {
                "interaction.id": "I1",
                "agent.id": "ann",
                "trigger": "Accept",
                "outcome": "ok",
                "steps": 1,
                "state.source": "Invited",
                "state.dest": "Accepted",
            },
        ),
    ]


async def test_a_new_id_is_in_the_span() -> None:
    """Also where nobody knew it before."""
    d, monitor = monitored()
    await d.lifecycle.submit(b"Subject: x\n\nHello", queue="sales")
    [(_, fields)] = monitor.told()
    assert fields["interaction.id"] == "N00001"


async def test_a_refusal_names_its_class_and_is_no_error() -> None:
    """Interaction, agent and trigger are those of the refusal; nothing is said in words."""
    d, monitor = monitored()
    await d.submit()
    monitor.spans()
    with pytest.raises(NotValidInState):
        await d.act("ann", Accept())
    with pytest.raises(NotFound):
        await d.lifecycle.invite("I1", "nobody")
    accept, invite = monitor.spans()
    assert dict(accept.attributes or {}) == {
        "lifecycle.interaction.id": "I1",
        "lifecycle.agent.id": "ann",
        "lifecycle.trigger": "Accept",
        "lifecycle.outcome": "NotValidInState",
    }
    assert dict(invite.attributes or {})["lifecycle.agent.id"] == "nobody"
    for span in (accept, invite):
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (StoreUnavailable("gone", value="secret"), "StoreUnavailable"),
        (OSError("secret"), "OSError"),
    ],
)
async def test_a_failure_is_an_error_without_words(error: Exception, name: str) -> None:
    """The class is in the span; neither message nor traceback is."""
    d, monitor = monitored(FailingStore("commit", error))
    with pytest.raises(type(error)):
        await d.submit()
    [span] = monitor.spans()
    attributes = dict(span.attributes or {})
    assert (attributes["error.type"], attributes["lifecycle.outcome"]) == (name, name)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.events == ()
    assert "secret" not in span.to_json()


async def test_a_timer_says_what_it_led_to() -> None:
    """The span knows the interaction before, and trigger and states after."""
    d, monitor = monitored()
    await d.offer()
    monitor.spans()
    await d.wait(30)
    assert monitor.told() == [
        (
            "expire",
            {
                "interaction.id": "I1",
                "agent.id": "ann",
                "trigger": "Revoke",
                "outcome": "ok",
                "steps": 1,
                "state.source": "Invited",
                "state.dest": "Revoked",
            },
        )
    ]


async def test_the_first_step_of_a_timer_is_the_interactions_own() -> None:
    """Also where the agent misses too many, and other offers are revoked in the same commit."""
    d, monitor = monitored(settings=Settings(missed_offers=1))
    await d.offer("ann", "I1")
    d.clock.advance(10)
    await d.offer("ann", "I2")
    monitor.spans()
    await d.wait(20)
    [(name, fields)] = monitor.told()
    assert (name, fields["interaction.id"], fields["steps"]) == ("expire", "I1", 2)
    assert fields["state.dest"] == "Revoked"


async def test_a_request_of_several_steps_names_none_of_them() -> None:
    """An agent who is gone: the steps are counted."""
    d, monitor = monitored()
    await d.offer("ann", "I1")
    await d.offer("ann", "I2")
    await d.lifecycle.connected("ann")
    monitor.spans()
    await d.lifecycle.not_ready("ann", reason="lunch")
    assert monitor.told() == [("not_ready", {"agent.id": "ann", "outcome": "ok", "steps": 2})]
    assert monitor.points("lifecycle.steps")["Revoke", "ok"] == 2
    assert monitor.points("lifecycle.step.duration")["Revoke", "ok"] == 2


async def test_an_agent_without_a_session_is_a_span() -> None:
    """Presence that runs out, with the offer that it revokes."""
    d, monitor = monitored(settings=Settings(presence_timeout=timedelta(seconds=10)))
    await d.lifecycle.connected("ann")
    await d.offer()
    await d.lifecycle.disconnected("ann")
    monitor.spans()
    await d.wait(10)
    [(name, fields)] = monitor.told()
    assert (name, fields["agent.id"], fields["interaction.id"]) == ("gone", "ann", "I1")


async def test_erasure_is_a_span() -> None:
    """Of an interaction that has ended."""
    d, monitor = monitored()
    await d.own()
    await d.act("ann", StopProcessing())
    monitor.spans()
    await d.lifecycle.erase("I1")
    [(name, fields)] = monitor.told()
    assert (name, fields["trigger"], fields["outcome"]) == ("erase", "Erase", "ok")


async def test_what_a_sink_does_is_within_the_span() -> None:
    """A span of the host's own is a child of the hand-over's."""
    monitor = Monitor()
    tracer = trace.get_tracer("host", tracer_provider=monitor.tracers)

    def push(_: object) -> None:
        with tracer.start_as_current_span("push"):
            pass

    d = desk(sink=CallbackSink(push), telemetry=monitor.telemetry)
    await d.offer()
    monitor.spans()
    assert await d.lifecycle.drain() == 1
    push_span, deliver = monitor.spans()
    assert (push_span.name, deliver.name) == ("push", "lifecycle.deliver")
    assert push_span.parent is not None
    assert deliver.context is not None
    assert push_span.parent.span_id == deliver.context.span_id
    assert dict(deliver.attributes or {}) == {
        "lifecycle.interaction.id": "I1",
        "lifecycle.agent.id": "ann",
        "lifecycle.trigger": "Invite",
        "lifecycle.outcome": "delivered",
    }


class Answering:
    """A sink or mailer that answers what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def deliver(self, _: object) -> Any:
        """As a sink."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    send = deliver


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (Answer.DELIVERED, "delivered", StatusCode.UNSET),
        (Answer.NOT_CONNECTED, "not connected", StatusCode.UNSET),
        (Answer.FAILED, "failed", StatusCode.ERROR),
        (OSError("secret"), "failed", StatusCode.ERROR),
        (MailAnswer.SENT, "failed", StatusCode.ERROR),
    ],
)
async def test_a_delivery_is_measured(answer: Any, outcome: str, status: StatusCode) -> None:
    """By what the sink made of it; a sink that raises or talks nonsense has failed."""
    d, monitor = monitored(sink=Answering(answer))
    await d.offer()
    monitor.spans()
    await d.lifecycle.drain()
    [span] = monitor.spans()
    assert dict(span.attributes or {})["lifecycle.outcome"] == outcome
    assert (span.status.status_code, span.events) == (status, ())
    assert monitor.points("lifecycle.delivery.duration") == {(outcome,): 1}
    assert monitor.points("lifecycle.steps") == {("Submit", "ok"): 1, ("Invite", "ok"): 1}


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (MailAnswer.SENT, "sent", StatusCode.UNSET),
        (MailAnswer.DEFERRED, "deferred", StatusCode.ERROR),
        (MailAnswer.REFUSED, "refused", StatusCode.ERROR),
        (None, "failed", StatusCode.ERROR),
    ],
)
async def test_a_mail_is_measured(answer: Any, outcome: str, status: StatusCode) -> None:
    """By what the mailer made of it."""
    d, monitor = monitored(sink=None, mailer=Answering(answer))
    await d.own()
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"))
    monitor.spans()
    await d.lifecycle.drain()
    [span] = monitor.spans()
    assert span.name == "lifecycle.mail"
    assert dict(span.attributes or {}) == {
        "lifecycle.interaction.id": "I1",
        "lifecycle.outcome": outcome,
    }
    assert span.status.status_code is status
    assert monitor.points("lifecycle.mail.duration") == {(outcome,): 1}


async def test_a_cancelled_delivery_is_no_failure() -> None:
    """Whoever ends the process cancels what it is busy with."""
    busy = anyio.Event()

    async def wait(_: object) -> None:
        busy.set()
        await anyio.sleep_forever()

    d, monitor = monitored(sink=CallbackSink(wait))
    await d.offer()
    monitor.spans()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(d.lifecycle.drain)
        await busy.wait()
        tasks.cancel_scope.cancel()
    [span] = monitor.spans()
    assert span.status.status_code is StatusCode.UNSET
    assert monitor.points("lifecycle.delivery.duration") == {("cancelled",): 1}


# Steps


async def test_steps_are_counted_by_trigger_and_outcome() -> None:
    """Those that were committed, and those that were refused; both with their durations."""
    d, monitor = monitored()
    await d.own("ann", "I1")
    await d.submit("I2")
    for _ in range(2):
        with pytest.raises(NotValidInState):
            await d.act("ann", Accept())
    expected = {
        ("Submit", "ok"): 2,
        ("Invite", "ok"): 1,
        ("Accept", "ok"): 1,
        ("Accept", "NotValidInState"): 2,
    }
    assert monitor.points("lifecycle.steps") == expected
    assert monitor.points("lifecycle.step.duration") == expected


async def test_a_repeated_request_is_no_second_step() -> None:
    """Under its operation id it gives the first outcome; another one under it is refused."""
    d, monitor = monitored()
    await d.offer()
    for _ in range(2):
        await d.lifecycle.perform("I1", Accept(), agent_id="ann", operation_id="o1")
    with pytest.raises(OperationIdReused):
        await d.lifecycle.perform("I1", StopProcessing(), agent_id="ann", operation_id="o1")
    assert monitor.points("lifecycle.steps") == {
        ("Submit", "ok"): 1,
        ("Invite", "ok"): 1,
        ("Accept", "ok"): 1,
        ("StopProcessing", "OperationIdReused"): 1,
    }


async def test_a_timer_that_fails_counts_where_its_trigger_is_known() -> None:
    """A store that cannot be reached knows none; the deadline stays overdue."""
    d, monitor = monitored(FailingStore("interaction", StoreUnavailable("gone"), times=0))
    store = d.store
    assert isinstance(store, FailingStore)
    await d.offer()
    before = monitor.points("lifecycle.steps")
    d.clock.advance(30)
    commit = store.commit

    async def fail(*_: object) -> None:
        raise StoreUnavailable("gone")

    store.commit = fail  # type: ignore[assignment, method-assign]  # it fails for a while
    assert await d.lifecycle.fire_due() == 0
    store.commit = commit  # type: ignore[method-assign]  # as it was
    assert monitor.points("lifecycle.steps") == before
    assert monitor.told()[-1][1]["outcome"] == "StoreUnavailable"


@pytest.mark.parametrize("point", range(1, 12))
async def test_a_cancelled_request_counts_what_it_committed(point: int) -> None:
    """Cancelled at any point: the step is counted exactly where it was made."""
    store = CancellingStore()
    d, monitor = monitored(store)
    await d.offer()
    monitor.spans()
    store.points, store.target = 0, point
    with anyio.CancelScope() as store.scope:
        await d.act("ann", Accept())
    store.scope = None
    done = await d.state() == "Accepted"
    points = monitor.points("lifecycle.steps")
    assert points.get(("Accept", "ok"), 0) == done
    assert points.get(("Accept", "cancelled"), 0) == (not done)
    assert monitor.points("lifecycle.step.duration") == points


async def test_durations_are_in_seconds() -> None:
    """A commit that takes 20 ms is neither 20 nor 0."""

    class Slow(MemoryStore):
        async def commit(self, commit: Any, committed: Any = None) -> None:
            await anyio.sleep(0.02)
            await super().commit(commit, committed)

    d, monitor = monitored(Slow())
    await d.submit()
    metric = monitor.metrics()["lifecycle.step.duration"]
    point: Any  # a histogram's, which has a sum
    [point] = metric.data.data_points
    assert 0.02 <= point.sum < 5
    assert metric.unit == "s"
    assert max(point.explicit_bounds) == 10


async def test_a_commit_outside_a_request_is_counted() -> None:
    """The port may be told by whomever."""
    monitor = Monitor()
    entry = Entry(
        interaction_id="I1",
        version=0,
        at=START,
        actor=None,
        trigger="Submit",
        source=None,
        dest="Queued",
        offer=0,
        agent_id=None,
    )
    monitor.telemetry.committed((entry,))
    assert monitor.points("lifecycle.steps") == {("Submit", "ok"): 1}
    assert monitor.points("lifecycle.step.duration") == {}


# What there is to do


GAUGES = {
    "lifecycle.deadlines.overdue": 1,
    "lifecycle.deliveries.waiting": 2,
    "lifecycle.deliveries.age": 6.5,
    "lifecycle.streams.parked": 3,
    "lifecycle.mails.waiting": 4,
    "lifecycle.mails.parked": 5,
}
FIGURES = Figures(
    overdue=1, waiting=2, oldest=later(-6.5), stopped=3, mails=4, parked_mails=5
)  # fmt: skip


async def test_figures_are_gauges() -> None:
    """Each under its name; the age in seconds."""
    monitor = Monitor()
    monitor.telemetry.figures(FIGURES, START)
    assert {name: monitor.points(name) for name in GAUGES} == {
        name: {(): value} for name, value in GAUGES.items()
    }
    assert set(GAUGES) == {one.name for one in telemetry.METRICS if one.kind == "gauge"}


@pytest.mark.parametrize("oldest", [None, later(5)])
async def test_an_age_is_never_negative(oldest: datetime | None) -> None:
    """Nothing waits, or the clock was set back: 0, also after it was more."""
    monitor = Monitor()
    monitor.telemetry.figures(FIGURES, START)
    monitor.telemetry.figures(attrs.evolve(FIGURES, oldest=oldest), START)
    assert monitor.points("lifecycle.deliveries.age") == {(): 0}


class Sampled:
    """A telemetry that waits for so many samples."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.samples: list[tuple[Figures, datetime]] = []
        self.complete = anyio.Event()

    def span(self, name: str, **_: str | None) -> AbstractContextManager[Callable[[str], None]]:
        """Nothing is kept of it."""
        return nullcontext(lambda outcome: None)

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """Nothing is kept of it."""

    def figures(self, figures: Figures, at: datetime) -> None:
        """One more."""
        self.samples.append((figures, at))
        if len(self.samples) == self.number:
            self.complete.set()


QUICK = Settings(figures_every=timedelta(milliseconds=2))


async def test_figures_are_sampled_while_it_is_open() -> None:
    """Again and again, at the time of the clock."""
    told = Sampled(3)
    d = desk(telemetry=told, background=True, sink=None, mailer=None, settings=QUICK)
    await d.offer()
    d.clock.advance(10)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await told.complete.wait()
    figures = Figures(waiting=1, oldest=START)
    assert told.samples[:3] == [(figures, later(10))] * 3


@pytest.mark.parametrize("has_telemetry", [True, False])
async def test_figures_are_sampled_for_a_telemetry_alone(has_telemetry: bool) -> None:
    """At once, and then after the time that is set; never where nobody wants them."""
    asked = 0

    class Counted(MemoryStore):
        async def figures(self, at: datetime) -> Figures:
            nonlocal asked
            asked += 1
            return await super().figures(at)

    told = Sampled(1) if has_telemetry else None
    d = desk(Counted(), telemetry=told, background=True)
    async with d.lifecycle:
        await anyio.wait_all_tasks_blocked()
    assert asked == has_telemetry


async def test_sampling_goes_on_after_a_store_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and tried again."""
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.005)
    told = Sampled(1)
    store = FailingStore("figures", StoreUnavailable("it is restarted"))
    d = desk(store, telemetry=told, background=True, settings=QUICK)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await told.complete.wait()
    assert ["it is restarted" in str(one.exc_info) for one in caplog.records] == [True]


# A telemetry that fails


class Broken:
    """A telemetry that fails at one point."""

    def __init__(self, point: str) -> None:
        self.point = point

    def _fail(self, point: str) -> None:
        if point == self.point:
            raise OSError("no collector")

    def span(self, name: str, **_: str | None) -> AbstractContextManager[Callable[[str], None]]:
        """Fails when it is asked for, begun, told or ended."""
        self._fail("span")
        return self._span()

    @contextmanager
    def _span(self) -> Iterator[Callable[[str], None]]:
        self._fail("begin")
        yield lambda outcome: self._fail("outcome")
        self._fail("end")

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """May fail."""
        self._fail("committed")

    def figures(self, figures: Figures, at: datetime) -> None:
        """May fail."""
        self._fail("figures")


@pytest.mark.parametrize("point", ["span", "begin", "outcome", "end", "committed"])
async def test_a_telemetry_that_fails_harms_nothing(
    point: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests, refusals and hand-overs come out as without it; it is logged."""
    broken = Broken(point)
    d = desk(telemetry=broken)
    await d.own()
    with pytest.raises(NotValidInState):
        await d.act("ann", Accept())
    assert await d.lifecycle.drain() == 2
    records = [one for one in caplog.records if one.levelname == "ERROR"]
    assert {one.getMessage() for one in records} == {"the telemetry failed"}
    assert all("no collector" in str(one.exc_info) for one in records)
    assert {one.name for one in records} == {"lifecycle.service"}


async def test_figures_that_cannot_be_told_harm_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The next sample comes all the same."""
    d = desk()
    await Reporting(Broken("figures"), d.store, d.clock).sample()
    assert [one.getMessage() for one in caplog.records] == ["the telemetry failed"]


class Swallowing(Broken):
    """A telemetry whose spans say that they have dealt with what is raised in them."""

    @contextmanager
    def _span(self) -> Iterator[Callable[[str], None]]:
        with suppress(NotValidInState):
            yield lambda outcome: None


async def test_a_telemetry_cannot_swallow_a_refusal() -> None:
    """It comes out all the same."""
    d = desk(telemetry=Swallowing(""))
    await d.submit()
    with pytest.raises(NotValidInState):
        await d.act("ann", Accept())


# Without one


async def test_nothing_is_done_where_nobody_listens() -> None:
    """A request is handed on as it is, and there is nothing to sample."""
    reporting = Reporting(None, MemoryStore(), desk().clock)
    work = anyio.lowlevel.checkpoint()
    assert reporting.request(work, "perform") is work
    await work
    assert not reporting.is_sampling
    await reporting.sample()


async def test_without_an_sdk_it_does_nothing() -> None:
    """The global providers do nothing before the host sets some."""
    told: Telemetry = telemetry.OpenTelemetry()
    d = desk(telemetry=told)
    await d.own()
    assert await d.lifecycle.drain() == 2


async def test_open_takes_a_telemetry() -> None:
    """As it takes the other arguments."""
    monitor = Monitor()
    async with await Lifecycle.open("memory:", telemetry=monitor.telemetry) as lifecycle:
        await lifecycle.submit(b"Subject: x\n\nHello", queue=None)
    assert [name for name, _ in monitor.told()] == ["submit"]


# What is documented


async def test_everything_that_is_told_is_documented() -> None:
    """In one life of every kind of request: names, kinds, units, attributes; and all of them."""
    d, monitor = monitored(
        settings=Settings(missed_offers=1, presence_timeout=timedelta(seconds=100))
    )
    await d.own("ann", "I1")
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"))
    await d.lifecycle.drain()
    await d.lifecycle.erase("I1")
    await d.offer("bob", "I2")
    await d.wait(30)
    await d.lifecycle.connected("cat")
    await d.lifecycle.ready("cat")
    await d.lifecycle.disconnected("cat")
    await d.wait(100)
    await d.lifecycle.not_ready("ann")
    failing = FailingStore("commit", OSError("secret"))
    with pytest.raises(OSError, match="secret"):
        await desk(failing, telemetry=monitor.telemetry).submit()
    monitor.telemetry.figures(FIGURES, START)

    spans = monitor.spans()
    assert {span.name for span in spans} == set(telemetry.SPANS)
    attributes = {key for span in spans for key in span.attributes or {}}
    assert attributes == set(telemetry.ATTRIBUTES)
    kinds = {"Sum": "counter", "Histogram": "histogram", "Gauge": "gauge"}
    found = {
        (
            metric.name,
            kinds[type(metric.data).__name__],
            metric.unit,
            metric.description,
            tuple(sorted({key for one in metric.data.data_points for key in one.attributes or {}})),
        )
        for metric in monitor.metrics().values()
    }
    assert found == {
        (one.name, one.kind, one.unit, one.meaning, tuple(sorted(one.attributes)))
        for one in telemetry.METRICS
    }


def test_the_tables_are_markdown() -> None:
    """One line for each metric, span and attribute, all of the same number of cells."""
    lines = telemetry.metrics_table().splitlines()
    assert lines[:2] == [
        "| Metric | Kind | Unit | Attributes | Meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    assert len(lines) == 2 + len(telemetry.METRICS)
    assert {line.count("|") for line in lines} == {6}
    assert lines[2].startswith(
        "| `lifecycle.steps` | counter | `{step}` | `lifecycle.trigger`, `lifecycle.outcome` | "
    )
    spans, attributes = telemetry.spans_table().split("\n\n")
    assert len(spans.splitlines()) == 2 + len(telemetry.SPANS)
    assert len(attributes.splitlines()) == 2 + len(telemetry.ATTRIBUTES)


async def test_no_content_is_told() -> None:
    """Markers in everything that a person writes appear in no span and no metric."""
    d, monitor = monitored(sink=Answering(OSError("MARKER")))
    mail = b"From: MARKER@home.example\nSubject: MARKER\n\nMARKER"
    await d.own("ann", "I1", email=mail, user_data={"MARKER": "MARKER"}, comment="MARKER")
    await d.act("ann", Reply(text="MARKER"))
    with pytest.raises(NotFound):
        await d.act("ann", Send(text="MARKER", queue="MARKER"))
    await d.act("ann", Send(queue="outbox"))
    await d.lifecycle.drain()
    assert any(isinstance(mail, Outgoing) for mail in d.mailer.sent)
    spans = monitor.spans()
    assert len(spans) > 6
    assert not [span for span in spans if "MARKER" in span.to_json()]
    data = monitor.reader.get_metrics_data()
    assert data is not None
    assert "MARKER" not in data.to_json()
