"""L6. A sink that keeps what it is given."""

from __future__ import annotations

from lifecycle.ports import Answer
from lifecycle.records import Delivery


class MemorySink:
    """Keeps every delivery, repeats too, in the order in which they came."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    async def deliver(self, delivery: Delivery) -> Answer:
        """Keep a delivery."""
        self.deliveries.append(delivery)
        return Answer.DELIVERED
