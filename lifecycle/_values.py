"""L0. Frozen values, made at the speed of mutable ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import attrs

_P = ParamSpec("_P")
_T = TypeVar("_T")


def maker(cls: Callable[_P, _T]) -> Callable[_P, _T]:
    """A second constructor of a frozen, slotted attrs class, for values known to be good.

    attrs writes each field of a frozen object through `object.__setattr__`, which would be most
    of what a step costs. The maker fills a mutable twin of the same layout with plain
    assignments, written out as attrs itself does it, and then gives it the frozen class: a
    quarter of the time. It runs no converter and no validator.

    Arguments:
        cls: an attrs class with slots, `frozen` and `weakref_slot=False`; defaults that are
            factories are not supported.

    Returns: a function with the same parameters, whose result is an instance of `cls`.
    """
    shape = cast(Any, cls)
    fields = attrs.fields(shape)
    # keyword-only, because defaults may stand before fields that have none
    names = ", ".join(
        f.name if f.default is attrs.NOTHING else f"{f.name}=_default_{f.name}" for f in fields
    )
    source = [
        f"def make_{shape.__name__}(*, {names}):",
        "    value = _Twin()",
        *(f"    value.{field.name} = {field.name}" for field in fields),
        "    value.__class__ = _cls",
        "    return value",
    ]
    scope: dict[str, Any] = {f"_default_{field.name}": field.default for field in fields}
    scope["_cls"] = cls
    scope["_Twin"] = type(f"{shape.__name__}Twin", (), {"__slots__": shape.__slots__})
    exec("\n".join(source), scope)  # the source holds nothing but names of fields
    return cast(Callable[_P, _T], scope[f"make_{shape.__name__}"])
