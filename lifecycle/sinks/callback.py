"""L6. A sink that calls a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from lifecycle.ports import Answer
from lifecycle.records import Delivery

Callback: TypeAlias = Callable[[Delivery], Answer | Awaitable[Answer | None] | None]
"""Takes a delivery; None for an answer stands for `Answer.DELIVERED`."""


class CallbackSink:
    """Calls a function, plain or async, with every delivery.

    Arguments:
        callback: what is called; an exception counts as a failed delivery.
    """

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    async def deliver(self, delivery: Delivery) -> Answer:
        """Call the function."""
        answer = self._callback(delivery)
        if inspect.isawaitable(answer):
            answer = await answer
        return Answer.DELIVERED if answer is None else answer
