"""Retention, and a person's data: what is forgotten, when, and that nothing of it is left."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
import orjson
import page_checker
import pytest
from builders import MAIL, mail
from clocks import later
from desks import Desk, FailingStore, SeparateContents, Unmoved, desk

from lifecycle import (
    Accept,
    Cancel,
    Close,
    Entry,
    LinkAttachment,
    MailAnswer,
    MemoryStore,
    Outgoing,
    Reject,
    Reply,
    ReplyAll,
    Send,
    Settings,
    StopProcessing,
    UpdateProperties,
)
from lifecycle._housekeeping import scrubbed
from lifecycle._requests import raw_mail_id
from lifecycle.errors import Forbidden, InvalidParameter, NotFound, NotValidInState

pytestmark = pytest.mark.anyio

DAY = 86_400


def kept(**days: float | None) -> Settings:
    """Settings that forget nothing but what is named, after so many days."""
    names = ("deliveries_kept", "outcomes_kept", "finished_kept")
    times = {name: days.get(name) for name in names}
    return Settings(
        **{name: None if value is None else timedelta(days=value) for name, value in times.items()},  # type: ignore[arg-type]  # all of the three are optional durations
        presence_timeout=None,
        missed_offers=None,
    )


async def completed(d: Desk, id: str = "I1", **changes: Any) -> None:
    """A mail that Ann has stopped to process, and everything about it has been delivered."""
    await d.own("ann", id, **changes)
    await d.act("ann", StopProcessing(), id=id)
    await d.lifecycle.drain()


# Retention


async def test_delivered_deliveries_are_forgotten() -> None:
    """The first ones of each log, by their age; those that the sink does not have are kept."""
    d = desk(settings=kept(deliveries_kept=7))
    await completed(d, "I1")
    d.clock.advance(DAY)
    await d.own("bob", "I2")
    await completed(d, "I3")
    d.clock.at = later(7 * DAY)
    assert await d.lifecycle.prune() == 0
    d.clock.advance(0.000001)
    assert await d.lifecycle.prune() == 3
    assert [sequence for sequence, _, _ in await d.log("ann")] == [4, 5, 6]
    assert len(await d.log("bob")) == 2  # delivered, but not yet old
    d.clock.advance(DAY)
    assert await d.lifecycle.prune() == 5
    assert (await d.log("ann"), await d.log("bob")) == ([], [])
    assert await d.state("I1") == "Completed"
    await d.own("ann", "I4")
    await d.lifecycle.drain()
    assert [one.sequence for one in d.sink.deliveries[-2:]] == [7, 8]


async def test_what_the_sink_does_not_have_is_never_forgotten() -> None:
    """Semantics 9: at least once, however long it takes."""
    d = desk(settings=kept(deliveries_kept=7), sink=None)
    await d.own()
    d.clock.advance(1000 * DAY)
    assert await d.lifecycle.prune() == 0
    assert [sequence for sequence, _, _ in await d.log("ann")] == [1, 2]


async def test_outcomes_are_forgotten() -> None:
    """Within the retention the first outcome is given; after it the request is a new one."""
    d = desk(settings=kept(outcomes_kept=2))
    await d.offer()
    await d.lifecycle.perform("I1", Accept(), agent_id="ann", operation_id="op1")
    d.clock.advance(2 * DAY)
    called = UpdateProperties(comment="called")
    await d.lifecycle.perform("I1", called, agent_id="ann", operation_id="op2")
    assert await d.lifecycle.prune() == 0
    again = await d.lifecycle.perform("I1", Accept(), agent_id="ann", operation_id="op1")
    assert again.version == 2
    d.clock.advance(0.000001)
    assert await d.lifecycle.prune() == 1
    with pytest.raises(NotValidInState):
        await d.lifecycle.perform("I1", Accept(), agent_id="ann", operation_id="op1")


async def test_finished_interactions_are_forgotten() -> None:
    """With history, contents and outcomes; by the time at which they ended."""
    d = desk(settings=kept(finished_kept=90))
    await d.submit("I1", email=RAW, operation_id="op1")
    await d.submit("I2", email=RAW)
    d.clock.advance(DAY)
    await d.lifecycle.close("I1", operation_id="op2")
    d.clock.at = later(91 * DAY)
    assert await d.lifecycle.prune() == 0
    assert await d.lifecycle.content(raw_mail_id("I1")) == RAW
    d.clock.advance(0.000001)
    assert await d.lifecycle.prune() == 1
    for question in (d.lifecycle.get, d.lifecycle.history):
        with pytest.raises(NotFound):
            await question("I1")
    with pytest.raises(NotFound):
        await d.lifecycle.content(raw_mail_id("I1"))
    assert await d.lifecycle.of_person("zoe@home.example") == ("I2",)
    assert await d.lifecycle.content(raw_mail_id("I2")) == RAW
    d.clock.advance(1000 * DAY)
    assert await d.lifecycle.prune() == 0  # nothing else has ended
    assert (await d.submit("I1", operation_id="op1")).version == 0  # a new one, by a new request


async def test_what_has_not_left_is_not_forgotten() -> None:
    """The reply of an interaction that ended is on its way still."""
    d = desk(settings=kept(finished_kept=1), mailer=None)
    await d.own()
    await d.act("ann", Reply(text="Soon."), Send())
    d.clock.advance(10 * DAY)
    assert await d.lifecycle.prune() == 0
    (outgoing,) = await d.lifecycle.outgoing()
    await d.lifecycle.drop_mail(outgoing.message_id)
    assert await d.lifecycle.prune() == 1


async def test_content_that_nobody_links_is_forgotten() -> None:
    """By the time at which it came; what is linked goes with its interaction alone."""
    d = desk(settings=kept(finished_kept=90))
    await d.own()
    await d.act("ann", Reply(text="Here."))
    loose, linked = [
        await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain") for _ in range(2)
    ]
    await d.act("ann", LinkAttachment(attachment=linked))
    d.clock.advance(90 * DAY)
    assert await d.lifecycle.prune() == 0
    d.clock.advance(0.000001)
    assert await d.lifecycle.prune() == 1
    with pytest.raises(NotFound):
        await d.lifecycle.content(loose.id)
    assert await d.lifecycle.content(linked.id) == b"x"


async def test_content_that_is_kept_elsewhere_goes_too() -> None:
    """With its interaction: the raw mail, the files of the mail, and those of the reply."""
    contents = SeparateContents()
    d = desk(settings=kept(finished_kept=90), contents=contents)
    await d.own(email=RAW)
    await d.act("ann", Reply(text="Here."))
    attachment = await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    await d.act("ann", LinkAttachment(attachment=attachment), Send())
    await d.lifecycle.drain()
    await d.submit("I2", email=RAW)
    before = set(contents.kept)
    d.clock.advance(91 * DAY)
    assert await d.lifecycle.prune() == 1
    gone = {raw_mail_id("I1"), "I1A1", attachment.id}
    assert gone < before
    assert set(contents.kept) == before - gone


async def test_what_another_process_forgot_meanwhile_is_no_matter() -> None:
    """Of contents apart too: the others go."""

    class Late(MemoryStore):
        """Finds what was there before."""

        async def finished(self, before: datetime, limit: int) -> tuple[str, ...]:
            found = await super().finished(before, limit)
            await self.remove(["I1"])
            return found

    contents = SeparateContents()
    d = desk(Late(), settings=kept(finished_kept=1), contents=contents)
    for id in ("I1", "I2"):
        await completed(d, id, email=RAW)
    d.clock.advance(2 * DAY)
    assert await d.lifecycle.prune() == 2
    assert sorted(contents.kept) == ["I1A1", raw_mail_id("I1")]  # the other one's to delete


@pytest.mark.parametrize("longest", [None, timedelta.max])
async def test_with_none_nothing_is_forgotten(longest: timedelta | None) -> None:
    """Nor with a time that reaches back before all times."""
    settings = Settings(deliveries_kept=longest, outcomes_kept=longest, finished_kept=longest)
    d = desk(settings=settings)
    await completed(d, operation_id="op1")
    await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    d.clock.advance(100_000 * DAY)
    assert await d.lifecycle.prune() == 0


async def test_batches_are_small() -> None:
    """No more of a kind than `Settings.batch` at a time, and others come in between."""

    class Counting(MemoryStore):
        """Counts what is removed at a time."""

        def __init__(self) -> None:
            super().__init__()
            self.removed: list[int] = []
            self.limits: set[int] = set()

        async def prune(self, **what: Any) -> int:
            self.limits.add(what["limit"])
            return await super().prune(**what)

        async def remove(self, ids: Any) -> None:
            self.removed.append(len(ids))
            seen.append(between)
            await super().remove(ids)

    between = 0
    seen: list[int] = []
    store = Counting()
    d = desk(store, settings=Settings(batch=2, missed_offers=None))
    for number in range(5):
        await d.submit(f"I{number}")
        await d.lifecycle.close(f"I{number}")
    d.clock.advance(91 * DAY)

    async def others() -> None:
        nonlocal between
        while not pruned:
            between += 1
            await anyio.lowlevel.checkpoint()

    pruned: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        await anyio.lowlevel.checkpoint()
        pruned.append(await d.lifecycle.prune())
    assert pruned == [5]
    assert (store.removed, store.limits) == ([2, 2, 1], {2})
    assert seen[0] < seen[-1]


async def test_what_is_old_is_forgotten_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background; a store that fails for a while is asked again."""
    monkeypatch.setattr("lifecycle._background._PRUNING", 0.005)
    monkeypatch.setattr("lifecycle._background._GLANCE", 0.005)
    store = FailingStore("prune", OSError("no connection"))
    d = desk(store, settings=kept(finished_kept=1), background=True)
    await d.submit()
    await d.lifecycle.close("I1")
    with anyio.fail_after(5):
        async with d.lifecycle:
            await store.failed.wait()
            d.clock.advance(2 * DAY)
            while await store.interaction("I1"):
                await anyio.sleep(0.001)


# What there is of a person

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


@pytest.mark.parametrize("contents", [None, SeparateContents], ids=["in the store", "apart"])
async def test_all_of_a_person_is_exported(
    contents: Callable[[], SeparateContents] | None,
) -> None:
    """Every interaction, finished or not, oldest first, with history and contents."""
    d = desk(contents=None if contents is None else contents())
    await d.own("ann", "I2", email=RAW)
    await d.act("ann", Reply(text="Here."), id="I2")
    attachment = await d.lifecycle.add_content(b"x", name="a", mimetype="text/plain")
    await d.act("ann", LinkAttachment(attachment=attachment), id="I2")
    await completed(d, "I1", email=mail(from_address="ZOE@Home.Example"))
    await d.submit("I3", email=mail(from_address="max@home.example"))
    first, second = await d.lifecycle.export_person("Zoe X. <zoe@HOME.example>")
    assert first.interaction == await d.lifecycle.get("I2")
    assert first.history == await d.lifecycle.history("I2")
    assert first.contents == {raw_mail_id("I2"): RAW, "I2A1": b"\x89PNG", attachment.id: b"x"}
    assert second.interaction == await d.lifecycle.get("I1")
    assert second.contents == {}  # it came without its bytes
    assert await d.lifecycle.of_person("zoe@home.example") == ("I2", "I1")


async def test_who_wants_the_answers_elsewhere_is_the_same_person() -> None:
    """A mail is found under its Reply-To too; nobody is found under another's address."""
    d = desk()
    await d.submit(email=mail(from_address="a@x.example", reply_to="Zoe <zoe@home.example>"))
    for address in ("a@x.example", "ZOE@home.example"):
        assert [one.interaction.id for one in await d.lifecycle.export_person(address)] == ["I1"]
    for address in ("zoe@x.example", "oe@home.example", "max@home.example"):
        assert await d.lifecycle.export_person(address) == ()


@pytest.mark.parametrize(
    "address",
    ["", "zoe", "zoe@a.example, max@b.example", "Zoe", "<>", "zoe@a.example\0", None, 7, b"z@a.b"],
    ids=repr,
)
@pytest.mark.parametrize("call", ["export_person", "of_person"])
async def test_a_person_is_one_address(call: str, address: Any) -> None:
    """What is none, or several, is refused."""
    d = desk()
    with pytest.raises(InvalidParameter) as caught:
        await getattr(d.lifecycle, call)(address)
    assert (caught.value.path, caught.value.value) == ("$.address", address)


async def test_what_is_forgotten_while_it_is_exported_is_left_out() -> None:
    """Retention does not wait for anybody."""

    class Late(MemoryStore):
        """Finds what was there before."""

        async def of_person(self, address: str) -> tuple[str, ...]:
            found = await super().of_person(address)
            await self.remove(["I1"])
            return found

    d = desk(Late())
    await d.submit("I1")
    await d.submit("I2")
    (dossier,) = await d.lifecycle.export_person("zoe@home.example")
    assert dossier.interaction.id == "I2"


# Erasure

PLACES = (
    *("name", "local", "cc", "subject", "text", "html", "file", "bytes", "mail", "thread"),
    *("key", "value", "contact", "comment", "reason"),
    *("draft", "resubject", "linked", "refused"),
)
MARKS = {name: f"Zq{number}{name}qZ" for number, name in enumerate(PLACES)}
"""A word for every place in which a person's data may stand."""
PRIVATE = (
    f"From: {MARKS['name']} <{MARKS['local']}@home.example>\r\n"
    f"To: help@shop.example\r\nCc: {MARKS['cc']}@work.example\r\nSubject: {MARKS['subject']}\r\n"
    f"Message-ID: <{MARKS['mail']}@home.example>\r\n"
    f"References: <{MARKS['thread']}@home.example>\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="cut"\r\n\r\n'
    f"--cut\r\nContent-Type: text/plain\r\n\r\n{MARKS['text']}\r\n"
    f"--cut\r\nContent-Type: text/html\r\n\r\n<p>{MARKS['html']}</p>\r\n"
    "--cut\r\nContent-Type: text/csv\r\n"
    f'Content-Disposition: attachment; filename="{MARKS["file"]}.csv"\r\n\r\n'
    f"{MARKS['bytes']}\r\n--cut--\r\n"
).encode()
SUBMITTED: dict[str, Any] = {
    "queue": "sales",
    "id": "I1",
    "user_data": {MARKS["key"]: [MARKS["value"]]},
    "our_addresses": ["help@shop.example"],
    "contact_id": MARKS["contact"],
    "operation_id": "op-submit",
}


def found(*where: object) -> set[str]:
    """The marks that stand anywhere in what is given."""
    whole = b"".join(pickle.dumps(one) for one in where)
    return {name for name, mark in MARKS.items() if mark.encode() in whole}


async def a_life(d: Desk) -> None:
    """I1 is rejected, answered with an attachment and sent, with refusals on the way."""
    await d.lifecycle.submit(PRIVATE, **SUBMITTED)
    await d.lifecycle.ready("ann")
    await d.lifecycle.invite("I1", "ann", operation_id="op-invite")
    await d.lifecycle.perform(
        "I1", Reject(reason=MARKS["reason"]), agent_id="ann", operation_id="op-reject"
    )
    await d.lifecycle.invite("I1", "ann")
    await d.act("ann", Accept(), UpdateProperties(comment=MARKS["comment"]), ReplyAll(text="a"))
    file = await d.lifecycle.add_content(b"x", name=f"{MARKS['linked']}.txt", mimetype="a/b")
    await d.act("ann", LinkAttachment(attachment=file))
    edited = UpdateProperties(text=MARKS["draft"], subject=MARKS["resubject"])
    await d.lifecycle.perform("I1", edited, agent_id="ann", operation_id="op-edit")
    with pytest.raises(NotFound):
        await d.lifecycle.perform(
            "I1", Send(queue=MARKS["refused"]), agent_id="ann", operation_id="op-refused"
        )
    await d.lifecycle.perform("I1", Send(), agent_id="ann", operation_id="op-send")


def apart(d: Desk) -> dict[str, bytes]:
    """The contents that are not in the store."""
    contents = d.lifecycle._contents
    return contents.kept if isinstance(contents, SeparateContents) else {}


@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("contents", [None, SeparateContents], ids=["in the store", "apart"])
async def test_nothing_is_left_of_what_was_erased(
    contents: Callable[[], SeparateContents] | None, delivered: bool
) -> None:
    """Wherever it stood: values, contents, outcomes, refusals, deliveries, indexes."""
    changes: dict[str, Any] = {} if delivered else {"sink": None}
    d = desk(contents=None if contents is None else contents(), **changes)
    await a_life(d)
    await d.lifecycle.drain()
    assert found(vars(d.store), apart(d)) == set(MARKS)
    await d.lifecycle.erase("I1")
    assert found(vars(d.store), apart(d)) == set()
    assert apart(d) == {}
    for name in ("local", "cc"):
        assert await d.lifecycle.of_person(f"{MARKS[name]}@home.example") == ()
    for name in ("mail", "thread"):
        assert await d.lifecycle.thread(f"<{MARKS[name]}@home.example>") == ()
    with pytest.raises(NotFound):
        await d.lifecycle.content(raw_mail_id("I1"))


async def test_the_history_keeps_the_facts() -> None:
    """Who did what and when, and now that the content was erased, by nobody in particular."""
    d = desk()
    await a_life(d)
    await d.lifecycle.drain()
    before, value = await d.lifecycle.history("I1"), await d.lifecycle.get("I1")
    d.clock.advance(5)
    left = await d.lifecycle.erase("I1")
    assert await d.lifecycle.history("I1") == (
        *before,
        Entry(
            interaction_id="I1",
            version=value.version + 1,
            at=later(5),
            actor=None,
            trigger="Erase",
            source="Sent",
            dest="Sent",
            offer=2,
            agent_id=None,
        ),
    )
    assert left == await d.lifecycle.get("I1")
    assert (left.id, left.version, left.state) == ("I1", value.version + 1, "Sent")
    assert (left.queue, left.offer, left.drafts) == ("sales", 2, 1)
    assert left.submission.received_at == value.submission.received_at
    assert left.submission.our_addresses == ("help@shop.example",)
    assert d.told[-1].interactions == (left,)
    assert d.told[-1].waiting == frozenset()
    assert await d.lifecycle.waiting() == await d.lifecycle.interactions_of("ann") == ()


async def test_deliveries_keep_their_numbers_and_keys() -> None:
    """A client that replays them sees the same steps, as the page has them, without content."""
    d = desk()
    await a_life(d)
    await d.own("ann", "I2", email=MAIL)
    before = await d.lifecycle.deliveries("ann")
    await d.lifecycle.drain()
    await d.lifecycle.erase("I1")
    after = await d.lifecycle.deliveries("ann")
    assert len(after) == len(before) == 11
    assert page_checker.check_lines([one.line() for one in after]) == []
    for old, new in zip(before, after, strict=True):
        if old.interaction_id == "I2":
            assert new == old
            continue
        assert shape(orjson.loads(old.payload)) == shape(orjson.loads(new.payload))
        for field in ("agent_id", "topic", "sequence", "offer", "trigger", "at"):
            assert getattr(new, field) == getattr(old, field)
        kept = ("id", "state", "capabilities", "messageTypeName")
        one, other = orjson.loads(old.payload), orjson.loads(new.payload)
        assert {key: one[key] for key in kept} == {key: other[key] for key in kept}


def shape(notification: dict[str, Any]) -> list[Any]:
    """The keys of a notification and of its mail, in their order."""
    return [*notification, *notification["email_object"]]


def test_whatever_a_notification_is_it_is_scrubbed() -> None:
    """Also a team's own: kinds of values stay, what they say goes; user data wholly."""
    own = {
        "id": "I1",
        "note": "a",
        "score": 0.5,
        "count": 7,
        "urgent": True,
        "nothing": None,
        "people": [{"name": "Zoe"}],
        "deep": {"state": "Mine", "name": "Zoe", "userData": {"Zoe": 1}},
    }
    assert orjson.loads(scrubbed(orjson.dumps(own))) == {
        "id": "I1",
        "note": "",
        "score": 0.0,
        "count": 0,
        "urgent": False,
        "nothing": None,
        "people": [],
        "deep": {"state": "Mine", "name": "", "userData": {}},
    }
    assert scrubbed(b'["Zoe"]') == b"[]"


async def test_deliveries_that_are_forgotten_stay_so() -> None:
    """What retention took before is not brought back; steps that told nobody have none."""
    d = desk(settings=kept(deliveries_kept=1))
    await a_life(d)
    await d.lifecycle.drain()
    d.clock.advance(2 * DAY)
    assert await d.lifecycle.prune() == 9
    await d.own("ann", "I2")
    before = await d.lifecycle.deliveries("ann")
    await d.lifecycle.erase("I1")
    assert await d.lifecycle.deliveries("ann") == before
    assert [one.interaction_id for one in before] == ["I2", "I2"]


async def test_a_repeated_request_gives_what_is_left() -> None:
    """Semantics 9: the outcome of the operation id, without what was erased; a refusal too."""
    d = desk()
    await a_life(d)
    await d.lifecycle.drain()
    left = await d.lifecycle.erase("I1")
    told = len(d.told)
    assert await d.lifecycle.submit(PRIVATE, **SUBMITTED) == left
    rejected = Reject(reason=MARKS["reason"])
    assert (
        await d.lifecycle.perform("I1", rejected, agent_id="ann", operation_id="op-reject") == left
    )
    with pytest.raises(NotFound) as caught:
        await d.lifecycle.perform(
            "I1", Send(queue=MARKS["refused"]), agent_id="ann", operation_id="op-refused"
        )
    assert (caught.value.interaction_id, caught.value.state) == ("I1", "ReplyCreated")
    assert (caught.value.path, caught.value.value) == ("$.queue", None)
    assert len(d.told) == told
    assert found(vars(d.store)) == set()


async def test_others_keep_what_is_theirs() -> None:
    """Another person's interaction with the same agent, in the same thread, with outcomes."""
    d = desk()
    other = mail(references=(f"<{MARKS['mail']}@home.example>",))
    await d.submit("I2", email=other, operation_id="op-other")
    await a_life(d)
    await d.lifecycle.submit(RAW, queue="sales", id="I3")
    await d.lifecycle.drain()
    before = [await d.lifecycle.get(id) for id in ("I2", "I3")]
    await d.lifecycle.erase("I1")
    assert [await d.lifecycle.get(id) for id in ("I2", "I3")] == before
    assert await d.lifecycle.content(raw_mail_id("I3")) == RAW
    assert await d.lifecycle.content("I3A1") == b"\x89PNG"
    assert await d.submit("I2", email=other, operation_id="op-other") == before[0]
    assert await d.lifecycle.thread(f"<{MARKS['mail']}@home.example>") == (before[0],)
    assert await d.lifecycle.of_person("zoe@home.example") == ("I2", "I3")


async def test_a_draft_that_was_discarded_is_gone_with_its_files() -> None:
    """What was linked stays the interaction's, also where the reply was not sent."""
    d = desk()
    await d.own("ann", "I1")
    await d.act("ann", Reply(text="a"))
    file = await d.lifecycle.add_content(b"x", name="a", mimetype="a/b")
    await d.act("ann", LinkAttachment(attachment=file), Cancel(), StopProcessing())
    assert await d.lifecycle.content(file.id) == b"x"
    await d.lifecycle.erase("I1")
    with pytest.raises(NotFound):
        await d.lifecycle.content(file.id)


async def test_to_erase_again_changes_nothing_but_the_history() -> None:
    """There is nothing more to erase; that somebody asked for it is a fact."""
    d = desk()
    await a_life(d)
    await d.lifecycle.drain()
    first = await d.lifecycle.erase("I1")
    deliveries = await d.lifecycle.deliveries("ann")
    second = await d.lifecycle.erase("I1")
    assert second.version == first.version + 1
    assert (second.submission, second.state) == (first.submission, first.state)
    assert await d.lifecycle.deliveries("ann") == deliveries
    triggers = [entry.trigger for entry in await d.lifecycle.history("I1")]
    assert triggers[-3:] == ["Send", "Erase", "Erase"]
    assert await d.lifecycle.submit(PRIVATE, **SUBMITTED) == second


UNFINISHED: dict[str, Callable[[Desk], Awaitable[object]]] = {
    "Queued": lambda d: d.submit(email=RAW),
    "Invited": lambda d: d.offer(email=RAW),
    "Accepted": lambda d: d.own(email=RAW),
}


@pytest.mark.parametrize("contents", [None, SeparateContents], ids=["in the store", "apart"])
@pytest.mark.parametrize("state", UNFINISHED)
async def test_what_has_not_ended_is_not_erased(
    state: str, contents: Callable[[], SeparateContents] | None
) -> None:
    """It is refused, and everything is as it was; the contents too."""
    d = desk(contents=None if contents is None else contents())
    await UNFINISHED[state](d)
    async with Unmoved(d, Forbidden) as refused:
        await d.lifecycle.erase("I1")
    refused.says(interaction_id="I1", state=state, status_code=3)
    assert await d.lifecycle.content(raw_mail_id("I1")) == RAW


@pytest.mark.parametrize("parked", [False, True])
async def test_what_has_not_left_is_not_erased(parked: bool) -> None:
    """A reply that waits, or is parked; when it has left or was dropped, it is erased."""

    class Refusing:
        """A mailer that refuses the first."""

        answers = (MailAnswer.REFUSED,)

        async def send(self, mail: Outgoing) -> MailAnswer:
            return self.answers[0]

    d = desk(mailer=Refusing())
    await a_life(d)
    if parked:
        await d.lifecycle.drain()
        assert len(await d.lifecycle.outgoing(parked=True)) == 1
    async with Unmoved(d, Forbidden) as refused:
        await d.lifecycle.erase("I1")
    refused.says(interaction_id="I1", state="Sent", status_code=3)
    assert await d.lifecycle.content(raw_mail_id("I1")) == PRIVATE
    (outgoing,) = await d.lifecycle.outgoing()
    await d.lifecycle.drop_mail(outgoing.message_id)
    await d.lifecycle.erase("I1")
    assert found(vars(d.store)) == set()


async def test_what_is_not_there_is_not_erased() -> None:
    """Nor is what retention has taken."""
    d = desk(settings=kept(finished_kept=1))
    await d.submit()
    await d.lifecycle.close("I1")
    async with Unmoved(d, NotFound) as refused:
        await d.lifecycle.erase("I2")
    refused.says(interaction_id="I2", path="$.id", status_code=6)
    d.clock.advance(2 * DAY)
    await d.lifecycle.prune()
    with pytest.raises(NotFound):
        await d.lifecycle.erase("I1")


async def test_a_reason_that_names_a_person_is_erased() -> None:
    """Reasons and comments are what people write; what ended without an agent has them too."""
    d = desk()
    await d.submit(comment="asked Zoe")
    await d.system(Close(reason="Zoe called"))
    left = await d.lifecycle.erase("I1")
    assert (left.state, left.reason, left.comment) == ("Completed", None, None)


async def test_what_was_erased_is_forgotten_by_its_end() -> None:
    """An erasure does not make it younger."""
    d = desk(settings=kept(finished_kept=2))
    await completed(d)
    d.clock.advance(DAY)
    await d.lifecycle.erase("I1")
    d.clock.at = later(2 * DAY)
    assert await d.lifecycle.prune() == 0
    d.clock.advance(1)
    assert await d.lifecycle.prune() == 1


async def test_contents_apart_that_cannot_be_deleted_stop_the_erasure() -> None:
    """Nothing is said to be erased that is still there: the host learns of it, and asks again."""

    class Stuck(SeparateContents):
        """Cannot delete, for a while."""

        stuck = True

        async def delete(self, id: str) -> None:
            if self.stuck:
                raise OSError("no connection")
            await super().delete(id)

    contents = Stuck()
    d = desk(contents=contents)
    await completed(d, email=RAW)
    before = await d.lifecycle.get("I1")
    with pytest.raises(OSError, match="no connection"):
        await d.lifecycle.erase("I1")
    assert await d.lifecycle.get("I1") == before
    contents.stuck = False
    await d.lifecycle.erase("I1")
    assert contents.kept == {}


async def test_a_race_with_an_erasure_is_run_again() -> None:
    """Two at once are one after the other."""
    meeting: list[datetime] = []

    class Late(MemoryStore):
        """Lets somebody be faster, once."""

        async def commit(self, commit: Any, committed: Any = None) -> None:
            if commit.erased and not meeting:
                meeting.append(commit.at)
                await d.lifecycle.erase("I1")
            await super().commit(commit, committed)

    d = desk(Late())
    await completed(d)
    left = await d.lifecycle.erase("I1")
    assert left.version == 5
    assert [entry.version for entry in await d.lifecycle.history("I1")] == list(range(6))
