"""L1. The commands (semantics 2a): one immutable value per trigger, with its parameters.

Wire names are camelCase, Python names snake_case; `$.path`s in errors are wire names. Every
command refuses bad values when it is made: with `InvalidParameter`, and `Transfer` with
`MissingParameter` where it names nobody. A required parameter that is left out is Python's
`TypeError` here, and `MissingParameter` on the wire. What depends on the interaction is
refused by the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, TypeAlias, TypeVar

import attrs

from lifecycle.errors import InvalidParameter, MissingParameter
from lifecycle.interaction import Attachment, UserData, as_user_data, is_id, is_text
from lifecycle.vocabulary import Trigger

_T = TypeVar("_T")
_Check: TypeAlias = "Callable[[str, Any], None]"
_HEADER_BREAKS = ("\r", "\n", "\0")


@cache
def wire_name(name: str) -> str:
    """The camelCase name that a Python name has on the wire."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def check_text(path: str, value: object) -> None:
    """Raise `InvalidParameter` for what is no string, or no valid text."""
    if not isinstance(value, str):
        raise InvalidParameter("must be a string", path=path, value=value)
    if not is_text(value):
        raise InvalidParameter("must not hold a lone surrogate", path=path, value=value)


def check_name(path: str, value: object) -> None:
    """Raise `InvalidParameter` for what is no valid text, empty, or has a NUL in it."""
    check_text(path, value)
    if not value:
        raise InvalidParameter("must not be empty", path=path, value=value)
    if "\0" in str(value):  # which no database takes for a name
        raise InvalidParameter("must not hold a NUL", path=path, value=value)


def _header(path: str, value: Any) -> None:
    check_text(path, value)
    if any(character in value for character in _HEADER_BREAKS):
        raise InvalidParameter("must not hold a line break", path=path, value=value)


def _boolean(path: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", path=path, value=value)


def _offer(path: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise InvalidParameter("must be an offer's number, from 1", path=path, value=value)


_LONGEST_TIMEOUT = 86_400 * 365


def _seconds(path: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= _LONGEST_TIMEOUT:
        raise InvalidParameter(
            "must be a positive number of seconds, at most a year", path=path, value=value
        )


def check_attachment(attachment: Any, path: str, check_name: _Check) -> None:
    """Raise `InvalidParameter`, with a path below `path`, for what is no good attachment.

    Arguments:
        attachment: the value.
        path: where it stands.
        check_name: what its name and type must be.
    """
    if not isinstance(attachment, Attachment):
        raise InvalidParameter("must be an attachment", path=path, value=attachment)
    if not is_id(attachment.id):
        raise InvalidParameter("must be letters and digits", path=f"{path}.id", value=attachment.id)
    check_name(f"{path}.name", attachment.name)
    check_name(f"{path}.mimetype", attachment.mimetype)
    size = attachment.size
    if type(size) is not int or size < 0:
        raise InvalidParameter("must be a number of bytes", path=f"{path}.size", value=size)


def _attachment(path: str, value: object) -> None:
    check_attachment(value, path, _header)


def _each(check: _Check) -> _Check:
    def checked(path: str, value: Any) -> None:
        for index, item in enumerate(value):
            check(f"{path}[{index}]", item)

    return checked


def _checked(check: _Check) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def validate(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None or field.default is not None:
            check(f"$.{wire_name(field.name)}", value)

    return validate


def _listed(value: Any, field: attrs.Attribute[Any]) -> Any:
    if value is None and field.default is None:
        return None
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise InvalidParameter("must be a list", path=f"$.{wire_name(field.name)}", value=value)


_as_tuple = attrs.Converter(_listed, takes_field=True)


def _optional(check: _Check, default: _T) -> _T:
    field: Any = attrs.field(default=default, validator=_checked(check))
    return field  # type: ignore[no-any-return]  # what attrs.field itself pretends to return


def _texts(check: _Check, default: Sequence[str] | None) -> Any:
    return attrs.field(default=default, converter=_as_tuple, validator=_checked(_each(check)))


@attrs.frozen
class Command:
    """What every command is; a team's own commands derive from it and name their trigger."""

    trigger: ClassVar[str]
    """The trigger's wire name, which is the `operationName` of an operation."""


@attrs.frozen(kw_only=True)
class Invite(Command):
    """Offer the interaction to an agent."""

    trigger = Trigger.INVITE.value
    agent_id: str = attrs.field(validator=_checked(check_name))
    """Whom."""
    delivering_timeout: float | None = _optional(_seconds, None)
    """Seconds that the agent has to accept; None for the configured default."""


@attrs.frozen(kw_only=True)
class Accept(Command):
    """Take the offered interaction."""

    trigger = Trigger.ACCEPT.value
    offer: int | None = _optional(_offer, None)
    """The offer that is meant; None for the present one."""


@attrs.frozen(kw_only=True)
class Reject(Command):
    """Decline the offered interaction."""

    trigger = Trigger.REJECT.value
    offer: int | None = _optional(_offer, None)
    """The offer that is meant; None for the present one."""
    reason: str | None = _optional(check_text, None)
    """Why."""


@attrs.frozen(kw_only=True)
class Revoke(Command):
    """Take the interaction away from whoever holds it, or out of its workbin."""

    trigger = Trigger.REVOKE.value
    reason: str | None = _optional(check_text, None)
    """Why."""


@attrs.frozen
class Return(Command):
    """Give a transfer that nobody accepted back to its origin."""

    trigger = Trigger.RETURN.value


@attrs.frozen(kw_only=True)
class Close(Command):
    """End the interaction while nobody holds it."""

    trigger = Trigger.CLOSE.value
    reason: str | None = _optional(check_text, None)
    """Why."""


@attrs.frozen(kw_only=True)
class Transfer(Command):
    """Give the interaction to another agent, or to some agent with a skill.

    Raises `MissingParameter` where neither is named, `InvalidParameter` where both are.
    """

    trigger = Trigger.TRANSFER.value
    agent_id: str | None = _optional(check_name, None)
    """The agent who is to have it, not oneself."""
    skill: str | None = _optional(check_name, None)
    """The skill that its next owner must have."""

    def __attrs_post_init__(self) -> None:
        if self.agent_id is None and self.skill is None:
            raise MissingParameter(
                "agentId or skill is required", path="$.agentId", trigger=self.trigger
            )
        if self.agent_id is not None and self.skill is not None:
            raise InvalidParameter(
                "agentId and skill exclude each other",
                path="$.skill",
                value=self.skill,
                trigger=self.trigger,
            )


@attrs.frozen(kw_only=True)
class Reply(Command):
    """Begin a reply to the sender, or go on with the kept draft.

    With a kept draft, what differs from the defaults replaces the draft's fields.
    """

    trigger = Trigger.REPLY.value
    text: str = _optional(check_text, "")
    """The plain body, before a quotation."""
    structured_text: str = _optional(check_text, "")
    """The formatted (HTML) body."""
    subject_prefix: str = _optional(_header, "Re: ")
    """What stands before the subject, once, however often it was already there."""
    quote_original: bool = _optional(_boolean, False)
    """Whether the plain body ends with the original's."""
    reply_to_start_line: str = _optional(check_text, "")
    """The line before a quotation, `""` for none."""
    indent_character: str = _optional(check_text, "> ")
    """What stands before each quoted line."""


@attrs.frozen(kw_only=True)
class ReplyAll(Reply):
    """Begin a reply to everybody, or go on with the kept draft; otherwise as `Reply`."""

    trigger = Trigger.REPLY_ALL.value


@attrs.frozen(kw_only=True)
class StopProcessing(Command):
    """End the interaction without a reply."""

    trigger = Trigger.STOP_PROCESSING.value
    reason: str | None = _optional(check_text, None)
    """Why."""


@attrs.frozen(kw_only=True)
class PlaceInQueue(Command):
    """Put the interaction back into a queue."""

    trigger = Trigger.PLACE_IN_QUEUE.value
    queue: str = attrs.field(validator=_checked(check_name))
    """Which."""


@attrs.frozen(kw_only=True)
class PlaceInWorkbin(Command):
    """Park the interaction in a workbin."""

    trigger = Trigger.PLACE_IN_WORKBIN.value
    workbin: str = attrs.field(validator=_checked(check_name))
    """Which."""


@attrs.frozen(kw_only=True)
class _Edits(Command):
    subject: str | None = _optional(_header, None)
    """The draft's new subject, None to leave it."""
    text: str | None = _optional(check_text, None)
    """The draft's new plain body, None to leave it."""
    structured_text: str | None = _optional(check_text, None)
    """The draft's new formatted (HTML) body, None to leave it."""
    to_address: str | None = _optional(_header, None)
    """The draft's new recipients, an RFC 5322 address list, None to leave them."""
    cc_addresses: Sequence[str] | None = _texts(_header, None)
    """The draft's new Cc, one RFC 5322 address each, None to leave them."""


@attrs.frozen(kw_only=True)
class UpdateProperties(_Edits):
    """Change user data and comment and, while a reply is written, save the draft."""

    trigger = Trigger.UPDATE_PROPERTIES.value
    user_data: UserData = attrs.field(factory=UserData, converter=as_user_data)
    """Values to set, validated as semantics 4 says; a map with none sets nothing."""
    delete_keys: Sequence[str] = _texts(check_text, ())
    """Keys of the user data to delete; those that are not there are ignored."""
    comment: str | None = _optional(check_text, None)
    """The new notes on the interaction, None to leave them."""


@attrs.frozen
class Pull(Command):
    """Take the interaction out of its workbin."""

    trigger = Trigger.PULL.value


@attrs.frozen
class Cancel(Command):
    """Discard the draft."""

    trigger = Trigger.CANCEL.value


@attrs.frozen(kw_only=True)
class Send(_Edits):
    """Send the draft, with these last edits."""

    trigger = Trigger.SEND.value
    queue: str | None = _optional(check_name, None)
    """The outbound queue, None for none in particular."""


@attrs.frozen(kw_only=True)
class LinkAttachment(Command):
    """Attach content, which the content store has, to the draft."""

    trigger = Trigger.LINK_ATTACHMENT.value
    attachment: Attachment = attrs.field(validator=_checked(_attachment))
    """The id under which the content is kept, and what a mail says of it."""
