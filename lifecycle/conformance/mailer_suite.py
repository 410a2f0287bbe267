"""L7. The behaviour of a `Mailer` (semantics 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import anyio
import attrs
import pytest

from lifecycle.conformance._samples import outgoing
from lifecycle.ports import MailAnswer, Mailer
from lifecycle.records import Outgoing


@attrs.frozen(kw_only=True)
class MailerUnderTest:
    """A mailer, and how to read what arrived behind it."""

    mailer: Mailer
    """The mailer; whoever it hands messages to takes them."""
    arrived: Callable[[], Awaitable[Collection[bytes]]]
    """The messages that arrived so far, byte for byte, in any order, a repeat as it came."""


def _mail(number: int, message: bytes) -> Outgoing:
    return attrs.evolve(outgoing(number), message=message)


def _message(number: int) -> bytes:
    return (
        b"From: help@shop.example\r\nTo: zoe@home.example\r\n"
        b"Message-ID: <I1D%d@shop.example>\r\nSubject: Re: order\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nNumber %d, \xc3\xa9\r\n" % (number, number)
    )


@pytest.mark.anyio
class MailerSuite:
    """Everything that the `Mailer` port asks for.

    The test of a mailer subclasses it and supplies the fixture `under_test`: a
    `MailerUnderTest` to which nothing was sent yet.

        class TestMyMailer(MailerSuite):
            @pytest.fixture
            async def under_test(self):
                async with MyServer() as server:
                    async def arrived():
                        return server.messages

                    yield MailerUnderTest(mailer=MyMailer(server.port), arrived=arrived)
    """

    async def test_a_message_arrives(self, under_test: MailerUnderTest) -> None:
        """What was answered with `SENT` is there, byte for byte."""
        mail = _mail(1, _message(1))
        assert await under_test.mailer.send(mail) is MailAnswer.SENT
        assert list(await under_test.arrived()) == [mail.message]

    async def test_messages_do_not_disturb_each_other(self, under_test: MailerUnderTest) -> None:
        """Many at a time: every one of them is there, once."""
        mails = [_mail(number, _message(number)) for number in range(1, 9)]

        async def send(mail: Outgoing) -> None:
            assert await under_test.mailer.send(mail) is MailAnswer.SENT

        async with anyio.create_task_group() as tasks:
            for mail in mails:
                tasks.start_soon(send, mail)
        assert sorted(await under_test.arrived()) == [mail.message for mail in mails]

    async def test_a_repeat_is_taken(self, under_test: MailerUnderTest) -> None:
        """Semantics 9: after a failure a message comes again, under the same Message-ID."""
        mail = _mail(1, _message(1))
        for _ in range(2):
            assert await under_test.mailer.send(mail) is MailAnswer.SENT
        arrived = list(await under_test.arrived())
        assert set(arrived) == {mail.message}
        assert len(arrived) <= 2

    async def test_a_message_is_not_touched(self, under_test: MailerUnderTest) -> None:
        """Lines with dots, `From ` at the start of one, and a long message come through."""
        body = b".\r\n..\r\nFrom here on\r\n" + b"x" * 70 + b"\r\n"
        mail = _mail(1, _message(1) + body * 4000)
        assert await under_test.mailer.send(mail) is MailAnswer.SENT
        assert list(await under_test.arrived()) == [mail.message]

    async def test_a_cancelled_call_does_no_harm(self, under_test: MailerUnderTest) -> None:
        """After a call that was cancelled, as a slow one is, the mailer takes the message again."""
        mail = _mail(1, _message(1))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await under_test.mailer.send(mail)
        assert await under_test.mailer.send(mail) is MailAnswer.SENT
        arrived = list(await under_test.arrived())
        assert set(arrived) == {mail.message}
        assert len(arrived) <= 2


__all__ = ["MailerSuite", "MailerUnderTest"]
