"""The life of an inbound e-mail in a contact centre, as an explicit finite-state machine.

The pure core: `submit` makes an interaction of a mail, `step` takes it one transition further,
`encode` writes the documented notification. `Lifecycle` runs interactions against a store, a
sink and a mailer. `EMAIL` is the rule table from which everything else is derived.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lifecycle import commands, errors
from lifecycle.codec import (
    configure_converter,
    decode,
    decode_command,
    encode,
    encode_command,
    make_converter,
)
from lifecycle.commands import (
    Accept,
    Cancel,
    Close,
    Command,
    Invite,
    LinkAttachment,
    PlaceInQueue,
    PlaceInWorkbin,
    Pull,
    Reject,
    Reply,
    ReplyAll,
    Return,
    Revoke,
    Send,
    StopProcessing,
    Transfer,
    UpdateProperties,
)
from lifecycle.engine import Step, expiry, follow_up_due, is_waiting, step, submit
from lifecycle.errors import LifecycleError
from lifecycle.interaction import (
    DEFAULT_LIMITS,
    Attachment,
    Change,
    Draft,
    Email,
    Interaction,
    Limits,
    Submission,
    UserData,
)
from lifecycle.notifications import Accepted, Invited, Left, Notification, ReplyCreated
from lifecycle.table import EMAIL, Row, StateRule, Table, capabilities
from lifecycle.vocabulary import SYSTEM, Actor, Operation, State, Trigger, Who

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lifecycle.directory import MemoryDirectory
    from lifecycle.mail import parse_email, parse_mail, render
    from lifecycle.mailers.maildir import MaildirMailer
    from lifecycle.mailers.memory import MemoryMailer
    from lifecycle.ports import (
        Answer,
        Clock,
        Committed,
        ContentStore,
        Directory,
        Ids,
        MailAnswer,
        Mailer,
        Sink,
        Store,
    )
    from lifecycle.records import Agent, Commit, Delivery, Entry, Outcome, Outgoing, Stream
    from lifecycle.service import Lifecycle
    from lifecycle.settings import Settings
    from lifecycle.sinks.callback import CallbackSink
    from lifecycle.sinks.jsonl import JsonLinesSink
    from lifecycle.sinks.memory import MemorySink
    from lifecycle.sinks.tee import TeeSink
    from lifecycle.stores.memory import MemoryStore
    from lifecycle.stores.sqlite import SqliteStore
else:
    # Whoever only steps interactions does not wait for the import of mail, anyio and adapters.
    _LATER = {
        "MemoryDirectory": "lifecycle.directory",
        "parse_email": "lifecycle.mail",
        "parse_mail": "lifecycle.mail",
        "render": "lifecycle.mail",
        "MaildirMailer": "lifecycle.mailers.maildir",
        "MemoryMailer": "lifecycle.mailers.memory",
        "Answer": "lifecycle.ports",
        "Clock": "lifecycle.ports",
        "Committed": "lifecycle.ports",
        "ContentStore": "lifecycle.ports",
        "Directory": "lifecycle.ports",
        "Ids": "lifecycle.ports",
        "MailAnswer": "lifecycle.ports",
        "Mailer": "lifecycle.ports",
        "Sink": "lifecycle.ports",
        "Store": "lifecycle.ports",
        "Agent": "lifecycle.records",
        "Commit": "lifecycle.records",
        "Delivery": "lifecycle.records",
        "Entry": "lifecycle.records",
        "Outcome": "lifecycle.records",
        "Outgoing": "lifecycle.records",
        "Stream": "lifecycle.records",
        "Lifecycle": "lifecycle.service",
        "Settings": "lifecycle.settings",
        "CallbackSink": "lifecycle.sinks.callback",
        "JsonLinesSink": "lifecycle.sinks.jsonl",
        "MemorySink": "lifecycle.sinks.memory",
        "TeeSink": "lifecycle.sinks.tee",
        "MemoryStore": "lifecycle.stores.memory",
        "SqliteStore": "lifecycle.stores.sqlite",
    }

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_LATER[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "commands",
    "errors",
    "configure_converter",
    "decode",
    "decode_command",
    "encode",
    "encode_command",
    "make_converter",
    "Accept",
    "Cancel",
    "Close",
    "Command",
    "Invite",
    "LinkAttachment",
    "PlaceInQueue",
    "PlaceInWorkbin",
    "Pull",
    "Reject",
    "Reply",
    "ReplyAll",
    "Return",
    "Revoke",
    "Send",
    "StopProcessing",
    "Transfer",
    "UpdateProperties",
    "MemoryDirectory",
    "Step",
    "expiry",
    "follow_up_due",
    "is_waiting",
    "step",
    "submit",
    "LifecycleError",
    "DEFAULT_LIMITS",
    "Attachment",
    "Change",
    "Draft",
    "Email",
    "Interaction",
    "Limits",
    "Submission",
    "UserData",
    "parse_email",
    "parse_mail",
    "render",
    "MaildirMailer",
    "MemoryMailer",
    "Accepted",
    "Invited",
    "Left",
    "Notification",
    "ReplyCreated",
    "Answer",
    "Clock",
    "Committed",
    "ContentStore",
    "Directory",
    "Ids",
    "MailAnswer",
    "Mailer",
    "Sink",
    "Store",
    "Agent",
    "Commit",
    "Delivery",
    "Entry",
    "Outcome",
    "Outgoing",
    "Stream",
    "Lifecycle",
    "Settings",
    "CallbackSink",
    "JsonLinesSink",
    "MemorySink",
    "TeeSink",
    "MemoryStore",
    "SqliteStore",
    "EMAIL",
    "Row",
    "StateRule",
    "Table",
    "capabilities",
    "SYSTEM",
    "Actor",
    "Operation",
    "State",
    "Trigger",
    "Who",
]
