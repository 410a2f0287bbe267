"""L4. What a host may configure about the running of a lifecycle (semantics 5, 6, 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from lifecycle.errors import InvalidParameter
from lifecycle.interaction import DEFAULT_LIMITS, Limits


def _positive(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    default: Any = field.default
    if value is None and "None" in str(field.type):
        return
    if type(value) is not type(default) or value <= default - default:
        raise InvalidParameter(
            f"must be a positive {type(default).__name__}", path=f"$.{field.name}", value=value
        )


def _setting(default: Any) -> Any:
    return attrs.field(default=default, validator=_positive)


@attrs.frozen(kw_only=True)
class Settings:
    """Durations and bounds; raises `InvalidParameter` for one that is not positive."""

    limits: Limits = DEFAULT_LIMITS
    """The timers of interactions."""
    documented_only: bool = False
    """Whether only states that the documented page shows are notified (semantics 4)."""
    backlog: int = _setting(1000)
    """How many deliveries may wait for an agent before invitations are turned away."""
    missed_offers: int | None = _setting(2)
    """After how many offers expired in a row an agent becomes `NotReady`; None for never."""
    presence_timeout: timedelta | None = _setting(timedelta(seconds=60))
    """How long an agent may be without a session before `NotReady`; None for ever."""
    attempts: int = _setting(8)
    """After how many failures a delivery or a mail is parked."""
    first_retry: timedelta = _setting(timedelta(seconds=1))
    """How long to wait after the first failure; the time doubles with each further one."""
    longest_retry: timedelta = _setting(timedelta(minutes=5))
    """How long to wait at most."""
    sink_timeout: timedelta = _setting(timedelta(seconds=10))
    """How long a sink or mailer may take over one delivery or mail before it has failed."""
    lease: timedelta = _setting(timedelta(seconds=60))
    """How long a worker keeps an agent's deliveries, or a mail, for itself; and how long a
    process that says nothing counts as alive."""
    timer_lease: timedelta = _setting(timedelta(seconds=5))
    """How long a process has to do what a deadline brings, before another one tries it."""
    deliveries_kept: timedelta | None = _setting(timedelta(days=7))
    """How long deliveries are kept that the sink has; None for ever."""
    outcomes_kept: timedelta | None = _setting(timedelta(days=7))
    """How long the outcomes of operation ids are kept; None for ever."""
    finished_kept: timedelta | None = _setting(timedelta(days=90))
    """How long interactions are kept that have ended, and content that nobody links; None for
    ever. Outcomes go with their interactions."""
    figures_every: timedelta = _setting(timedelta(seconds=15))
    """How long between two looks at what the store has to do, where a telemetry is told."""
    concurrency: int = _setting(32)
    """To how many agents one process delivers at a time."""
    batch: int = _setting(100)
    """How many deliveries or deadlines are read from the store at a time."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.limits, Limits):
            raise InvalidParameter("must be Limits", path="$.limits", value=self.limits)
        if not isinstance(self.documented_only, bool):
            raise InvalidParameter(
                "must be true or false", path="$.documented_only", value=self.documented_only
            )
        if self.lease <= self.sink_timeout:
            raise InvalidParameter(
                "must be longer than sink_timeout", path="$.lease", value=self.lease
            )

    def retry_after(self, tries: int) -> timedelta:
        """How long to wait after the given number of failures, from 1."""
        doublings = min(tries - 1, 1000)  # any more would only overflow
        seconds = self.first_retry.total_seconds() * 2.0**doublings
        return timedelta(seconds=min(self.longest_retry.total_seconds(), seconds))
