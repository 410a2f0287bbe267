"""Who may import whom, and that the core is pure: read from the sources themselves.

A module imports only from a lower level, or a private sibling of its own folder. Nothing below
L6 imports a driver or a framework, reads the clock or a random source.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lifecycle

ROOT = Path(lifecycle.__file__).parent
LEVELS = {
    "errors": 0,
    "vocabulary": 0,
    "interaction": 1,
    "commands": 1,
    "table": 2,
    "notifications": 2,
    "codec": 3,
    "emitters": 3,
    "mail": 3,
    "records": 3,
    "engine": 4,
    "ports": 4,
    "diagram": 4,
    "settings": 4,
    "directory": 4,
    "service": 5,
    "telemetry": 6,
    "simulation": 7,
    "checking": 7,
    "__main__": 8,
}
"""The level of every public module; private ones say theirs in the first line."""
FOLDERS = {"sinks": 6, "stores": 6, "mailers": 6, "conformance": 7, "cli": 8}
TOP = 9
"""The level of `lifecycle` itself, which nobody below may import from."""

SAME_LEVEL = {
    ("commands", "interaction"): "commands carry user data and attachments, which are values",
    ("__main__", "cli"): "`python -m lifecycle` is the command",
}
"""Imports between public modules of one level, each with its reason."""

THIRD_PARTY = {
    "attrs": range(TOP),
    "orjson": range(TOP),
    "cattrs": range(3, TOP),
    "anyio": range(5, TOP),
    "aiosmtplib": range(6, 7),
    "asyncpg": range(6, 7),
    "opentelemetry": range(6, 7),
    "trio": range(6, 7),
    "graphviz": range(8, TOP),
    "rich": range(8, TOP),
    "typer": range(8, TOP),
    "hypothesis": range(7, 8),
    "pytest": range(7, 8),
}
"""What is not the standard library's, and the levels that may import it."""
ONE_MODULE = {"transitions": "_machine"}

OUTSIDE = """
asyncio concurrent fcntl ftplib getpass glob http imaplib io locale mmap multiprocessing os pathlib
platform poplib pwd random sched secrets select selectors shelve shutil signal smtplib socket
socketserver sqlite3 ssl subprocess sys tempfile threading time uuid _thread _random
"""
IMPURE = frozenset(OUTSIDE.split())
"""Modules of the standard library that reach outside: drivers, clocks, randomness, files."""
BUILT_IN = frozenset({"open", "input", "print", "exec", "eval", "__import__"})
CALLED = frozenset({"make_msgid", "formatdate", "localtime", "urandom"})
CLOCKS = frozenset({("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"),
                    ("date", "today")})  # fmt: skip
ALLOWED = {
    ("_system", "secrets"): "the one place of real ids, which the service uses by default",
    ("_system", "datetime.now"): "the one real clock, which the service uses by default",
    ("_cancellation", "asyncio"): "only asyncio lets somebody else's cancellation through",
    ("_opening", "os"): "only os.PathLike, and os.fspath of an address: nothing is opened with it",
    ("_values", "exec"): "writes a constructor from the names of fields, when it is imported",
}
"""What an impure module is for; nothing else below L6 may."""


def modules() -> dict[str, Path]:
    """Every module by its name under `lifecycle`; a folder's own module is the folder's name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def documented_level(name: str) -> int:
    """The level that a module's docstring begins with."""
    first = (ast.get_docstring(TREES[name]) or "").split(".")[0]
    assert first[:1] == "L", f"{name}: the docstring must begin with its level, like L2."
    assert first[1:].isdigit(), f"{name}: the docstring must begin with its level, like L2."
    return int(first[1:])


def level(name: str) -> int:
    """The level of a module of the package."""
    folder, _, rest = name.partition(".")
    if folder in FOLDERS:
        return FOLDERS[folder]
    if name.startswith("_") and name != "__main__":
        return documented_level(name)
    assert not rest, f"{folder} is a folder without a level here"
    assert name in LEVELS, f"{name} has no level here"
    return LEVELS[name]


def nodes(tree: ast.AST, *, typing_only: bool = False) -> Iterator[ast.AST]:
    """All nodes that run, or only those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(tree):
        guarded = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if guarded and isinstance(child, ast.If):
            if typing_only:
                for statement in child.body:
                    yield from ast.walk(statement)
            continue
        if not typing_only:
            yield child
        yield from nodes(child, typing_only=typing_only)


def imported(name: str, *, typing_only: bool = False) -> set[str]:
    """The dotted names that a module imports; relative ones and `from lifecycle` made whole."""
    found = set()
    for node in nodes(TREES[name], typing_only=typing_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                inside = whole.removeprefix("lifecycle.") in MODULES
                found.add(whole if module.startswith("lifecycle") and inside else module)
    return found


def siblings(name: str, *, typing_only: bool = False) -> set[str]:
    """The modules of the package that a module imports, without the package's own name."""
    return {
        other.partition(".")[2]
        for other in imported(name, typing_only=typing_only)
        if other.partition(".")[0] == "lifecycle"
    }


def may_import(name: str, other: str) -> bool:
    """Whether one module of the package may import another."""
    if not other:
        return False  # the package itself stands above all
    folder, _, last = other.rpartition(".")
    private = last.startswith("_") and folder == name.rpartition(".")[0]
    if private or folder == name:  # a folder's own module gathers what is in the folder
        return level(other) <= level(name)
    return level(other) < level(name) or (name, other) in SAME_LEVEL


def test_the_package_is_read() -> None:
    """The modules are those of the package that is tested, and all of LEVELS exist."""
    assert {"errors", "engine", "_machine", "service", "sinks.memory"} <= set(MODULES)
    assert set(LEVELS) <= set(MODULES)
    assert "attrs" in imported("interaction")
    assert siblings("engine") >= {"_machine", "errors", "table"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_its_level(name: str) -> None:
    """The first line of every docstring begins with the level that the module has."""
    assert documented_level(name) == level(name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_below(name: str) -> None:
    """Lower levels, and private siblings; adapters never import each other."""
    assert [other for other in sorted(siblings(name)) if not may_import(name, other)] == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_for_types_come_from_no_higher_level(name: str) -> None:
    """What only a type checker sees may be of the same level, never of a higher one."""
    for other in siblings(name, typing_only=True):
        assert level(other) <= level(name), other


def test_exceptions_are_still_needed() -> None:
    """An exception that nobody uses any more is to be deleted here."""
    assert all(other in siblings(name) for name, other in SAME_LEVEL)
    used = {(name, found) for name in MODULES for found in impurities(name)}
    assert set(ALLOWED) <= used


def test_the_package_reexports_no_more_than_adapters() -> None:
    """`lifecycle` itself imports nothing above L6: no conformance kit, no command."""
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    TREES[""] = tree
    try:
        names = siblings("")
    finally:
        del TREES[""]
    assert "engine" in names
    assert [name for name in sorted(names) if level(name) > 6] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_known_packages(name: str) -> None:
    """Third-party packages are few, and each has its levels; `transitions` has one module."""
    for other in {whole.partition(".")[0] for whole in imported(name)} - {"lifecycle"}:
        if other in ONE_MODULE:
            assert name == ONE_MODULE[other], other
        elif other not in sys.stdlib_module_names:
            assert level(name) in THIRD_PARTY.get(other, ()), other


def impurities(name: str) -> set[str]:
    """What a module has that reaches outside."""
    found = {other.partition(".")[0] for other in imported(name)} & IMPURE
    for node in nodes(TREES[name]):
        if isinstance(node, ast.Name):
            found |= {node.id} & (BUILT_IN | CALLED)
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & CALLED
            owner = ast.unparse(node.value).rpartition(".")[2]
            if (owner, node.attr) in CLOCKS:
                found.add(f"{owner}.{node.attr}")
    return found


@pytest.mark.parametrize("name", [name for name in MODULES if level(name) < 6])
def test_nothing_below_the_adapters_reaches_outside(name: str) -> None:
    """No driver, clock, randomness, file or console; time and ids come in as arguments."""
    assert sorted(found for found in impurities(name) if (name, found) not in ALLOWED) == []


def test_impurities_are_found() -> None:
    """The search sees what it is for: in a module that has one of each."""
    source = (
        "import os.path\nfrom random import choice\nfrom datetime import datetime as d, datetime\n"
        "def f():\n    import uuid\n    open('x')\n    return datetime.now(), email.make_msgid()\n"
        "if TYPE_CHECKING:\n    import sqlite3\n"
    )
    TREES["sample"] = ast.parse(source)
    try:
        assert impurities("sample") == {
            "os", "random", "uuid", "open", "datetime.now", "make_msgid",
        }  # fmt: skip
        assert imported("sample", typing_only=True) == {"sqlite3"}
    finally:
        del TREES["sample"]


def test_importing_lifecycle_imports_no_extra() -> None:
    """In a fresh interpreter, `import lifecycle` loads nothing that an extra brings."""
    extras = ("typer", "click", "rich", "graphviz", "graphviz_pure", "hypothesis", "pytest",
              "trio", "sqlite3", "starlette", "opentelemetry")  # fmt: skip
    program = f"import sys, lifecycle; print(*[name for name in {extras} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    for name in [name for name in environment if name.startswith(("COV", "PYTEST"))]:
        del environment[name]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == []


def test_everything_promised_is_exported() -> None:
    """`__all__` names what there is, each once, and holds what the first issue names."""
    assert len(set(lifecycle.__all__)) == len(lifecycle.__all__)
    assert [name for name in lifecycle.__all__ if not hasattr(lifecycle, name)] == []
    promised = (
        "EMAIL Row Table StateRule submit step Step capabilities SYSTEM State Operation Trigger "
        "commands Invite Transfer Reject UpdateProperties LinkAttachment Attachment Interaction "
        "Email Draft encode decode make_converter configure_converter parse_email render "
        "Lifecycle LifecycleError DEFAULT_LIMITS UserData"
    )
    assert set(promised.split()) <= set(lifecycle.__all__)
