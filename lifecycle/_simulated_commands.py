"""L7. What a simulated agent says: a command of each kind, its parameters drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from lifecycle import commands as c
from lifecycle.interaction import Interaction
from lifecycle.table import EMAIL
from lifecycle.vocabulary import State

QUEUES = ("inbox", "second-line", "billing")
WORKBINS = ("follow-up", "waiting-for-parts")
SKILLS = ("german", "invoices")
PHRASES = (
    "Thank you for writing to us.",
    "We have looked into it and will send you a new one.",
    "Could you tell us the number on the invoice, please?",
    "Ihre Anfrage ist bei uns eingegangen. Viele Grüße",
    "Your parcel left our house this morning.",
)


def draw_command(
    draw: Random, one: Interaction, operation: str, *, offer: int, colleague: Callable[[], str]
) -> c.Command:
    """The command that an agent gives, of any operation but `LinkAttachment`.

    Arguments:
        draw: the random source.
        one: the interaction.
        operation: what the agent has decided to do.
        offer: the number of the offer on the agent's screen.
        colleague: says to whom the agent transfers.
    """
    phrase = draw.choice(PHRASES)
    match operation:
        case "Accept":
            return c.Accept(offer=offer)
        case "Reject":
            return c.Reject(offer=offer, reason=draw.choice((None, "busy", "not mine")))
        case "Transfer" if draw.random() < 0.3:
            return c.Transfer(skill=draw.choice(SKILLS))
        case "Transfer":
            return c.Transfer(agent_id=colleague())
        case "Reply" | "ReplyAll":
            kind = c.Reply if operation == "Reply" else c.ReplyAll
            quote = draw.random() < 0.5
            return kind(text=phrase, quote_original=quote, reply_to_start_line="You wrote:")
        case "StopProcessing":
            return c.StopProcessing(reason=draw.choice((None, "spam", "answered by phone")))
        case "PlaceInQueue":
            return c.PlaceInQueue(queue=draw.choice(QUEUES))
        case "PlaceInWorkbin":
            return c.PlaceInWorkbin(workbin=draw.choice(WORKBINS))
        case "UpdateProperties":
            return c.UpdateProperties(
                user_data={"Priority": draw.randrange(10), "Disposition": phrase},
                delete_keys=["_MessageSize"] if draw.random() < 0.2 else [],
                comment=draw.choice((None, phrase)),
                text=phrase if one.state == State.REPLY_CREATED else None,
            )
        case "Send":
            return c.Send(text=draw.choice((None, f"{phrase}\n\nKind regards, {one.agent_id}")))
    return EMAIL.commands[operation]()
