"""What is tested is what is installed."""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from pathlib import Path

import pytest

import lifecycle

ROOT = Path(__file__).parent.parent


def test_the_installed_package_is_tested() -> None:
    """Under tox the wheel is imported, never the working tree."""
    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("only tox promises to test the wheel")
    location = Path(lifecycle.__file__).resolve()
    assert "site-packages" in location.parts
    assert location.parent != ROOT / "lifecycle"


def test_the_version_is_one() -> None:
    """The package, its metadata and the changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert lifecycle.__version__ == project["version"]
    assert f"## {lifecycle.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if "TOX_ENV_NAME" in os.environ:
        assert importlib.metadata.version(project["name"]) == project["version"]


def test_the_package_is_typed() -> None:
    """Type checkers are told that the package has types."""
    assert (Path(lifecycle.__file__).parent / "py.typed").exists()


def test_everything_exported_exists() -> None:
    """`__all__` names what is there, once each."""
    assert len(set(lifecycle.__all__)) == len(lifecycle.__all__)
    for name in lifecycle.__all__:
        assert getattr(lifecycle, name) is not None


def test_what_is_imported_later_is_there_all_the_same() -> None:
    """Names that wait for their module are listed, found, and found again; others are not."""
    assert set(lifecycle.__all__) <= set(dir(lifecycle))
    assert lifecycle.Lifecycle is lifecycle.Lifecycle
    with pytest.raises(AttributeError, match="nope"):
        lifecycle.nope  # type: ignore[attr-defined]  # noqa: B018  # this is what is tested
