"""What is logged: fields that say of what, at levels that say how bad; never a mail's content."""

from __future__ import annotations

import logging
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs
import pytest
from clocks import VirtualClock, later
from desks import DIRECTORY, CountingIds, FailingStore, desk

from lifecycle import (
    Accept,
    Answer,
    Attachment,
    CallbackSink,
    Command,
    Commit,
    Lifecycle,
    LinkAttachment,
    MailAnswer,
    MemorySink,
    MemoryStore,
    Reject,
    Reply,
    Send,
    Settings,
    Transfer,
    UpdateProperties,
)
from lifecycle import errors as e
from lifecycle._hushed import Untold, hushed, place
from lifecycle.records import Outgoing

pytestmark = pytest.mark.anyio

MARK = "XYZZY"
"""In everything that a person writes in these tests, and in nothing else."""
RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """All that the library logs at any level."""
    kept: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler, logger = Keeping(), logging.getLogger("lifecycle")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(handler)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record has beside what every record has."""
    return {key: value for key, value in vars(record).items() if key not in RESERVED}


def whole(record: logging.LogRecord) -> str:
    """Everything of a record that a handler could write, tracebacks with all their causes."""
    text = logging.Formatter().format(record)
    error = record.exc_info[1] if record.exc_info else None
    return f"{text} {vars(record)!r} {error!r} {vars(error) if error else None}"


def of(records: list[logging.LogRecord], logger: str, level: str) -> list[logging.LogRecord]:
    """The records of one logger and level."""
    return [one for one in records if (one.name, one.levelname) == (f"lifecycle.{logger}", level)]


# Steps


async def test_every_step_is_a_record(records: list[logging.LogRecord]) -> None:
    """At DEBUG, with who, when from where to where, and the delivery that it made."""
    d = desk()
    await d.offer()
    await d.act("ann", Accept())
    submit, invite, accept = of(records, "steps", "DEBUG")
    assert [one.getMessage() for one in (submit, invite, accept)] == [
        "Submit: None -> Queued",
        "Invite: Queued -> Invited",
        "Accept: Invited -> Accepted",
    ]
    assert fields(submit) == {
        "interaction_id": "I1",
        "agent_id": None,
        "trigger": "Submit",
        "actor": None,
        "source": None,
        "dest": "Queued",
        "version": 0,
        "offer": 0,
        "sequence": None,
    }
    assert fields(invite) == {
        "interaction_id": "I1",
        "agent_id": "ann",
        "trigger": "Invite",
        "actor": None,
        "source": "Queued",
        "dest": "Invited",
        "version": 1,
        "offer": 1,
        "sequence": 1,
    }
    assert fields(accept) == {
        **fields(invite),
        "trigger": "Accept",
        "actor": "ann",
        "source": "Invited",
        "dest": "Accepted",
        "version": 2,
        "sequence": 2,
    }
    assert {type(fields(accept)[name]) for name in ("trigger", "dest")} == {str}


async def test_every_step_of_one_commit_is_a_record(records: list[logging.LogRecord]) -> None:
    """Also what a timer and an agent's absence bring."""
    d = desk()
    await d.offer("ann", "I1")
    await d.offer("ann", "I2")
    await d.lifecycle.not_ready("ann")
    revoked = of(records, "steps", "DEBUG")[-2:]
    assert [(fields(one)["interaction_id"], fields(one)["trigger"]) for one in revoked] == [
        ("I1", "Revoke"),
        ("I2", "Revoke"),
    ]


async def test_a_step_that_was_not_committed_is_no_record(
    records: list[logging.LogRecord],
) -> None:
    """Only what is stored has happened."""
    d = desk(FailingStore("commit", e.StoreUnavailable("gone")))
    with pytest.raises(e.StoreUnavailable):
        await d.submit()
    [record] = of(records, "steps", "DEBUG")
    assert record.getMessage() == "submit refused: StoreUnavailable"
    await d.submit()
    assert len(of(records, "steps", "DEBUG")) == 2


async def test_a_refusal_is_a_record(records: list[logging.LogRecord]) -> None:
    """At DEBUG, with its class and path; the value that offends is for the caller alone."""
    d = desk()
    await d.own()
    records.clear()
    with pytest.raises(e.NotFound):
        await d.act("ann", Transfer(agent_id=MARK))
    with pytest.raises(e.NotFound):
        await d.lifecycle.invite(MARK, "ann")
    transfer, invite = of(records, "steps", "DEBUG")
    assert transfer.getMessage() == "perform refused: NotFound"
    assert fields(transfer) == {
        "interaction_id": "I1",
        "agent_id": "ann",
        "trigger": "Transfer",
        "error": "NotFound",
        "path": "$.agentId",
    }
    assert fields(invite) == {
        "interaction_id": MARK,  # an id is no content
        "agent_id": None,
        "trigger": "Invite",
        "error": "NotFound",
        "path": "$.id",
    }


async def test_a_refusal_tells_what_the_request_did_not_name(
    records: list[logging.LogRecord],
) -> None:
    """Whom an invitation was for."""
    d = desk()
    await d.submit()
    with pytest.raises(e.AgentNotReady):
        await d.lifecycle.invite("I1", "bob")
    assert fields(of(records, "steps", "DEBUG")[-1])["agent_id"] == "bob"


async def test_what_is_no_text_is_left_out(records: list[logging.LogRecord]) -> None:
    """Nonsense that is asked for is refused, and logged without it."""
    d = desk()
    with pytest.raises(e.InvalidParameter):
        await d.lifecycle.perform([MARK], {"x": MARK}, agent_id=17)  # type: ignore[arg-type]  # wrong
    [record] = of(records, "steps", "DEBUG")
    assert {fields(record)[name] for name in ("interaction_id", "agent_id", "trigger")} == {None}
    assert MARK not in whole(record)


async def test_an_ordinary_life_is_silent_above_debug(records: list[logging.LogRecord]) -> None:
    """Neither steps nor refusals nor deliveries are news."""
    d = desk()
    await d.own()
    with pytest.raises(e.NotValidInState):
        await d.act("ann", Accept())
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"))
    await d.lifecycle.drain()
    assert {one.levelname for one in records} == {"DEBUG"}


async def test_nothing_is_made_where_nobody_reads_it(
    records: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At INFO no record of a step is made, and none is thrown away."""
    logging.getLogger("lifecycle").setLevel(logging.INFO)
    made: list[object] = []
    monkeypatch.setattr(logging.getLogger("lifecycle.steps"), "debug", made.append)
    d = desk()
    await d.own()
    with pytest.raises(e.NotValidInState):
        await d.act("ann", Accept())
    assert made == []
    assert records == []


# Deliveries and mail


async def test_a_retry_and_a_parking_say_of_what(records: list[logging.LogRecord]) -> None:
    """INFO for another try, ERROR for the alert; with the same fields."""
    failing = CallbackSink(lambda _: Answer.FAILED)
    d = desk(sink=failing, settings=Settings(attempts=2))
    await d.offer()
    await d.lifecycle.drain()
    d.clock.advance(400)
    await d.lifecycle.drain()
    [retry], [alert] = of(records, "delivery", "INFO"), of(records, "delivery", "ERROR")
    known = {"interaction_id": "I1", "agent_id": "ann", "trigger": "Invite", "sequence": 1}
    assert fields(retry) == {**known, "tries": 1}
    assert retry.getMessage() == f"failed; tried again at {later(1)}"
    assert fields(alert) == {**known, "tries": 2}


class Mailing:
    """A mailer that answers what it is told to."""

    def __init__(self, *answers: MailAnswer) -> None:
        self.answers = list(answers)

    async def send(self, mail: Outgoing) -> MailAnswer:
        """The next answer."""
        return self.answers.pop(0)


async def test_a_mail_that_is_parked_is_an_alert(records: list[logging.LogRecord]) -> None:
    """With the interaction and the message."""
    d = desk(mailer=Mailing(MailAnswer.DEFERRED, MailAnswer.REFUSED), sink=None)
    await d.own()
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"))
    [mail] = await d.lifecycle.outgoing()
    await d.lifecycle.drain()
    d.clock.advance(400)
    await d.lifecycle.drain()
    [retry], [alert] = of(records, "delivery", "INFO"), of(records, "delivery", "ERROR")
    known = {"interaction_id": "I1", "message_id": mail.message_id}
    assert (fields(retry), fields(alert)) == ({**known, "tries": 1}, {**known, "tries": 2})


async def test_a_timer_that_fails_says_of_whom(records: list[logging.LogRecord]) -> None:
    """An interaction by its id, an agent by theirs."""

    class Faulty(MemoryStore):
        is_full = False

        async def commit(self, commit: Commit, committed: Any = None) -> None:
            if self.is_full:
                raise e.StoreFull("the disk is full")
            await super().commit(commit, committed)

    store = Faulty()
    d = desk(store)
    await d.offer()
    await d.lifecycle.connected("bob")
    await d.lifecycle.ready("bob")
    await d.lifecycle.disconnected("bob")
    store.is_full = True
    d.clock.advance(100)
    assert await d.lifecycle.fire_due() == 0
    failed = of(records, "service", "ERROR")
    assert [fields(one) for one in failed] == [{"interaction_id": "I1"}, {"agent_id": "bob"}]
    assert all("the disk is full" in whole(one) for one in failed)


async def test_a_delivery_that_cannot_be_read_says_whose(
    records: list[logging.LogRecord],
) -> None:
    """While it goes on by itself: agent, or interaction and message."""

    class Faulty(MemoryStore):
        async def deliveries(self, agent_id: str, after: int, limit: int) -> Any:
            raise e.StoreUnavailable("gone")

        async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
            raise e.StoreUnavailable("gone")

    d = desk(Faulty(), background=True)
    await d.own()
    await d.act("ann", Reply(text="Soon."), Send(queue="outbox"))
    [mail] = await d.lifecycle.outgoing()
    expected = {
        (("agent_id", "ann"),),
        (("interaction_id", "I1"), ("message_id", mail.message_id)),
    }
    said: set[tuple[tuple[str, Any], ...]] = set()
    with anyio.fail_after(5):
        async with d.lifecycle:
            while len(said) < len(expected):
                await anyio.lowlevel.checkpoint()
                failed = of(records, "service", "ERROR")
                said = {tuple(fields(one).items()) for one in failed}
    assert said == expected
    assert {one.getMessage() for one in failed} == {"a delivery could not be tried"}


# Errors in a log


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    """An error with a traceback, and a cause where one is given."""
    try:
        if cause is None:
            raise error
        raise error from cause
    except type(error) as caught:
        return caught


EVERY = [
    kind
    for kind in vars(e).values()
    if isinstance(kind, type) and issubclass(kind, e.LifecycleError)
]


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_of_ours_is_hushed(kind: type[e.LifecycleError]) -> None:
    """Class, place, ids and traceback stay; the value, and what it was raised from, go."""
    keeps_message = issubclass(kind, e.InternalError) and kind is not e.StoreCorrupt
    keeps_value = kind in (e.StoreUnavailable, e.StoreFull, e.SchemaMismatch)
    error = raised(
        kind(
            f"{MARK}message",
            interaction_id="I1",
            state="Queued",
            trigger="Accept",
            capabilities=("Accept",),
            agent_id="ann",
            path=f"$.userData.{MARK}",
            value=f"{MARK}value",
        ),
        ValueError(f"{MARK}cause"),
    )
    before = str(error)
    log = hushed(error)
    assert type(log) is kind
    assert log.__traceback__ is error.__traceback__
    text = "".join(traceback.format_exception(log))
    assert (f"{MARK}message" in text) == keeps_message
    assert (f"{MARK}value" in text) == keeps_value
    assert f"{MARK}cause" not in text
    assert f"userData.{MARK}" not in text
    assert "def raised" not in text
    assert "raise error from cause" in text
    for word in (kind.__name__, "$.userData", "I1", "Queued", "Accept", "ann"):
        assert word in str(log)
    assert isinstance(log, e.LifecycleError)
    assert (log.interaction_id, log.trigger, log.agent_id) == ("I1", "Accept", "ann")
    assert (str(error), type(error.__cause__)) == (before, ValueError)  # it is unchanged


def test_an_error_without_fields_is_its_class() -> None:
    """Nothing is made up."""
    assert str(hushed(e.NotFound("there is no such thing"))) == "NotFound"
    assert str(hushed(e.InternalError("a bug"))) == "InternalError: a bug"
    assert str(hushed(e.StoreFull("no room", path="a.db"))) == "StoreFull: no room: at a.db"


class Own(e.Forbidden):
    """A refusal of a team's own, made in another way than ours."""

    def __init__(self, words: str, more: int) -> None:
        super().__init__(words, value=words)
        self.more = more


def test_an_error_of_a_teams_own_is_hushed() -> None:
    """Whatever it takes to make one."""
    log = hushed(raised(Own(MARK, 3)))
    assert type(log) is Own
    assert str(log) == "Own"


def test_the_errors_of_others_are_logged_as_they_are() -> None:
    """What a sink says is its own."""
    error = raised(OSError("no route"), ValueError("no cable"))
    assert hushed(error) is error
    group = raised(ExceptionGroup("both", [error, OSError("no power")]))
    assert hushed(group) is group


@pytest.mark.parametrize("how", ["cause", "context", "group", "deep"])
def test_an_error_of_ours_behind_anothers_is_not_told(how: str) -> None:
    """Only the class and the place of the other one are."""
    ours = raised(e.InvalidParameter(MARK, path="$.x", value=MARK))
    error: Exception = OSError(MARK)
    if how == "cause":
        error = raised(error, ours)
    elif how == "context":
        error.__context__ = ours
        error = raised(error)
    elif how == "group":
        error = raised(ExceptionGroup(MARK, [OSError("x"), ours]))
    else:
        error = raised(error, raised(KeyError(MARK), ours))
    log = hushed(error)
    assert type(log) is Untold
    assert str(log) == type(error).__name__
    assert log.__traceback__ is error.__traceback__
    assert MARK not in "".join(traceback.format_exception(log))


def test_errors_that_go_round_are_seen_once() -> None:
    """A chain that somebody has closed to a ring."""
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert hushed(first) is first


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (None, None),
        ("$", "$"),
        ("$.email.references[3]", "$.email.references[3]"),
        (f"$.userData.{MARK}.x", "$.userData"),
        (f"$.userData['{MARK}']", "$.userData"),
    ],
)
def test_a_path_ends_where_keys_are_a_persons(path: str | None, shown: str | None) -> None:
    """The keys of user data are what somebody wrote."""
    assert place(path) == shown


# No content, over whole lives


def answering(what: Any) -> Callable[[Any], Any]:
    """A sink or mailer that answers or raises the same all the time."""

    def answer(_: Any) -> Any:
        if isinstance(what, BaseException):
            raise what
        return what

    return answer


class Talking:
    """A mailer that answers by a function."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    async def send(self, mail: Outgoing) -> Any:
        """Answer."""
        return self.answer(mail)


RAW = f"""From: {MARK} <{MARK}@home.example>
To: help@shop.example
Cc: {MARK}@work.example
Subject: {MARK}
Message-ID: <m1@home.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

{MARK}
--b
Content-Type: application/pdf; name="{MARK}.pdf"
Content-Disposition: attachment; filename="{MARK}.pdf"

{MARK}
--b--
""".encode()

OURS = e.InvalidParameter(MARK, path="$.x", value=MARK)


async def refused(lifecycle: Lifecycle, id: str, command: Command, agent_id: Any) -> None:
    """A request that is refused, whatever for."""
    with pytest.raises(e.LifecycleError):
        await lifecycle.perform(id, command, agent_id=agent_id, operation_id=None)


async def live(lifecycle: Lifecycle, clock: VirtualClock) -> None:
    """A life with every kind of step, refusal, timer and failure, and a mark everywhere."""
    await lifecycle.ready("ann")
    await lifecycle.ready("bob")
    for id in ("I1", "I2"):
        await lifecycle.submit(
            RAW,
            id=id,
            queue="sales",
            our_addresses=["help@shop.example"],
            user_data={MARK: {MARK: MARK}},
            contact_id=MARK,
            comment=MARK,
        )
    with pytest.raises(e.AlreadyExists):
        await lifecycle.submit(RAW, id="I1", queue="sales", comment=MARK)
    with pytest.raises(e.InvalidParameter):
        await lifecycle.submit(b"Subject: x\n\nx", queue="sales", comment=f"{MARK}\ud800")
    await refused(lifecycle, "I1", UpdateProperties(comment=MARK), "ann")
    await lifecycle.invite("I1", "bob")
    await lifecycle.perform("I1", Reject(reason=MARK), agent_id="bob")
    await lifecycle.invite("I1", "ann")
    await lifecycle.perform("I1", Accept(), agent_id="ann")
    await lifecycle.perform("I1", UpdateProperties(comment=MARK), agent_id="ann")
    attachment = await lifecycle.add_content(MARK.encode(), name=f"{MARK}.txt", mimetype="a/b")
    await lifecycle.perform("I1", Reply(text=MARK), agent_id="ann")
    wrong = attrs.evolve(attachment, size=3)
    await refused(lifecycle, "I1", LinkAttachment(attachment=wrong), "ann")
    await refused(lifecycle, "I1", Send(text=MARK, queue=MARK), "ann")
    await refused(lifecycle, "I1", Transfer(skill=MARK), "ann")
    absent = Attachment(id="NONE", name=MARK, size=1, mimetype=MARK)
    await refused(lifecycle, "I1", LinkAttachment(attachment=absent), "ann")
    await lifecycle.perform("I1", LinkAttachment(attachment=attachment), agent_id="ann")
    await lifecycle.perform("I1", Send(text=MARK, queue="outbox"), agent_id="ann")
    await lifecycle.invite("I2", "bob")
    clock.advance(30)
    await lifecycle.fire_due()
    for _ in range(4):
        await lifecycle.drain()
        clock.advance(400)
        await lifecycle.fire_due()


@pytest.mark.parametrize(
    "what",
    [
        Answer.DELIVERED,
        Answer.FAILED,
        MailAnswer.REFUSED,
        MARK,
        {MARK: MARK},
        OURS,
        e.StoreCorrupt(MARK, path="$.email.text", value=MARK),
        raised(RuntimeError(MARK), OURS),
    ],
    ids=lambda what: type(what).__name__,
)
@pytest.mark.parametrize("is_observed", [False, True])
async def test_no_content_is_logged(
    what: Any, is_observed: bool, records: list[logging.LogRecord]
) -> None:
    """Over a life in which sink, mailer and observer answer nonsense or fail with our errors."""
    clock = VirtualClock()
    answer = answering(what)
    async with Lifecycle(
        store=MemoryStore(),
        sink=CallbackSink(answer),
        mailer=Talking(answer),
        directory=DIRECTORY,
        clock=clock,
        ids=CountingIds(),
        observer=answer if is_observed else None,
        settings=Settings(attempts=2),
        background=False,
    ) as lifecycle:
        await live(lifecycle, clock)
        finished = await lifecycle.get("I1")
        assert finished.draft is not None
        assert MARK in (finished.draft.text or "")  # it was there to be told
    assert len(of(records, "steps", "DEBUG")) > 15
    assert [one for one in records if MARK in whole(one)] == []
    if what is not Answer.DELIVERED:
        assert of(records, "delivery", "ERROR")


QUESTIONS = ("interaction", "commit", "due", "claim", "deliveries", "next_delivery", "agent")


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_store_that_quotes_a_row_is_hushed(
    question: str, records: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers, deliveries and presence go on, and what cannot be read is in no record."""
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.002)
    error = e.StoreCorrupt(f"cannot be {MARK}", path=f"$.userData.{MARK}", value=MARK)
    error.__cause__ = ValueError(MARK)
    store = FailingStore(question, error, times=0)
    d = desk(store, background=False, sink=MemorySink())
    await d.offer("ann", "I1")
    lifecycle = Lifecycle(store=store, sink=d.sink, mailer=d.mailer, clock=d.clock)
    d.clock.advance(100)
    store.times = 3
    with anyio.fail_after(5):
        async with lifecycle:
            await store.failed.wait()
            while not [one for one in records if one.exc_info]:
                await anyio.sleep(0.001)
    failed = [one for one in records if one.exc_info]
    assert all(one.levelname == "ERROR" and "StoreCorrupt" in whole(one) for one in failed)
    assert [one for one in records if MARK in whole(one)] == []


async def test_sessions_that_cannot_be_counted_are_hushed(
    records: list[logging.LogRecord],
) -> None:
    """Whose they are is said, and not what the store quotes."""
    store = FailingStore("commit", e.StoreCorrupt(MARK, path="$.x", value=MARK), times=2)
    d = desk(store)
    with pytest.raises(e.StoreCorrupt):
        await d.lifecycle.connected("ann")
    await d.lifecycle.fire_due()
    [record] = of(records, "service", "ERROR")
    assert record.getMessage() == "sessions could not be counted"
    assert fields(record) == {"agent_id": "ann"}
    assert "StoreCorrupt" in whole(record)
    assert MARK not in whole(record)


async def test_a_row_edited_by_hand_is_not_quoted(
    tmp_path: Path, records: list[logging.LogRecord]
) -> None:
    """The timer of one that cannot be read is logged; the others fire, and lists go on."""
    path, clock = tmp_path / "store.db", VirtualClock()

    def edit() -> None:
        connection = sqlite3.connect(path)
        with connection:
            changed = connection.execute(
                "UPDATE interactions SET data = json_set(data, '$.comment', json_array(?)) "
                "WHERE id = 'I2'",
                (MARK,),
            )
            assert changed.rowcount == 1
        connection.close()

    async def opened() -> Lifecycle:
        return await Lifecycle.open(path, directory=DIRECTORY, clock=clock, background=False)

    async with await opened() as lifecycle:
        for agent_id, id in (("ann", "I1"), ("ann", "I2")):
            await lifecycle.ready(agent_id)
            await lifecycle.submit(RAW, id=id, queue="sales")
            await lifecycle.invite(id, agent_id)
    await anyio.to_thread.run_sync(edit)
    clock.advance(30)
    async with await opened() as lifecycle:
        assert await lifecycle.fire_due() == 1
        assert [one.id for one in await lifecycle.interactions_of("ann")] == []
        with pytest.raises(e.StoreCorrupt) as caught:
            await lifecycle.get("I2")
    assert MARK in str(caught.value)  # whoever asks is told
    [timer] = [one for one in of(records, "service", "ERROR") if one.exc_info]
    assert fields(timer) == {"interaction_id": "I2"}
    assert "StoreCorrupt" in whole(timer)
    [left_out] = of(records, "store", "ERROR")
    assert fields(left_out)["interaction_id"] == "I2"
    assert [one for one in records if MARK in whole(one)] == []


async def test_records_have_the_fields_of_one_vocabulary(
    records: list[logging.LogRecord],
) -> None:
    """So that a host can index them: the same name for the same thing everywhere."""
    clock = VirtualClock()
    d = desk(clock=clock, sink=CallbackSink(answering(OURS)), settings=Settings(attempts=1))
    await live(d.lifecycle, clock)
    names = {name for one in records for name in fields(one)}
    assert names <= {
        "interaction_id",
        "agent_id",
        "trigger",
        "actor",
        "source",
        "dest",
        "version",
        "offer",
        "sequence",
        "message_id",
        "tries",
        "error",
        "path",
    }
    values = [fields(one).get(name) for one in records for name in ("interaction_id", "agent_id")]
    assert {type(value) for value in values} == {str, type(None)}
