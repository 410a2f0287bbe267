"""The work that every subject does: a cycle of two small and two large notifications.

Invite (small), Accept (large: 30 user-data keys, 2 kB of text, an attachment), Reply (large:
a draft of 2 kB) and Revoke (small), after which the interaction can be invited again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from lifecycle.codec import encode
from lifecycle.commands import Accept, Command, Invite, Reply, Revoke
from lifecycle.engine import step, submit
from lifecycle.interaction import Attachment, Email, Interaction
from lifecycle.vocabulary import SYSTEM, Actor

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AGENT = "ann"
CYCLE = ("Invite", "Accept", "Reply", "Revoke")
OUR_ADDRESS = "help@shop.example"


def interaction(number: int = 0) -> Interaction:
    """A submitted interaction that shares no text with one of another number."""
    user_data = {f"customer_field_{key}": f"value {key} of {number}" for key in range(30)}
    return submit(
        Email(
            subject=f"Where is my order {number}?",
            from_address=f"Zoe Miller <zoe{number}@home.example>",
            to_address=OUR_ADDRESS,
            cc_addresses=(f"eve{number}@work.example",),
            text=_text(f"I ordered under number {number}. "),
            mime_type="text/plain",
            attachments=(
                Attachment(id="A1", name="bill.pdf", size=5120, mimetype="application/pdf"),
            ),
            message_id=f"<m{number}@home.example>",
        ),
        id=f"0A1B2C3D{number:08}",
        queue="support",
        at=AT,
        user_data=user_data,
        our_addresses=(OUR_ADDRESS,),
        in_queues=("support", "sales"),
        out_queues=("outbound",),
    )


def reply_text(number: int = 0) -> str:
    """What the agent writes, 2 kB."""
    return _text(f"Thank you for order {number}. ")


def _text(sentence: str) -> str:
    return (sentence * (2048 // len(sentence) + 1))[:2048]


def commands(number: int = 0) -> tuple[tuple[Command, Actor], ...]:
    """The commands of the cycle, each with its actor."""
    return (
        (Invite(agent_id=AGENT), SYSTEM),
        (Accept(offer=None), AGENT),
        (Reply(text=reply_text(number)), AGENT),
        (Revoke(), SYSTEM),
    )


def versions(number: int = 0) -> tuple[Interaction, ...]:
    """The interaction before each step of its first cycle, and after the last."""
    present = interaction(number)
    found = [present]
    for command, actor in commands(number):
        present = step(present, command, actor=actor, at=AT).interaction
        found.append(present)
    return tuple(found)


def notifications(number: int = 0) -> tuple[bytes, ...]:
    """The JSON of the first cycle."""
    before = versions(number)[:-1]
    return tuple(
        encode(step(one, command, actor=actor, at=AT).notification)
        for one, (command, actor) in zip(before, commands(number), strict=True)
    )


def ready_dicts(number: int = 0) -> tuple[dict[str, Any], ...]:
    """The notifications of the first cycle as plain dicts."""
    return tuple(map(orjson.loads, notifications(number)))
