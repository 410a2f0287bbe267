"""Mail out: what is rendered, read back by independent parsers (semantics 2a)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import attrs
import pytest
from fast_mail_parser import parse_email as parse_elsewhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.errors import InvalidParameter, NotFound
from lifecycle.interaction import Attachment, Draft
from lifecycle.mail import parse_mail, render

AT = datetime(2024, 3, 5, 14, 30, 12, 987654, tzinfo=UTC)
MESSAGE_ID = "<reply-1@example.com>"
DRAFT = Draft(
    id="IX1D1",
    to_address="Greta Holm <greta.holm@example.org>",
    from_address="Customer Help <help@example.com>",
    subject="Re: Where is my parcel?",
    text="Hello,\n\nit will arrive on Friday.\n",
    references=("<20240304091239.4711@example.org>",),
)


def rendered(
    draft: Draft = DRAFT, *, contents: Mapping[str, bytes] | None = None, **changes: Any
) -> bytes:
    """The bytes of a draft with some of its fields changed."""
    draft = attrs.evolve(draft, **changes)
    raw = render(draft, at=AT, message_id=MESSAGE_ID, contents=contents or {})
    assert_well_formed(raw)
    return raw


def assert_well_formed(raw: bytes) -> None:
    """What RFC 5322 asks of every message, looked at without a parser."""
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\0" not in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert re.fullmatch(rb"(?:[A-Za-z-]+:[^\r\n]*\r\n(?: [^\r\n]*[^\r\n ][^\r\n]*\r\n)*)+", head)


def fields(raw: bytes) -> dict[str, str]:
    """The header fields, unfolded and not decoded; each stands once."""
    head = raw.partition(b"\r\n\r\n")[0].decode()
    pairs = [line.split(":", 1) for line in head.replace("\r\n ", " ").split("\r\n")]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name: value.strip() for name, value in pairs}


def people(value: str) -> list[tuple[str, str]]:
    """The names, decoded, and addresses in an address field."""
    return [(str(make_header(decode_header(name))), bare) for name, bare in getaddresses([value])]


def leaves(raw: bytes) -> list[tuple[str, str | None, bytes]]:
    """Type, file name and bytes of every part, by the standard library."""
    found = []
    for part in message_from_bytes(raw, _class=EmailMessage, policy=policy.default).walk():
        assert not part.defects
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((part.get_content_type(), part.get_filename(), content))
    return found


# What a reply looks like


def test_plain_reply() -> None:
    """A short reply in ASCII stands in the message as it was written."""
    assert rendered() == (
        b"Date: Tue, 05 Mar 2024 14:30:12 +0000\r\n"
        b"From: Customer Help <help@example.com>\r\n"
        b"To: Greta Holm <greta.holm@example.org>\r\n"
        b"Subject: Re: Where is my parcel?\r\n"
        b"Message-ID: <reply-1@example.com>\r\n"
        b"In-Reply-To: <20240304091239.4711@example.org>\r\n"
        b"References: <20240304091239.4711@example.org>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello,\r\n\r\nit will arrive on Friday.\r\n"
    )


def test_minimal_draft() -> None:
    """A draft of nothing but addresses has neither references nor text."""
    draft = Draft(id="IX1D1", to_address="a@example.org", from_address="b@example.com")
    raw = rendered(draft)
    assert "References" not in fields(raw)
    assert "In-Reply-To" not in fields(raw)
    assert "Cc" not in fields(raw)
    assert fields(raw)["Subject"] == ""
    assert leaves(raw) == [("text/plain", None, b"")]


def test_in_reply_to_is_the_last_reference() -> None:
    """The thread is named in full, and the mail that is answered apart from it."""
    ids = tuple(f"<{number}.{'x' * 60}@example.org>" for number in range(30))
    raw = rendered(references=ids)
    assert fields(raw)["References"].split() == list(ids)
    assert fields(raw)["In-Reply-To"] == ids[-1]


def test_date_is_in_utc() -> None:
    """The date is that of `at`, whatever zone it is given in."""
    at = AT.astimezone(timezone(timedelta(hours=-9)))
    assert fields(render(DRAFT, at=at, message_id=MESSAGE_ID))["Date"] == (
        "Tue, 05 Mar 2024 14:30:12 +0000"
    )


def test_several_senders_need_one_who_sends() -> None:
    """With several addresses in From there is a Sender (RFC 5322, 3.6.2)."""
    raw = rendered(from_address="A <a@example.com>, b@example.com")
    assert fields(raw)["From"] == "A <a@example.com>, b@example.com"
    assert fields(raw)["Sender"] == "A <a@example.com>"


def test_recipients() -> None:
    """To and Cc carry all their addresses, with their names."""
    raw = rendered(
        to_address='"Costa, Rui" <rui@example.org>; Zoë "Z" Ek <zoe@example.org>',
        cc_addresses=("a@example.org", "Jérôme Brel-Ørsted <j@example.net>"),
    )
    assert people(fields(raw)["To"]) == [
        ("Costa, Rui", "rui@example.org"),
        ("Zoë Z Ek", "zoe@example.org"),
    ]
    assert people(fields(raw)["Cc"]) == [
        ("", "a@example.org"),
        ("Jérôme Brel-Ørsted", "j@example.net"),
    ]
    assert raw.isascii()


def test_only_cc() -> None:
    """A draft with recipients in Cc alone has no To."""
    raw = rendered(to_address="", cc_addresses=("a@example.org",))
    assert "To" not in fields(raw)
    assert fields(raw)["Cc"] == "a@example.org"


@pytest.mark.parametrize(
    ("address", "expected", "is_ascii"),
    [
        ("joe@[192.0.2.1]", "joe@[192.0.2.1]", True),
        ('"j d"@example.org', '"j d"@example.org', True),
        ("joe@bücher.example", "joe@xn--bcher-kva.example", True),
        ("joe@BÜCHER.example", "joe@xn--bcher-kva.example", True),
        ("joe@faß.example", "joe@faß.example", False),
        ("joe@ü..example", "joe@ü..example", False),
        ("jürgen@example.org", "jürgen@example.org", False),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example", False),
    ],
)
def test_addresses_beyond_ascii(address: str, expected: str, is_ascii: bool) -> None:
    """A domain is sent in its ASCII form; what has none makes an SMTPUTF8 message."""
    raw = rendered(to_address=address)
    assert fields(raw)["To"] == expected
    assert raw.isascii() is is_ascii
    named = rendered(to_address=f"Jürgen <{address}>")
    assert fields(named)["To"] == f"=?utf-8?b?SsO8cmdlbg==?= <{expected}>"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Joe Roe", "Joe Roe"),
        ("Roe, Joe", '"Roe, Joe"'),
        ("Joe Q. Roe", '"Joe Q. Roe"'),
        ('Joe "J" \\ Roe', '"Joe \\"J\\" \\\\ Roe"'),
        ("Zoë", "=?utf-8?b?Wm/Dqw==?="),
        ("=?utf-8?q?Zoe?=", "=?utf-8?b?PT91dGYtOD9xP1pvZT89?="),
        ("a\x07b", "=?utf-8?b?YQdi?="),
    ],
)
def test_display_names(name: str, written: str) -> None:
    """A display name is written so that it cannot be read as something else."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    raw = rendered(to_address=f'"{quoted}" <joe@example.org>')
    assert fields(raw)["To"] == f"{written} <joe@example.org>"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "plain",
        "Re: Grüße aus Köln",
        "two  spaces",
        " in front",
        "behind ",
        "a\ttab",
        "=?utf-8?q?looks_encoded?=",
        "a" * 71,
        "x" * 5000,
        "ü" * 5000,
        "word " * 500 + "end",
        "\x07bell",
        "line\u2028separator\x85and more",
        "👩‍👩‍👧" * 40,
    ],
)
def test_subjects(subject: str) -> None:
    """A subject comes out as it went in, however long and of whatever characters."""
    raw = rendered(subject=subject)
    assert raw.isascii()
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    assert str(make_header(decode_header(fields(raw)["Subject"]))) == subject
    if subject == subject.strip():
        assert parse_elsewhere(raw).subject == subject


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a\nb", "7bit"),
        ("a\r\nb\rc\n", "7bit"),
        ("a line of ordinary length, with\ta tab and ~ all the rest", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "base64"),
        ("x" * 200_000, "base64"),
        ("From the start", "base64"),
        ("see\nFrom here", "base64"),
        (".", "base64"),
        ("see\n.hidden", "base64"),
        ("-- \nsignature", "base64"),
        ("Grüße\n", "base64"),
        ("nul\0", "base64"),
        ("--=_looks like a boundary", "7bit"),
        ("\n\n\n", "7bit"),
    ],
)
def test_texts(text: str, encoding: str) -> None:
    """A text comes out as it went in; what a transport could damage is encoded."""
    raw = rendered(text=text)
    assert fields(raw)["Content-Transfer-Encoding"] == encoding
    [(_, _, content)] = leaves(raw)
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    assert content.decode().replace("\r\n", "\n") == normal
    assert raw.isascii()


def test_text_and_html_are_alternatives() -> None:
    """The plain text stands first, the HTML last (RFC 2046, 5.1.4)."""
    raw = rendered(structured_text="<p>Es kommt am <b>Freitag</b>. Grüße</p>")
    assert fields(raw)["Content-Type"].startswith("multipart/alternative;")
    assert leaves(raw) == [
        ("text/plain", None, b"Hello,\r\n\r\nit will arrive on Friday.\r\n"),
        ("text/html", None, "<p>Es kommt am <b>Freitag</b>. Grüße</p>".encode()),
    ]


def test_html_alone() -> None:
    """A reply of HTML alone gets no plain text made up for it."""
    raw = rendered(text="", structured_text="<p>yes")
    assert leaves(raw) == [("text/html", None, b"<p>yes")]


def attached(**fields: Any) -> dict[str, Any]:
    """A draft's attachments: one of these fields, and its content."""
    file = {"id": "IX1A1", "name": "a.pdf", "size": 4, "mimetype": "application/pdf", **fields}
    return {"attachments": (Attachment(**file),), "contents": {"IX1A1": b"\0\xff\r\n"}}


def test_attachments_stand_behind_the_body() -> None:
    """The body comes first, then the files in the order of linking, with their exact bytes."""
    files = tuple(
        Attachment(id=f"A{number}", name=f"{number}.bin", size=256, mimetype="image/png")
        for number in (2, 1)
    )
    contents = {"A1": bytes(range(256)), "A2": b"", "A3": b"not linked"}
    raw = rendered(structured_text="<p>yes", attachments=files, contents=contents)
    assert fields(raw)["Content-Type"].startswith("multipart/mixed;")
    assert leaves(raw)[2:] == [
        ("image/png", "2.bin", b""),
        ("image/png", "1.bin", bytes(range(256))),
    ]
    assert [part.content for part in parse_elsewhere(raw).attachments] == [b"", bytes(range(256))]


@pytest.mark.parametrize(
    ("mimetype", "written"),
    [
        ("application/pdf", "application/pdf"),
        ("Image/PNG", "image/png"),
        ("text/csv", "text/csv"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("text/plain; charset=x", "application/octet-stream"),
        ("a/b\r\nBcc: x@example.org", "application/octet-stream"),
        ("ä/b", "application/octet-stream"),
    ],
)
def test_types_of_attachments(mimetype: str, written: str) -> None:
    """Whatever type is given, the part is a leaf with the exact bytes."""
    raw = rendered(**attached(mimetype=mimetype))
    assert leaves(raw)[1:] == [(written, "a.pdf", b"\0\xff\r\n")]
    assert "bcc" not in raw.decode().lower()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b.pdf",
        'the "new" one.pdf',
        "back\\slash.pdf",
        "semi;colon,comma='*%.pdf",
        "Übersicht 2024.pdf",
        "写真" * 40 + ".png",
        "x" * 300 + ".txt",
        "=?utf-8?q?a?=.pdf",
        " spaces ",
        "tab\there",
        "(comment).pdf",
    ],
)
def test_names_of_attachments(name: str) -> None:
    """A file name comes out as it went in (RFC 2231 where it is not simple)."""
    raw = rendered(**attached(name=name))
    assert raw.isascii()
    assert (leaves(raw)[1][1] or "") == name.strip()  # as the standard library has it
    assert b"\r\nContent-Disposition: attachment" in raw
    assert parse_elsewhere(raw).attachments[0].filename == name


def test_boundary_that_the_text_holds_already() -> None:
    """A boundary is another one where the text happens to hold the first choice."""
    raw = rendered(structured_text="<p>yes")
    match = re.search(rb'boundary="([^"]+)"', raw)
    assert match
    first = match[1].decode()
    raw = rendered(text=f"--{first}\n--{first}--", structured_text="<p>yes")
    assert [content for _, _, content in leaves(raw)] == [
        f"--{first}\r\n--{first}--".encode(),
        b"<p>yes",
    ]


def test_same_arguments_same_bytes() -> None:
    """Rendering is repeatable to the byte, and depends on each of its arguments."""
    one = rendered(structured_text="<p>yes", **attached())
    assert rendered(structured_text="<p>yes", **attached()) == one
    other = render(DRAFT, at=AT, message_id="<reply-2@example.com>")
    assert other.replace(b"reply-2", b"reply-1") == rendered()


def test_what_we_render_we_can_parse() -> None:
    """A reply that comes back is read as what it was."""
    raw = rendered(
        subject="Re: Größe", structured_text="<p>ja", cc_addresses=("Zoë <z@example.org>",),
        **attached(name="Größe.pdf"),
    )  # fmt: skip
    parsed = parse_mail(raw)
    email = parsed.email
    assert (email.subject, email.text, email.structured_text) == ("Re: Größe", DRAFT.text, "<p>ja")
    assert email.from_address == DRAFT.from_address
    assert email.to_address == DRAFT.to_address
    assert email.cc_addresses == ("Zoë <z@example.org>",)
    assert (email.date, email.message_id) == (AT.replace(microsecond=0), MESSAGE_ID)
    assert email.references == DRAFT.references
    assert [(file.name, file.size) for file in email.attachments] == [("Größe.pdf", 4)]
    assert parsed.contents == {"A1": b"\0\xff\r\n"}
    assert not email.is_automatic


# Refusals


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"to_address": ""}, "$.toAddress"),
        ({"to_address": "  "}, "$.toAddress"),
        ({"to_address": "not an address"}, "$.toAddress"),
        ({"to_address": "undisclosed-recipients:;"}, "$.toAddress"),
        ({"to_address": "a@example.org, not an address"}, "$.toAddress"),
        ({"to_address": "a@example.org\r\nBcc: x@example.org"}, "$.toAddress"),
        ({"to_address": "a@example.org\n"}, "$.toAddress"),
        ({"to_address": "a@example.org\r"}, "$.toAddress"),
        ({"to_address": "a@example.org\0"}, "$.toAddress"),
        ({"to_address": '"a\u2028b"@example.org'}, "$.toAddress"),
        ({"to_address": f"{'x' * 900}@example.org"}, "$.toAddress"),
        ({"to_address": "\ud800 <a@example.org>"}, "$.toAddress"),
        ({"from_address": ""}, "$.fromAddress"),
        ({"from_address": "help"}, "$.fromAddress"),
        ({"from_address": "help@example.com\nX: y"}, "$.fromAddress"),
        ({"cc_addresses": ("a@example.org", "nobody")}, "$.ccAddresses[1]"),
        ({"cc_addresses": ("",)}, "$.ccAddresses[0]"),
        ({"cc_addresses": ("a@example.org\r\n b@example.org",)}, "$.ccAddresses[0]"),
        ({"subject": "a\nb"}, "$.subject"),
        ({"subject": "a\rb"}, "$.subject"),
        ({"subject": "a\0b"}, "$.subject"),
        ({"subject": "\udfff"}, "$.subject"),
        ({"text": "\udfff"}, "$.text"),
        ({"structured_text": "\udfff"}, "$.structuredText"),
        ({"references": ("<a@x>", "<b@x>\r\nBcc: c@x")}, "$.references[1]"),
        ({"references": ("a@x",)}, "$.references[0]"),
        ({"references": ("<ä@x>",)}, "$.references[0]"),
        (attached(name="a\r\nb.pdf"), "$.attachments[0].name"),
        (attached(name="\ud800.pdf"), "$.attachments[0].name"),
    ],
)
def test_refused_drafts(changes: dict[str, Any], path: str) -> None:
    """A draft that would make a bad message, or another one, is refused with its path."""
    with pytest.raises(InvalidParameter) as refusal:
        rendered(**changes)
    assert refusal.value.path == path


class Beyond(tzinfo):
    """A zone in which the first moment of the calendar is before it."""

    def utcoffset(self, at: datetime | None) -> timedelta:
        """An hour ahead."""
        return timedelta(hours=1)

    def dst(self, at: datetime | None) -> None:
        """It has none."""

    def tzname(self, at: datetime | None) -> str:
        """Its name."""
        return "beyond"


@pytest.mark.parametrize(
    "at",
    [datetime(2024, 3, 5), datetime.min.replace(tzinfo=Beyond())],
)
def test_refused_times(at: datetime) -> None:
    """A time without zone, or that has no UTC, is refused."""
    with pytest.raises(InvalidParameter) as refusal:
        render(DRAFT, at=at, message_id=MESSAGE_ID)
    assert (refusal.value.path, refusal.value.value) == ("$.at", at)


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        "a@x",
        "<a>",
        "<@x>",
        "<a@>",
        "<a b@x>",
        "<a@x> ",
        "<a@x>\r\nBcc: b@x",
        "<ä@x>",
        "<a@b@c>",
    ],
)
def test_refused_message_ids(message_id: str) -> None:
    """A Message-ID that is none is refused."""
    with pytest.raises(InvalidParameter) as refusal:
        render(DRAFT, at=AT, message_id=message_id)
    assert (refusal.value.path, refusal.value.value) == ("$.messageId", message_id)


def test_attachment_without_content() -> None:
    """A linked file that the content store has lost is not left out silently."""
    changes = attached()
    with pytest.raises(NotFound) as refusal:
        rendered(attachments=changes["attachments"])
    assert refusal.value.value == "IX1A1"


# Any draft

ANY_DRAFT = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=200),
    st.text("From .-\n\r\tx", max_size=200),
    st.text("aä \n", max_size=400),
)
LINES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=150),
    st.text('ab "\\,;:@<>()[]=?_.', max_size=100),
)
NAMES = LINES.map(lambda name: " ".join(name.split()))
BARE = st.builds(
    lambda local, domain: f"{local}@{domain}",
    st.text("abcXYZ019.+-_'", min_size=1, max_size=12).filter(lambda local: ".." not in local),
    st.sampled_from(["example.com", "Mail.Example.org", "a-b.example.net"]),
).filter(lambda bare: not bare.startswith(".") and ".@" not in bare)
PEOPLE = st.lists(st.tuples(NAMES, BARE), min_size=1, max_size=4)


def written(name: str, bare: str) -> str:
    """A name and an address as a person who quotes everything writes them."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{bare}>' if name else bare


@given(PEOPLE, PEOPLE, LINES)
@ANY_DRAFT
def test_any_header_comes_back(
    to: list[tuple[str, str]], cc: list[tuple[str, str]], subject: str
) -> None:
    """Names, addresses and subjects of any characters are read back as they were."""
    raw = rendered(
        to_address=", ".join(written(*person) for person in to),
        cc_addresses=tuple(written(*person) for person in cc),
        subject=subject,
    )
    assert raw.isascii()
    assert people(fields(raw)["To"]) == to
    assert people(fields(raw)["Cc"]) == cc
    assert str(make_header(decode_header(fields(raw)["Subject"]))) == subject
    assert fields(raw).keys() >= {"Date", "From", "To", "Cc", "Message-ID", "MIME-Version"}
    assert len(fields(raw)) == 11


@given(TEXTS, TEXTS)
@ANY_DRAFT
def test_any_body_comes_back(text: str, html: str) -> None:
    """Bodies of any characters are read back as they were, but for line ends."""
    raw = rendered(text=text, structured_text=html)
    assert raw.isascii()
    found = [
        (mimetype, content.decode().replace("\r\n", "\n")) for mimetype, _, content in leaves(raw)
    ]
    bodies = [("text/plain", text), ("text/html", html)]
    expected = [
        (mimetype, body.replace("\r\n", "\n").replace("\r", "\n"))
        for mimetype, body in bodies
        if body
    ]
    assert found == (expected or [("text/plain", "")])


@given(
    st.lists(st.tuples(LINES, st.text(max_size=20), st.binary(max_size=300)), max_size=3),
    st.booleans(),
)
@ANY_DRAFT
def test_any_file_comes_back(files: list[tuple[str, str, bytes]], with_html: bool) -> None:
    """Files of any name, type and content are read back as they were."""
    attachments = tuple(
        Attachment(id=f"A{number}", name=name, size=len(content), mimetype=mimetype)
        for number, (name, mimetype, content) in enumerate(files)
    )
    raw = rendered(
        structured_text="<p>yes" if with_html else "",
        attachments=attachments,
        contents={f"A{number}": content for number, (_, _, content) in enumerate(files)},
    )
    assert raw.isascii()
    found = parse_elsewhere(raw)
    assert [part.content for part in found.attachments] == [content for _, _, content in files]
    assert [part.filename for part in found.attachments] == [name for name, _, _ in files]
    assert [body.replace("\r\n", "\n") for body in found.text_plain] == [DRAFT.text]
    assert list(found.text_html) == (["<p>yes"] if with_html else [])
    assert [content for _, _, content in leaves(raw)[1 + with_html :]] == [
        content for _, _, content in files
    ]
