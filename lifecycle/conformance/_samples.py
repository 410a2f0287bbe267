"""L7. What the behaviour cases commit: interactions by real steps, and records around them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from lifecycle import commands as c
from lifecycle.engine import is_waiting, step, submit
from lifecycle.interaction import Attachment, Email, Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Delivery, Entry, Outgoing, Saved
from lifecycle.table import EMAIL
from lifecycle.vocabulary import SYSTEM, Actor

START = datetime(2026, 5, 4, 8, 0, 0, 250_000, tzinfo=UTC)
"""When the cases begin; no case reads a clock."""


def later(seconds: float) -> datetime:
    """A time after the start, or before it."""
    return START + timedelta(seconds=seconds)


def queued(id: str = "I1", *, at: datetime = START, **changes: Any) -> Interaction:
    """A submitted interaction; `changes` are arguments of `submit`, or `email`."""
    arguments: dict[str, Any] = {"queue": "sales", **changes}
    email = arguments.pop("email", Email(subject=f"About {id}", from_address="zoe@home.example"))
    return submit(email, id=id, at=at, **arguments)


def done(
    interaction: Interaction, *acts: tuple[Actor, c.Command], at: datetime = START
) -> Interaction:
    """An interaction after some steps."""
    for actor, command in acts:
        interaction = step(interaction, command, actor=actor, at=at).interaction
    return interaction


def invited(interaction: Interaction, agent_id: str, *, at: datetime = START) -> Interaction:
    """An interaction after an invitation."""
    return done(interaction, (SYSTEM, c.Invite(agent_id=agent_id)), at=at)


def owned(interaction: Interaction, agent_id: str, *, at: datetime = START) -> Interaction:
    """An interaction after an invitation that was accepted."""
    return done(invited(interaction, agent_id, at=at), (agent_id, c.Accept()), at=at)


def rich_mail() -> Email:
    """A mail in which every field says something."""
    return Email(
        subject="Ünïcode ☃ \U0001f4e7 and \N{LINE SEPARATOR}",
        from_address='"Zoé, the 2nd" <zoe@home.example>',
        to_address="help@shop.example, max@home.example",
        cc_addresses=("Eve <eve@work.example>", "ben@work.example"),
        reply_to="answers@home.example",
        text="Hello,\n\ttabs and \\ and \x7f\n",
        structured_text="<p>Hello</p>",
        mime_type="text/plain",
        structured_text_mime_type="text/html",
        attachments=(
            Attachment(id="I1A1", name="a bill.pdf", size=5120, mimetype="application/pdf"),
            Attachment(id="I1A2", name="", size=0, mimetype="image/png"),
        ),
        date=datetime(2026, 5, 4, 7, 59, 59, tzinfo=UTC),
        message_id="<m2@home.example>",
        references=("<m0@shop.example>", "<m1@home.example>"),
        is_auto_reply=True,
        is_delivery_report=True,
    )


USER_DATA = {
    "text": "é\U0001f4e7 \0 \x1f",
    "none": None,
    "numbers": [0, -(2**63), 2**64 - 1, 1.5e-300],
    "nested": {"": {"deep": [[], {}, True, False]}},
}
"""User data with every kind of value that semantics 4 allows."""


def situations() -> dict[str, Interaction]:
    """Interactions with every field in use somewhere, each by real steps."""
    first = queued(
        email=rich_mail(),
        user_data=USER_DATA,
        our_addresses=("help@shop.example",),
        in_queues=("sales", "support"),
        out_queues=("outbox",),
        contact_id="C7",
        comment="a regular\ncustomer",
    )
    anns = owned(first, "ann")
    replying = done(
        anns,
        ("ann", c.ReplyAll(text="Söon.", structured_text="<p>Soon</p>", quote_original=True)),
        (
            "ann",
            c.LinkAttachment(
                attachment=Attachment(id="X1", name="ä.txt", size=3, mimetype="text/plain")
            ),
        ),
    )
    return {
        "queued": first,
        "queued without anything": queued(queue=None, email=Email()),
        "invited": invited(first, "ann"),
        "rejected with a reason": done(
            invited(first, "ann"), ("ann", c.Reject(reason="no \N{SNOWMAN}"))
        ),
        "replying": replying,
        "parked from the reply": done(replying, ("ann", c.PlaceInWorkbin(workbin="late"))),
        "revoked with a kept draft": done(replying, (SYSTEM, c.Revoke())),
        "transferred to an agent": done(anns, ("ann", c.Transfer(agent_id="bob"))),
        "transferred to a skill": done(anns, ("ann", c.Transfer(skill="french"))),
        "sent": done(replying, ("ann", c.Send(to_address="zoe@home.example", queue="outbox"))),
        "completed": done(anns, ("ann", c.StopProcessing(reason="spam"))),
    }


def ended(id: str = "I1", **changes: Any) -> Interaction:
    """What `queued` makes, at version 1: completed, as if that took one step."""
    stop = ("ann", c.StopProcessing())
    return attrs.evolve(done(owned(queued(id, **changes), "ann"), stop), version=1)


def saved(interaction: Interaction, *, expected: int | None = None) -> Saved:
    """A value to be saved over the version before it, or over `expected`."""
    before = interaction.version - 1 if interaction.version else None
    return Saved(
        interaction=interaction,
        expected=before if expected is None else expected,
        waiting=is_waiting(interaction),
        finished=EMAIL.by_name[interaction.state].final,
    )


def entry(interaction: Interaction, trigger: str, *, actor: str | None = None) -> Entry:
    """A line of history that leads to a value."""
    return Entry(
        interaction_id=interaction.id,
        version=interaction.version,
        at=later(interaction.version),
        actor=actor,
        trigger=trigger,
        source="Queued" if interaction.version else None,
        dest=interaction.state,
        offer=interaction.offer,
        agent_id=interaction.agent_id,
    )


def delivery(
    agent_id: str, sequence: int, *, at: datetime = START, interaction_id: str = "I1"
) -> Delivery:
    """A delivery whose payload says which one it is."""
    return Delivery(
        agent_id=agent_id,
        sequence=sequence,
        interaction_id=interaction_id,
        offer=1,
        trigger="Invite",
        at=at,
        payload=f'{{"to":"{agent_id}","n":{sequence},"text":"é☃"}}'.encode(),
    )


def outgoing(
    number: int, *, at: datetime = START, interaction_id: str = "I1", queue: str | None = None
) -> Outgoing:
    """A sent reply with bytes that no text encoding allows."""
    return Outgoing(
        message_id=f"<{interaction_id}D{number}@shop.example>",
        interaction_id=interaction_id,
        queue=queue,
        sender="help@shop.example",
        recipients=("zoe@home.example", "eve@work.example"),
        at=at,
        message=b"Subject: %d\r\n\r\n\xff\x00\r\n" % number,
    )


async def commit(
    store: Store, *interactions: Interaction, at: datetime = START, **rest: Any
) -> None:
    """Commit values of interactions, each over the version before it."""
    await store.commit(Commit(at=at, interactions=tuple(map(saved, interactions)), **rest))


async def deliver(store: Store, agent_id: str, up_to: int) -> None:
    """Have the sink take the deliveries of an agent up to a sequence."""
    await store.change_stream(agent_id, lambda stream: attrs.evolve(stream, delivered=up_to))


async def notify(store: Store, agent_id: str, *, count: int = 1, at: datetime = START) -> None:
    """Commit deliveries for an agent, numbered on, about an interaction of its own."""
    agent = await store.agent(agent_id) or Agent(id=agent_id)
    first = queued(f"N{agent_id}")
    new = () if agent.version else (first,)
    numbers = range(agent.sequence + 1, agent.sequence + count + 1)
    await commit(
        store,
        *new,
        agents=(attrs.evolve(agent, version=agent.version + 1, sequence=numbers[-1]),),
        deliveries=tuple(
            delivery(agent_id, number, at=at, interaction_id=first.id) for number in numbers
        ),
    )


async def send(store: Store, *mails: Outgoing) -> None:
    """Commit sent replies, and before them the interactions that they belong to."""
    for id in sorted({mail.interaction_id for mail in mails}):
        if await store.interaction(id) is None:
            await commit(store, queued(id))
    await commit(store, outgoing=mails)
