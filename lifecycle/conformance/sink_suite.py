"""L7. The behaviour of a `Sink` (semantics 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs
import pytest

from lifecycle.conformance._samples import START, delivery
from lifecycle.ports import Answer, Sink
from lifecycle.records import Delivery


@attrs.frozen(kw_only=True)
class SinkUnderTest:
    """A sink, and how to read what arrived behind it."""

    sink: Sink
    """The sink; every agent of the cases is there, and nothing in its way fails."""
    arrived: Callable[[], Awaitable[Sequence[bytes]]]
    """The notifications that arrived so far, as JSON bytes, in the order in which they did.

    Those of the agents `ann` and `bob`, whom the cases deliver to, in one list.
    """


def _payloads(count: int, agent_id: str) -> list[Delivery]:
    return [delivery(agent_id, sequence) for sequence in range(1, count + 1)]


@pytest.mark.anyio
class SinkSuite:
    r"""Everything that the `Sink` port asks for.

    The test of a sink subclasses it and supplies the fixture `under_test`: a `SinkUnderTest`
    to which nothing was delivered yet.

        class TestMySink(SinkSuite):
            @pytest.fixture
            async def under_test(self, tmp_path):
                async def arrived():
                    return (tmp_path / "log").read_bytes().splitlines()

                async with MySink(tmp_path / "log") as sink:
                    yield SinkUnderTest(sink=sink, arrived=arrived)
    """

    async def test_a_delivery_arrives(self, under_test: SinkUnderTest) -> None:
        """What was answered with `DELIVERED` is there, byte for byte."""
        one = delivery("ann", 1)
        assert await under_test.sink.deliver(one) is Answer.DELIVERED
        assert list(await under_test.arrived()) == [one.payload]

    async def test_the_order_is_kept(self, under_test: SinkUnderTest) -> None:
        """Semantics 9: the deliveries of an agent arrive in the order of their sequences."""
        deliveries = _payloads(20, "ann")
        for one in deliveries:
            assert await under_test.sink.deliver(one) is Answer.DELIVERED
        assert list(await under_test.arrived()) == [one.payload for one in deliveries]

    async def test_agents_do_not_disturb_each_other(self, under_test: SinkUnderTest) -> None:
        """Deliveries to several agents at a time: each one's arrive whole and in order."""

        async def carry(deliveries: list[Delivery]) -> None:
            for one in deliveries:
                assert await under_test.sink.deliver(one) is Answer.DELIVERED

        wanted = {agent_id: _payloads(10, agent_id) for agent_id in ("ann", "bob")}
        async with anyio.create_task_group() as tasks:
            for deliveries in wanted.values():
                tasks.start_soon(carry, deliveries)
        arrived = list(await under_test.arrived())
        for agent_id, deliveries in wanted.items():
            mark = f'"{agent_id}"'.encode()
            found = [payload for payload in arrived if mark in payload]
            assert found == [one.payload for one in deliveries]
        assert len(arrived) == 20

    async def test_a_repeat_is_taken(self, under_test: SinkUnderTest) -> None:
        """Semantics 9: after a failure a delivery comes again, with the same sequence."""
        first, second = _payloads(2, "ann")
        for one in (first, first, second):
            assert await under_test.sink.deliver(one) is Answer.DELIVERED
        arrived = list(await under_test.arrived())
        assert arrived in (
            [first.payload, second.payload],
            [first.payload, first.payload, second.payload],
        )

    async def test_a_notification_is_not_touched(self, under_test: SinkUnderTest) -> None:
        """Whatever JSON has to say arrives as it was, line separators and NULs among it."""
        payloads = [
            '{"subject":"\u2028 \u2029 \u0085 é \U0001f4e7"}'.encode(),
            rb'{"subject":"\n\r\u0000\ud83d\ude00\\"}',
            b'{"text":"' + b"x" * 300_000 + b'"}',
        ]
        for sequence, payload in enumerate(payloads, 1):
            one = attrs.evolve(delivery("ann", sequence), payload=payload)
            assert await under_test.sink.deliver(one) is Answer.DELIVERED
        assert list(await under_test.arrived()) == payloads

    async def test_a_cancelled_call_does_no_harm(self, under_test: SinkUnderTest) -> None:
        """After a delivery that was cancelled, as a slow one is, the sink takes it again."""
        one = delivery("ann", 1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await under_test.sink.deliver(one)
        assert await under_test.sink.deliver(one) is Answer.DELIVERED
        arrived = list(await under_test.arrived())
        assert set(arrived) == {one.payload}
        assert len(arrived) <= 2

    async def test_a_delivery_may_be_old(self, under_test: SinkUnderTest) -> None:
        """A log may begin in the middle: what the sink saw before it was started is no matter."""
        one = delivery("bob", 1_000_000, at=START.replace(year=1999))
        assert await under_test.sink.deliver(one) is Answer.DELIVERED
        assert list(await under_test.arrived()) == [one.payload]


__all__ = ["SinkSuite", "SinkUnderTest"]
