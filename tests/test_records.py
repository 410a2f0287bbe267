"""Records: a refusal as a store keeps it, and agents as they begin."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest
from builders import mail, submitted
from clocks import START

from lifecycle import Agent, Stream, errors
from lifecycle.errors import LifecycleError
from lifecycle.records import Outcome, Refusal, changed_agent

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, LifecycleError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_refusal_gives_the_error_back(kind: type[LifecycleError]) -> None:
    """The same class, fields and text, for every error that there is."""
    error = kind(
        "no",
        interaction_id="I1",
        state="Invited",
        trigger="Send",
        capabilities=("Accept", "Reject"),
        agent_id="ann",
        path="$.queue",
        value="nowhere",
    )
    again = Refusal.of(error).error()
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert again.answer() == error.answer()
    assert again.args == error.args


def test_a_refusal_without_anything() -> None:
    """The defaults come back as the defaults."""
    again = Refusal.of(errors.NotFound()).error()
    assert vars(again) == vars(errors.NotFound())


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1.5, "é\U0001f4e7", "", [1, ["a"]], {"a": None}, 2**64 - 1, -(2**63)],
    ids=repr,
)
def test_what_json_holds_is_kept_as_it_is(value: Any) -> None:
    """So that a store may write it as JSON and read the same again."""
    fields = Refusal.of(errors.NotFound("no", value=value)).fields
    assert fields["value"] == value
    assert orjson.loads(orjson.dumps(fields)) == fields


@pytest.mark.parametrize(
    "value",
    [START, b"raw", float("nan"), float("inf"), 2**64, "\ud800", {1: 2}, (1, 2), object, {"a"}],
    ids=repr,
)
def test_what_json_does_not_hold_is_kept_as_text(value: Any) -> None:
    """As an error message shows it."""
    fields = Refusal.of(errors.NotFound("no", value=value)).fields
    assert fields["value"] == errors.shown(value)
    assert orjson.loads(orjson.dumps(fields)) == fields


def test_what_others_hang_on_an_error_is_not_kept() -> None:
    """A note, a cause and a traceback are of the process in which they were raised."""
    error = errors.NotFound("no", value="x")
    error.add_note("while testing")
    error.__cause__ = ValueError("why")
    again = Refusal.of(error).error()
    assert vars(again) == vars(errors.NotFound("no", value="x"))


@pytest.mark.parametrize("kind", [LifecycleError, errors.NotPermitted, errors.StaleOffer])
def test_an_error_of_a_teams_own_comes_back_as_the_nearest(kind: type[LifecycleError]) -> None:
    """A class that the library does not know is kept as the one that it is derived from."""
    own = type("NotFound", (type("Own", (kind,), {}),), {})  # whatever it is called
    again = Refusal.of(own("no", path="$.text", value="a")).error()
    assert type(again) is kind
    assert (again.message, again.path, again.value) == ("no", "$.text", "a")


def test_an_erased_refusal_quotes_nothing() -> None:
    """The same class, ids and place; neither the words nor the value of the request."""
    error = errors.NotFound(
        "there is no Zoe", interaction_id="I1", state="Queued", path="$.queue", value="Zoe"
    )
    again = Refusal.of(error).erased().error()
    assert type(again) is errors.NotFound
    assert (again.message, again.value) == ("erased", None)
    assert (again.interaction_id, again.state, again.path) == ("I1", "Queued", "$.queue")


def test_an_outcome_says_what_it_is_about() -> None:
    """The interaction that it holds, or the one that was refused; a bare one is about none."""
    bare = Outcome(operation_id="op1", fingerprint="00", at=START)
    refusal = Refusal.of(errors.NotFound("no", interaction_id="I2"))
    assert bare.concerns is None
    assert attrs.evolve(bare, interaction=submitted(id="I1")).concerns == "I1"
    assert attrs.evolve(bare, refusal=refusal).concerns == "I2"


def test_an_erased_outcome_has_what_is_left() -> None:
    """Of an interaction its last value; of a refusal what quotes nothing."""
    rest = submitted(mail(subject=""), id="I1")
    done = Outcome(operation_id="op1", fingerprint="00", at=START, interaction=submitted(id="I1"))
    assert done.erased(rest) == attrs.evolve(done, interaction=rest)
    refusal = Refusal.of(errors.NotFound("no Zoe", interaction_id="I1", value="Zoe"))
    refused = attrs.evolve(done, interaction=None, refusal=refusal)
    assert refused.erased(rest) == attrs.evolve(refused, refusal=refusal.erased())


def test_agents_and_streams_begin_with_nothing() -> None:
    """An agent of version 0 is NotReady and counts nothing; a stream has nothing delivered."""
    agent = Agent(id="ann")
    assert (agent.gone, agent.away_at) == (False, None)
    assert (agent.version, agent.ready, agent.load, agent.missed, agent.sequence) == (
        0,
        False,
        0,
        0,
        0,
    )
    stream = Stream(agent_id="ann")
    assert (stream.delivered, stream.tries, stream.parked, stream.absent) == (0, 0, False, False)


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Agent)])
def test_a_changed_agent_is_a_value_of_its_own(field: str) -> None:
    """As `attrs.evolve` makes it: frozen, equal to another like it, and the first as it was."""
    agent, same = (Agent(id="ann", version=3, ready=True, sessions=("w1",)) for _ in range(2))
    changes: dict[str, Any] = {field: "new"}
    changed = changed_agent(agent, **changes)
    assert changed == attrs.evolve(agent, **changes)
    assert type(changed) is Agent
    assert agent == same
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        changed.version = 9  # type: ignore[misc]  # it is frozen


def test_an_agent_has_no_other_fields() -> None:
    """A name that is misspelt is an error, not one more attribute."""
    with pytest.raises(AttributeError, match="nothing"):
        changed_agent(Agent(id="ann"), nothing=1)
