"""L1. Errors as a log may show them: nothing of a mail's content in logs.

An error of ours quotes the value that offends, and one of a store what stands in a row: that is
for whoever called, and may be a mail. A log gets a copy instead, of the same class and from the
same place, which says:

- the class, the `path` and the ids of interaction, agent, state and trigger, of every error;
- the message too, of an `InternalError` that is no `StoreCorrupt`: it is the library's or the
  store's own sentence;
- the value too, of `StoreUnavailable`, `StoreFull` and `SchemaMismatch`: what a driver says of
  its file or server;
- nothing of what it was raised from.

What a sink, a mailer, an observer or a rule of a team's raises is logged as it is: what it says
is theirs. Where it was raised from an error of ours, its class and place are logged alone.
"""

from __future__ import annotations

from lifecycle.errors import (
    InternalError,
    LifecycleError,
    SchemaMismatch,
    StoreCorrupt,
    StoreFull,
    StoreUnavailable,
    shown,
)

_OF_THE_SYSTEM = (StoreUnavailable, StoreFull, SchemaMismatch)
_FREE_KEYS = ".userData"
"""Below here the keys of a path are what somebody wrote."""


class Untold(Exception):
    """Stands in a log for an error whose own words may quote a mail; it says which class."""


def hushed(error: BaseException) -> BaseException:
    """What a log shows in the place of an error, with its traceback; the error is unchanged.

    Arguments:
        error: what was raised, by whomever.
    """
    if isinstance(error, LifecycleError):
        return _copy(error).with_traceback(error.__traceback__)
    if _quotes_ours(error):
        return Untold(type(error).__qualname__).with_traceback(error.__traceback__)
    return error


def place(path: str | None) -> str | None:
    """A path as a log may show it: as far as no key is a person's."""
    if path is None:
        return None
    known, free, _ = path.partition(_FREE_KEYS)
    return known + free


def _copy(error: LifecycleError) -> LifecycleError:
    kind = type(error)
    words = [kind.__name__]
    if isinstance(error, InternalError) and not isinstance(error, StoreCorrupt):
        words.append(error.message)
    if error.path is not None:
        words.append(f"at {place(error.path)}")
    if isinstance(error, _OF_THE_SYSTEM) and error.value is not None:
        words.append(shown(error.value))
    copy = kind.__new__(kind)  # a team's own class may need other arguments than ours
    LifecycleError.__init__(
        copy,
        ": ".join(filter(None, words)),
        interaction_id=error.interaction_id,
        state=error.state,
        trigger=error.trigger,
        capabilities=error.capabilities,
        agent_id=error.agent_id,
    )
    return copy


def _quotes_ours(error: BaseException) -> bool:
    """Whether an error of ours is shown along with an error."""
    rest: list[BaseException | None] = [error]
    seen: set[int] = set()
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, LifecycleError):
            return True
        seen.add(id(one))
        rest += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            rest += one.exceptions
    return False
