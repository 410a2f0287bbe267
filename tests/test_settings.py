"""Settings: what is refused, and how long a retry waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lifecycle import DEFAULT_LIMITS, Limits, Settings
from lifecycle.errors import InvalidParameter


def test_the_defaults_are_those_of_the_specification() -> None:
    """Semantics 5 and 6: 60 seconds of presence, two missed offers, the limits of the engine."""
    settings = Settings()
    assert settings.presence_timeout == timedelta(seconds=60)
    assert settings.missed_offers == 2
    assert settings.limits == DEFAULT_LIMITS
    assert not settings.documented_only
    assert Settings(documented_only=True).documented_only


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backlog", 0),
        ("missed_offers", 0),
        ("presence_timeout", timedelta()),
        ("attempts", -1),
        ("first_retry", timedelta(seconds=-1)),
        ("longest_retry", timedelta()),
        ("sink_timeout", timedelta()),
        ("lease", timedelta()),
        ("timer_lease", timedelta()),
        ("timer_lease", timedelta(seconds=-5)),
        ("deliveries_kept", timedelta()),
        ("outcomes_kept", timedelta(days=-1)),
        ("finished_kept", timedelta()),
        ("figures_every", timedelta()),
        ("concurrency", 0),
        ("batch", 0),
    ],
)
def test_what_is_not_positive_is_refused(name: str, value: Any) -> None:
    """With the name of the setting and its value."""
    with pytest.raises(InvalidParameter, match="must be a positive") as caught:
        Settings(**{name: value})
    assert (caught.value.path, caught.value.value) == (f"$.{name}", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backlog", "10"),
        ("backlog", 10.0),
        ("backlog", None),
        ("missed_offers", True),
        ("presence_timeout", 60),
        ("attempts", timedelta(seconds=1)),
        ("first_retry", 1),
        ("first_retry", None),
        ("longest_retry", "5 min"),
        ("sink_timeout", 10.0),
        ("lease", 60),
        ("timer_lease", None),
        ("timer_lease", 5),
        ("deliveries_kept", 7),
        ("outcomes_kept", "7 days"),
        ("finished_kept", False),
        ("documented_only", None),
        ("documented_only", 1),
        ("documented_only", "yes"),
        ("concurrency", None),
        ("batch", 1.5),
        ("limits", None),
        ("limits", {"delivering_timeout": timedelta(seconds=1)}),
    ],
)
def test_what_is_of_another_type_is_refused(name: str, value: Any) -> None:
    """Seconds are no duration, and None is no number where nothing can be switched off."""
    with pytest.raises(InvalidParameter, match="must be") as caught:
        Settings(**{name: value})
    assert (caught.value.path, caught.value.value) == (f"$.{name}", value)


@pytest.mark.parametrize("name", ["delivering_timeout", "handling_timeout", "transfer_timeout"])
@pytest.mark.parametrize("value", [30, None, "30 s", timedelta(), timedelta(seconds=-1)])
def test_limits_are_positive_durations(name: str, value: Any) -> None:
    """Each with its name and value."""
    with pytest.raises(InvalidParameter, match="must be a positive timedelta") as caught:
        Limits(**{name: value})
    assert (caught.value.path, caught.value.value) == (f"$.{name}", value)


@pytest.mark.parametrize(
    "name",
    ["missed_offers", "presence_timeout", "deliveries_kept", "outcomes_kept", "finished_kept"],
)
def test_some_can_be_switched_off(name: str) -> None:
    """With None."""
    settings = Settings(**{name: None})  # type: ignore[arg-type]  # all of these are optional
    assert getattr(settings, name) is None


@pytest.mark.parametrize("seconds", [9, 10])
def test_a_lease_is_longer_than_one_delivery_may_take(seconds: int) -> None:
    """A lease that ends while the sink is still allowed to work is refused."""
    with pytest.raises(InvalidParameter, match="longer than sink_timeout") as caught:
        Settings(lease=timedelta(seconds=seconds), sink_timeout=timedelta(seconds=10))
    assert (caught.value.path, caught.value.value) == ("$.lease", timedelta(seconds=seconds))
    Settings(lease=timedelta(seconds=11), sink_timeout=timedelta(seconds=10))


def test_the_wait_doubles_up_to_the_longest() -> None:
    """From the first retry on."""
    settings = Settings(first_retry=timedelta(seconds=3), longest_retry=timedelta(seconds=40))
    waits = [settings.retry_after(tries).total_seconds() for tries in range(1, 8)]
    assert waits == [3, 6, 12, 24, 40, 40, 40]


@pytest.mark.parametrize("tries", [33, 60, 1_000, 100_000])
def test_the_wait_never_overflows(tries: int) -> None:
    """However often something has failed, and however long the first wait is."""
    settings = Settings(first_retry=timedelta(days=30), longest_retry=timedelta(days=365))
    assert settings.retry_after(tries) == timedelta(days=365)


def test_the_first_wait_may_be_the_longest() -> None:
    """A first retry beyond the longest waits no longer than that."""
    settings = Settings(first_retry=timedelta(minutes=9), longest_retry=timedelta(minutes=1))
    assert settings.retry_after(1) == timedelta(minutes=1)
