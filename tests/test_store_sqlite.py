"""The SQLite store: the shipped suites on a real file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lifecycle.conformance.store_suite import ContentSuite, StoreSuite
from lifecycle.stores.sqlite import SqliteStore


class TestSqliteStore(StoreSuite, ContentSuite):
    """The SQLite store behaves as every store does."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """An empty store."""
        store = await SqliteStore.open(tmp_path / "store.db")
        yield store
        await store.aclose()
