"""L3. The bytes of a mail -> `Email` and the contents of its attachments (semantics 2a, 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz

import attrs

from lifecycle._addresses import address_parts, format_address, join_addresses, split_addresses
from lifecycle._mail_parts import Fields, Part, cut
from lifecycle._mail_text import decode_charset, decode_words, without_surrogates
from lifecycle.errors import MailTooLarge
from lifecycle.interaction import Attachment, Email

_REFERENCES = 100
"""How many references are kept: the first, which began the thread, and the last ones."""
_REFERENCES_LENGTH = 64 * 1024
"""How much is read of the references, at either end."""
_DATE_LENGTH = 200
_MESSAGE_ID = re.compile(r"<([^<>]{1,900})>")
_VISIBLE_ASCII = re.compile(r"[!-~]+")
_COLON = re.compile(r"\s*:\s*")
_COMMENT = re.compile(r"\([^()]*+\)")


@attrs.frozen(kw_only=True)
class MailLimits:
    """What a mail may have at most."""

    size: int = 25 * 1024 * 1024
    """Bytes of the whole mail."""
    depth: int = 500
    """Levels of multiparts and attached mails in one another; a mail without parts has none."""
    parts: int = 5000
    """Parts, on all levels together."""


DEFAULT_MAIL_LIMITS = MailLimits()


@attrs.frozen(kw_only=True)
class ParsedMail:
    """A mail, and what its attachments contain."""

    email: Email
    """The mail."""
    contents: Mapping[str, bytes]
    """The decoded content of each attachment, by the attachment's id."""


def parse_email(
    raw: bytes, *, limits: MailLimits = DEFAULT_MAIL_LIMITS, id_prefix: str = ""
) -> Email:
    """Parse a mail, as `parse_mail` does, where the contents of attachments are not needed."""
    return parse_mail(raw, limits=limits, id_prefix=id_prefix).email


def parse_mail(
    raw: bytes, *, limits: MailLimits = DEFAULT_MAIL_LIMITS, id_prefix: str = ""
) -> ParsedMail:
    """Parse the bytes of a mail (RFC 5322, MIME), well formed or not (semantics 2a, 4).

    Arguments:
        raw: the mail.
        limits: what it may have at most.
        id_prefix: what the ids of attachments begin with, ASCII letters and digits; the first
            id is `{id_prefix}A1`.

    Returns: the mail and the contents of its attachments, the same for the same arguments.
    The bodies are what is text to a reader; several that follow each other are joined by a
    newline, and of alternatives one of each kind is taken. Every other part is an attachment;
    a mail that is attached is one, with everything in it. Of fields that should stand once,
    the first counts. An address field that cannot be parsed stands decoded as it is.

    Raises `MailTooLarge`, `MailTooDeep` and `MailTooManyParts`, with the limit as their value.
    All other bytes give a mail.
    """
    if len(raw) > limits.size:
        raise MailTooLarge(f"the mail has {len(raw)} bytes, over the limit", value=limits.size)
    parts = cut(raw, depth=limits.depth, parts=limits.parts)
    texts, htmls = _bodies(parts)
    text, html = _text(raw, texts), _text(raw, htmls)
    attachments: list[Attachment] = []
    contents = {}
    bodies = {*map(id, texts), *map(id, htmls)}
    for part in parts:
        if part.is_leaf and not part.is_inner and id(part) not in bodies:
            content = part.content(raw)
            attachment = Attachment(
                id=f"{id_prefix}A{len(attachments) + 1}",
                name=part.name,
                size=len(content),
                mimetype=part.file_type,
            )
            attachments.append(attachment)
            contents[attachment.id] = content
    fields = parts[0].fields
    email = Email(
        subject=decode_words(fields.first(b"subject")),
        from_address=join_addresses(_addresses(fields.listed(b"from", 1))),
        to_address=join_addresses(_addresses(fields.listed(b"to"))),
        cc_addresses=_addresses(fields.listed(b"cc")),
        reply_to=join_addresses(_addresses(fields.listed(b"reply-to", 1))),
        text=text,
        structured_text=html,
        mime_type=texts[0].text_type if text else "",
        structured_text_mime_type="text/html" if html else "",
        attachments=tuple(attachments),
        date=_date(fields.first(b"date")),
        message_id=next(iter(_message_ids(fields.first(b"message-id"))), None),
        references=_references(fields),
        is_auto_reply=_is_auto_reply(fields),
        is_delivery_report=parts[0].mimetype in ("multipart/report", "message/delivery-status")
        or "".join(fields.first(b"return-path").split()) == "<>",
    )
    return ParsedMail(email=email, contents=contents)


def _bodies(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """The parts that make the plain body, all of one type, and those that make the HTML body."""
    texts: dict[int, list[Part]] = {}
    htmls: dict[int, list[Part]] = {}
    # A part stands after the one that it is in. So, from the end, its own parts are known.
    for part in reversed(parts):
        children = [] if part.is_message else part.children
        of_texts = [texts[id(child)] for child in children if texts[id(child)]]
        of_htmls = [htmls[id(child)] for child in children if htmls[id(child)]]
        if part.mimetype == "multipart/alternative":
            # The best one stands last (RFC 2046, 5.1.4). But what is asked for is plain text.
            of_texts.sort(key=lambda found: found[0].text_type != "text/plain")
            of_texts, of_htmls = of_texts[:1], of_htmls[-1:]
        kind = part.text_type if part.is_leaf and not part.is_inner else ""
        texts[id(part)] = (
            [part]
            if kind not in ("", "text/html")
            else [part for found in of_texts for part in found]
        )
        htmls[id(part)] = (
            [part] if kind == "text/html" else [part for found in of_htmls for part in found]
        )
    mail = id(parts[0])
    first_type = texts[mail][0].text_type if texts[mail] else ""
    return [part for part in texts[mail] if part.text_type == first_type], htmls[mail]


def _text(raw: bytes, parts: list[Part]) -> str:
    """The text of the parts, with `\\n` as line ends; a blank one does not count."""
    texts = [_clean(decode_charset(part.content(raw), part.charset)) for part in parts]
    return "\n".join(text for text in texts if text and not text.isspace())


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def _addresses(text: str) -> tuple[str, ...]:
    """The addresses of a field, decoded: the list is split before, as a name may hold commas."""
    found = []
    for address in split_addresses(text):
        name, bare = address_parts(address)
        decoded = format_address(decode_words(name), without_surrogates(bare))
        found.append(decoded if bare else decode_words(address))
    return tuple(filter(None, found))


def _date(text: str) -> datetime | None:
    """The date of a field; one that does not say its zone is in UTC."""
    try:
        parsed = parsedate_tz(_COLON.sub(":", _COMMENT.sub(" ", text[:_DATE_LENGTH])))
        if parsed is None:
            return None
        year, month, day, hour, minute, second = parsed[:6]
        offset = timedelta(seconds=parsed[9] or 0)
        if abs(offset) >= timedelta(days=1):
            return None
        # A leap second is the last one of its minute, as `datetime` has none.
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - offset
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _message_ids(text: str) -> list[str]:
    ids = ("".join(found.split()) for found in _MESSAGE_ID.findall(text))
    return [f"<{found}>" for found in ids if _VISIBLE_ASCII.fullmatch(found)]


def _references(fields: Fields) -> tuple[str, ...]:
    text = fields.listed(b"references")
    if len(text) > 2 * _REFERENCES_LENGTH:
        found = _message_ids(text[:_REFERENCES_LENGTH]) + _message_ids(text[-_REFERENCES_LENGTH:])
    else:
        found = _message_ids(text)
    unique = list(dict.fromkeys(found + _message_ids(fields.first(b"in-reply-to"))[:1]))
    if len(unique) > _REFERENCES:
        del unique[1 : 1 - _REFERENCES]
    return tuple(unique)


def _is_auto_reply(fields: Fields) -> bool:
    """Whether a machine answered, or asks that none answers.

    `Auto-Submitted` other than `no` (RFC 3834, 5), `Precedence: auto_reply`, `X-Autoreply`,
    `X-Autorespond`, and `X-Auto-Response-Suppress` for `All` or `AutoReply`.
    """

    def said(name: bytes) -> str:
        text = _COMMENT.sub("", fields.first(name))
        return text.partition(";")[0].strip().lower()

    suppressed = re.split(r"[\s,]+", said(b"x-auto-response-suppress"))
    return (
        said(b"auto-submitted") not in ("", "no")
        or said(b"precedence") in ("auto_reply", "auto-reply")
        or said(b"x-autoreply") not in ("", "no")
        or said(b"x-autorespond") not in ("", "no")
        or "all" in suppressed
        or "autoreply" in suppressed
    )
