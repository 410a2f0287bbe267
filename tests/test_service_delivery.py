"""Deliveries and mail in the service (semantics 9): order, tries, parking, at least once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from email import message_from_bytes
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from builders import MAIL, mail
from clocks import START, later
from desks import Desk, FailingStore, Unmoved, desk

from lifecycle import (
    EMAIL,
    SYSTEM,
    Accept,
    Answer,
    CallbackSink,
    Cancel,
    Change,
    Delivery,
    Invite,
    MailAnswer,
    MemoryStore,
    Outgoing,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    ReplyAll,
    Revoke,
    Row,
    Send,
    Settings,
    StateRule,
    StopProcessing,
    Stream,
    Transfer,
    UpdateProperties,
    Who,
    _background,
    decode,
)
from lifecycle.commands import Command
from lifecycle.errors import InternalError, InvalidParameter, NotFound

pytestmark = pytest.mark.anyio


class Scripted:
    """A sink that answers what it is told to, and remembers what it was given."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.given: list[tuple[str, int]] = []

    async def deliver(self, delivery: Delivery) -> Answer:
        """The next answer; delivered after the last."""
        self.given.append((delivery.agent_id, delivery.sequence))
        answer = self.answers.pop(0) if self.answers else Answer.DELIVERED
        if isinstance(answer, Exception):
            raise answer
        return answer


async def steps(d: Desk, count: int, agent_id: str = "ann", id: str = "I1") -> None:
    """So many deliveries for an agent: an invitation, an acceptance, and edits."""
    await d.own(agent_id, id)
    for number in range(count - 2):
        await d.act(agent_id, UpdateProperties(comment=str(number)), id=id)


# What is delivered


async def test_a_delivery_says_what_it_is() -> None:
    """Agent, topic, sequence, interaction, offer, trigger, time, and the documented JSON."""
    d = desk()
    await d.submit()
    await d.lifecycle.ready("ann")
    d.clock.advance(1)
    offered = await d.lifecycle.invite("I1", "ann")
    d.clock.advance(1)
    await d.lifecycle.revoke("I1")
    assert await d.lifecycle.drain() == 2
    first, second = d.sink.deliveries
    assert first == Delivery(
        agent_id="ann",
        topic="/me/interactions",
        sequence=1,
        interaction_id="I1",
        offer=1,
        trigger="Invite",
        at=later(1),
        payload=first.payload,
    )
    shown = decode(first.payload)
    assert (shown.id, shown.state, shown.capabilities) == ("I1", "Invited", ("Accept", "Reject"))
    assert first.offer == offered.offer
    assert "offer" not in json.loads(first.payload)
    assert (second.sequence, second.trigger, second.at) == (2, "Revoke", later(2))
    assert decode(second.payload).state == "Revoked"


async def test_sequences_have_no_gaps() -> None:
    """From 1 for each agent, in the order of commit, whatever else is going on."""
    d = desk()
    await steps(d, 5, "ann", "I1")
    await steps(d, 3, "bob", "I2")
    await d.act("ann", Transfer(agent_id="cat"))
    await d.act("bob", StopProcessing(), id="I2")
    await d.wait()
    await d.lifecycle.drain()
    for agent_id, count in (("ann", 7), ("bob", 4)):
        sequences = [one.sequence for one in d.sink.deliveries if one.agent_id == agent_id]
        assert sequences == list(range(1, count + 1))
        assert (await d.lifecycle.agent(agent_id)).sequence == count


async def test_deliveries_come_in_the_order_of_commit() -> None:
    """With a drain after each step, over all agents."""
    d = desk()
    order = []
    for number in range(4):
        for agent_id in ("cat", "bob", "ann"):
            id = f"I{agent_id}{number}"
            await d.offer(agent_id, id)
            order.append((agent_id, id, "Invite"))
            await d.lifecycle.drain()
            await d.act(agent_id, Reject(), id=id)
            order.append((agent_id, id, "Reject"))
            await d.lifecycle.drain()
    assert [(one.agent_id, one.interaction_id, one.trigger) for one in d.sink.deliveries] == order


async def test_there_is_nothing_to_drain() -> None:
    """Nothing is delivered twice where nothing failed."""
    d = desk()
    assert await d.lifecycle.drain() == 0
    await steps(d, 3)
    assert await d.lifecycle.drain() == 3
    assert await d.lifecycle.drain() == 0
    assert len(d.sink.deliveries) == 3


async def test_a_long_backlog_is_read_in_pieces() -> None:
    """More than one batch, each once, in order."""
    d = desk(settings=Settings(batch=3))
    await steps(d, 10)
    assert await d.lifecycle.drain() == 10
    assert [one.sequence for one in d.sink.deliveries] == list(range(1, 11))


async def test_deliveries_can_be_read_again() -> None:
    """The retained ones, after a sequence, delivered or not."""
    d = desk()
    await steps(d, 5)
    await d.lifecycle.drain()
    assert await d.lifecycle.deliveries("ann") == tuple(d.sink.deliveries)
    later_ones = await d.lifecycle.deliveries("ann", after=2, limit=2)
    assert [one.sequence for one in later_ones] == [3, 4]


async def test_documented_only_leaves_out_what_the_page_does_not_show() -> None:
    """Semantics 4: suppressed before it gets a sequence number, so there is no gap."""
    d = desk(settings=Settings(documented_only=True))
    await d.own()
    await d.act("ann", PlaceInWorkbin(workbin="late"), Pull(), PlaceInQueue(queue="support"))
    await d.lifecycle.invite("I1", "ann")
    await d.act("ann", Reject())
    await d.lifecycle.invite("I1", "ann")
    await d.lifecycle.revoke("I1")
    await d.lifecycle.invite("I1", "ann")
    await d.act("ann", Accept(), Reply(text="Soon."), Cancel(), ReplyAll(text="So."), Send())
    await d.lifecycle.drain()
    assert [(one.sequence, decode(one.payload).state) for one in d.sink.deliveries] == list(
        enumerate(
            [
                "Invited",
                "Accepted",
                "Accepted",
                "Invited",
                "Invited",
                "Revoked",
                "Invited",
                "Accepted",
                "ReplyCreated",
                "Accepted",
                "ReplyCreated",
            ],
            1,
        )
    )
    suppressed = [one.agent_id for one in await d.lifecycle.history("I1") if one.dest == "Sent"]
    assert suppressed == ["ann"]


# What a sink may answer


@pytest.mark.parametrize(
    "failure", [Answer.FAILED, OSError("no route"), ExceptionGroup("", [OSError()])]
)
async def test_a_sink_that_fails_is_tried_again(failure: Answer | Exception) -> None:
    """The step stands; the same delivery comes again in its time, and those after it then."""
    sink = Scripted(Answer.DELIVERED, failure)
    d = desk(sink=sink)
    await steps(d, 3)
    assert await d.lifecycle.drain() == 1
    assert sink.given == [("ann", 1), ("ann", 2)]
    assert await d.state() == "Accepted"
    assert await d.lifecycle.drain() == 0
    d.clock.advance(0.999)
    assert await d.lifecycle.drain() == 0
    d.clock.advance(0.001)
    assert await d.lifecycle.drain() == 2
    assert sink.given == [("ann", 1), ("ann", 2), ("ann", 2), ("ann", 3)]
    assert await d.store.stream("ann") == Stream(agent_id="ann", delivered=3)


async def test_the_time_between_tries_doubles() -> None:
    """Up to the longest; the count begins anew with the next delivery."""
    sink = Scripted(*[Answer.FAILED] * 5, Answer.DELIVERED, Answer.FAILED)
    d = desk(sink=sink, settings=Settings(longest_retry=timedelta(seconds=5)))
    await steps(d, 2)
    waits = []
    for _ in range(7):
        await d.lifecycle.drain()
        at = await d.store.next_delivery()
        if at is not None:
            waits.append((at - d.clock.now()).total_seconds())
            d.clock.at = at
    assert waits == [1, 2, 4, 5, 5, 1]
    assert (await d.store.stream("ann")).delivered == 2


async def test_a_sink_that_hangs_has_failed() -> None:
    """Beyond `sink_timeout` it is taken as a failure, and cancelled."""
    cancelled = []

    async def hang(delivery: Delivery) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(delivery.sequence)

    d = desk(sink=CallbackSink(hang), settings=Settings(sink_timeout=timedelta(milliseconds=5)))
    await steps(d, 2)
    with anyio.fail_after(5):
        assert await d.lifecycle.drain() == 0
    assert cancelled == [1]
    stream = await d.store.stream("ann")
    assert (stream.tries, stream.retry_at) == (1, later(1))


async def test_a_delivery_is_parked_after_so_many_failures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stream stops at it, an alert with its fields is logged, and others go on."""
    sink = CallbackSink(lambda one: Answer.FAILED if one.agent_id == "ann" else None)
    d = desk(sink=sink, settings=Settings(attempts=3))
    await steps(d, 2, "ann", "I1")
    await steps(d, 2, "bob", "I2")
    with caplog.at_level(logging.ERROR, "lifecycle.delivery"):
        for _ in range(6):
            await d.lifecycle.drain()
            d.clock.advance(400)
    (alert,) = caplog.records
    assert (alert.name, alert.levelname) == ("lifecycle.delivery", "ERROR")
    assert alert.getMessage() == "parked after 3 tries"
    fields = {"agent_id": "ann", "sequence": 1, "interaction_id": "I1", "trigger": "Invite"}
    assert {name: getattr(alert, name) for name in fields} == fields
    assert await d.lifecycle.parked() == (Stream(agent_id="ann", tries=3, parked=True),)
    assert (await d.store.stream("bob")).delivered == 2
    assert await d.store.next_delivery() is None


async def hang(_: object) -> Any:
    """A sink or mailer that never answers."""
    await anyio.sleep_forever()


async def raising(_: object) -> Any:
    """One that fails by an exception of its own."""
    raise OSError("no route")


async def nothing(_: object) -> Any:
    """One that forgot to answer."""


async def nonsense(_: object) -> Any:
    """One that answers what nobody asked."""
    return "delivered"


async def of_another_kind(what: object) -> Any:
    """One that answers what the other kind may answer."""
    return MailAnswer.SENT if isinstance(what, Delivery) else Answer.DELIVERED


FAILURES: dict[str, tuple[Callable[[Any], Awaitable[Any]], str]] = {
    "raises": (raising, "a sink or mailer failed"),
    "hangs": (hang, "a sink or mailer took too long"),
    "says nothing": (nothing, "a sink or mailer answered None"),
    "says nonsense": (nonsense, "a sink or mailer answered a str"),
}


class Doing:
    """A sink and a mailer that does one thing."""

    def __init__(self, do: Callable[[Any], Awaitable[Any]]) -> None:
        self.do = do

    async def deliver(self, delivery: Delivery) -> Answer:
        """As a sink."""
        answer: Answer = await self.do(delivery)
        return answer

    async def send(self, mail: Outgoing) -> MailAnswer:
        """As a mailer."""
        answer: MailAnswer = await self.do(mail)
        return answer


QUICK = Settings(sink_timeout=timedelta(milliseconds=5))


def warned(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The warnings that were logged, with the fields that say of what."""
    names = ("interaction_id", "agent_id", "trigger", "sequence", "message_id")
    return [
        (one.getMessage(), {name: value for name, value in vars(one).items() if name in names})
        for one in caplog.records
        if one.levelname == "WARNING" and one.name == "lifecycle.delivery"
    ]


OF_THE_FIRST = {"interaction_id": "I1", "agent_id": "ann", "trigger": "Invite", "sequence": 1}


@pytest.mark.parametrize("name", FAILURES)
async def test_every_failed_try_of_a_sink_is_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a warning that says why and of which delivery; it counts, and comes again."""
    do, message = FAILURES[name]
    d = desk(sink=Doing(do), settings=QUICK)
    await steps(d, 2)
    with caplog.at_level(logging.WARNING), anyio.fail_after(5):
        assert await d.lifecycle.drain() == 0
    assert warned(caplog) == [(message, OF_THE_FIRST)]
    assert (caplog.records[0].exc_info is not None) == (name == "raises")
    assert await d.store.stream("ann") == Stream(agent_id="ann", tries=1, retry_at=later(1))


@pytest.mark.parametrize("name", FAILURES)
async def test_every_failed_try_of_a_mailer_is_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a warning that says why and of which mail; it counts, and the mail is tried again."""
    do, message = FAILURES[name]
    d = desk(mailer=Doing(do), settings=QUICK)
    outgoing = await sent(d)
    with caplog.at_level(logging.WARNING), anyio.fail_after(5):
        assert await d.lifecycle.drain() == 4
    assert warned(caplog) == [
        (message, {"interaction_id": "I1", "message_id": outgoing.message_id})
    ]
    (waiting,) = await d.lifecycle.outgoing()
    assert (waiting.tries, waiting.retry_at, waiting.parked) == (1, later(1), False)


async def test_the_answer_of_the_other_kind_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """What means success to a mailer is a failure of a sink, and the other way round."""
    both = Doing(of_another_kind)
    d = desk(sink=both, mailer=both)
    await sent(d)
    assert await d.lifecycle.drain() == 0
    messages = [message for message, _ in warned(caplog)]
    assert messages == [
        f"a sink or mailer answered {MailAnswer.SENT!r}",
        f"a sink or mailer answered {Answer.DELIVERED!r}",
    ]


async def let_through(_: object) -> Any:
    """One that awaits what somebody else has cancelled, under asyncio."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("background", [False, True])
async def test_somebody_elses_cancellation_is_a_failure(
    background: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A `CancelledError` although nobody cancels us: logged, counted, and others go on."""
    failing, tries = Doing(let_through), Settings(attempts=1)
    d = desk(sink=failing, mailer=failing, background=background, settings=tries)
    await sent(d, "I1")
    await steps(d, 2, "bob", "I2")
    with anyio.fail_after(5):
        async with d.lifecycle as lifecycle:
            await lifecycle.drain()
            while len(await lifecycle.parked()) < 2 or not await lifecycle.outgoing(parked=True):
                await anyio.lowlevel.checkpoint()
    messages = [message for message, _ in warned(caplog)]
    assert messages == ["a sink or mailer failed"] * 3


@pytest.mark.parametrize("kind", ["delivery", "mail"])
async def test_a_cancelled_drain_gives_the_work_back(kind: str) -> None:
    """A real cancellation ends it, and what it was busy with is another worker's at once."""
    busy = anyio.Event()

    async def wait(what: object) -> Any:
        if isinstance(what, Outgoing) or kind == "delivery":
            busy.set()
            await anyio.sleep_forever()
        return Answer.DELIVERED

    d = desk(sink=Doing(wait), mailer=Doing(wait))
    outgoing = await sent(d)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(d.lifecycle.drain)
            await busy.wait()
            assert await desk(d.store).lifecycle.drain() == (1 if kind == "delivery" else 0)
            tasks.cancel_scope.cancel()
    following = desk(d.store)
    assert await following.lifecycle.drain() == (4 if kind == "delivery" else 1)
    assert following.mailer.sent == ([] if kind == "delivery" else [outgoing])
    assert (await d.store.stream("ann")).tries == 0


@pytest.mark.parametrize(("command", "given"), [("release", [1, 1, 2]), ("drop", [1, 2])])
async def test_a_parked_delivery_is_released_or_dropped(command: str, given: list[int]) -> None:
    """Tried again, or given up; the rest follows in order."""
    sink = Scripted(Answer.FAILED)
    d = desk(sink=sink, settings=Settings(attempts=1))
    await steps(d, 2)
    await d.lifecycle.drain()
    assert len(await d.lifecycle.parked()) == 1
    stream = await getattr(d.lifecycle, command)("ann")
    assert (stream.parked, stream.tries) == (False, 0)
    assert await d.lifecycle.parked() == ()
    await d.lifecycle.drain()
    assert [sequence for _, sequence in sink.given] == given
    assert (await d.store.stream("ann")).delivered == 2


@pytest.mark.parametrize("command", ["release", "drop"])
async def test_what_is_not_parked_is_neither_released_nor_dropped(command: str) -> None:
    """An agent whose deliveries go on, or who never had any: nothing is changed."""
    d = desk()
    await steps(d, 2)
    for agent_id in ("ann", "bob"):
        with pytest.raises(NotFound, match="have not stopped") as caught:
            await getattr(d.lifecycle, command)(agent_id)
        assert caught.value.agent_id == agent_id
    await d.lifecycle.drain()
    assert [one.sequence for one in d.sink.deliveries] == [1, 2]


async def test_one_agents_failing_sink_holds_up_nobody_else() -> None:
    """Everybody else's deliveries go through in the same drain."""
    sink = CallbackSink(lambda one: Answer.FAILED if one.agent_id == "ann" else None)
    d = desk(sink=sink)
    for number, agent_id in enumerate(("ann", "bob", "cat")):
        await steps(d, 2, agent_id, f"I{number}")
    assert await d.lifecycle.drain() == 4


async def test_an_absent_agent_gets_everything_on_connecting() -> None:
    """Semantics 9: not connected waits without counting a try, however long."""
    sink = Scripted(Answer.NOT_CONNECTED)
    d = desk(sink=sink)
    await steps(d, 3)
    assert await d.lifecycle.drain() == 0
    for _ in range(20):
        d.clock.advance(3600)
        assert await d.lifecycle.drain() == 0
    await d.act("ann", UpdateProperties(comment="later"))
    assert await d.lifecycle.drain() == 0
    assert sink.given == [("ann", 1)]
    assert (await d.store.stream("ann")).tries == 0
    await d.lifecycle.connected("ann")
    assert await d.lifecycle.drain() == 4
    assert sink.given == [("ann", 1), ("ann", 1), ("ann", 2), ("ann", 3), ("ann", 4)]


async def test_an_agent_may_connect_first() -> None:
    """Semantics 8: Ready first or subscribe first, either way nothing is lost."""
    d = desk()
    await d.lifecycle.connected("ann")
    await steps(d, 2)
    assert await d.lifecycle.drain() == 2


async def test_an_agent_who_connects_while_nobody_is_found_does_not_wait() -> None:
    """The answer of the sink is older than the session."""
    asked: list[int] = []

    async def nobody(delivery: Delivery) -> Answer:
        asked.append(delivery.sequence)
        if len(asked) == 1:
            await d.lifecycle.connected("ann")
            return Answer.NOT_CONNECTED
        return Answer.DELIVERED

    d = desk(sink=CallbackSink(nobody))
    await steps(d, 2)
    assert await d.lifecycle.drain() == 2
    assert asked == [1, 1, 2]


async def test_a_failure_before_an_absence_still_counts() -> None:
    """Not connected neither counts nor forgives."""
    sink = Scripted(Answer.FAILED, Answer.NOT_CONNECTED, Answer.FAILED)
    d = desk(sink=sink, settings=Settings(attempts=2))
    await steps(d, 2)
    for _ in range(3):
        await d.lifecycle.drain()
        await d.lifecycle.connected("ann")
        d.clock.advance(400)
    assert [stream.agent_id for stream in await d.lifecycle.parked()] == ["ann"]


# At least once


class ForgetfulStore(MemoryStore):
    """Loses what a worker says of its progress, as a crash does."""

    forgets = 0

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Say nothing of it."""
        if self.forgets:
            self.forgets -= 1
            return False
        return await super().progress(worker, stream)

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Say nothing of it."""
        if self.forgets:
            self.forgets -= 1
            return False
        return await super().outgoing_progress(worker, mail)


async def test_a_delivery_comes_at_least_once() -> None:
    """After a crash between sink and store it comes again, with the same sequence."""
    store = ForgetfulStore()
    d = desk(store)
    await steps(d, 2)
    store.forgets = 1
    await d.lifecycle.drain()
    second = desk(store, sink=d.sink)
    second.clock.at = later(59)
    assert await second.lifecycle.drain() == 0
    second.clock.at = later(60)
    assert await second.lifecycle.drain() == 2
    assert d.sink.deliveries[:2] == d.sink.deliveries[2:]


async def test_no_delivery_begins_that_might_outlast_the_lease() -> None:
    """What is left when the lease is nearly over is for the next claim."""
    claims: list[datetime] = []

    class Counting(MemoryStore):
        """Remembers when something was claimed."""

        async def claim(
            self, worker: str, at: datetime, until: datetime, limit: int
        ) -> tuple[Stream, ...]:
            claims.append(at)
            return await super().claim(worker, at, until, limit)

    def slow(delivery: Delivery) -> None:
        d.clock.advance(9)
        assert d.clock.now() <= claims[-1] + timedelta(seconds=30)

    d = desk(
        Counting(),
        sink=CallbackSink(slow),
        settings=Settings(lease=timedelta(seconds=30), sink_timeout=timedelta(seconds=10)),
    )
    await steps(d, 7)
    assert await d.lifecycle.drain() == 7
    assert claims == [later(seconds) for seconds in (0, 27, 54, 63)]


# Mail


class ScriptedMailer:
    """A mailer that answers what it is told to, and remembers what it was given."""

    def __init__(self, *answers: MailAnswer | Exception) -> None:
        self.answers = list(answers)
        self.given: list[Outgoing] = []
        self.asked = anyio.Event()

    async def send(self, mail: Outgoing) -> MailAnswer:
        """The next answer; sent after the last."""
        self.given.append(mail)
        self.asked.set()
        answer = self.answers.pop(0) if self.answers else MailAnswer.SENT
        if isinstance(answer, Exception):
            raise answer
        return answer


async def sent(d: Desk, id: str = "I1", **changes: Any) -> Outgoing:
    """A reply of Ann's that was sent."""
    await d.own("ann", id, **changes)
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"), id=id)
    return (await d.lifecycle.outgoing())[-1]


async def test_a_sent_reply_is_committed_with_its_step() -> None:
    """Semantics 9: rendered, under one fixed Message-ID, with envelope and queue."""
    d = desk()
    await d.own()
    await d.act("ann", ReplyAll(text="Soon."))
    assert await d.lifecycle.outgoing() == ()
    d.clock.at = later(5)
    await d.act("ann", Send(queue="outbox"))
    (outgoing,) = await d.lifecycle.outgoing()
    assert outgoing.message_id == "<I1D1@shop.example>"
    assert (outgoing.interaction_id, outgoing.queue, outgoing.at) == ("I1", "outbox", later(5))
    assert outgoing.sender == "help@shop.example"
    assert outgoing.recipients == (
        "zoe@home.example",
        "max@home.example",
        "eve@work.example",
        "sales@shop.example",
    )
    message = message_from_bytes(outgoing.message)
    assert message["Message-ID"] == outgoing.message_id
    assert message["In-Reply-To"] == MAIL.message_id
    assert "Soon." in message.get_payload()


def is_trainees(change: Change) -> bool:
    """a trainee wrote it"""
    return change.comment == "trainee"


class Approve(Command):
    """Let a reply leave: a command of a team's own."""

    trigger = "Approve"


@pytest.mark.parametrize("queue", ["outbox", None])
async def test_a_reply_that_leaves_later_leaves_by_the_queue_it_was_sent_to(
    queue: str | None,
) -> None:
    """In a table of a team's own another command than Send may let it go."""
    [shipped] = EMAIL.cells["ReplyCreated", "Send"]
    table = EMAIL.extend(
        states=[StateRule("InReview", timer=EMAIL.by_name["Accepted"].timer)],
        rows=[
            attrs.evolve(shipped, dest="InReview", condition=is_trainees),
            Row("Approve", "InReview", "Sent", None, Who.ANY_AGENT, None, Approve),
            Row("Revoke", "InReview", "Revoked", None, Who.SYSTEM, None, Revoke),
        ],
    )
    d = desk(table=table)
    await d.own(comment="trainee")
    after = await d.act("ann", Reply(text="Soon."), Send(queue=queue, text="At once."))
    assert after.state == "InReview"
    assert after.draft is not None
    assert (after.draft.queue, after.draft.text) == (queue, "At once.")
    assert await d.lifecycle.outgoing() == ()
    d.clock.advance(60)
    await d.act("bob", Approve())
    (outgoing,) = await d.lifecycle.outgoing()
    assert (outgoing.queue, outgoing.at) == (queue, later(60))
    assert b"At once." in outgoing.message


@pytest.mark.parametrize(
    ("ours", "message_id"),
    [
        ("help@müller.example", "<I1D1@xn--mller-kva.example>"),
        ("Hilfe <help@MÜLLER.example>", "<I1D1@xn--mller-kva.example>"),
        ("help@shop.example", "<I1D1@shop.example>"),
        ("help@straße.example", "<I1D1@localhost>"),
    ],
)
async def test_a_message_id_is_ascii_whatever_our_domain(ours: str, message_id: str) -> None:
    """The name that DNS has for it, or else no name of ours at all."""
    d = desk()
    await d.own(email=mail(to_address=ours, cc_addresses=()), our_addresses=[ours])
    await d.act("ann", Reply(text="Soon."), Send())
    (outgoing,) = await d.lifecycle.outgoing()
    assert outgoing.message_id == message_id
    assert message_from_bytes(outgoing.message)["Message-ID"] == message_id


async def test_the_mailer_gets_it_once() -> None:
    """As it was committed, and it waits no more."""
    d = desk()
    outgoing = await sent(d)
    await d.lifecycle.drain()
    assert d.mailer.sent == [outgoing]
    assert await d.lifecycle.outgoing() == ()
    await d.lifecycle.drain()
    assert len(d.mailer.sent) == 1


async def test_every_interaction_has_its_own_message_id() -> None:
    """No two replies share one, whatever mail they answer."""
    d = desk()
    first, second = await sent(d, "I1"), await sent(d, "I2")
    assert (first.message_id, second.message_id) == ("<I1D1@shop.example>", "<I2D1@shop.example>")


async def test_a_reply_from_no_address_is_refused() -> None:
    """Where no address of ours is known it cannot leave, and the agent still has it."""
    d = desk()
    await d.own(email=mail(to_address="", cc_addresses=()), our_addresses=[])
    await d.act("ann", Reply(text="Soon."))
    async with Unmoved(d, InvalidParameter) as refused:
        await d.act("ann", Send())
    refused.says(path="$.fromAddress", state="ReplyCreated", trigger="Send", agent_id="ann")


async def test_nobody_gets_a_reply_twice() -> None:
    """A recipient who is named in To and Cc is one recipient of the envelope."""
    d = desk()
    await d.own()
    await d.act("ann", Reply(text="Soon."))
    await d.act(
        "ann",
        Send(to_address="zoe@home.example, b@x.example", cc_addresses=["Zoe <zoe@home.example>"]),
    )
    (outgoing,) = await d.lifecycle.outgoing()
    assert outgoing.recipients == ("zoe@home.example", "b@x.example")


@pytest.mark.parametrize("failure", [MailAnswer.DEFERRED, OSError("no route")])
async def test_a_mailer_that_defers_is_tried_again(failure: MailAnswer | Exception) -> None:
    """In its time, with the same message."""
    mailer = ScriptedMailer(failure, failure)
    d = desk(mailer=mailer)
    outgoing = await sent(d)
    await d.lifecycle.drain()
    (waiting,) = await d.lifecycle.outgoing(parked=False)
    assert (waiting.tries, waiting.retry_at, waiting.parked) == (1, later(1), False)
    await d.lifecycle.drain()
    assert len(mailer.given) == 1
    d.clock.at = later(1)
    await d.lifecycle.drain()
    d.clock.at = later(3)
    await d.lifecycle.drain()
    assert [one.message for one in mailer.given] == [outgoing.message] * 3
    assert {one.message_id for one in mailer.given} == {outgoing.message_id}
    assert await d.lifecycle.outgoing() == ()


async def test_a_mailer_that_hangs_has_deferred() -> None:
    """Beyond `sink_timeout` it is cancelled, and the mail is tried again."""

    class Hanging:
        async def send(self, mail: Outgoing) -> MailAnswer:
            await anyio.sleep_forever()
            return MailAnswer.SENT

    d = desk(mailer=Hanging(), settings=Settings(sink_timeout=timedelta(milliseconds=5)))
    await sent(d)
    with anyio.fail_after(5):
        await d.lifecycle.drain()
    (waiting,) = await d.lifecycle.outgoing()
    assert (waiting.tries, waiting.parked) == (1, False)


@pytest.mark.parametrize(
    ("answers", "drains"),
    [([MailAnswer.REFUSED], 1), ([MailAnswer.DEFERRED] * 3, 3)],
    ids=["refused", "deferred too often"],
)
async def test_mail_is_parked(
    answers: list[MailAnswer], drains: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A permanent failure at once, a deferral after so many; with an alert; then released."""
    mailer = ScriptedMailer(*answers)
    d = desk(mailer=mailer, settings=Settings(attempts=3))
    outgoing = await sent(d)
    with caplog.at_level(logging.ERROR):
        for _ in range(drains):
            assert await d.lifecycle.outgoing(parked=True) == ()
            await d.lifecycle.drain()
            d.clock.advance(400)
    (alert,) = caplog.records
    assert alert.getMessage() == f"parked after {drains} tries"
    fields = {"interaction_id": "I1", "message_id": outgoing.message_id}
    assert {name: getattr(alert, name) for name in fields} == fields
    (parked,) = await d.lifecycle.outgoing(parked=True)
    assert (parked.tries, parked.retry_at) == (drains, None)
    d.clock.advance(100_000)
    await d.lifecycle.drain()
    assert len(mailer.given) == drains
    await d.lifecycle.release_mail(outgoing.message_id)
    await d.lifecycle.drain()
    assert mailer.given[-1].message == outgoing.message
    assert await d.lifecycle.outgoing() == ()


async def test_mail_is_dropped() -> None:
    """It is given up; the interaction stays sent."""
    mailer = ScriptedMailer(MailAnswer.REFUSED)
    d = desk(mailer=mailer)
    outgoing = await sent(d)
    await d.lifecycle.drain()
    await d.lifecycle.drop_mail(outgoing.message_id)
    assert await d.lifecycle.outgoing() == ()
    await d.lifecycle.drain()
    assert (len(mailer.given), await d.state()) == (1, "Sent")


async def test_only_parked_mail_is_released() -> None:
    """What waits for its first or next try goes on as it was, with the tries it has had."""
    mailer = ScriptedMailer(MailAnswer.DEFERRED)
    d = desk(mailer=mailer)
    outgoing = await sent(d)
    for _ in range(2):
        before = await d.lifecycle.outgoing()
        with pytest.raises(NotFound, match="not been parked") as caught:
            await d.lifecycle.release_mail(outgoing.message_id)
        assert (caught.value.path, caught.value.value) == ("$.id", outgoing.message_id)
        assert await d.lifecycle.outgoing() == before
        await d.lifecycle.drain()
    assert [one.tries for one in before] == [1]


@pytest.mark.parametrize("command", ["release_mail", "drop_mail"])
async def test_mail_that_is_not_there(command: str) -> None:
    """It is refused with its id."""
    d = desk()
    with pytest.raises(NotFound) as caught:
        await getattr(d.lifecycle, command)("<nothing@shop.example>")
    assert (caught.value.path, caught.value.value) == ("$.id", "<nothing@shop.example>")


async def test_without_a_mailer_replies_stay_in_the_store() -> None:
    """Deliveries go on; somebody else's worker with a mailer may send the replies."""
    d = desk(mailer=None)
    outgoing = await sent(d)
    assert await d.lifecycle.drain() == 4
    assert await d.lifecycle.outgoing() == (outgoing,)
    other = desk(d.store)
    assert await other.lifecycle.drain() == 1
    assert other.mailer.sent == [outgoing]


async def test_mail_comes_at_least_once() -> None:
    """After a crash between mailer and store it comes again, under the same Message-ID."""
    store = ForgetfulStore()
    d = desk(store)
    outgoing = await sent(d)
    await d.lifecycle.connected("ann")
    for _ in range(2):
        store.forgets = 2
        await d.lifecycle.drain()
        d.clock.advance(60)
    await d.lifecycle.drain()
    assert d.mailer.sent == [outgoing] * 3


async def test_deliveries_come_before_mail_and_mail_is_not_starved() -> None:
    """What can be tried is claimed in pieces of one batch, streams first."""
    d = desk(settings=Settings(batch=1))
    await sent(d)
    await steps(d, 2, "bob", "I2")
    assert await d.lifecycle.drain() == 7
    assert (len(d.sink.deliveries), len(d.mailer.sent)) == (6, 1)


async def test_a_final_state_of_a_teams_own_may_leave_without_a_draft() -> None:
    """A state that sends, reached with nothing written, sends nothing."""

    class Dismiss(Command):
        """An end of a team's own."""

        trigger = "Dismiss"

    table = EMAIL.extend(
        states=[StateRule("Dismissed", final=True, outgoing=True)],
        rows=[Row("Dismiss", "Accepted", "Dismissed", who=Who.OWNER, command=Dismiss)],
    )
    d = desk(table=table)
    await d.own()
    assert (await d.act("ann", Dismiss())).state == "Dismissed"
    assert await d.lifecycle.outgoing() == ()


class TellingStore(MemoryStore):
    """Remembers who claimed, and whether what was given back was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[str] = []
        self.taken: list[tuple[str, bool]] = []

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Remember who."""
        self.workers.append(worker)
        return await super().claim(worker, at, until, limit)

    async def claim_outgoing(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Outgoing, ...]:
        """Remember who."""
        self.workers.append(worker)
        return await super().claim_outgoing(worker, at, until, limit)

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Remember whether."""
        self.taken.append((worker, await super().progress(worker, stream)))
        return self.taken[-1][1]

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Remember whether."""
        self.taken.append((worker, await super().outgoing_progress(worker, mail)))
        return self.taken[-1][1]


async def test_every_claim_has_a_name_of_its_own() -> None:
    """Of streams and of mails, beginning with the worker's, which no `ids` of a host makes."""
    store = TellingStore()
    d = desk(store)
    await sent(d)
    await d.lifecycle.drain()
    worker = store.workers[0].removesuffix("-1")
    other = TellingStore()
    await desk(other).lifecycle.drain()
    assert other.workers[0] != store.workers[0]
    assert store.workers == [f"{worker}-{number}" for number in range(1, len(store.workers) + 1)]
    assert store.taken == [(f"{worker}-1", True), (f"{worker}-3", True)]


@pytest.mark.parametrize("kind", ["delivery", "mail"])
async def test_a_claim_that_was_lost_takes_nothing_from_the_next(kind: str) -> None:
    """Semantics 9: also where both are of one process; the later one knows better."""
    doors: list[anyio.Event] = []

    async def wait(what: object) -> Any:
        if isinstance(what, Delivery) == (kind == "delivery"):
            doors.append(door := anyio.Event())
            await door.wait()
        return Answer.DELIVERED if isinstance(what, Delivery) else MailAnswer.DEFERRED

    async def asked(count: int) -> None:
        while len(doors) < count:
            await anyio.lowlevel.checkpoint()

    store = TellingStore()
    d = desk(store, sink=Doing(wait), mailer=Doing(wait) if kind == "mail" else None)
    if kind == "mail":
        await sent(d)
    else:
        await d.offer()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(d.lifecycle.drain)
            await asked(1)
            d.clock.advance(60)
            tasks.start_soon(d.lifecycle.drain)
            await asked(2)
            before = len(store.taken)
            doors[0].set()
            while len(store.taken) == before:
                await anyio.lowlevel.checkpoint()
            assert store.taken[before][1] is False
            assert await desk(store, sink=Doing(nothing)).lifecycle.drain() == 0
            assert len(doors) == 2
            doors[1].set()
    assert [given for _, given in store.taken].count(False) == 1
    if kind == "mail":
        assert [one.tries for one in await d.lifecycle.outgoing()] == [1]
    else:
        assert (await store.stream("ann")).delivered == 1


async def test_a_mail_whose_lease_runs_out_is_not_begun() -> None:
    """Where the mailer might take longer than the lease lasts it is given back untried."""

    class Late(MemoryStore):
        """Takes so long to claim the first time that the lease is nearly over."""

        waits = 51.0
        claims = 0

        async def claim_outgoing(
            self, worker: str, at: datetime, until: datetime, limit: int
        ) -> tuple[Outgoing, ...]:
            d.clock.advance(self.waits)
            self.waits = 0
            self.claims += 1
            return await super().claim_outgoing(worker, at, until, limit)

    mailer = ScriptedMailer()
    store = Late()
    d = desk(store, mailer=mailer)
    await sent(d)
    assert await d.lifecycle.drain() == 5
    assert store.claims == 3  # given back, then sent, then no more
    (given,) = mailer.given
    assert (given.tries, given.retry_at) == (0, None)


# In the background


class Gathering:
    """A sink that says when so many deliveries have come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.given: list[tuple[str, int]] = []
        self.complete = anyio.Event()
        self.block: Callable[[Delivery], anyio.Event | None] = lambda delivery: None

    async def deliver(self, delivery: Delivery) -> Answer:
        """Take it, once it is allowed to."""
        event = self.block(delivery)
        if event is not None:
            await event.wait()
        self.given.append((delivery.agent_id, delivery.sequence))
        if len(self.given) == self.count:
            self.complete.set()
        return Answer.DELIVERED


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is overdue is tried again without a long pause."""
    monkeypatch.setattr(_background, "_GLANCE", 0.005)


async def test_deliveries_and_mail_go_out_by_themselves() -> None:
    """While the context is open, also what was committed before it was."""
    sink, mailed = Gathering(4), anyio.Event()

    class Mailing:
        async def send(self, mail: Outgoing) -> MailAnswer:
            mailed.set()
            return MailAnswer.SENT

    d = desk(sink=sink, mailer=Mailing(), background=True)
    await d.offer()
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.act("ann", Accept(), Reply(text="Soon."), Send())
            await sink.complete.wait()
            await mailed.wait()
    assert sink.given == [("ann", number) for number in (1, 2, 3, 4)]


async def test_what_is_committed_later_goes_out_by_itself() -> None:
    """A commit wakes what had nothing to do."""
    sink = Gathering(1)
    d = desk(sink=sink, background=True)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.submit()
            await d.lifecycle.ready("ann")
            await anyio.wait_all_tasks_blocked()
            await d.lifecycle.invite("I1", "ann")
            await sink.complete.wait()


async def test_a_slow_sink_holds_up_only_its_agent() -> None:
    """Others' deliveries pass; and the step of the slow one's agent is not held up either."""
    sink, door = Gathering(4), anyio.Event()
    sink.block = lambda delivery: door if delivery.agent_id == "ann" else None
    d = desk(sink=sink, background=True)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await steps(d, 2, "ann", "I1")
            await steps(d, 2, "bob", "I2")
            await steps(d, 2, "cat", "I3")
            await sink.complete.wait()
            assert {agent_id for agent_id, _ in sink.given} == {"bob", "cat"}
            sink.count, sink.complete = 6, anyio.Event()
            door.set()
            await sink.complete.wait()
    assert [one for one in sink.given if one[0] == "ann"] == [("ann", 1), ("ann", 2)]


async def test_so_many_agents_are_delivered_to_at_a_time() -> None:
    """With a concurrency of one, the next waits for the first."""
    sink, door, waiting = Gathering(2), anyio.Event(), anyio.Event()

    def block(delivery: Delivery) -> anyio.Event | None:
        waiting.set()
        return door

    sink.block = block
    d = desk(sink=sink, background=True, settings=Settings(concurrency=1))
    for agent_id, id in (("ann", "I1"), ("bob", "I2")):
        await d.offer(agent_id, id)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await waiting.wait()
            await anyio.wait_all_tasks_blocked()
            assert [one.agent_id for one in await d.store.claim("w", START, later(1), 9)] == ["bob"]
            await d.store.progress("w", Stream(agent_id="bob"))
            door.set()
            await sink.complete.wait()
    assert sink.given == [("ann", 1), ("bob", 1)]


@pytest.mark.parametrize("blocked", ["deliveries", "mail"])
async def test_deliveries_and_mail_do_not_wait_for_each_other(blocked: str) -> None:
    """Each kind has carriers of its own, however busy those of the other are."""
    stuck, free = anyio.Event(), anyio.Event()

    async def wait(what: object) -> Any:
        is_delivery = isinstance(what, Delivery)
        if is_delivery == (blocked == "deliveries"):
            stuck.set()
            await anyio.sleep_forever()
        if isinstance(what, Outgoing) or what.sequence == 4:  # type: ignore[attr-defined]  # a delivery
            free.set()
        return Answer.DELIVERED if is_delivery else MailAnswer.SENT

    both = Doing(wait)
    d = desk(sink=both, mailer=both, background=True, settings=Settings(concurrency=1))
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.own()
            if blocked == "deliveries":
                await stuck.wait()
            await d.act("ann", Reply(text="Soon."), Send())
            await free.wait()
            await stuck.wait()


async def test_without_a_mailer_nobody_asks_for_mail() -> None:
    """There are no carriers that could take it, so the store is not asked in vain."""
    asked: list[str] = []

    class Asked(MemoryStore):
        async def claim_outgoing(
            self, worker: str, at: datetime, until: datetime, limit: int
        ) -> tuple[Outgoing, ...]:
            asked.append("claim_outgoing")
            return await super().claim_outgoing(worker, at, until, limit)

        async def next_mail(self) -> datetime | None:
            asked.append("next_mail")
            return await super().next_mail()

    for mailer, expected in ((None, set()), (ScriptedMailer(), {"claim_outgoing", "next_mail"})):
        asked.clear()
        sink = Gathering(4)
        d = desk(Asked(), sink=sink, mailer=mailer, background=True)
        with anyio.fail_after(5):
            async with d.lifecycle:
                await sent(d)
                await sink.complete.wait()
                await anyio.wait_all_tasks_blocked()
        await d.lifecycle.drain()
        assert set(asked) == expected


@pytest.mark.usefixtures("no_pause")
async def test_retries_happen_by_themselves() -> None:
    """In real time, when their time has come."""
    answers = [Answer.FAILED, Answer.FAILED]
    delivered = anyio.Event()

    def answer(delivery: Delivery) -> Answer:
        if answers:
            return answers.pop()
        delivered.set()
        return Answer.DELIVERED

    d = desk(
        clock=None,
        sink=CallbackSink(answer),
        background=True,
        settings=Settings(first_retry=timedelta(milliseconds=2)),
    )
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.offer()
            await delivered.wait()
    assert (await d.store.stream("ann")).tries == 0


async def test_an_agent_who_connects_is_delivered_to_by_itself() -> None:
    """So is one whose stream was released."""
    answers = [Answer.NOT_CONNECTED, Answer.FAILED]
    asked, delivered = anyio.Event(), anyio.Event()

    def answer(delivery: Delivery) -> Answer:
        asked.set()
        if answers:
            return answers.pop(0)
        delivered.set()
        return Answer.DELIVERED

    d = desk(sink=CallbackSink(answer), background=True, settings=Settings(attempts=1))
    with anyio.fail_after(5):
        async with d.lifecycle:
            await d.offer()
            await asked.wait()
            asked = anyio.Event()
            await d.lifecycle.connected("ann")
            await asked.wait()
            while not await d.lifecycle.parked():
                await anyio.lowlevel.checkpoint()
            await d.lifecycle.release("ann")
            await delivered.wait()


async def test_mail_that_is_released_goes_out_by_itself() -> None:
    """The background learns of it at once."""
    answers = [MailAnswer.REFUSED]
    delivered = anyio.Event()

    class Mailing:
        async def send(self, mail: Outgoing) -> MailAnswer:
            if answers:
                return answers.pop()
            delivered.set()
            return MailAnswer.SENT

    d = desk(mailer=Mailing(), background=True)
    with anyio.fail_after(5):
        async with d.lifecycle:
            outgoing = await sent(d)
            while not await d.lifecycle.outgoing(parked=True):
                await anyio.lowlevel.checkpoint()
            await d.lifecycle.release_mail(outgoing.message_id)
            await delivered.wait()


@pytest.mark.parametrize("error", [InternalError("cannot be read"), OSError("cannot be read")])
async def test_a_store_that_fails_in_between_is_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """One piece of work fails; the others go on."""

    class Faulty(MemoryStore):
        async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
            if agent_id == "ann":
                raise error
            return await super().deliveries(agent_id, after, limit)

    sink = Gathering(1)
    d = desk(Faulty(), sink=sink, background=True)
    await d.offer("ann", "I1")
    await d.offer("bob", "I2")
    with caplog.at_level(logging.ERROR), anyio.fail_after(5):
        async with d.lifecycle:
            await sink.complete.wait()
    assert caplog.records[0].getMessage() == "a delivery could not be tried"
    assert "cannot be read" in str(caplog.records[0].exc_info)
    assert sink.given == [("bob", 1)]


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    "error", [InternalError("it is restarted"), OSError("it is restarted")], ids=repr
)
@pytest.mark.parametrize("question", ["claim", "next_delivery", "claim_outgoing", "next_mail"])
async def test_deliveries_and_mail_survive_a_store_that_fails_for_a_while(
    question: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the store raises, it is logged, and after a pause they go on."""
    store, sink, mailer = FailingStore(question, error), Gathering(4), ScriptedMailer()
    d = desk(store, sink=sink, mailer=mailer, background=True)
    with caplog.at_level(logging.ERROR), anyio.fail_after(5):
        async with d.lifecycle:
            await store.failed.wait()
            await sent(d)
            await sink.complete.wait()
            await mailer.asked.wait()
    (record,) = caplog.records
    assert record.getMessage() == "timers or deliveries could not go on; trying again"
    assert "it is restarted" in str(record.exc_info)


async def test_leaving_the_context_gives_the_work_back() -> None:
    """What a sink was busy with is another worker's at once; what it has does not come again."""
    second = anyio.Event()

    async def deliver(delivery: Delivery) -> None:
        if delivery.sequence == 2:
            second.set()
            await anyio.sleep_forever()

    class Slow(MemoryStore):
        """Waits for a disk."""

        async def progress(self, worker: str, stream: Stream) -> bool:
            await anyio.lowlevel.checkpoint()
            return await super().progress(worker, stream)

    d = desk(Slow(), sink=CallbackSink(deliver), background=True)
    await steps(d, 3)
    with anyio.fail_after(5):
        async with d.lifecycle:
            await second.wait()
    assert await d.store.stream("ann") == Stream(agent_id="ann", delivered=1)
    following = desk(d.store)
    assert await following.lifecycle.drain() == 2
    assert [one.sequence for one in following.sink.deliveries] == [2, 3]


async def test_system_is_no_agent() -> None:
    """What the system does is delivered to the agent concerned, never to the system."""
    d = desk()
    await d.submit()
    await d.lifecycle.ready("ann")
    await d.lifecycle.perform("I1", Invite(agent_id="ann"), agent_id=SYSTEM)
    assert [agent.id for agent in await d.lifecycle.agents()] == ["ann"]
