"""L0. The words of the lifecycle (semantics 1 to 3), each equal to its wire name.

A table may be extended with names of its own, so states and triggers are strings
everywhere; the shipped ones are members of these enumerations besides.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, Literal, TypeAlias


class State(StrEnum):
    """The ten states of an interaction (semantics 2)."""

    QUEUED = "Queued"
    INVITED = "Invited"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    REVOKED = "Revoked"
    REPLY_CREATED = "ReplyCreated"
    TRANSFERRED = "Transferred"
    IN_WORKBIN = "InWorkbin"
    SENT = "Sent"
    COMPLETED = "Completed"


class Operation(StrEnum):
    """What an agent may ask for, in the one global order of capabilities (semantics 3)."""

    ACCEPT = "Accept"
    REJECT = "Reject"
    TRANSFER = "Transfer"
    REPLY = "Reply"
    REPLY_ALL = "ReplyAll"
    STOP_PROCESSING = "StopProcessing"
    PLACE_IN_QUEUE = "PlaceInQueue"
    CANCEL = "Cancel"
    SEND = "Send"
    PLACE_IN_WORKBIN = "PlaceInWorkbin"
    UPDATE_PROPERTIES = "UpdateProperties"
    LINK_ATTACHMENT = "LinkAttachment"


class Trigger(StrEnum):
    """Everything that can move an interaction: the operations, system events and Pull."""

    INVITE = "Invite"
    ACCEPT = "Accept"
    REJECT = "Reject"
    REVOKE = "Revoke"
    RETURN = "Return"
    CLOSE = "Close"
    TRANSFER = "Transfer"
    REPLY = "Reply"
    REPLY_ALL = "ReplyAll"
    STOP_PROCESSING = "StopProcessing"
    PLACE_IN_QUEUE = "PlaceInQueue"
    PLACE_IN_WORKBIN = "PlaceInWorkbin"
    UPDATE_PROPERTIES = "UpdateProperties"
    PULL = "Pull"
    CANCEL = "Cancel"
    SEND = "Send"
    LINK_ATTACHMENT = "LinkAttachment"


class Who(StrEnum):
    """Who may take a row of the table (semantics 2)."""

    SYSTEM = "system"
    INVITED_AGENT = "invited agent"
    OWNER = "owner"
    WORKBIN_AGENT = "an agent of the workbin"
    ANY_AGENT = "any agent"
    """Not used by the shipped table; for rows of a team's own, such as a reviewer's."""


class System(Enum):
    """The type of `SYSTEM`."""

    SYSTEM = "system"


SYSTEM: Final = System.SYSTEM
"""The actor of system events; no agent id can be equal to it."""

Actor: TypeAlias = str | Literal[System.SYSTEM]
"""Who performs a command: an agent id, or `SYSTEM`."""
