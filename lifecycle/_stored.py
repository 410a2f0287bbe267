"""L4. Interactions and outcomes as the JSON that a store keeps, and back.

What never changes of an interaction, its submission, is one object; what a step changes is
another, small one. The wire's own converter writes and reads both: camelCase keys, strict
types. What a value leaves at its default is not written.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import attrs
import orjson
from cattrs.fns import identity
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter

from lifecycle.codec import arguments_reader, key_of, make_converter
from lifecycle.errors import InvalidParameter, LifecycleError, StoreCorrupt
from lifecycle.interaction import (
    Draft,
    Email,
    Interaction,
    Parking,
    Submission,
    Transfer,
    UserData,
)
from lifecycle.records import Outcome, Refusal

_T = TypeVar("_T")
_ELSEWHERE = ("submission",)
_AS_IS = (str, str | None, int, bool, tuple[str, ...], datetime, datetime | None)
"""What the JSON library writes as it is."""


@cache
def _converter() -> OrjsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook(UserData, lambda value: orjson.Fragment(value.json))
    converter.register_structure_hook(UserData, _user_data)
    converter.register_unstructure_hook(datetime, lambda value: value)  # orjson writes it
    converter.register_structure_hook(datetime, _time)
    for cls in (Email, Submission, Draft, Parking, Transfer, Interaction):
        hints = typing.get_type_hints(cls)
        overrides: dict[str, Any] = {
            field.name: override(
                rename=key_of(field),
                omit=field.name in _ELSEWHERE,
                omit_if_default=hints[field.name] is not UserData,  # to compare one takes long
                unstruct_hook=identity if hints[field.name] in _AS_IS else None,
            )
            for field in attrs.fields(cls)
        }
        write = make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)
        converter.register_unstructure_hook(cls, write)
        converter.register_structure_hook(cls, _reader(cls, converter))
    return converter


def _reader(cls: Any, converter: OrjsonConverter) -> Callable[[Any, Any], Any]:
    made: list[Callable[[Any], dict[str, Any]]] = []

    def read(value: Any, _: Any) -> Any:
        if not made:  # not before all classes are known
            made.append(arguments_reader(cls, converter))
        return cls(**made[0](value))

    return read


@cache
def _interaction_reader() -> Callable[[Any], dict[str, Any]]:
    return arguments_reader(Interaction, _converter(), besides=_ELSEWHERE)


@cache
def _interaction_writer() -> Callable[[Interaction], dict[str, Any]]:
    return _converter().get_unstructure_hook(Interaction)


def _user_data(value: Any, _: Any) -> UserData:
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", path="$", value=value)
    return UserData(orjson.dumps(value))  # it was validated when it came in


def _time(value: Any, _: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidParameter("must be a time with its zone", path="$", value=value)
    return at.astimezone(UTC)


def write_submission(submission: Submission) -> bytes:
    """What came with a submission as JSON."""
    return orjson.dumps(_converter().unstructure(submission))


def read_submission(data: bytes | str, id: str) -> Submission:
    """The submission that `write_submission` wrote.

    Arguments:
        data: the JSON.
        id: the id of its interaction.

    Raises `StoreCorrupt`, with the interaction's id, `$.path` and value, for anything else.
    """

    def read() -> Submission:
        submission: Submission = _converter().structure(orjson.loads(data), Submission)
        _check("id", submission.id, id)
        return submission

    return _reading(read, id, "submission")


def write_interaction(interaction: Interaction) -> bytes:
    """What a step changes of an interaction as JSON: everything but its submission."""
    return orjson.dumps(_interaction_writer()(interaction))


def read_interaction(data: bytes | str, submission: Submission, version: int) -> Interaction:
    """The interaction that `write_interaction` wrote.

    Arguments:
        data: the JSON.
        submission: its submission.
        version: the version that it must be of.

    Raises `StoreCorrupt` as `read_submission` does.
    """

    def read() -> Interaction:
        interaction = Interaction(submission, **_interaction_reader()(orjson.loads(data)))
        _check("version", interaction.version, version)
        return interaction

    return _reading(read, submission.id, "interaction")


def write_outcome(outcome: Outcome) -> bytes:
    """What a request came to as JSON, without the submission of its interaction."""
    value: dict[str, Any] = {}
    if outcome.interaction is not None:
        value["interaction"] = orjson.Fragment(write_interaction(outcome.interaction))
        value["version"] = outcome.interaction.version
    if outcome.refusal is not None:
        value["refusal"] = {"kind": outcome.refusal.kind, "fields": outcome.refusal.fields}
    return orjson.dumps(value)


def read_outcome(
    data: bytes | str,
    *,
    operation_id: str,
    fingerprint: str,
    at: datetime,
    submission: Submission | None,
) -> Outcome:
    """The outcome that `write_outcome` wrote.

    Arguments:
        data: the JSON.
        operation_id, fingerprint, at: as the outcome has them.
        submission: of the interaction that it concerns, None where it concerns none.

    Raises `StoreCorrupt` for anything else.
    """

    def read() -> Outcome:
        value = orjson.loads(data)
        interaction = refusal = None
        if "interaction" in value:
            if submission is None:
                raise InvalidParameter("its submission is missing", path="$", value=operation_id)
            rest = _interaction_reader()(value["interaction"])
            interaction = Interaction(submission, **rest)
        if "refusal" in value:
            refusal = Refusal(**value["refusal"])
            refusal.error()
        return Outcome(
            operation_id=operation_id,
            fingerprint=fingerprint,
            at=at,
            interaction=interaction,
            refusal=refusal,
        )

    return _reading(read, None if submission is None else submission.id, "outcome")


def _check(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise InvalidParameter(f"must be {wanted!r}", path=f"$.{name}", value=found)


def _reading(read: Callable[[], _T], id: str | None, what: str) -> _T:
    try:
        return read()
    except LifecycleError as error:
        reason, path, value = error.message, error.path, error.value
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # no JSON, or another shape
        reason, path, value = str(error), "$", None
    raise StoreCorrupt(
        f"the stored {what} cannot be read: {reason}", interaction_id=id, path=path, value=value
    )
