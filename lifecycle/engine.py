"""L4. Submit and step (semantics 2, 4, 5, 7). Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import attrs

from lifecycle._machine import StepTable
from lifecycle._values import maker
from lifecycle.commands import (
    Command,
    Invite,
    Return,
    Revoke,
    check_attachment,
    check_text,
    wire_name,
)
from lifecycle.emitters import EMITTERS, left
from lifecycle.errors import InvalidParameter, LifecycleError, NotPermitted, TableError
from lifecycle.interaction import (
    DEFAULT_LIMITS,
    MESSAGE_ID,
    RECEIVED_AT,
    Email,
    Interaction,
    Limits,
    Submission,
    UserData,
    is_id,
    is_text,
    seal,
)
from lifecycle.table import EMAIL, Row, Table
from lifecycle.vocabulary import SYSTEM, Actor, State, Trigger


@attrs.frozen(kw_only=True, weakref_slot=False)
class Step:
    """What one command did (semantics 4)."""

    interaction: Interaction
    """The interaction after it, one version later."""
    notification: Any
    """The notification that it produced, None where nobody is to be notified."""
    agent_id: str | None
    """Whom the notification is for, None where there is none."""
    row: Row
    """The row of the table that was taken."""


_make_step = maker(Step)
_EMAIL_TEXTS = (
    "subject",
    "from_address",
    "to_address",
    "reply_to",
    "text",
    "structured_text",
    "mime_type",
    "structured_text_mime_type",
)


@lru_cache(maxsize=32)
def compiled(table: Table) -> StepTable:
    """The step table of a rule table, compiled on first use and then shared."""
    return StepTable(table, lambda rule: rule.emitter or EMITTERS.get(rule.name, left))


def submit(
    email: Email,
    *,
    id: str,
    queue: str | None,
    at: datetime,
    user_data: Mapping[str, Any] | None = None,
    our_addresses: Sequence[str] = (),
    in_queues: Sequence[str] = (),
    out_queues: Sequence[str] = (),
    contact_id: str | None = None,
    comment: str | None = None,
    table: Table = EMAIL,
) -> Interaction:
    """Make an interaction of a mail (semantics 2, 4).

    Arguments:
        email: the mail.
        id: the interaction's id: ASCII letters and digits.
        queue: the queue that it comes into, None where unknown.
        at: now, with a time zone.
        user_data: attached data, validated as section 4 says.
        our_addresses: the contact centre's own addresses, bare.
        in_queues: queues that it may be placed in.
        out_queues: queues that a reply may be placed in.
        contact_id: the sender's id in the contact database.
        comment: notes.
        table: the rule table, whose first state is the initial one.

    Returns: version 0 of the interaction, in the initial state.
    Raises `InvalidParameter`, with its `$.path`, for a bad id, time, user data, or a value of
    a wrong type.
    """
    if not is_id(id):
        raise InvalidParameter("must be letters and digits", path="$.id", value=id)
    _check_email(email)
    _check_time(at)
    texts = {"queue": queue, "contactId": contact_id, "comment": comment}
    for name, value in texts.items():
        if value is not None:
            check_text(f"$.{name}", value)
    if queue is not None and "\0" in queue:
        raise InvalidParameter("must not hold a NUL", path="$.queue", value=queue)
    lists = {"ourAddresses": our_addresses, "inQueues": in_queues, "outQueues": out_queues}
    for name, values in lists.items():
        _check_texts(values, f"$.{name}")
    submission = Submission(
        id=id,
        email=email,
        received_at=at.astimezone(UTC).strftime(RECEIVED_AT),
        our_addresses=tuple(our_addresses),
        in_queues=tuple(in_queues),
        out_queues=tuple(out_queues),
        contact_id=contact_id,
    )
    return Interaction(
        submission,
        0,
        table.initial,
        queue,
        user_data=UserData.of({} if user_data is None else user_data),
        comment=comment,
    )


def _check_email(email: Any) -> None:
    if not isinstance(email, Email):
        raise InvalidParameter("must be an Email", path="$.email", value=email)
    for name in _EMAIL_TEXTS:
        check_text(f"$.email.{wire_name(name)}", getattr(email, name))
    for name in ("cc_addresses", "references"):
        _check_texts(getattr(email, name), f"$.email.{wire_name(name)}")
    if email.message_id is not None:
        _check_message_id(email.message_id, "$.email.messageId")
    for index, message_id in enumerate(email.references):
        _check_message_id(message_id, f"$.email.references[{index}]")
    if email.date is not None:
        _check_time(email.date, "$.email.date")
    for name in ("is_auto_reply", "is_delivery_report"):
        if not isinstance(getattr(email, name), bool):
            raise InvalidParameter(
                "must be true or false",
                path=f"$.email.{wire_name(name)}",
                value=getattr(email, name),
            )
    if not isinstance(email.attachments, tuple):
        raise InvalidParameter(
            "must be a tuple", path="$.email.attachments", value=email.attachments
        )
    for index, attachment in enumerate(email.attachments):
        check_attachment(attachment, f"$.email.attachments[{index}]", check_text)


def _check_message_id(value: Any, path: str) -> None:
    check_text(path, value)
    if not MESSAGE_ID.fullmatch(value):
        raise InvalidParameter("must be a Message-ID in angle brackets", path=path, value=value)


def _check_time(at: Any, path: str = "$.at") -> None:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidParameter("must be a time with its zone", path=path, value=at)


def _check_texts(values: Any, path: str) -> None:
    if not isinstance(values, (list, tuple)):
        raise InvalidParameter("must be a list", path=path, value=values)
    for index, value in enumerate(values):
        check_text(f"{path}[{index}]", value)


def _is_agent(actor: object) -> bool:
    return isinstance(actor, str) and actor != "" and is_text(actor)


def step(
    interaction: Interaction,
    command: Command,
    *,
    actor: Actor,
    at: datetime,
    table: Table = EMAIL,
    limits: Limits = DEFAULT_LIMITS,
) -> Step:
    """Take an interaction one transition further (semantics 2).

    Arguments:
        interaction: the present value; it is not changed.
        command: what is asked for.
        actor: the agent's id, or `SYSTEM`.
        at: now, with a time zone.
        table: the rule table.
        limits: the configured durations.

    Returns: the next value, of version + 1, with the notification and whom it is for: the
    agent who holds the interaction after it, or else the one who held it before (section 4).
    Raises, with id, state, trigger, capabilities and agent as fields: `NotValidInState` (also
    `StaleOffer`, `DeadlinePassed`), `NotPermitted`, `InvalidParameter` (also
    `UnknownOperation`). Membership of a workbin is for the caller to check.
    """
    machine = compiled(table)
    try:
        trigger = command.trigger
    except AttributeError:
        raise InvalidParameter("must be a command", path="$", value=command) from None
    try:
        move = machine.move(interaction, trigger)
        if command.__class__ is not move.command and not isinstance(command, move.command):
            raise InvalidParameter(f"must be a {move.command.__name__}", path="$", value=command)
        if move.by_system:
            permitted = actor is SYSTEM
        elif move.by_holder:
            permitted = actor == interaction.agent_id
        else:
            permitted = _is_agent(actor)
        if not permitted:
            raise NotPermitted(f"only {move.row.who} may", value=actor)
        if at.__class__ is not datetime or at.tzinfo is not UTC:
            _check_time(at)
            at = at.astimezone(UTC)
        change = interaction.change()
        effect, timer, emitter = move.effect, move.timer, move.emitter  # no methods: faster so
        if effect is not None:
            effect(change, command, actor, at, limits)
        change.state = move.dest
        if not move.held:
            change.agent_id = None
        elif change.agent_id is None:
            raise TableError(f"{move.row} leaves nobody to hold {move.dest}")
        change.deadline = None if timer is None else timer(change, command, at, limits)
    except LifecycleError as error:
        _complete(error, machine, interaction, trigger, actor)
        raise
    following = seal(change)
    agent_id = following.agent_id or interaction.agent_id
    notification = None if agent_id is None else emitter(following, move.capabilities)
    return _make_step(
        interaction=following, notification=notification, agent_id=agent_id, row=move.row
    )


def _complete(
    error: LifecycleError, machine: StepTable, interaction: Interaction, trigger: str, actor: Actor
) -> None:
    """Say in a refusal what was refused, to whom, and what is allowed instead (section 7)."""
    error.interaction_id = interaction.id
    error.state = interaction.state
    error.trigger = trigger
    error.agent_id = None if actor is SYSTEM else actor
    if interaction.state in machine.cells:
        error.capabilities = machine.table.capabilities(interaction.state)


def expiry(interaction: Interaction, table: Table = EMAIL) -> tuple[Command, ...]:
    """What the system does when the deadline of an interaction has passed (semantics 5).

    Returns: commands of the system, the first of which that is not refused is performed: the
    Invite of the agent whom it was transferred to, else Return; Return where a transfer is
    outstanding and nobody is invited; else Revoke. An empty tuple where no timer runs.
    """
    if interaction.deadline is None:
        return ()
    transfer = interaction.transfer
    if transfer is None or table.by_name[interaction.state].held:
        return (Revoke(),)
    if transfer.agent_id is not None and interaction.state == State.TRANSFERRED:
        return (Invite(agent_id=transfer.agent_id), Return())
    return (Return(),)


def follow_up_due(interaction: Interaction) -> bool:
    """Whether the system itself goes on with it at once, so that it is not waiting (5)."""
    transfer = interaction.transfer
    return transfer is not None and transfer.agent_id is not None and interaction.agent_id is None


def is_waiting(interaction: Interaction, table: Table = EMAIL) -> bool:
    """Whether it waits to be offered by a router: it can be, and no follow-up is due (5)."""
    offered = (interaction.state, Trigger.INVITE.value) in table.cells
    return offered and not follow_up_due(interaction)
