"""L5. Deliveries to the sink and replies to the mailer, at least once (semantics 9).

A worker claims the stream of an agent, hands over what is due in order, and gives the stream
back with what came of it. Mail is claimed and given back the same way, one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import anyio
import attrs

from lifecycle.ports import Answer, Clock, MailAnswer, Mailer, Sink, Store
from lifecycle.records import Delivery, Outgoing, Stream
from lifecycle.settings import Settings

_log = logging.getLogger("lifecycle.delivery")


class Relay:
    """Moves what a store has for agents and mailers on to them."""

    def __init__(
        self,
        worker: str,
        store: Store,
        sink: Sink,
        mailer: Mailer | None,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._worker = worker
        self._store = store
        self._sink = sink
        self._mailer = mailer
        self._clock = clock
        self._settings = settings

    async def claim(self, limit: int) -> list[Callable[[], Awaitable[int]]]:
        """Claim up to `limit` pieces of work: streams first, then mail.

        Returns: functions that do one piece each and return how much was handed over.
        """
        at = self._clock.now()
        until = at + self._settings.lease
        work: list[Callable[[], Awaitable[int]]] = [
            partial(self._deliver, stream, until)
            for stream in await self._store.claim(self._worker, at, until, limit)
        ]
        if self._mailer is not None and len(work) < limit:
            mails = await self._store.claim_outgoing(self._worker, at, until, limit - len(work))
            work += [partial(self._send, self._mailer, mail) for mail in mails]
        return work

    async def _deliver(self, stream: Stream, until: datetime) -> int:
        """Hand over what is due in a stream, in order, and give the stream back."""
        start = stream.delivered
        try:
            batch = await self._store.deliveries(stream.agent_id, start, self._settings.batch)
            for delivery in batch:
                if self._clock.now() + self._settings.sink_timeout > until:
                    break  # the lease might end while the sink is at work
                answer = await self._offer(delivery)
                if answer is Answer.DELIVERED:
                    stream = attrs.evolve(
                        stream, delivered=delivery.sequence, tries=0, retry_at=None
                    )
                    continue
                if answer is Answer.NOT_CONNECTED:
                    stream = attrs.evolve(stream, absent=True)
                else:
                    stream = self._failed(stream, delivery)
                break
        finally:  # also where it is cancelled: nobody has to wait for the end of the lease
            with anyio.CancelScope(shield=True):
                await self._store.progress(self._worker, stream)
        return stream.delivered - start

    async def _offer(self, delivery: Delivery) -> Answer:
        answer = Answer.FAILED
        with anyio.move_on_after(self._settings.sink_timeout.total_seconds()):
            try:
                answer = await self._sink.deliver(delivery)
            except Exception:  # whatever a sink raises is its failure, and ends nothing else
                _log.warning("the sink failed", exc_info=True, extra=_fields(delivery))
        return answer

    def _failed(self, stream: Stream, delivery: Delivery) -> Stream:
        tries = stream.tries + 1
        if tries >= self._settings.attempts:
            _log.error("a delivery is parked after %d tries", tries, extra=_fields(delivery))
            return attrs.evolve(stream, tries=tries, retry_at=None, parked=True)
        retry_at = self._clock.now() + self._settings.retry_after(tries)
        return attrs.evolve(stream, tries=tries, retry_at=retry_at)

    async def _send(self, mailer: Mailer, mail: Outgoing) -> int:
        """Hand over one mail, and give it back."""
        answer = MailAnswer.DEFERRED
        with anyio.move_on_after(self._settings.sink_timeout.total_seconds()):
            try:
                answer = await mailer.send(mail)
            except Exception:  # whatever a mailer raises is its failure, and ends nothing else
                _log.warning("the mailer failed", exc_info=True, extra=_mail_fields(mail))
        if answer is MailAnswer.SENT:
            mail = attrs.evolve(mail, sent=True, retry_at=None)
        else:
            tries = mail.tries + 1
            if answer is MailAnswer.REFUSED or tries >= self._settings.attempts:
                _log.error("a mail is parked after %d tries", tries, extra=_mail_fields(mail))
                mail = attrs.evolve(mail, tries=tries, retry_at=None, parked=True)
            else:
                retry_at = self._clock.now() + self._settings.retry_after(tries)
                mail = attrs.evolve(mail, tries=tries, retry_at=retry_at)
        await self._store.outgoing_progress(self._worker, mail)
        return int(mail.sent)


def _fields(delivery: Delivery) -> dict[str, str | int]:
    return {
        "interaction_id": delivery.interaction_id,
        "agent_id": delivery.agent_id,
        "trigger": delivery.trigger,
        "sequence": delivery.sequence,
    }


def _mail_fields(mail: Outgoing) -> dict[str, str]:
    return {"interaction_id": mail.interaction_id, "message_id": mail.message_id}
