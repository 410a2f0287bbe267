"""L6. A sink that hands deliveries to several others."""

from __future__ import annotations

from lifecycle.ports import Answer, Sink
from lifecycle.records import Delivery


class TeeSink:
    """Hands every delivery to several sinks, one after another.

    It answers `DELIVERED` once all have; otherwise the first other answer, and none after that
    one is asked. Those before it get the delivery again then, with the same sequence.

    Arguments:
        sinks: the others, the one most likely to refuse first.
    """

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    async def deliver(self, delivery: Delivery) -> Answer:
        """Hand a delivery on."""
        for sink in self._sinks:
            answer = await sink.deliver(delivery)
            if answer is not Answer.DELIVERED:
                return answer
        return Answer.DELIVERED
