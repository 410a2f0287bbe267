"""L6. Records as rows of the SQL stores, and back; times are microseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import orjson

from lifecycle._stored import (
    read_outcome,
    read_submission,
    write_outcome,
)
from lifecycle.errors import StoreCorrupt
from lifecycle.records import (
    Agent,
    Delivery,
    Entry,
    Figures,
    Outcome,
    Outgoing,
    Stream,
)

Row: TypeAlias = tuple[Any, ...]

AGENT = "id, version, ready, reason, load, missed, sequence, gone, away_at, sessions"
"""The columns that `agent_of` reads."""
STREAM = "id, delivered, tries, retry_at, absent, connects, parked"
"""The columns that `stream_of` reads."""
DELIVERY = 'agent_id, sequence, topic, interaction_id, offer, "trigger", at, payload'
"""The columns that `delivery_of` reads."""
MAIL = "message_id, interaction_id, queue, sender, recipients, at, message, tries, retry_at, parked"
"""The columns that `mail_of` reads."""
ENTRY = 'interaction_id, version, at, actor, "trigger", source, dest, offer, agent_id, sequence'
"""The columns that `entry_of` reads."""
ORPHANS = (
    (
        "SELECT id FROM interactions i WHERE NOT EXISTS "
        "(SELECT 1 FROM submissions s WHERE s.id = i.id)",
        "interaction {0}: its submission is missing",
    ),
    (
        "SELECT id FROM submissions s WHERE NOT EXISTS "
        "(SELECT 1 FROM interactions i WHERE i.id = s.id)",
        "submission {0}: its interaction is missing",
    ),
    (
        "SELECT DISTINCT interaction_id FROM history h WHERE NOT EXISTS "
        "(SELECT 1 FROM interactions i WHERE i.id = h.interaction_id)",
        "history of {0}: its interaction is missing",
    ),
    (
        "SELECT id, owner FROM contents c WHERE owner IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM interactions i WHERE i.id = c.owner)",
        "content {0}: its interaction {1} is missing",
    ),
    (
        "SELECT DISTINCT agent_id FROM deliveries d WHERE NOT EXISTS "
        "(SELECT 1 FROM agents a WHERE a.id = d.agent_id)",
        "deliveries of {0}: the agent is missing",
    ),
)
"""What finds rows that belong to nothing, and what is to be said of each."""

ANY_TIME = 0
"""When something can be tried that has never failed: always, whatever the clock says."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A time as microseconds since 1970, which is how times are stored."""
    return (at - _EPOCH) // _MICROSECOND


def optional_micros(at: datetime | None) -> int | None:
    """A time as stored, or none."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The time of what `micros` gave."""
    return _EPOCH + timedelta(microseconds=stored)


def optional_moment(stored: int | None) -> datetime | None:
    """The time of what `optional_micros` gave."""
    return None if stored is None else moment(stored)


def entry_row(entry: Entry) -> Row:
    return (
        entry.interaction_id,
        entry.version,
        micros(entry.at),
        entry.actor,
        entry.trigger,
        entry.source,
        entry.dest,
        entry.offer,
        entry.agent_id,
        entry.sequence,
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """The line of history of a row of `Group.history`."""
    id, version, at, actor, trigger, source, dest, offer, agent_id, sequence = row
    return Entry(
        interaction_id=id,
        version=version,
        at=moment(at),
        actor=actor,
        trigger=trigger,
        source=source,
        dest=dest,
        offer=offer,
        agent_id=agent_id,
        sequence=sequence,
    )


def delivery_of(row: Sequence[Any]) -> Delivery:
    """The delivery of a row of `Group.deliveries`."""
    agent_id, sequence, topic, interaction_id, offer, trigger, at, payload = row
    return Delivery(
        agent_id=agent_id,
        sequence=sequence,
        topic=topic,
        interaction_id=interaction_id,
        offer=offer,
        trigger=trigger,
        at=moment(at),
        payload=payload,
    )


def agent_of(row: Sequence[Any]) -> Agent:
    """The agent of a row of `Group.stored_agents`."""
    id, version, ready, reason, load, missed, sequence, gone, away_at, sessions = row
    return Agent(
        id=id,
        version=version,
        ready=bool(ready),
        reason=reason,
        load=load,
        missed=missed,
        sequence=sequence,
        gone=bool(gone),
        away_at=optional_moment(away_at),
        sessions=() if sessions == "[]" else _sessions(id, sessions),
    )


def _sessions(agent_id: str, stored: str) -> tuple[str, ...]:
    try:
        return tuple(orjson.loads(stored))
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(
            f"the stored agent cannot be read: {error}",
            agent_id=agent_id,
            path="$.sessions",
            value=stored,
        ) from None


def stream_of(row: Sequence[Any]) -> Stream:
    """The stream of agent id, delivered, tries, retry_at, absent, connects, parked."""
    agent_id, delivered, tries, retry_at, absent, connects, parked = row
    return Stream(
        agent_id=agent_id,
        delivered=delivered,
        tries=tries,
        retry_at=optional_moment(retry_at),
        absent=bool(absent),
        connects=connects,
        parked=bool(parked),
    )


def mail_row(mail: Outgoing) -> Row:
    return (
        mail.message_id,
        mail.interaction_id,
        mail.queue,
        mail.sender,
        orjson.dumps(mail.recipients).decode(),
        micros(mail.at),
        mail.message,
    )


def mail_of(row: Sequence[Any]) -> Outgoing:
    """The mail of a row of `Group.outgoing`, followed by tries, retry_at and parked."""
    message_id, interaction_id, queue, sender, recipients, at, message, *state = row
    tries, retry_at, parked = state
    return Outgoing(
        message_id=message_id,
        interaction_id=interaction_id,
        queue=queue,
        sender=sender,
        recipients=tuple(orjson.loads(recipients)),
        at=moment(at),
        message=message,
        tries=tries,
        retry_at=optional_moment(retry_at),
        parked=bool(parked),
    )


def figures_of(row: Sequence[Any]) -> Figures:
    """The figures of overdue, waiting, oldest, stopped, mails and parked mails."""
    overdue, waiting, oldest, stopped, mails, parked_mails = row
    return Figures(
        overdue=overdue,
        waiting=waiting,
        oldest=optional_moment(oldest),
        stopped=stopped,
        mails=mails,
        parked_mails=parked_mails,
    )


def outcome_row(outcome: Outcome) -> Row:
    """Operation id, fingerprint, at, interaction id, data."""
    return (
        outcome.operation_id,
        outcome.fingerprint,
        micros(outcome.at),
        outcome.concerns,
        write_outcome(outcome).decode(),
    )


def outcome_of(row: Sequence[Any], submission: str | None) -> Outcome:
    """The outcome of a row, with the submission of the interaction that it concerns as stored."""
    operation_id, fingerprint, at, concerns, data = row
    return read_outcome(
        data,
        operation_id=operation_id,
        fingerprint=fingerprint,
        at=moment(at),
        submission=None if submission is None else read_submission(submission, concerns),
    )


def ready_at(
    *, pending: bool, stopped: bool, retry_at: int | None, lease_until: int | None
) -> int | None:
    """When something can be tried in a stream or with a mail; None for not by itself.

    Arguments:
        pending: whether there is something to try.
        stopped: whether it is parked, or waits for the agent.
        retry_at: before which it is not to be tried again.
        lease_until: until when somebody has it.
    """
    if not pending or stopped:
        return None
    return max(retry_at or ANY_TIME, lease_until or ANY_TIME)
