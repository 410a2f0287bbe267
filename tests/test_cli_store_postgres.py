"""The commands on a store in a PostgreSQL server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Server, postgres
from store_files import Ended, run

MAIL = Path(__file__).parent / "mail"
ALL = (MAIL, MAIL / "samples.mbox", MAIL / "maildir")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of the tests' own."""
    with postgres() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    """A database of the test's own."""
    return server.database()


@pytest.mark.parametrize("seed", [0, 7])
def test_a_simulation_gives_the_same_bytes_as_in_memory(seed: int, url: str) -> None:
    """And what it leaves passes the check; a second one in the same database is refused."""
    ran = run("simulate", *ALL, "--seed", seed, "--store", url)
    assert ran == run("simulate", *ALL, "--seed", seed)
    assert ran.status == 0
    assert len(ran.output.splitlines()) > 200
    checked = run("store", "check", "--store", url)
    assert (checked.status, checked.output) == (0, "")
    assert checked.errors.endswith("findings: 0\n")
    again = run("simulate", *ALL, "--store", url)
    assert (again.status, again.output) == (2, "")
    assert "must be empty" in again.errors
    agents = run("agents", "--store", url, "--json")
    assert {one["agentId"] for one in agents.objects} >= {"ann", "bob"}


def test_damage_is_found(server: Server, url: str) -> None:
    """Exit status 1, and a line that names it."""
    run("simulate", MAIL / "maildir", "--store", url)
    damaged = server.run(
        "DELETE FROM history WHERE version = 1",
        "UPDATE agents SET load = load + 7 WHERE id = 'ann' RETURNING load",
        url=url,
    )
    assert damaged == [(7,)]
    ran = run("store", "check", "--store", url)
    assert ran.status == 1
    assert "agent ann has another load than is counted for it: found 7, wanted 0" in ran.output
    assert "does not follow the line before: found 2, wanted 1" in ran.output


def test_the_schema_is_made_by_migrate_alone(server: Server) -> None:
    """Without it every other command is refused, in one line."""
    url = server.empty_database()
    for command in (("agents",), ("store", "check"), ("simulate", *ALL)):
        ran = run(*command, "--store", url)
        assert (ran.status, ran.output) == (2, "")
        assert re.fullmatch(r"lifecycle [\w ]+: [^\n]+\n", ran.errors)
    ran = run("store", "migrate", "--store", url, "--json")
    assert ran.status == 0
    [versions] = ran.objects
    assert versions["from"] == 0
    newest = versions["to"]
    again = run("store", "migrate", "--store", url, "--json")
    assert again.objects == [{"from": newest, "to": newest}]
    assert run("agents", "--store", url) == Ended(0, "", "")


@pytest.mark.parametrize("command", [("agents",), ("store", "migrate"), ("simulate", *ALL)])
def test_a_server_that_is_not_there_is_one_line(command: tuple[object, ...]) -> None:
    """Without the password."""
    ran = run(*command, "--store", "postgresql://me:geheim@127.0.0.1:1/mail")
    assert (ran.status, ran.output) == (2, "")
    assert re.fullmatch(r"lifecycle [\w ]+: [^\n]+\n", ran.errors)
    assert "geheim" not in ran.errors


def test_a_database_that_is_not_there_is_one_line(server: Server) -> None:
    """The server says so; the password is not said."""
    missing = server.address("nowhere", password="geheim")
    ran = run("agents", "--store", missing)
    assert (ran.status, ran.output) == (2, "")
    assert re.fullmatch(r"lifecycle agents: [^\n]+\n", ran.errors)
    assert "geheim" not in ran.errors
