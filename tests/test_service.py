"""The service: submissions, steps with all that is committed with them, questions, refusals."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from typing import Any, cast

import anyio
import attrs
import pytest
from builders import MAIL, mail
from clocks import START, VirtualClock, later
from desks import (
    CancellingStore,
    ConflictingStore,
    Desk,
    FailingStore,
    MeetingStore,
    SeparateContents,
    Unmoved,
    desk,
    photo,
)

from lifecycle import (
    SYSTEM,
    Accept,
    Attachment,
    Cancel,
    Close,
    Command,
    Committed,
    Entry,
    Interaction,
    Invite,
    Lifecycle,
    LifecycleError,
    LinkAttachment,
    MemorySink,
    MemoryStore,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    Revoke,
    Send,
    Store,
    Transfer,
    parse_email,
)
from lifecycle._replies import outgoing_mail
from lifecycle._requests import raw_mail_id
from lifecycle.errors import (
    AgentAtCapacity,
    AlreadyExists,
    InternalError,
    InvalidParameter,
    MailTooLarge,
    NotFound,
    NotPermitted,
    NotValidInState,
    RaceLost,
)

pytestmark = pytest.mark.anyio

RAW = (
    b"From: Zoe <zoe@home.example>\r\nTo: help@shop.example\r\nSubject: Photo\r\n"
    b"Message-ID: <p1@home.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="cut"\r\n\r\n'
    b"--cut\r\nContent-Type: text/plain\r\n\r\nSee the photo.\r\n"
    b"--cut\r\nContent-Type: image/png\r\n"
    b'Content-Disposition: attachment; filename="p.png"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--cut--\r\n"
)
"""A mail with one attachment of four bytes."""
PHOTO = b"\x89PNG"


class Impostor(Command):
    """A command of another class under the trigger of a shipped one."""

    trigger = "Accept"

    def __repr__(self) -> str:
        """As it is shown in the names of tests."""
        return "Impostor()"


class WithoutContent:
    """A store that keeps no content."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        """What a store has, without what only a content store has."""
        if name in ("put", "content", "delete"):
            raise AttributeError(name)
        return getattr(self._store, name)


class BlindStore(MemoryStore):
    """Fails when it is asked for an interaction."""

    async def interaction(self, id: str) -> Interaction | None:
        """Nobody may ask."""
        raise AssertionError(f"asked for {id!r}")


# Submissions


async def test_a_mail_becomes_an_interaction() -> None:
    """It is queued, waits, is version 0, and has one line of history."""
    d = desk()
    made = await d.lifecycle.submit(
        MAIL,
        queue="sales",
        user_data={"vip": True},
        our_addresses=["help@shop.example"],
        in_queues=["sales"],
        out_queues=["outbox"],
        contact_id="C1",
        comment="again",
    )
    assert (made.state, made.version, made.queue, made.agent_id) == ("Queued", 0, "sales", None)
    assert made.user_data == {"vip": True}
    assert made.comment == "again"
    assert made.submission.our_addresses == ("help@shop.example",)
    assert (made.submission.in_queues, made.submission.out_queues) == (("sales",), ("outbox",))
    assert (made.submission.contact_id, made.email) == ("C1", MAIL)
    assert made.submission.received_at == "2026-03-02T09:00:00Z"
    assert await d.lifecycle.get(made.id) == made
    assert await d.lifecycle.waiting() == await d.lifecycle.waiting("sales") == (made,)
    assert await d.lifecycle.waiting("support") == ()
    assert await d.lifecycle.history(made.id) == (
        Entry(
            interaction_id=made.id,
            version=0,
            at=START,
            actor=None,
            trigger="Submit",
            source=None,
            dest="Queued",
            offer=0,
            agent_id=None,
        ),
    )


async def test_ids_are_the_hosts_or_new() -> None:
    """Semantics 4: an id made by the engine is 16 characters, and they sort by time."""
    d = desk()
    assert (await d.submit("Mine1")).id == "Mine1"
    store = MemoryStore()
    clock = VirtualClock()
    lifecycle = Lifecycle(store=store, sink=MemorySink(), clock=clock, background=False)
    made = []
    for _ in range(3):
        made.append((await lifecycle.submit(MAIL, queue=None)).id)
        clock.advance(0.001)
    assert made == sorted(set(made))
    assert all(len(id) == 16 and id.isalnum() and id == id.upper() for id in made)


async def test_raw_mail_is_parsed_and_kept() -> None:
    """The bytes and the attachment's content are there, under the ids that the mail lists."""
    d = desk()
    made = await d.lifecycle.submit(RAW, queue="sales", id="I1")
    assert made.email == parse_email(RAW, id_prefix="I1")
    (attachment,) = made.email.attachments
    assert (attachment.name, attachment.size) == ("p.png", len(PHOTO))
    assert await d.lifecycle.content(attachment.id) == PHOTO
    assert await d.lifecycle.content(raw_mail_id("I1")) == RAW


async def test_content_can_be_kept_elsewhere() -> None:
    """With a content store of its own, the store has none of it."""
    contents = SeparateContents()
    d = desk(contents=contents)
    made = await d.lifecycle.submit(RAW, queue="sales", id="I1")
    (attachment,) = made.email.attachments
    assert contents.kept == {attachment.id: PHOTO, raw_mail_id("I1"): RAW}
    assert await d.lifecycle.content(attachment.id) == PHOTO
    assert await d.store.content(attachment.id) is None


async def test_a_store_without_content_needs_a_content_store() -> None:
    """It is refused at once, not at the first attachment."""
    store = cast("Store", WithoutContent())
    with pytest.raises(InvalidParameter, match="keeps no content") as caught:
        Lifecycle(store=store, sink=MemorySink())
    assert caught.value.path == "$.contents"
    contents = SeparateContents()
    lifecycle = Lifecycle(store=store, sink=MemorySink(), contents=contents, background=False)
    await lifecycle.submit(RAW, queue=None, id="I1")
    assert await lifecycle.content(raw_mail_id("I1")) == RAW


@pytest.mark.parametrize("email", [MAIL, RAW], ids=["parsed", "raw"])
async def test_an_id_is_given_once(email: Any) -> None:
    """Another interaction under the id is refused, and the first keeps its content."""
    d = desk()
    await d.lifecycle.submit(RAW, queue="sales", id="I1")
    async with Unmoved(d, AlreadyExists) as refused:
        await d.lifecycle.submit(RAW.replace(b"Photo", b"Other"), queue="sales", id="I1")
    refused.says(interaction_id="I1", status_code=18)
    assert await d.lifecycle.content(raw_mail_id("I1")) == RAW


async def test_an_id_is_given_once_in_a_race() -> None:
    """Two submissions at the same time under one id: one interaction, one refusal."""
    store = MeetingStore()
    d = desk(store)
    store.missing = 2
    outcomes = await race(
        lambda: d.submit("I1", email=mail(subject="one")),
        lambda: d.submit("I1", email=mail(subject="two")),
    )
    (won,) = [one for one in outcomes if isinstance(one, Interaction)]
    (lost,) = [one for one in outcomes if not isinstance(one, Interaction)]
    assert isinstance(lost, AlreadyExists)
    assert await d.lifecycle.get("I1") == won
    assert len(await d.lifecycle.history("I1")) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "path", "value"),
    [
        ({"queue": "nowhere"}, NotFound, "$.queue", "nowhere"),
        ({"id": "no id"}, InvalidParameter, "$.id", "no id"),
        ({"id": ""}, InvalidParameter, "$.id", ""),
        ({"queue": 5}, InvalidParameter, "$.queue", 5),
        ({"user_data": {"a": float("inf")}}, InvalidParameter, "$.userData.a", float("inf")),
        ({"user_data": [("a", 1)]}, InvalidParameter, "$.userData", [("a", 1)]),
        ({"our_addresses": "a@b.example"}, InvalidParameter, "$.ourAddresses", "a@b.example"),
        ({"in_queues": "sales"}, InvalidParameter, "$.inQueues", "sales"),
        ({"out_queues": ["x", 3]}, InvalidParameter, "$.outQueues[1]", 3),
        ({"contact_id": "\ud800"}, InvalidParameter, "$.contactId", "\ud800"),
        ({"email": "From: zoe"}, InvalidParameter, "$.email", "From: zoe"),
        ({"operation_id": ""}, InvalidParameter, "$.operationId", ""),
        ({"operation_id": 7}, InvalidParameter, "$.operationId", 7),
    ],
)
@pytest.mark.parametrize("email", [MAIL, RAW], ids=["parsed", "raw"])
async def test_a_bad_submission_is_refused(
    email: Any, changes: dict[str, Any], kind: type[LifecycleError], path: str, value: Any
) -> None:
    """Each with its path and value; nothing is kept of it, not even content."""
    contents = SeparateContents()
    d = desk(contents=contents)
    async with Unmoved(d, kind) as refused:
        await d.submit(**{"email": email, **changes})
    refused.says(path=path, value=value)
    assert contents.kept == {}


async def test_a_mail_that_is_too_large_is_refused() -> None:
    """As `parse_email` does it."""
    d = desk()
    async with Unmoved(d, MailTooLarge):
        await d.lifecycle.submit(b"x" * (25 * 1024 * 1024 + 1), queue="sales")


async def test_what_was_submitted_can_be_changed_by_the_caller() -> None:
    """The lists and maps of a submission are the interaction's own."""
    d = desk()
    queues, data = ["sales"], {"tags": ["new"]}
    made = await d.submit(in_queues=queues, user_data=data)
    queues.append("support")
    data["tags"].append("old")
    stored = await d.lifecycle.get("I1")
    assert stored == made
    assert stored.submission.in_queues == ("sales",)
    assert stored.user_data == {"tags": ["new"]}


# Steps


async def test_a_life_is_committed_step_by_step() -> None:
    """Every step is stored with its history and its delivery, for the right agent."""
    d = desk()
    await d.own()
    await d.act("ann", PlaceInWorkbin(workbin="late"))
    await d.act("bob", Pull(), Reply(text="Soon."))
    sent = await d.act("bob", Send())
    assert (sent.state, sent.version, sent.agent_id) == ("Sent", 6, None)
    assert [
        (one.version, one.trigger, one.source, one.dest, one.actor, one.agent_id, one.offer)
        for one in await d.lifecycle.history("I1")
    ] == [
        (0, "Submit", None, "Queued", None, None, 0),
        (1, "Invite", "Queued", "Invited", None, "ann", 1),
        (2, "Accept", "Invited", "Accepted", "ann", "ann", 1),
        (3, "PlaceInWorkbin", "Accepted", "InWorkbin", "ann", "ann", 1),
        (4, "Pull", "InWorkbin", "Accepted", "bob", "bob", 1),
        (5, "Reply", "Accepted", "ReplyCreated", "bob", "bob", 1),
        (6, "Send", "ReplyCreated", "Sent", "bob", "bob", 1),
    ]
    assert await d.log("ann") == [
        (1, "Invite", "I1"),
        (2, "Accept", "I1"),
        (3, "PlaceInWorkbin", "I1"),
    ]
    assert await d.log("bob") == [(1, "Pull", "I1"), (2, "Reply", "I1"), (3, "Send", "I1")]


async def test_a_step_returns_what_is_stored() -> None:
    """The answer is the new value, of version + 1."""
    d = desk()
    offered = await d.offer()
    accepted = await d.act("ann", Accept(offer=1))
    assert accepted == await d.lifecycle.get("I1")
    assert accepted.version == offered.version + 1


async def test_what_nobody_holds_notifies_nobody() -> None:
    """Close of a queued one and Revoke from a workbin are steps without a delivery."""
    d = desk()
    await d.own()
    await d.act("ann", PlaceInWorkbin(workbin="late"))
    before = await d.log("ann")
    await d.lifecycle.revoke("I1", reason="too late")
    closed = await d.lifecycle.close("I1", reason="spam")
    assert (closed.state, closed.reason) == ("Completed", "spam")
    assert await d.log("ann") == before
    assert [one.agent_id for one in (await d.lifecycle.history("I1"))[-2:]] == [None, None]


async def test_an_attachment_is_linked_and_sent() -> None:
    """Content that was added goes out with the reply, byte for byte."""
    d = desk()
    await d.own()
    data = bytes(range(256))
    attachment = await d.lifecycle.add_content(data, name="all.bin", mimetype="application/x-all")
    assert (attachment.name, attachment.size, attachment.mimetype) == (
        "all.bin",
        256,
        "application/x-all",
    )
    assert await d.lifecycle.content(attachment.id) == data
    await d.act("ann", Reply(text="Here."), LinkAttachment(attachment=attachment), Send())
    (outgoing,) = await d.lifecycle.outgoing()
    message = message_from_bytes(outgoing.message, policy=policy.default)
    (part,) = message.iter_attachments()
    assert part.get_content() == data
    assert part.get_filename() == "all.bin"


@pytest.mark.parametrize("size", [0, 2, 10**9])
async def test_an_attachment_has_the_size_of_its_content(size: int) -> None:
    """Another one is refused with its path, and nothing is linked."""
    d = desk()
    await d.own()
    await d.act("ann", Reply(text="Here."))
    attachment = await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    wrong = attrs.evolve(attachment, size=size)
    async with Unmoved(d, InvalidParameter) as refused:
        await d.act("ann", LinkAttachment(attachment=wrong))
    refused.says(path="$.attachment.size", value=size, trigger="LinkAttachment", agent_id="ann")
    assert (await d.act("ann", LinkAttachment(attachment=attachment))).draft is not None


async def two_mails(**changes: Any) -> tuple[Desk, Attachment, Attachment]:
    """Ann replies to I1; it and I2, which is another's, came with an attachment each."""
    d = desk(**changes)
    own = await d.own("ann", "I1", email=RAW)
    other = await d.submit("I2", email=RAW)
    await d.act("ann", Reply(text="Here."))
    return d, own.email.attachments[0], other.email.attachments[0]


@pytest.mark.parametrize("contents", [None, SeparateContents()], ids=["in the store", "apart"])
async def test_content_of_another_interaction_is_not_linked(contents: Any) -> None:
    """Neither its attachments nor its raw mail: for this one they are not there."""
    d, _, attachment = await two_mails(contents=contents)
    raw = Attachment(id=raw_mail_id("I2"), name="a", size=len(RAW), mimetype="message/rfc822")
    for wanted in (attachment, raw):
        assert await d.lifecycle.content(wanted.id)
        async with Unmoved(d, NotFound) as refused:
            await d.act("ann", LinkAttachment(attachment=wanted))
        refused.says(path="$.attachment.id", value=wanted.id, interaction_id="I1", agent_id="ann")


async def test_content_of_the_mail_itself_is_linked() -> None:
    """Its attachments and the raw mail, beside what was added under an id that looks alike."""
    d, attachment, _ = await two_mails()
    raw = Attachment(id=raw_mail_id("I1"), name="mail.eml", size=len(RAW), mimetype="a/b")
    await d.store.put("I9A1", b"nobody's", START)
    alike = Attachment(id="I9A1", name="a", size=8, mimetype="text/plain")
    await d.store.put("I2", b"nobody's", START)
    linked = (attachment, raw, alike, attrs.evolve(alike, id="I2"))
    after = await d.act("ann", *(LinkAttachment(attachment=one) for one in linked))
    assert after.draft is not None
    assert after.draft.attachments == linked
    await d.act("ann", Send())
    (outgoing,) = await d.lifecycle.outgoing()
    parts = list(message_from_bytes(outgoing.message, policy=policy.default).iter_attachments())
    assert [part.get_filename() for part in parts] == ["p.png", "mail.eml", "a", "a"]
    assert parts[0].get_content() == PHOTO


@pytest.mark.parametrize("data", ["text", None, 7, bytearray(b"x"), memoryview(b"x")], ids=repr)
async def test_content_is_bytes(data: Any) -> None:
    """What could change afterwards, or has no size in bytes, is refused and not kept."""
    contents = SeparateContents()
    with pytest.raises(InvalidParameter) as caught:
        await desk(contents=contents).lifecycle.add_content(data, name="a", mimetype="a/b")
    assert (caught.value.path, caught.value.value) == ("$.data", data)
    assert contents.kept == {}


@pytest.mark.parametrize(("name", "mimetype"), [("a\nb", "text/plain"), ("a", "text/\rplain")])
async def test_content_that_could_not_be_linked_is_refused(name: str, mimetype: str) -> None:
    """A line break in what would become a header; the bytes are not kept."""
    contents = SeparateContents()
    d = desk(contents=contents)
    with pytest.raises(InvalidParameter, match="line break"):
        await d.lifecycle.add_content(b"x", name=name, mimetype=mimetype)
    assert contents.kept == {}


# Refusals of the directory: each names what it misses, with all fields, and changes nothing


@pytest.mark.parametrize(
    ("command", "path", "value"),
    [
        (Transfer(agent_id="eve"), "$.agentId", "eve"),
        (Transfer(skill="latin"), "$.skill", "latin"),
        (PlaceInQueue(queue="nowhere"), "$.queue", "nowhere"),
        (PlaceInWorkbin(workbin="nobodys"), "$.workbin", "nobodys"),
    ],
)
async def test_what_does_not_exist_is_refused(command: Command, path: str, value: str) -> None:
    """Semantics 7: no such agent, skill, queue, workbin."""
    d = desk()
    await d.own()
    async with Unmoved(d, NotFound) as refused:
        await d.act("ann", command)
    refused.says(
        path=path,
        value=value,
        interaction_id="I1",
        state="Accepted",
        trigger=command.trigger,
        status_code=6,
    )
    assert "PlaceInWorkbin" in refused.error.capabilities
    assert refused.error.agent_id == ("eve" if value == "eve" else "ann")


async def test_a_reply_needs_a_queue_and_content_that_exist() -> None:
    """An unknown outbound queue, and an attachment that nobody added."""
    d = desk()
    await d.own()
    await d.act("ann", Reply(text="Soon."))
    async with Unmoved(d, NotFound) as refused:
        await d.act("ann", Send(queue="nowhere"))
    refused.says(path="$.queue", value="nowhere", trigger="Send", agent_id="ann")
    nothing = Attachment(id="NONE", name="a", size=1, mimetype="text/plain")
    async with Unmoved(d, NotFound) as refused:
        await d.act("ann", LinkAttachment(attachment=nothing))
    refused.says(path="$.attachment.id", value="NONE", state="ReplyCreated", agent_id="ann")
    assert (await d.act("ann", Send(queue="outbox"))).state == "Sent"


async def test_content_that_was_lost_stops_the_send() -> None:
    """A reply never leaves without an attachment that it lists."""
    contents = SeparateContents()
    d = desk(contents=contents)
    await d.own()
    attachment = await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    await d.act("ann", Reply(text="Here."), LinkAttachment(attachment=attachment))
    contents.kept.clear()
    async with Unmoved(d, NotFound) as refused:
        await d.act("ann", Send())
    refused.says(path="$.attachment.id", value=attachment.id, state="ReplyCreated")


async def test_a_workbin_is_pulled_from_by_its_agents() -> None:
    """Semantics 2: an agent of the workbin; others lack the role, the system too."""
    d = desk()
    await d.own()
    await d.act("ann", PlaceInWorkbin(workbin="late"))
    async with Unmoved(d, NotPermitted) as refused:
        await d.act("cat", Pull())
    refused.says(agent_id="cat", value="late", state="InWorkbin", trigger="Pull", status_code=5)
    async with Unmoved(d, NotPermitted) as refused:
        await d.system(Pull())
    refused.says(agent_id=None, state="InWorkbin", trigger="Pull")
    pulled = await d.act("bob", Pull())
    assert (pulled.state, pulled.agent_id) == ("Accepted", "bob")


async def test_the_engines_refusals_come_through() -> None:
    """Wrong state, wrong agent, an agent as the system: as `step` refuses them."""
    d = desk()
    await d.offer()
    async with Unmoved(d, NotValidInState) as refused:
        await d.act("ann", Send())
    refused.says(state="Invited", trigger="Send", capabilities=("Accept", "Reject"))
    async with Unmoved(d, NotPermitted) as refused:
        await d.act("bob", Accept())
    refused.says(state="Invited", agent_id="bob")
    async with Unmoved(d, NotPermitted) as refused:
        await d.act("ann", Revoke())
    refused.says(trigger="Revoke", agent_id="ann")


@pytest.mark.parametrize("command", [Invite(agent_id="ann"), Close(), Accept()])
async def test_an_interaction_that_is_not_there(command: Command) -> None:
    """Every request and question about it is refused the same way."""
    d = desk()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: d.lifecycle.perform("I1", command, agent_id=SYSTEM),
        lambda: d.lifecycle.invite("I1", "ann"),
        lambda: d.lifecycle.get("I1"),
        lambda: d.lifecycle.history("I1"),
    ]
    for call in calls:
        async with Unmoved(d, NotFound) as refused:
            await call()
        refused.says(interaction_id="I1", path="$.id", value="I1", status_code=6)


@pytest.mark.parametrize("id", ["", 7, None, b"I1", "\ud800"], ids=repr)
async def test_an_id_of_an_interaction_is_a_name(id: Any) -> None:
    """What is none is refused before any store sees it."""
    d = desk(BlindStore())
    for call in (
        lambda: d.lifecycle.get(id),
        lambda: d.lifecycle.history(id),
        lambda: d.lifecycle.perform(id, Accept(), agent_id="ann"),
        lambda: d.lifecycle.close(id),
    ):
        with pytest.raises(InvalidParameter) as caught:
            await call()
        assert (caught.value.path, caught.value.value) == ("$.id", id)


@pytest.mark.parametrize(
    "command", [Accept, None, "Accept", Impostor(), {"operationName": "Accept"}], ids=repr
)
@pytest.mark.parametrize("operation_id", [None, "op1"])
async def test_what_is_no_command_is_refused(command: Any, operation_id: str | None) -> None:
    """A class, a name, or something with the trigger of a command that it is not."""
    d = desk()
    await d.offer()
    async with Unmoved(d, InvalidParameter) as refused:
        await d.lifecycle.perform("I1", command, agent_id="ann", operation_id=operation_id)
    refused.says(path="$", value=command)


# Questions


async def test_what_agents_hold_and_workbins_have() -> None:
    """Oldest submission first, whoever accepted first."""
    d = desk()
    for seconds, id in enumerate(("I3", "I1", "I2")):
        d.clock.at = later(seconds)
        await d.submit(id)
    await d.lifecycle.ready("ann")
    for id in ("I2", "I1", "I3"):
        await d.lifecycle.invite(id, "ann")
    assert [one.id for one in await d.lifecycle.interactions_of("ann")] == ["I3", "I1", "I2"]
    for id in ("I2", "I3"):
        await d.act("ann", Accept(), PlaceInWorkbin(workbin="late"), id=id)
    assert [one.id for one in await d.lifecycle.interactions_of("ann")] == ["I1"]
    assert [one.id for one in await d.lifecycle.workbin("late")] == ["I3", "I2"]
    assert await d.lifecycle.workbin("other") == ()
    with pytest.raises(NotFound) as caught:
        await d.lifecycle.workbin("nobodys")
    assert (caught.value.path, caught.value.value) == ("$.workbin", "nobodys")


async def test_a_thread_is_found_by_mail_and_reply() -> None:
    """A later mail of the thread is a new interaction that names the thread (semantics 8)."""
    d = desk()
    await d.own()
    await d.act("ann", Reply(text="Soon."), Send())
    (outgoing,) = await d.lifecycle.outgoing()
    answer = mail(message_id="<m9@home.example>", references=(outgoing.message_id,))
    await d.submit("I2", email=answer)
    await d.submit("I3", email=mail(message_id=None, references=()))
    assert [one.id for one in await d.lifecycle.thread(outgoing.message_id)] == ["I1", "I2"]
    assert [one.id for one in await d.lifecycle.thread("<m1@home.example>")] == ["I1"]
    assert await d.lifecycle.thread("<nothing@home.example>") == ()


async def test_agents_are_known_to_the_directory_or_not() -> None:
    """One who never did anything is NotReady; one who does not exist is refused."""
    d = desk()
    agent = await d.lifecycle.agent("bob")
    assert (agent.ready, agent.load, agent.sequence, agent.version) == (False, 0, 0, 0)
    assert await d.lifecycle.agents() == ()
    await d.lifecycle.ready("bob")
    assert [one.id for one in await d.lifecycle.agents()] == ["bob"]
    for call in (d.lifecycle.agent, d.lifecycle.ready, d.lifecycle.not_ready):
        with pytest.raises(NotFound) as caught:
            await call("eve")
        assert (caught.value.agent_id, caught.value.value) == ("eve", "eve")
    assert [one.id for one in await d.lifecycle.agents()] == ["bob"]


async def test_content_that_is_not_there() -> None:
    """It is refused with its id."""
    with pytest.raises(NotFound) as caught:
        await desk().lifecycle.content("A1")
    assert (caught.value.path, caught.value.value) == ("$.id", "A1")


# Time


async def test_times_are_utc_whatever_the_clocks_zone() -> None:
    """Semantics 5: what is stored, sent and shown is UTC."""

    class Elsewhere:
        def now(self) -> datetime:
            return START.astimezone(timezone(timedelta(hours=5, minutes=30)))

    d = desk(clock=Elsewhere())
    await d.own()
    stored = await d.lifecycle.get("I1")
    assert stored.submission.received_at == "2026-03-02T09:00:00Z"
    assert stored.deadline is not None
    assert stored.deadline.tzinfo is UTC
    assert {one.at.tzinfo for one in await d.lifecycle.history("I1")} == {UTC}
    (first, _) = await d.lifecycle.deliveries("ann")
    assert b'"at":"2026-03-02T09:00:00Z"' in first.line()


# Races and cancellation (semantics 9)


async def race(*calls: Callable[[], Awaitable[Interaction]]) -> list[Interaction | LifecycleError]:
    """What came of calls that were made at the same time."""
    outcomes: list[Interaction | LifecycleError] = []

    async def run(call: Callable[[], Awaitable[Interaction]]) -> None:
        try:
            outcomes.append(await call())
        except LifecycleError as error:
            outcomes.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(run, call)
    return outcomes


async def test_two_accepts_have_one_winner() -> None:
    """Two sessions of an agent accept at once: one step, and the other reads the new state."""
    store = MeetingStore()
    d = desk(store)
    await d.offer()
    store.missing = 2
    outcomes = await race(lambda: d.act("ann", Accept()), lambda: d.act("ann", Accept()))
    (won,) = [one for one in outcomes if isinstance(one, Interaction)]
    (lost,) = [one for one in outcomes if not isinstance(one, Interaction)]
    assert type(lost) is NotValidInState
    assert (lost.state, lost.trigger, lost.agent_id) == ("Accepted", "Accept", "ann")
    assert store.conflicts == 1
    assert won == await d.lifecycle.get("I1")
    assert await d.log("ann") == [(1, "Invite", "I1"), (2, "Accept", "I1")]


async def test_one_interaction_is_invited_to_one_agent() -> None:
    """Two routers offer it at once: one agent has it, the other's counts are untouched."""
    store = MeetingStore()
    d = desk(store)
    await d.submit()
    for agent_id in ("ann", "bob"):
        await d.lifecycle.ready(agent_id)
    store.missing = 2
    outcomes = await race(
        lambda: d.lifecycle.invite("I1", "ann"), lambda: d.lifecycle.invite("I1", "bob")
    )
    (won,) = [one for one in outcomes if isinstance(one, Interaction)]
    (lost,) = [one for one in outcomes if not isinstance(one, Interaction)]
    assert isinstance(lost, NotValidInState)
    loads = {agent.id: agent.load for agent in await d.lifecycle.agents()}
    assert loads == {"ann": 0, "bob": 0} | {won.agent_id: 1}
    assert won.offer == 1


async def test_the_last_place_is_taken_once() -> None:
    """Semantics 6: capacity is checked and changed in the same commit as the step."""
    store = MeetingStore()
    d = desk(store)
    for id in ("I1", "I2"):
        await d.submit(id)
    await d.lifecycle.ready("bob")
    store.missing = 2
    outcomes = await race(
        lambda: d.lifecycle.invite("I1", "bob"), lambda: d.lifecycle.invite("I2", "bob")
    )
    (won,) = [one for one in outcomes if isinstance(one, Interaction)]
    (lost,) = [one for one in outcomes if not isinstance(one, Interaction)]
    assert isinstance(lost, AgentAtCapacity)
    assert [one.id for one in await d.lifecycle.interactions_of("bob")] == [won.id]
    assert (await d.lifecycle.agent("bob")).load == 1


async def test_who_was_slower_reads_again() -> None:
    """A conflict is nobody's business but the service's: the request is done anew."""
    store = ConflictingStore()
    d = desk(store)
    await d.offer()
    store.conflicts, store.asked = 5, 0
    assert (await d.act("ann", Accept())).version == 2
    assert store.asked == 6
    assert len(await d.log("ann")) == 2
    assert [one.interactions[0].version for one in d.told if one.interactions] == [0, 1, 2]


async def test_the_last_try_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed at last is done, and not a race that was lost."""
    monkeypatch.setattr("lifecycle._committer._TRIES", 3)
    store = ConflictingStore()
    d = desk(store)
    await d.offer()
    store.conflicts = 3  # with what is known here, and twice with what is stored
    assert (await d.act("ann", Accept())).version == 2


async def test_a_race_that_never_ends_is_given_up() -> None:
    """Semantics 7: `RaceLost` is of the kind that is answered with 2, and nothing changed."""
    store = ConflictingStore()
    d = desk(store)
    await d.offer()
    store.conflicts = 10_000
    async with Unmoved(d, RaceLost) as refused:
        await d.act("ann", Accept())
    refused.says(status_code=2, http_status=409)
    assert store.conflicts < 10_000


Act = Callable[[Desk], Awaitable[object]]


async def _prepared(store: CancellingStore) -> Desk:
    """I1 is a reply of Ann with an attachment, and I2 is offered to her."""
    d = desk(store)
    await d.own()
    await d.act("ann", Reply(text="Here."))
    attachment = await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    await d.act("ann", LinkAttachment(attachment=attachment))
    await d.offer("ann", "I2")
    return desk(store)  # one that has to read everything


async def _timer(d: Desk) -> None:
    d.clock.advance(31)
    await d.lifecycle.fire_due()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda d: d.act("ann", Send()), id="Send"),
        pytest.param(lambda d: d.act("ann", Accept(), id="I2"), id="Accept"),
        pytest.param(lambda d: d.lifecycle.not_ready("ann"), id="NotReady"),
        pytest.param(lambda d: d.lifecycle.submit(RAW, queue="sales", id="I3"), id="submit"),
        pytest.param(_timer, id="timer"),
        pytest.param(
            lambda d: d.lifecycle.perform("I1", Cancel(), agent_id="ann", operation_id="op1"),
            id="Cancel with an operation id",
        ),
    ],
)
async def test_a_cancelled_call_leaves_nothing_or_the_whole_step(act: Act) -> None:
    """At every point at which a call waits for the store, and the observer knows which.

    A timer that was taken and not fired is there again when the lease of the taker has ended.
    """

    async def photograph(store: Store) -> dict[str, Any]:
        return {**await photo(store), "deadline": None}

    d = await _prepared(CancellingStore())
    await act(d)
    whole = await photograph(d.store)
    seen = []
    for target in range(1, 100):
        store = CancellingStore()
        d = await _prepared(store)
        nothing, told = await photograph(store), len(d.told)
        with anyio.CancelScope() as scope:
            store.target, store.scope = target, scope
            await act(d)
        store.scope = None
        if store.points < target:
            break
        after = await photograph(store)
        assert after in (nothing, whole)
        assert len(d.told) - told == int(after == whole)
        seen.append(after == whole)
        if act is _timer:
            d.clock.advance(5)
            assert await d.lifecycle.fire_due() == int(after == nothing)
            assert [one.state for one in await d.lifecycle.interactions_of("ann")] == [
                "ReplyCreated"
            ]
    # nothing before the store has committed, and all from then on
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (False, True)


async def test_a_cancelled_submission_keeps_no_content() -> None:
    """The content of a mail is committed with its interaction, or not at all."""
    kept = []
    for target in range(1, 4):
        store = CancellingStore()
        d = desk(store)
        with anyio.CancelScope() as scope:
            store.target, store.scope = target, scope
            await d.lifecycle.submit(RAW, queue="sales", id="I1")
        store.scope = None
        content = await store.content(raw_mail_id("I1"))
        assert (content == RAW) == (await store.interaction("I1") is not None)
        kept.append(content is not None)
    assert kept == [False, False, True]


# Observers


async def test_an_observer_is_told_of_every_commit_in_order() -> None:
    """What changed, when, and what waits now; once each."""
    d = desk()
    await d.submit()
    d.clock.advance(1)
    await d.lifecycle.ready("ann")
    await d.lifecycle.invite("I1", "ann")
    await d.act("ann", Reject())
    told = [
        (
            one.at,
            [(value.id, value.version, value.state) for value in one.interactions],
            [(agent.id, agent.version) for agent in one.agents],
            set(one.waiting),
        )
        for one in d.told
    ]
    assert told == [
        (START, [("I1", 0, "Queued")], [], {"I1"}),
        (later(1), [], [("ann", 1)], set()),
        (later(1), [("I1", 1, "Invited")], [("ann", 2)], set()),
        (later(1), [("I1", 2, "Rejected")], [("ann", 3)], {"I1"}),
    ]


async def test_an_observer_reads_what_it_is_told_of() -> None:
    """When it is called the commit is done: the store has the new value already."""
    store = MemoryStore()
    seen: list[bool] = []

    def observer(committed: Committed) -> None:
        for value in committed.interactions:
            seen.append(store._interactions[value.id] is value)

    d = desk(store, observer=observer)
    await d.own()
    assert seen == [True, True, True]


async def test_a_refusal_is_not_told() -> None:
    """Nor is one that is kept under its operation id."""
    d = desk()
    await d.offer()
    told = len(d.told)
    with pytest.raises(NotPermitted):
        await d.lifecycle.perform("I1", Accept(), agent_id="bob", operation_id="op1")
    assert len(d.told) == told


async def test_an_observer_that_raises_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and the step stands."""

    def observer(committed: Committed) -> None:
        raise ZeroDivisionError("the router is broken")

    d = desk(observer=observer)
    with caplog.at_level(logging.ERROR):
        made = await d.submit()
    assert await d.lifecycle.get("I1") == made
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("lifecycle.service", "the observer failed")
    assert record.exc_info is not None
    assert "the router is broken" in str(record.exc_info[1])


async def test_there_need_not_be_an_observer() -> None:
    """Without one, nobody is told."""
    d = desk(observer=None)
    assert (await d.own()).state == "Accepted"
    assert d.told == []


# The context


@pytest.mark.parametrize("background", [False, True])
async def test_what_the_body_raises_comes_out_as_it_is(background: bool) -> None:
    """A refusal in the body of the context is that refusal, in no group."""
    d = desk(background=background)

    async def body() -> None:
        async with d.lifecycle as lifecycle:
            assert lifecycle is d.lifecycle
            await lifecycle.get("I1")

    with pytest.raises(NotFound):
        await body()


@pytest.mark.parametrize("question", ["next_deadline", "claim", "next_delivery", "next_mail"])
async def test_what_a_driver_raises_in_the_background_ends_nothing(
    question: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the body of the context goes on, and comes to its own end."""
    store = FailingStore(question, ZeroDivisionError("the driver is broken"), times=1_000_000)
    d = desk(store, background=True)
    with caplog.at_level(logging.ERROR), anyio.fail_after(5):
        async with d.lifecycle:
            await store.failed.wait()
            await d.own()
            await anyio.wait_all_tasks_blocked()
    assert await d.state() == "Accepted"
    assert caplog.records
    for record in caplog.records:
        assert (record.name, record.levelname) == ("lifecycle.service", "ERROR")
        assert "the driver is broken" in str(record.exc_info)


class Stop(BaseException):
    """What is no failure of a port, but an order to the whole process."""


async def test_what_is_no_exception_ends_the_context() -> None:
    """As KeyboardInterrupt does: it is not swallowed, and comes out of the context."""
    store = FailingStore("next_deadline", Stop("now"))
    with pytest.raises(BaseExceptionGroup) as caught, anyio.fail_after(5):
        async with desk(store, background=True).lifecycle:
            await anyio.sleep_forever()
    assert [type(error) for error in caught.value.exceptions] == [Stop]


async def test_a_context_can_be_left_by_cancelling() -> None:
    """A host that is stopped stops it, and it can be opened again."""
    d = desk(background=True)
    for _ in range(2):
        with anyio.fail_after(5), anyio.CancelScope() as scope:
            async with d.lifecycle:
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught


async def test_the_default_directory_knows_everybody() -> None:
    """Without a directory, any agent, queue, workbin and skill goes, with capacity 1."""
    d = desk(directory=None)
    await d.submit(queue="anything")
    await d.lifecycle.ready("anybody")
    await d.lifecycle.invite("I1", "anybody")
    await d.submit("I2", queue="anything")
    with pytest.raises(AgentAtCapacity):
        await d.lifecycle.invite("I2", "anybody")
    await d.act("anybody", Accept(), PlaceInWorkbin(workbin="any"))
    assert (await d.act("somebody", Pull())).agent_id == "somebody"


async def test_a_reply_without_a_draft_cannot_be_made() -> None:
    """An internal error, and no message without content."""
    d = desk()
    queued = await d.submit()
    with pytest.raises(InternalError, match="no draft") as caught:
        outgoing_mail(queued, at=START, contents={})
    assert caught.value.interaction_id == "I1"
