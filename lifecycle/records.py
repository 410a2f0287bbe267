"""L3. What a store keeps beside interactions (semantics 1, 6, 9), and what one commit holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import orjson

from lifecycle import errors
from lifecycle._values import changer, maker
from lifecycle.errors import LifecycleError
from lifecycle.interaction import Interaction

TOPIC = "/me/interactions"
"""Where notifications are published."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Agent:
    """An agent's media channel and what is counted for it (semantics 6)."""

    id: str
    """The agent's id."""
    version: int = 0
    """One more for every change; 0 for an agent who has never been stored."""
    ready: bool = False
    """Whether the e-mail channel is `Ready`."""
    reason: str | None = None
    """Why it is `NotReady`, where a reason is known."""
    load: int = 0
    """How many interactions the agent holds or is offered, or has transferred in vain so far."""
    missed: int = 0
    """How many offers in a row the agent let expire."""
    sequence: int = 0
    """The sequence number of the agent's latest delivery; 0 before the first."""
    gone: bool = False
    """Whether the last session has ended and none has begun since."""
    away_at: datetime | None = None
    """When the agent becomes `NotReady` for want of a session; None for never."""
    sessions: tuple[str, ...] = ()
    """The processes that the agent's sessions are with, one name for each session, sorted."""


changed_agent = changer(Agent)
"""An agent with new values in some fields."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Delivery:
    """A notification on its way (semantics 1)."""

    agent_id: str
    """For whom."""
    topic: str = TOPIC
    """Where it is published."""
    sequence: int
    """Its number in the agent's log, from 1 without gaps, in the order of commit."""
    interaction_id: str
    """What it is about."""
    offer: int
    """The number of the interaction's latest offer."""
    trigger: str
    """What caused it."""
    at: datetime
    """When it was caused, UTC."""
    payload: bytes
    """The notification as JSON."""

    def line(self) -> bytes:
        """The delivery as one JSON object, the notification under `data`; no line end."""
        return orjson.dumps(
            {
                "agentId": self.agent_id,
                "topic": self.topic,
                "sequence": self.sequence,
                "interactionId": self.interaction_id,
                "offer": self.offer,
                "trigger": self.trigger,
                "at": self.at,
                "data": orjson.Fragment(self.payload),
            },
            option=orjson.OPT_UTC_Z,
        )


@attrs.frozen(kw_only=True)
class Stream:
    """How far the deliveries of one agent have come (semantics 9)."""

    agent_id: str
    """Whose."""
    delivered: int = 0
    """The sequence up to which the sink has everything."""
    tries: int = 0
    """How often the sink has failed at the next one."""
    retry_at: datetime | None = None
    """Before this time the next one is not tried again."""
    absent: bool = False
    """Whether it waits for the agent to connect."""
    connects: int = 0
    """How often the agent has connected; tells an absence that is over from one that is not."""
    parked: bool = False
    """Whether it stopped, because the next one failed too often."""


@attrs.frozen(kw_only=True)
class Outgoing:
    """A reply on its way to the mailer (semantics 9)."""

    message_id: str
    """Its one Message-ID, with angle brackets."""
    interaction_id: str
    """Of which interaction."""
    queue: str | None
    """The outbound queue that was named."""
    sender: str
    """The envelope's sender, a bare address."""
    recipients: tuple[str, ...]
    """The envelope's recipients, bare addresses, none twice."""
    at: datetime
    """When it was sent, UTC."""
    message: bytes
    """The RFC 5322 message."""
    sent: bool = False
    """Whether the mailer has it."""
    tries: int = 0
    """How often the mailer has failed."""
    retry_at: datetime | None = None
    """Before this time it is not tried again."""
    parked: bool = False
    """Whether it failed for good, or too often."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Entry:
    """One line of an interaction's history."""

    interaction_id: str
    """Of which interaction."""
    version: int
    """The version that it led to; 0 for the submission."""
    at: datetime
    """When, UTC."""
    actor: str | None
    """The agent who did it, None for the system."""
    trigger: str
    """What was done; `Submit` for the submission."""
    source: str | None
    """The state before; None for the submission."""
    dest: str
    """The state after."""
    offer: int
    """The number of the latest offer."""
    agent_id: str | None
    """Who was notified, or would have been; None for nobody."""
    sequence: int | None = None
    """The number of that notification in the agent's log; None where there was none."""


@attrs.frozen(kw_only=True)
class Content:
    """Bytes that belong to an interaction: an attachment, or the raw mail."""

    id: str
    """Their id: ASCII letters and digits."""
    data: bytes
    """The bytes."""
    owner: str | None = None
    """The interaction that they belong to, and go with; None for none so far."""


@attrs.frozen(kw_only=True)
class Refusal:
    """An error as a store keeps it."""

    kind: str
    """The name of its class in `lifecycle.errors`, or of the nearest one of a team's own."""
    fields: dict[str, Any]
    """Its message and fields, as JSON has them."""

    @classmethod
    def of(cls, error: LifecycleError) -> Refusal:
        """Take an error down, its value as text where JSON could not give it back."""
        fields = {name: getattr(error, name) for name in _ERROR_FIELDS}
        fields["capabilities"] = list(error.capabilities)
        fields["value"] = _as_json(error.value)
        kinds = (
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__
        )
        return cls(kind=next(kinds), fields=fields)

    def erased(self) -> Refusal:
        """The refusal without what it quotes of a request."""
        return attrs.evolve(self, fields={**self.fields, "message": "erased", "value": None})

    def error(self) -> LifecycleError:
        """The error again, of the same class and with the same fields."""
        fields = {**self.fields, "capabilities": tuple(self.fields["capabilities"])}
        message = fields.pop("message")
        kind: type[LifecycleError] = getattr(errors, self.kind)
        return kind(message, **fields)


_ERROR_FIELDS = (
    "message",
    "interaction_id",
    "state",
    "trigger",
    "agent_id",
    "path",
)


def _as_json(value: Any) -> Any:
    try:
        same = orjson.loads(orjson.dumps(value)) == value
    except TypeError:  # orjson's word for what JSON cannot hold
        same = False
    return value if same else errors.shown(value)


@attrs.frozen(kw_only=True)
class Outcome:
    """What a request with an `operationId` came to (semantics 9)."""

    operation_id: str
    """The id that the caller gave."""
    fingerprint: str
    """A digest of the request, to tell another one under the same id."""
    at: datetime
    """When, UTC."""
    interaction: Interaction | None = None
    """The interaction as the request left it, None where it was refused. It is stored, or in the
    same commit."""
    refusal: Refusal | None = None
    """Why it was refused, None where it was not."""

    @property
    def concerns(self) -> str | None:
        """The id of the interaction that it is about, None where it is about none."""
        if self.interaction is not None:
            return self.interaction.id
        return None if self.refusal is None else self.refusal.fields["interaction_id"]

    def erased(self, rest: Interaction) -> Outcome:
        """The outcome with what is left of its interaction after its content was erased.

        Arguments:
            rest: the erased value of the interaction that it concerns.
        """
        if self.refusal is not None:
            return attrs.evolve(self, refusal=self.refusal.erased())
        return attrs.evolve(self, interaction=rest)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Saved:
    """A new value of an interaction and what it must replace."""

    interaction: Interaction
    """The new value."""
    expected: int | None
    """The version that must be stored; None where none may be."""
    waiting: bool
    """Whether it waits to be offered."""
    finished: bool = False
    """Whether it is in a final state."""


@attrs.frozen(kw_only=True)
class Invitable:
    """An expectation: that an agent's deliveries have not stopped, and not too many wait (9)."""

    agent_id: str
    """Whose."""
    backlog: int
    """So many may not wait before what is committed."""


@attrs.frozen(kw_only=True)
class Erasure:
    """What is to go of an interaction besides its value (semantics 4, 9)."""

    interaction_id: str
    """Of which interaction; its new value is in the commit, and replaces its submission too."""
    deliveries: tuple[Delivery, ...] = ()
    """Retained deliveries with what is left of their payloads."""


@attrs.frozen(kw_only=True)
class Due:
    """A deadline that has passed (semantics 5)."""

    interaction_id: str
    """Of which interaction."""
    version: int
    """The version that it was set for."""
    deadline: datetime
    """The deadline, UTC."""


@attrs.frozen(kw_only=True)
class Figures:
    """What a store has to do, counted at one time."""

    overdue: int = 0
    """How many deadlines of interactions have passed."""
    waiting: int = 0
    """How many deliveries the sink does not have, those of stopped streams among them."""
    oldest: datetime | None = None
    """Since when the oldest of them waits; None where none does."""
    stopped: int = 0
    """How many streams have stopped."""
    mails: int = 0
    """How many mails the mailer does not have."""
    parked_mails: int = 0
    """How many of them are parked."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Commit:
    """Everything that is committed together, or not at all (semantics 9).

    The version that must be stored of each agent is the given one's less 1.
    """

    at: datetime
    """When, UTC."""
    interactions: tuple[Saved, ...] = ()
    """New values of interactions, with their deadlines; each interaction at most once."""
    agents: tuple[Agent, ...] = ()
    """New values of agents; each agent at most once."""
    entries: tuple[Entry, ...] = ()
    """New lines of histories."""
    deliveries: tuple[Delivery, ...] = ()
    """New deliveries, numbered on from the stored sequence of their agents."""
    outgoing: tuple[Outgoing, ...] = ()
    """New outgoing mail."""
    contents: tuple[Content, ...] = ()
    """New content."""
    linked: tuple[tuple[str, str], ...] = ()
    """Ids of content, each with the interaction that owns it from here on."""
    invitable: tuple[Invitable, ...] = ()
    """What must hold of the streams of agents."""
    erased: tuple[Erasure, ...] = ()
    """Interactions whose content is to be erased: raw mail, attachments, what refers to it."""
    outcome: Outcome | None = None
    """The outcome of the operation id; none may be stored under it."""


make_delivery = maker(Delivery)
"""`Delivery`, faster, for values that are known to be good; as the others here."""
make_entry = maker(Entry)
make_saved = maker(Saved)
make_commit = maker(Commit)
