"""The shipped sinks: the suite for each, and what is particular to one."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.lowlevel
import attrs
import orjson
import pytest
from clocks import START, later

from lifecycle import (
    Answer,
    CallbackSink,
    Delivery,
    JsonLinesSink,
    MemorySink,
    Sink,
    TeeSink,
)
from lifecycle.conformance.sink_suite import SinkSuite, SinkUnderTest


def delivery(sequence: int = 1, **changes: Any) -> Delivery:
    """A delivery to Ann."""
    one = Delivery(
        agent_id="ann",
        sequence=sequence,
        interaction_id="I1",
        offer=2,
        trigger="Accept",
        at=later(0.25),
        payload=b'{"state":"Accepted","text":"\xc3\xa9"}',
    )
    return attrs.evolve(one, **changes)


class TestMemorySink(SinkSuite):
    """The memory sink behaves as every sink does."""

    @pytest.fixture
    def under_test(self) -> SinkUnderTest:
        """An empty one."""
        sink = MemorySink()

        async def arrived() -> list[bytes]:
            return [one.payload for one in sink.deliveries]

        return SinkUnderTest(sink=sink, arrived=arrived)


class TestJsonLinesSink(SinkSuite):
    """The JSON lines sink behaves as every sink does, read from another open file."""

    @pytest.fixture(params=[False, True], ids=["enveloped", "bare"])
    def under_test(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SinkUnderTest]:
        """One that writes to a file, bare or not."""
        path = tmp_path / "log.jsonl"

        async def arrived() -> Sequence[bytes]:
            lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
            if request.param:
                return lines
            mark = b'"data":'
            return [line[line.index(mark) + len(mark) : -1] for line in lines]

        with path.open("wb") as file:
            yield SinkUnderTest(sink=JsonLinesSink(file, bare=request.param), arrived=arrived)


class TestCallbackSink(SinkSuite):
    """The callback sink behaves as every sink does, with a plain or an async function."""

    @pytest.fixture(params=["plain", "async"])
    def under_test(self, request: pytest.FixtureRequest) -> SinkUnderTest:
        """One that appends to a list."""
        found: list[bytes] = []

        async def arrived() -> list[bytes]:
            return found

        def plain(one: Delivery) -> None:
            found.append(one.payload)

        async def slow(one: Delivery) -> None:
            await anyio.lowlevel.checkpoint()
            found.append(one.payload)

        sink = CallbackSink(plain if request.param == "plain" else slow)
        return SinkUnderTest(sink=sink, arrived=arrived)


class TestTeeSink(SinkSuite):
    """The tee behaves as every sink does, seen from the last of its sinks."""

    @pytest.fixture
    def under_test(self) -> SinkUnderTest:
        """One with two memory sinks."""
        last = MemorySink()

        async def arrived() -> list[bytes]:
            return [one.payload for one in last.deliveries]

        return SinkUnderTest(sink=TeeSink(MemorySink(), last), arrived=arrived)


@pytest.mark.anyio
async def test_the_memory_sink_keeps_whole_deliveries() -> None:
    """What it has is the very deliveries, repeats too."""
    sink = MemorySink()
    for sequence in (1, 1, 2):
        await sink.deliver(delivery(sequence))
    assert sink.deliveries == [delivery(1), delivery(1), delivery(2)]


@pytest.mark.anyio
async def test_json_lines_are_these_bytes() -> None:
    """Envelope, key order, time and line end, to the byte; the notification as it was encoded."""
    file = io.BytesIO()
    await JsonLinesSink(file).deliver(delivery())
    await JsonLinesSink(file, bare=True).deliver(delivery())
    assert file.getvalue().decode() == (
        '{"agentId":"ann","topic":"/me/interactions","sequence":1,"interactionId":"I1",'
        '"offer":2,"trigger":"Accept","at":"2026-03-02T09:00:00.250000Z",'
        '"data":{"state":"Accepted","text":"é"}}\n'
        '{"state":"Accepted","text":"é"}\n'
    )


def test_a_line_shows_whole_seconds_without_a_fraction() -> None:
    """The time of a line is ISO 8601 in UTC; the line is one JSON object."""
    line = json.loads(delivery(at=START).line())
    assert line["at"] == "2026-03-02T09:00:00Z"


def test_a_line_escapes_what_json_must() -> None:
    """Names are whatever an agent is called."""
    line = delivery(agent_id='a"\n\u2028é').line()
    assert b"\n" not in line
    assert orjson.loads(line)["agentId"] == 'a"\n\u2028é'


class _Counting(io.BytesIO):
    """A file that counts how often it is flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()


@pytest.mark.anyio
async def test_every_line_is_flushed() -> None:
    """A reader of the file sees a delivery as soon as it was answered."""
    file: IO[bytes] = _Counting()
    sink = JsonLinesSink(file)
    for sequence in (1, 2):
        await sink.deliver(delivery(sequence))
        assert isinstance(file, _Counting)
        assert file.flushes == sequence


@pytest.mark.anyio
async def test_a_closed_file_raises() -> None:
    """What cannot be written is not claimed to be delivered: the service takes it as failed."""
    file = io.BytesIO()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        await JsonLinesSink(file).deliver(delivery())


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [*Answer, None])
async def test_a_callback_gives_the_answer(answer: Answer | None) -> None:
    """Plain or async, the function's answer is the sink's; none means delivered."""

    async def slow(one: Delivery) -> Answer | None:
        await anyio.lowlevel.checkpoint()
        return answer

    def promised(one: Delivery) -> Awaitable[Answer | None]:
        return slow(one)

    expected = answer or Answer.DELIVERED
    assert await CallbackSink(lambda one: answer).deliver(delivery()) is expected
    assert await CallbackSink(slow).deliver(delivery()) is expected
    assert await CallbackSink(promised).deliver(delivery()) is expected


@pytest.mark.anyio
async def test_a_callback_gets_the_delivery_and_may_raise() -> None:
    """What it raises comes out, plain or async; the service takes it as failed."""
    seen: list[Delivery] = []

    def plain(one: Delivery) -> None:
        seen.append(one)
        raise OSError("plain")

    async def slow(one: Delivery) -> None:
        seen.append(one)
        raise OSError("async")

    with pytest.raises(OSError, match="plain"):
        await CallbackSink(plain).deliver(delivery(1))
    with pytest.raises(OSError, match="async"):
        await CallbackSink(slow).deliver(delivery(2))
    assert seen == [delivery(1), delivery(2)]


@pytest.mark.anyio
async def test_a_tee_hands_on_in_order_until_one_refuses() -> None:
    """The first other answer is the tee's, and nobody after that one is asked."""
    asked: list[str] = []

    def named(name: str, answer: Answer) -> Sink:
        def callback(one: Delivery) -> Answer:
            asked.append(name)
            return answer

        return CallbackSink(callback)

    for refusal in (Answer.FAILED, Answer.NOT_CONNECTED):
        asked.clear()
        tee = TeeSink(
            named("a", Answer.DELIVERED), named("b", refusal), named("c", Answer.DELIVERED)
        )
        assert await tee.deliver(delivery()) is refusal
        assert asked == ["a", "b"]


@pytest.mark.anyio
async def test_a_tee_lets_an_error_out() -> None:
    """What one of its sinks raises is not swallowed, and those after it are not asked."""

    def fail(one: Delivery) -> None:
        raise OSError("no space")

    last = MemorySink()
    with pytest.raises(OSError, match="no space"):
        await TeeSink(CallbackSink(fail), last).deliver(delivery())
    assert last.deliveries == []


@pytest.mark.anyio
async def test_a_tee_of_nothing_delivers() -> None:
    """Nobody is there to refuse."""
    assert await TeeSink().deliver(delivery()) is Answer.DELIVERED
