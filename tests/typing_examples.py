"""How the public API types: checked by mypy with the tests, and never run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import cattrs
from cattrs.preconf.orjson import OrjsonConverter

from lifecycle import (
    EMAIL,
    SYSTEM,
    Accept,
    Accepted,
    Actor,
    Attachment,
    Change,
    Command,
    Draft,
    Email,
    Interaction,
    Invite,
    Invited,
    Left,
    Lifecycle,
    Limits,
    LinkAttachment,
    Notification,
    Reject,
    ReplyCreated,
    Row,
    State,
    StateRule,
    Step,
    Table,
    Transfer,
    Trigger,
    UpdateProperties,
    UserData,
    Who,
    capabilities,
    configure_converter,
    decode,
    decode_command,
    encode,
    encode_command,
    expiry,
    follow_up_due,
    is_waiting,
    make_converter,
    step,
    submit,
)
from lifecycle.errors import InvalidParameter, LifecycleError


def an_interaction(at: datetime) -> None:
    """Submitting and stepping."""
    interaction = submit(
        Email(subject="Hello", cc_addresses=("a@b.example",)),
        id="A1",
        queue=None,
        at=at,
        user_data={"priority": 1},
        our_addresses=["help@shop.example"],
    )
    assert_type(interaction, Interaction)
    assert_type(interaction.state, str)
    assert_type(interaction.version, int)
    assert_type(interaction.queue, str | None)
    assert_type(interaction.agent_id, str | None)
    assert_type(interaction.offer, int)
    assert_type(interaction.draft, Draft | None)
    assert_type(interaction.workbin, str | None)
    assert_type(interaction.transfer_origin, str | None)
    assert_type(interaction.transfer_target, str | None)
    assert_type(interaction.deadline, datetime | None)
    assert_type(interaction.user_data, UserData)
    assert_type(interaction.email.attachments, tuple[Attachment, ...])
    result = step(interaction, Invite(agent_id="ann"), actor=SYSTEM, at=at)
    assert_type(result, Step)
    assert_type(result.interaction, Interaction)
    assert_type(result.agent_id, str | None)
    assert_type(result.row, Row)
    assert_type(encode(result.notification), bytes)
    assert_type(step(result.interaction, Accept(), actor="ann", at=at, limits=Limits()), Step)
    assert_type(expiry(interaction), tuple[Command, ...])
    assert_type(follow_up_due(interaction), bool)
    assert_type(is_waiting(interaction), bool)


def commands_take_keywords() -> None:
    """Parameters by name, with the types that the wire has."""
    assert_type(Reject(), Reject)
    assert_type(Reject(offer=1, reason="busy").reason, str | None)
    assert_type(Transfer(skill="french").agent_id, str | None)
    assert_type(Invite(agent_id="ann", delivering_timeout=2.5).delivering_timeout, float | None)
    assert_type(UpdateProperties(user_data={"a": [1, None]}).user_data, UserData)
    file = Attachment(id="A1", name="a.txt", size=1, mimetype="text/plain")
    assert_type(LinkAttachment(attachment=file).attachment, Attachment)
    Accept(1)  # type: ignore[call-arg]  # a parameter has a name
    Accept(ofer=1)  # type: ignore[call-arg]  # and no other
    Invite()  # type: ignore[call-arg]  # the agent is required
    Invite(agent_id=7)  # type: ignore[arg-type]  # and a string
    Reject().reason = "late"  # type: ignore[misc]  # a command is immutable


def values_are_immutable(interaction: Interaction, message: Invited) -> None:
    """What a step made is not written to."""
    interaction.state = "Sent"  # type: ignore[misc]  # an interaction is immutable
    message.state = "Sent"  # type: ignore[misc,assignment]  # and so is a notification
    change = interaction.change()
    assert_type(change, Change)
    change.state = State.SENT


def the_wire(data: bytes) -> None:
    """Reading and writing."""
    assert_type(decode_command(data), Command)
    assert_type(decode_command('{"operationName":"Accept"}', table=EMAIL), Command)
    assert_type(encode_command(Accept()), bytes)
    message = decode(data)
    assert_type(message, Notification)
    if isinstance(message, Invited):
        assert_type(message.email_object.interaction_id, str)
        assert_type(message.user_data, UserData)
    elif isinstance(message, Accepted):
        assert_type(message.email_object.attachments, tuple[Attachment, ...])
        assert_type(message.current_queue, str | None)
    elif isinstance(message, ReplyCreated):
        assert_type(message.received_at, str)
    else:
        assert_type(message, Left)
        assert_type(message.capabilities, tuple[str, ...])
    assert_type(make_converter(), OrjsonConverter)
    assert_type(configure_converter(cattrs.Converter()), cattrs.Converter)
    assert_type(configure_converter(make_converter()), OrjsonConverter)


def a_table_of_ones_own() -> None:
    """Conditions, effects, timers and emitters are plain functions."""

    def due(interaction: Change) -> bool:
        return interaction.offer > 1

    def mark(change: Change, command: Any, actor: Actor, at: datetime, limits: Limits) -> None:
        change.comment = "marked"

    def timer(change: Change, command: Any, at: datetime, limits: Limits) -> datetime | None:
        return at + limits.handling_timeout

    def emit(interaction: Interaction, capabilities: tuple[str, ...]) -> dict[str, str]:
        return {"id": interaction.id}

    table = EMAIL.extend(
        states=["Aside", StateRule("Kept", timer=timer, emitter=emit)],
        rows=[Row(Trigger.CLOSE, State.QUEUED, "Aside", due, Who.SYSTEM, mark)],
        order=["Accept"],
    )
    assert_type(table, Table)
    assert_type(table.cells["Queued", "Close"], tuple[Row, ...])
    assert_type(capabilities(State.ACCEPTED, table), tuple[str, ...])
    Row("Close", "Queued", "Aside", lambda interaction: interaction.nothing)  # type: ignore[attr-defined]  # a condition is given the interaction


def a_refusal() -> None:
    """Errors carry typed fields."""
    try:
        UserData.of({"a": object()})
    except InvalidParameter as error:
        assert_type(error.path, str | None)
        assert_type(error.capabilities, tuple[str, ...])
        assert_type(error.answer(), dict[str, int | str])
        assert_type(error.http_status, int)
        root: LifecycleError = error
        assert_type(root.status_code, int | None)


async def an_open_store() -> None:
    """A lifecycle by the address of its store: without a sink it leaves deliveries there."""
    assert_type(await Lifecycle.open(Path("lifecycle.db")), Lifecycle)
    async with await Lifecycle.open("memory:", background=False) as lifecycle:
        assert_type(lifecycle, Lifecycle)
        assert_type(await lifecycle.of_person("zoe@home.example"), tuple[str, ...])
        assert_type(await lifecycle.erase("A1"), Interaction)
        assert_type(
            (await lifecycle.export_person("zoe@home.example"))[0].contents, dict[str, bytes]
        )
        assert_type(await lifecycle.prune(), int)
    await Lifecycle.open("memory:", backgrund=False)  # type: ignore[call-arg]  # no such argument
    await Lifecycle.open("memory:", clock="now")  # type: ignore[arg-type]  # no clock
    await Lifecycle.open(7)  # type: ignore[arg-type]  # neither a path nor text
