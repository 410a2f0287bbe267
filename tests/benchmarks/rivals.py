"""What the engine is compared with: each does the transitions of the same table.

`HandWritten` is the limit that plain Python sets. `ObviousBuild` is what a team would write
first with the same libraries. The others are libraries with their plain, documented use.
"""

# ruff: noqa: N815 - plain cattrs writes fields under their own names, so those are the wire's
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Protocol

import attrs
import cattrs

from benchmarks import work
from lifecycle._machine import Cursor, build_machine
from lifecycle.errors import NotValidInState
from lifecycle.interaction import Interaction
from lifecycle.table import EMAIL

Put = Callable[[bytes], object]

_DESTS: Mapping[str, dict[str, str]] = {
    rule.name: {row.trigger: row.dest for row in EMAIL.rows if row.source == rule.name}
    for rule in EMAIL.states
}
_CAPABILITIES = {rule.name: EMAIL.capabilities(rule.name) for rule in EMAIL.states}


@attrs.define
class HandWritten:
    """A dict of dicts behind one method call."""

    state: str

    def fire(self, trigger: str) -> None:
        """Go on; a `KeyError` where there is no way."""
        self.state = _DESTS[self.state][trigger]

    def refuse(self, id: str, trigger: str) -> None:
        """Go on, or raise the error that the engine raises, with the same fields."""
        try:
            self.state = _DESTS[self.state][trigger]
        except KeyError:
            raise NotValidInState(
                "not valid in this state",
                interaction_id=id,
                state=self.state,
                trigger=trigger,
                capabilities=_CAPABILITIES[self.state],
            ) from None


class Stock:
    """A `transitions` machine, driven in the way that costs it least: by its events."""

    def __init__(self, state: str) -> None:
        self.machine = build_machine(EMAIL)
        self.cursor = Cursor(state)
        self._events = [self.machine.events[trigger] for trigger in work.CYCLE]

    def cycle(self) -> None:
        """The transitions of the cycle, and nothing else."""
        cursor = self.cursor
        for event in self._events:
            event.trigger(cursor)


@attrs.define
class _Content:
    ToAddress: str
    FromAddress: str
    CCAddresses: list[str]
    Subject: str
    Text: str
    StructuredText: str
    MimeType: str
    StructuredTextMimeType: str


@attrs.define
class _File:
    id: str
    name: str
    size: int
    mimetype: str


@attrs.define
class _Mail(_Content):
    TheComment: str | None
    ContactID: str | None
    attachments: list[_File]


@attrs.define
class _Invitation:
    subject: str
    interactionId: str


@attrs.define
class _Subject:
    subject: str


@attrs.define
class _Invited:
    messageTypeName: str
    id: str
    channel: str
    email_object: _Invitation
    interactionType: str
    interactionSubType: str
    userData: dict[str, Any]
    currentQueue: str | None
    state: str
    capabilities: list[str]


@attrs.define
class _Accepted:
    messageTypeName: str
    id: str
    channel: str
    email_object: _Mail
    interactionType: str
    interactionSubType: str
    userData: dict[str, Any]
    currentQueue: str | None
    inQueues: list[str]
    outQueues: list[str]
    receivedAt: str
    state: str
    capabilities: list[str]


@attrs.define
class _ReplyCreated:
    messageTypeName: str
    id: str
    channel: str
    email_object: _Content
    interactionType: str
    interactionSubType: str
    receivedAt: str
    state: str
    capabilities: list[str]


@attrs.define
class _Left:
    messageTypeName: str
    id: str
    channel: str
    email_object: _Subject
    state: str
    capabilities: list[str]


_TYPE, _CHANNEL, _KIND = "InteractionStateMessage", "email", "Email"


@attrs.define
class ObviousBuild:
    """A mutable record under one shared machine; plain cattrs and `json` write it."""

    state: str
    id: str
    mail: _Mail
    user_data: dict[str, Any]
    queue: str | None
    in_queues: list[str]
    out_queues: list[str]
    received_at: str
    our_address: str
    put: Put
    agent: str | None = None
    offer: int = 0
    deadline: datetime | None = None
    draft: _Content | None = None

    @classmethod
    def of(cls, interaction: Interaction, put: Put) -> ObviousBuild:
        """The record of a submitted interaction."""
        submission, email = interaction.submission, interaction.email
        mail = _Mail(
            ToAddress=email.to_address,
            FromAddress=email.from_address,
            CCAddresses=list(email.cc_addresses),
            Subject=email.subject,
            Text=email.text,
            StructuredText=email.structured_text,
            MimeType=email.mime_type,
            StructuredTextMimeType=email.structured_text_mime_type,
            TheComment=interaction.comment,
            ContactID=submission.contact_id,
            attachments=[_File(f.id, f.name, f.size, f.mimetype) for f in email.attachments],
        )
        return cls(
            state=interaction.state,
            id=interaction.id,
            mail=mail,
            user_data=dict(interaction.user_data),
            queue=interaction.queue,
            in_queues=list(submission.in_queues),
            out_queues=list(submission.out_queues),
            received_at=submission.received_at,
            our_address=submission.our_addresses[0],
            put=put,
        )

    def invite(self, agent: str) -> None:
        """Offer it to an agent."""
        self._go("Invite", timedelta(seconds=30))
        self.agent = agent
        self.offer += 1
        self._emit(
            _Invited(
                _TYPE,
                self.id,
                _CHANNEL,
                _Invitation(self.mail.Subject, self.id),
                _KIND,
                "InboundNew",
                self.user_data,
                self.queue,
                self.state,
                list(_CAPABILITIES[self.state]),
            )
        )

    def accept(self, agent: str) -> None:
        """The invited agent takes it."""
        self._check(agent)
        self._go("Accept", timedelta(minutes=180))
        self._emit(
            _Accepted(
                _TYPE,
                self.id,
                _CHANNEL,
                self.mail,
                _KIND,
                "InboundNew",
                self.user_data,
                self.queue,
                self.in_queues,
                self.out_queues,
                self.received_at,
                self.state,
                list(_CAPABILITIES[self.state]),
            )
        )

    def reply(self, agent: str, text: str) -> None:
        """The owner writes a reply, or goes on with a kept one."""
        self._check(agent)
        self._go("Reply", timedelta(minutes=180))
        if self.draft is None:
            to, subject = self.mail.FromAddress, f"Re: {self.mail.Subject}"
            self.draft = _Content(to, self.our_address, [], subject, text, "", "text/plain", "")
        self.draft.Text = text
        self._emit(
            _ReplyCreated(
                _TYPE,
                self.id,
                _CHANNEL,
                self.draft,
                _KIND,
                "OutboundReply",
                self.received_at,
                self.state,
                list(_CAPABILITIES[self.state]),
            )
        )

    def revoke(self) -> None:
        """Take it back."""
        self._go("Revoke", None)
        self.agent = None
        email = _Subject(self.mail.Subject)
        self._emit(_Left(_TYPE, self.id, _CHANNEL, email, self.state, []))

    def cycle(self, text: str) -> None:
        """The four steps."""
        self.invite(work.AGENT)
        self.accept(work.AGENT)
        self.reply(work.AGENT, text)
        self.revoke()

    def _check(self, agent: str) -> None:
        if agent != self.agent:
            raise PermissionError(agent)

    def _go(self, trigger: str, timeout: timedelta | None) -> None:
        _SHARED.events[trigger].trigger(self)
        self.deadline = None if timeout is None else work.AT + timeout

    def _emit(self, notification: object) -> None:
        self.put(json.dumps(_PLAIN.unstructure(notification)).encode())


_SHARED = build_machine(EMAIL)
_PLAIN = cattrs.Converter()


_UNCONDITIONAL = [row for row in EMAIL.rows if row.condition is None]


class PythonStatemachine:
    """The unconditional rows in python-statemachine; `ImportError` where that is missing."""

    def __init__(self) -> None:
        library = import_module("statemachine")
        states = {
            rule.name: library.State(initial=rule.name == EMAIL.initial, final=rule.final)
            for rule in EMAIL.states
        }
        events: dict[str, Any] = {}
        for row in _UNCONDITIONAL:
            edge, name = states[row.source].to(states[row.dest]), _method(row.trigger)
            events[name] = events[name] | edge if name in events else edge
        machine = type("Mail", (library.StateMachine,), {**states, **events})()
        self._methods = [getattr(machine, _method(trigger)) for trigger in work.CYCLE]

    def cycle(self) -> None:
        """The transitions of the cycle, and nothing else."""
        for method in self._methods:
            method()


class Automat:
    """The unconditional rows in automat; `ImportError` where that is missing."""

    def __init__(self) -> None:
        library = import_module("automat")
        names = {_method(row.trigger) for row in _UNCONDITIONAL}
        inputs = type("Inputs", (Protocol,), {name: _input(name) for name in names})
        builder = library.TypeMachineBuilder(inputs, object)
        states = {rule.name: builder.state(rule.name) for rule in EMAIL.states}
        for row in _UNCONDITIONAL:
            trigger = getattr(inputs, _method(row.trigger))
            states[row.source].upon(trigger).to(states[row.dest]).returns(None)
        machine = builder.build()(object())
        self._methods = [getattr(machine, _method(trigger)) for trigger in work.CYCLE]

    def cycle(self) -> None:
        """The transitions of the cycle, and nothing else."""
        for method in self._methods:
            method()


def _method(trigger: str) -> str:
    """The name of a method; `send`, for one, means something of its own to a library."""
    return f"do_{trigger.lower()}"


def _input(name: str) -> Callable[[object], None]:
    def given(self: object) -> None:
        """A declaration; the machine supplies the body."""

    given.__name__ = name
    return given
