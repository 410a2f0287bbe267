"""L3. A mail cut into its parts (RFC 2046), with the fields of each that matter.

The standard library's parser is not used for this: it calls itself for every level, tries every
boundary on every line and takes some microseconds for each line, so that a hostile mail of the
permitted size occupies it for minutes. Here one pass goes through the bytes, with a list of
open parts in place of a call stack.
"""

from __future__ import annotations

import re
from itertools import islice

import attrs

from lifecycle._mail_text import decode_transfer, decode_words, parse_parameters
from lifecycle.errors import MailTooDeep, MailTooManyParts

_FIELDS = 1000
"""How many of the fields that matter are read in one header."""
_FIELD_BYTES = 1024 * 1024
"""How much is read of one field."""
_LIST_BYTES = _FIELD_BYTES - 1
"""How much is read of all fields of one name that make a list; less than of one field, so
that the end of what was cut is noticed."""
_PARAMETER_BYTES = 64 * 1024
"""How much is read of a field with parameters."""

_PART_FIELDS = rb"content-(?:type|transfer-encoding|disposition)"
_MAIL_FIELDS = (
    rb"subject|from|to|cc|reply-to|date|message-id|references|in-reply-to|return-path|precedence"
    rb"|auto-submitted|x-autoreply|x-autorespond|x-auto-response-suppress"
)
_FIELD = rb"^(%s)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_IN_PART = re.compile(_FIELD % _PART_FIELDS, re.MULTILINE | re.IGNORECASE)
_IN_MAIL = re.compile(_FIELD % (_PART_FIELDS + rb"|" + _MAIL_FIELDS), re.MULTILINE | re.IGNORECASE)
_FIELD_START = rb"[!-9;-~]++[ \t]*+:"
_IS_FIELD = re.compile(_FIELD_START)
# A line that is no field is passed over where a field or more of one follows it, as mail
# clients do; else it ends the header, as an empty line and a boundary do.
_STOP = re.compile(
    rb"^(?:\r?\n|--|(?![ \t]|%s)[^\n]*+(?:\Z|\n(?![ \t]++\S|%s)))" % (_FIELD_START, _FIELD_START),
    re.MULTILINE,
)
_BLANK = re.compile(rb"[ \t]*+\r?\n")
_ENVELOPE = (b"From ", b">From ")
_FOLD = re.compile(rb"\r?\n[ \t]*+")
_MIMETYPE = re.compile(r"([a-z0-9!#$&^_.+-]{1,127})\s*+/\s*+([a-z0-9!#$&^_.+-]{1,127})")
_MESSAGES = ("message/rfc822", "message/global")
_UNKNOWN = "application/octet-stream"
# Text that is data and not words to a reader.
_DATA = frozenset(
    f"text/{subtype}"
    for subtype in (
        "calendar", "css", "csv", "directory", "javascript", "rfc822-headers", "rtf",
        "tab-separated-values", "vcard", "x-amp-html", "x-vcalendar", "x-vcard", "xml",
    )
)  # fmt: skip


@attrs.define(eq=False)
class Fields:
    """Those fields of one header that matter, raw, by their names in lower case."""

    _raw: dict[bytes, list[bytes]]

    def first(self, name: bytes) -> str:
        """The first field of a name, `""` where there is none; unfolded, not decoded.

        Bytes that are not UTF-8 are lone surrogates in it.
        """
        return _unfolded(self._raw.get(name, [b""])[0])

    def listed(self, name: bytes, count: int = _FIELDS) -> str:
        """The first fields of a name as one list with commas; like `first`."""
        joined = b",".join(self._raw.get(name, [])[:count])
        if len(joined) > _LIST_BYTES:
            joined = joined[:_LIST_BYTES]
            joined = joined.rpartition(b",")[0] or joined
        return _unfolded(joined)

    def parameters(self, name: bytes) -> tuple[str, dict[str, str]]:
        """The value and the parameters of the first field of a name."""
        return parse_parameters(self.first(name)[:_PARAMETER_BYTES])


@attrs.define(eq=False, kw_only=True)
class Part:
    """A part of a mail, or the mail itself."""

    fields: Fields
    """Its fields."""
    mimetype: str
    """Its type, `""` where what it declares is no type."""
    encoding: str = ""
    """Its Content-Transfer-Encoding."""
    boundary: bytes = b""
    """What separates its parts, for a multipart that says it."""
    charset: str = ""
    """The charset of its text, `""` where it declares none."""
    disposition: str = ""
    """Its Content-Disposition, `""` where it has none."""
    name: str = ""
    """Its file name, `""` where it has none."""
    is_inner: bool = False
    """Whether it is inside an attached mail."""
    start: int = 0
    """Where its body begins in the mail."""
    end: int = 0
    """Where its body ends."""
    children: list[Part] = attrs.field(factory=list)
    """The parts directly in it."""

    @property
    def is_multipart(self) -> bool:
        """Whether it says that it has parts."""
        return self.mimetype.startswith("multipart/")

    @property
    def is_message(self) -> bool:
        """Whether it is an attached mail that can be read as it stands."""
        return self.mimetype in _MESSAGES and not self.encoding.startswith(("base64", "quoted"))

    @property
    def is_leaf(self) -> bool:
        """Whether it is text or a file; an attached mail is a file."""
        return self.is_message or not self.children

    @property
    def text_type(self) -> str:
        """The type of its text, where it is words to a reader and no file; else `""`.

        What is declared badly is plain text (RFC 2045, 5.2), as is a multipart without parts.
        """
        if self.disposition == "attachment" or self.name:
            return ""
        if not self.mimetype or self.is_multipart:
            return "text/plain"
        is_words = self.mimetype.startswith("text/") and self.mimetype not in _DATA
        return self.mimetype if is_words else ""

    @property
    def file_type(self) -> str:
        """The type of its content, where it is a file."""
        return "application/octet-stream" if self.is_multipart else self.mimetype or _UNKNOWN

    def content(self, mail: bytes) -> bytes:
        """Its content, decoded.

        Arguments:
            mail: the mail that it is a part of.
        """
        data = mail[self.start : self.end]
        return data if self.is_multipart else decode_transfer(data, self.encoding)


def cut(mail: bytes, *, depth: int, parts: int) -> list[Part]:
    """Cut a mail into its parts.

    Arguments:
        mail: the mail.
        depth: how many levels of multiparts and attached mails may be in one another.
        parts: how many parts there may be.

    Returns: the mail itself and all its parts in their order, each after the one that it is
    in. Those in an attached mail are among them, because they count.

    Raises `MailTooDeep` and `MailTooManyParts`, with the limit as their value.
    """
    cutter = _Cutter(mail, depth, parts)
    cutter.cut()
    return cutter.parts


class _Cutter:
    def __init__(self, mail: bytes, depth: int, parts: int) -> None:
        self._mail = mail
        self._max_depth = depth
        self._max_parts = parts
        self._open: list[Part] = []
        """The part at hand and those that it is in, the mail itself first."""
        self._levels: dict[bytes, list[int]] = {}
        """Which of the open parts are multiparts with a boundary, by that."""
        self.parts: list[Part] = []

    def cut(self) -> None:
        position = self._begin(0, None)
        count = 0
        while boundary := self._next_boundary(position):
            start, position, level, is_last = boundary
            # The line break before a boundary belongs to the boundary.
            end = start - self._mail.endswith(b"\n", 0, start)
            end -= self._mail.endswith(b"\r", 0, end)
            self._close(level + 1, end)
            if is_last:
                self._close(level, end)
                continue
            count += 1
            if count > self._max_parts:
                raise MailTooManyParts("the mail has too many parts", value=self._max_parts)
            position = self._begin(position, self._open[level])
        self._close(0, len(self._mail))

    def _begin(self, start: int, parent: Part | None) -> int:
        """Open the part that starts here, and the mail that it is if it is an attached one.

        Returns: where the body of the innermost begins.
        """
        while True:
            header_end, body = self._header(start)
            pattern = _IN_MAIL if parent is None else _IN_PART
            raw: dict[bytes, list[bytes]] = {}
            for field in islice(pattern.finditer(self._mail, start, header_end), _FIELDS):
                raw.setdefault(field[1].lower(), []).append(field[2][:_FIELD_BYTES])
            part = _described(Fields(raw), parent)
            part.start = body
            self.parts.append(part)
            if parent is not None:
                parent.children.append(part)
            if part.boundary:
                self._levels.setdefault(part.boundary, []).append(len(self._open))
            self._open.append(part)
            if not part.boundary and not part.is_message:
                return body
            if len(self._open) > self._max_depth:
                raise MailTooDeep("the mail is nested too deep", value=self._max_depth)
            if part.boundary:
                return body
            start, parent = body, part

    def _close(self, level: int, end: int) -> None:
        """Close the open parts from a level on: they end here."""
        while len(self._open) > level:
            part = self._open.pop()
            part.end = max(part.start, end)
            if part.boundary:
                levels = self._levels[part.boundary]
                levels.pop()
                if not levels:
                    del self._levels[part.boundary]

    def _header(self, start: int) -> tuple[int, int]:
        """Where the header that starts here ends, and where the body begins."""
        mail = self._mail
        position = start
        if blank := _BLANK.match(mail, start):
            return start, blank.end()
        if mail.startswith(_ENVELOPE, start):
            position = mail.find(b"\n", start) + 1 or len(mail)
        elif not _IS_FIELD.match(mail, start):
            return start, start
        for stop in islice(_STOP.finditer(mail, position), _FIELDS):
            if stop[0] in (b"\n", b"\r\n"):
                return stop.start(), stop.end()
            line = mail[stop.start() : mail.find(b"\n", stop.start()) + 1]
            # A field may begin with dashes, and a boundary may look like a field.
            if not _IS_FIELD.match(line) or self._boundary(line.rstrip()):
                return stop.start(), stop.start()
        return len(mail), len(mail)

    def _next_boundary(self, position: int) -> tuple[int, int, int, bool] | None:
        """The next boundary: where it starts and ends, whose it is, whether it is the last.

        Arguments:
            position: where to look from, the start of a line.
        """
        mail, levels = self._mail, self._levels
        at_once = mail.startswith(b"--", position)
        found = position - 1 if at_once else mail.find(b"\n--", position)
        while levels and found >= 0:
            end = mail.find(b"\n", found + 1) + 1 or len(mail)
            line = mail[found + 1 : end].rstrip()
            # Looked up here as well, because there may be millions of such lines.
            if line[2:] in levels or line[2:-2] in levels:
                boundary = self._boundary(line)
                if boundary:
                    return found + 1, end, *boundary
            found = mail.find(b"\n--", end - 1)
        return None

    def _boundary(self, line: bytes) -> tuple[int, bool] | None:
        """The level of the multipart that a line separates, and whether it ends it."""
        if levels := self._levels.get(line[2:]):
            return levels[-1], False
        if line.endswith(b"--") and (levels := self._levels.get(line[2:-2])):
            return levels[-1], True
        return None


def _described(fields: Fields, parent: Part | None) -> Part:
    declared, parameters = fields.parameters(b"content-type")
    disposition, of_disposition = fields.parameters(b"content-disposition")
    boundary = b""
    if match := _MIMETYPE.match(declared):
        mimetype = f"{match[1]}/{match[2]}"
        if mimetype.startswith("multipart/"):
            boundary = parameters.get("boundary", "").rstrip().encode("utf-8", "surrogateescape")
    elif declared:
        mimetype = ""
    elif parent is not None and parent.mimetype == "multipart/digest":
        mimetype = "message/rfc822"
    else:
        mimetype = "text/plain"
    name = _file_name(of_disposition.get("filename", "")) or _file_name(parameters.get("name", ""))
    if parent is None and mimetype.startswith("text/") and disposition != "attachment":
        # A mail of nothing but text is that text, whatever it is called.
        name = ""
    return Part(
        fields=fields,
        mimetype=mimetype,
        encoding=fields.first(b"content-transfer-encoding").lower(),
        boundary=boundary,
        charset=parameters.get("charset", "").partition("(")[0],
        disposition=disposition,
        name=name,
        is_inner=parent is not None and (parent.is_inner or parent.is_message),
    )


def _file_name(text: str) -> str:
    """The last component of a path, which is what a file may be called."""
    name = decode_words(text).replace("\\", "/").rpartition("/")[2].strip()
    return "" if name in (".", "..") else name


def _unfolded(raw: bytes) -> str:
    return _FOLD.sub(b" ", raw).decode("utf-8", "surrogateescape").strip()
