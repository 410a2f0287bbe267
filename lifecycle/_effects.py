"""L2. What the rows of the table change (semantics 2) and when their timers expire (5).

An effect writes to a `Change`, which is the interaction as it was before the step but for
its version, and refuses what depends on the interaction. The step itself sets the state and
the deadline, and takes the holder away where nobody holds the new state.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs

from lifecycle._drafts import derive, edited, recipients, resume
from lifecycle.commands import (
    Accept,
    Close,
    Invite,
    LinkAttachment,
    PlaceInQueue,
    PlaceInWorkbin,
    Reject,
    Reply,
    Revoke,
    Send,
    StopProcessing,
    UpdateProperties,
    wire_name,
)
from lifecycle.commands import Transfer as TransferCommand
from lifecycle.errors import DeadlinePassed, InternalError, InvalidParameter, StaleOffer
from lifecycle.interaction import Change, Draft, Limits, Parking, Transfer
from lifecycle.vocabulary import Actor

_DRAFT_FIELDS = ("subject", "text", "structured_text", "to_address", "cc_addresses")


def invite(change: Change, command: Invite, actor: Actor, at: datetime, limits: Limits) -> None:
    """A new offer to the invited agent."""
    change.agent_id = command.agent_id
    change.offer += 1


def accept(change: Change, command: Accept, actor: Actor, at: datetime, limits: Limits) -> None:
    """The invited agent becomes the owner; the transfer has arrived."""
    _check_offer(change, command.offer)
    if change.deadline is not None and at >= change.deadline:
        raise DeadlinePassed("the offer has expired", value=change.deadline)
    change.transfer = None


def reject(change: Change, command: Reject, actor: Actor, at: datetime, limits: Limits) -> None:
    """The invited agent declines."""
    _check_offer(change, command.offer)
    change.reason = command.reason


def _check_offer(change: Change, offer: int | None) -> None:
    if offer is not None and offer != change.offer:
        raise StaleOffer(f"the present offer is number {change.offer}", path="$.offer", value=offer)


def revoke(change: Change, command: Revoke, actor: Actor, at: datetime, limits: Limits) -> None:
    """Owner and workbin are lost; a draft is kept."""
    change.parking = None
    change.reason = command.reason


def give_back(change: Change, command: object, actor: Actor, at: datetime, limits: Limits) -> None:
    """The origin of the transfer owns it again."""
    change.agent_id = change.transfer_origin
    change.transfer = None


def close(change: Change, command: Close, actor: Actor, at: datetime, limits: Limits) -> None:
    """The reason is recorded; a transfer is no longer outstanding."""
    change.transfer = None
    change.reason = command.reason


def transfer(
    change: Change, command: TransferCommand, actor: Actor, at: datetime, limits: Limits
) -> None:
    """Target and origin are recorded, and when it returns."""
    origin = change.agent_id
    if origin is None or command.agent_id == origin:
        raise InvalidParameter("must be another agent", path="$.agentId", value=command.agent_id)
    change.transfer = Transfer(
        origin=origin,
        agent_id=command.agent_id,
        skill=command.skill,
        deadline=at + limits.transfer_timeout,
    )


def reply(change: Change, command: Reply, actor: Actor, at: datetime, limits: Limits) -> None:
    """The kept draft is resumed, or a first one is derived from the mail."""
    if change.draft is not None:
        change.draft = resume(change, change.draft, command)
    else:
        change.drafts += 1
        change.draft = derive(change, command)


def stop_processing(
    change: Change, command: StopProcessing, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The end without a reply: a kept draft is discarded."""
    change.draft = None
    change.reason = command.reason


def place_in_queue(
    change: Change, command: PlaceInQueue, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The named queue is the current one."""
    change.queue = command.queue


def place_in_workbin(
    change: Change, command: PlaceInWorkbin, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The workbin and the state that it was parked from are recorded."""
    change.parking = Parking(workbin=command.workbin, source=change.state)


def update_properties(
    change: Change, command: UpdateProperties, actor: Actor, at: datetime, limits: Limits
) -> None:
    """User data and comment; there is no reply whose fields could be edited."""
    for name, value in _edits(command).items():
        raise InvalidParameter(
            "no reply is being written", path=f"$.{wire_name(name)}", value=value
        )
    _set_properties(change, command)


def update_draft(
    change: Change, command: UpdateProperties, actor: Actor, at: datetime, limits: Limits
) -> None:
    """User data and comment, and the fields of the draft."""
    _set_properties(change, command)
    change.draft = _edited(change.draft, command)


def _set_properties(change: Change, command: UpdateProperties) -> None:
    change.user_data = change.user_data.changed(command.user_data, command.delete_keys)
    if command.comment is not None:
        change.comment = command.comment


def pull(change: Change, command: object, actor: Actor, at: datetime, limits: Limits) -> None:
    """The agent who pulls owns it."""
    change.agent_id = str(actor)
    change.parking = None


def cancel(change: Change, command: object, actor: Actor, at: datetime, limits: Limits) -> None:
    """The draft is discarded."""
    change.draft = None


def send(change: Change, command: Send, actor: Actor, at: datetime, limits: Limits) -> None:
    """The last edits are made; the draft stands as it is sent."""
    draft = edited(_edited(change.draft, command), {"queue": command.queue})
    if not recipients(draft):
        raise InvalidParameter(
            "the reply has no recipient", path="$.toAddress", value=draft.to_address
        )
    change.draft = draft


def link_attachment(
    change: Change, command: LinkAttachment, actor: Actor, at: datetime, limits: Limits
) -> None:
    """The attachment is added to the draft."""
    draft = _written(change.draft)
    if any(linked.id == command.attachment.id for linked in draft.attachments):
        raise InvalidParameter(
            "is linked already", path="$.attachment.id", value=command.attachment.id
        )
    change.draft = attrs.evolve(draft, attachments=(*draft.attachments, command.attachment))


def _edits(command: UpdateProperties | Send) -> dict[str, Any]:
    values = {name: getattr(command, name) for name in _DRAFT_FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _edited(draft: Draft | None, command: UpdateProperties | Send) -> Draft:
    return edited(_written(draft), _edits(command))


def _written(draft: Draft | None) -> Draft:
    if draft is None:
        raise InternalError("there is no draft where one is being written")
    return draft


def delivering(change: Change, command: Invite, at: datetime, limits: Limits) -> datetime | None:
    """delivering"""
    if command.delivering_timeout is None:
        return at + limits.delivering_timeout
    return at + timedelta(seconds=command.delivering_timeout)


def handling(change: Change, command: object, at: datetime, limits: Limits) -> datetime | None:
    """handling"""
    return at + limits.handling_timeout


def returning(change: Change, command: object, at: datetime, limits: Limits) -> datetime | None:
    """transfer, while one is outstanding; at once where it is to an agent"""
    if change.transfer is None:
        return None
    return at if change.transfer.agent_id is not None else change.transfer.deadline
