"""User data: what is kept, left out and refused, with the path of it (semantics 4)."""

from __future__ import annotations

import copy
import enum
import json
import math
import pickle
import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
import pytest
from builders import START, situation, submitted
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import commands as c
from lifecycle.engine import step
from lifecycle.errors import InvalidParameter
from lifecycle.interaction import UserData

LIMIT = 256 * 1024


def nested(levels: int, *, lists: bool = False) -> Any:
    """A map of so many levels, itself the first, of maps or of lists within."""
    value: Any = [] if lists else {}
    for _ in range(levels - 2):
        value = [value] if lists else {"a": value}
    return {"a": value}


def sized(size: int) -> dict[str, str]:
    """A map that takes exactly so many bytes of JSON."""
    return {"k": "x" * (size - len('{"k":""}'))}


# -- what is kept ------------------------------------------------------------------------------


def test_every_kind_of_value_is_kept() -> None:
    """Strings, integers, finite floats, booleans, null, lists and maps of them, in their order."""
    data = {
        "z": "é\U0001f600\n",
        "a": 0,
        "float": 1.5,
        "yes": True,
        "no": False,
        "null": None,
        "list": [1, [2, {"x": []}], "3"],
        "map": {"": {"b": {}}},
    }
    kept = UserData.of(data)
    assert kept == data
    assert dict(kept) == data
    assert list(kept) == list(data)
    assert json.dumps(dict(kept)) == json.dumps(data)
    assert orjson.loads(kept.json) == data


@pytest.mark.parametrize(
    "value",
    [2**64 - 1, -(2**63), 2**63, 1e308, -1e308, 5e-324, -0.0, 1.0, "", "a" * 1000, [], {}],
)
def test_values_at_their_limits_are_kept(value: Any) -> None:
    """The largest and smallest of each kind come back as they went in, with their types."""
    kept = UserData.of({"v": value})["v"]
    assert (type(kept), repr(kept)) == (type(value), repr(value))


def test_other_maps_and_tuples_become_plain_ones() -> None:
    """Any Mapping is a map, a tuple is a list, and a subclass of a plain type is that type."""

    class Number(int):
        """An integer of a host's own."""

    proxy = types.MappingProxyType({"t": (1, (2,)), "n": Number(7)})
    kept = UserData.of(OrderedDict(proxy=proxy))
    assert dict(kept) == {"proxy": {"t": [1, [2]], "n": 7}}


def test_members_of_string_enumerations_are_their_strings() -> None:
    """A string is a string, also one of an enumeration, as key and as value."""

    class Colour(str, enum.Enum):  # noqa: UP042  # StrEnum behaves differently: this is the test
        RED = "red"

    class Shade(enum.StrEnum):
        DARK = "dark"

    kept = UserData.of({Colour.RED: Colour.RED, Shade.DARK: [Shade.DARK]})
    assert dict(kept) == {"red": "red", "dark": ["dark"]}


def test_user_data_reads_like_a_map() -> None:
    """Length, membership, get, and a KeyError for what is not there."""
    kept = UserData.of({"a": 1, "b": None})
    assert isinstance(kept, Mapping)
    assert len(kept) == 2
    assert "b" in kept
    assert "c" not in kept
    assert kept.get("c", 7) == 7
    with pytest.raises(KeyError):
        kept["c"]
    assert repr(kept) == "UserData({'a': 1, 'b': None})"
    assert UserData() == {} == UserData.of({})


def test_equal_user_data_hashes_alike() -> None:
    """Order does not matter to equality; user data also equals the plain map."""
    one, other = UserData.of({"a": 1, "b": [2]}), UserData.of({"b": [2], "a": 1})
    assert one.json != other.json
    assert one == other
    assert hash(one) == hash(other)
    assert one != UserData.of({"a": 1, "b": [3]})
    assert one != {"a": 1}
    assert (one == 7) is False


def test_user_data_is_immutable() -> None:
    """Neither the object, nor what is read from it, nor what it was made of can change it."""
    source: dict[str, Any] = {"list": [1], "map": {"x": 1}}
    kept = UserData.of(source)
    source["list"].append(2)
    source["map"]["x"] = 2
    source["new"] = 1
    kept["list"].append(3)
    kept["map"].clear()
    assert kept == {"list": [1], "map": {"x": 1}}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        kept.json = b"{}"
    with pytest.raises((TypeError, AttributeError)):
        kept["list"] = 1  # type: ignore[index]  # that it fails is the test


def test_user_data_of_user_data_is_itself() -> None:
    """What is validated is not validated again."""
    kept = UserData.of({"a": 1})
    assert UserData.of(kept) is kept
    assert submitted(user_data=kept).user_data is kept


def test_user_data_is_copied_and_pickled_whole() -> None:
    """Copies and pickles are equal values."""
    kept = UserData.of({"a": [1, {"b": "é"}]})
    for other in (copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert other == kept
        assert type(other) is UserData


# -- what is left out --------------------------------------------------------------------------


def test_binary_values_are_left_out_at_every_depth() -> None:
    """bytes, bytearray and memoryview go, key and all; items of lists too; text is never binary."""
    data = {
        "bytes": b"x",
        "array": bytearray(b"x"),
        "view": memoryview(b"x"),
        "text": "x",
        "list": [1, b"x", [b"x", 2, bytearray()], {"deep": b"", "kept": None}],
        "map": {"a": {"b": {"c": memoryview(b""), "d": "YmFzZTY0"}}},
        "tuple": (b"x",),
    }
    assert dict(UserData.of(data)) == {
        "text": "x",
        "list": [1, [2], {"kept": None}],
        "map": {"a": {"b": {"d": "YmFzZTY0"}}},
        "tuple": [],
    }


def test_a_binary_value_under_a_bad_key_is_still_refused() -> None:
    """What is left out is the value; a key that is no string is wrong in any case."""
    with pytest.raises(InvalidParameter):
        UserData.of({7: b"x"})  # type: ignore[dict-item]  # that it fails is the test


def test_left_out_values_do_not_count() -> None:
    """A binary value of any size takes nothing of the 256 KiB."""
    assert UserData.of({"a": b"x" * LIMIT * 2, "b": [b"x" * LIMIT]}) == {"b": []}


# -- what is refused ---------------------------------------------------------------------------


class Odd:
    """An object that is no value of user data."""


ODD = Odd()
LONE = "a\ud800b"
REFUSED: list[tuple[Any, str]] = [
    ({"a": math.nan}, "$.userData.a"),
    ({"a": math.inf}, "$.userData.a"),
    ({"a": [0, -math.inf]}, "$.userData.a[1]"),
    ({"a": 2**64}, "$.userData.a"),
    ({"a": {"b": -(2**63) - 1}}, "$.userData.a.b"),
    ({"a": [{"b": [10**30]}]}, "$.userData.a[0].b[0]"),
    ({"a": LONE}, "$.userData.a"),
    ({"a": ["", "\udfff"]}, "$.userData.a[1]"),
    ({"a": ODD}, "$.userData.a"),
    ({"a": [b"left out", ODD]}, "$.userData.a[1]"),
    ({"a": {1, 2}}, "$.userData.a"),
    ({"a": START}, "$.userData.a"),
    ({"a": 1j}, "$.userData.a"),
    ({"two words": math.nan}, "$.userData['two words']"),
]


@pytest.mark.parametrize(("data", "path"), REFUSED)
def test_a_refused_value_is_named_by_its_path(data: Any, path: str) -> None:
    """NaN, infinities, integers beyond 64 bits, lone surrogates and other types, at any depth."""
    with pytest.raises(InvalidParameter) as raised:
        UserData.of(data)
    error = raised.value
    assert error.path == path
    assert (error.status_code, error.http_status) == (10, 400)
    assert str(error).isprintable()
    inner: Any = data
    while isinstance(inner, (dict, list)):
        inner = list(inner.values())[-1] if isinstance(inner, dict) else inner[-1]
    assert error.value is inner


@pytest.mark.parametrize("key", [7, None, 1.5, True, b"a", ("a",)])
@pytest.mark.parametrize("inside", [False, True])
def test_a_key_that_is_not_a_string_is_refused(key: Any, inside: bool) -> None:
    """At the top and inside; the path is the map's and the value is the key."""
    data: Any = {"a": [{key: 1}]} if inside else {key: 1}
    with pytest.raises(InvalidParameter, match="key") as raised:
        UserData.of(data)
    assert raised.value.path == ("$.userData.a[0]" if inside else "$.userData")
    assert raised.value.value == key


def test_a_key_with_a_lone_surrogate_is_refused() -> None:
    """A key must be text as well."""
    with pytest.raises(InvalidParameter, match="surrogate") as raised:
        UserData.of({"a": {LONE: 1}})
    assert (raised.value.path, raised.value.value) == ("$.userData.a['a\\ud800b']", LONE)


@pytest.mark.parametrize("value", [None, 7, "a", b"{}", ["a"], [("a", 1)], ODD])
def test_user_data_is_a_map(value: Any) -> None:
    """Anything else is refused at its own path."""
    with pytest.raises(InvalidParameter, match="map") as raised:
        UserData.of(value)
    assert (raised.value.path, raised.value.value) == ("$.userData", value)


@pytest.mark.parametrize("lists", [False, True])
def test_a_depth_of_64_is_kept_and_65_refused(lists: bool) -> None:
    """The map itself is the first level; lists are levels like maps; scalars are none."""
    deep = nested(64, lists=lists)
    assert dict(UserData.of(deep)) == deep
    with pytest.raises(InvalidParameter, match="deep") as raised:
        UserData.of(nested(65, lists=lists))
    assert raised.value.path == "$.userData" + (".a" + "[0]" * 63 if lists else ".a" * 64)


def test_scalars_stand_at_the_deepest_level() -> None:
    """A map at level 64 may hold values."""
    deep = nested(64)
    inner = deep
    for _ in range(63):
        inner = inner["a"]
    inner["leaf"] = 1
    assert dict(UserData.of(deep)) == deep


def test_depth_is_refused_without_deep_recursion() -> None:
    """A depth that would break Python's own limit is refused like 65."""
    with pytest.raises(InvalidParameter, match="deep"):
        UserData.of(nested(100_000))


def test_a_map_in_itself_is_too_deep() -> None:
    """A cycle never ends, so it is too deep."""
    ring: dict[str, Any] = {}
    ring["a"] = [ring]
    with pytest.raises(InvalidParameter, match="deep"):
        UserData.of(ring)


def test_256_kib_are_kept_and_one_byte_more_refused() -> None:
    """The size is that of the whole map as UTF-8 JSON."""
    kept = UserData.of(sized(LIMIT))
    assert len(kept.json) == LIMIT
    with pytest.raises(InvalidParameter, match="262144 bytes") as raised:
        UserData.of(sized(LIMIT + 1))
    assert (raised.value.path, raised.value.value) == ("$.userData", LIMIT + 1)


def test_size_is_counted_in_bytes_not_characters() -> None:
    """A character beyond ASCII takes its two to four bytes."""
    with pytest.raises(InvalidParameter, match="bytes"):
        UserData.of({"k": "é" * (LIMIT // 2)})
    assert UserData.of({"k": "é" * (LIMIT // 2 - 8)})


def test_the_path_may_be_given() -> None:
    """Where user data stands elsewhere in a request, errors say so."""
    with pytest.raises(InvalidParameter) as raised:
        UserData.of({"a": math.nan}, path="$.body.userData")
    assert raised.value.path == "$.body.userData.a"


# -- changing it -------------------------------------------------------------------------------


def test_an_update_sets_and_deletes() -> None:
    """Values are set whole, not merged into maps that are there; then keys are deleted."""
    before = UserData.of({"a": {"x": 1}, "b": 2, "c": 3})
    now = before.changed(UserData.of({"a": {"y": 1}, "d": 4}), ("b", "d", "nowhere"))
    assert dict(now) == {"a": {"y": 1}, "c": 3}
    assert before == {"a": {"x": 1}, "b": 2, "c": 3}
    assert list(before.changed(UserData.of({"a": 9}))) == ["a", "b", "c"]


def test_an_update_with_nothing_is_the_same_object() -> None:
    """Nothing to set and nothing to delete: nothing is copied."""
    before = UserData.of({"a": 1})
    assert before.changed(UserData()) is before


@pytest.mark.parametrize("trigger", ["Accepted", "ReplyCreated"])
def test_an_update_that_grows_too_large_is_refused(trigger: str) -> None:
    """The limit is that of the whole map, which must still hold after the update."""
    before = step(
        situation(trigger),
        c.UpdateProperties(user_data=sized(LIMIT // 2)),
        actor="ann",
        at=START,
    ).interaction
    command = c.UpdateProperties(user_data={"other": "x" * (LIMIT // 2)}, comment="new")
    with pytest.raises(InvalidParameter, match="bytes") as raised:
        step(before, command, actor="ann", at=START)
    assert raised.value.path == "$.userData"
    assert (raised.value.state, raised.value.agent_id) == (trigger, "ann")
    smaller = attrs.evolve(command, delete_keys=["k"])
    now = step(before, smaller, actor="ann", at=START).interaction
    assert set(now.user_data) == {"priority", "tags", "other"}


def test_keys_to_delete_may_be_any_text() -> None:
    """An empty key and one with a stop in it are keys, not paths."""
    before = UserData.of({"": 1, "a.b": 2, "a": {"b": 3}})
    assert dict(before.changed(UserData(), ["", "a.b"])) == {"a": {"b": 3}}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
binaries = st.binary(max_size=3) | st.binary(max_size=3).map(bytearray)


def without_binaries(value: Any) -> Any:
    """What section 4 leaves of a value, by hand."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not isinstance(v, (bytes, bytearray))}
        return {key: without_binaries(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [without_binaries(v) for v in value if not isinstance(v, (bytes, bytearray))]
    return value


@given(
    st.dictionaries(
        texts,
        st.recursive(
            scalars | binaries,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
            max_leaves=10,
        ),
        max_size=4,
    )
)
def test_any_good_map_is_kept_without_its_binaries(data: dict[str, Any]) -> None:
    """Whatever is allowed comes back as it was, without binary values, with the same types."""
    kept = UserData.of(data)
    expected = without_binaries(data)
    assert repr(dict(kept)) == repr(expected)
    assert UserData(kept.json) == kept
    assert pickle.loads(pickle.dumps(kept)) == kept
