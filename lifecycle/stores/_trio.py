"""L6. Trio with the face of an asyncio event loop, as far as the thread of a store needs it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import attrs
import trio


class TrioWaiter:
    """What a caller waits for: an event with the face of a future."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()

    def done(self) -> bool:
        """Whether it was let go."""
        return self._event.is_set()

    def set_result(self, _: None, /) -> None:
        """Let it go on."""
        self._event.set()


@attrs.frozen
class TrioLoop:
    """The run of Trio that goes on here."""

    _token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token)

    def create_future(self) -> TrioWaiter:
        """Something to wait for."""
        return TrioWaiter()

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Have a function called, from any thread; `RuntimeError` where the run is over."""
        self._token.run_sync_soon(callback)

    call_soon_threadsafe = call_soon
