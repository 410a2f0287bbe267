"""L3. `Draft` -> the bytes of an RFC 5322 message (semantics 2a)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from lifecycle._addresses import address_parts, split_addresses
from lifecycle.errors import InvalidParameter, NotFound
from lifecycle.interaction import MESSAGE_ID, Attachment, Draft, is_text

_LINE = 76
_WORD_BYTES = 39
"""How much of a text an encoded word carries: it fits in 76 characters behind `Subject:`."""
_NAME_CHARACTERS = 60
_ADDRESS_BYTES = 900
_BREAK = re.compile(r"[\r\n\0]")
_OWN_MESSAGE_ID = re.compile(r"<[^\x00-\x20\x7f-\U0010ffff<>@]+@[^\x00-\x20\x7f-\U0010ffff<>@]+>")
_FOLDABLE = re.compile(r"[!-~]{1,67}(?: [!-~]{1,67})*+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*+")
_QUOTABLE = re.compile(r"[ -~]{1,60}")
_PLAIN_FILE_NAME = re.compile(r"(?! )[A-Za-z0-9 ()+._-]{1,60}(?<! )")
_MIMETYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_UNKNOWN = "application/octet-stream"
# A line that some transport would change: too long, with space at its end, or with a start
# that is special to an mbox or to SMTP.
_PLAIN_TEXT = re.compile(r"(?:(?!From |\.)(?:[\t -~]{0,77}[!-~])?(?:\n|\Z))*+")


def render(
    draft: Draft, *, at: datetime, message_id: str, contents: Mapping[str, bytes] | None = None
) -> bytes:
    """Render a reply as an RFC 5322 message (semantics 2a, Send).

    Arguments:
        draft: the reply.
        at: when it is sent, with a zone.
        message_id: its Message-ID with angle brackets.
        contents: the content of each linked attachment, by the attachment's id.

    Returns: the message, the same bytes for the same arguments, with CRLF line ends and no line
    over 998 octets. It is ASCII unless the part of an address before the `@` is not, or its
    domain has no IDNA form: then these addresses are UTF-8 (RFC 6532). Every attachment carries
    exactly its content; of a type that could not (`message/*`, `multipart/*`) or is malformed
    it becomes `application/octet-stream`.

    Raises `InvalidParameter` with the `$.path` for a draft without recipient or sender, an
    address field with something that is no address, a line break or NUL in a header value, a
    lone surrogate, a malformed reference or `message_id`, and an `at` without zone; `NotFound`
    with the id of an attachment without content.
    """
    fields = [
        ("Date", [_date(at)]),
        *_address_fields(draft),
        ("Subject", _unstructured(_header_text(draft.subject, "$.subject"))),
        ("Message-ID", [_own_message_id(message_id)]),
    ]
    references = [
        _message_id(reference, f"$.references[{index}]")
        for index, reference in enumerate(draft.references)
    ]
    if references:
        fields += ("In-Reply-To", references[-1:]), ("References", references)
    fields.append(("MIME-Version", ["1.0"]))
    head = b"".join(_field(name, words) for name, words in fields)
    bodies = [
        _text_part(kind, text)
        for kind, text in (
            ("plain", _text(draft.text, "$.text")),
            ("html", _text(draft.structured_text, "$.structuredText")),
        )
        if text or (kind == "plain" and not draft.structured_text)
    ]
    body = _multipart("alternative", bodies, message_id) if len(bodies) > 1 else bodies[0]
    files = [
        _file_part(attachment, f"$.attachments[{index}]", contents or {})
        for index, attachment in enumerate(draft.attachments)
    ]
    return head + (_multipart("mixed", [body, *files], message_id) if files else body)


def _date(at: datetime) -> str:
    if at.tzinfo is None:
        raise InvalidParameter("the time has no zone", path="$.at", value=at)
    try:
        return format_datetime(at.astimezone(UTC))
    except OverflowError:
        raise InvalidParameter("the time is out of range", path="$.at", value=at) from None


def _text(value: str, path: str) -> str:
    if not is_text(value):
        raise InvalidParameter("it has a lone surrogate", path=path, value=value)
    return value


def _header_text(value: str, path: str) -> str:
    if _BREAK.search(value):
        raise InvalidParameter("a header value has a line break or NUL", path=path, value=value)
    return _text(value, path)


def _own_message_id(value: str) -> str:
    path = "$.messageId"
    if not _OWN_MESSAGE_ID.fullmatch(value):
        raise InvalidParameter("it is not a Message-ID", path=path, value=value)
    return _message_id(value, path)


def _message_id(value: str, path: str) -> str:
    if not MESSAGE_ID.fullmatch(value):
        raise InvalidParameter("it is not a Message-ID", path=path, value=value)
    return value


def _address_fields(draft: Draft) -> list[tuple[str, list[str]]]:
    senders = _addresses(draft.from_address, "$.fromAddress")
    if not senders:
        raise InvalidParameter(
            "the draft has no sender", path="$.fromAddress", value=draft.from_address
        )
    to = _addresses(draft.to_address, "$.toAddress")
    cc = []
    for index, address in enumerate(draft.cc_addresses):
        path = f"$.ccAddresses[{index}]"
        found = _addresses(address, path)
        if not found:
            raise InvalidParameter("it holds no address", path=path, value=address)
        cc += found
    if not to and not cc:
        raise InvalidParameter(
            "the draft has no recipient", path="$.toAddress", value=draft.to_address
        )
    fields = [("From", senders), ("To", to), ("Cc", cc)]
    if len(senders) > 1:
        # RFC 5322, 3.6.2: several authors need one who sends.
        fields.insert(1, ("Sender", senders[:1]))
    return [(name, _listed(addresses)) for name, addresses in fields if addresses]


def _addresses(text: str, path: str) -> list[list[str]]:
    """The words of each address in a list."""
    addresses = split_addresses(_header_text(text, path))
    if text.strip() and not addresses:
        raise InvalidParameter("it holds no address", path=path, value=text)
    return [_address(address, path) for address in addresses]


def _address(address: str, path: str) -> list[str]:
    name, bare = address_parts(address)
    local, _, domain = bare.rpartition("@")
    bare = f"{local}@{ascii_domain(domain)}"
    if not local or not bare.isprintable() or len(bare.encode()) > _ADDRESS_BYTES:
        raise InvalidParameter("it is not an address", path=path, value=address)
    return [*_phrase(name), f"<{bare}>"] if name else [bare]


def ascii_domain(domain: str) -> str:
    """The domain as DNS has it; as it is where that would be another domain, or is none."""
    if domain.isascii():
        return domain
    try:
        encoded = domain.encode("idna").decode("ascii")
        # The codec makes `fass` of `fa\xdf`, which is somebody else's.
        return encoded if encoded.encode().decode("idna") == domain.lower() else domain
    except UnicodeError:
        return domain


def _phrase(name: str) -> list[str]:
    if "=?" not in name:
        if _ATOMS.fullmatch(name) and _FOLDABLE.fullmatch(name):
            return name.split(" ")
        if _QUOTABLE.fullmatch(name):
            return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    return _encoded_words(name)


def _listed(items: list[list[str]]) -> list[str]:
    """The words of a list: those of its items, with a comma after each item but the last."""
    words = [word for item in items for word in [*item[:-1], f"{item[-1]},"]]
    words[-1] = words[-1][:-1]
    return words


def _unstructured(text: str) -> list[str]:
    if "=?" not in text and _FOLDABLE.fullmatch(text):
        return text.split(" ")
    return _encoded_words(text)


def _encoded_words(text: str) -> list[str]:
    """The text as encoded words (RFC 2047), none of which splits a character."""
    chunks = [b""]
    for character in text:
        data = character.encode()
        if len(chunks[-1]) + len(data) > _WORD_BYTES:
            chunks.append(b"")
        chunks[-1] += data
    return [f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=" for chunk in chunks if chunk]


def _field(name: str, words: Iterable[str]) -> bytes:
    """A header field, folded between its words where a line gets long."""
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _LINE and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join([*lines, ""]).encode()


def _text_part(kind: str, text: str) -> bytes:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    content_type = _field("Content-Type", [f"text/{kind};", 'charset="utf-8"'])
    if _PLAIN_TEXT.fullmatch(text):
        encoding = _field("Content-Transfer-Encoding", ["7bit"])
        return content_type + encoding + b"\r\n" + text.replace("\n", "\r\n").encode("ascii")
    return content_type + _in_base64(text.encode())


def _in_base64(data: bytes) -> bytes:
    encoding = _field("Content-Transfer-Encoding", ["base64"])
    return encoding + b"\r\n" + base64.encodebytes(data).replace(b"\n", b"\r\n")


def _file_part(attachment: Attachment, path: str, contents: Mapping[str, bytes]) -> bytes:
    name = _header_text(attachment.name, f"{path}.name")
    if attachment.id not in contents:
        raise NotFound("the attachment has no content", path=f"{path}.id", value=attachment.id)
    mimetype = attachment.mimetype.lower()
    if not _MIMETYPE.fullmatch(mimetype) or mimetype.startswith(("message/", "multipart/")):
        mimetype = _UNKNOWN
    return (
        _field("Content-Type", [mimetype])
        + _field("Content-Disposition", _listed_parameters("attachment", name))
        + _in_base64(contents[attachment.id])
    )


def _listed_parameters(value: str, name: str) -> list[str]:
    """A value and, as its parameter, a file name (RFC 2183, RFC 2231)."""
    if not name:
        return [value]
    if _PLAIN_FILE_NAME.fullmatch(name):
        return [f"{value};", f'filename="{name}"']
    words = [f"{value};"]
    section = "utf-8''"
    for character in name:
        encoded = quote(character, safe="")
        if len(section) + len(encoded) > _NAME_CHARACTERS:
            words.append(f"filename*{len(words) - 1}*={section};")
            section = ""
        section += encoded
    return [*words, f"filename*{len(words) - 1}*={section}"]


def _multipart(subtype: str, parts: list[bytes], message_id: str) -> bytes:
    """The parts as one, with a boundary that is always the same and in none of them."""
    body = b"".join(parts)
    number = 0
    while True:
        digest = hashlib.sha256(f"{number} {message_id}".encode()).hexdigest()
        boundary = f"=_{digest[:40]}"
        if boundary.encode() not in body:
            break
        number += 1
    content_type = _field("Content-Type", [f"multipart/{subtype};", f'boundary="{boundary}"'])
    separated = b"".join(b"\r\n--%s\r\n%s" % (boundary.encode(), part) for part in parts)
    return content_type + separated + b"\r\n--%s--\r\n" % boundary.encode()
