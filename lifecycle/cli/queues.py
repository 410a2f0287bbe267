"""L8. `lifecycle history`, `agents`, `queue`, `deliveries`, `outgoing`: what a store has to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import attrs
import orjson
import typer

from lifecycle.cli._stores import (
    AsJson,
    StoreAddress,
    entry_object,
    fail,
    print_json,
    print_table,
    run,
    service,
    shortened,
)
from lifecycle.interaction import Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Delivery, Outgoing, Stream
from lifecycle.service import Lifecycle

_PAGE = 500

Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]


def history(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of which interaction.")],
    store: StoreAddress,
    json: AsJson = False,
) -> None:
    """Print what happened to an interaction, by whom, and who was notified, oldest first."""

    async def work(opened: Store) -> int:
        lines = await service(opened).history(id)
        if json:
            for entry in lines:
                print_json(entry_object(entry))
            return 0
        print_table(
            ("version", "at", "trigger", "from", "to", "by", "notified", "sequence", "offer"),
            (
                (one.version, _time(one.at), one.trigger, one.source, one.dest,
                 one.actor or "system", one.agent_id, one.sequence, one.offer)
                for one in lines
            ),
        )  # fmt: skip
        return 0

    run("history", store, work)


def agents(store: StoreAddress, json: AsJson = False) -> None:
    """Print every agent: readiness, load, sessions, and how far deliveries have come."""

    async def work(opened: Store) -> int:
        rows = [(one, await opened.stream(one.id)) for one in await opened.agents()]
        if json:
            for agent, stream in rows:
                print_json(_agent(agent, stream))
            return 0
        print_table(
            ("agent", "ready", "reason", "load", "missed", "sessions", "delivered", "waiting",
             "stopped"),
            (
                (agent.id, agent.ready, agent.reason, agent.load, agent.missed,
                 len(agent.sessions), stream.delivered, agent.sequence - stream.delivered,
                 stream.parked)
                for agent, stream in rows
            ),
        )  # fmt: skip
        return 0

    run("agents", store, work)


def queue(
    store: StoreAddress,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only what waits in this queue.", show_default=False),
    ] = None,
    limit: Limit = 100,
    json: AsJson = False,
) -> None:
    """Print what waits to be offered to somebody, oldest first."""

    async def work(opened: Store) -> int:
        waiting = await opened.waiting(name, limit=limit)
        if json:
            for one in waiting:
                print_json(_waiting(one))
            return 0
        print_table(
            ("interaction", "queue", "state", "received", "offers", "from", "subject"),
            (
                (one.id, one.queue, one.state, one.submission.received_at, one.offer,
                 shortened(one.email.from_address), shortened(one.email.subject))
                for one in waiting
            ),
        )  # fmt: skip
        return 0

    run("queue", store, work)


def deliveries(
    store: StoreAddress,
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT]",
            help="Print the deliveries that wait for this agent.",
            show_default=False,
        ),
    ] = None,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only streams that have stopped, and where.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(metavar="AGENT", help="Try again where this agent's stream stopped."),
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(metavar="AGENT", help="Give up the delivery where this agent's stopped."),
    ] = None,
    limit: Limit = 100,
    json: AsJson = False,
) -> None:
    """Print how far the deliveries to agents have come, or go on where they stopped.

    With AGENT: what waits for that agent, in order; with --json, the notifications too.
    """
    if (agent is not None) + parked + (release is not None) + (drop is not None) > 1:
        fail("deliveries", "give one of AGENT, --parked, --release and --drop")

    async def work(opened: Store) -> int:
        if agent is not None:
            after = (await opened.stream(agent)).delivered
            _print_waiting(await opened.deliveries(agent, after, limit), json=json)
        elif release is not None:
            _print_stream(await service(opened).release(release), "released", json=json)
        elif drop is not None:
            _print_stream(await service(opened).drop(drop), "dropped", json=json)
        else:
            await _print_streams(opened, parked=parked, json=json)
        return 0

    run("deliveries", store, work)


def _print_waiting(found: tuple[Delivery, ...], *, json: bool) -> None:
    if json:
        for one in found:
            print_json(orjson.Fragment(one.line()))
        return
    print_table(
        ("sequence", "at", "trigger", "interaction", "offer"),
        ((one.sequence, _time(one.at), one.trigger, one.interaction_id, one.offer)
         for one in found),
    )  # fmt: skip


def _print_stream(stream: Stream, done: str, *, json: bool) -> None:
    if json:
        print_json({"agentId": stream.agent_id, done: True, "delivered": stream.delivered})
    else:
        print_table(("agent", "done", "delivered"), [(stream.agent_id, done, stream.delivered)])


async def _print_streams(opened: Store, *, parked: bool, json: bool) -> None:
    streams = list(await opened.streams(parked=True))
    if not parked:
        streams += await opened.streams(parked=False)
    rows: list[tuple[Stream, int, Delivery | None]] = []
    for stream in sorted(streams, key=lambda one: one.agent_id):
        agent = await opened.agent(stream.agent_id)
        waiting = 0 if agent is None else agent.sequence - stream.delivered
        first = await opened.deliveries(stream.agent_id, stream.delivered, 1)
        rows.append((stream, waiting, first[0] if first else None))
    if json:
        for row in rows:
            print_json(_stream(*row))
        return
    print_table(
        ("agent", "delivered", "waiting", "tries", "retry", "absent", "stopped", "next", "about"),
        (
            (stream.agent_id, stream.delivered, waiting, stream.tries,
             stream.retry_at and _time(stream.retry_at), stream.absent, stream.parked,
             first and first.trigger, first and first.interaction_id)
            for stream, waiting, first in rows
        ),
    )  # fmt: skip


def outgoing(
    store: StoreAddress,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only mail that failed for good, or too often.")
    ] = False,
    release: Annotated[
        str | None, typer.Option(metavar="ID", help="Try the parked mail of this Message-ID again.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="ID", help="Give up the mail of this Message-ID.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Print replies that the mailer does not have, oldest first, or go on with one of them.

    A Message-ID may be given with its angle brackets or without.
    """
    if parked + (release is not None) + (drop is not None) > 1:
        fail("outgoing", "give one of --parked, --release and --drop")

    async def work(opened: Store) -> int:
        lifecycle = service(opened)
        if release is not None:
            await _change_mail(lifecycle.release_mail, release, "released", json=json)
        elif drop is not None:
            await _change_mail(lifecycle.drop_mail, drop, "dropped", json=json)
        else:
            await _print_mails(lifecycle, parked=parked, json=json)
        return 0

    run("outgoing", store, work)


async def _change_mail(
    change: Callable[[str], Awaitable[None]], id: str, done: str, *, json: bool
) -> None:
    message_id = id if id.startswith("<") else f"<{id}>"
    await change(message_id)
    if json:
        print_json({"messageId": message_id, done: True})
    else:
        print_table(("mail", "done"), [(message_id, done)])


async def _print_mails(lifecycle: Lifecycle, *, parked: bool, json: bool) -> None:
    mails = await lifecycle.outgoing(parked=True if parked else None)
    if json:
        for one in mails:
            print_json(_mail(one))
        return
    print_table(
        ("mail", "interaction", "queue", "sent", "to", "bytes", "tries", "retry", "parked"),
        (
            (one.message_id, one.interaction_id, one.queue, _time(one.at),
             shortened(", ".join(one.recipients)), len(one.message), one.tries,
             one.retry_at and _time(one.retry_at), one.parked)
            for one in mails
        ),
    )  # fmt: skip


# The objects that --json prints: their keys are stable


def _agent(agent: Agent, stream: Stream) -> dict[str, Any]:
    return {
        "agentId": agent.id,
        "ready": agent.ready,
        "reason": agent.reason,
        "load": agent.load,
        "missed": agent.missed,
        "sessions": len(agent.sessions),
        "gone": agent.gone,
        "awayAt": agent.away_at,
        "sequence": agent.sequence,
        "delivered": stream.delivered,
        "absent": stream.absent,
        "stopped": stream.parked,
    }


def _waiting(one: Interaction) -> dict[str, Any]:
    return {
        "interactionId": one.id,
        "queue": one.queue,
        "state": one.state,
        "receivedAt": one.submission.received_at,
        "version": one.version,
        "offer": one.offer,
        "fromAddress": one.email.from_address,
        "subject": one.email.subject,
    }


def _stream(stream: Stream, waiting: int, first: Delivery | None) -> dict[str, Any]:
    return {
        "agentId": stream.agent_id,
        "delivered": stream.delivered,
        "waiting": waiting,
        "tries": stream.tries,
        "retryAt": stream.retry_at,
        "absent": stream.absent,
        "stopped": stream.parked,
        "next": None if first is None else {
            "sequence": first.sequence,
            "interactionId": first.interaction_id,
            "trigger": first.trigger,
            "at": first.at,
        },
    }  # fmt: skip


def _mail(mail: Outgoing) -> dict[str, Any]:
    kept = attrs.asdict(mail)
    return {
        "messageId": kept["message_id"],
        "interactionId": kept["interaction_id"],
        "queue": kept["queue"],
        "at": kept["at"],
        "sender": kept["sender"],
        "recipients": kept["recipients"],
        "bytes": len(mail.message),
        "tries": kept["tries"],
        "retryAt": kept["retry_at"],
        "parked": kept["parked"],
    }


def _time(at: Any) -> str:
    """A time to the second, UTC, as a person reads it."""
    return f"{at:%Y-%m-%d %H:%M:%S}"
