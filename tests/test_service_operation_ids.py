"""Operation ids in the service (semantics 9): a request under one id happens once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from builders import MAIL, mail
from desks import ConflictingStore, Desk, MeetingStore, Unmoved, desk

from lifecycle import (
    SYSTEM,
    Accept,
    Commit,
    Interaction,
    LifecycleError,
    MemoryStore,
    Outcome,
    Reject,
    Reply,
    Send,
    Transfer,
    UpdateProperties,
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
    assert vars(again.error) == vars(first.error)


async def test_a_refusal_for_time_is_kept_with_its_text() -> None:
    """A deadline is no JSON, so under an operation id it comes as its text every time."""
    d = desk()
    offered = await d.offer()
    d.clock.advance(30)
    for _ in range(2):
        async with Unmoved(d, DeadlinePassed) as refused:
            await once(d, Accept())
        refused.says(value=repr(offered.deadline), state="Invited")


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

    async def commit(self, commit: Commit) -> None:
        """Let others run first."""
        self.commits += 1
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        await super().commit(commit)


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
        """Stops at the first question for an outcome."""

        reached = anyio.Event()
        stops = 0

        async def outcome(self, operation_id: str) -> Outcome | None:
            if self.stops:
                self.stops -= 1
                self.reached.set()
                await anyio.sleep_forever()
            return await super().outcome(operation_id)

    store = Stopping()
    store.reached = anyio.Event()
    d = desk(store)
    await d.offer()
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
