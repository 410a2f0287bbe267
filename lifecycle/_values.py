"""L0. Frozen values: made at the speed of mutable ones, and what was made of them kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import attrs

_P = ParamSpec("_P")
_T = TypeVar("_T")

_KEPT = 512
_LONGEST_KEPT = 64 * 1024


def maker(cls: Callable[_P, _T]) -> Callable[_P, _T]:
    """A second constructor of a frozen, slotted attrs class, for values known to be good.

    attrs writes each field of a frozen object through `object.__setattr__`, which would be most
    of what a step costs. The maker fills a mutable twin of the same layout with plain
    assignments, written out as attrs itself does it, and then gives it the frozen class: a
    quarter of the time. It runs no converter and no validator.

    Arguments:
        cls: an attrs class with slots, `frozen` and `weakref_slot=False`; defaults that are
            factories are not supported.

    Returns: a function with the same parameters by name, whose result is an instance of `cls`.
    """
    shape = cast(Any, cls)
    fields = attrs.fields(shape)
    # not keyword-only: Python looks up the default of such a parameter by name at every call
    names = ", ".join(
        [field.name for field in fields if field.default is attrs.NOTHING]
        + [f"{f.name}=_default_{f.name}" for f in fields if f.default is not attrs.NOTHING]
    )
    source = [
        f"def make_{shape.__name__}({names}):",
        "    value = _Twin()",
        *(f"    value.{field.name} = {field.name}" for field in fields),
        "    value.__class__ = _cls",
        "    return value",
    ]
    scope: dict[str, Any] = {f"_default_{field.name}": field.default for field in fields}
    return cast(Callable[_P, _T], _compiled(shape, f"make_{shape.__name__}", source, scope))


def changer(cls: Callable[_P, _T]) -> Callable[..., _T]:
    """A function that gives a copy of a value other values in some fields.

    It is to `attrs.evolve` what `maker` is to the constructor.

    Arguments:
        cls: as for `maker`.

    Returns: a function of a value, and of the fields' new values by name.
    """
    shape = cast(Any, cls)
    source = [
        f"def changed_{shape.__name__}(value, **changes):",
        "    other = _Twin()",
        *(f"    other.{field.name} = value.{field.name}" for field in attrs.fields(shape)),
        "    for name, new in changes.items():",
        "        setattr(other, name, new)",
        "    other.__class__ = _cls",
        "    return other",
    ]
    return cast(Callable[..., _T], _compiled(shape, f"changed_{shape.__name__}", source, {}))


def _compiled(shape: Any, name: str, source: list[str], scope: dict[str, Any]) -> Any:
    """The function of a name in a source that fills a mutable twin of a class."""
    scope["_cls"] = shape
    scope["_Twin"] = type(f"{shape.__name__}Twin", (), {"__slots__": shape.__slots__})
    exec("\n".join(source), scope)  # the source holds nothing but names of fields
    return scope[name]


def kept(length: Callable[[Any], int]) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """A decorator: keep the last results of a pure function, a few hundred of them.

    The function is asked by position about one frozen value, and perhaps a note beside it that
    can be compared. The value is known by its identity: `functools.lru_cache` would hash and
    compare it, which for a mail takes longer than to show it. For each value the result of the
    latest note is kept; one longer than 64 Ki is not, lest senders of large mails fill the
    memory.

    Arguments:
        length: how long a result is.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        make = cast(Callable[..., _T], function)
        # an entry holds its value, whose `id` is therefore not given to another one
        entries: dict[int, tuple[object, object, _T]] = {}

        def keeping(value: object, note: object = None) -> _T:
            entry = entries.get(id(value))
            if entry is not None and entry[1] == note:
                return entry[2]
            result = make(value) if note is None else make(value, note)
            if length(result) <= _LONGEST_KEPT:
                if len(entries) >= _KEPT:
                    entries.clear()
                entries[id(value)] = (value, note, result)
            return result

        return cast(Callable[_P, _T], keeping)

    return decorate
