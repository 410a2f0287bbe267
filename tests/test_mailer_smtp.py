"""The SMTP mailer against servers that accept, defer, refuse, hang and break off.

The servers are aiosmtpd's, in the same event loop. Where one hangs, the loop's clock is put
forward, so a timeout costs no time and comes at exactly that point. Every server checks in the
end that no connection is left.
"""

# ruff: noqa: N802 - aiosmtpd names the hooks of a server.

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes, policy
from enum import Enum
from pathlib import Path
from typing import Any, AnyStr, TypeAlias

import anyio
import attrs
import pytest
from aiosmtpd.smtp import MISSING, SMTP, Envelope, Session
from clocks import START
from desks import desk

from lifecycle import MailAnswer, MemoryStore, Outgoing, Reply, Send
from lifecycle.conformance.mailer_suite import MailerSuite, MailerUnderTest
from lifecycle.errors import InvalidParameter
from lifecycle.mailers import smtp
from lifecycle.mailers.smtp import SmtpMailer

pytestmark = pytest.mark.anyio

MAIL = Outgoing(
    message_id="<I1D1@shop.example>",
    interaction_id="I1",
    queue=None,
    sender="help@shop.example",
    recipients=("zoe@home.example", "eve@work.example"),
    at=START,
    message=b"Subject: hello\r\nMessage-ID: <I1D1@shop.example>\r\n\r\nBody\r\n",
)

# Made for these tests alone: self-signed for localhost and 127.0.0.1, valid until 2120.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdteC50ZXN0
MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjASMRAwDgYDVQQDDAdt
eC50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9SGpHulfUHkQ47QY8814
fwYnrvg7hxC5I9mIFtDTyBLpRdOCfQ9yZrdnNlV2SbvJ0j64E70VDO/c5t+v2vdF
BKNeMFwwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAoQwHQYDVR0OBBYE
FOJA7bPiwmfqTTzmfMLPJ/uu3GpQMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAA
ATAKBggqhkjOPQQDAgNIADBFAiAekTPUAo3lHxlnVup3mNmGgkUqik38uroK2ejM
aasxPAIhAO4ylzR0eaL+EMZZCFur1ZlcfzB2EtE14eQM92R25KPP
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRh2nplSoDBsgKun2
rpuY2on5ZYCP2pjv5PK091oox+ihRANCAAT1Iake6V9QeRDjtBjzzXh/Bieu+DuH
ELkj2YgW0NPIEulF04J9D3Jmt2c2VXZJu8nSPrgTvRUM79zm36/a90UE
-----END PRIVATE KEY-----
"""


class Deed(Enum):
    """What a server does instead of an answer."""

    HANG = "hang"
    DROP = "drop"


Act: TypeAlias = Deed | str
HANG, DROP = Deed.HANG, Deed.DROP


@attrs.frozen
class Letter:
    """What a server took, and with which envelope."""

    sender: str | None
    recipients: list[str]
    options: list[str]
    content: bytes


class Post:
    """What all connections to one server share: what it is to do, and what it was told.

    `acts` are, by the stage (`greeting`, a command, or `RCPT` with the address), what it does
    the first times that it comes there; after that it accepts.
    """

    def __init__(self, acts: Mapping[str, Sequence[Act]] | None = None) -> None:
        self.acts: dict[str, list[Act]] = {
            stage: list(todo) for stage, todo in (acts or {}).items()
        }
        self.without: tuple[str, ...] = ()
        self.stages: list[str] = []
        self.letters: list[Letter] = []
        self.sessions: list[Session] = []
        self.hung = asyncio.Event()
        self.when_hung: Callable[[], None] = self.hung.set
        self.open: set[SMTP] = set()
        self.changed = asyncio.Event()

    async def act(self, server: SMTP, stage: str) -> Any:
        """The next thing to do at a stage: the answer, `MISSING` for the ordinary one."""
        self.stages.append(stage.partition(" ")[0])
        acts = self.acts.get(stage)
        act = acts.pop(0) if acts else MISSING
        if not isinstance(act, Deed):
            return act
        transport = server.transport
        assert isinstance(transport, asyncio.WriteTransport)
        try:
            if act is HANG:
                self.when_hung()
                await asyncio.Event().wait()  # the other side ends it
        finally:
            transport.abort()
        return await asyncio.Event().wait()

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        with anyio.fail_after(5):
            while self.open:
                self.changed.clear()
                await self.changed.wait()

    async def handle_EHLO(
        self, server: SMTP, session: Session, _: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        """Offer what is not to be hidden."""
        answer = await self.act(server, "EHLO")
        if answer is not MISSING:
            return [answer]
        session.host_name = name
        return [line for line in lines if line[4:].partition(" ")[0] not in self.without]

    async def handle_HELO(self, server: SMTP, session: Session, _: Envelope, name: str) -> Any:
        """The old greeting."""
        session.host_name = name
        answer = await self.act(server, "HELO")
        return "250 mx.test" if answer is MISSING else answer

    async def handle_AUTH(
        self, server: SMTP, session: Session, envelope: Envelope, arguments: list[str]
    ) -> Any:
        """A login."""
        return await self.act(server, "AUTH")

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]
    ) -> Any:
        """A sender."""
        return await self.act(server, "MAIL")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]
    ) -> Any:
        """A recipient; by name, or whoever it is."""
        return await self.act(server, f"RCPT {to}" if f"RCPT {to}" in self.acts else "RCPT")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> Any:
        """A whole message; what is not refused is taken, also where no answer comes."""
        act = next(iter(self.acts.get("DATA", [])), None)
        assert isinstance(envelope.content, bytes)
        if not isinstance(act, str):
            self.sessions.append(session)
            self.letters.append(
                Letter(
                    envelope.mail_from,
                    envelope.rcpt_tos,
                    envelope.mail_options,
                    envelope.content,
                )
            )
        return await self.act(server, "DATA")

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> Any:
        """The farewell."""
        return await self.act(server, "QUIT")

    @property
    def taken(self) -> list[tuple[list[str], bytes]]:
        """Recipients and message of what it took."""
        return [(letter.recipients, letter.content) for letter in self.letters]


class Server(SMTP):
    """A connection to a post office."""

    def __init__(self, post: Post, **options: Any) -> None:
        self.post = post
        self.is_greeted = False
        loop = asyncio.get_running_loop()
        options = {"hostname": "mx.test", "enable_SMTPUTF8": True, **options}
        super().__init__(post, loop=loop, **options)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called when TLS begins."""
        self.post.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Gone."""
        self.post.open.discard(self)
        self.post.changed.set()
        super().connection_lost(error)

    async def push(self, status: AnyStr) -> None:
        """Say something; the first thing is the greeting."""
        if not self.is_greeted:
            self.is_greeted = True
            answer = await self.post.act(self, "greeting")
            if answer is not MISSING:
                await super().push(str(answer))
                return
        await super().push(status)


@asynccontextmanager
async def serving(post: Post, *, ssl: ssl.SSLContext | None = None, **options: Any) -> Any:
    """Run a server, and check in the end that nobody is connected any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(post, **options), "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
        await post.all_closed()
    finally:
        server.close()
        await server.wait_closed()


def mailer(port: int, **arguments: Any) -> SmtpMailer:
    """A mailer to a server here."""
    return SmtpMailer("127.0.0.1", port, **{"source_hostname": "desk.test", **arguments})


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that the mailer knows."""
    return "asyncio"


@pytest.fixture
async def skip_a_minute(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Put the clock of the event loop forward by more than the default timeout."""
    loop = asyncio.get_running_loop()
    time = loop.time
    skipped: list[float] = []
    monkeypatch.setattr(loop, "time", lambda: time() + sum(skipped))
    return lambda: skipped.append(61)


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What the server shows."""
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_text(CERTIFICATE + KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture(scope="module")
def trust() -> ssl.SSLContext:
    """What a client needs to trust the server."""
    return ssl.create_default_context(cadata=CERTIFICATE)


@contextmanager
def logged(caplog: pytest.LogCaptureFixture, level: int, *words: str) -> Iterator[None]:
    """One record comes, of this level and with these words, and no address in it."""
    caplog.clear()
    caplog.set_level(logging.INFO, "lifecycle.delivery")
    yield
    (record,) = [one for one in caplog.records if one.name == "lifecycle.delivery"]
    assert record.levelno == level
    assert [word for word in words if word not in record.getMessage()] == []
    assert "@" not in record.getMessage()
    assert record.exc_info is None
    assert (vars(record)["interaction_id"], vars(record)["message_id"]) == (
        "I1",
        "<I1D1@shop.example>",
    )


class TestSmtpMailer(MailerSuite):
    """The SMTP mailer behaves as every mailer does, read by what the server took."""

    @pytest.fixture
    async def under_test(self) -> AsyncIterator[MailerUnderTest]:
        """One with a server of its own."""
        post = Post()

        async def arrived() -> list[bytes]:
            return [letter.content for letter in post.letters]

        async with serving(post) as port:
            yield MailerUnderTest(mailer=mailer(port), arrived=arrived)


# What is said


async def test_the_envelope_is_the_mails() -> None:
    """Sender and recipients, not those of the header; the size is said; then a farewell."""
    post = Post()
    async with serving(post) as port:
        assert await mailer(port).send(MAIL) is MailAnswer.SENT
    (letter,) = post.letters
    assert letter.sender == "help@shop.example"
    assert letter.recipients == ["zoe@home.example", "eve@work.example"]
    assert letter.options == [f"SIZE={len(MAIL.message)}"]
    assert letter.content == MAIL.message
    assert post.sessions[0].host_name == "desk.test"
    assert post.stages == ["greeting", "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]


async def test_a_mail_without_sender_has_an_empty_path() -> None:
    """`<>`: whoever cannot deliver it tells nobody."""
    post = Post()
    async with serving(post) as port:
        assert await mailer(port).send(attrs.evolve(MAIL, sender="")) is MailAnswer.SENT
    assert post.letters[0].sender == "<>"


async def test_bare_line_ends_become_crlf() -> None:
    """RFC 5321 knows no others, and a last line has its end."""
    post = Post()
    mail = attrs.evolve(MAIL, message=b"Subject: x\n\nOne\r\n.\rTwo \xc3\xa9")
    async with serving(post) as port:
        assert await mailer(port).send(mail) is MailAnswer.SENT
    assert post.letters[0].content == b"Subject: x\r\n\r\nOne\r\n.\r\nTwo \xc3\xa9\r\n"
    assert "SMTPUTF8" not in post.letters[0].options


async def test_the_name_of_this_host_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is what EHLO says where none was given."""
    asked: list[str] = []

    def getfqdn(name: str = "") -> str:
        asked.append(name)
        return "here.test"

    post = Post()
    async with serving(post) as port:
        monkeypatch.setattr(socket, "getfqdn", getfqdn)
        sender = mailer(port, source_hostname=None)
        assert [await sender.send(MAIL) for _ in range(2)] == [MailAnswer.SENT] * 2
    assert [session.host_name for session in post.sessions] == ["here.test"] * 2
    assert len(asked) == 1


async def test_a_server_of_old_is_greeted_with_helo() -> None:
    """One that does not know EHLO takes plain mail, without options."""
    post = Post({"EHLO": ["502 what?"]})
    async with serving(post) as port:
        assert await mailer(port).send(MAIL) is MailAnswer.SENT
    assert post.stages[:3] == ["greeting", "EHLO", "HELO"]
    assert post.letters[0].options == []


# What the server can answer


@pytest.mark.parametrize(
    ("stage", "code"),
    [(stage, code) for stage in ("greeting", "MAIL", "RCPT", "DATA") for code in (421, 451)],
)
async def test_what_is_deferred_is_deferred(
    stage: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A 4xx at any point: nothing is taken, and the next try succeeds."""
    post = Post({stage: [f"{code} zoe@home.example later"] * 2})
    async with serving(post) as port:
        sender = mailer(port)
        with logged(caplog, logging.WARNING, str(code) if stage != "RCPT" or code > 421 else ""):
            assert await sender.send(MAIL) is MailAnswer.DEFERRED
        assert post.letters == []
        post.acts.clear()
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert post.taken == [(list(MAIL.recipients), MAIL.message)]


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_what_is_refused_is_refused(stage: str, caplog: pytest.LogCaptureFixture) -> None:
    """A 5xx that is about the mail, and nothing is taken."""
    post = Post({stage: ["550 zoe@home.example never"] * 2})
    async with serving(post) as port:
        with logged(caplog, logging.WARNING, "0 recipients have", "0 more", "2 refused: 550"):
            assert await mailer(port).send(MAIL) is MailAnswer.REFUSED
    assert post.letters == []
    assert post.stages[-1] == "QUIT"


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ({"greeting": ["554 not here"]}, ("connect", "554")),
        ({"EHLO": ["550 no"], "HELO": ["550 no"]}, ("EHLO", "550")),
        ({"MAIL": ["530 who are you"]}, ("2 more are deferred", "530")),
        ({"RCPT": ["538 in the open"] * 2}, ("2 more are deferred", "538")),
    ],
)
async def test_what_is_not_about_the_mail_is_deferred(
    acts: dict[str, list[str]], words: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """A 5xx that every mail would get parks none, but is an error in the log."""
    post = Post(acts)
    async with serving(post) as port:
        with logged(caplog, logging.ERROR, *words):
            assert await mailer(port).send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


@pytest.mark.parametrize("answer", ["no number", "999 what", "354 go on"])
async def test_an_answer_that_makes_no_sense_defers(
    answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is neither yes nor no may be either next time."""
    post = Post({"MAIL": [answer]})
    async with serving(post) as port:
        with logged(caplog, logging.WARNING):
            assert await mailer(port).send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


@pytest.mark.parametrize(
    ("stage", "shown"),
    [
        ("greeting", "connect"),
        ("EHLO", "EHLO"),
        ("MAIL", "MAIL"),
        ("RCPT", "RCPT"),
        ("DATA", "DATA"),
    ],
)
@pytest.mark.parametrize("deed", list(Deed))
async def test_no_answer_is_a_deferral(
    stage: str,
    shown: str,
    deed: Deed,
    skip_a_minute: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that hangs or breaks off, wherever: the log says where, and the next try comes."""
    post = Post({stage: [deed]})
    post.when_hung = skip_a_minute
    what = "TimeoutError" if deed is HANG else ""
    async with serving(post) as port:
        sender = mailer(port)
        with logged(caplog, logging.WARNING, f"127.0.0.1:{port} ", f"at {shown}: {what}"):
            assert await sender.send(MAIL) is MailAnswer.DEFERRED
        await post.all_closed()
        assert await sender.send(MAIL) is MailAnswer.SENT
    # At the end of DATA nobody can say whether it was taken; the Message-ID is the same.
    assert post.taken == [(list(MAIL.recipients), MAIL.message)] * (2 if stage == "DATA" else 1)


@pytest.mark.parametrize("deed", [*Deed, "550 stay"])
async def test_a_farewell_changes_nothing(deed: Act, skip_a_minute: Callable[[], None]) -> None:
    """What was taken is sent, whatever becomes of the connection after it."""
    post = Post({"QUIT": [deed]})
    post.when_hung = skip_a_minute
    async with serving(post) as port:
        assert await mailer(port).send(MAIL) is MailAnswer.SENT
    assert len(post.letters) == 1


async def test_one_timeout_holds_for_the_whole_mail(
    skip_a_minute: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is slow at every command does not get one for each of them."""
    post = Post()

    async def slowly(server: SMTP, stage: str) -> Any:
        if stage == "RCPT":
            skip_a_minute()
        return MISSING

    monkeypatch.setattr(post, "act", slowly)
    async with serving(post) as port:
        assert await mailer(port, timeout=120).send(MAIL) is MailAnswer.DEFERRED
        assert await mailer(port, timeout=200).send(MAIL) is MailAnswer.SENT
    assert len(post.letters) == 1


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """A refused connection is a deferral."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens
        with logged(caplog, logging.WARNING, "at connect: ConnectionRefusedError"):
            assert await mailer(held.getsockname()[1]).send(MAIL) is MailAnswer.DEFERRED


async def test_a_name_that_cannot_be_one(caplog: pytest.LogCaptureFixture) -> None:
    """A host name that DNS has no form for is a deferral, as one that it does not know."""
    with logged(caplog, logging.WARNING, "at connect: "):
        assert await SmtpMailer("x" * 64 + ".test", 25).send(MAIL) is MailAnswer.DEFERRED


async def test_a_server_that_stops_reading(skip_a_minute: Callable[[], None]) -> None:
    """What was called deferred does not arrive later, out of the buffer of a connection."""
    received = bytearray()
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.test\r\n")
        for answer in (b"250 mx.test", b"250 ok", b"250 ok", b"250 ok", b"354 go on"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        await reader.readline()
        skip_a_minute()
        await sent.wait()
        try:
            while piece := await reader.read(100_000):
                received.extend(piece)
        except ConnectionResetError:
            pass
        finally:
            writer.close()
            ended.set()

    sent = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # More than the buffers of the system hold.
    mail = attrs.evolve(MAIL, message=MAIL.message + (b"x" * 900 + b"\r\n") * 30_000)
    assert await mailer(port).send(mail) is MailAnswer.DEFERRED
    sent.set()
    with anyio.fail_after(10):
        await ended.wait()
    server.close()
    await server.wait_closed()
    assert not received.endswith(b"\r\n.\r\n")


# Recipients who are answered differently


async def test_the_rest_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has the message does not get it again; it is sent when the last one has it."""
    post = Post({"RCPT eve@work.example": ["450 busy", "450 busy"]})
    async with serving(post) as port:
        sender = mailer(port)
        for _ in range(2):
            with logged(caplog, logging.WARNING, "1 recipients have", "1 more", "0 refused"):
                assert await sender.send(MAIL) is MailAnswer.DEFERRED
        assert await sender.send(MAIL) is MailAnswer.SENT
        assert post.taken == [
            (["zoe@home.example"], MAIL.message),
            (["eve@work.example"], MAIL.message),
        ]
        # It is done with: whoever sends it again has lost the answer.
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert post.taken[2:] == [(list(MAIL.recipients), MAIL.message)]


async def test_a_refused_recipient_shows_when_nobody_waits() -> None:
    """While one is deferred the mail is; then it is refused, and released it goes to the rest."""
    mail = attrs.evolve(MAIL, recipients=(*MAIL.recipients, "max@home.example"))
    post = Post(
        {
            "RCPT zoe@home.example": ["550 unknown", "550 unknown"],
            "RCPT eve@work.example": ["450 busy"],
        }
    )
    async with serving(post) as port:
        sender = mailer(port)
        assert await sender.send(mail) is MailAnswer.DEFERRED
        assert await sender.send(mail) is MailAnswer.REFUSED
        assert await sender.send(mail) is MailAnswer.SENT
    assert [letter.recipients for letter in post.letters] == [
        ["max@home.example"],
        ["eve@work.example"],
        ["zoe@home.example"],
    ]


async def test_what_data_refuses_is_refused_for_those_it_was_for() -> None:
    """One recipient is deferred, the message refused for the other: both come to their own."""
    post = Post({"RCPT eve@work.example": ["450 busy"], "DATA": ["554 spam", "554 spam"]})
    async with serving(post) as port:
        sender = mailer(port)
        assert await sender.send(MAIL) is MailAnswer.DEFERRED
        assert await sender.send(MAIL) is MailAnswer.REFUSED
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert post.taken == [(list(MAIL.recipients), MAIL.message)]


async def test_only_the_same_message_is_remembered() -> None:
    """Another message under the same Message-ID is another one, and lost for nobody."""
    post = Post({"RCPT eve@work.example": ["450 busy"]})
    other = attrs.evolve(MAIL, message=MAIL.message + b"More\r\n")
    async with serving(post) as port:
        sender = mailer(port)
        assert await sender.send(MAIL) is MailAnswer.DEFERRED
        assert await sender.send(other) is MailAnswer.SENT
    assert post.taken[1:] == [(list(MAIL.recipients), other.message)]


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail that was noted longest ago is forgotten, and goes to everybody again."""
    monkeypatch.setattr(smtp, "_REMEMBERED", 2)
    one, two, three = (
        attrs.evolve(MAIL, message=MAIL.message + bytes([number, 13, 10])) for number in b"123"
    )
    post = Post({"RCPT eve@work.example": ["450 busy"] * 4})
    async with serving(post) as port:
        sender = mailer(port)
        for mail in (one, two, one, three):  # the first is noted again before the third
            await sender.send(mail)
        post.letters.clear()
        for mail in (one, two, three):
            assert await sender.send(mail) is MailAnswer.SENT
    rest, everybody = ["eve@work.example"], list(MAIL.recipients)
    assert [letter.recipients for letter in post.letters] == [rest, everybody, rest]


async def test_many_at_a_time_keep_their_answers() -> None:
    """Each mail has its own connection and its own answer."""
    answers = {"550": MailAnswer.REFUSED, "450": MailAnswer.DEFERRED, "250": MailAnswer.SENT}
    post = Post()
    expected = {}
    mails = []
    for number in range(30):
        code = list(answers)[number % 3]
        to = f"p{number}@home.example"
        if code != "250":
            post.acts[f"RCPT {to}"] = [f"{code} no"]
        mails.append(attrs.evolve(MAIL, recipients=(to,), message=b"Subject: %d\r\n" % number))
        expected[to] = answers[code]
    got: dict[str, MailAnswer] = {}

    async def send(mail: Outgoing) -> None:
        got[mail.recipients[0]] = await sender.send(mail)

    async with serving(post) as port:
        sender = mailer(port)
        async with anyio.create_task_group() as tasks:
            for mail in mails:
                tasks.start_soon(send, mail)
    assert got == expected
    assert {(to, content) for (to,), content in post.taken} == {
        (*mail.recipients, mail.message)
        for mail in mails
        if expected[mail.recipients[0]] is MailAnswer.SENT
    }


# Cancelled


@pytest.mark.parametrize("stage", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"])
async def test_a_cancelled_call_leaves_no_connection(stage: str) -> None:
    """Wherever it is; what a server is known to have taken is not sent again."""
    post = Post({stage: [HANG]})
    async with serving(post) as port:
        sender = mailer(port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender.send, MAIL)
            await post.hung.wait()
            tasks.cancel_scope.cancel()
        await post.all_closed()
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert [letter.content for letter in post.letters] == [MAIL.message] * (
        2 if stage == "DATA" else 1
    )


# Addresses, and what the server must be able to do


@pytest.mark.parametrize(
    "bad",
    [
        "nobody",
        "",
        "zoe@home.example> SIZE=1",
        "zoe@home.example\r\nDATA",
        '"a\r\nDATA"@home.example',
        "z\udc80@home.example",
    ],
)
async def test_what_is_no_address_is_refused(bad: str) -> None:
    """It is not said to the server; the others have the message."""
    post = Post()
    mail = attrs.evolve(MAIL, recipients=("zoe@home.example", bad))
    async with serving(post) as port:
        assert await mailer(port).send(mail) is MailAnswer.REFUSED
        assert post.stages.count("RCPT") == 1
        assert await mailer(port).send(attrs.evolve(mail, recipients=(bad,))) is (
            MailAnswer.REFUSED
        )
    assert post.taken == [(["zoe@home.example"], MAIL.message)]


async def test_a_quoted_address_is_said_as_it_is() -> None:
    """A local part may have spaces and angle brackets, in quotes."""
    post = Post()
    mail = attrs.evolve(MAIL, recipients=('"a > b"@home.example',))
    async with serving(post) as port:
        assert await mailer(port).send(mail) is MailAnswer.SENT
    assert post.letters[0].recipients == ['"a > b"@home.example']


async def test_a_sender_that_is_no_address_is_refused() -> None:
    """The server is not asked."""
    post = Post()
    async with serving(post) as port:
        sender = mailer(port)
        assert await sender.send(attrs.evolve(MAIL, sender="help")) is MailAnswer.REFUSED
    assert post.stages == ["greeting", "EHLO", "QUIT"]


async def test_a_mail_for_nobody_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is asked; it would not be sent to anybody."""
    with logged(caplog, logging.ERROR, "without recipients"):
        assert await mailer(1).send(attrs.evolve(MAIL, recipients=())) is MailAnswer.REFUSED


UTF8 = attrs.evolve(MAIL, recipients=("zoé@home.example",))
HEADER = attrs.evolve(MAIL, message="Subject: é\r\n\r\nBody\r\n".encode())
BODY = attrs.evolve(MAIL, message="Subject: e\r\n\r\né\r\n".encode())


@pytest.mark.parametrize(
    ("mail", "options"),
    [
        (UTF8, {"SMTPUTF8"}),
        (attrs.evolve(MAIL, sender="hélp@shop.example"), {"SMTPUTF8"}),
        (HEADER, {"SMTPUTF8", "BODY=8BITMIME"}),
        (BODY, {"BODY=8BITMIME"}),
        (MAIL, set()),
    ],
)
async def test_what_a_mail_needs_is_asked_for(mail: Outgoing, options: set[str]) -> None:
    """SMTPUTF8 and 8BITMIME where they are needed, and only there."""
    post = Post()
    async with serving(post) as port:
        assert await mailer(port).send(mail) is MailAnswer.SENT
    (letter,) = post.letters
    assert set(letter.options) == options | {f"SIZE={len(mail.message)}"}
    assert (letter.recipients, letter.content) == (list(mail.recipients), mail.message)


@pytest.mark.parametrize(
    ("mail", "without"), [(UTF8, "SMTPUTF8"), (HEADER, "SMTPUTF8"), (BODY, "8BITMIME")]
)
async def test_what_a_server_lacks_refuses_the_mail(
    mail: Outgoing, without: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would have to be another message; nothing of it is said, and the log has the reason."""
    post = Post()
    post.without = (without,)
    async with serving(post) as port:
        assert await mailer(port).send(mail) is MailAnswer.REFUSED
    assert post.stages == ["greeting", "EHLO", "QUIT"]
    assert f"the mail needs {without}" in caplog.text


async def test_a_domain_needs_nothing_of_the_server() -> None:
    """It has an ASCII form, which is what is said."""
    post = Post()
    post.without = ("SMTPUTF8", "8BITMIME")
    async with serving(post) as port:
        mail = attrs.evolve(MAIL, recipients=("zoe@bücher.example",))
        assert await mailer(port).send(mail) is MailAnswer.SENT
    assert post.letters[0].recipients == ["zoe@xn--bcher-kva.example"]


async def test_a_message_that_is_too_large_is_refused() -> None:
    """The server hears the size first, so the message need not be sent."""
    post = Post()
    mail = attrs.evolve(MAIL, message=MAIL.message + b"x\r\n" * 1000)
    async with serving(post, data_size_limit=1000) as port:
        sender = mailer(port)
        assert await sender.send(mail) is MailAnswer.REFUSED
        assert post.stages == ["greeting", "EHLO", "QUIT"]
        assert await sender.send(MAIL) is MailAnswer.SENT


async def test_a_server_may_find_the_size_out() -> None:
    """One that does not ask for the size refuses at the end of the message."""
    post = Post()
    post.without = ("SIZE",)
    mail = attrs.evolve(MAIL, message=MAIL.message + b"x\r\n" * 1000)
    async with serving(post, data_size_limit=1000) as port:
        assert await mailer(port).send(mail) is MailAnswer.REFUSED
        assert await mailer(port).send(MAIL) is MailAnswer.SENT
    assert [letter.options for letter in post.letters] == [[]]


# TLS and login


def is_protected(post: Post) -> list[bool]:
    """Of what was taken: whether over TLS."""
    return [session.ssl is not None for session in post.sessions]


@pytest.mark.parametrize("tls", ["offered", "required"])
async def test_starttls(tls: str, server_tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """Where it is offered the message goes over TLS, greeted anew."""
    post = Post()
    async with serving(post, tls_context=server_tls, require_starttls=True) as port:
        assert await mailer(port, tls=tls, tls_context=trust).send(MAIL) is MailAnswer.SENT
    assert is_protected(post) == [True]
    assert post.stages[:4] == ["greeting", "EHLO", "EHLO", "MAIL"]
    assert post.taken == [(list(MAIL.recipients), MAIL.message)]


async def test_no_tls_where_none_is_wanted(server_tls: ssl.SSLContext) -> None:
    """Also where it is offered."""
    post = Post()
    async with serving(post, tls_context=server_tls) as port:
        assert await mailer(port, tls="none").send(MAIL) is MailAnswer.SENT
    assert is_protected(post) == [False]


async def test_required_tls_that_is_not_offered(caplog: pytest.LogCaptureFixture) -> None:
    """The message does not go in the open."""
    post = Post()
    async with serving(post) as port:
        with logged(caplog, logging.ERROR, "at STARTTLS: ", "not supported"):
            assert await mailer(port, tls="required").send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


@pytest.mark.parametrize("tls", ["offered", "required"])
async def test_a_certificate_that_is_not_trusted(
    tls: str, server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a deferral; nothing goes in the open instead."""
    post = Post()
    async with serving(post, tls_context=server_tls) as port:
        with logged(caplog, logging.ERROR, "at STARTTLS: SSLCertVerificationError"):
            assert await mailer(port, tls=tls).send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


async def test_tls_that_is_put_off(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that offers TLS and then has none just now is busy, not wrong."""

    async def later(self: Server, argument: str) -> None:
        await self.push("454 later")

    monkeypatch.setattr(Server, "smtp_STARTTLS", later)
    post = Post()
    async with serving(post, tls_context=server_tls) as port:
        with logged(caplog, logging.WARNING, "at STARTTLS: it answered 454"):
            assert await mailer(port).send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


async def test_tls_from_the_start(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """With a context that trusts the server; without one it is a deferral."""
    post = Post()
    # In debug mode asyncio calls it an error of the server that a client ends the handshake.
    asyncio.get_running_loop().set_debug(False)
    async with serving(post, ssl=server_tls) as port:
        with logged(caplog, logging.ERROR, "at connect: SSLCertVerificationError"):
            assert await mailer(port, tls="implicit").send(MAIL) is MailAnswer.DEFERRED
        assert post.letters == []
        sender = mailer(port, tls="implicit", tls_context=trust)
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert post.taken == [(list(MAIL.recipients), MAIL.message)]


async def test_a_handshake_that_does_not_come(
    skip_a_minute: Callable[[], None], trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS to a server that waits for something else: the timeout ends it."""
    post = Post({"greeting": [HANG]})
    post.when_hung = skip_a_minute
    async with serving(post) as port:
        with logged(caplog, logging.WARNING, "at connect: TimeoutError"):
            sender = mailer(port, tls="implicit", tls_context=trust)
            assert await sender.send(MAIL) is MailAnswer.DEFERRED


@pytest.mark.parametrize("stage", ["EHLO", "DATA"])
async def test_a_hanging_server_behind_tls_is_left(
    stage: str,
    skip_a_minute: Callable[[], None],
    server_tls: ssl.SSLContext,
    trust: ssl.SSLContext,
) -> None:
    """The connection is gone at once; nobody waits for the other side to end TLS."""
    post = Post({stage: [HANG]})
    post.when_hung = skip_a_minute
    async with serving(post, ssl=server_tls) as port:
        sender = mailer(port, tls="implicit", tls_context=trust)
        assert await sender.send(MAIL) is MailAnswer.DEFERRED


class Door:
    """Who may log in, and who tried."""

    def __init__(self) -> None:
        self.tried: list[tuple[bytes, bytes]] = []

    def __call__(self, mechanism: str, login: bytes, password: bytes) -> bool:
        """Whether user and password are right."""
        self.tried.append((login, password))
        return (login, password) == (b"desk", "s\u00e9cret/:@".encode())


LOGIN: dict[str, Any] = {"username": "desk", "password": "s\u00e9cret/:@"}


async def test_a_login(server_tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """Over TLS, to a server that takes mail from nobody else."""
    post, door = Post(), Door()
    options: dict[str, Any] = {"tls_context": server_tls, "auth_required": True}
    async with serving(post, auth_callback=door, **options) as port:
        assert await mailer(port, tls_context=trust, **LOGIN).send(MAIL) is MailAnswer.SENT
        url = f"smtp://desk:s%C3%A9cret%2F%3A%40@localhost:{port}?tls=required"
        sender = SmtpMailer.from_url(url, tls_context=trust, source_hostname="desk.test")
        assert await sender.send(MAIL) is MailAnswer.SENT
    assert is_protected(post) == [True, True]
    assert len(door.tried) == 2


async def test_a_login_that_fails_parks_nothing(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password is the configuration's: an error in the log, and every mail waits."""
    post, door = Post(), Door()
    async with serving(post, auth_callback=door, tls_context=server_tls) as port:
        sender = mailer(port, tls_context=trust, username="desk", password="hunter2")
        with logged(caplog, logging.ERROR, "at AUTH: it answered 535"):
            assert await sender.send(MAIL) is MailAnswer.DEFERRED
    assert door.tried
    assert post.letters == []
    assert "hunter2" not in caplog.text


async def test_a_login_that_fails_for_now(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """A 454 is a deferral like others."""
    post = Post({"AUTH": ["454 later", "454 later"]})
    async with serving(post, auth_callback=Door(), tls_context=server_tls) as port:
        sender = mailer(port, tls_context=trust, **LOGIN)
        with logged(caplog, logging.WARNING, "at AUTH: it answered 454"):
            assert await sender.send(MAIL) is MailAnswer.DEFERRED
        assert await sender.send(MAIL) is MailAnswer.SENT


async def test_a_login_that_is_not_offered(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever wants to log in does not send as nobody."""
    post = Post()
    post.without = ("AUTH",)
    async with serving(post, tls_context=server_tls) as port:
        with logged(caplog, logging.ERROR, "at AUTH: ", "not supported"):
            sender = mailer(port, tls_context=trust, **LOGIN)
            assert await sender.send(MAIL) is MailAnswer.DEFERRED
    assert post.letters == []


async def test_a_password_does_not_go_in_the_open(caplog: pytest.LogCaptureFixture) -> None:
    """Where TLS is not offered it is not sent, unless that is what was asked for."""
    post, door = Post(), Door()
    async with serving(post, auth_callback=door, auth_require_tls=False) as port:
        with logged(caplog, logging.ERROR, "at AUTH: no TLS is offered"):
            assert await mailer(port, **LOGIN).send(MAIL) is MailAnswer.DEFERRED
        assert (door.tried, post.letters) == ([], [])
        assert await mailer(port, tls="none", **LOGIN).send(MAIL) is MailAnswer.SENT
    assert len(door.tried) == 1


# In a lifecycle


async def test_a_reply_arrives() -> None:
    """From the submission to the server: a message of the thread, under its Message-ID."""
    post = Post()
    async with serving(post) as port:
        d = desk(mailer=mailer(port))
        await d.own()
        await d.act("ann", Reply(text="It is on its way, Zo\u00e9."), Send())
        await d.lifecycle.drain()
    (letter,) = post.letters
    assert letter.sender == "help@shop.example"
    assert letter.recipients == ["zoe@home.example"]
    message = message_from_bytes(letter.content, policy=policy.default)
    assert message["Message-ID"] == "<I1D1@shop.example>"
    assert message["In-Reply-To"] == "<m2@home.example>"
    assert message["References"].split()[-1] == "<m2@home.example>"
    assert message["Subject"] == "Re: Where is my order?"
    body = message.get_body()
    assert body is not None
    assert body.get_content().strip() == "It is on its way, Zo\u00e9."
    assert await d.store.outgoing() == ()


async def test_a_refused_reply_is_parked_and_released() -> None:
    """Semantics 9: it waits for somebody to look, and then arrives."""
    post = Post({"RCPT": ["550 unknown"]})
    async with serving(post) as port:
        d = desk(mailer=mailer(port))
        await d.own()
        await d.act("ann", Reply(text="Hello"), Send())
        await d.lifecycle.drain()
        (parked,) = await d.store.outgoing(parked=True)
        assert (parked.message_id, parked.tries) == ("<I1D1@shop.example>", 1)
        d.clock.advance(3600)
        assert await d.lifecycle.drain() == 0
        assert post.letters == []
        await d.lifecycle.release_mail(parked.message_id)
        assert await d.lifecycle.drain() == 1
    assert post.taken == [(["zoe@home.example"], parked.message + b"\r\n")]
    assert await d.store.outgoing() == ()


async def test_a_deferred_reply_comes_later() -> None:
    """It is tried again after the time that the settings say, and not before."""
    post = Post({"MAIL": ["451 busy"]})
    async with serving(post) as port:
        d = desk(mailer=mailer(port))
        await d.own()
        await d.act("ann", Reply(text="Hello"), Send())
        await d.lifecycle.drain()
        assert await d.lifecycle.drain() == 0
        d.clock.advance(1)
        assert await d.lifecycle.drain() == 1
    assert len(post.letters) == 1


async def test_a_reply_without_an_answer_is_repeated_as_it_was() -> None:
    """A process that died at the end of DATA: another one sends the very same message."""
    post = Post({"DATA": [HANG]})
    store = MemoryStore()
    async with serving(post) as port:
        d = desk(store, mailer=mailer(port))
        await d.own()
        await d.act("ann", Reply(text="Hello"), Send())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(d.lifecycle.drain)
            await post.hung.wait()
            tasks.cancel_scope.cancel()
        (waiting,) = await store.outgoing(parked=False)
        assert not waiting.sent
        assert await desk(store, mailer=mailer(port)).lifecycle.drain() == 1
    first, second = post.letters
    assert first == second
    assert message_from_bytes(second.content)["Message-ID"] == "<I1D1@shop.example>"


# How one is made


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mx.test", ("mx.test", 25, None, "offered")),
        ("smtp://mx.test/", ("mx.test", 25, None, "offered")),
        ("SMTP://MX.test:2525?tls=none", ("mx.test", 2525, None, "none")),
        ("smtp://mx.test?tls=required", ("mx.test", 25, None, "required")),
        ("smtp://a%40b:c@mx.test:587", ("mx.test", 587, "a@b", "offered")),
        ("smtps://mx.test", ("mx.test", 465, None, "implicit")),
        ("smtps://[::1]:5465?tls=required", ("::1", 5465, None, "implicit")),
    ],
)
async def test_urls(url: str, expected: tuple[object, ...]) -> None:
    """What a URL says, and what is meant where it says nothing."""
    made = SmtpMailer.from_url(url, timeout=3, source_hostname="desk.test")
    assert (made.host, made.port, made.username, made.tls) == expected
    assert made.timeout == 3


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("", "://"),
        ("mx.test", "://"),
        ("http://mx.test", "http://mx.test"),
        ("smtp://", "smtp://"),
        ("smtp://:25", "smtp://"),
        ("smtp://[::1", "smtp"),
        ("smtp://mx.test:x", "smtp://mx.test"),
        ("smtp://mx.test:70000", "smtp://mx.test"),
        ("smtp://mx.test/box", "smtp://mx.test"),
        ("smtp://mx.test#a", "smtp://mx.test"),
        ("smtp://mx.test?tls=maybe", "smtp://mx.test"),
        ("smtp://mx.test?tls=none&tls=required", "smtp://mx.test"),
        ("smtp://mx.test?timeout=1", "smtp://mx.test"),
        ("smtps://mx.test?tls=none", "smtps://mx.test"),
        ("http://desk:hunter2@mx.test", "http://mx.test"),
        ("smtp://desk:hunter2@mx.test:x", "smtp://mx.test"),
        ("smtp://desk:hunter2@mx.test/box", "smtp://mx.test"),
        ("smtp://desk:hunter2", "smtp://desk"),
        ("smtp://desk:1/hunter2@mx.test", "smtp://desk"),
        ("smtp://desk:1?hunter2@mx.test", "smtp://desk"),
        ("smtp://desk:1#hunter2@mx.test", "smtp://desk"),
        ("desk:hunter2@mx.test", "desk://"),
    ],
)
async def test_urls_that_are_wrong(url: str, value: str) -> None:
    """An error with the path and what cannot be a password, however it was written."""
    with pytest.raises(InvalidParameter) as caught:
        SmtpMailer.from_url(url)
    assert (caught.value.path, caught.value.value) == ("$.url", value)
    assert "hunter2" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        ({"host": ""}, "$.host", ""),
        ({"host": "mx test"}, "$.host", "mx test"),
        ({"host": "mx\n"}, "$.host", "mx\n"),
        ({"port": 0}, "$.port", 0),
        ({"port": 65536}, "$.port", 65536),
        ({"tls": "yes"}, "$.tls", "yes"),
        ({"username": "", "password": "hunter2"}, "$.username", ""),
        ({"password": "hunter2"}, "$.username", None),
        ({"username": "desk"}, "$.password", None),
        ({"timeout": 0}, "$.timeout", 0),
        ({"timeout": float("inf")}, "$.timeout", float("inf")),
        ({"source_hostname": "a b"}, "$.source_hostname", "a b"),
        ({"source_hostname": "b\u00fcro"}, "$.source_hostname", "b\u00fcro"),
    ],
)
async def test_arguments_that_are_wrong(
    arguments: dict[str, Any], path: str, value: object
) -> None:
    """Each is refused by name, and the password is not in the error."""
    with pytest.raises(InvalidParameter) as caught:
        SmtpMailer(**{"host": "mx.test", **arguments})
    assert (caught.value.path, caught.value.value) == (path, value)
    assert "hunter2" not in str(caught.value)


async def test_a_context_without_tls_is_refused(trust: ssl.SSLContext) -> None:
    """Whoever gives one does not want to send in the open."""
    with pytest.raises(InvalidParameter) as caught:
        SmtpMailer("mx.test", tls="none", tls_context=trust)
    assert (caught.value.path, caught.value.value) == ("$.tls_context", trust)


async def test_a_password_is_not_shown() -> None:
    """The text of a mailer says everything else."""
    text = repr(SmtpMailer.from_url("smtps://desk:hunter2@mx.test", timeout=5))
    assert text == "SmtpMailer('mx.test', 465, username='desk', tls='implicit', timeout=5)"
