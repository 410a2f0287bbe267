"""L7. Cases for what a store commits and finds again: everything but deliveries and mail."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
import pytest

from lifecycle import commands as c
from lifecycle.conformance._samples import (
    START,
    commit,
    delivery,
    done,
    entry,
    invited,
    later,
    outgoing,
    owned,
    queued,
    saved,
    send,
    situations,
)
from lifecycle.errors import Conflict, NotValidInState
from lifecycle.interaction import Email, Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Due, Invitable, Outcome, Refusal, Stream
from lifecycle.vocabulary import SYSTEM


def _ids(interactions: tuple[Interaction, ...]) -> list[str]:
    return [interaction.id for interaction in interactions]


async def everything(store: Store) -> dict[str, Any]:
    """All that can be asked of a store, for the ids that the cases use."""
    return {
        "interactions": [await store.interaction(id) for id in ("I1", "I2")],
        "histories": [await store.history(id) for id in ("I1", "I2")],
        "waiting": await store.waiting(),
        "held": [await store.held_by(id) for id in ("ann", "bob")],
        "workbin": await store.in_workbin("late"),
        "thread": await store.thread("<I2D1@shop.example>"),
        "deadline": await store.next_deadline(),
        "agents": await store.agents(),
        "outcomes": [await store.outcome(id) for id in ("op1", "op2")],
        "streams": [await store.stream(id) for id in ("ann", "bob")],
        "deliveries": [await store.deliveries(id, 0, 10) for id in ("ann", "bob")],
        "outgoing": await store.outgoing(),
        "next delivery": await store.next_delivery(),
        "next mail": await store.next_mail(),
    }


def _full_commit() -> Commit:
    """A commit with something of everything; it expects I1 at version 1 and Ann at version 1."""
    second = queued("I2", at=later(1))
    accepted = owned(queued(), "ann")
    return Commit(
        at=later(1),
        interactions=(saved(second), saved(accepted)),
        agents=(
            Agent(
                id="ann", version=2, ready=True, load=1, sequence=2, gone=True, away_at=later(60)
            ),
            Agent(id="bob", version=1, sequence=1, reason="lunch", missed=2, gone=True),
        ),
        entries=(entry(second, "Submit"), entry(accepted, "Accept", actor="ann")),
        deliveries=(delivery("ann", 2), delivery("bob", 1)),
        outgoing=(outgoing(1, interaction_id="I2"),),
        outcome=Outcome(operation_id="op2", fingerprint="ff00", at=later(1), interaction=accepted),
    )


async def _begin(store: Store) -> None:
    """I1 at version 1, offered to Ann, who is at version 1; op1 is taken."""
    first = queued()
    outcome = Outcome(operation_id="op1", fingerprint="00ff", at=START, interaction=first)
    await commit(store, first, entries=(entry(first, "Submit"),), outcome=outcome)
    offer = invited(first, "ann")
    await commit(
        store,
        offer,
        agents=(Agent(id="ann", version=1, ready=True, load=1, sequence=1),),
        entries=(entry(offer, "Invite"),),
        deliveries=(delivery("ann", 1),),
    )


def _faulty_commits() -> dict[str, Commit]:
    """The full commit with one thing in it that cannot be, beside all that could."""
    good = _full_commit()
    second, accepted = good.interactions
    ann, bob = good.agents

    def with_first(version: int, expected: int | None) -> Commit:
        value = attrs.evolve(accepted.interaction, version=version)
        wrong = attrs.evolve(accepted, interaction=value, expected=expected)
        return attrs.evolve(good, interactions=(second, wrong))

    def with_ann(version: int) -> Commit:
        return attrs.evolve(good, agents=(bob, attrs.evolve(ann, version=version)))

    missing = attrs.evolve(second, interaction=invited(second.interaction, "ann"), expected=0)
    outcome = Outcome(operation_id="op1", fingerprint="00ff", at=START, interaction=None)
    stopped = (Invitable(agent_id="bob", backlog=9), Invitable(agent_id="ann", backlog=1))
    return {
        "an older version of an interaction": with_first(version=1, expected=0),
        "a newer version of an interaction": with_first(version=3, expected=2),
        "an interaction that exists": with_first(version=0, expected=None),
        "an interaction that does not exist": attrs.evolve(good, interactions=(accepted, missing)),
        "an older version of an agent": with_ann(1),
        "a newer version of an agent": with_ann(3),
        "an agent who was never stored": attrs.evolve(
            good, agents=(ann, attrs.evolve(bob, version=2))
        ),
        "a stream that is not invitable": attrs.evolve(good, invitable=stopped),
        "an operation id that is taken": attrs.evolve(good, outcome=outcome),
    }


class CommitCases:
    """Commits, and the questions about interactions, agents and outcomes."""

    async def test_a_new_store_is_empty(self, store: Store) -> None:
        """Every question has an answer before anything is there."""
        assert await store.interaction("I1") is None
        assert await store.agent("ann") is None
        found = await everything(store)
        assert found.pop("interactions") == found.pop("outcomes") == [None, None]
        assert found.pop("streams") == [Stream(agent_id="ann"), Stream(agent_id="bob")]
        assert found.pop("deadline") is None
        assert found.pop("next delivery") is found.pop("next mail") is None
        assert all(value in ((), [(), ()]) for value in found.values()), found
        assert await store.due(later(0), later(60), 10) == ()
        assert await store.away(later(0), later(60), 10) == ()

    @pytest.mark.parametrize("name", situations())
    async def test_an_interaction_comes_back_as_it_was(self, store: Store, name: str) -> None:
        """Whatever an interaction holds, it is equal to what was committed, at once."""
        interaction = situations()[name]
        first = attrs.evolve(interaction, version=0)
        await commit(store, first)
        assert await store.interaction("I1") == first
        following = attrs.evolve(interaction, version=1)
        await commit(store, following)
        assert await store.interaction("I1") == following

    async def test_everything_in_a_commit_is_there_afterwards(self, store: Store) -> None:
        """Semantics 9: all parts of a commit are stored together."""
        await _begin(store)
        await store.commit(_full_commit())
        new = _full_commit()
        second, accepted = (one.interaction for one in new.interactions)
        assert await store.interaction("I1") == accepted
        assert await store.interaction("I2") == second
        assert (await store.history("I1"))[-1] == new.entries[1]
        assert await store.history("I2") == new.entries[:1]
        assert await store.waiting() == (second,)
        assert await store.held_by("ann") == (accepted,)
        assert await store.agents() == new.agents
        assert await store.deliveries("ann", 1, 10) == new.deliveries[:1]
        assert await store.deliveries("bob", 0, 10) == new.deliveries[1:]
        assert await store.outgoing() == new.outgoing
        assert await store.outcome("op2") == new.outcome
        assert await store.next_deadline() == later(60)

    @pytest.mark.parametrize("fault", _faulty_commits())
    async def test_a_conflict_changes_nothing(self, store: Store, fault: str) -> None:
        """Semantics 9: where one expectation fails, none of the commit is stored."""
        await _begin(store)
        before = await everything(store)
        with pytest.raises(Conflict):
            await store.commit(_faulty_commits()[fault])
        assert await everything(store) == before
        (due,) = await store.due(later(1_000_000), later(1_000_001), 10)
        assert due == Due(interaction_id="I1", version=1, deadline=later(30))
        assert await store.away(later(1_000_000), later(1_000_001), 10) == ()
        await store.commit(_full_commit())
        assert await store.interaction("I2") is not None

    async def test_an_outcome_alone_conflicts_too(self, store: Store) -> None:
        """An operation id is taken once, also by a commit that holds nothing else."""
        await commit(store, queued())
        outcome = Outcome(operation_id="op1", fingerprint="1", at=START, interaction=queued())
        await store.commit(Commit(at=START, outcome=outcome))
        with pytest.raises(Conflict):
            await store.commit(Commit(at=START, outcome=attrs.evolve(outcome, fingerprint="2")))
        assert await store.outcome("op1") == outcome

    async def test_two_steps_from_one_version_never_both_commit(self, store: Store) -> None:
        """Semantics 9: of many commits at the same time from one version, one is stored."""
        await commit(store, queued())
        won: list[str] = []

        async def invite(agent_id: str) -> None:
            try:
                await commit(store, invited(queued(), agent_id))
            except Conflict:
                return
            won.append(agent_id)

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(invite, f"agent{number}")
        stored = await store.interaction("I1")
        assert stored is not None
        assert [stored.agent_id] == won

    async def test_an_agent_is_held_to_the_version_too(self, store: Store) -> None:
        """Semantics 6: of many commits at the same time from one agent's version, one is stored."""
        first = [queued(f"I{number}") for number in range(8)]
        await commit(store, *first)
        won: list[str] = []

        async def invite(interaction: Interaction) -> None:
            try:
                await commit(
                    store,
                    invited(interaction, "ann"),
                    agents=(Agent(id="ann", version=1, load=1),),
                )
            except Conflict:
                return
            won.append(interaction.id)

        async with anyio.create_task_group() as tasks:
            for interaction in first:
                tasks.start_soon(invite, interaction)
        assert _ids(await store.held_by("ann")) == won
        assert len(won) == 1

    async def test_commits_that_have_nothing_in_common_all_succeed(self, store: Store) -> None:
        """A commit fails only where its own expectations do."""
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(commit, store, queued(f"I{number}"))
        assert len(await store.waiting()) == 20

    async def test_history_is_kept_in_order(self, store: Store) -> None:
        """The entries of an interaction, oldest first, apart from those of others."""
        values = [queued()]
        values.append(invited(values[-1], "ann"))
        values.append(done(values[-1], ("ann", c.Accept())))
        entries = [entry(value, "Invite", actor="ann") for value in values]
        for value, line in zip(values, entries, strict=True):
            await commit(store, value, entries=(line,))
        await commit(store, queued("I2"), entries=(entry(queued("I2"), "Submit"),))
        assert await store.history("I1") == tuple(entries)

    async def test_waiting_is_in_the_order_of_submission(self, store: Store) -> None:
        """What waits, oldest submission first, however late it came to wait again."""
        for number, id in enumerate(("C", "A", "B")):
            await commit(store, queued(id, at=later(number)))
        first = invited(queued("C"), "ann", at=later(3))
        await commit(store, first)
        assert _ids(await store.waiting()) == ["A", "B"]
        await commit(store, done(first, (SYSTEM, c.Revoke()), at=later(4)))
        assert _ids(await store.waiting()) == ["C", "A", "B"]

    async def test_waiting_is_what_the_commit_says(self, store: Store) -> None:
        """A store does not judge by itself what waits: a follow-up may be due (semantics 5)."""
        one = attrs.evolve(saved(queued()), waiting=False)
        await store.commit(Commit(at=START, interactions=(one,)))
        assert await store.waiting() == ()

    async def test_waiting_by_queue(self, store: Store) -> None:
        """A queue's own, by the queue that the interaction is in now."""
        await commit(store, queued("I1"), queued("I2", queue="support"), queued("I3", queue=None))
        assert _ids(await store.waiting("support")) == ["I2"]
        assert await store.waiting("nowhere") == ()
        moved = done(owned(queued("I1"), "ann"), ("ann", c.PlaceInQueue(queue="support")))
        await store.commit(Commit(at=START, interactions=(saved(moved, expected=0),)))
        assert _ids(await store.waiting("support")) == ["I1", "I2"]
        assert await store.waiting("sales") == ()
        assert _ids(await store.waiting()) == ["I1", "I2", "I3"]

    async def test_held_follows_the_holder(self, store: Store) -> None:
        """What an agent holds, oldest submission first, and no longer than it is held."""
        for number, id in enumerate(("B", "A", "C")):
            await commit(store, queued(id, at=later(number)))
        for id in ("C", "A", "B"):
            await commit(store, invited(queued(id), "ann"))
        assert _ids(await store.held_by("ann")) == ["B", "A", "C"]
        left = done(invited(queued("A"), "ann"), ("ann", c.Reject()))
        await commit(store, left)
        await commit(store, invited(left, "bob"))
        assert _ids(await store.held_by("ann")) == ["B", "C"]
        assert _ids(await store.held_by("bob")) == ["A"]

    async def test_what_is_in_a_workbin(self, store: Store) -> None:
        """What is parked in a workbin, oldest submission first, until it is pulled."""
        for number, id in enumerate(("B", "A")):
            await commit(store, queued(id, at=later(number)))
        parked = {}
        for id in ("A", "B"):
            value = done(owned(queued(id), "ann"), ("ann", c.PlaceInWorkbin(workbin="late")))
            parked[id] = attrs.evolve(value, version=1)
            await commit(store, parked[id])
        assert _ids(await store.in_workbin("late")) == ["B", "A"]
        assert await store.in_workbin("other") == ()
        await commit(store, done(parked["B"], ("bob", c.Pull())))
        assert _ids(await store.in_workbin("late")) == ["A"]
        assert _ids(await store.held_by("bob")) == ["B"]

    async def test_thread(self, store: Store) -> None:
        """By the mail's own Message-ID, by what it refers to, and by the reply's."""
        root = Email(message_id="<root@home.example>")
        answer = Email(message_id="<next@home.example>", references=("<root@home.example>",))
        late = Email(references=("<root@home.example>", "<I1D1@shop.example>"))
        for number, (id, mail) in enumerate((("I3", root), ("I1", answer), ("I2", late))):
            await commit(store, queued(id, email=mail, at=later(number)))
        await commit(store, queued("I4"))
        await commit(store, invited(queued("I3", email=root), "ann"))
        assert _ids(await store.thread("<root@home.example>")) == ["I3", "I1", "I2"]
        assert _ids(await store.thread("<next@home.example>")) == ["I1"]
        assert await store.thread("<unknown@home.example>") == ()
        await commit(store, outgoing=(outgoing(1),))
        assert _ids(await store.thread("<I1D1@shop.example>")) == ["I1", "I2"]
        stored = await store.interaction("I3")
        assert (await store.thread("<root@home.example>"))[0] == stored

    async def test_a_sent_reply_stays_in_its_thread(self, store: Store) -> None:
        """The answer to a reply finds its interaction, long after the mailer had the reply."""
        await send(store, outgoing(1))
        (mail,) = await store.claim_outgoing("w", START, later(60), 1)
        await store.outgoing_progress("w", attrs.evolve(mail, sent=True))
        assert _ids(await store.thread(mail.message_id)) == ["I1"]

    async def test_agents_are_listed_by_id(self, store: Store) -> None:
        """All stored agents, every field as it was committed."""
        agents = (
            Agent(id="Zoé", version=1, ready=True, load=3, sequence=0),
            Agent(
                id="ann",
                version=1,
                reason="lünch",
                missed=1,
                gone=True,
                away_at=later(5),
                sessions=("w1", "w1", "w2"),
            ),
        )
        await commit(store, agents=agents[::-1])
        assert await store.agents() == agents
        assert await store.agent("ann") == agents[1]
        changed = Agent(id="ann", version=2)
        await commit(store, agents=(changed,))
        assert await store.agent("ann") == changed

    async def test_ids_are_read_in_pages(self, store: Store) -> None:
        """In the order of their characters, those after a given one, whether it is there or not."""
        await commit(store, *(queued(id) for id in ("b", "A1", "10", "B", "9", "a", "A10")))
        every = ("10", "9", "A1", "A10", "B", "a", "b")
        assert await store.ids("", 100) == every
        assert await store.ids("", 3) == every[:3]
        assert await store.ids("A1", 3) == every[3:6]
        assert await store.ids("A5", 2) == every[4:6]
        assert await store.ids("b", 3) == await store.ids("", 0) == ()

    async def test_waiting_up_to_a_limit(self, store: Store) -> None:
        """The oldest ones, of all queues or of one."""
        for number in range(6):
            await commit(store, queued(f"I{9 - number}", queue=("sales", "support")[number % 2]))
        assert _ids(await store.waiting(limit=2)) == ["I9", "I8"]
        assert _ids(await store.waiting("support", limit=2)) == ["I8", "I6"]
        assert _ids(await store.waiting("support", limit=9)) == ["I8", "I6", "I4"]
        assert await store.waiting(limit=0) == ()

    async def test_a_line_of_history_comes_back_as_it_was(self, store: Store) -> None:
        """With the number of its notification or without, whoever did it."""
        lines = (
            entry(queued(), "Submit"),
            attrs.evolve(entry(invited(queued(), "ann"), "Invite"), sequence=1),
            attrs.evolve(entry(owned(queued(), "ann"), "Accept", actor="ann"), sequence=2**40),
        )
        await commit(store, queued(), entries=lines[:1])
        await commit(store, attrs.evolve(queued(), version=1), entries=lines[1:])
        assert await store.history("I1") == lines

    async def test_a_thread_names_an_interaction_once(self, store: Store) -> None:
        """However often its mail names the Message-ID; in any letters of it but those."""
        name = "<m1@home.example>"
        mail = Email(message_id=name, references=(name, "<m0@home.example>", name))
        await commit(store, queued(email=mail))
        await commit(store, outgoing=(attrs.evolve(outgoing(1), message_id=name),))
        assert _ids(await store.thread(name)) == ["I1"]
        assert await store.thread("<M1@home.example>") == await store.thread("m1") == ()

    async def test_an_empty_commit(self, store: Store) -> None:
        """There is nothing to it, and it is no error."""
        await _begin(store)
        before = await everything(store)
        await store.commit(Commit(at=later(5)))
        assert await everything(store) == before

    async def test_a_conflict_says_what_differed(self, store: Store) -> None:
        """It names the interaction or the agent, for a log to show."""
        await _begin(store)
        with pytest.raises(Conflict) as interaction:
            await commit(store, queued())
        assert interaction.value.interaction_id == "I1"
        with pytest.raises(Conflict) as agent:
            await commit(store, agents=(Agent(id="ann", version=1),))
        assert agent.value.agent_id == "ann"

    async def test_nobody_has_to_watch(self, store: Store) -> None:
        """To watch, to watch again and to end it changes nothing about what is committed."""
        store.watch(None)
        store.watch(lambda: None)
        await commit(store, queued())
        store.watch(lambda: None)
        await commit(store, invited(queued(), "ann"))
        store.watch(None)
        store.watch(None)
        assert _ids(await store.held_by("ann")) == ["I1"]

    async def test_an_outcome_comes_back_as_it_was(self, store: Store) -> None:
        """Semantics 9: a refusal is kept with its class and fields, an interaction whole."""
        error = NotValidInState(
            "not now",
            interaction_id="I1",
            state="Invited",
            trigger="Send",
            capabilities=("Accept", "Reject"),
            agent_id="ann",
            path="$.ü",
            value=["late", 1.5, None],
        )
        refused = Outcome(operation_id="ö 1", fingerprint="a", at=START, refusal=Refusal.of(error))
        taken = Outcome(
            operation_id="2", fingerprint="b", at=START, interaction=situations()["replying"]
        )
        await commit(store, attrs.evolve(situations()["replying"], version=0))
        for outcome in (refused, taken):
            await store.commit(Commit(at=START, outcome=outcome))
            assert await store.outcome(outcome.operation_id) == outcome
        found = await store.outcome("ö 1")
        assert found is not None
        assert found.refusal is not None
        again = found.refusal.error()
        assert type(again) is NotValidInState
        assert vars(again) == vars(error)
