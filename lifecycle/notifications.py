"""L2. The documented notifications (semantics 4): frozen values, one class a message.

The fields stand in the documented order and under their documented names in snake_case;
`codec` writes and reads them. `capabilities` is what the agent may do next.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from lifecycle.interaction import Attachment, UserData, as_user_data

WIRE_NAME = "wire_name"
"""The metadata key under which a field names its key on the wire, where camelCase is not it."""


def _key(name: str) -> Any:
    return attrs.field(metadata={WIRE_NAME: name})


@attrs.frozen(kw_only=True, weakref_slot=False)
class InvitedEmail:
    """The `email_object` of `Invited`."""

    subject: str
    """The mail's subject."""
    interaction_id: str
    """The interaction's id, once more."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class SubjectEmail:
    """The `email_object` of `Revoked` and of every state that the page does not show."""

    subject: str
    """The mail's subject."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class AcceptedEmail:
    """The `email_object` of `Accepted`: the mail."""

    to_address: str = _key("ToAddress")
    """An RFC 5322 address list."""
    from_address: str = _key("FromAddress")
    """An RFC 5322 address list."""
    cc_addresses: tuple[str, ...] = _key("CCAddresses")
    """One address each."""
    subject: str = _key("Subject")
    """The mail's subject, `""` where there is none."""
    text: str = _key("Text")
    """The plain body, `""` where there is none."""
    structured_text: str = _key("StructuredText")
    """The formatted body, `""` where there is none."""
    mime_type: str = _key("MimeType")
    """The MIME type of `text`, `""` where there is none."""
    structured_text_mime_type: str = _key("StructuredTextMimeType")
    """The MIME type of `structured_text`, `""` where there is none."""
    the_comment: str | None = _key("TheComment")
    """The notes on the interaction, None where there are none."""
    contact_id: str | None = _key("ContactID")
    """The id of the sender in the contact database, None where unknown."""
    attachments: tuple[Attachment, ...]
    """The attached files."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class ReplyEmail:
    """The `email_object` of `ReplyCreated`: the draft."""

    to_address: str = _key("ToAddress")
    """An RFC 5322 address list."""
    from_address: str = _key("FromAddress")
    """An RFC 5322 address list."""
    cc_addresses: tuple[str, ...] = _key("CCAddresses")
    """One address each."""
    subject: str = _key("Subject")
    """The draft's subject, `""` where there is none."""
    text: str = _key("Text")
    """The plain body, `""` where there is none."""
    structured_text: str = _key("StructuredText")
    """The formatted body, `""` where there is none."""
    mime_type: str = _key("MimeType")
    """The MIME type of `text`, `""` where there is none."""
    structured_text_mime_type: str = _key("StructuredTextMimeType")
    """The MIME type of `structured_text`, `""` where there is none."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Invited:
    """An agent is invited to accept or reject the interaction."""

    message_type_name: Literal["InteractionStateMessage"] = "InteractionStateMessage"
    """The type of every notification."""
    id: str
    """The interaction's id."""
    channel: Literal["email"] = "email"
    """The media channel."""
    email_object: InvitedEmail = _key("email_object")
    """What the agent sees of the mail before accepting."""
    interaction_type: Literal["Email"] = "Email"
    """The kind of interaction."""
    interaction_sub_type: Literal["InboundNew"] = "InboundNew"
    """The mail came in."""
    user_data: UserData = attrs.field(converter=as_user_data)
    """The complete user data without binary values."""
    current_queue: str | None
    """The current queue, None where unknown."""
    state: Literal["Invited"] = "Invited"
    """The state."""
    capabilities: tuple[str, ...]
    """The operations that are permitted next."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Accepted:
    """The agent owns the interaction."""

    message_type_name: Literal["InteractionStateMessage"] = "InteractionStateMessage"
    """The type of every notification."""
    id: str
    """The interaction's id."""
    channel: Literal["email"] = "email"
    """The media channel."""
    email_object: AcceptedEmail = _key("email_object")
    """The mail."""
    interaction_type: Literal["Email"] = "Email"
    """The kind of interaction."""
    interaction_sub_type: Literal["InboundNew"] = "InboundNew"
    """The mail came in."""
    user_data: UserData = attrs.field(converter=as_user_data)
    """The complete user data without binary values."""
    current_queue: str | None
    """The current queue, None where unknown."""
    in_queues: tuple[str, ...]
    """Queues that the interaction may be placed in."""
    out_queues: tuple[str, ...]
    """Queues that a reply may be placed in."""
    received_at: str
    """When the interaction was submitted: UTC, ISO 8601, whole seconds, `Z`."""
    state: Literal["Accepted"] = "Accepted"
    """The state."""
    capabilities: tuple[str, ...]
    """The operations that are permitted next."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class ReplyCreated:
    """The owner writes a reply."""

    message_type_name: Literal["InteractionStateMessage"] = "InteractionStateMessage"
    """The type of every notification."""
    id: str
    """The interaction's id, not the draft's (section 8)."""
    channel: Literal["email"] = "email"
    """The media channel."""
    email_object: ReplyEmail = _key("email_object")
    """The draft."""
    interaction_type: Literal["Email"] = "Email"
    """The kind of interaction."""
    interaction_sub_type: Literal["OutboundReply"] = "OutboundReply"
    """The mail goes out."""
    received_at: str
    """When the interaction was submitted: UTC, ISO 8601, whole seconds, `Z`."""
    state: Literal["ReplyCreated"] = "ReplyCreated"
    """The state."""
    capabilities: tuple[str, ...]
    """The operations that are permitted next."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Left:
    """The interaction left the agent's desk: `Revoked`, and every state not on the page."""

    message_type_name: Literal["InteractionStateMessage"] = "InteractionStateMessage"
    """The type of every notification."""
    id: str
    """The interaction's id."""
    channel: Literal["email"] = "email"
    """The media channel."""
    email_object: SubjectEmail = _key("email_object")
    """Which mail it was."""
    state: str
    """The state."""
    capabilities: tuple[str, ...]
    """The operations that are permitted next, usually none."""


Notification: TypeAlias = Invited | Accepted | ReplyCreated | Left
"""One of the documented messages."""
