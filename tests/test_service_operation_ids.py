"""Operation ids in the service (semantics 9): a request under one id happens once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import attrs
import pytest
from builders import MAIL, mail
from desks import ConflictingStore, Desk, MeetingStore, Unmoved, desk
from processes import environment

from lifecycle import (
    EMAIL,
    SYSTEM,
    Accept,
    Actor,
    Change,
    Command,
    Commit,
    Interaction,
    LifecycleError,
    Limits,
    MemoryStore,
    Outcome,
    Reject,
    Reply,
    Row,
    Send,
    Transfer,
    UpdateProperties,
    Who,
)
from lifecycle._committer import Request
from lifecycle.errors import (
    AgentNotReady,
    AlreadyExists,
    DeadlinePassed,
    InternalError,
    InvalidParameter,
    NotFound,
    NotPermitted,
    NotValidInState,
    OperationIdReused,
    StaleOffer,
)

pytestmark = pytest.mark.anyio

Call = Callable[[Desk], Awaitable[Interaction]]


async def once(d: Desk, command: Any, operation_id: str = "op1", **rest: Any) -> Interaction:
    """Ann does something with I1, under an operation id."""
    arguments = {"agent_id": "ann", **rest}
    return await d.lifecycle.perform("I1", command, operation_id=operation_id, **arguments)


# The same again


async def test_an_operation_happens_once() -> None:
    """The second call gives what the first gave, though the state has changed since."""
    d = desk()
    await d.offer()
    first = await once(d, Accept())
    await d.act("ann", Reply(text="Soon."))
    told, log = len(d.told), await d.log("ann")
    assert await once(d, Accept()) == first
    assert (await d.state(), len(d.told), await d.log("ann")) == ("ReplyCreated", told, log)


async def test_a_submission_happens_once() -> None:
    """Also one that lets the id be made: one interaction, one id."""
    d = desk()
    arguments: dict[str, Any] = {
        "queue": "sales",
        "user_data": {"a": [1, {"b": None}], "raw": memoryview(b"left out")},
        "our_addresses": ["help@shop.example"],
        "operation_id": "op1",
    }
    first = await d.lifecycle.submit(MAIL, **arguments)
    arguments["user_data"] = {"a": [1, {"b": None}], "raw": memoryview(b"left out")}
    assert await d.lifecycle.submit(MAIL, **arguments) == first
    assert await d.lifecycle.waiting() == (first,)
    raw = b"Subject: one\r\n\r\nHello"
    second = await d.lifecycle.submit(raw, queue="sales", operation_id="op2")
    assert await d.lifecycle.submit(raw, queue="sales", operation_id="op2") == second
    assert len(await d.lifecycle.waiting()) == 2


async def test_an_invitation_happens_once() -> None:
    """The agent is asked once, and counted once; revoke and close likewise."""
    d = desk()
    await d.submit()
    await d.lifecycle.ready("ann")
    first = await d.lifecycle.invite("I1", "ann", operation_id="op1")
    assert await d.lifecycle.invite("I1", "ann", operation_id="op1") == first
    assert (await d.lifecycle.agent("ann")).load == 1
    revoked = await d.lifecycle.revoke("I1", reason="late", operation_id="op2")
    assert await d.lifecycle.revoke("I1", reason="late", operation_id="op2") == revoked
    closed = await d.lifecycle.close("I1", operation_id="op3")
    assert await d.lifecycle.close("I1", operation_id="op3") == closed
    assert closed.version == 3


async def test_a_reply_is_sent_once() -> None:
    """However often the agent's client asks again."""
    d = desk()
    await d.own()
    await d.act("ann", Reply(text="Soon."))
    for _ in range(3):
        await once(d, Send())
        await d.lifecycle.drain()
    assert len(d.mailer.sent) == 1


async def test_the_first_outcome_survives_a_restart() -> None:
    """It is in the store, committed with the step."""
    first = desk()
    await first.offer()
    accepted = await once(first, Accept())
    second = desk(first.store)
    assert await once(second, Accept()) == accepted
    assert len(await second.log("ann")) == 2


REFUSALS: dict[str, tuple[type[LifecycleError], Call]] = {
    "stale offer": (StaleOffer, lambda d: once(d, Accept(offer=7))),
    "wrong state": (NotValidInState, lambda d: once(d, Send())),
    "wrong agent": (NotPermitted, lambda d: once(d, Accept(), agent_id="bob")),
    "the system": (NotPermitted, lambda d: once(d, Accept(), agent_id=SYSTEM)),
    "not ready": (AgentNotReady, lambda d: d.lifecycle.invite("I2", "bob", operation_id="op1")),
    "not there": (NotFound, lambda d: d.lifecycle.close("I9", operation_id="op1")),
    "taken": (
        AlreadyExists,
        lambda d: d.lifecycle.submit(MAIL, id="I1", queue=None, operation_id="op1"),
    ),
    "bad parameter": (
        InvalidParameter,
        lambda d: d.lifecycle.submit(MAIL, id="I 1", queue=None, operation_id="op1"),
    ),
}


def _as_stored(value: object) -> object:
    """What JSON does not hold is kept as text."""
    return repr(value) if value is SYSTEM else value


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_an_outcome_too(name: str) -> None:
    """The same error with the same fields, also where it would succeed by now."""
    kind, call = REFUSALS[name]
    d = desk()
    await d.offer()
    await d.submit("I2")
    async with Unmoved(d, kind) as first:
        await call(d)
    await d.lifecycle.ready("bob")
    await d.act("ann", Accept())
    async with Unmoved(d, kind) as again:
        await call(d)
    assert str(again.error) == str(first.error)
    assert again.error.answer() == first.error.answer()
    stored = {**vars(first.error), "value": _as_stored(first.error.value)}
    assert vars(again.error) == stored


async def test_a_refusal_for_time_is_kept_with_its_text() -> None:
    """A deadline is no JSON: it comes as it is the first time, and as its text afterwards."""
    d = desk()
    offered = await d.offer()
    d.clock.advance(30)
    for value in (offered.deadline, repr(offered.deadline), repr(offered.deadline)):
        async with Unmoved(d, DeadlinePassed) as refused:
            await once(d, Accept())
        refused.says(value=value, state="Invited", path=None, agent_id="ann")


class TooShort(InvalidParameter):
    """A refusal of a team's own."""


@attrs.frozen(kw_only=True)
class Praise(Command):
    """A command of a team's own, whose class shows nothing of what is in it."""

    trigger: ClassVar[str] = "Praise"
    words: str
    notes: Mapping[str, Any] = attrs.field(factory=dict)

    __repr__ = object.__repr__


def praise(change: Change, command: Praise, actor: Actor, at: datetime, limits: Limits) -> None:
    """Refuses what is too short."""
    if len(command.words) < 3:
        raise TooShort("too short", path="$.words", value=command.words)
    change.comment = command.words


PRAISING = EMAIL.extend(
    rows=[Row("Praise", "Accepted", "Accepted", None, Who.OWNER, praise, Praise)]
)


async def test_a_teams_own_refusal_is_raised_as_it_was() -> None:
    """By the call that was refused; a repeat gives the nearest class that every process has."""
    d = desk(table=PRAISING)
    await d.own()
    first: list[LifecycleError] = []
    for kind in (TooShort, InvalidParameter, InvalidParameter):
        async with Unmoved(d, kind) as refused:
            await once(d, Praise(words="No"))
        refused.says(path="$.words", value="No", trigger="Praise", status_code=10)
        first.append(refused.error)
        assert str(refused.error) == str(first[0])


async def test_a_refusal_that_was_raced_for_is_that_of_the_store() -> None:
    """Where another process was faster to be refused, its outcome is everybody's."""
    store = MeetingStore()
    first, second = desk(store, table=PRAISING), desk(store, table=PRAISING)
    await first.own()
    kinds: list[type] = []

    async def attempt(d: Desk) -> None:
        try:
            await once(d, Praise(words="No"))
        except InvalidParameter as error:
            kinds.append(type(error))

    store.missing = 2
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, first)
            tasks.start_soon(attempt, second)
    assert store.conflicts == 1
    assert sorted(kind.__name__ for kind in kinds) == ["InvalidParameter", "TooShort"]


async def test_a_teams_own_command_is_known_by_what_is_in_it() -> None:
    """Not by how Python shows it, which may be its place in memory."""
    d = desk(table=PRAISING)
    await d.own()
    first = await once(d, Praise(words="Good", notes={"a": 1, "b": 2}))
    assert await once(d, Praise(words="Good", notes={"b": 2, "a": 1})) == first
    async with Unmoved(d, OperationIdReused):
        await once(d, Praise(words="Bad", notes={"a": 1, "b": 2}))


# Another request


OTHERS: dict[str, Call] = {
    "another command": lambda d: once(d, Reject()),
    "another parameter": lambda d: once(d, Accept(offer=1)),
    "another agent": lambda d: once(d, Accept(), agent_id="bob"),
    "the system": lambda d: once(d, Accept(), agent_id=SYSTEM),
    "another interaction": lambda d: d.lifecycle.perform(
        "I2", Accept(), agent_id="ann", operation_id="op1"
    ),
    "an invitation": lambda d: d.lifecycle.invite("I1", "ann", operation_id="op1"),
    "a submission": lambda d: d.lifecycle.submit(MAIL, queue=None, operation_id="op1"),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_an_id_is_for_one_request(name: str) -> None:
    """Semantics 7: used again with another body, it is refused, and nothing happens."""
    d = desk()
    await d.offer()
    await d.submit("I2")
    await once(d, Accept())
    async with Unmoved(d, OperationIdReused) as refused:
        await OTHERS[name](d)
    refused.says(path="$.operationId", value="op1", status_code=10)


@pytest.mark.parametrize(
    "changes",
    [
        {"email": mail(subject="other")},
        {"email": b"Subject: raw\r\n\r\n"},
        {"id": "I2"},
        {"id": None},
        {"queue": None},
        {"user_data": {"a": 2}},
        {"user_data": {"a": True}},
        {"our_addresses": ["sales@shop.example"]},
        {"in_queues": []},
        {"out_queues": ["sales"]},
        {"contact_id": "C2"},
        {"comment": ""},
    ],
    ids=repr,
)
async def test_a_submission_with_another_body_is_another_one(changes: dict[str, Any]) -> None:
    """Every argument counts."""
    d = desk()
    arguments: dict[str, Any] = {
        "email": MAIL,
        "id": "I1",
        "queue": "sales",
        "user_data": {"a": 1},
        "our_addresses": ["help@shop.example"],
        "in_queues": ["sales"],
        "out_queues": [],
        "contact_id": "C1",
        "comment": None,
        "operation_id": "op1",
    }
    await d.lifecycle.submit(**arguments)
    with pytest.raises(OperationIdReused):
        await d.lifecycle.submit(**{**arguments, **changes})


async def test_a_refused_request_has_its_id_too() -> None:
    """An id under which something was refused is not free for something else."""
    d = desk()
    await d.offer()
    with pytest.raises(StaleOffer):
        await once(d, Accept(offer=7))
    with pytest.raises(OperationIdReused):
        await once(d, Accept())
    assert (await once(d, Accept(), "op2")).state == "Accepted"


@pytest.mark.parametrize("call", ["submit", "perform"])
async def test_the_order_of_keys_means_nothing(call: str) -> None:
    """User data is a map: the same one in another order is the same request."""
    one = {"a": 1, "b": {"c": [1, 2], "d": None}}
    two = {"b": {"d": None, "c": [1, 2]}, "a": 1}
    other = {"a": 1, "b": {"c": [2, 1], "d": None}}
    d = desk()

    async def ask(data: dict[str, Any]) -> Interaction:
        if call == "submit":
            return await d.submit("I1", user_data=data, operation_id="op1")
        return await once(d, UpdateProperties(user_data=data))

    if call == "perform":
        await d.own()
    first = await ask(one)
    assert await ask(two) == first
    async with Unmoved(d, OperationIdReused):
        await ask(other)


FINGERPRINTS = r"""
from lifecycle import UserData, commands as c, parse_email
from lifecycle._committer import Request
email = parse_email(b"Subject: one\r\nFrom: a@b.example\r\n\r\nHello", id_prefix="I1")
data = UserData.of({key: [key] for key in {"one", "two", "three", "four"}})
update = c.UpdateProperties(user_data=data, delete_keys=["k"], comment="c")
for parts in (
    ("submit", email, "I1", None, data, [("a",), None]),
    ("submit", b"raw", None, "q", None, []),
    ("perform", "I1", update, repr("ann")),
    ("perform", "I1", c.Invite(agent_id="ann", delivering_timeout=30.5), "SYSTEM"),
):
    print(Request.of("op", *parts).fingerprint)
"""
"""Prints what requests are known by; the keys of a map come in the order of a set."""


async def test_seconds_are_the_same_however_they_are_written() -> None:
    """30 and 30.0 are one request; 30.5 is another, and so are other values in user data."""
    d = desk()
    await d.submit()
    await d.lifecycle.ready("ann")
    first = await d.lifecycle.invite("I1", "ann", delivering_timeout=30, operation_id="op1")
    again = await d.lifecycle.invite("I1", "ann", delivering_timeout=30.0, operation_id="op1")
    assert again == first
    with pytest.raises(OperationIdReused):
        await d.lifecycle.invite("I1", "ann", delivering_timeout=30.5, operation_id="op1")
    await d.act("ann", Accept())
    await once(d, UpdateProperties(user_data={"a": 1}), "op2")
    with pytest.raises(OperationIdReused):
        await once(d, UpdateProperties(user_data={"a": True}), "op2")


async def test_every_process_knows_a_request_by_the_same() -> None:
    """Whatever the order in which Python happens to keep things there."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINTS],
            env=environment(PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    (lines,) = printed
    assert len(set(lines.split())) == 4


async def test_parts_of_a_request_do_not_run_together() -> None:
    """A digest tells where one part ends and the next begins."""
    one = Request.of("op", b"ab", b"c", "d")
    assert one is not None
    assert one == Request.of("op", b"ab", b"c", "d")
    for other in ((b"a", b"bc", "d"), (b"abc", "d"), (b"ab", b"c", b"'d'1:")):
        assert one != Request.of("op", *other)
    assert Request.of(None, "ab") is None


@pytest.mark.parametrize("operation_id", ["", 7, b"op", True])
async def test_an_operation_id_is_a_string(operation_id: Any) -> None:
    """One that is no string, or empty, is refused before anything else."""
    d = desk()
    await d.offer()
    async with Unmoved(d, InvalidParameter) as refused:
        await once(d, Accept(), operation_id)
    refused.says(path="$.operationId", value=operation_id)


# At the same time


async def run_all(*calls: Callable[[], Awaitable[Interaction]]) -> list[Interaction]:
    """What came of calls that were made at the same time."""
    outcomes: list[Interaction] = []

    async def run(call: Callable[[], Awaitable[Interaction]]) -> None:
        outcomes.append(await call())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(run, call)
    return outcomes


class SlowStore(MemoryStore):
    """Takes its time, and counts the steps that it is asked to commit."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Let others run first."""
        self.commits += 1
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        await super().commit(commit, committed)


async def test_duplicates_at_the_same_time_run_once() -> None:
    """While the first is running, the others wait for its outcome."""
    store = SlowStore()
    d = desk(store)
    await d.offer()
    store.commits = 0
    outcomes = await run_all(*[lambda: once(d, Accept())] * 5)
    assert outcomes == [await d.lifecycle.get("I1")] * 5
    assert store.commits == 1


async def test_other_requests_do_not_wait() -> None:
    """Only the same id waits for the first."""
    store = MeetingStore()
    d = desk(store)
    await d.submit("I2")
    await d.offer("ann", "I1")
    store.missing = 2
    outcomes = await run_all(
        lambda: once(d, Accept(), "op1"),
        lambda: d.lifecycle.close("I2", operation_id="op2"),
    )
    assert {one.state for one in outcomes} == {"Accepted", "Completed"}


async def test_duplicates_in_two_processes_run_once() -> None:
    """Both read that nothing is known; one commits, and the other finds its outcome."""
    store = MeetingStore()
    first, second = desk(store), desk(store)
    await first.offer()
    store.missing = 2
    outcomes = await run_all(lambda: once(first, Accept()), lambda: once(second, Accept()))
    assert outcomes == [await first.lifecycle.get("I1")] * 2
    assert store.conflicts == 1
    assert len(await first.log("ann")) == 2


async def test_refusals_in_two_processes_are_one() -> None:
    """A refusal conflicts with the outcome of the other, too."""
    store = MeetingStore()
    first, second = desk(store), desk(store)
    await first.offer()
    refused: list[LifecycleError] = []

    async def attempt(d: Desk) -> None:
        try:
            await once(d, Accept(offer=7))
        except StaleOffer as error:
            refused.append(error)

    store.missing = 2
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, first)
            tasks.start_soon(attempt, second)
    assert store.conflicts == 1
    assert len({str(error) for error in refused}) == 1
    assert len(refused) == 2


async def test_a_duplicate_goes_on_where_the_first_was_cancelled() -> None:
    """Who waits for the first does it anew when the first left nothing."""

    class Stopping(MemoryStore):
        """Stops at the first question for an interaction."""

        reached = anyio.Event()
        stops = 0

        async def interaction(self, id: str) -> Interaction | None:
            if self.stops:
                self.stops -= 1
                self.reached.set()
                await anyio.sleep_forever()
            return await super().interaction(id)

    store = Stopping()
    store.reached = anyio.Event()
    d = desk(store)
    await d.offer()
    d = desk(store)  # one that has to read everything
    store.stops = 1
    scope = anyio.CancelScope()
    outcomes: list[Interaction] = []

    async def first() -> None:
        with scope:
            await once(d, Accept())

    async def second() -> None:
        outcomes.append(await once(d, Accept()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await store.reached.wait()
            tasks.start_soon(second)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert outcomes == []
            scope.cancel()
    assert outcomes == [await d.lifecycle.get("I1")]
    assert outcomes[0].state == "Accepted"


async def test_a_conflict_is_no_outcome() -> None:
    """The request is done anew until it has one."""
    store = ConflictingStore()
    d = desk(store)
    await d.offer()
    store.conflicts = 3
    accepted = await once(d, Accept())
    assert await once(d, Accept()) == accepted


async def test_an_internal_error_is_no_outcome() -> None:
    """Semantics 9 speaks of outcomes; what the store could not do may be asked for again."""

    class Faulty(MemoryStore):
        fails = 0

        async def agent(self, id: str) -> Any:
            if self.fails:
                self.fails -= 1
                raise InternalError("the disk cannot be read")
            return await super().agent(id)

    store = Faulty()
    d = desk(store)
    await d.offer()
    d = desk(store)  # one that has to read everything
    store.fails = 1
    with pytest.raises(InternalError, match="disk"):
        await once(d, Accept())
    assert (await once(d, Accept())).state == "Accepted"


async def test_an_outcome_that_says_nothing_is_an_error() -> None:
    """A store that lost half of it is not believed."""
    d = desk()
    await d.offer()
    await once(d, Accept())
    known = await d.store.outcome("op1")
    assert known is not None
    d.store._outcomes["op1"] = Outcome(
        operation_id="op1", fingerprint=known.fingerprint, at=known.at
    )
    with pytest.raises(InternalError, match="says nothing") as caught:
        await once(d, Accept())
    assert caught.value.value == "op1"


async def test_the_body_is_what_the_command_says() -> None:
    """Two commands made anew from the same parameters are one body, user data and all."""
    d = desk()
    await d.own()
    for _ in range(2):
        data = {"a": [1.5, {"b": "é"}], "raw": bytearray(b"x")}
        after = await once(d, UpdateProperties(user_data=data, delete_keys=["c"]))
    assert after.version == 3
    assert after.user_data == {"a": [1.5, {"b": "é"}]}
    await d.lifecycle.ready("bob")
    for _ in range(2):
        assert (await once(d, Transfer(agent_id="bob"), "op2")).version == 4
