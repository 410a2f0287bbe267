"""Seeded faults are noticed: in the table by stories of behaviour, in messages by the checker.

The stories say what people see: who holds a mail, what they are told, who is refused. They hold
no copy of the table, and run on whatever table they are given. Each mutant of the table must
break a story, or be refused when it is built. Each mutant of a message must be found by the
checker of the documented page, which knows nothing of the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest
from builders import START, attachment, later, submitted
from page_checker import check_notification, parse

from lifecycle import commands as c
from lifecycle.codec import decode, encode
from lifecycle.engine import expiry, step
from lifecycle.errors import (
    DeadlinePassed,
    InvalidParameter,
    LifecycleError,
    NotPermitted,
    NotValidInState,
    StaleOffer,
    TableError,
)
from lifecycle.interaction import Change, Draft, Interaction
from lifecycle.notifications import Notification
from lifecycle.table import EMAIL, Condition, Row, Table
from lifecycle.vocabulary import SYSTEM, Actor, Who

PEOPLE: tuple[Actor, ...] = (SYSTEM, "ann", "bob", "cat")
SYSTEM_ONLY = "system"
INVITED_ONLY = "invited agent"
OWNER_ONLY = "owner"
WORKBIN = "an agent of the workbin"


class Desk:
    """One mail that a story is told about, on the table under test."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.mail = submitted(table=table)
        self.told: list[tuple[str, str, tuple[str, ...]]] = []

    def does(
        self, actor: Actor, command: c.Command, *, only: str, becomes: str, holder: str | None
    ) -> None:
        """Somebody does something that only they may, and the mail is where it should be then."""
        others = (SYSTEM,) if only == WORKBIN else tuple(p for p in PEOPLE if p != actor)
        for other in others:
            refusal = self.refused(other, command, NotPermitted)
            assert refusal.message == f"only {only} may"
        before = self.mail
        result = step(before, command, actor=actor, at=START, table=self.table)
        self.mail = result.interaction
        assert self.mail.version == before.version + 1
        assert (self.mail.state, self.mail.agent_id) == (becomes, holder)
        receiver = holder or before.agent_id
        assert result.agent_id == receiver
        if receiver is not None:
            assert result.notification.state == becomes
            self.told.append((receiver, becomes, result.notification.capabilities))

    def refused(
        self, actor: Actor, command: c.Command, why: type[LifecycleError], at: datetime = START
    ) -> LifecycleError:
        """Somebody is refused, for this very reason."""
        caught: LifecycleError | None = None
        try:
            step(self.mail, command, actor=actor, at=at, table=self.table)
        except LifecycleError as error:
            caught = error
        assert caught is not None, f"{actor} could {command}"
        assert type(caught) is why, caught
        return caught

    # -- what happens again and again in the stories --

    def invite(self, agent: str) -> None:
        """The system offers it to an agent, who is told and may accept or reject."""
        offers = self.mail.offer
        self.does(
            SYSTEM, c.Invite(agent_id=agent), only=SYSTEM_ONLY, becomes="Invited", holder=agent
        )
        assert self.mail.offer == offers + 1
        assert self.mail.deadline == later(30)
        assert self.told[-1] == (agent, "Invited", ("Accept", "Reject"))

    def accept(self, agent: str) -> None:
        """The invited agent takes it."""
        self.does(agent, c.Accept(), only=INVITED_ONLY, becomes="Accepted", holder=agent)

    def bring_to(self, agent: str) -> None:
        """It is offered to an agent, who takes it."""
        self.invite(agent)
        self.accept(agent)

    def reject(self, agent: str) -> None:
        """The invited agent declines."""
        self.does(
            agent, c.Reject(reason="busy"), only=INVITED_ONLY, becomes="Rejected", holder=None
        )
        assert self.mail.reason == "busy"

    def revoke(self) -> None:
        """The system takes it away."""
        self.does(SYSTEM, c.Revoke(reason="late"), only=SYSTEM_ONLY, becomes="Revoked", holder=None)
        assert self.mail.reason == "late"

    def close(self) -> None:
        """The system ends it, and nobody can do anything any more."""
        self.does(
            SYSTEM, c.Close(reason="spam"), only=SYSTEM_ONLY, becomes="Completed", holder=None
        )
        assert (self.mail.reason, self.mail.transfer, self.mail.deadline) == ("spam", None, None)
        self.ended()

    def give_back(self, agent: str) -> None:
        """The system returns a transfer, which is then forgotten."""
        self.does(SYSTEM, c.Return(), only=SYSTEM_ONLY, becomes="Accepted", holder=agent)
        assert self.mail.transfer is None

    def owner(self, agent: str, command: c.Command, becomes: str, *, leaves: bool = False) -> None:
        """The owner does something."""
        self.does(
            agent, command, only=OWNER_ONLY, becomes=becomes, holder=None if leaves else agent
        )

    def reply(self, agent: str) -> None:
        """The owner begins a reply, or goes on with it."""
        self.owner(agent, c.Reply(text="Soon."), "ReplyCreated")
        assert self.draft.text == "Soon."

    def park(self, agent: str) -> None:
        """The owner parks it."""
        self.owner(agent, c.PlaceInWorkbin(workbin="later"), "InWorkbin", leaves=True)
        assert self.mail.workbin == "later"

    def transfer(self, agent: str, to: str) -> None:
        """The owner gives it away to another agent, and the system must follow that up at once."""
        self.owner(agent, c.Transfer(agent_id=to), "Transferred", leaves=True)
        assert (self.mail.transfer_origin, self.mail.transfer_target) == (agent, to)
        assert self.mail.deadline == START
        assert expiry(self.mail, self.table) == (c.Invite(agent_id=to), c.Return())

    def ended(self) -> None:
        """Nothing is possible any more."""
        for command in (c.Invite(agent_id="bob"), c.Revoke(), c.Close(), c.Pull(), c.Reply()):
            self.refused(SYSTEM, command, NotValidInState)

    @property
    def draft(self) -> Draft:
        """The draft, which must be there."""
        assert self.mail.draft is not None
        return self.mail.draft


Story = Callable[[Desk], None]


# -- the stories -------------------------------------------------------------------------------


def an_accepted_mail_belongs_to_the_agent(desk: Desk) -> None:
    """An offered mail that is accepted belongs to the agent, who may then do seven things."""
    desk.bring_to("ann")
    assert desk.told[-1] == (
        "ann",
        "Accepted",
        (
            "Transfer",
            "Reply",
            "ReplyAll",
            "StopProcessing",
            "PlaceInQueue",
            "PlaceInWorkbin",
            "UpdateProperties",
        ),
    )
    desk.refused(SYSTEM, c.Return(), NotValidInState)


def an_expired_or_other_offer_is_not_accepted(desk: Desk) -> None:
    """Too late, or with another offer's number, Ann does not get it."""
    desk.invite("ann")
    desk.refused("ann", c.Accept(), DeadlinePassed, at=later(30))
    desk.refused("ann", c.Accept(offer=99), StaleOffer)
    desk.refused("ann", c.Reject(offer=99), StaleOffer)


def a_rejected_mail_waits_for_somebody_else(desk: Desk) -> None:
    """What Ann rejects is offered to Bob; without a transfer nothing returns to anybody."""
    desk.invite("ann")
    desk.reject("ann")
    assert desk.told[-1] == ("ann", "Rejected", ())
    assert desk.mail.deadline is None
    desk.refused(SYSTEM, c.Return(), NotValidInState)
    desk.bring_to("bob")


def a_rejected_mail_can_be_closed(desk: Desk) -> None:
    """What nobody wants ends."""
    desk.invite("ann")
    desk.reject("ann")
    desk.close()


def an_ignored_offer_is_revoked(desk: Desk) -> None:
    """What Ann does not answer is taken away and offered to Bob."""
    desk.invite("ann")
    desk.revoke()
    assert desk.told[-1] == ("ann", "Revoked", ())
    desk.refused(SYSTEM, c.Return(), NotValidInState)
    desk.bring_to("bob")


def a_revoked_mail_can_be_closed(desk: Desk) -> None:
    """What was taken away can end there."""
    desk.invite("ann")
    desk.revoke()
    desk.close()


def a_waiting_mail_can_be_closed(desk: Desk) -> None:
    """A mail in the queue can end there, and nobody is told."""
    before = list(desk.told)
    desk.close()
    assert desk.told == before


def an_idle_owner_loses_the_mail(desk: Desk) -> None:
    """What an owner neglects is taken away; a draft waits for whoever gets it next."""
    desk.bring_to("ann")
    desk.revoke()
    desk.bring_to("bob")
    desk.reply("bob")
    draft = desk.draft
    desk.revoke()
    assert desk.draft is draft
    desk.bring_to("ann")
    desk.reply("ann")
    assert desk.draft == draft


def a_transferred_mail_reaches_its_target(desk: Desk) -> None:
    """Ann gives it to Bob, who accepts: the transfer is over."""
    desk.bring_to("ann")
    desk.transfer("ann", "bob")
    desk.bring_to("bob")
    assert desk.mail.transfer is None
    desk.refused("bob", c.Transfer(agent_id="bob"), InvalidParameter)


def a_transfer_that_is_not_offered_returns(desk: Desk) -> None:
    """Bob cannot be invited, so Ann has it again."""
    desk.bring_to("ann")
    desk.transfer("ann", "bob")
    desk.give_back("ann")


def a_transfer_that_is_rejected_returns(desk: Desk) -> None:
    """Bob declines, so Ann has it again, at once."""
    desk.bring_to("ann")
    desk.transfer("ann", "bob")
    desk.invite("bob")
    desk.reject("bob")
    assert expiry(desk.mail, desk.table) == (c.Return(),)
    desk.give_back("ann")


def a_transfer_that_is_ignored_returns(desk: Desk) -> None:
    """Bob does not answer, so Ann has it again, at once."""
    desk.bring_to("ann")
    desk.transfer("ann", "bob")
    desk.invite("bob")
    desk.revoke()
    assert expiry(desk.mail, desk.table) == (c.Return(),)
    desk.give_back("ann")


def a_rejected_transfer_can_go_elsewhere(desk: Desk) -> None:
    """Before it returns, a rejected transfer can be offered to Cat, or be closed."""
    for end in (partial(desk.bring_to, "cat"), desk.close):
        desk.bring_to("ann")
        desk.transfer("ann", "bob")
        desk.invite("bob")
        desk.reject("bob")
        end()
        if desk.mail.agent_id is not None:
            desk.owner("cat", c.PlaceInQueue(queue="support"), "Queued", leaves=True)


def an_ignored_transfer_can_go_elsewhere(desk: Desk) -> None:
    """Before it returns, an ignored transfer can be offered to Cat, or be closed."""
    for end in (partial(desk.bring_to, "cat"), desk.close):
        desk.bring_to("ann")
        desk.transfer("ann", "bob")
        desk.invite("bob")
        desk.revoke()
        end()
        if desk.mail.agent_id is not None:
            desk.owner("cat", c.PlaceInQueue(queue="support"), "Queued", leaves=True)


def a_transfer_of_nobody_does_not_return(desk: Desk) -> None:
    """Where no origin is recorded there is nobody to return to."""
    desk.bring_to("ann")
    desk.transfer("ann", "bob")
    desk.mail = attrs.evolve(desk.mail, transfer=None)
    desk.refused(SYSTEM, c.Return(), NotValidInState)


def a_mail_is_put_into_another_queue(desk: Desk) -> None:
    """The owner puts it back; the next invitation names the new queue."""
    desk.bring_to("ann")
    desk.owner("ann", c.PlaceInQueue(queue="billing"), "Queued", leaves=True)
    assert desk.mail.queue == "billing"
    desk.invite("bob")


def a_mail_needs_no_reply(desk: Desk) -> None:
    """The owner stops, and that is the end, for a draft too."""
    desk.bring_to("ann")
    desk.owner("ann", c.StopProcessing(reason="solved"), "Completed", leaves=True)
    assert (desk.mail.reason, desk.mail.draft) == ("solved", None)
    desk.ended()


def a_parked_mail_is_pulled(desk: Desk) -> None:
    """What Ann parks, Bob or Ann pulls, and owns."""
    desk.bring_to("ann")
    for agent in ("bob", "ann"):
        desk.park(str(desk.mail.agent_id))
        desk.does(agent, c.Pull(), only=WORKBIN, becomes="Accepted", holder=agent)
        assert desk.mail.workbin is None


def a_parked_reply_is_pulled_as_a_reply(desk: Desk) -> None:
    """A reply that was parked goes on as a reply, with whoever pulls it."""
    desk.bring_to("ann")
    desk.reply("ann")
    draft = desk.draft
    for agent in ("bob", "ann"):
        desk.park(str(desk.mail.agent_id))
        desk.does(agent, c.Pull(), only=WORKBIN, becomes="ReplyCreated", holder=agent)
        assert (desk.mail.workbin, desk.draft) == (None, draft)


def a_parked_mail_is_taken_out(desk: Desk) -> None:
    """The system takes a forgotten mail or reply out of a workbin, and nobody is told."""
    for replying in (False, True):
        desk.bring_to("ann")
        if replying:
            desk.reply("ann")
        desk.park("ann")
        before = list(desk.told)
        desk.revoke()
        assert desk.told == before
        assert desk.mail.workbin is None


def a_mail_is_annotated(desk: Desk) -> None:
    """The owner's notes and data are kept, on the mail and on the reply, and the timer starts."""
    desk.bring_to("ann")
    desk.owner("ann", c.UpdateProperties(comment="one", user_data={"n": 1}), "Accepted")
    assert (desk.mail.comment, desk.mail.user_data.get("n")) == ("one", 1)
    desk.refused("ann", c.UpdateProperties(text="x"), InvalidParameter)
    desk.reply("ann")
    desk.owner(
        "ann", c.UpdateProperties(comment="two", user_data={"n": 2}, text="New."), "ReplyCreated"
    )
    assert (desk.mail.comment, desk.mail.user_data.get("n")) == ("two", 2)
    assert desk.draft.text == "New."


def a_reply_is_sent(desk: Desk) -> None:
    """The owner replies, attaches, sends with a last edit, and that is the end."""
    desk.bring_to("ann")
    desk.reply("ann")
    assert desk.told[-1][2] == (
        "Cancel",
        "Send",
        "PlaceInWorkbin",
        "UpdateProperties",
        "LinkAttachment",
    )
    desk.owner("ann", c.LinkAttachment(attachment=attachment("A2")), "ReplyCreated")
    assert desk.draft.attachments == (attachment("A2"),)
    desk.refused("ann", c.Send(to_address=""), InvalidParameter)
    desk.owner("ann", c.Send(text="Today."), "Sent", leaves=True)
    assert (desk.draft.text, desk.mail.deadline) == ("Today.", None)
    assert desk.told[-1] == ("ann", "Sent", ())
    desk.ended()


def a_reply_goes_to_all(desk: Desk) -> None:
    """A reply to everybody has the others in Cc."""
    desk.bring_to("ann")
    desk.owner("ann", c.ReplyAll(), "ReplyCreated")
    assert desk.draft.cc_addresses == ("Max <max@home.example>", "Eve <eve@work.example>")


def a_reply_is_given_up(desk: Desk) -> None:
    """A cancelled draft is gone; the mail is still the owner's."""
    desk.bring_to("ann")
    desk.reply("ann")
    number = desk.mail.drafts
    desk.owner("ann", c.Cancel(), "Accepted")
    assert desk.mail.draft is None
    desk.reply("ann")
    assert desk.mail.drafts == number + 1


def what_is_not_offered_is_not_done(desk: Desk) -> None:
    """Agents cannot do in one situation what belongs into another."""
    desk.refused("ann", c.Accept(), NotValidInState)
    desk.refused("ann", c.Pull(), NotValidInState)
    desk.refused(SYSTEM, c.Return(), NotValidInState)
    desk.refused(SYSTEM, c.Revoke(), NotValidInState)
    desk.invite("ann")
    desk.refused("ann", c.Reply(), NotValidInState)
    desk.refused(SYSTEM, c.Close(), NotValidInState)
    desk.refused(SYSTEM, c.Invite(agent_id="bob"), NotValidInState)
    desk.accept("ann")
    after_the_offer: tuple[c.Command, ...] = (
        c.Accept(),
        c.Reject(),
        c.Send(),
        c.Cancel(),
        c.Pull(),
    )
    for command in after_the_offer:
        desk.refused("ann", command, NotValidInState)
    desk.refused(SYSTEM, c.Close(), NotValidInState)
    desk.reply("ann")
    while_replying: tuple[c.Command, ...] = (
        c.Reply(),
        c.Transfer(agent_id="b"),
        c.StopProcessing(),
    )
    for command in while_replying:
        desk.refused("ann", command, NotValidInState)


STORIES: tuple[Story, ...] = (
    an_accepted_mail_belongs_to_the_agent,
    an_expired_or_other_offer_is_not_accepted,
    a_rejected_mail_waits_for_somebody_else,
    a_rejected_mail_can_be_closed,
    an_ignored_offer_is_revoked,
    a_revoked_mail_can_be_closed,
    a_waiting_mail_can_be_closed,
    an_idle_owner_loses_the_mail,
    a_transferred_mail_reaches_its_target,
    a_transfer_that_is_not_offered_returns,
    a_transfer_that_is_rejected_returns,
    a_transfer_that_is_ignored_returns,
    a_rejected_transfer_can_go_elsewhere,
    an_ignored_transfer_can_go_elsewhere,
    a_transfer_of_nobody_does_not_return,
    a_mail_is_put_into_another_queue,
    a_mail_needs_no_reply,
    a_parked_mail_is_pulled,
    a_parked_reply_is_pulled_as_a_reply,
    a_parked_mail_is_taken_out,
    a_mail_is_annotated,
    a_reply_is_sent,
    a_reply_goes_to_all,
    a_reply_is_given_up,
    what_is_not_offered_is_not_done,
)


def from_the_queue(desk: Desk) -> None:
    """A fresh mail."""


def with_a_kept_draft(desk: Desk) -> None:
    """A mail that was put back into the queue with a draft that somebody had begun."""
    desk.bring_to("cat")
    desk.reply("cat")
    desk.revoke()
    desk.bring_to("cat")
    desk.owner("cat", c.PlaceInQueue(queue="support"), "Queued", leaves=True)


BEGINNINGS: tuple[Story, ...] = (from_the_queue, with_a_kept_draft)


def broken_by(table: Table, story: Story, beginning: Story) -> str | None:
    """What goes wrong in a story on a table, None where all goes as told."""
    try:
        desk = Desk(table)
        beginning(desk)
        story(desk)
    except (AssertionError, LifecycleError, AttributeError) as error:
        return f"{story.__name__}, {beginning.__name__}: {error!r}"
    return None


def behaves(table: Table) -> list[str]:
    """Every story that does not go as told on a table; empty for a good table."""
    broken = (broken_by(table, story, beginning) for beginning in BEGINNINGS for story in STORIES)
    return [fault for fault in broken if fault is not None]


def is_noticed(make: Callable[[], Table]) -> bool:
    """Whether a mutant is refused when it is built, or else breaks a story."""
    try:
        table = make()
    except TableError:
        return True
    return any(broken_by(table, story, beginning) for story in STORIES for beginning in BEGINNINGS)


# -- the mutants of the table ------------------------------------------------------------------


def with_rows(rows: list[Row]) -> Table:
    """The table with other rows."""
    return Table(EMAIL.states, rows, EMAIL.order)


def changed(index: int, **values: Any) -> Callable[[], Table]:
    """The table with one row changed."""
    rows = list(EMAIL.rows)
    rows[index] = attrs.evolve(rows[index], **values)
    return partial(with_rows, rows)


def never(interaction: Change) -> bool:
    """never"""
    return False


def in_transfer(interaction: Change) -> bool:
    """a transfer is outstanding"""
    return interaction.transfer is not None


def has_draft(interaction: Change) -> bool:
    """a draft is kept"""
    return interaction.draft is not None


def inverted(condition: Condition) -> Condition:
    """The opposite of a condition."""
    return lambda interaction: not condition(interaction)


Mutant = tuple[str, Callable[[], Table]]


def removed() -> Iterator[Mutant]:
    """Each row removed."""
    for index, row in enumerate(EMAIL.rows):
        rows = [other for other in EMAIL.rows if other is not row]
        yield f"no {row} ({index})", partial(with_rows, rows)


def redirected() -> Iterator[Mutant]:
    """Each row with each other state as its destination."""
    for index, row in enumerate(EMAIL.rows):
        for rule in EMAIL.states:
            if rule.name != row.dest:
                yield f"{row}, to {rule.name}", changed(index, dest=rule.name)


def conditioned() -> Iterator[Mutant]:
    """Each condition inverted and dropped, and conditions where there are none."""
    for index, row in enumerate(EMAIL.rows):
        if row.condition is not None:
            yield f"{row}, inverted", changed(index, condition=inverted(row.condition))
            yield f"{row}, dropped", changed(index, condition=None)
            continue
        yield f"{row}, never", changed(index, condition=never)
        if row.source in ("Invited", "Rejected", "Revoked"):
            yield f"{row}, in a transfer", changed(index, condition=in_transfer)
            yield f"{row}, in no transfer", changed(index, condition=inverted(in_transfer))
        if row.source not in ("ReplyCreated", "Transferred") and row.trigger != "Pull":
            yield f"{row}, with a draft", changed(index, condition=has_draft)
            yield f"{row}, without draft", changed(index, condition=inverted(has_draft))


def by_others() -> Iterator[Mutant]:
    """Each row with each other actor."""
    for index, row in enumerate(EMAIL.rows):
        for who in Who:
            if who is not row.who:
                yield f"{row}, by {who}", changed(index, who=who)


def without_effect() -> Iterator[Mutant]:
    """Each row without what else it changes."""
    for index, row in enumerate(EMAIL.rows):
        yield f"{row}, no effect", changed(index, effect=None)


def without_timer() -> Iterator[Mutant]:
    """Each state that has a timer without it."""
    for index, rule in enumerate(EMAIL.states):
        if rule.timer is not None:
            states = list(EMAIL.states)
            states[index] = attrs.evolve(rule, timer=None)
            yield (
                f"{rule.name} without timer",
                partial(Table, states, EMAIL.rows, EMAIL.order),
            )


def held_otherwise() -> Iterator[Mutant]:
    """Each state held where it is not, and not held where it is."""
    for index, rule in enumerate(EMAIL.states):
        states = list(EMAIL.states)
        timer = rule.timer or EMAIL.by_name["Accepted"].timer
        states[index] = attrs.evolve(rule, held=not rule.held, timer=timer)
        yield (
            f"{rule.name} held: {not rule.held}",
            partial(Table, states, EMAIL.rows, EMAIL.order),
        )


def in_another_order() -> Iterator[Mutant]:
    """Each capability left out, and each one swapped with the next of its list."""
    for name in EMAIL.order:
        rest = [other for other in EMAIL.order if other != name]
        yield f"no capability {name}", partial(Table, EMAIL.states, EMAIL.rows, rest)
    for state in ("Invited", "Accepted", "ReplyCreated"):
        names = EMAIL.capabilities(state)
        for one, next_one in pairwise(names):
            swap = {one: next_one, next_one: one}
            order = [swap.get(name, name) for name in EMAIL.order]
            yield (
                f"{next_one} before {one} in {state}",
                partial(Table, EMAIL.states, EMAIL.rows, order),
            )


KINDS: list[tuple[Callable[[], Iterator[Mutant]], int]] = [
    (removed, 30),
    (redirected, 30 * 9),
    (conditioned, 4 * 2 + 26 + 2 * 7 + 2 * 18),
    (by_others, 30 * 4),
    (without_effect, 30),
    (without_timer, 6),
    (held_otherwise, 10),
    (in_another_order, 12 + 1 + 6 + 4),
]


def test_the_shipped_table_behaves() -> None:
    """All stories go as told, from both beginnings, on the table as it is."""
    assert behaves(EMAIL) == []
    assert behaves(with_rows(list(EMAIL.rows))) == []


def test_a_broken_story_is_told() -> None:
    """behaves names the stories that a fault breaks, so that its silence means something."""
    made = dict(by_others())["Send: ReplyCreated -> Sent, by any agent"]()
    told = behaves(made)
    assert [fault.partition(":")[0] for fault in told] == [
        "a_reply_is_sent, from_the_queue",
        "a_reply_is_sent, with_a_kept_draft",
    ]


@pytest.mark.parametrize(("mutants", "count"), KINDS, ids=[kind.__name__ for kind, _ in KINDS])
def test_every_fault_of_the_table_is_noticed(
    mutants: Callable[[], Iterator[Mutant]], count: int
) -> None:
    """No mutant of this kind both builds and lets every story go as told."""
    all_mutants = list(mutants())
    assert len(all_mutants) == count
    assert len({name for name, _ in all_mutants}) == count
    assert [name for name, make in all_mutants if not is_noticed(make)] == []


# -- the mutants of the messages ---------------------------------------------------------------


def told() -> dict[str, Notification]:
    """A message of every state, from the stories' own desk."""
    messages: dict[str, Notification] = {}
    interaction: Interaction = submitted()
    script: tuple[tuple[Actor, c.Command], ...] = (
        (SYSTEM, c.Invite(agent_id="ann")),
        ("ann", c.Reject()),
        (SYSTEM, c.Invite(agent_id="ann")),
        (SYSTEM, c.Revoke()),
        (SYSTEM, c.Invite(agent_id="ann")),
        ("ann", c.Accept()),
        ("ann", c.Transfer(agent_id="bob")),
        (SYSTEM, c.Return()),
        ("ann", c.PlaceInQueue(queue="billing")),
        (SYSTEM, c.Invite(agent_id="ann")),
        ("ann", c.Accept()),
        ("ann", c.PlaceInWorkbin(workbin="later")),
        ("ann", c.Pull()),
        ("ann", c.ReplyAll(text="Soon.")),
    )
    for actor, command in script:
        result = step(interaction, command, actor=actor, at=START)
        interaction = result.interaction
        messages[interaction.state] = result.notification
    ends = (("Sent", c.Send()), ("Accepted", c.Cancel()))
    for state, command in ends:
        messages[state] = step(interaction, command, actor="ann", at=START).notification
    owned = step(interaction, c.Cancel(), actor="ann", at=START).interaction
    messages["Completed"] = step(owned, c.StopProcessing(), actor="ann", at=START).notification
    return messages


def faults(data: bytes) -> list[str]:
    """What the independent checker finds in a written message."""
    return [fault.rule for fault in check_notification(parse(data.decode()))]


Pairs = list[tuple[str, Any]]


def ordered(data: bytes) -> Pairs:
    """A message as pairs of key and value, so that a key can be moved or stand twice."""
    pairs: Pairs = json.loads(data, object_pairs_hook=list)
    return pairs


def is_object(value: Any) -> bool:
    """Whether a value is an object as pairs; an empty list counts as none."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], tuple)


def as_json(value: Any) -> str:
    """Pairs as JSON again, whatever is wrong with them."""
    if is_object(value):
        return "{" + ",".join(f"{json.dumps(key)}:{as_json(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    return json.dumps(value)


def objects(value: Any, data: bytes) -> Iterator[tuple[Pairs, Callable[[Pairs], bytes]]]:
    """Every documented object of a message, with what writes the message with another instead."""

    def inside(value: Any, write: Callable[[Any], str]) -> Iterator[Any]:
        if is_object(value):
            yield value, lambda pairs: write(as_json(pairs)).encode()
            for index, (key, item) in enumerate(value):
                if key != "userData":

                    def around(text: str, index: int = index) -> str:
                        parts = [
                            f"{json.dumps(name)}:{text if at == index else as_json(other)}"
                            for at, (name, other) in enumerate(value)
                        ]
                        return write("{" + ",".join(parts) + "}")

                    yield from inside(item, around)
        elif isinstance(value, list):
            for index, item in enumerate(value):

                def among(text: str, index: int = index) -> str:
                    parts = [
                        text if at == index else as_json(other) for at, other in enumerate(value)
                    ]
                    return write("[" + ",".join(parts) + "]")

                yield from inside(item, among)

    yield from inside(value, lambda text: text)


def key_mutants(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each documented key dropped, renamed three ways, repeated, and swapped with each later."""
    for pairs, write in objects(ordered(data), data):
        for index, (key, value) in enumerate(pairs):
            rest = pairs[:index], pairs[index + 1 :]
            yield f"drop {key}", write([*rest[0], *rest[1]])
            for name in (f"{key}x", key.swapcase(), f"{key[0].swapcase()}{key[1:]}"):
                yield f"rename {key} {name}", write([*rest[0], (name, value), *rest[1]])
            yield f"repeat {key}", write([*pairs, (key, value)])
            for other in range(index + 1, len(pairs)):
                swapped = list(pairs)
                swapped[index], swapped[other] = swapped[other], swapped[index]
                yield f"swap {key} {pairs[other][0]}", write(swapped)


KEYS = {"Invited": (10, 2), "Accepted": (13, 11, 4), "ReplyCreated": (9, 8)}
"""How many keys each object of a message has; 6 and 1 in all others."""


def test_the_checker_accepts_every_message() -> None:
    """What the engine writes is what the page documents, in all ten states."""
    messages = told()
    assert len(messages) == 10
    for state, message in messages.items():
        data = encode(message)
        assert faults(data) == [], state
        assert as_json(ordered(data)) == json.dumps(json.loads(data), separators=(",", ":")), (
            "the mutants are made of what was written"
        )


@pytest.mark.parametrize("state", told())
def test_every_fault_of_a_key_is_found(state: str) -> None:
    """A key dropped, renamed, repeated or in another place is found, in every message."""
    data = encode(told()[state])
    mutants = list(key_mutants(data))
    sizes = KEYS.get(state, (6, 1))
    assert len(mutants) == sum(5 * n + n * (n - 1) // 2 for n in sizes)
    assert [name for name, mutant in mutants if not faults(mutant)] == []


@pytest.mark.parametrize("state", told())
def test_a_dropped_or_renamed_key_is_not_decoded(state: str) -> None:
    """The library itself refuses to read a message of which a key is gone or misnamed."""
    data = encode(told()[state])
    for name, mutant in key_mutants(data):
        if name.startswith(("drop", "rename")):
            with pytest.raises(InvalidParameter):
                decode(mutant)


@pytest.mark.parametrize("state", told())
def test_a_fault_of_a_fixed_value_is_found(state: str) -> None:
    """Another constant, state, id or list of capabilities does not pass the checker."""
    document = json.loads(encode(told()[state]))
    for key in ("messageTypeName", "channel", "interactionType", "interactionSubType", "state"):
        if key in document:
            assert faults(json.dumps({**document, key: "Other"}).encode()), key
    assert faults(json.dumps({**document, "id": "a-b"}).encode())
    more = [*document["capabilities"], "Pull"]
    assert faults(json.dumps({**document, "capabilities": more}).encode())
    for index in range(len(document["capabilities"])):
        fewer = document["capabilities"][:index] + document["capabilities"][index + 1 :]
        assert faults(json.dumps({**document, "capabilities": fewer}).encode())
