"""L6. A mailer that hands messages to an SMTP server; asyncio only.

Semantics 9 asks for at least once under one Message-ID. What it means for SMTP, where a server
says of each recipient whether it takes a message, is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal, Self, TypeAlias, cast, get_args
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio

from lifecycle._addresses import address_parts
from lifecycle.errors import InvalidParameter
from lifecycle.mail import ascii_domain
from lifecycle.ports import MailAnswer
from lifecycle.records import Outgoing

_log = logging.getLogger("lifecycle.delivery")

Tls: TypeAlias = Literal["none", "offered", "required", "implicit"]
"""No TLS; STARTTLS where the server offers it; STARTTLS or nothing; TLS from the first byte."""

_MODES: dict[tuple[str, str], Tls] = {
    ("smtp", ""): "offered",
    ("smtp", "tls=none"): "none",
    ("smtp", "tls=required"): "required",
    ("smtps", ""): "implicit",
    ("smtps", "tls=required"): "implicit",
}
"""What the scheme and the query of a URL mean."""

_TIMEOUT = 60.0
_FAREWELL = 1.0
"""For how many seconds the end of a connection may be said, when the answer is known."""
_REMEMBERED = 10_000
"""How many mails that only some of their recipients have are remembered."""

_SETUP = frozenset({530, 534, 535, 538})
"""Refusals for want of a login or of TLS: they are not about the mail, and hold for every one."""
_NO_ADDRESS = 553
_NOT_SUPPORTED = 554
"""What stands for the server's reply where nothing was asked, because it could not be sent."""

_HOST = re.compile(r"[^\s\x00-\x20\x7f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SmtpMailer:
    """Hands every message to an SMTP server, over a connection of its own; asyncio only.

    The message goes as it is: neither headers nor encoding are touched. RFC 5321 knows only CRLF
    as line end, so a bare CR or LF is sent as CRLF (what the engine renders has none), and a last
    line without end gets one. A sender of `""` is sent as `<>`: nobody hears of what comes back.

    What `send` answers:

    - `SENT` when every recipient has the message.
    - `DEFERRED` while some recipient is deferred (a 4xx), and where there is no answer: no
      connection, TLS that fails, a greeting or EHLO that is refused, a timeout, a connection that
      breaks. So are a login that is refused (535) and a server that demands one (530): that is
      configuration, logged as an error, and no reason to park one mail after the other.
    - `REFUSED` when nobody is deferred and some recipient is refused for good, be it at MAIL
      (also for its size), RCPT or DATA, or has no address; where the mail has no recipient; and
      where the server lacks what the mail needs. That is SMTPUTF8 for an address that is not
      ASCII, in the envelope or in the header (a domain alone is sent in its ASCII form), and
      8BITMIME for bytes that are not: to convert them would be another message.

    A server may take a message for some recipients only. Who has it is remembered until all have
    it, and the next try goes to the others alone, also after a mail was parked and released. The
    memory is this object's, and holds the latest 10,000 such mails: after a restart, or in
    another process, everybody gets the message again, under its Message-ID.

    A password is sent only over TLS, unless `tls` is `none`. Certificates are checked; a server
    whose own is not trusted needs a context that trusts it. TLS that was offered and fails is a
    deferral, never a reason to go on without.

    Logs name counts and reply codes; what the server said in words, which may repeat an address,
    is logged at debug level alone.

    Arguments:
        host: the server's name or IP address.
        port: its port; None for 465 where `tls` is `implicit`, else 25.
        username: whom to log in as; None for no login.
        password: with which password; given where a user name is.
        tls: `none`, `offered`, `required` or `implicit`, as `Tls` says.
        timeout: how many seconds one mail may take in all. The service's own
            `Settings.sink_timeout` ends it earlier where it is shorter. A server that is given
            too little time after the end of a message may have taken it, and gets it again.
        tls_context: trust and client certificate; None for the system's trust.
        source_hostname: the name to say at EHLO; None for this host's own.

    Raises `InvalidParameter` for one that does not validate; its `value` is never the password.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: Tls = "offered",
        timeout: float = _TIMEOUT,
        tls_context: ssl.SSLContext | None = None,
        source_hostname: str | None = None,
    ) -> None:
        if not _HOST.fullmatch(host):
            raise InvalidParameter("must be a host name", path="$.host", value=host)
        if tls not in get_args(Tls):
            raise InvalidParameter(f"must be one of {get_args(Tls)}", path="$.tls", value=tls)
        if port is None:
            port = 465 if tls == "implicit" else 25
        if not 0 < port < 65536:
            raise InvalidParameter("must be from 1 to 65535", path="$.port", value=port)
        if username == "" or (username is None and password is not None):
            raise InvalidParameter("must be a name", path="$.username", value=username)
        if username is not None and password is None:
            raise InvalidParameter("must be given with a user name", path="$.password")
        if not 0 < timeout < float("inf"):
            raise InvalidParameter("must be positive seconds", path="$.timeout", value=timeout)
        if tls_context is not None and tls == "none":
            raise InvalidParameter(
                "is of no use without TLS", path="$.tls_context", value=tls_context
            )
        if source_hostname is not None and not (
            _HOST.fullmatch(source_hostname) and source_hostname.isascii()
        ):
            raise InvalidParameter(
                "must be an ASCII host name", path="$.source_hostname", value=source_hostname
            )
        self.host = host
        self.port = port
        self.tls = tls
        self.timeout = timeout
        self.username = username
        self._password = password or ""
        if tls_context is None and tls != "none":
            tls_context = ssl.create_default_context()
        self._tls_context = tls_context
        self._source_hostname = source_hostname
        self._taken: dict[bytes, frozenset[str]] = {}

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        tls_context: ssl.SSLContext | None = None,
        source_hostname: str | None = None,
    ) -> Self:
        """Make one from `smtp://user:password@host:port`.

        Arguments:
            url: `smtp://` for STARTTLS where it is offered, `smtps://` for TLS from the start.
                `?tls=required` insists on STARTTLS, `?tls=none` goes without. Without port it
                is 25, or 465 for `smtps://`. In user and password `/`, `?`, `#`, `@`, `:` and
                `%` are written as in URLs (`%2F`).
            timeout: as for the class.
            tls_context: as for the class.
            source_hostname: as for the class.

        Raises `InvalidParameter`. Its `value` is the URL's scheme and host: what else there is
        may be a password that was written wrongly.
        """
        shown = url.partition(":")[0]
        try:
            parts = urlsplit(url)
            shown = f"{parts.scheme}://{parts.hostname or ''}"
            port = parts.port
        except ValueError:  # its text has what may be the password
            raise InvalidParameter("is not a URL", path="$.url", value=shown) from None
        if parts.scheme not in ("smtp", "smtps"):
            raise InvalidParameter("must be smtp:// or smtps://", path="$.url", value=shown)
        if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
            raise InvalidParameter(
                "must be a host, and after it no path or fragment", path="$.url", value=shown
            )
        tls = _MODES.get((parts.scheme, parts.query))
        if tls is None:
            raise InvalidParameter(
                "may have tls=required or, with smtp://, tls=none", path="$.url", value=shown
            )
        return cls(
            parts.hostname,
            port,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=tls,
            timeout=timeout,
            tls_context=tls_context,
            source_hostname=source_hostname,
        )

    def __repr__(self) -> str:
        return (
            f"SmtpMailer({self.host!r}, {self.port}, username={self.username!r}, "
            f"tls={self.tls!r}, timeout={self.timeout})"
        )

    async def send(self, mail: Outgoing) -> MailAnswer:
        """Send a message to those of its recipients who do not have it yet.

        Returns: as the class says; no failure of network or server is raised. Afterwards, also
        where it is cancelled, the connection is closed and nothing more is sent over it.
        """
        if not mail.recipients:
            _log.error("a mail without recipients", extra=_fields(mail))
            return MailAnswer.REFUSED
        key = hashlib.sha256(mail.message).digest()
        taken = self._taken.get(key, frozenset())
        rest = [address for address in mail.recipients if address not in taken]
        answer = await self._try(mail, rest, key) if rest else MailAnswer.SENT
        if answer is MailAnswer.SENT:
            self._taken.pop(key, None)
        return answer

    async def _try(self, mail: Outgoing, rest: list[str], key: bytes) -> MailAnswer:
        """Send a message to some of its recipients, and remember who has it then."""
        client = _Client(
            hostname=self.host,
            port=self.port,
            local_hostname=self._source_hostname,
            use_tls=self.tls == "implicit",
            start_tls=False,
            tls_context=self._tls_context,
            timeout=None,
        )
        try:
            with anyio.fail_after(self.timeout):
                await self._open(client)
                codes = await _transact(client, mail, rest)
            self._remember(key, {to for to, code in codes.items() if code // 100 == 2})
            # Whoever took the message has it, however the farewell goes.
            with suppress(aiosmtplib.SMTPException, OSError), anyio.fail_after(_FAREWELL):
                await client.quit()
        # ValueError: a host name that has no ASCII form.
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            _log.log(
                logging.ERROR if _is_lasting(error) else logging.WARNING,
                "%s:%d did not get a mail, at %s: %s",
                self.host,
                self.port,
                client.stage,
                _reason(error),
                extra=_fields(mail),
            )
            _log.debug("the connection ended", exc_info=True, extra=_fields(mail))
            return MailAnswer.DEFERRED
        finally:
            client.close()
        return _answer(mail, codes)

    async def _open(self, client: _Client) -> None:
        """Connect as far as a mail can be sent."""
        await client.connect()
        self._source_hostname = client.local_hostname  # it is looked up once
        await _greet(client)
        is_protected = self.tls == "implicit"
        if self.tls == "required" or (
            self.tls == "offered" and client.supports_extension("starttls")
        ):
            client.stage = "STARTTLS"
            await client.starttls()
            await _greet(client)
            is_protected = True
        if self.username is not None:
            client.stage = "AUTH"
            if not is_protected and self.tls != "none":
                raise aiosmtplib.SMTPException("no TLS is offered, and no password goes without")
            await client.login(self.username, self._password)

    def _remember(self, key: bytes, recipients: set[str]) -> None:
        """Note who else has a mail, and that it was tried last of all."""
        if taken := self._taken.pop(key, frozenset()) | recipients:
            self._taken[key] = taken
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]


class _Client(aiosmtplib.SMTP):
    """A connection that knows how far it came, and is gone at once when it is closed."""

    stage = "connect"

    def close(self) -> None:
        # An ordinary close first waits until the other side has read all that is unsent: for
        # ever, where it hangs; and what was called deferred would still arrive.
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()
        super().close()


async def _greet(client: _Client) -> None:
    client.stage = "EHLO"
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


async def _transact(client: _Client, mail: Outgoing, rest: list[str]) -> dict[str, int]:
    """Send one mail over an open connection.

    Returns: the last reply code for each recipient; 2xx for those who have the mail.
    """
    sender = _path(mail.sender) if mail.sender else "<>"
    paths = {address: _path(address) for address in rest}
    options = []
    if client.supports_extension("size"):
        options.append(b"SIZE=%d" % len(mail.message))
    lacking = None if sender else _NO_ADDRESS
    for extension, option, is_needed in (
        ("smtputf8", b"SMTPUTF8", _needs_utf8(mail.message, (sender, *paths.values()))),
        ("8bitmime", b"BODY=8BITMIME", not mail.message.isascii()),
    ):
        if is_needed:
            options.append(option)
            if not client.supports_extension(extension):
                _log.warning("the mail needs %s", extension.upper(), extra=_fields(mail))
                lacking = _NOT_SUPPORTED
    if lacking is not None:
        return dict.fromkeys(rest, lacking)

    client.stage = "MAIL"
    reply = await client.execute_command(b"MAIL", b"FROM:" + sender.encode(), *options)
    if reply.code // 100 != 2:
        _log.debug("MAIL: %s", reply, extra=_fields(mail))
        return dict.fromkeys(rest, reply.code)
    client.stage = "RCPT"
    codes = dict.fromkeys(rest, _NO_ADDRESS)
    for address, path in paths.items():
        if path:
            reply = await client.execute_command(b"RCPT", b"TO:" + path.encode())
            codes[address] = reply.code
            _log.debug("RCPT: %s", reply, extra=_fields(mail))
    accepted = [address for address, code in codes.items() if code // 100 == 2]
    if accepted:
        client.stage = "DATA"
        try:
            await client.data(mail.message)
        except aiosmtplib.SMTPDataError as error:
            _log.debug("DATA: %s", error, extra=_fields(mail))
            codes.update(dict.fromkeys(accepted, error.code))
    return codes


def _path(address: str) -> str:
    """An address as MAIL and RCPT have it; `""` for what is none or could not be sent."""
    local, at, domain = address_parts(address)[1].rpartition("@")
    path = f"<{local}{at}{ascii_domain(domain)}>"
    is_sendable = at and not _CONTROL.search(path) and path.encode(errors="ignore").decode() == path
    return path if is_sendable else ""


def _needs_utf8(message: bytes, paths: Iterable[str]) -> bool:
    """Whether an address, or the header of a message, is more than ASCII (RFC 6531)."""
    header = re.split(rb"\r?\n\r?\n", message, maxsplit=1)[0]
    return not (header.isascii() and all(path.isascii() for path in paths))


def _answer(mail: Outgoing, codes: Mapping[str, int]) -> MailAnswer:
    """What the reply codes for the recipients come to; anything but `SENT` is logged."""
    replies = codes.values()
    taken = sum(code // 100 == 2 for code in replies)
    refused = sum(code // 100 == 5 and code not in _SETUP for code in replies)
    deferred = len(codes) - taken - refused
    if taken == len(codes):
        return MailAnswer.SENT
    _log.log(
        logging.WARNING if _SETUP.isdisjoint(replies) else logging.ERROR,
        "%d recipients have a mail, %d more are deferred, %d refused: %s",
        len(mail.recipients) - deferred - refused,
        deferred,
        refused,
        ", ".join(map(str, sorted(set(replies)))),
        extra=_fields(mail),
    )
    return MailAnswer.DEFERRED if deferred else MailAnswer.REFUSED


def _is_lasting(error: Exception) -> bool:
    """Whether it will be the same for every mail until somebody changes the configuration."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code // 100 == 5
    return type(error) is aiosmtplib.SMTPException or isinstance(
        error.__cause__ or error, ssl.SSLError
    )


def _reason(error: Exception) -> str:
    """What went wrong, without what the server said in words."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"it answered {error.code}"
    if type(error) is aiosmtplib.SMTPException:
        return error.message
    return type(error.__cause__ or error).__name__


def _fields(mail: Outgoing) -> dict[str, str]:
    return {"interaction_id": mail.interaction_id, "message_id": mail.message_id}
