"""The table of the specification (section 2), written down once more by hand for the checker."""

from __future__ import annotations

from typing import Final

ROWS: Final = frozenset(
    {
        ("Invite", "Queued", "Invited"),
        ("Invite", "Rejected", "Invited"),
        ("Invite", "Revoked", "Invited"),
        ("Invite", "Transferred", "Invited"),
        ("Accept", "Invited", "Accepted"),
        ("Reject", "Invited", "Rejected"),
        ("Revoke", "Invited", "Revoked"),
        ("Revoke", "Accepted", "Revoked"),
        ("Revoke", "ReplyCreated", "Revoked"),
        ("Revoke", "InWorkbin", "Revoked"),
        ("Return", "Transferred", "Accepted"),
        ("Return", "Rejected", "Accepted"),
        ("Return", "Revoked", "Accepted"),
        ("Close", "Queued", "Completed"),
        ("Close", "Rejected", "Completed"),
        ("Close", "Revoked", "Completed"),
        ("Transfer", "Accepted", "Transferred"),
        ("Reply", "Accepted", "ReplyCreated"),
        ("ReplyAll", "Accepted", "ReplyCreated"),
        ("StopProcessing", "Accepted", "Completed"),
        ("PlaceInQueue", "Accepted", "Queued"),
        ("PlaceInWorkbin", "Accepted", "InWorkbin"),
        ("PlaceInWorkbin", "ReplyCreated", "InWorkbin"),
        ("UpdateProperties", "Accepted", "Accepted"),
        ("UpdateProperties", "ReplyCreated", "ReplyCreated"),
        ("Pull", "InWorkbin", "ReplyCreated"),
        ("Pull", "InWorkbin", "Accepted"),
        ("Cancel", "ReplyCreated", "Accepted"),
        ("Send", "ReplyCreated", "Sent"),
        ("LinkAttachment", "ReplyCreated", "ReplyCreated"),
    }
)
"""Trigger, source and destination of the thirty rows."""

HELD: Final = frozenset({"Invited", "Accepted", "ReplyCreated"})
"""The states in which somebody holds an interaction."""
OWNED: Final = frozenset({"Accepted", "ReplyCreated"})
"""Those in which the holder owns it."""
FINAL: Final = frozenset({"Sent", "Completed"})
OF_SYSTEM: Final = frozenset({"Invite", "Revoke", "Return", "Close"})
"""The triggers that only the system may."""
OF_INVITED: Final = frozenset({"Accept", "Reject"})
"""The triggers of the invited agent; those of neither set are the owner's, but for Pull."""
