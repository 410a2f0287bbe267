"""L3. Every decision about the wire: commands in, documented JSON bytes out (semantics 2a, 4).

Python names are snake_case. A key on the wire is the camelCase of a field's name, or what
the field's metadata says. Reading is strict: an unknown key, a missing one and a value of a
wrong type are refused with their `$.path`.
"""

from __future__ import annotations

import contextlib
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
import cattrs
import orjson
from cattrs.fns import identity
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as _make_orjson_converter

from lifecycle import notifications as n
from lifecycle._values import kept
from lifecycle.commands import Command, check_attachment, check_text, wire_name
from lifecycle.errors import InvalidParameter, LifecycleError, MissingParameter, UnknownOperation
from lifecycle.interaction import RECEIVED_AT, Attachment, UserData, is_id
from lifecycle.notifications import WIRE_NAME, Notification
from lifecycle.table import EMAIL, Table
from lifecycle.vocabulary import State

_C = TypeVar("_C", bound=cattrs.Converter)

_MESSAGES: Mapping[str, type[Any]] = {
    State.INVITED.value: n.Invited,
    State.ACCEPTED.value: n.Accepted,
    State.REPLY_CREATED.value: n.ReplyCreated,
}
_COMPLETE = (
    *_MESSAGES.values(),
    n.Left,
    n.InvitedEmail,
    n.SubjectEmail,
    n.AcceptedEmail,
    n.ReplyEmail,
    Attachment,
)
_OPERATION_NAME = "operationName"
_OPERATION_ID = "operationId"
_ENVELOPE = {_OPERATION_NAME, _OPERATION_ID}
_AS_IS = (str, str | None, tuple[str, ...])  # a JSON library writes these as they are


def key_of(field: attrs.Attribute[Any]) -> str:
    """The key that a field has on the wire."""
    return str(field.metadata.get(WIRE_NAME) or wire_name(field.name))


def make_converter() -> OrjsonConverter:
    """A cattrs converter on orjson that knows every notification and command."""
    return configure_converter(_make_orjson_converter())


def configure_converter(converter: _C) -> _C:
    """Teach a converter of one's own the notifications and commands.

    Arguments:
        converter: any cattrs converter; what it does with other classes stays as it is.

    Returns: the same converter. It unstructures to plain dicts in the documented order, and
    structuring them raises `InvalidParameter` or `MissingParameter` with the `$.path`.
    """
    converter.register_unstructure_hook_factory(_is_wire_class, _unstructure_factory)
    converter.register_structure_hook_factory(_is_wire_class, _structure_factory)
    converter.register_unstructure_hook(UserData, lambda value: orjson.loads(value.json))
    converter.register_structure_hook(UserData, lambda value, _: UserData.of(value, path="$"))
    return converter


def _is_wire_class(cls: Any) -> bool:
    return cls in _COMPLETE or (isinstance(cls, type) and issubclass(cls, Command))


def _unstructure_factory(cls: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls)
    overrides = {
        field.name: override(
            rename=key_of(field), unstruct_hook=identity if hints[field.name] in _AS_IS else None
        )
        for field in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, **overrides)  # type: ignore[arg-type]  # names of fields


def _structure_factory(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    read = arguments_reader(cls, converter)
    return lambda value, _: cls(**read(value))


def arguments_reader(
    cls: Any, converter: cattrs.Converter, besides: Collection[str] = ()
) -> Callable[[Any], dict[str, Any]]:
    """What reads the arguments of an attrs class from an object strictly.

    Arguments:
        cls: the class.
        converter: reads what is not of a plain type.
        besides: names of fields that come from elsewhere, and are not read.
    """
    hints = typing.get_type_hints(cls)
    complete = cls in _COMPLETE  # a notification has all of its keys, a command may leave some
    missing = InvalidParameter if complete else MissingParameter
    fields = {
        key_of(field): (
            field.name,
            _reader(hints[field.name], converter),
            complete or field.default is attrs.NOTHING,
        )
        for field in attrs.fields(cls)
        if field.name not in besides
    }

    def read_arguments(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidParameter("must be an object", path="$", value=value)
        for key in value:
            if key not in fields:
                raise InvalidParameter("unknown key", path=f"$.{key}", value=value[key])
        arguments = {}
        for key, (name, read, required) in fields.items():
            if key in value:
                arguments[name] = _read(read, value[key], f".{key}")
            elif required:
                raise missing("is required", path=f"$.{key}")
        return arguments

    return read_arguments


_Reader: TypeAlias = Callable[[Any], Any]


def _read(read: _Reader, value: Any, step: str) -> Any:
    try:
        return read(value)
    except LifecycleError as error:
        error.path = f"${step}{(error.path or '$')[1:]}"
        raise


def _reader(hint: Any, converter: cattrs.Converter) -> _Reader:
    """What reads a value of a type strictly, with paths that begin at the value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PRIMITIVES:
        return _primitive(*_PRIMITIVES[hint])
    if origin is Literal:
        return _constant(arguments[0])
    if origin in (types.UnionType, typing.Union):
        inner = [_reader(one, converter) for one in arguments if one is not types.NoneType]
        return _either(inner, types.NoneType in arguments)
    if origin in (tuple, Sequence):
        return _list(_reader(arguments[0], converter))
    return _structured(hint, converter)


_PRIMITIVES: Mapping[Any, tuple[type | tuple[type, ...], str]] = {
    str: (str, "a string"),
    bool: (bool, "true or false"),
    int: (int, "an integer"),
    float: ((int, float), "a number"),
}


def _primitive(expected: type | tuple[type, ...], name: str) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise InvalidParameter(f"must be {name}", path="$", value=value)
        return value

    return read


def _constant(expected: Any) -> _Reader:
    def read(value: Any) -> Any:
        if value != expected:
            raise InvalidParameter(f"must be {expected!r}", path="$", value=value)
        return value

    return read


def _either(readers: Sequence[_Reader], optional: bool) -> _Reader:
    """What takes a value for the first of several types that it is of, or for none at all."""

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        *others, last = readers
        for reader in others:
            with contextlib.suppress(InvalidParameter):
                return reader(value)
        return last(value)

    return read


def _structured(hint: Any, converter: cattrs.Converter) -> _Reader:
    """What leaves a value to the converter; its errors of any kind become one of ours."""

    def read(value: Any) -> Any:
        try:
            return converter.structure(value, hint)
        except LifecycleError:
            raise
        except Exception as error:  # a hook of a team's own may raise anything
            name = getattr(hint, "__name__", str(hint))
            raise InvalidParameter(f"must be a {name}", path="$", value=value) from error

    return read


def _list(inner: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise InvalidParameter("must be a list", path="$", value=value)
        return tuple(_read(inner, item, f"[{index}]") for index, item in enumerate(value))

    return read


def _parsed(data: bytes | bytearray | memoryview | str) -> Any:
    """Read JSON strictly: orjson knows what is JSON, but takes large integers for floats."""
    repeated: list[tuple[object, str]] = []

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend((result, key) for key in result if keys.count(key) > 1)
        return result

    try:
        orjson.loads(data)
        text = data if isinstance(data, str) else str(data, "utf-8")
        value = json.loads(text, object_pairs_hook=distinct)
    except RecursionError:
        raise InvalidParameter("nested too deep", path="$", value=data) from None
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"not JSON: {error}", path="$", value=data) from None
    for place, key in repeated:
        path = f"{_path_to(place, value, '$') or '$'}.{key}"
        raise InvalidParameter("a key stands twice", path=path, value=key)
    return value


def _path_to(place: object, value: Any, path: str) -> str | None:
    """The path of an object inside a value; None where it is not there any more."""
    if value is place:
        return path
    inside: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inside = [(f"{path}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list):
        inside = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    found = (_path_to(place, item, here) for here, item in inside)
    return next(filter(None, found), None)


def decode_command(
    data: bytes | bytearray | memoryview | str | Mapping[str, Any], *, table: Table = EMAIL
) -> Command:
    """Read a command: `{"operationName": ..., parameters}` (semantics 2a).

    An `operationId` beside them belongs to the envelope; whoever performs the command takes it
    from there.

    Arguments:
        data: the JSON, or the object that it holds.
        table: the rule table whose triggers are understood.

    Raises, each with its `$.path` and value: `MissingParameter` for a missing key,
    `UnknownOperation` for a name that the table does not have, `InvalidParameter` for anything
    else that is wrong.
    """
    value = data if isinstance(data, Mapping) else _parsed(data)
    if not isinstance(value, Mapping):
        raise InvalidParameter("must be an object", path="$", value=value)
    if _OPERATION_NAME not in value:
        raise MissingParameter("is required", path=f"$.{_OPERATION_NAME}")
    name = value[_OPERATION_NAME]
    if not isinstance(name, str) or name not in table.commands:
        raise UnknownOperation(
            "there is no such operation", path=f"$.{_OPERATION_NAME}", value=name
        )
    if not isinstance(value.get(_OPERATION_ID, ""), str):
        raise InvalidParameter(
            "must be a string", path=f"$.{_OPERATION_ID}", value=value[_OPERATION_ID]
        )
    parameters = {key: item for key, item in value.items() if key not in _ENVELOPE}
    command: Command = _converter().structure(parameters, table.commands[name])
    return command


def encode_command(command: Command) -> bytes:
    """Write a command as JSON, `operationName` first, with all of its parameters."""
    return orjson.dumps({_OPERATION_NAME: command.trigger, **_converter().unstructure(command)})


def encode(notification: Any) -> bytes:
    """Write a notification as UTF-8 JSON: the documented keys in the documented order.

    Arguments:
        notification: one of the documented messages, or of an extended table's own: any attrs
            class, which the converter writes as it is.
    """
    return orjson.dumps(_writers[type(notification)](notification))


def decode(data: bytes | bytearray | memoryview | str, *, table: Table = EMAIL) -> Notification:
    """Read a notification: what `encode` wrote gives the same value back.

    Arguments:
        data: the JSON.
        table: the rule table that names the states and their capabilities.

    Raises `InvalidParameter`, with `$.path` and value, for what is not a documented
    notification: not JSON, a key too many or too few, a wrong type or constant, an id that is
    not alphanumeric, an unknown state, capabilities that are not the state's.
    """
    value = _parsed(data)
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", path="$", value=value)
    if "state" not in value:
        raise InvalidParameter("is required", path="$.state")
    state = value["state"]
    if not isinstance(state, str) or state not in table.by_name:
        raise InvalidParameter("there is no such state", path="$.state", value=state)
    notification: Notification = _converter().structure(value, _MESSAGES.get(state, n.Left))
    _check_values(notification)
    if notification.capabilities != table.capabilities(state):
        raise InvalidParameter(
            f"must be those of {state}", path="$.capabilities", value=notification.capabilities
        )
    return notification


def _check_values(notification: Notification) -> None:
    """Refuse what has the documented types but not the documented values (semantics 4)."""
    if not is_id(notification.id):
        raise InvalidParameter("must be letters and digits", path="$.id", value=notification.id)
    email = notification.email_object
    if isinstance(email, n.InvitedEmail) and email.interaction_id != notification.id:
        raise InvalidParameter(
            "must be the id", path="$.email_object.interactionId", value=email.interaction_id
        )
    if isinstance(email, n.AcceptedEmail):
        for index, attachment in enumerate(email.attachments):
            check_attachment(attachment, f"$.email_object.attachments[{index}]", check_text)
    if isinstance(notification, (n.Accepted, n.ReplyCreated)):
        _check_received(notification.received_at)


def _check_received(value: str) -> None:
    try:
        good = datetime.strptime(value, RECEIVED_AT).strftime(RECEIVED_AT) == value
    except ValueError:
        good = False
    if not good:
        raise InvalidParameter("must be a time in UTC", path="$.receivedAt", value=value)


_converter = cache(make_converter)  # on first use, because making one takes milliseconds


@cache
def _encoder() -> OrjsonConverter:
    """The converter behind `encode`: what is JSON already is not made into dicts again."""
    converter = make_converter()
    converter.register_unstructure_hook(UserData, lambda value: orjson.Fragment(value.json))
    for cls in (n.AcceptedEmail, n.ReplyEmail):
        converter.register_unstructure_hook(cls, _written_once(converter, cls))
    return converter


def _written_once(converter: OrjsonConverter, cls: type[Any]) -> Callable[[Any], orjson.Fragment]:
    """A hook that makes the JSON of a mail's content the first time that it is asked."""
    unstructure = converter.get_unstructure_hook(cls)

    @kept(len)
    def written(content: Any) -> bytes:
        return orjson.dumps(unstructure(content))

    return lambda content: orjson.Fragment(written(content))


class _Writers(dict[type[Any], Callable[[Any], Any]]):
    """What makes JSON's values of a notification, by its class."""

    def __missing__(self, cls: type[Any]) -> Callable[[Any], Any]:
        self[cls] = writer = _encoder().get_unstructure_hook(cls)
        return writer


_writers = _Writers()
