"""The shipped directory: what it knows, and how it is read from a file."""

from __future__ import annotations

from typing import Any

import pytest

from lifecycle import MemoryDirectory
from lifecycle.errors import InvalidParameter

JSON = b"""
{"agents": {"ann": 2, "bob": 1}, "queues": ["sales"], "workbins": {"late": ["ann"], "empty": []},
 "skills": {"french": ["bob"]}, "default": 3}
"""


def test_a_directory_of_lists_knows_what_is_in_them() -> None:
    """Everything that is listed is there, and nothing else."""
    directory = MemoryDirectory.from_json(JSON)
    assert [directory.capacity(agent_id) for agent_id in ("ann", "bob", "eve")] == [2, 1, None]
    assert (directory.has_queue("sales"), directory.has_queue("late")) == (True, False)
    assert (directory.has_workbin("empty"), directory.has_workbin("sales")) == (True, False)
    assert (directory.has_skill("french"), directory.has_skill("latin")) == (True, False)
    assert directory.is_member("ann", "late")
    assert not directory.is_member("bob", "late")
    assert not directory.is_member("ann", "empty")
    assert not directory.is_member("ann", "nowhere")
    assert directory.is_skilled("bob", "french")
    assert not directory.is_skilled("ann", "french")
    assert not directory.is_skilled("bob", "latin")


@pytest.mark.parametrize("directory", [MemoryDirectory(), MemoryDirectory.from_json("{}")])
def test_what_is_not_listed_at_all_is_everything(directory: MemoryDirectory) -> None:
    """Every agent with capacity 1, every name, and everybody belongs everywhere."""
    assert directory.capacity("anybody") == 1
    assert directory.has_queue("any")
    assert directory.has_workbin("any")
    assert directory.has_skill("any")
    assert directory.is_member("anybody", "any")
    assert directory.is_skilled("anybody", "any")


def test_empty_lists_hold_nothing() -> None:
    """An empty list is not a missing one."""
    directory = MemoryDirectory.from_json(
        '{"agents": {}, "queues": [], "workbins": {}, "skills": {}}'
    )
    assert directory.capacity("ann") is None
    assert not directory.has_queue("any")
    assert not directory.has_workbin("any")
    assert not directory.has_skill("any")
    assert not directory.is_member("ann", "any")
    assert not directory.is_skilled("ann", "any")


def test_the_default_capacity_is_for_everybody() -> None:
    """Where no agents are listed; where they are, it is nobody's."""
    assert MemoryDirectory(default=4).capacity("anybody") == 4
    assert MemoryDirectory(agents={"ann": 1}, default=4).capacity("bob") is None


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ("[]", "$", []),
        ("null", "$", None),
        ('{"agent": {}}', "$.agent", {}),
        ('{"agents": ["ann"]}', "$.agents", ["ann"]),
        ('{"agents": null}', "$.agents", None),
        ('{"agents": {"ann": 0}}', "$.agents.ann", 0),
        ('{"agents": {"ann": true}}', "$.agents.ann", True),
        ('{"agents": {"ann": 1.0}}', "$.agents.ann", 1.0),
        ('{"queues": "sales"}', "$.queues", "sales"),
        ('{"queues": [1]}', "$.queues", [1]),
        ('{"workbins": ["late"]}', "$.workbins", ["late"]),
        ('{"workbins": {"late": "ann"}}', "$.workbins.late", "ann"),
        ('{"skills": {"french": [null]}}', "$.skills.french", [None]),
        ('{"default": -1}', "$.default", -1),
    ],
)
def test_a_bad_file_is_refused_by_path(data: str, path: str, value: Any) -> None:
    """The path and the value of what is wrong."""
    with pytest.raises(InvalidParameter) as caught:
        MemoryDirectory.from_json(data)
    assert (caught.value.path, caught.value.value) == (path, value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", "{'agents': {}}", '{"agents": NaN}'])
def test_what_is_no_json_is_refused(data: bytes | str) -> None:
    """With where it ends, as the reader of JSON says it."""
    with pytest.raises(InvalidParameter, match="not JSON") as caught:
        MemoryDirectory.from_json(data)
    assert caught.value.path == "$"
