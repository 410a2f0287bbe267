"""L3. The bytes of a mail as text: character sets, encoded words, parameters, encodings.

Nothing here raises, whatever the bytes are, and everything takes time in proportion to them.
The standard library's own decoding of header fields does not promise either, so only its
codecs are used.
"""

from __future__ import annotations

import binascii
import re
from codecs import charmap_decode
from encodings.aliases import aliases
from itertools import islice
from urllib.parse import unquote_to_bytes

_PARAMETERS = 200
"""How many parameters of a field are read."""
_NOT_TEXT = {"mbcs", "oem", "rot_13", "tactis"}
_WITHOUT_ALIAS = ("cp720", "cp737", "cp874", "koi8_r", "koi8_t", "koi8_u")
# Labels that mean more in practice than their standard says (WHATWG, "Encoding", 4.2). ASCII
# stands for "none declared": UTF-8 is what such a mail holds where it holds more.
_IN_PRACTICE = {
    "ascii": "utf-8",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
}
# Only charsets known beforehand: the registry of codecs remembers every name that it is asked
# for, and imports by it.
_CODECS = {
    re.sub(r"[^a-z0-9]", "", name): _IN_PRACTICE.get(codec, codec)
    for codec in (*aliases.values(), *_WITHOUT_ALIAS)
    if not codec.endswith("_codec") and codec not in _NOT_TEXT
    for name in (codec, *(alias for alias, target in aliases.items() if target == codec))
} | {"xsjis": "cp932", "xgbk": "gb18030", "windows874": "cp874", "windows31j": "cp932"}

_ONE_BYTE = ("cp125", "cp874", "iso8859_")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = dict.fromkeys([*b"\t\n\v\f\r\x1c\x1d\x1e\x1f", 0x85, 0x2028, 0x2029], " ")
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0))) | _SPACES
_WORD = re.compile(r"=\?([^?\s]*+)\?([bBqQ])\?([^?]*+)\?=")
_PARAMETER = re.compile(
    r""";\s*+([^\s=;"]*+)\s*+=\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^;]*+)""", re.DOTALL
)
_QUOTED_PAIR = re.compile(r'\\(["\\])')
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_UU_END = (b"", b"`", b"end")
_UU_BEGIN = re.compile(rb"^begin [0-7]+ [^\n]*\n", re.MULTILINE)


def decode_charset(data: bytes, charset: str) -> str:
    """Decode text of the charset that a mail names.

    Arguments:
        data: the encoded text.
        charset: its label in the mail, `""` where there is none.

    Returns: the text. One that is not of the charset named, or whose charset is not known, is
    read as UTF-8 if it is that. U+FFFD stands for what does not decode.
    """
    codec = _CODECS.get(re.sub(r"[^a-z0-9]", "", charset.lower()), "utf-8")
    for candidate in (codec, "utf-8"):
        try:
            text = data.decode(candidate)
            break
        except UnicodeDecodeError:
            continue
    else:
        if codec.startswith(_ONE_BYTE):
            # The codec itself calls for help at each byte that it does not know.
            table = bytes(range(256)).decode(codec, "replace")
            text = charmap_decode(data, "strict", table)[0]
        else:
            text = data.decode(codec, "replace")
    return without_surrogates(text.removeprefix("\ufeff"))


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for every lone surrogate."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text on one line: without line breaks, control characters and space around it."""
    return without_surrogates(text.translate(_CONTROLS).strip())


def decode_words(text: str) -> str:
    """Decode the encoded words (RFC 2047) in a header field; the result is on one line.

    The bytes of adjacent words are put together first: many a mailer splits a character
    between two. Words without space around them, and in quotes, are decoded as well.
    """
    if "=?" not in text:
        return one_line(text)
    found: list[str] = []
    charset = ""
    chunks: list[bytes] = []
    end = 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        label = word[1].partition("*")[0].lower()
        if not chunks or label != charset or (between and not between.isspace()):
            found.append(decode_charset(b"".join(chunks), charset))
            if not (chunks and between.isspace()):
                found.append(between)
            chunks = []
        charset = label
        end = word.end()
        data = word[3].encode("utf-8", "surrogateescape")
        if word[2] in "bB":
            chunks.append(decode_base64(data))
        else:
            chunks.append(binascii.a2b_qp(data, header=True))
    found += decode_charset(b"".join(chunks), charset), text[end:]
    return one_line("".join(found))


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Parse a field such as Content-Type (RFC 2045, 5.1; RFC 2231).

    Arguments:
        value: the field without line breaks.

    Returns: what stands before the parameters, in lower case, and the parameters by name in
    lower case; of equal ones the first. Values are decoded, but may hold lone surrogates.
    """
    plain: dict[str, str] = {}
    extended: dict[str, list[tuple[int, bool, str]]] = {}
    for match in islice(_PARAMETER.finditer(value), _PARAMETERS):
        text = match[2]
        if text.startswith('"') and text.endswith('"') and len(text) > 1:
            text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
        name, *section = match[1].lower().split("*")
        if not section:
            plain.setdefault(name, text.strip())
        elif section == [""]:
            extended.setdefault(name, []).append((0, True, text))
        elif len(section[0]) < 6 and section[0].isdecimal() and section[1:] in ([], [""]):
            extended.setdefault(name, []).append((int(section[0]), len(section) > 1, text))
    for name, sections in extended.items():
        plain[name] = _join_sections(sorted(sections))
    return value.partition(";")[0].strip().lower(), plain


def _join_sections(sections: list[tuple[int, bool, str]]) -> str:
    charset = ""
    if sections[0][1] and sections[0][2].count("'") > 1:
        charset, _, first = sections[0][2].split("'", 2)
        sections[0] = (0, True, first)
    if not any(is_encoded for _, is_encoded, _ in sections):
        return "".join(text for _, _, text in sections)
    data = [
        unquote_to_bytes(chunk) if is_encoded else chunk
        for _, is_encoded, text in sections
        for chunk in [text.encode("utf-8", "surrogateescape")]
    ]
    return decode_charset(b"".join(data), charset)


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding.

    Arguments:
        data: the encoded bytes.
        encoding: its name in lower case; one that is not known leaves the bytes as they are.
    """
    if encoding.startswith("quoted"):
        return binascii.a2b_qp(data)
    if encoding.startswith("base64"):
        return decode_base64(data)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _decode_uu(data)
    return data


def decode_base64(data: bytes) -> bytes:
    """Decode what there is of base64, without regard to what does not belong there."""
    data = data.translate(None, _NOT_BASE64)
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        # One character too many. There was no good padding before it, or it would not count.
        data = data.replace(b"=", b"")
        return binascii.a2b_base64(data[: len(data) // 4 * 4])


def _decode_uu(data: bytes) -> bytes:
    begin = _UU_BEGIN.search(data)
    if begin is None:
        return data
    decoded = bytearray()
    position = begin.end()
    while (line := data[position : data.find(b"\n", position) + 1]).strip() not in _UU_END:
        position += len(line)
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:
            # Some encoders write more than the length at the front of the line says.
            try:
                decoded += binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
            except binascii.Error:
                break
    return bytes(decoded)
