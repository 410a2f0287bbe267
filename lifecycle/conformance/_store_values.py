"""L7. Cases for values that are odd, large, or given in another form."""

from __future__ import annotations

import random
import string
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from lifecycle import commands as c
from lifecycle import errors
from lifecycle.conformance._samples import (
    START,
    commit,
    deliver,
    delivery,
    done,
    entry,
    invited,
    later,
    notify,
    outgoing,
    owned,
    queued,
    situations,
)
from lifecycle.errors import Conflict, LifecycleError
from lifecycle.interaction import Email, Interaction
from lifecycle.ports import Store
from lifecycle.records import Agent, Commit, Outcome, Refusal

_MEBIBYTE = 1024 * 1024

_NAMES = {
    "quotes": """O'Brien "the" `best` $$ ''""",
    "a statement": "'; DROP TABLE agents; --",
    "backslashes": r"\a\\b\'\x00\u0000\\",
    "wildcards": "100%_[a-z]*?",
    "placeholders": "$1 :name ? %s %(x)s {0} @p",
    "braces": '{"a",NULL}',
    "not ASCII": "Ünïcødé \u65e5\u672c \N{PILE OF POO}\N{ZERO WIDTH JOINER}",
    "combining": "e\N{COMBINING ACUTE ACCENT}",
    "spaces": " \t two\r\n lines \N{NO-BREAK SPACE} ",
    "controls": "\x01\x1b[31m\x7f\x85\N{LINE SEPARATOR}\N{BYTE ORDER MARK}",
    "a number": "0012",
    "null": "NULL",
    "long": "".join(chr(33 + number * 7 % 94) for number in range(2_000)),
}
"""Names of agents, queues and the like; none holds a NUL, which is refused above a store."""

_TEXT = "a\0b \\u0000 \x1f \N{SNOWMAN} 'quoted' \\"
"""A text as values may hold it, with a NUL and with what looks like an escaped one."""


def _kinds(kind: type[LifecycleError]) -> list[type[LifecycleError]]:
    return [kind, *(deeper for direct in kind.__subclasses__() for deeper in _kinds(direct))]


class ValueCases:
    """Whatever is given comes back equal."""

    @pytest.mark.parametrize("what", _NAMES)
    async def test_names_are_taken_as_they_are(self, store: Store, what: str) -> None:
        """As agent, queue, workbin, worker, and operation id; found by the name and no other."""
        name = _NAMES[what]
        other = name + "x"
        first = queued(queue=name)
        await commit(store, first, queued("I2", queue=other))
        assert await store.waiting(name) == (first,)
        offer = invited(first, name)
        agent = Agent(id=name, version=1, reason=name, sequence=1, sessions=(name, name))
        outcome = Outcome(operation_id=name, fingerprint="0", at=START, interaction=offer)
        one = delivery(name, 1)
        line = entry(offer, "Invite", actor=name)
        await commit(
            store, offer, agents=(agent,), entries=(line,), deliveries=(one,), outcome=outcome
        )
        assert await store.agent(name) == agent
        assert await store.agents() == await store.sessions_of(name) == (agent,)
        assert await store.held_by(name) == (offer,)
        assert await store.history("I1") == (line,)
        assert await store.deliveries(name, 0, 10) == (one,)
        assert await store.outcome(name) == outcome
        assert await store.agent(other) is None
        assert await store.outcome(other) is None
        assert await store.held_by(other) == ()
        assert await store.sessions_of(other) == ()
        (stream,) = await store.claim(name, START, later(60), 10)
        assert not await store.progress(other, attrs.evolve(stream, delivered=1))
        assert await store.progress(name, attrs.evolve(stream, delivered=1))
        assert not await store.renew(name, later(1))
        assert await store.lapsed(later(1)) == (name,)
        value = done(owned(queued("I2"), name), (name, c.PlaceInWorkbin(workbin=name)))
        parked = attrs.evolve(value, version=1)
        await commit(store, parked)
        assert await store.in_workbin(name) == (parked,)
        assert await store.in_workbin(other) == ()

    async def test_names_that_differ_are_different(self, store: Store) -> None:
        """Case, accents and spaces count; nothing is brought into another form."""
        names = ["ann", "Ann", "ANN", "ann ", " ann", "\u00e9", "e\u0301", "stra\u00dfe", "strasse"]
        await commit(store, agents=tuple(Agent(id=name, version=1) for name in names))
        assert [agent.id for agent in await store.agents()] == sorted(names)
        await commit(store, *(queued(f"I{i}", queue=name) for i, name in enumerate(names)))
        for number, name in enumerate(names):
            assert [one.id for one in await store.waiting(name)] == [f"I{number}"]

    async def test_names_are_in_the_order_of_their_characters(self, store: Store) -> None:
        """By code point, as Python sorts them, in no language's order and in no encoding's."""
        names = ["\N{BYTE ORDER MARK}", "\U0001f4e7", "b", "B", "a", "_", "10", "9", "é", "a b"]
        await commit(
            store,
            agents=tuple(Agent(id=name, version=1, sequence=1) for name in names),
            deliveries=tuple(delivery(name, 1) for name in names),
        )
        assert [agent.id for agent in await store.agents()] == sorted(names)
        assert [one.agent_id for one in await store.streams(parked=False)] == sorted(names)
        claimed = await store.claim("one", later(1), later(60), 100)
        assert [one.agent_id for one in claimed] == sorted(names)

    async def test_texts_may_hold_anything(self, store: Store) -> None:
        """In the values of an interaction, an agent, a refusal, also what no database takes."""
        mail = Email(subject=_TEXT, text=_TEXT, structured_text=_TEXT, from_address=_TEXT)
        first = queued(email=mail, comment=_TEXT, user_data={_TEXT: [_TEXT]}, contact_id=_TEXT)
        await commit(store, first)
        assert await store.interaction("I1") == first
        replying = done(
            owned(first, "ann"),
            ("ann", c.Reply(text=_TEXT)),
            ("ann", c.PlaceInWorkbin(workbin="w")),
        )
        revoked = attrs.evolve(replying, version=1, reason=_TEXT)
        agent = Agent(id="ann", version=1, reason=_TEXT)
        refusal = Refusal.of(errors.Forbidden(_TEXT, value=[_TEXT], path=_TEXT))
        outcome = Outcome(operation_id="op1", fingerprint="0", at=START, refusal=refusal)
        await commit(store, revoked, agents=(agent,), outcome=outcome)
        assert await store.interaction("I1") == revoked
        assert await store.agent("ann") == agent
        assert await store.outcome("op1") == outcome

    async def test_mail_from_odd_addresses_is_kept(self, store: Store) -> None:
        """Whoever writes a mail chooses its From: that must never keep it from being stored."""
        long = "".join(random.Random(5).choices(string.ascii_lowercase, k=5_000))
        mails = {
            "I1": Email(from_address='"a\0b"@home.example'),
            "I2": Email(
                from_address=f"{long}@home.example", message_id=f"<{long[:880]}@x.example>"
            ),
            "I3": Email(from_address=", ".join(f"a{n}@home.example" for n in range(300))),
            "I4": Email(references=tuple(f"<{n}@home.example>" for n in range(300))),
        }
        values = [queued(id, email=mail) for id, mail in mails.items()]
        await commit(store, *values)
        assert await store.waiting() == tuple(values)
        assert await store.of_person(f"{long}@home.example") == ("I2",)
        assert await store.of_person("a299@home.example") == ("I3",)
        assert await store.thread(f"<{long[:880]}@x.example>") == (values[1],)
        assert await store.thread("<299@home.example>") == (values[3],)

    async def test_large_values(self, store: Store) -> None:
        """A mebibyte in a mail's text, a payload, a message."""
        value = queued(email=Email(subject="large", text="é\\\n'\"" * (_MEBIBYTE // 6)))
        one = attrs.evolve(delivery("ann", 1), payload=b'"' + b"\xc3\xa9" * (_MEBIBYTE // 2) + b'"')
        mail = attrs.evolve(outgoing(1), message=bytes(range(256)) * 4096)
        agent = Agent(id="ann", version=1, sequence=1)
        await commit(store, value, agents=(agent,), deliveries=(one,), outgoing=(mail,))
        assert await store.interaction("I1") == value
        assert await store.deliveries("ann", 0, 10) == (one,)
        assert await store.outgoing() == (mail,)

    async def test_a_long_log_is_read_in_pages(self, store: Store) -> None:
        """A thousand deliveries of one commit, each once and in order."""
        await notify(store, "ann", count=1000)
        await notify(store, "bob", count=10)
        found: list[int] = []
        while page := await store.deliveries("ann", found[-1] if found else 0, 90):
            assert len(page) <= 90
            found.extend(one.sequence for one in page)
        assert found == list(range(1, 1001))
        await deliver(store, "ann", 990)
        assert (await store.figures(START)).waiting == 20

    async def test_an_empty_payload_is_one(self, store: Store) -> None:
        """No bytes are not nothing: neither in a payload nor in a message."""
        one = attrs.evolve(delivery("ann", 1), payload=b"")
        mail = attrs.evolve(outgoing(1), message=b"", recipients=(), sender="", queue="")
        agent = Agent(id="ann", version=1, sequence=1, reason="")
        await commit(store, queued(), agents=(agent,), deliveries=(one,), outgoing=(mail,))
        assert await store.deliveries("ann", 0, 10) == (one,)
        assert await store.outgoing() == (mail,)
        assert await store.agent("ann") == agent

    @pytest.mark.parametrize("hours", [-9.5, 5.75, 14])
    async def test_times_of_other_zones(self, store: Store, hours: float) -> None:
        """A time is a moment: it comes back equal, with a zone, and is found by any clock."""
        zone = timezone(timedelta(hours=hours))
        start = later(0.000001).astimezone(zone)

        def at(seconds: float) -> datetime:
            return start + timedelta(seconds=seconds)

        first = queued(at=start)
        offer = invited(first, "ann", at=start)
        agent = Agent(id="ann", version=1, sequence=1, away_at=at(5))
        one = delivery("ann", 1, at=start)
        mail = outgoing(1, at=start)
        line = attrs.evolve(entry(offer, "Invite"), at=start)
        outcome = Outcome(operation_id="op1", fingerprint="0", at=start, interaction=offer)
        await commit(store, first, at=start)
        parts = {"agents": (agent,), "entries": (line,), "deliveries": (one,)}
        await commit(store, offer, at=start, outgoing=(mail,), outcome=outcome, **parts)
        assert await store.interaction("I1") == offer
        assert await store.agent("ann") == agent
        assert await store.history("I1") == (line,)
        assert await store.deliveries("ann", 0, 10) == (one,)
        assert await store.outgoing() == (mail,)
        assert await store.outcome("op1") == outcome
        assert await store.next_deadline() == at(5)
        assert await store.away(at(4.999999), at(60), 10) == ()
        assert await store.away(at(5), at(60), 10) == (agent,)
        assert await store.due(at(29.999999), at(90), 10) == ()
        (due,) = await store.due(at(30), at(90), 10)
        assert due.deadline == offer.deadline
        assert due.deadline.tzinfo is not None
        (stream,) = await store.claim("one", start, at(60), 10)
        assert await store.next_delivery() == at(60)
        retry = attrs.evolve(stream, tries=1, retry_at=at(7.5))
        assert await store.progress("one", retry)
        assert await store.stream("ann") == retry
        assert await store.next_delivery() == at(7.5)
        assert await store.claim("two", at(7.5).astimezone(UTC), at(99), 10) == (retry,)
        (claimed,) = await store.claim_outgoing("one", start, at(60), 10)
        deferred = attrs.evolve(claimed, tries=1, retry_at=at(8))
        assert await store.outgoing_progress("one", deferred)
        assert await store.outgoing() == (deferred,)
        await store.renew("w1", at(3))
        assert await store.lapsed(at(2.999999)) == ()
        assert await store.lapsed(at(3).astimezone(UTC)) == ("w1",)
        assert (await store.figures(at(0))).oldest == start

    async def test_times_far_away(self, store: Store) -> None:
        """Long ago and far ahead, each apart from the next by a microsecond."""
        for number, year in enumerate((1583, 1901, 1969, 2038, 2400, 9998)):
            at = datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
            times = (at, at + timedelta(microseconds=1))
            mails = [outgoing(2 * number + place, at=at) for place, at in enumerate(times)]
            await commit(store, *([] if number else [queued()]), outgoing=tuple(mails))
        found = [mail.at for mail in await store.outgoing()]
        assert found == sorted(found)
        assert len(set(found)) == 12
        assert {(at.second, at.microsecond) for at in found} == {(59, 999_999), (0, 0)}

    async def test_every_refusal_comes_back(self, store: Store) -> None:
        """Whatever class the error has, with all fields and with none."""
        kinds = [kind for kind in _kinds(LifecycleError) if kind.__module__ == errors.__name__]
        assert len(kinds) > 30
        for number, kind in enumerate(kinds):
            whole = kind(
                "not now",
                interaction_id="I1",
                state="Accepted",
                trigger="Send",
                capabilities=("Transfer", "Reply"),
                agent_id="ann",
                path="$.a[0]",
                value={"given": [1, 2.5, None, True, "é"]},
            )
            for name, error in ((f"whole{number}", whole), (f"bare{number}", kind())):
                refusal = Refusal.of(error)
                outcome = Outcome(operation_id=name, fingerprint="0", at=START, refusal=refusal)
                await store.commit(Commit(at=START, outcome=outcome))
                found = await store.outcome(name)
                assert found == outcome
                assert found.refusal is not None
                again = found.refusal.error()
                assert type(again) is kind
                assert vars(again) == vars(error)

    @pytest.mark.parametrize("name", situations())
    async def test_every_outcome_comes_back(self, store: Store, name: str) -> None:
        """Whatever the interaction holds, also where the interaction is a later one by now."""
        value = situations()[name]
        outcome = Outcome(operation_id="op1", fingerprint="0", at=START, interaction=value)
        first = attrs.evolve(value, version=0)
        await commit(store, first, outcome=outcome)
        await commit(store, attrs.evolve(value, version=1, comment="changed since"))
        assert await store.outcome("op1") == outcome

    async def test_many_versions(self, store: Store) -> None:
        """Each value is the one that is read next, whatever changes from one to the next."""
        value: Interaction = queued(email=Email(subject="the same", text="é" * 1000))
        await commit(store, value)
        for version in range(1, 30):
            value = attrs.evolve(
                value,
                version=version,
                queue=f"queue{version % 3}",
                comment=None if version % 4 else f"note {version}",
                deadline=later(version) if version % 2 else None,
            )
            await commit(store, value)
            assert await store.interaction("I1") == value
            assert await store.waiting(f"queue{version % 3}") == (value,)
            assert await store.next_deadline() == value.deadline
        with pytest.raises(Conflict):
            await commit(store, attrs.evolve(value, version=29))
