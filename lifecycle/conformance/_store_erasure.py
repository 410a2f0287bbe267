"""L7. Cases for a person's data: how it is found, and what is left when it is erased."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from lifecycle._housekeeping import erased, scrubbed
from lifecycle.conformance._samples import (
    START,
    commit,
    deliver,
    delivery,
    ended,
    entry,
    later,
    notify,
    outgoing,
    queued,
    rich_mail,
    saved,
    situations,
)
from lifecycle.errors import Conflict, NotPermitted
from lifecycle.interaction import Email, Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Delivery, Erasure, Outcome, Refusal, Stream


def _about(agent_id: str, sequence: int, interaction_id: str) -> Delivery:
    """A delivery that quotes what a person wrote."""
    one = delivery(agent_id, sequence, interaction_id=interaction_id)
    return attrs.evolve(one, payload=b'{"state":"Completed","email_object":{"subject":"secret"}}')


def _scrubbed(one: Delivery) -> Delivery:
    return attrs.evolve(one, payload=scrubbed(one.payload))


async def erase(
    store: Store, before: Interaction, *deliveries: Delivery, **rest: Any
) -> Interaction:
    """Commit an erasure, and return what is left."""
    after = erased(before)
    await commit(
        store,
        after,
        erased=(Erasure(interaction_id=before.id, deliveries=deliveries),),
        **{"at": later(100), **rest},
    )
    return after


class ErasureCases:
    """The data of a person (semantics 4, 9)."""

    async def test_interactions_are_found_by_person(self, store: Store) -> None:
        """By the bare address in From or Reply-To in small letters, oldest submission first."""
        mails = {
            "I3": Email(from_address='"Zoé, the 2nd" <Zoe@Home.example>'),
            "I1": Email(from_address="max@home.example", reply_to="<zoe@home.example>"),
            "I2": Email(from_address="zoe@home.example", reply_to="zoe@home.example"),
            "I4": Email(to_address="zoe@home.example", cc_addresses=("zoe@home.example",)),
            "I5": Email(),
        }
        for number, (id, mail) in enumerate(mails.items()):
            await commit(store, queued(id, email=mail, at=later(number)))
        assert await store.of_person("zoe@home.example") == ("I3", "I1", "I2")
        assert await store.of_person("max@home.example") == ("I1",)
        for other in ("Zoe@Home.example", "zoe", "zo_@home.example", "%", "", "é"):
            assert await store.of_person(other) == ()

    async def test_a_person_is_found_whatever_becomes_of_the_mail(self, store: Store) -> None:
        """Later versions change nothing about who wrote it."""
        await commit(store, queued())
        await commit(store, ended())
        assert await store.of_person("zoe@home.example") == ("I1",)

    @pytest.mark.parametrize("name", ["sent", "completed"])
    async def test_what_is_left_replaces_value_and_submission(
        self, store: Store, name: str
    ) -> None:
        """The mail is gone from the interaction, from this version on."""
        whole = situations()[name]
        await commit(store, attrs.evolve(whole, version=0))
        await commit(store, attrs.evolve(whole, version=1))
        before = await store.interaction("I1")
        assert before is not None
        assert before.email == rich_mail()
        line = entry(erased(before), "Erase")
        after = await erase(store, before, entries=(line,))
        assert after.email == Email()
        assert await store.interaction("I1") == after
        assert await store.history("I1") == (line,)
        following = attrs.evolve(after, version=3, comment="nothing is known")
        await commit(store, following)
        assert await store.interaction("I1") == following
        assert await erase(store, following) == await store.interaction("I1")
        assert await store.faults() == ()

    async def test_nothing_finds_what_was_erased(self, store: Store) -> None:
        """Neither person nor thread, not by the reply either; others are found as before."""
        mail = Email(
            from_address="zoe@home.example",
            message_id="<m1@home.example>",
            references=("<m0@shop.example>",),
        )
        for id in ("I1", "I2"):
            await commit(store, queued(id, email=mail))
            await commit(store, ended(id, email=mail))
        await commit(store, outgoing=(outgoing(1),))
        (sent,) = await store.claim_outgoing("one", START, later(60), 1)
        await store.outgoing_progress("one", attrs.evolve(sent, sent=True))
        names = ("<m1@home.example>", "<m0@shop.example>", sent.message_id)
        assert [len(await store.thread(name)) for name in names] == [2, 2, 1]
        await erase(store, ended(email=mail))
        assert [len(await store.thread(name)) for name in names] == [1, 1, 0]
        assert await store.of_person("zoe@home.example") == ("I2",)
        assert await store.interaction("I2") == ended("I2", email=mail)
        assert await store.ids("", 10) == ("I1", "I2")

    async def test_erased_deliveries_stay_where_they_are(self, store: Store) -> None:
        """Another payload under the same number: none is undelivered again, none is lost."""
        await commit(store, queued())
        await commit(store, ended())
        log = tuple(_about("ann", number, "I1" if number % 2 else "I2") for number in range(1, 7))
        bobs = (_about("bob", 1, "I1"),)
        agents = (Agent(id="ann", version=1, sequence=6), Agent(id="bob", version=1, sequence=1))
        await commit(store, agents=agents, deliveries=log + bobs)
        await deliver(store, "ann", 3)
        replaced = tuple(_scrubbed(one) for one in (log[0], log[2], log[4]))
        await erase(store, ended(), *replaced)
        expected = (replaced[0], log[1], replaced[1], log[3], replaced[2], log[5])
        assert b"secret" not in expected[0].payload
        assert await store.deliveries("ann", 0, 10) == expected
        assert await store.deliveries("bob", 0, 10) == bobs
        assert await store.stream("ann") == Stream(agent_id="ann", delivered=3)
        assert await store.agents() == agents
        claimed = await store.claim("one", START, later(60), 10)
        assert [one.delivered for one in claimed if one.agent_id == "ann"] == [3]
        for stream in claimed:
            rest = await store.deliveries(stream.agent_id, stream.delivered, 10)
            await store.progress("one", attrs.evolve(stream, delivered=rest[-1].sequence))
        assert await store.claim("one", later(99), later(160), 10) == ()

    async def test_erasing_what_was_delivered_makes_no_work(self, store: Store) -> None:
        """A stream that had come to its end is at its end."""
        await commit(store, queued())
        await commit(store, ended())
        one = _about("ann", 1, "I1")
        await commit(store, agents=(Agent(id="ann", version=1, sequence=1),), deliveries=(one,))
        await deliver(store, "ann", 1)
        await erase(store, ended(), _scrubbed(one))
        assert await store.deliveries("ann", 0, 10) == (_scrubbed(one),)
        assert await store.next_delivery() is None
        assert await store.claim("one", later(999), later(1000), 10) == ()
        assert (await store.figures(later(999))).waiting == 0

    async def test_erasing_changes_nothing_about_a_stopped_stream(self, store: Store) -> None:
        """It stays parked at what is left of the delivery."""
        await commit(store, queued())
        await commit(store, ended())
        one = _about("ann", 1, "I1")
        await commit(store, agents=(Agent(id="ann", version=1, sequence=1),), deliveries=(one,))
        parked = Stream(agent_id="ann", tries=8, retry_at=later(5), parked=True, connects=2)
        await store.change_stream("ann", lambda _: parked)
        await erase(store, ended(), _scrubbed(one))
        assert await store.streams(parked=True) == (parked,)
        assert await store.claim("one", later(999), later(1000), 10) == ()

    async def test_what_was_forgotten_meanwhile_is_not_brought_back(self, store: Store) -> None:
        """A delivery that is not retained any more stays away, and no other takes its place."""
        await commit(store, queued())
        await commit(store, ended())
        log = tuple(_about("ann", number, "I1") for number in range(1, 5))
        bobs = (_about("bob", 1, "I1"),)
        agents = (Agent(id="ann", version=1, sequence=4), Agent(id="bob", version=1, sequence=1))
        await commit(store, agents=agents, deliveries=log + bobs)
        await deliver(store, "ann", 3)
        await deliver(store, "bob", 1)
        pruned = await store.prune(deliveries=later(1), outcomes=START, contents=START, limit=9)
        assert pruned == 4
        await erase(store, ended(), *map(_scrubbed, log), *map(_scrubbed, bobs))
        assert await store.deliveries("ann", 0, 10) == (_scrubbed(log[3]),)
        assert await store.deliveries("bob", 0, 10) == ()

    async def test_outcomes_are_erased(self, store: Store) -> None:
        """The interaction in them is what is left, refusals quote nothing, others are as before."""
        await commit(store, queued(), queued("I2"))
        await commit(store, ended())
        error = NotPermitted("not yours: secret", interaction_id="I1", value="secret", path="$.x")
        other = NotPermitted("not yours", interaction_id="I2", value="public")
        outcomes: dict[str, dict[str, Any]] = {
            "value": {"interaction": queued()},
            "refusal": {"refusal": Refusal.of(error)},
            "other": {"interaction": queued("I2")},
            "other refusal": {"refusal": Refusal.of(other)},
            "nothing": {},
        }
        stored = {}
        for number, (name, parts) in enumerate(outcomes.items()):
            one = Outcome(operation_id=name, fingerprint="f0", at=later(number), **parts)
            stored[name] = one
            await store.commit(Commit(at=later(number), outcome=one))
        after = await erase(store, ended())
        for name in ("value", "refusal"):
            assert await store.outcome(name) == stored[name].erased(after)
        for name in ("other", "other refusal", "nothing"):
            assert await store.outcome(name) == stored[name]

    async def test_an_erasure_can_have_an_outcome(self, store: Store) -> None:
        """The outcome of the commit itself is stored as it is."""
        await commit(store, queued())
        await commit(store, ended())
        one = Outcome(
            operation_id="op1", fingerprint="f0", at=later(100), interaction=erased(ended())
        )
        await erase(store, ended(), outcome=one)
        assert await store.outcome("op1") == one

    async def test_a_conflict_erases_nothing(self, store: Store) -> None:
        """Semantics 9: all or nothing, the erasure too."""
        mail = Email(from_address="zoe@home.example", message_id="<m1@home.example>")
        await commit(store, queued(email=mail))
        value = ended(email=mail)
        outcome = Outcome(operation_id="op1", fingerprint="f0", at=START, interaction=value)
        await commit(store, value, outcome=outcome)
        one = _about("ann", 1, "I1")
        await commit(store, agents=(Agent(id="ann", version=1, sequence=1),), deliveries=(one,))
        bad = Commit(
            at=later(100),
            interactions=(saved(erased(value)),),
            agents=(Agent(id="ann", version=7),),
            erased=(Erasure(interaction_id="I1", deliveries=(_scrubbed(one),)),),
        )
        with pytest.raises(Conflict):
            await store.commit(bad)
        assert await store.interaction("I1") == value
        assert await store.thread("<m1@home.example>") == (value,)
        assert await store.of_person("zoe@home.example") == ("I1",)
        assert await store.deliveries("ann", 0, 10) == (one,)
        assert await store.outcome("op1") == outcome

    async def test_an_erased_interaction_is_still_forgotten_in_time(self, store: Store) -> None:
        """It is as old as it was, and can be removed and its id used again."""
        await commit(store, queued())
        await commit(store, ended(), at=later(10))
        await erase(store, ended(), at=later(500))
        assert await store.finished(later(11), 10) == ("I1",)
        await store.remove(("I1",))
        assert await store.interaction("I1") is None
        again = queued(email=Email(from_address="zoe@home.example"))
        await commit(store, again)
        assert await store.interaction("I1") == again
        assert await store.of_person("zoe@home.example") == ("I1",)

    async def test_erasure_of_one_leaves_the_deliveries_of_the_log(self, store: Store) -> None:
        """A log goes on after an erasure, with the next number."""
        await notify(store, "ann")
        await commit(store, queued())
        await commit(store, ended())
        await erase(store, ended())
        await notify(store, "ann")
        assert [one.sequence for one in await store.deliveries("ann", 0, 10)] == [1, 2]
