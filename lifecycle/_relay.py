"""L5. Deliveries to the sink and replies to the mailer, at least once (semantics 9).

A worker claims the stream of an agent, hands over what is due in order, and gives the stream
back with what came of it. Mail is claimed and given back the same way, one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
import attrs

from lifecycle._cancellation import is_cancelled
from lifecycle._hushed import hushed
from lifecycle._reporting import Reporting, Span
from lifecycle.ports import Answer, Clock, MailAnswer, Mailer, Sink, Store
from lifecycle.records import Delivery, Outgoing, Stream
from lifecycle.settings import Settings

_log = logging.getLogger("lifecycle.delivery")

_A = TypeVar("_A", Answer, MailAnswer)
_W = TypeVar("_W", Stream, Outgoing)
_Fields: TypeAlias = dict[str, str | int]


@attrs.frozen
class Piece:
    """One piece of claimed work."""

    fields: _Fields
    """What a log says of it."""
    _carry: Callable[[], Awaitable[int]]

    def __call__(self) -> Awaitable[int]:
        """Carry it out; it says how much was handed over."""
        return self._carry()


class Relay:
    """Moves what a store has for agents and mailers on to them."""

    def __init__(
        self,
        worker: str,
        store: Store,
        sink: Sink | None,
        mailer: Mailer | None,
        clock: Clock,
        settings: Settings,
        reporting: Reporting,
    ) -> None:
        self._worker = worker
        self._claims = 0
        self._store = store
        self._sink = sink
        self._mailer = mailer
        self._clock = clock
        self._settings = settings
        self._reporting = reporting

    @property
    def has_sink(self) -> bool:
        """Whether there is a sink to hand deliveries to."""
        return self._sink is not None

    @property
    def has_mailer(self) -> bool:
        """Whether there is a mailer to hand mail to."""
        return self._mailer is not None

    async def claim_streams(self, limit: int) -> list[Piece]:
        """Claim the streams of up to `limit` agents; none where there is no sink.

        Returns: what delivers all that is due in one stream, for each.
        """
        if self._sink is None:
            return []
        at, until, claim = self._lease()
        streams = await self._store.claim(claim, at, until, limit)
        return [
            Piece(
                {"agent_id": stream.agent_id},
                partial(self._deliver, self._sink, stream, claim, until),
            )
            for stream in streams
        ]

    async def claim_mails(self, limit: int) -> list[Piece]:
        """Claim up to `limit` mails; none where there is no mailer.

        Returns: what hands over one mail, for each.
        """
        if self._mailer is None:
            return []
        at, until, claim = self._lease()
        mails = await self._store.claim_outgoing(claim, at, until, limit)
        return [
            Piece(_fields(mail), partial(self._send, self._mailer, mail, claim, until))
            for mail in mails
        ]

    def _lease(self) -> tuple[datetime, datetime, str]:
        # Each claim has a name of its own, so that one whose lease ended cannot give back
        # what this same process has claimed again meanwhile.
        self._claims += 1
        at = self._clock.now()
        return at, at + self._settings.lease, f"{self._worker}-{self._claims}"

    def _has_time(self, until: datetime) -> bool:
        """Whether a lease lasts at least as long as the sink or mailer may take."""
        return self._clock.now() + self._settings.sink_timeout <= until

    async def _deliver(self, sink: Sink, stream: Stream, claim: str, until: datetime) -> int:
        """Hand over what is due in a stream, in order, and give the stream back."""
        start = stream.delivered
        try:
            batch = await self._store.deliveries(stream.agent_id, start, self._settings.batch)
            for delivery in batch:
                if not self._has_time(until):
                    break
                offer = partial(sink.deliver, delivery)
                span = self._reporting.span(
                    "deliver",
                    interaction_id=delivery.interaction_id,
                    agent_id=delivery.agent_id,
                    trigger=delivery.trigger,
                )
                answer = await self._ask(offer, Answer, _fields(delivery), span)
                if answer is Answer.DELIVERED:
                    stream = attrs.evolve(
                        stream, delivered=delivery.sequence, tries=0, retry_at=None
                    )
                    continue
                if answer is Answer.NOT_CONNECTED:
                    stream = attrs.evolve(stream, absent=True)
                else:
                    stream = self._failed(stream, _fields(delivery))
                break
        except Exception:  # of the store: it is tried again, but not at once, and no try counted
            retry_at = self._clock.now() + self._settings.retry_after(1)
            stream = attrs.evolve(stream, retry_at=retry_at)
            raise
        finally:  # also where it is cancelled: nobody has to wait for the end of the lease
            with anyio.CancelScope(shield=True):
                await self._store.progress(claim, stream)
        return stream.delivered - start

    async def _send(self, mailer: Mailer, mail: Outgoing, claim: str, until: datetime) -> int:
        """Hand over one mail, and give it back."""
        try:
            if self._has_time(until):
                span = self._reporting.span("mail", interaction_id=mail.interaction_id)
                offer = partial(mailer.send, mail)
                answer = await self._ask(offer, MailAnswer, _fields(mail), span)
                if answer is MailAnswer.SENT:
                    mail = attrs.evolve(mail, sent=True, retry_at=None)
                else:
                    refused = answer is MailAnswer.REFUSED
                    mail = self._failed(mail, _fields(mail), for_good=refused)
        finally:
            with anyio.CancelScope(shield=True):
                await self._store.outgoing_progress(claim, mail)
        return int(mail.sent)

    async def _ask(
        self, ask: Callable[[], Awaitable[_A]], kind: type[_A], fields: _Fields, span: Span
    ) -> _A | None:
        """What a sink or mailer answers, which is told; None as `_answer` has it."""
        with span:
            answer = await self._answer(ask, kind, fields)
            span.outcome("failed" if answer is None else str(answer.value))
        return answer

    async def _answer(
        self, ask: Callable[[], Awaitable[_A]], kind: type[_A], fields: _Fields
    ) -> _A | None:
        """What a sink or mailer answers; None where it fails, hangs or answers nonsense."""
        with anyio.move_on_after(self._settings.sink_timeout.total_seconds()):
            try:
                answer = await ask()
            except Exception as error:  # whatever it raises is its failure, and ends nothing else
                _log.warning("a sink or mailer failed", exc_info=hushed(error), extra=fields)
                return None
            except anyio.get_cancelled_exc_class() as error:
                if is_cancelled():
                    raise
                _log.warning("a sink or mailer failed", exc_info=hushed(error), extra=fields)
                return None
            if not isinstance(answer, kind):
                _log.warning("a sink or mailer answered %s", _shown(answer), extra=fields)
                return None
            return answer
        _log.warning("a sink or mailer took too long", extra=fields)
        return None

    def _failed(self, what: _W, fields: _Fields, *, for_good: bool = False) -> _W:
        """A stream or mail after one more failure: to be tried again later, or parked."""
        tries = what.tries + 1
        if for_good or tries >= self._settings.attempts:
            _log.error("parked after %d tries", tries, extra={**fields, "tries": tries})
            return attrs.evolve(what, tries=tries, retry_at=None, parked=True)
        retry_at = self._clock.now() + self._settings.retry_after(tries)
        _log.info("failed; tried again at %s", retry_at, extra={**fields, "tries": tries})
        return attrs.evolve(what, tries=tries, retry_at=retry_at)


def _shown(answer: object) -> str:
    """A wrong answer as a log shows it: only its class, as it may be what was handed over."""
    harmless = answer is None or isinstance(answer, (Answer, MailAnswer))
    return repr(answer) if harmless else f"a {type(answer).__name__}"


def _fields(what: Delivery | Outgoing) -> _Fields:
    """What a log record says of a delivery or mail: never its content."""
    if isinstance(what, Outgoing):
        return {"interaction_id": what.interaction_id, "message_id": what.message_id}
    return {
        "interaction_id": what.interaction_id,
        "agent_id": what.agent_id,
        "trigger": str(what.trigger),
        "sequence": what.sequence,
    }
