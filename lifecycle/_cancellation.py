"""L5. Whether a cancellation is meant for us, or somebody else's that was let through."""

from __future__ import annotations

import asyncio


def is_cancelled() -> bool:
    """Whether the running task is being cancelled, and has to end.

    Under asyncio a coroutine that awaits a cancelled future raises `CancelledError` although
    nobody cancels the task that it runs in. Trio has no such thing.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio is running here
        return True
    return task is None or task.cancelling() > 0
