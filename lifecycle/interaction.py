"""L1. The values of an interaction (semantics 1, 2): immutable, small, shared.

What never changes (the mail, what came with its submission) is one `Submission`, shared by
every version of an interaction. What a step changes is an `Interaction` of few fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self

import attrs
import orjson

from lifecycle.errors import InvalidParameter

RECEIVED_AT = "%Y-%m-%dT%H:%M:%SZ"
"""How `receivedAt` is written (semantics 4): UTC, whole seconds."""

MESSAGE_ID: Final = re.compile(r"<[^\x00-\x20\x7f-\U0010ffff<>]{1,900}>")
"""A Message-ID that can stand in a reply: printable ASCII in angle brackets."""

_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1
_BINARY = (bytes, bytearray, memoryview)
_USER_DATA_BYTES = 256 * 1024
_USER_DATA_DEPTH = 64  # the map itself is level 1


def is_id(value: object) -> bool:
    """Whether a value is an id as section 4 has it: ASCII letters and digits, at least one."""
    return isinstance(value, str) and value.isascii() and value.isalnum()


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8, which one with a lone surrogate cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _positive(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, timedelta) or value <= timedelta():
        raise InvalidParameter("must be a positive timedelta", path=f"$.{field.name}", value=value)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Limits:
    """The configured durations of the engine (semantics 5).

    Raises `InvalidParameter` for one that is not positive.
    """

    delivering_timeout: timedelta = attrs.field(default=timedelta(seconds=30), validator=_positive)
    """How long an agent may take to accept an offer."""
    handling_timeout: timedelta = attrs.field(default=timedelta(minutes=180), validator=_positive)
    """How long an owner may do nothing."""
    transfer_timeout: timedelta = attrs.field(default=timedelta(seconds=30), validator=_positive)
    """How long a transfer may stay without somebody who accepts it."""


DEFAULT_LIMITS = Limits()


class UserData(Mapping[str, Any]):
    """A map of user data, immutable, kept as the JSON that notifications show (semantics 4).

    It reads like a dict. Every value read is a fresh copy, so changing one changes nothing
    here. Binary values were left out when it was made.
    """

    __slots__ = ("json",)

    json: bytes
    """The map as UTF-8 JSON."""

    def __new__(cls, json: bytes = b"{}") -> Self:
        """Wrap JSON that is known to be good; `UserData.of` validates a map."""
        self = super().__new__(cls)
        object.__setattr__(self, "json", json)
        return self

    @classmethod
    def of(cls, value: Mapping[str, Any], *, path: str = "$.userData") -> UserData:
        """Make user data of a map.

        Arguments:
            value: keys strings; values string, integer, finite float, boolean, null, or list
                or map of these. Bytes-like values are left out at every depth.
            path: where `value` stands in the request, for errors.

        Raises `InvalidParameter` with the `$.path` for everything that section 4 refuses.
        """
        if isinstance(value, UserData):
            return value
        if not isinstance(value, Mapping):
            raise InvalidParameter("user data must be a map", path=path, value=value)
        json = orjson.dumps(_plain_map(value, path, _USER_DATA_DEPTH))
        if len(json) > _USER_DATA_BYTES:
            raise InvalidParameter(
                f"user data takes more than {_USER_DATA_BYTES} bytes of JSON",
                path=path,
                value=len(json),
            )
        return cls(json)

    def changed(self, values: UserData, delete_keys: Sequence[str] = ()) -> UserData:
        """Set `values` and then delete `delete_keys`; keys that are not there are ignored.

        Raises `InvalidParameter` where the result is larger than section 4 allows.
        """
        if not delete_keys and values.json == b"{}":
            return self
        merged = orjson.loads(self.json)
        merged.update(orjson.loads(values.json))
        for key in delete_keys:
            merged.pop(key, None)
        return UserData.of(merged)

    def __setattr__(self, name: str, value: object) -> None:
        raise attrs.exceptions.FrozenInstanceError

    def __getitem__(self, key: str) -> Any:
        return orjson.loads(self.json)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(orjson.loads(self.json))

    def __len__(self) -> int:
        return len(orjson.loads(self.json))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, UserData):
            return self.json == other.json or orjson.loads(self.json) == orjson.loads(other.json)
        if isinstance(other, Mapping):
            return bool(orjson.loads(self.json) == other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def __repr__(self) -> str:
        return f"UserData({orjson.loads(self.json)!r})"

    def __reduce__(self) -> tuple[type[UserData], tuple[bytes]]:
        return (UserData, (self.json,))


def as_user_data(value: Mapping[str, Any]) -> UserData:
    """`UserData.of`, as the converter of a field."""
    return UserData.of(value)


def _plain_map(value: Mapping[Any, Any], path: str, levels: int) -> dict[str, Any]:
    if levels == 0:
        raise InvalidParameter("user data is nested too deep", path=path, value="...")
    result = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidParameter("a key of user data must be a string", path=path, value=key)
        here = f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"
        if not is_text(key):
            raise InvalidParameter("a key has a lone surrogate", path=here, value=key)
        if not isinstance(item, _BINARY):
            result[str.__str__(key)] = _plain(item, here, levels - 1)
    return result


def _plain(value: Any, path: str, levels: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not is_text(value):
            raise InvalidParameter("a string has a lone surrogate", path=path, value=value)
        return str.__str__(value)  # what a member of a string enumeration is
    if isinstance(value, int):
        if not _MIN_INTEGER <= value <= _MAX_INTEGER:
            raise InvalidParameter("an integer is beyond 64 bits", path=path, value=value)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidParameter("a float must be finite", path=path, value=value)
        return float(value)
    if isinstance(value, Mapping):
        return _plain_map(value, path, levels)
    if isinstance(value, (list, tuple)):
        if levels == 0:
            raise InvalidParameter("user data is nested too deep", path=path, value="...")
        return [
            _plain(item, f"{path}[{index}]", levels - 1)
            for index, item in enumerate(value)
            if not isinstance(item, _BINARY)
        ]
    raise InvalidParameter("user data has a value of a wrong type", path=path, value=value)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Attachment:
    """A file that belongs to a mail or a draft; its content is in the content store."""

    id: str
    """The id of the content: ASCII letters and digits."""
    name: str
    """The file's name, `""` where there is none."""
    size: int
    """Bytes of the decoded content."""
    mimetype: str
    """For example `application/pdf`."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Email:
    """One inbound mail, decoded; it never changes (semantics 4).

    Strings hold no lone surrogate: where the mail's bytes did not decode, U+FFFD stands.
    """

    subject: str = ""
    """The subject, `""` where there is none."""
    from_address: str = ""
    """An RFC 5322 address list, as one string."""
    to_address: str = ""
    """An RFC 5322 address list, as one string."""
    cc_addresses: tuple[str, ...] = ()
    """One RFC 5322 address each."""
    reply_to: str = ""
    """An RFC 5322 address list, as one string; `""` where the mail has none."""
    text: str = ""
    """The plain body, `""` where there is none."""
    structured_text: str = ""
    """The formatted (HTML) body, `""` where there is none."""
    mime_type: str = ""
    """The MIME type of `text`, `""` where there is none."""
    structured_text_mime_type: str = ""
    """The MIME type of `structured_text`, `""` where there is none."""
    attachments: tuple[Attachment, ...] = ()
    """The attached files, in the mail's order."""
    date: datetime | None = None
    """When the mail says that it was written; UTC; None where it does not say so clearly."""
    message_id: str | None = None
    """The Message-ID with its angle brackets, None where there is none."""
    references: tuple[str, ...] = ()
    """The Message-IDs of the thread, oldest first; the last is what the mail answers."""
    is_auto_reply: bool = False
    """Whether a machine answered (`Auto-Submitted` and its relatives)."""
    is_delivery_report: bool = False
    """Whether it is a delivery or disposition report (`multipart/report`, empty return path)."""

    @property
    def is_automatic(self) -> bool:
        """Whether a machine wrote it, so that a host must not answer automatically."""
        return self.is_auto_reply or self.is_delivery_report


@attrs.frozen(kw_only=True, weakref_slot=False)
class Draft:
    """The reply that an agent is writing (semantics 2a)."""

    id: str
    """The interaction's id, `D` and the number of the draft."""
    to_address: str = ""
    """An RFC 5322 address list, as one string."""
    from_address: str = ""
    """An RFC 5322 address list, as one string: the address of ours that the mail was sent to."""
    cc_addresses: tuple[str, ...] = ()
    """One RFC 5322 address each."""
    subject: str = ""
    """The subject, prefix included."""
    text: str = ""
    """The plain body, `""` where there is none."""
    structured_text: str = ""
    """The formatted (HTML) body, `""` where there is none."""
    attachments: tuple[Attachment, ...] = ()
    """The linked files, in the order of linking."""
    references: tuple[str, ...] = ()
    """The Message-IDs of the thread, oldest first; the last is the mail that is answered."""
    queue: str | None = None
    """The outbound queue that Send named, None for none in particular."""

    def __hash__(self) -> int:
        return hash((self.id, len(self.text)))  # to hash a text takes longer than to show it

    @property
    def mime_type(self) -> str:
        """The MIME type of `text`, `""` where there is none."""
        return "text/plain" if self.text else ""

    @property
    def structured_text_mime_type(self) -> str:
        """The MIME type of `structured_text`, `""` where there is none."""
        return "text/html" if self.structured_text else ""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Transfer:
    """An outstanding transfer: who gave the interaction away, and to whom (semantics 2, 5)."""

    origin: str
    """The agent who transferred, to whom it returns."""
    agent_id: str | None
    """The agent who is to have it; None where a skill is named."""
    skill: str | None
    """The skill that its next owner must have; None where an agent is named."""
    deadline: datetime
    """When it returns if nobody has accepted; UTC."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Parking:
    """Where a parked interaction rests (semantics 2)."""

    workbin: str
    """The workbin."""
    source: str
    """The state that it was parked from."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Submission:
    """What came with the submission: the mail and what the host knew; it never changes."""

    id: str
    """The interaction's id for life: ASCII letters and digits."""
    email: Email
    """The mail."""
    received_at: str
    """When it was submitted: UTC, ISO 8601, whole seconds, `Z`."""
    our_addresses: tuple[str, ...] = ()
    """The contact centre's own addresses, bare (`help@example.com`)."""
    in_queues: tuple[str, ...] = ()
    """Queues that the interaction may be placed in."""
    out_queues: tuple[str, ...] = ()
    """Queues that a reply may be placed in."""
    contact_id: str | None = None
    """The id of the sender in the host's contact database, where known."""

    def __hash__(self) -> int:
        return hash(self.id)


@attrs.define(kw_only=False, weakref_slot=False)
class Change:
    """An interaction in the making: what an effect of the table writes to (semantics 2).

    The step copies an interaction into a change, lets the row's effect write what the row
    changes, and seals it. A sealed one is an `Interaction`, and immutable.
    """

    submission: Submission
    """The mail and what came with it."""
    version: int
    """0 as submitted, and one more for every step."""
    state: str
    """The present state."""
    queue: str | None
    """The current queue, None where unknown."""
    agent_id: str | None = None
    """Who holds it: the invited agent or the owner; None where nobody does."""
    offer: int = 0
    """The number of the latest offer; 0 before the first."""
    deadline: datetime | None = None
    """When the present timer expires, UTC; None where none runs (semantics 5)."""
    user_data: UserData = UserData()
    """The user data without binary values."""
    comment: str | None = None
    """The notes of agents on the interaction, None where there are none."""
    draft: Draft | None = None
    """The reply that is being written, or a kept one."""
    drafts: int = 0
    """How many drafts there have been."""
    parking: Parking | None = None
    """Where it is parked, None where it is not."""
    transfer: Transfer | None = None
    """The outstanding transfer, None where there is none."""
    reason: str | None = None
    """The reason given with the latest Reject, Revoke, Close or StopProcessing."""

    @property
    def id(self) -> str:
        """The interaction's one id for life."""
        return self.submission.id

    @property
    def email(self) -> Email:
        """The inbound mail."""
        return self.submission.email

    @property
    def workbin(self) -> str | None:
        """The workbin that it is parked in, None where it is not parked."""
        return None if self.parking is None else self.parking.workbin

    @property
    def transfer_origin(self) -> str | None:
        """The agent who transferred it, while the transfer is outstanding."""
        return None if self.transfer is None else self.transfer.origin

    @property
    def transfer_target(self) -> str | None:
        """The agent or else the skill that it is transferred to, while outstanding."""
        return None if self.transfer is None else self.transfer.agent_id or self.transfer.skill


@attrs.frozen(weakref_slot=False)
class Interaction(Change):
    """One inbound e-mail being worked, at one version; immutable (semantics 1, 2).

    `lifecycle.submit` makes the first, `lifecycle.step` every later one.
    """

    def change(self) -> Change:
        """A copy that can be written to, of the next version."""
        # Plain assignments to a blank object: half the time of a constructor of 14 arguments.
        change = _blank(Change)
        change.submission = self.submission
        change.version = self.version + 1
        change.state = self.state
        change.queue = self.queue
        change.agent_id = self.agent_id
        change.offer = self.offer
        change.deadline = self.deadline
        change.user_data = self.user_data
        change.comment = self.comment
        change.draft = self.draft
        change.drafts = self.drafts
        change.parking = self.parking
        change.transfer = self.transfer
        change.reason = self.reason
        return change


_blank = object.__new__


def seal(change: Change) -> Interaction:
    """Make a change immutable; it must not be written to afterwards.

    The object itself becomes the interaction. Copying it field by field into a frozen object
    takes attrs five times as long, in the one place that every step goes through.
    """
    change.__class__ = Interaction
    return change  # type: ignore[return-value]  # its class is Interaction from here on
