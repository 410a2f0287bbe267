"""The simulated contact centre: everything ends, everything happens, the same seed is the same."""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import orjson
import pytest
from page_checker import check_lines

from lifecycle.cli._sources import read_mails
from lifecycle.directory import MemoryDirectory
from lifecycle.errors import InternalError, InvalidParameter, MailTooDeep, StreamStopped
from lifecycle.interaction import Interaction
from lifecycle.ports import Answer, Store
from lifecycle.records import Commit, Delivery, Outgoing
from lifecycle.service import Lifecycle
from lifecycle.simulation import START, Simulation, VirtualClock
from lifecycle.sinks.jsonl import JsonLinesSink
from lifecycle.sinks.memory import MemorySink
from lifecycle.sinks.tee import TeeSink
from lifecycle.stores.memory import MemoryStore
from lifecycle.stores.sqlite import SqliteStore
from lifecycle.table import EMAIL
from lifecycle.vocabulary import SYSTEM

HERE = Path(__file__).parent
OWN = [mail for _, mail in read_mails(map(str, (
    HERE / "mail", HERE / "mail" / "samples.mbox", HERE / "mail" / "maildir"
))).mails]  # fmt: skip
OTHERS = HERE.parent.parent / "shared" / "mail" / "rubymail"
ROWS = {(row.trigger, row.source, row.dest) for row in EMAIL.rows}
ENDINGS = {row for row in ROWS if EMAIL.by_name[row[2]].final}


@attrs.frozen
class Ran:
    """What a simulation came to."""

    taken: Counter[tuple[str, str, str]]
    deliveries: list[Delivery]
    full: list[bytes]
    bare: list[bytes]
    progress: list[tuple[int, int, int]]
    """After each turn: how many were submitted, had ended, and had been delivered."""

    @property
    def ended(self) -> int:
        """How many interactions have ended, by the rows that were taken."""
        return sum(self.taken[row] for row in ENDINGS)


def run(mails: Sequence[bytes], **options: Any) -> Ran:
    """Simulate, and keep everything that comes out."""
    full, bare, memory = io.BytesIO(), io.BytesIO(), MemorySink()
    progress: list[tuple[int, int, int]] = []
    simulation = Simulation(
        sink=TeeSink(JsonLinesSink(full), JsonLinesSink(bare, bare=True), memory),
        progress=lambda submitted, ended: progress.append(
            (submitted, ended, len(memory.deliveries))
        ),
        **options,
    )
    taken = anyio.run(simulation.run, mails)
    lines = (full.getvalue().splitlines(), bare.getvalue().splitlines())
    return Ran(taken, memory.deliveries, *lines, progress)


def assert_lines_are_right(ran: Ran, *, documented_only: bool = False) -> None:
    """The checker, which does not know the package, has nothing to say about any line."""
    assert len(ran.full) == len(ran.bare) == len(ran.deliveries) > 0
    assert check_lines(ran.full, documented_only=documented_only) == []
    assert check_lines(ran.bare, bare=True, documented_only=documented_only) == []


@pytest.mark.parametrize("seed", range(21))
def test_the_mail_of_the_tests_visits_every_row(seed: int) -> None:
    """With the default seed and 20 others all rows are taken, all mails end, no line is wrong."""
    ran = run(OWN, seed=seed)
    assert set(ran.taken) == ROWS
    assert ran.ended == len(OWN)
    assert_lines_are_right(ran)


@pytest.mark.parametrize("seed", range(20))
def test_documented_only_shows_the_page_and_nothing_else(seed: int) -> None:
    """The states that the page does not show are left out, and everything ends all the same."""
    ran = run(OWN, seed=seed, documented_only=True)
    assert {orjson.loads(line)["state"] for line in ran.bare} == {
        "Invited",
        "Accepted",
        "ReplyCreated",
        "Revoked",
    }
    assert ran.ended == len(OWN)
    assert_lines_are_right(ran, documented_only=True)


@pytest.mark.skipif(not OTHERS.exists(), reason="the collection of real mail is not here")
@pytest.mark.parametrize("seed", range(20))
def test_other_mail_visits_every_row(seed: int) -> None:
    """103 real mails, broken ones among them: all rows, all ends, no wrong line, in any mode."""
    mails = [mail for _, mail in read_mails([str(OTHERS)]).mails]
    assert len(mails) == 103
    documented_only = seed % 5 == 4
    ran = run(mails, seed=seed, documented_only=documented_only)
    assert set(ran.taken) == ROWS
    assert ran.ended == len(mails)
    assert check_lines(ran.full, documented_only=documented_only) == []
    if seed in (0, 4):
        assert_lines_are_right(ran, documented_only=documented_only)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Twice the same, in full and bare."""
    first, second = run(OWN, seed=3), run(OWN, seed=3)
    assert first.full == second.full
    assert first.bare == second.bare
    assert first.taken == second.taken


def test_nothing_is_scripted() -> None:
    """Three seeds take the same mails through three different lives."""
    lives = [[(one.trigger, one.agent_id) for one in run(OWN, seed=seed).deliveries[:20]]
             for seed in range(3)]  # fmt: skip
    assert lives[0] != lives[1] != lives[2] != lives[0]


def test_a_single_mail_ends() -> None:
    """One mail cannot visit all rows, but it ends, and is not kept going for ever."""
    for seed in range(10):
        ran = run(OWN[:1], seed=seed)
        assert ran.ended == 1
        assert ran.taken.total() < 300
        if ran.full:
            assert_lines_are_right(ran)


@pytest.mark.parametrize("agents", [2, 40])
def test_few_and_many_agents(agents: int) -> None:
    """Each agent is notified of something, and everything ends."""
    ran = run(OWN, agents=agents, seed=1)
    assert ran.ended == len(OWN)
    assert len({delivery.agent_id for delivery in ran.deliveries}) == agents
    assert_lines_are_right(ran)


def test_no_mail_is_over_at_once() -> None:
    """Nothing to do, nothing done."""
    assert run([]) == Ran(Counter(), [], [], [], [])


@pytest.mark.parametrize("agents", [1, 0, -1])
def test_fewer_than_two_agents_are_refused(agents: int) -> None:
    """Nobody could be transferred to."""
    with pytest.raises(InvalidParameter) as caught:
        Simulation(sink=MemorySink(), agents=agents)
    assert (caught.value.path, caught.value.value) == ("$.agents", agents)


def test_a_mail_beyond_the_limits_is_refused() -> None:
    """The error of the parser comes out."""
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
        for level in range(600)
    )
    with pytest.raises(MailTooDeep):
        run([OWN[0], deep])


def test_a_mail_that_gives_no_address_is_answered_all_the_same() -> None:
    """Send is refused for want of a recipient; the agent corrects the draft and sends it."""
    ran = run([b"Subject: hello\n\nwho am I?"] * 20)
    assert ran.taken["Send", "ReplyCreated", "Sent"] > 0
    assert ran.ended == 20
    drafts = [orjson.loads(line)["email_object"] for line in ran.bare if b"OutboundReply" in line]
    assert {draft["ToAddress"] for draft in drafts} == {"", "customer@example.net"}
    assert_lines_are_right(ran)


def test_deliveries_follow_each_step_in_the_order_of_commit() -> None:
    """What one turn caused is delivered before the next turn, and sequences have no gaps."""
    ran = run(OWN)
    counts = [0, *(delivered for _, _, delivered in ran.progress)]
    for before, after in itertools.pairwise(counts):
        assert len({delivery.at for delivery in ran.deliveries[before:after]}) <= 1
    assert counts[-1] == len(ran.deliveries)
    times = [delivery.at for delivery in ran.deliveries]
    assert times == sorted(times)
    assert min(times) >= START


def test_progress_is_told_to_the_end() -> None:
    """Interactions come one by one, and at the end as many have ended as there are mails."""
    ran = run(OWN)
    assert all(0 <= ended <= submitted <= len(OWN) for submitted, ended, _ in ran.progress)
    assert [submitted for submitted, _, _ in ran.progress] == sorted(
        submitted for submitted, _, _ in ran.progress
    )
    assert ran.progress[-1][:2] == (len(OWN), len(OWN))


def test_ids_are_like_the_engines_own() -> None:
    """16 letters and digits; later interactions sort after earlier ones."""
    ran = run(OWN, agents=40)
    ids = list(dict.fromkeys(delivery.interaction_id for delivery in ran.deliveries))
    assert all(re.fullmatch("[0-9A-Z]{16}", one) for one in ids)
    received = {
        delivery.interaction_id: data["receivedAt"]
        for delivery in ran.deliveries
        if "receivedAt" in (data := orjson.loads(delivery.payload))
    }
    by_id = [received[one] for one in sorted(received)]
    assert by_id == sorted(by_id)
    assert len(by_id) > 20


def test_nobody_is_offered_again_what_was_just_declined() -> None:
    """Among 40 agents another one is always free (semantics 6)."""
    declined: dict[str, str] = {}
    offers = 0
    for delivery in run(OWN, agents=40, seed=5).deliveries:
        match delivery.trigger:
            case "Reject" | "Revoke":
                declined[delivery.interaction_id] = delivery.agent_id
            case "Invite" if delivery.interaction_id in declined:
                offers += 1
                assert delivery.agent_id != declined.pop(delivery.interaction_id)
            case _:
                declined.pop(delivery.interaction_id, None)
    assert offers > 30


def test_agents_go_away_and_come_back() -> None:
    """Offers are revoked before they expire when an agent goes NotReady, and agents return."""
    ran = run(OWN, seed=1)
    invited = {
        (delivery.interaction_id, delivery.offer): delivery.at
        for delivery in ran.deliveries
        if delivery.trigger == "Invite"
    }
    waited = [
        delivery.at - invited[delivery.interaction_id, delivery.offer]
        for delivery in ran.deliveries
        if delivery.trigger == "Revoke"
    ]
    assert timedelta(seconds=30) in waited
    assert any(timedelta(0) <= time < timedelta(seconds=30) for time in waited)
    assert any(time >= timedelta(minutes=180) for time in waited)


def test_the_work_does_not_grow_faster_than_the_mail() -> None:
    """Four times the mails take about four times the turns: nobody looks in vain all the time."""
    few, many = run(OWN[:25], seed=1), run(OWN[:25] * 4, seed=1)
    assert len(many.progress) < 4 * 1.5 * len(few.progress)
    assert many.taken.total() < 4 * 1.5 * few.taken.total()


def test_an_unexpected_refusal_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a Send without recipients is corrected; any other refusal ends the simulation."""

    perform = Lifecycle.perform

    async def refuse(self: Lifecycle, *args: Any, **options: Any) -> Interaction:
        if options["agent_id"] is not SYSTEM:
            raise InvalidParameter("no")
        return await perform(self, *args, **options)

    monkeypatch.setattr(Lifecycle, "perform", refuse)
    with pytest.raises(InvalidParameter, match="no"):
        run(OWN)


def test_a_timer_that_cannot_be_fired_ends_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time could not go on; better an error than turning round for ever."""

    async def nothing(self: Lifecycle, limit: int | None = None) -> int:
        return 0

    monkeypatch.setattr(Lifecycle, "fire_due", nothing)
    with pytest.raises(InternalError, match="timer"):
        run(OWN)


def test_a_sink_that_fails_for_good_ends_the_simulation() -> None:
    """The stream of an agent stops, and that agent cannot be invited any more."""

    class Broken:
        async def deliver(self, delivery: Delivery) -> Answer:
            return Answer.FAILED

    with pytest.raises(StreamStopped):
        anyio.run(Simulation(sink=Broken()).run, OWN)


def test_a_virtual_clock_never_goes_back() -> None:
    """It stands still until it is moved, and only forward."""
    clock = VirtualClock()
    assert clock.now() == START
    clock.move_to(START + timedelta(hours=1))
    clock.move_to(START)
    assert clock.now() == START + timedelta(hours=1)


@pytest.mark.parametrize("what", ["interaction", "agent", "mail"])
def test_a_store_that_is_not_empty_is_refused(what: str) -> None:
    """Before anything is done with it; an empty one is used, and has everything afterwards."""

    async def work() -> None:
        store, sink = MemoryStore(), MemorySink()
        await Simulation(sink=sink, store=store).run(OWN[:3])
        assert len(await store.ids("", 10)) == 3
        assert sink.deliveries
        if what != "interaction":
            await store.remove(await store.ids("", 10))
        if what == "mail":
            store._agents.clear()
            mail = Outgoing(
                message_id="<m@x>", interaction_id="A", queue=None, sender="a@b.example",
                recipients=("c@d.example",), at=START, message=b"x",
            )  # fmt: skip
            await store.commit(Commit(at=START, outgoing=(mail,)))
        with pytest.raises(InvalidParameter, match="must be empty"):
            await Simulation(sink=sink, store=store).run(OWN)

    anyio.run(work)


def test_equal_deadlines_come_in_the_order_of_submission(tmp_path: Path) -> None:
    """In any store, whatever the ids: or else it would not give the same deliveries."""

    async def order(store: Store) -> list[str]:
        ids = iter(("B", "C", "A", "D"))
        clock = VirtualClock()
        lifecycle = Lifecycle(
            store=store,
            directory=MemoryDirectory(agents={"ann": 9}),
            clock=clock,
            ids=lambda at: next(ids, "W"),
            background=False,
        )
        await lifecycle.ready("ann")
        for _ in range(4):
            await lifecycle.submit(OWN[0], queue="q")
        for id in "DCBA":
            await lifecycle.invite(id, "ann")
        clock.move_to(START + timedelta(seconds=30))
        return [one.interaction_id for one in await store.due(clock.now(), clock.now(), 4)]

    async def orders() -> list[list[str]]:
        file = await SqliteStore.open(tmp_path / "x.db", synchronous="NORMAL")
        found = [await order(MemoryStore()), await order(file)]
        await file.aclose()
        return found

    assert anyio.run(orders) == [["B", "C", "A", "D"]] * 2
