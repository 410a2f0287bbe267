"""L7. Cases for outgoing mail: who may carry it on, and what became of it."""

from __future__ import annotations

import anyio
import attrs
import pytest

from lifecycle.conformance._samples import START, later, notify, outgoing, send
from lifecycle.errors import NotFound
from lifecycle.ports import Store
from lifecycle.records import Outgoing


async def _claimed(
    store: Store, worker: str = "one", *, at: float = 0, until: float = 60, limit: int = 10
) -> tuple[Outgoing, ...]:
    return await store.claim_outgoing(worker, later(at), later(until), limit)


class MailCases:
    """Sent replies on their way to the mailer (semantics 9)."""

    async def test_mail_comes_back_as_it_was(self, store: Store) -> None:
        """Every byte and every field; it waits, and can be claimed."""
        mail = outgoing(1, queue="out ☃")
        await send(store, mail)
        assert await store.outgoing() == await store.outgoing(parked=False) == (mail,)
        assert await _claimed(store) == (mail,)

    async def test_claimed_mail_is_nobody_elses(self, store: Store) -> None:
        """Neither another worker nor the same one gets it twice."""
        await send(store, outgoing(1), outgoing(2))
        assert await _claimed(store, "one", limit=1) == (outgoing(1),)
        assert await _claimed(store, "two") == (outgoing(2),)
        assert await _claimed(store, "one") == await _claimed(store, "two") == ()
        assert await store.outgoing() == (outgoing(1), outgoing(2))

    async def test_many_workers_never_share_a_mail(self, store: Store) -> None:
        """Claims at the same time: every mail is somebody's, and nobody else's."""
        mails = [outgoing(number) for number in range(10, 22)]
        await send(store, *mails)
        found: list[Outgoing] = []

        async def work(worker: str) -> None:
            while claimed := await _claimed(store, worker, limit=2):
                found.extend(claimed)

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(work, f"worker{number}")
        assert sorted(found, key=lambda mail: mail.message_id) == mails

    async def test_a_mails_lease_ends(self, store: Store) -> None:
        """At its end, not before, the mail can be claimed by another; the first has lost it."""
        await send(store, outgoing(1))
        (mail,) = await _claimed(store, "slow")
        assert await store.next_mail() == later(60)
        assert await _claimed(store, "quick", at=59.999999) == ()
        assert await _claimed(store, "quick", at=60, until=120) == (mail,)
        assert not await store.outgoing_progress("slow", attrs.evolve(mail, sent=True))
        assert await store.outgoing() == (mail,)
        tried = attrs.evolve(mail, tries=1)
        assert await store.outgoing_progress("quick", tried)
        assert not await store.outgoing_progress("slow", attrs.evolve(mail, sent=True))
        assert await store.outgoing() == (tried,)

    async def test_mail_that_was_never_claimed_makes_no_progress(self, store: Store) -> None:
        """A worker who never had it changes nothing."""
        await send(store, outgoing(1))
        assert not await store.outgoing_progress("one", attrs.evolve(outgoing(1), sent=True))
        assert await store.outgoing() == (outgoing(1),)

    async def test_sent_mail_does_not_wait_any_more(self, store: Store) -> None:
        """It is the mailer's."""
        await send(store, outgoing(1), outgoing(2))
        (mail,) = await _claimed(store, limit=1)
        assert await store.outgoing_progress("one", attrs.evolve(mail, sent=True))
        assert await store.outgoing() == (outgoing(2),)
        assert await _claimed(store, at=10_000, until=20_000) == (outgoing(2),)

    async def test_mail_that_was_deferred_waits_for_its_time(self, store: Store) -> None:
        """`retry_at` is respected, and it is when something can be tried next."""
        await send(store, outgoing(1))
        (mail,) = await _claimed(store)
        deferred = attrs.evolve(mail, tries=1, retry_at=later(5))
        assert await store.outgoing_progress("one", deferred)
        assert not await store.outgoing_progress("one", mail)
        assert await store.next_mail() == later(5)
        assert await _claimed(store, at=4.999999) == ()
        assert await _claimed(store, "two", at=5) == (deferred,)

    async def test_parked_mail_is_not_claimed(self, store: Store) -> None:
        """It is listed, and stays until it is released."""
        await send(store, outgoing(1), outgoing(2))
        (mail,) = await _claimed(store, limit=1)
        parked = attrs.evolve(mail, tries=8, parked=True)
        assert await store.outgoing_progress("one", parked)
        assert await store.outgoing(parked=True) == (parked,)
        assert await store.outgoing(parked=False) == (outgoing(2),)
        assert await store.outgoing() == (parked, outgoing(2))
        assert await _claimed(store, at=10_000, until=20_000) == (outgoing(2),)
        released = attrs.evolve(parked, tries=0, parked=False)
        assert await store.change_outgoing(mail.message_id, lambda _: released) == parked
        assert await _claimed(store) == (released,)

    async def test_nothing_can_be_tried_with_all_mail_parked(self, store: Store) -> None:
        """There is no time at which it can be tried."""
        await send(store, outgoing(1))
        (mail,) = await _claimed(store)
        await store.outgoing_progress("one", attrs.evolve(mail, parked=True))
        assert await store.next_mail() is None

    async def test_mail_can_be_dropped(self, store: Store) -> None:
        """A dropped mail is gone, also for a worker who has it."""
        await send(store, outgoing(1))
        (mail,) = await _claimed(store)
        assert await store.change_outgoing(mail.message_id, lambda mail: None) == mail
        assert await store.change_outgoing(mail.message_id, lambda mail: mail) is None
        assert not await store.outgoing_progress("one", attrs.evolve(mail, tries=1))
        assert await store.outgoing() == ()
        assert await store.next_mail() is None
        await send(store, outgoing(1))
        assert await _claimed(store, "two") == (mail,)  # it is nobody's when it comes again

    async def test_a_change_of_mail_that_raises_changes_nothing(self, store: Store) -> None:
        """What the function raises comes out."""

        def refuse(mail: Outgoing) -> Outgoing:
            raise NotFound("not parked", value=mail.message_id)

        await send(store, outgoing(1))
        with pytest.raises(NotFound, match="not parked"):
            await store.change_outgoing(outgoing(1).message_id, refuse)
        assert await store.outgoing() == (outgoing(1),)

    async def test_the_oldest_mail_comes_first(self, store: Store) -> None:
        """In the order of commit, as many as asked for, also after a try."""
        mails = [outgoing(number, at=later(number)) for number in (3, 1, 2)]
        mails = [attrs.evolve(mail, at=later(at)) for at, mail in enumerate(mails)]
        for mail in mails:
            await send(store, mail)
        assert await store.outgoing() == tuple(mails)
        (first,) = await _claimed(store, at=9, limit=1)
        assert first == mails[0]
        await store.outgoing_progress("one", attrs.evolve(first, tries=1))
        assert await _claimed(store, at=9, limit=0) == ()
        claimed = await _claimed(store, at=9, limit=2)
        assert [mail.message_id for mail in claimed] == [mail.message_id for mail in mails[:2]]

    async def test_mail_is_in_the_order_of_its_time(self, store: Store) -> None:
        """Then of its Message-ID, whatever the order of commit; listed and claimed alike."""
        times = {4: 1, 2: 2, 3: 2, 1: 3}
        for number in (1, 3, 2, 4):
            await send(store, outgoing(number, at=later(times[number])))
        expected = tuple(outgoing(number, at=later(at)) for number, at in times.items())
        assert await store.outgoing() == expected
        assert await _claimed(store, at=9, limit=3) == expected[:3]
        assert await _claimed(store, at=9) == expected[3:]

    async def test_new_mail_comes_before_retries(self, store: Store) -> None:
        """What was never tried first, then by the time that a retry or an old lease allows."""
        await send(store, *(outgoing(number, at=later(number)) for number in range(1, 5)))
        one, two, three = await _claimed(store, until=20, limit=3)
        await store.outgoing_progress("one", attrs.evolve(one, tries=1, retry_at=later(30)))
        await store.outgoing_progress("one", attrs.evolve(two, tries=1, retry_at=later(10)))
        assert await store.next_mail() != later(10)  # the fourth can be tried at any time
        claimed = await _claimed(store, "two", at=30, until=90)
        expected = [outgoing(4).message_id, two.message_id, three.message_id, one.message_id]
        assert [mail.message_id for mail in claimed] == expected

    async def test_mail_and_clocks_that_were_set_back(self, store: Store) -> None:
        """What was sent at a later time than now can be tried now (semantics 5)."""
        await send(store, outgoing(1, at=later(3600)))
        at = await store.next_mail()
        assert at is not None
        assert at <= START
        assert len(await _claimed(store)) == 1

    async def test_deliveries_and_mails_have_times_of_their_own(self, store: Store) -> None:
        """Neither what can be delivered nor what can be mailed says when the other can."""
        await notify(store, "ann")
        await send(store, outgoing(1))
        (stream,) = await store.claim("one", START, later(60), 10)
        (mail,) = await _claimed(store)
        await store.progress("one", attrs.evolve(stream, retry_at=later(20)))
        await store.outgoing_progress("one", attrs.evolve(mail, retry_at=later(10)))
        assert await store.next_delivery() == later(20)
        assert await store.next_mail() == later(10)
