"""L7. The behaviour of a `Store`, and of one that keeps content (semantics 9)."""

from __future__ import annotations

from typing import Protocol

import attrs
import pytest

from lifecycle.conformance._samples import START, later, queued, saved
from lifecycle.conformance._store_commits import CommitCases
from lifecycle.conformance._store_mails import MailCases
from lifecycle.conformance._store_streams import StreamCases
from lifecycle.errors import Conflict
from lifecycle.ports import ContentStore, Store
from lifecycle.records import Commit, Content


@pytest.mark.anyio
class StoreSuite(CommitCases, StreamCases, MailCases):
    """Everything that the `Store` port promises.

    The test of a store subclasses it and supplies the fixture `store`: a store that is empty,
    and the case's own. Every case passes the times that it needs, and sleeps nowhere.

        class TestMyStore(StoreSuite):
            @pytest.fixture
            async def store(self, tmp_path):
                async with MyStore(tmp_path / "store.db") as store:
                    yield store

    The cases run on the fixture `anyio_backend` of the anyio plugin; a store that runs under
    asyncio alone overrides that fixture in the class, with `return "asyncio"`.
    """


class StoreWithContent(Store, ContentStore, Protocol):
    """A store that keeps content too, in its commits."""


@pytest.mark.anyio
class ContentSuite:
    """Everything that the `ContentStore` port promises, where it is the store itself.

    It takes the same fixture `store`, so one class may inherit both suites:

        class TestMyStore(StoreSuite, ContentSuite): ...
    """

    async def test_content_is_kept_under_its_id(self, store: StoreWithContent) -> None:
        """Any bytes, none among them, each apart from the others."""
        everything = bytes(range(256)) * 4096
        await store.put("A1", everything)
        await store.put("A2", b"")
        assert await store.content("A1") == everything
        assert await store.content("A2") == b""
        assert await store.content("A3") is None

    async def test_content_is_replaced(self, store: StoreWithContent) -> None:
        """What was there under the id is gone."""
        await store.put("A1", b"old")
        await store.put("A1", b"new")
        assert await store.content("A1") == b"new"

    async def test_content_is_committed_with_its_interaction(self, store: StoreWithContent) -> None:
        """The content of a commit is there afterwards, and replaces what was put."""
        await store.put("I1A2", b"old")
        contents = (Content(id="I1A1", data=b"\x00\xff"), Content(id="I1A2", data=b"new"))
        await store.commit(Commit(at=START, interactions=(saved(queued()),), contents=contents))
        assert await store.content("I1A1") == b"\x00\xff"
        assert await store.content("I1A2") == b"new"

    async def test_content_is_not_committed_in_a_conflict(self, store: StoreWithContent) -> None:
        """Semantics 9: all of a commit or nothing, its content too."""
        await store.put("I1A1", b"old")
        contents = (Content(id="I1A1", data=b"new"), Content(id="I1A2", data=b"new"))
        wrong = attrs.evolve(saved(queued(at=later(1))), expected=3)
        with pytest.raises(Conflict):
            await store.commit(Commit(at=START, interactions=(wrong,), contents=contents))
        assert await store.content("I1A1") == b"old"
        assert await store.content("I1A2") is None


__all__ = ["ContentSuite", "StoreSuite", "StoreWithContent"]
