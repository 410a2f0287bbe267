"""L3. From an interaction to the notification of its state (semantics 4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lifecycle._values import kept, maker
from lifecycle.errors import InternalError
from lifecycle.interaction import Draft, Interaction, Submission
from lifecycle.notifications import (
    Accepted,
    AcceptedEmail,
    Invited,
    InvitedEmail,
    Left,
    ReplyCreated,
    ReplyEmail,
    SubjectEmail,
)
from lifecycle.table import Emitter
from lifecycle.vocabulary import State

_make_invited = maker(Invited)
_make_invited_email = maker(InvitedEmail)
_make_accepted = maker(Accepted)
_make_accepted_email = maker(AcceptedEmail)
_make_reply_created = maker(ReplyCreated)
_make_reply_email = maker(ReplyEmail)
_make_left = maker(Left)
_make_subject_email = maker(SubjectEmail)


def invited(interaction: Interaction, capabilities: tuple[str, ...]) -> Invited:
    """The invitation, for the invited agent."""
    submission = interaction.submission
    return _make_invited(
        id=submission.id,
        email_object=_make_invited_email(
            subject=submission.email.subject, interaction_id=submission.id
        ),
        user_data=interaction.user_data,
        current_queue=interaction.queue,
        capabilities=capabilities,
    )


def accepted(interaction: Interaction, capabilities: tuple[str, ...]) -> Accepted:
    """The whole mail, for its owner."""
    submission = interaction.submission
    return _make_accepted(
        id=submission.id,
        email_object=_accepted_email(submission, interaction.comment),
        user_data=interaction.user_data,
        current_queue=interaction.queue,
        in_queues=submission.in_queues,
        out_queues=submission.out_queues,
        received_at=submission.received_at,
        capabilities=capabilities,
    )


def reply_created(interaction: Interaction, capabilities: tuple[str, ...]) -> ReplyCreated:
    """The draft, for its owner."""
    if interaction.draft is None:
        raise InternalError("there is no draft to show", interaction_id=interaction.id)
    submission = interaction.submission
    return _make_reply_created(
        id=submission.id,
        email_object=_reply_email(interaction.draft),
        received_at=submission.received_at,
        capabilities=capabilities,
    )


def left(interaction: Interaction, capabilities: tuple[str, ...]) -> Left:
    """That the interaction left the desk, for the agent who held it."""
    submission = interaction.submission
    return _make_left(
        id=submission.id,
        email_object=_make_subject_email(subject=submission.email.subject),
        state=interaction.state,
        capabilities=capabilities,
    )


EMITTERS: Mapping[str, Emitter] = MappingProxyType(
    {
        State.INVITED.value: invited,
        State.ACCEPTED.value: accepted,
        State.REPLY_CREATED.value: reply_created,
    }
)
"""The emitters of the states that have a message of their own; `left` serves the others."""


def _length(shown: AcceptedEmail | ReplyEmail) -> int:
    texts = (shown.text, shown.structured_text, shown.subject, shown.to_address, shown.from_address)
    return sum(map(len, texts)) + sum(map(len, shown.cc_addresses))


@kept(_length)
def _accepted_email(submission: Submission, comment: str | None = None) -> AcceptedEmail:
    email = submission.email
    return _make_accepted_email(
        to_address=email.to_address,
        from_address=email.from_address,
        cc_addresses=email.cc_addresses,
        subject=email.subject,
        text=email.text,
        structured_text=email.structured_text,
        mime_type=email.mime_type,
        structured_text_mime_type=email.structured_text_mime_type,
        the_comment=comment,
        contact_id=submission.contact_id,
        attachments=email.attachments,
    )


@kept(_length)
def _reply_email(draft: Draft) -> ReplyEmail:
    return _make_reply_email(
        to_address=draft.to_address,
        from_address=draft.from_address,
        cc_addresses=draft.cc_addresses,
        subject=draft.subject,
        text=draft.text,
        structured_text=draft.structured_text,
        mime_type=draft.mime_type,
        structured_text_mime_type=draft.structured_text_mime_type,
    )
