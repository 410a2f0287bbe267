"""L5. The message that leaves for the mailer when a reply is sent (semantics 2a, 9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lifecycle._addresses import bare_address, split_addresses
from lifecycle._drafts import recipients
from lifecycle.errors import InternalError
from lifecycle.interaction import Interaction
from lifecycle.mail import ascii_domain, render
from lifecycle.records import Outgoing

_NO_DOMAIN = "localhost"


def outgoing_mail(
    interaction: Interaction, *, at: datetime, contents: Mapping[str, bytes]
) -> Outgoing:
    """Render the draft of an interaction, under the one Message-ID that the draft has.

    Arguments:
        interaction: with the draft as it is sent.
        at: now.
        contents: the bytes of its attachments.

    Raises `InvalidParameter` and `NotFound` as `render` does.
    """
    draft = interaction.draft
    if draft is None:
        raise InternalError("there is no draft to send", interaction_id=interaction.id)
    senders = [bare_address(address) for address in split_addresses(draft.from_address)]
    sender = next(filter(None, senders), "")
    domain = ascii_domain(sender.rpartition("@")[2])
    if not domain or not domain.isascii():
        domain = _NO_DOMAIN
    message_id = f"<{draft.id}@{domain}>"
    return Outgoing(
        message_id=message_id,
        interaction_id=interaction.id,
        queue=draft.queue,
        sender=sender,
        recipients=tuple(dict.fromkeys(recipients(draft))),
        at=at,
        message=render(draft, at=at, message_id=message_id, contents=contents),
    )
