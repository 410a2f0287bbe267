"""Small builders for the tests: mails, interactions in every state by real steps, commands."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import attrs

from lifecycle import commands as c
from lifecycle.engine import step, submit
from lifecycle.interaction import Attachment, Email, Interaction
from lifecycle.vocabulary import SYSTEM, Actor

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""When everything that the builders do happens."""
ID = "0A1B2C3D4E5F6G7H"

Act: TypeAlias = tuple[Actor, c.Command]


def later(seconds: float) -> datetime:
    """A time after the start."""
    return START + timedelta(seconds=seconds)


def attachment(id: str = "A1", **changes: Any) -> Attachment:
    """A file as a mail or a draft lists it."""
    fields = {"name": "bill.pdf", "size": 5120, "mimetype": "application/pdf", **changes}
    return Attachment(id=id, **fields)


MAIL = Email(
    subject="Where is my order?",
    from_address="Zoé <zoe@home.example>",
    to_address="Help <help@shop.example>, Max <max@home.example>",
    cc_addresses=("Eve <eve@work.example>", "sales@shop.example"),
    text="Hello,\nwhere is it?",
    structured_text="<p>Hello</p>",
    mime_type="text/plain",
    structured_text_mime_type="text/html",
    attachments=(attachment(),),
    date=datetime(2026, 3, 2, 8, 59, tzinfo=UTC),
    message_id="<m2@home.example>",
    references=("<m0@shop.example>", "<m1@home.example>"),
)


def mail(**changes: Any) -> Email:
    """The sample mail with some fields changed."""
    return attrs.evolve(MAIL, **changes)


def submitted(email: Email = MAIL, **changes: Any) -> Interaction:
    """An interaction as the shop submits it, with some arguments changed."""
    arguments: dict[str, Any] = {
        "id": ID,
        "queue": "support",
        "at": START,
        "user_data": {"priority": 3, "tags": ["new", None]},
        "our_addresses": ("help@shop.example", "sales@shop.example"),
        "in_queues": ("support", "billing"),
        "out_queues": ("outbox",),
        "contact_id": "C77",
        "comment": "a regular customer",
        **changes,
    }
    return submit(email, **arguments)


def after(interaction: Interaction, *acts: Act, at: datetime = START) -> Interaction:
    """What an interaction is after some steps."""
    for actor, command in acts:
        interaction = step(interaction, command, actor=actor, at=at).interaction
    return interaction


def offered(agent_id: str) -> Act:
    """The system invites an agent."""
    return (SYSTEM, c.Invite(agent_id=agent_id))


TO_ANN: tuple[Act, ...] = (offered("ann"), ("ann", c.Accept()))
"""The steps that bring a queued interaction to Ann's desk."""
WITH_KEPT_DRAFT: tuple[Act, ...] = (
    *TO_ANN,
    ("ann", c.Reply(text="Soon.")),
    (SYSTEM, c.Revoke()),
    *TO_ANN,
)
"""The steps after which Ann owns it, with a draft that was kept when it was revoked."""
GIVEN_TO_BOB: tuple[Act, ...] = (*TO_ANN, ("ann", c.Transfer(agent_id="bob")))
GIVEN_TO_A_SKILL: tuple[Act, ...] = (*TO_ANN, ("ann", c.Transfer(skill="french")))

PATHS: Mapping[str, tuple[Act, ...]] = {
    "Queued": (),
    "Invited": (offered("ann"),),
    "Invited in a transfer": (*GIVEN_TO_BOB, offered("bob")),
    "Accepted": TO_ANN,
    "Accepted with a kept draft": WITH_KEPT_DRAFT,
    "Rejected": (offered("ann"), ("ann", c.Reject())),
    "Rejected in a transfer": (*GIVEN_TO_BOB, offered("bob"), ("bob", c.Reject())),
    "Rejected in a transfer to a skill": (*GIVEN_TO_A_SKILL, offered("bob"), ("bob", c.Reject())),
    "Revoked": (offered("ann"), (SYSTEM, c.Revoke())),
    "Revoked in a transfer": (*GIVEN_TO_BOB, offered("bob"), (SYSTEM, c.Revoke())),
    "Revoked with a kept draft": WITH_KEPT_DRAFT[:-2],
    "ReplyCreated": (*TO_ANN, ("ann", c.Reply(text="Soon."))),
    "Transferred": GIVEN_TO_BOB,
    "Transferred to a skill": GIVEN_TO_A_SKILL,
    "InWorkbin": (*TO_ANN, ("ann", c.PlaceInWorkbin(workbin="later"))),
    "InWorkbin with a kept draft": (*WITH_KEPT_DRAFT, ("ann", c.PlaceInWorkbin(workbin="later"))),
    "InWorkbin from ReplyCreated": (
        *TO_ANN,
        ("ann", c.Reply(text="Soon.")),
        ("ann", c.PlaceInWorkbin(workbin="later")),
    ),
    "Sent": (*TO_ANN, ("ann", c.Reply(text="Soon.")), ("ann", c.Send())),
    "Completed": (*TO_ANN, ("ann", c.StopProcessing())),
}
"""How the system and the agents bring a mail into each situation; the state comes first."""


def situation(name: str, **changes: Any) -> Interaction:
    """An interaction in one of the situations, by real steps."""
    return after(submitted(**changes), *PATHS[name])


COMMANDS: Mapping[str, c.Command] = {
    command.trigger: command
    for command in (
        c.Invite(agent_id="dan"),
        c.Accept(),
        c.Reject(reason="busy"),
        c.Revoke(reason="late"),
        c.Return(),
        c.Close(reason="spam"),
        c.Transfer(agent_id="dan"),
        c.Reply(text="Tomorrow."),
        c.ReplyAll(text="Tomorrow."),
        c.StopProcessing(reason="solved"),
        c.PlaceInQueue(queue="billing"),
        c.PlaceInWorkbin(workbin="later"),
        c.UpdateProperties(user_data={"priority": 1}, comment="called"),
        c.Pull(),
        c.Cancel(),
        c.Send(),
        c.LinkAttachment(attachment=attachment("A2")),
    )
}
"""A good command for each trigger."""


def natural_actor(interaction: Interaction, trigger: str) -> Actor:
    """Who would do that: the system, whoever holds it, or Cat, who pulls from workbins."""
    if trigger in ("Invite", "Revoke", "Return", "Close"):
        return SYSTEM
    return "cat" if trigger == "Pull" else interaction.agent_id or "ann"


def fields_of(interaction: Interaction) -> dict[str, Any]:
    """All fields of an interaction, each the very object that it holds."""
    return {field.name: getattr(interaction, field.name) for field in attrs.fields(Interaction)}


def differences(before: Interaction, now: Interaction) -> dict[str, Any]:
    """The fields that a step changed, with their new values; the version apart."""
    old, new = fields_of(before), fields_of(now)
    return {name: new[name] for name in new if name != "version" and new[name] != old[name]}


class Unchanged:
    """A context in which an interaction must stay as it is: equal in depth, part by part."""

    def __init__(self, interaction: Interaction) -> None:
        self.interaction = interaction
        self.parts = fields_of(interaction)
        self.copy = copy.deepcopy(interaction)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        assert self.interaction == self.copy
        assert all(self.parts[name] is part for name, part in fields_of(self.interaction).items())
