"""Mail in: samples, fields, bodies, attachments, limits, hostile bytes (semantics 2a, 4)."""

from __future__ import annotations

import base64
import mailbox
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle._addresses import (
    address_parts,
    bare_address,
    format_address,
    join_addresses,
    split_addresses,
)
from lifecycle._mail_text import _CODECS, decode_charset
from lifecycle.errors import MailTooDeep, MailTooLarge, MailTooManyParts
from lifecycle.interaction import Email
from lifecycle.mail import DEFAULT_MAIL_LIMITS, MailLimits, ParsedMail, parse_email, parse_mail

SAMPLES = Path(__file__).parent / "mail"
REAL_MAIL = Path(__file__).parents[2] / "shared" / "mail" / "rubymail"

ADDRESSED = b"From: joe@example.org\nTo: help@example.com\n"

EXPECTED: dict[str, dict[str, Any]] = {
    "attachments": {
        "subject": "Invoice 2024/0117 is wrong",
        "from_address": "Zoë Lindqvist <zoe@example.org>",
        "text": "The total on the invoice is 20 € too high, see line 3.\n",
        "files": [
            ("A1", "invoice.pdf", 79, "application/pdf"),
            ("A2", "Übersicht der Rechnungen.csv", 21, "text/csv"),
            ("A3", "写真.png", 16, "image/png"),
        ],
    },
    "auto_reply": {
        "is_auto_reply": True,
        "is_delivery_report": False,
        "is_automatic": True,
        "references": ("<order-20391@example.com>",),
    },
    "broken_mime": {
        "subject": "Scanned letterpage 1 =?utf-8?Q?oops",
        "text": "Scanned on level 4.\nThere is no part in here.",
        "mime_type": "text/plain",
        "date": None,
        "message_id": None,
        "files": [
            ("A1", "page 1.tif", 10, "application/octet-stream"),
            ("A2", "", 1, "application/octet-stream"),
        ],
    },
    "calendar_invite": {
        "text": "Can we measure the rooms on Tuesday at ten?\nSent from the planning desk.",
        "files": [("A1", "", 41, "text/calendar")],
    },
    "cc_team": {
        "to_address": 'help@example.com, "Costa, Rui" <rui@example.org>',
        "cc_addresses": (
            "Accounts <accounts@example.org>",
            "Jérôme <jerome@example.net>",
            "sales@example.com",
            '"O\'Neill (legal)" <legal@example.org>',
        ),
    },
    "delivery_report": {
        "is_auto_reply": False,
        "is_delivery_report": True,
        "is_automatic": True,
        "text": "Your message could not be delivered to <nobody@example.org>:\n"
        "there is no such mailbox here.\n",
        "files": [
            ("A1", "", 161, "message/delivery-status"),
            ("A2", "", 137, "message/rfc822"),
        ],
    },
    "forwarded_message": {
        "subject": "Fwd: Your subscription",
        "text": "Is this mail really from you?",
        "files": [("A1", "Your subscription.eml", 321, "message/rfc822")],
    },
    "group_address": {
        "to_address": '"Lee, Ana" <ana@example.org>, help@example.com, Bo <bo@example.net>',
        "cc_addresses": (),
        "mime_type": "text/plain",
    },
    "html_alternative": {
        "from_address": '"Okafor, Ben" <ben@example.net>',
        "text": "We need 40 desk lamps by May.\nWhat would that cost?",
        "mime_type": "text/plain",
        "structured_text": "<p>We need <b>40</b> desk lamps by May.<br>"
        "What would that cost, in €?</p>",
        "structured_text_mime_type": "text/html",
        "files": [],
    },
    "html_only": {
        "text": "",
        "mime_type": "",
        "structured_text": "<html><body><p>The link in your mail says “expired” after one minute."
        "</p></body></html>\n",
        "structured_text_mime_type": "text/html",
    },
    "inline_image": {
        "text": "See the picture: the scratch is 4 cm long.",
        "structured_text": '<p>See the picture: <img src="cid:scratch"> '
        "the scratch is 4 cm long.</p>",
        "files": [("A1", "", 23, "image/gif")],
    },
    "iso2022jp_order": {
        "subject": "椅子の注文",
        "from_address": "山田春 <haru@example.org>",
        "text": "椅子を二脚注文したいのですが、在庫はありますか。\nよろしくお願いします。\n",
    },
    "koi8r_question": {
        "subject": "Гарантия на чайник",
        "from_address": "Павел Орлов <pavel@example.net>",
        "text": "Здравствуйте!\nКакая гарантия на чайник?\n",  # noqa: RUF001  # it is Russian
    },
    "latin1_french": {
        "subject": "Réclamation concernant la livraison de mon nouveau canapé",
        "from_address": "Hélène Dupré <helene@example.net>",
        "to_address": "Service à la clientèle <help@example.com>",
        "text": "Bonjour,\n\nle canapé est arrivé avec un pied cassé. Pourriez-vous m'envoyer une"
        " pièce de rechange ?\n\nCordialement,\nHélène Dupré\n",
    },
    "long_header": {
        "subject": " ".join(
            f"part {number} of the archive of customer letters," for number in range(1, 41)
        ),
        "references": (
            "<letter-1@example.org>",
            *(f"<letter-{number}@example.org>" for number in range(52, 151)),
        ),
    },
    "no_from": {
        "subject": "Broken zip",
        "from_address": "",
        "date": None,
        "message_id": None,
    },
    "no_subject": {
        "subject": "",
        "date": datetime(2024, 3, 16, 23, 59, 59, tzinfo=UTC),
        "message_id": "<nosubject@example.net>",
    },
    "plain_question": {
        "subject": "Where is my parcel?",
        "from_address": "Greta Holm <greta.holm@example.org>",
        "to_address": "Customer Help <help@example.com>",
        "cc_addresses": (),
        "reply_to": "",
        "text": "Hello,\n\nI ordered a kettle two weeks ago (order 20418) and the tracking page\n"
        'still says "label printed". Can you tell me when it will arrive?\n\n'
        "Regards,\nGreta Holm\n",
        "mime_type": "text/plain",
        "structured_text": "",
        "structured_text_mime_type": "",
        "date": datetime(2024, 3, 4, 8, 12, 39, tzinfo=UTC),
        "message_id": "<20240304091239.4711@example.org>",
        "references": (),
        "is_auto_reply": False,
        "is_delivery_report": False,
        "is_automatic": False,
        "files": [],
    },
    "reply_to": {
        "from_address": "Web form <no-reply@example.net>",
        "reply_to": '"Ines (Shop 12)" <ines@example.org>',
        "date": datetime(2024, 3, 14, 12, tzinfo=UTC),
    },
    "thread_reply": {
        "references": (
            "<20240304091239.4711@example.org>",
            "<reply-1@example.com>",
            "<20240305080000.4713@example.org>",
            "<reply-2@example.com>",
        ),
        "text": "It arrived today. Thank you!\n\n"
        "> We have asked the carrier and will write again on Wednesday.\n",
    },
    "utf8_german": {
        "subject": "Rückgabe der Gartenmöbel",
        "from_address": "Jürgen Weiß <jürgen@grüße.example.org>",
        "text": "Guten Tag,\n\ndie Stühle sind größer als beschrieben. Ich möchte sie "
        "zurückgeben.\n\nJürgen Weiß\n",
    },
    "windows1252_mislabelled": {
        "text": "You wrote “within five days”. That was on the 1st. I am still\n"
        "waiting for my €25.\n",
    },
}


def files_of(email: Email) -> list[tuple[str, str, int, str]]:
    """Id, name, size and type of each attachment."""
    return [(file.id, file.name, file.size, file.mimetype) for file in email.attachments]


def sample(name: str) -> bytes:
    """The bytes of a sample mail."""
    return (SAMPLES / f"{name}.eml").read_bytes()


def part(content: bytes, content_type: str = "text/plain", *fields: str) -> bytes:
    """A part of this type, with more fields in front of its content."""
    head = "\n".join([f"Content-Type: {content_type}", *fields])
    return head.encode("utf-8", "surrogateescape") + b"\n\n" + content


def multipart(subtype: str, *parts: bytes, boundary: str = "b") -> bytes:
    """A multipart as a part; in front of it fields can stand, so it is a mail as well."""
    body = b"".join(b"--%s\n%s\n" % (boundary.encode(), each) for each in parts)
    return part(body + b"--%s--\n" % boundary.encode(), f"multipart/{subtype}; boundary={boundary}")


def assert_sound(parsed: ParsedMail) -> None:
    """What holds for every parsed mail, whatever its bytes are."""
    email = parsed.email
    orjson.dumps(attrs.asdict(email))
    lines = [
        email.subject, email.from_address, email.to_address, email.reply_to, email.message_id or "",
        *email.cc_addresses, *email.references, *(file.name for file in email.attachments),
    ]  # fmt: skip
    for line in lines:
        assert len(line.splitlines()) < 2
        assert "\0" not in line
    for body in (email.text, email.structured_text):
        assert "\r" not in body
        assert "\0" not in body
    assert bool(email.text) == bool(email.mime_type)
    assert bool(email.structured_text) == (email.structured_text_mime_type == "text/html")
    assert email.date is None or email.date.tzinfo is UTC
    assert len(email.references) <= 100
    assert list(parsed.contents) == [file.id for file in email.attachments]
    for number, file in enumerate(email.attachments, 1):
        assert file.id == f"A{number}"
        assert file.size == len(parsed.contents[file.id])
        assert not set(file.name) & set("/\\")
        assert file.mimetype == file.mimetype.lower()
        assert file.mimetype.count("/") == 1


# Samples


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_sample(name: str) -> None:
    """Each sample mail gives what a mail client would show of it."""
    parsed = parse_mail(sample(name))
    assert_sound(parsed)
    expected = dict(EXPECTED[name])
    if "files" in expected:
        assert files_of(parsed.email) == expected.pop("files")
    assert {key: getattr(parsed.email, key) for key in expected} == expected


def test_every_sample_is_expected() -> None:
    """No sample mail lies about that nothing looks at."""
    assert {path.stem for path in SAMPLES.glob("*.eml")} == set(EXPECTED)


def test_contents_of_attachments() -> None:
    """The contents are the decoded bytes, and those of an attached mail its own bytes."""
    contents = parse_mail(sample("attachments")).contents
    assert contents["A1"].startswith(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    assert contents["A2"] == b"line;amount\n3;120.00\n"
    assert contents["A3"] == b"\x89PNG" + bytes(12)
    inner = parse_mail(sample("forwarded_message")).contents["A1"]
    assert parse_email(inner).subject == "Your subscription"
    assert files_of(parse_email(inner)) == [("A1", "bill.zip", 22, "application/zip")]


def test_ids_have_the_prefix() -> None:
    """Attachments are numbered from 1 behind the prefix."""
    email = parse_email(sample("attachments"), id_prefix="X7")
    assert [file.id for file in email.attachments] == ["X7A1", "X7A2", "X7A3"]
    assert email == parse_mail(sample("attachments"), id_prefix="X7").email


def test_mbox() -> None:
    """The messages of the mbox are the four that it shows."""
    box = mailbox.mbox(SAMPLES / "samples.mbox", create=False)
    try:
        subjects = [parse_email(box.get_bytes(key)).subject for key in box.iterkeys()]
        second = list(box.iterkeys())[1]
        with_envelope = parse_email(box.get_bytes(second, from_=True))
    finally:
        box.close()
    assert subjects == ["Gift card", "Re: Gift card", "Missing screws", "Thank you"]
    assert with_envelope.subject == "Re: Gift card"
    assert with_envelope.from_address == "paul@example.net"


def test_maildir() -> None:
    """The Maildir has mail that was seen and mail that was not."""
    box = mailbox.Maildir(SAMPLES / "maildir", create=False)
    found = {parse_email(box.get_bytes(key)).subject for key in box.iterkeys()}
    assert found == {"Do you ship to islands?", "Spare lid", "Re: Spare lid"}
    assert [file.name for file in (SAMPLES / "maildir" / "new").iterdir()] == [
        "1711412000.M1P1.shop"
    ]


REAL_EXPECTED: dict[str, dict[str, Any]] = {
    "attachment_emails/attachment_with_quoted_filename.eml": {
        "subject": "Eelanalüüsi päring",
        "files": [("A1", "Eelanalüüsi päring.jpg", 1952, "image/jpeg")],
    },
    "attachment_emails/attachment_with_encoded_name.eml": {
        "files": [("A1", "01 Quien Te Dij\ufffdat. Pitbull.mp3", 399, "application/octet-stream")],
    },
    "attachment_emails/attachment_nonascii_filename.eml": {
        "files": [("A1", "ciële.txt", 11, "text/plain")],
    },
    "error_emails/bad_subject.eml": {
        "subject": "MySurvey.com:  You have a survey waiting!  91123105",
        "from_address": '"MySurvey.com & Carol Adams" <carol@mysurvey.com>',
    },
    "error_emails/empty_group_lists.eml": {"to_address": "", "cc_addresses": ()},
    "error_emails/weird_to_header.eml": {
        "to_address": "user-example@aol.com, e-s-a-s-2200@app.ar.com",
    },
    "error_emails/invalid_subject_characters.eml": {
        "subject": "Forma\ufffd\ufffdo FrenetikPolis: Mega Campanha Final Ver\ufffdo "
        "| Cursos de Setembro",
        "from_address": "Formação Frenetikpolis <info@formacaofrenetik.info>",
    },
    "multi_charset/japanese_attachment_long_name.eml": {
        "files": [("A1", "かきくけこ" * 5 + ".txt", 18, "text/plain")],
    },
    "multi_charset/ks_c_5601-1987.eml": {"text": "스티해\n"},
    "plain_emails/raw_email_with_partially_quoted_subject.eml": {
        "subject": 'Re: Test: "漢字" mid "漢字" tail',
    },
    "rfc2822/example10.eml": {
        "from_address": "Pete <pete@silly.test>",
        "to_address": "Chris Jones <c@public.example>, joe@example.org, John <jdoe@one.test>",
        "cc_addresses": (),
        "date": datetime(1969, 2, 14, 3, 2, tzinfo=UTC),
    },
    "rfc2822/example13.eml": {
        "from_address": "John Doe <jdoe@machine.example>",
        "subject": "Saying Hello",
        "date": datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC),
        "text": 'This is a message just to say hello.\nSo, "Hello".\n',
    },
    "rfc6532/utf8_headers.eml": {"from_address": "Jöhn Doe <jdöe@mächine.example>"},
}


@pytest.mark.skipif(not REAL_MAIL.is_dir(), reason="the shared real mail is not here")
def test_real_mail() -> None:
    """All 103 real messages parse soundly, and the awkward ones to what they say."""
    paths = sorted(REAL_MAIL.rglob("*.eml"))
    assert len(paths) == 103
    for path in paths:
        raw = path.read_bytes()
        parsed = parse_mail(raw)
        assert_sound(parsed)
        expected = dict(REAL_EXPECTED.get(str(path.relative_to(REAL_MAIL)), {}))
        if "files" in expected:
            assert files_of(parsed.email) == expected.pop("files")
        assert {key: getattr(parsed.email, key) for key in expected} == expected


# Limits


def test_default_limits() -> None:
    """The limits are 25 MiB, 500 levels and 5,000 parts."""
    assert MailLimits(size=26_214_400, depth=500, parts=5000) == DEFAULT_MAIL_LIMITS


def test_size_limit() -> None:
    """A mail of exactly the size passes, one more byte is too large."""
    limits = MailLimits(size=100)
    assert parse_email(b"\n".ljust(100, b"x"), limits=limits).text == "x" * 99
    with pytest.raises(MailTooLarge) as refusal:
        parse_email(b"\n".ljust(101, b"x"), limits=limits)
    assert refusal.value.value == 100


def nested_multiparts(levels: int) -> bytes:
    """Multiparts in one another, and a text in the last."""
    heads = (
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (level, level)
        for level in range(levels)
    )
    return b"".join(heads) + part(b"at the bottom\n")


def nested_mails(levels: int) -> bytes:
    """Mails attached to one another, and a text in the last."""
    return b"Content-Type: message/rfc822\n\n" * levels + b"Subject: innermost\n\nhello\n"


@pytest.mark.parametrize("nested", [nested_multiparts, nested_mails])
def test_depth_limit(nested: Callable[[int], bytes]) -> None:
    """500 levels of multiparts, or of attached mails, pass; 501 are too deep."""
    parsed = parse_mail(nested(500))
    assert (parsed.email.text or parsed.contents["A1"].decode()).endswith(
        ("at the bottom\n", "hello\n")
    )
    with pytest.raises(MailTooDeep) as refusal:
        parse_mail(nested(501))
    assert refusal.value.value == 500


def test_depth_far_beyond_the_limit() -> None:
    """A hundred thousand levels are refused like 501, not with an error of recursion."""
    with pytest.raises(MailTooDeep):
        parse_mail(nested_multiparts(100_000))


def test_parts_limit() -> None:
    """5,000 parts pass, 5,001 are too many."""
    assert parse_email(multipart("mixed", *[part(b"x")] * 5000)).text == "\n".join("x" * 5000)
    with pytest.raises(MailTooManyParts) as refusal:
        parse_email(multipart("mixed", *[part(b"x")] * 5001))
    assert refusal.value.value == 5000


def test_parts_inside_attached_mail_count() -> None:
    """The parts of an attached mail count as well, because whoever opens it meets them."""
    inner = part(multipart("mixed", part(b"1"), part(b"2"), boundary="i"), "message/rfc822")
    mail = multipart("mixed", inner)
    assert parse_mail(mail, limits=MailLimits(parts=3, depth=3)).email.attachments
    with pytest.raises(MailTooManyParts):
        parse_mail(mail, limits=MailLimits(parts=2))
    with pytest.raises(MailTooDeep):
        parse_mail(mail, limits=MailLimits(depth=2))


HOSTILE_SIZE = 3 * 1024 * 1024
HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "empty lines": (b"", b"\n"),
    "nothing but NUL": (b"", b"\0"),
    "one line": (b"", b"a"),
    "short fields": (b"", b"a:b\n"),
    "addresses in as many fields": (b"", b"To:b@c\n"),
    "one field": (b"Subject: ", b"x"),
    "one field of many folds": (b"Subject: ", b"\n "),
    "lines that are no fields": (ADDRESSED, b"a\nb:\n"),
    "encoded words": (b"Subject: ", b"=?utf-8?q?=C3=A9?= =?latin1?b?eA?= "),
    "encoded words without end": (b"Subject: ", b"=?a?q?"),
    "addresses": (b"To: ", b"ab@example.com,"),
    "addresses with encoded names": (b"Cc: ", b"=?utf-8?q?abcdef?= <ab@example.com>,"),
    "open comments": (b"To: ", b"("),
    "open angles": (b"To: ", b"<"),
    "escaped quotes": (b"To: ", b'<\\"'),
    "closed quotes": (b"To: ", b'""'),
    "references": (b"References: ", b"<a@b>"),
    "message ids without end": (b"Message-ID: ", b"<"),
    "a long date": (b"Date: ", b"1 "),
    "parameters": (b"Content-Type: text/plain", b";a=b"),
    "sections of a parameter": (b"Content-Type: text/plain", b";name*1*=b"),
    "quotes in a parameter": (b"Content-Type: text/plain", b';a="\\"'),
    "lines like boundaries": (b"Content-Type: multipart/x; boundary=b\n\n--b\n\n", b"--\n"),
    "lines like boundaries in a header": (
        b"Content-Type: multipart/x; boundary=b\n\n--b\n", b"--a:\n",
    ),
    "deep multiparts": (nested_multiparts(499), b"--5x\n"),
    "dashes": (b"Content-Type: multipart/x; boundary=b\n\n--b\n\n", b"-"),
    "base64 padding": (b"Content-Transfer-Encoding: base64\n\n", b"="),
    "quoted-printable": (b"Content-Transfer-Encoding: quoted-printable\n\n", b"= "),
    "uuencode": (b"Content-Transfer-Encoding: uuencode\n\nbegin 644 x\n", b"!00\n"),
    "not UTF-8": (b"Content-Type: text/plain; charset=utf-8\n\n", b"\xff"),
    "not ISO-2022-JP": (b"Content-Type: text/plain; charset=iso-2022-jp\n\n", b"\x1b"),
    "not windows-1252": (b"Content-Type: text/plain; charset=iso-8859-1\n\n", b"\x81"),
}  # fmt: skip


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_shapes_take_linear_time(shape: str) -> None:
    """Sixteen times the mail takes about sixteen times the work; quadratic would be 256 times."""
    start, unit = HOSTILE[shape]
    assert_linear(lambda size: start + unit * ((size - len(start)) // len(unit)))


def test_carriage_returns_take_linear_time() -> None:
    """A header of nothing but carriage returns is unfolded in one go."""
    assert_linear(lambda size: b"Subject: x" + b"\r" * size)


def assert_linear(mail: Callable[[int], bytes]) -> None:
    """The work grows with the size of the mail, by the ratio of two runs side by side."""
    small, large = mail(HOSTILE_SIZE // 16), mail(HOSTILE_SIZE)
    # What takes less than 5 ms is too short to be compared, and too fast to matter.
    ratio = work(large) / max(work(small), work(small), 0.005)
    assert ratio < 96  # far from both


def work(raw: bytes) -> float:
    """The processor time that parsing takes."""
    began = time.process_time()
    assert_sound(parse_mail(raw))
    return time.process_time() - began


def test_a_header_of_a_megabyte_is_kept() -> None:
    """A very long subject and a very long list of addresses are read in full."""
    subject = "x" * 1_000_000
    people = ", ".join(f"agent{number}@example.com" for number in range(40_000))
    email = parse_email(f"Subject: {subject}\nTo: {people}\n\n".encode())
    assert email.subject == subject
    assert email.to_address == people


def test_an_endless_list_of_addresses_is_cut_between_two() -> None:
    """Of a list over the bound the first addresses count, and none is cut in half."""
    email = parse_email(b"Cc: " + b"someone@example.com," * 60_000 + b"\n\n")
    assert set(email.cc_addresses) == {"someone@example.com"}
    assert 50_000 < len(email.cc_addresses) < 60_000


# Header fields


def test_no_bytes_at_all() -> None:
    """Nothing gives an empty mail."""
    assert parse_mail(b"") == ParsedMail(email=Email(), contents={})


def test_text_without_header() -> None:
    """Bytes that do not begin with a field are the body of a mail without fields."""
    email = parse_email(b"just words\nNote: this is no field\n")
    assert email == Email(text="just words\nNote: this is no field\n", mime_type="text/plain")


@pytest.mark.parametrize(
    ("raw", "subject", "text"),
    [
        (b"Subject: a\nhello there\n\nmore\n", "a", "hello there\n\nmore\n"),
        (b"X: 1\nstray line\nSubject: a\n\nhello\n", "a", "hello\n"),
        (b"X: 1\n__\n  more of it\nSubject: a\n\nhello\n", "a", "hello\n"),
        (b"From joe Mon May  2 16:07:05 2005\nSubject: a\n\nhello\n", "a", "hello\n"),
        (b">From joe Mon May  2 16:07:05 2005\nSubject: a\n\nhello\n", "a", "hello\n"),
        (b"From joe", "", ""),
        (b"Subject : a\n\nhello\n", "a", "hello\n"),
        (b"sUBJECT:a\r\n\r\nhello\r\n", "a", "hello\n"),
        (b"  \nSubject: a\n", "", "Subject: a\n"),
        (b"Subject: a", "a", ""),
        (b"Subject: a\n--b: c\nX: 1\n\nhello\n", "a", "hello\n"),
        (b"Subject: a\n--\nhello\n", "a", "--\nhello\n"),
    ],
)
def test_where_the_header_ends(raw: bytes, subject: str, text: str) -> None:
    """The header ends where clients see its end, also where its lines are broken."""
    email = parse_email(raw)
    assert (email.subject, email.text) == (subject, text)


def test_first_of_duplicate_fields_counts() -> None:
    """A forged second field does not replace the first; lists are joined."""
    email = parse_email(
        b"From: a@example.org\nFrom: forged@example.net\nSubject: one\nSubject: two\n"
        b"To: b@example.com\nTo: c@example.com\nCc: d@example.com\nCC: e@example.com\n"
        b"Reply-To: f@example.com\nReply-To: g@example.com\n"
        b"Content-Type: text/plain\nContent-Type: text/html\n\n<p>\n"
    )
    assert email.from_address == "a@example.org"
    assert email.subject == "one"
    assert email.to_address == "b@example.com, c@example.com"
    assert email.cc_addresses == ("d@example.com", "e@example.com")
    assert email.reply_to == "f@example.com"
    assert email.text == "<p>\n"


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"=?utf-8?Q?caf=C3=A9_?= =?utf-8?q?au?=\n =?UTF-8?B?IGxhaXQ=?=", "café au lait"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        (b"=?utf-8?q?a?= =?latin1?q?=E9?=", "aé"),
        (b"=?utf-8*en?q?hello?= world", "hello world"),
        (b"before=?utf-8?q?-in-?=after", "before-in-after"),
        (b"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b"=?nonsense?q?=C3=A9?=", "é"),
        (b"=?nonsense?q?=E9?=", "\ufffd"),
        (b"=?utf-8?b?!!!?=", ""),
        (b"=?utf-8?b?YWJjZ?=", "abc"),
        (b"=?utf-8?b?=C3=A9", "=?utf-8?b?=C3=A9"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\ufffd"),
        (b"=?utf-8?q?line=0D=0ABcc:_x@example.org?=", "line  Bcc: x@example.org"),
        (b"one\0two\x07three\x7f", "onetwothree"),
        (b"=?utf-8?q?a=E2=80=A8b=C2=85c?=", "a b c"),
        (b"=?utf-7?q?+2AA-?=", "\ufffd"),
        (b"a\r\n\tb\r\n   c", "a b c"),
        (b"a  b", "a  b"),
    ],
)
def test_subject(raw: bytes, subject: str) -> None:
    """A subject is unfolded, decoded and on one line."""
    assert parse_email(b"Subject: " + raw + b"\n\n").subject == subject


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"joe@example.org", "joe@example.org"),
        (b"<joe@example.org>", "joe@example.org"),
        (b"Joe Roe <joe@Example.org>", "Joe Roe <joe@Example.org>"),
        (b'"Roe, Joe" <joe@example.org>', '"Roe, Joe" <joe@example.org>'),
        (b'"Joe \\"J\\" Roe" <joe@example.org>', '"Joe \\"J\\" Roe" <joe@example.org>'),
        (b"=?utf-8?q?Roe=2C_Jo=C3=A9?= <joe@example.org>", '"Roe, Joé" <joe@example.org>'),
        (b'"=?utf-8?q?Jo=C3=A9?=" <joe@example.org>', "Joé <joe@example.org>"),
        (b"joe@example.org (Joe Roe)", "Joe Roe <joe@example.org>"),
        (b"Jo\xc3\xa9 <joe@example.org>", "Joé <joe@example.org>"),
        (b"Jo\xe9 <joe@example.org>", "Jo\ufffd <joe@example.org>"),
        (b"jo\xe9@example.org", "jo\ufffd@example.org"),
        (b"=?utf-8?q?a=0D=0Ab?= <joe@example.org>", "a b <joe@example.org>"),
        (b"Team: a@example.org, B <b@example.org>;", "a@example.org, B <b@example.org>"),
        (b"undisclosed-recipients:;", ""),
        (b"joe roe", "joe roe"),
        (b"=?utf-8?q?no_addr=C3=A9ss?=", "no addréss"),
        (b"tim@example.org tom@example.org", "tim@example.org tom@example.org"),
        (b"\x01, a@example.org", "a@example.org"),
        (b"", ""),
    ],
)
def test_address_fields(raw: bytes, expected: str) -> None:
    """An address field is decoded and still a list of addresses; junk stands as it is."""
    email = parse_email(b"From: " + raw + b"\nTo: " + raw + b"\n\n")
    assert email.from_address == expected
    assert email.to_address == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 04 Mar 2024 09:12:39 +0100", datetime(2024, 3, 4, 8, 12, 39, tzinfo=UTC)),
        ("4 Mar 24 09:12 EST", datetime(2024, 3, 4, 14, 12, tzinfo=UTC)),
        ("Mon, 4 Mar 2024 09:12:39 -0000", datetime(2024, 3, 4, 9, 12, 39, tzinfo=UTC)),
        ("Mon, 4 Mar 2024 09:12:39", datetime(2024, 3, 4, 9, 12, 39, tzinfo=UTC)),
        ("Mon, 4 Mar 2024 09:12:39 XYZ", datetime(2024, 3, 4, 9, 12, 39, tzinfo=UTC)),
        ("Mon, 4 Mar 2024 (day) 09 : 12:60 Z (x)", datetime(2024, 3, 4, 9, 12, 59, tzinfo=UTC)),
        ("Mon, 4 Mar 0000 09:12:39 +0000", datetime(2000, 3, 4, 9, 12, 39, tzinfo=UTC)),
        ("Mon, 4 Mar 10000 09:12:39 +0000", None),
        ("1 Jan 9999 23:59:59 -2300", datetime(9999, 1, 2, 22, 59, 59, tzinfo=UTC)),
        ("31 Dec 9999 23:59:59 -2300", None),
        ("Mon, 4 Mar 2024 09:12:39 +9900", None),
        ("Mon, 31 Feb 2024 09:12:39 +0000", None),
        ("Mon, 4 Mar 2024 25:12:39 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_date(text: str, expected: datetime | None) -> None:
    """A date is in UTC, also where it names no zone; a date that is none is None."""
    assert parse_email(f"Date: {text}\n\n".encode()).date == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<a@example.org>", "<a@example.org>"),
        (b"(comment) <a@example.org> <b@example.org>", "<a@example.org>"),
        (b"<a\n b@example.org>", "<ab@example.org>"),
        (b"a@example.org", None),
        (b"<\xc3\xa9@example.org>", None),
        (b"<>", None),
        (b"<" + b"x" * 900 + b">", "<" + "x" * 900 + ">"),
        (b"<" + b"x" * 901 + b">", None),
    ],
)
def test_message_id(raw: bytes, expected: str | None) -> None:
    """A Message-ID stands in angle brackets, in visible ASCII and not without end."""
    assert parse_email(b"Message-ID: " + raw + b"\n\n").message_id == expected


def test_references() -> None:
    """The references are in order and once each, with what the mail answers at the end."""
    email = parse_email(
        b"References: <1@x> <2@x>\nReferences: <1@x>, <3@x>\nIn-Reply-To: <4@x> <5@x>\n\n"
    )
    assert email.references == ("<1@x>", "<2@x>", "<3@x>", "<4@x>")
    assert parse_email(b"References: <1@x> <2@x>\nIn-Reply-To: <1@x>\n\n").references == (
        "<1@x>",
        "<2@x>",
    )
    assert parse_email(b"In-Reply-To: your mail\n\n").references == ()


def test_many_references() -> None:
    """Of a hundred and more references the first and the last ones are kept."""
    ids = [f"<{number}@example.org>" for number in range(20_000)]
    assert parse_email(f"References: {' '.join(ids[:100])}\n\n".encode()).references == tuple(
        ids[:100]
    )
    endless = f"References: {' '.join(ids * 4)}\n\n".encode()
    assert len(endless) > 1024 * 1024
    assert parse_email(endless).references[:1] == (ids[0],)
    assert len(parse_email(endless).references) == 100
    for count in (101, 20_000):
        raw = f"References: {' '.join(ids[:count])}\nIn-Reply-To: <last@x>\n\n".encode()
        assert parse_email(raw).references == (ids[0], *ids[count - 98 : count], "<last@x>")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Auto-Submitted: auto-replied", True),
        ("Auto-Submitted: AUTO-GENERATED; reason=x", True),
        ("Auto-Submitted: no", False),
        ("Auto-Submitted: No (written by hand); x=y", False),
        ("Auto-Submitted:", False),
        ("Precedence: auto_reply", True),
        ("Precedence: bulk", False),
        ("X-Autoreply: yes", True),
        ("X-Autoreply: no", False),
        ("X-Autorespond: on holiday", True),
        ("X-Auto-Response-Suppress: All", True),
        ("X-Auto-Response-Suppress: DR, AutoReply", True),
        ("X-Auto-Response-Suppress: DR, RN", False),
        ("Subject: Automatic reply", False),
    ],
)
def test_auto_reply(field: str, expected: bool) -> None:
    """A mail is automatic by what its header says (RFC 3834), not by its subject."""
    email = parse_email(f"{field}\n\nhello\n".encode())
    assert email.is_auto_reply is expected
    assert email.is_automatic is expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Return-Path: <>", True),
        ("Return-Path: < >", True),
        ("Return-Path: <joe@example.org>", False),
        ("Return-Path:", False),
        ("Content-Type: multipart/report; report-type=disposition-notification", True),
        ("Content-Type: message/delivery-status", True),
        ("Content-Type: multipart/mixed", False),
    ],
)
def test_delivery_report(field: str, expected: bool) -> None:
    """A report is known by its type or by its empty return path."""
    email = parse_email(f"{field}\n\nhello\n".encode())
    assert email.is_delivery_report is expected
    assert email.is_automatic is expected


# Bodies


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("text/plain; charset=utf-8", "Grüße".encode(), "Grüße"),
        ('text/plain; charset="utf-8"', "Grüße".encode(), "Grüße"),
        ("text/plain; charset=us-ascii", b"hi", "hi"),
        ("text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
        ("text/plain", b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
        ("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe \x80", "Grüße €"),
        ("text/plain; charset=iso-8859-1", b"\x81", "\ufffd"),
        ("text/plain; charset=koi8-r", "чай".encode("koi8-r"), "чай"),
        ("text/plain; charset=koi8-r (Russian)", "чай".encode("koi8-r"), "чай"),
        ("text/plain; charset=gb2312", "镕".encode("gbk"), "镕"),
        ("text/plain; charset=shift_jis", "①".encode("cp932"), "①"),
        ("text/plain; charset=utf-16", "hi".encode("utf-16"), "hi"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbfhi", "hi"),
        ("text/plain; charset=utf-8", b"\xff\xfe", "\ufffd\ufffd"),
        ("text/plain; charset=gbk", "é".encode() + b"\xff", "茅\ufffd"),
        ("text/plain; charset=iso-2022-jp", "é€".encode(), "é€"),
        ("text/plain; charset=unicode_escape", b"\\ud800", "\\ud800"),
        ("text/plain; charset=base64", b"aGk=", "aGk="),
        ("text/plain; charset=\0", b"hi", "hi"),
        ("text/plain; charset=utf-7", b"+2AA-", "\ufffd"),
        ("text/plain", b"a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("text/plain", b"a\0b", "a\ufffdb"),
        ("text/plain", b" \n\t\n", ""),
    ],
)  # fmt: skip
def test_text(content_type: str, content: bytes, text: str) -> None:
    """Text is decoded, with U+FFFD for what does not decode and newlines for line ends."""
    assert parse_email(part(content, content_type)).text == text


@pytest.mark.parametrize("codec", sorted(set(_CODECS.values())))
def test_every_charset_decodes_without_error(codec: str) -> None:
    """Each charset that a mail can name decodes any bytes to text without lone surrogates."""
    noise = random.Random(codec).randbytes(2000)
    decode_charset(noise, codec).encode()
    assert isinstance(decode_charset(b"", codec), str)


@pytest.mark.parametrize(
    ("encoding", "content", "decoded"),
    [
        ("7bit", b"=41", b"=41"),
        ("", b"=41", b"=41"),
        ("invented", b"=41", b"=41"),
        ("quoted-printable", b"a=\n=41=3d=xy ", b"aA==xy "),
        ("Quoted Printable", b"=41", b"A"),
        ("BASE64", b"aGVs\nbG8=", b"hello"),
        ("base64; x", b"aGVsbG8", b"hello"),
        ("base64", b"aGVs bG8h?!-", b"hello!"),
        ("base64", b"aGVsbG8hX", b"hello!"),
        ("base64", b"aGVsbG8===trailing", b"hello"),
        ("base64", b"", b""),
        ("x-uuencode", b"begin 644 x\n%:&5L;&\\\n`\nend\n", b"hello"),
        ("uuencode", b"words\nbegin 644 x\r\n%:&5L;&\\=\r\nend\r\n", b"hello"),
        ("uuencode", b"begin 644 x\n!00\n!\xff\xff\n!00\nend\n", b"A"),
        ("uuencode", b"begin 644 x\n!00\n\n!00\nend\n", b"A"),
        ("uuencode", b"begin 644 x\n!00", b""),
        ("uuencode", b"no begin", b"no begin"),
    ],
)
def test_transfer_encodings(encoding: str, content: bytes, decoded: bytes) -> None:
    """Transfer encodings are undone as far as they can be, unknown ones not at all."""
    mail = part(content, "image/png", f"Content-Transfer-Encoding: {encoding}")
    assert parse_mail(mail).contents == {"A1": decoded}


def test_alternatives() -> None:
    """Of alternatives the plain text and the last HTML are the bodies, the rest is attached."""
    email = parse_email(
        multipart(
            "alternative",
            part(b"<b>rich</b>", "text/enriched"),
            part(b"plain"),
            part(b"<p>simple", "text/html"),
            multipart(
                "related", part(b"<p>best", "text/html"), part(b"x", "image/png"), boundary="r"
            ),
        )
    )
    assert (email.text, email.mime_type) == ("plain", "text/plain")
    assert (email.structured_text, email.structured_text_mime_type) == ("<p>best", "text/html")
    assert [file.mimetype for file in email.attachments] == [
        "text/enriched",
        "text/html",
        "image/png",
    ]


def test_enriched_text_is_the_text_where_there_is_no_plain() -> None:
    """Text of another type is the plain body under its own type."""
    email = parse_email(multipart("mixed", part(b"<b>a</b>", "TEXT/Enriched"), part(b"plain")))
    assert (email.text, email.mime_type) == ("<b>a</b>", "text/enriched")
    assert files_of(email) == [("A1", "", 5, "text/plain")]


def test_several_texts_are_joined() -> None:
    """Texts that follow each other are one body, as are pieces of HTML around a file."""
    email = parse_email(
        multipart(
            "mixed",
            part(b"one"),
            part(b"<p>1", "text/html"),
            part(b"PNG", "image/png", "Content-Disposition: inline"),
            part(b"<p>2", "text/html"),
            part(b" \n"),
            part(b"two\n"),
        )
    )
    assert email.text == "one\ntwo\n"
    assert email.structured_text == "<p>1\n<p>2"
    assert files_of(email) == [("A1", "", 3, "image/png")]


@pytest.mark.parametrize(
    ("content_type", "fields", "name", "mimetype"),
    [
        ("text/plain", ["Content-Disposition: attachment"], "", "text/plain"),
        ("text/plain", ["Content-Disposition: inline; filename=a.txt"], "a.txt", "text/plain"),
        ("text/html; name=a.html", [], "a.html", "text/html"),
        ("text/csv", [], "", "text/csv"),
        ("IMAGE/PNG", [], "", "image/png"),
        ("image / png", [], "", "image/png"),
        ("image; name=a.png", [], "a.png", "application/octet-stream"),
        ("im age/png; name=a", [], "a", "application/octet-stream"),
        ("multipart/mixed; name=a", [], "a", "application/octet-stream"),
        ("message/external-body", [], "", "message/external-body"),
        ("message/rfc822", ["Content-Transfer-Encoding: base64"], "", "message/rfc822"),
    ],
)
def test_what_is_an_attachment(
    content_type: str, fields: list[str], name: str, mimetype: str
) -> None:
    """Whatever is no text to a reader, or is a file by name or disposition, is attached."""
    email = parse_email(multipart("mixed", part(b"text"), part(b"eA==", content_type, *fields)))
    assert email.text == "text"
    assert [(file.name, file.mimetype) for file in email.attachments] == [(name, mimetype)]


@pytest.mark.parametrize("content_type", ["text", "plain;", "?", "multipart/mixed", "text/x-odd"])
def test_badly_declared_text_is_text(content_type: str) -> None:
    """A part whose type cannot be understood, and that is no file, is read as text."""
    email = parse_email(multipart("mixed", part(b"words", content_type)))
    assert email.text == "words"
    assert email.mime_type == ("text/x-odd" if "odd" in content_type else "text/plain")
    assert email.attachments == ()


def test_mail_of_one_named_text() -> None:
    """A mail that is one text is that text, even with a name; but not if it says attachment."""
    named = part(b"words", "text/plain; name=a.txt")
    assert parse_email(named).text == "words"
    attached = part(b"words", "text/plain; name=a.txt", "Content-Disposition: attachment")
    assert files_of(parse_email(attached)) == [("A1", "a.txt", 5, "text/plain")]
    image = part(b"words", "image/png; name=a.png")
    assert files_of(parse_email(image)) == [("A1", "a.png", 5, "image/png")]


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("filename=a.pdf", "a.pdf"),
        ("filename=a b (1).pdf ; x=y", "a b (1).pdf"),
        ('filename="a;b.pdf"', "a;b.pdf"),
        ('filename="a \\"b\\".pdf"', 'a "b".pdf'),
        ('filename="C:\\temp\\new.pdf"', "new.pdf"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename=".."', ""),
        ('filename="dir/"', ""),
        ('filename="unfinished.pdf', '"unfinished.pdf'),
        ('filename=""', ""),
        ("filename==?utf-8?q?=C3=A9.pdf?=", "é.pdf"),
        ('filename="=?utf-8?b?w6k=?= =?utf-8?b?LnBkZg==?="', "é.pdf"),
        ("filename*=utf-8'de'%C3%A9.pdf", "é.pdf"),
        ("filename*=iso-8859-1''%E9.pdf; filename=e.pdf", "é.pdf"),
        ("filename=e.pdf; filename*=iso-8859-1''%E9.pdf", "é.pdf"),
        ("filename*=%C3%A9.pdf", "é.pdf"),
        ("filename*0=a; filename*1=b.pdf", "ab.pdf"),
        ("filename*1=b.pdf; filename*0*=utf-8''%C3%A9", "éb.pdf"),
        ("filename*0*=utf-8''%C3; filename*1*=%A9.pdf", "é.pdf"),
        ("filename*0=a; filename*1*=%C3%A9.pdf", "aé.pdf"),
        ("filename*x=a; filename*0*0=b; filename*99999999=c", ""),
        ("filename=a; filename=b", "a"),
        ("filename=é.pdf", "é.pdf"),
        ("filename=\udce9.pdf", "\ufffd.pdf"),
        ('filename="a\tb\x01.pdf"', "a b.pdf"),
        ("filename", ""),
    ],
)
def test_file_names(parameter: str, name: str) -> None:
    """A file name is decoded however it was written, and never a path."""
    mail = part(b"x", "image/png", f"Content-Disposition: attachment; {parameter}")
    assert parse_email(mail).attachments[0].name == name


def test_name_of_the_content_type_where_the_disposition_has_none() -> None:
    """The older place of a name is looked at second."""
    both = part(b"x", "image/png; name=a.png", "Content-Disposition: inline; filename=b.png")
    assert parse_email(both).attachments[0].name == "b.png"
    one = part(b"x", "image/png; name=a.png", "Content-Disposition: inline; filename=..")
    assert parse_email(one).attachments[0].name == "a.png"


# How a mail is cut into parts


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\n\n--b\n\none\n--b\n\ntwo\n--b--\nepilogue\n", "one\ntwo"),
        (b"\n\n--b\r\n\r\none\r\n--b  \r\n\r\ntwo\r\n--b-- \r\n", "one\ntwo"),
        (b"\n\n--b\n\none\n--b\n\ntwo\n", "one\ntwo\n"),
        (b"\n\n--b\n\none\n--bb\n--b-\n--b--x\n--b--", "one\n--bb\n--b-\n--b--x"),
        (b"\n\n--b\n\none\n--bxy\n--b--", "one\n--bxy"),
        (b"\n\n--b\n--b\n\ntwo\n--b--", "two"),
        (b"\n\n--b\ntext without header\n--b--", "text without header"),
        (b"\n\n--b\nX-Field: only\n--b--", ""),
        (b"\n\n--b\n\n--b--\n\n--b\n\nafter the end\n", ""),
        (b"\n\n--b\n\n\n\none\n\n--b--", "\n\none\n"),
        (b"\n\nno part\n", "no part\n"),
        (b"\n--b\n\nright behind the header\n--b--", "right behind the header"),
        (b"", ""),
    ],
)
def test_boundaries(raw: bytes, text: str) -> None:
    """A boundary is a whole line; what is before the first and after the last is no text."""
    email = parse_email(b"Content-Type: multipart/mixed; boundary=b" + raw)
    assert email.text == text
    assert email.attachments == ()


def test_boundary_that_looks_like_a_field() -> None:
    """A boundary ends a header even where it could be a field."""
    email = parse_email(
        b'Content-Type: multipart/mixed; boundary="b:1"\n\n--b:1\nX: 1\n--b:1\n--y: 2\n\ntwo\n'
        b"--b:1--\n"
    )
    assert email.text == "two"


def test_outer_boundary_ends_inner_parts() -> None:
    """Where an inner multipart is not closed, the outer boundary closes it."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=o\n\n--o\n"
        b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\n\ntwo\n"
        b"--o\n\nthree\n--i\nstill three\n--o--\n"
    )
    assert parse_email(raw).text == "one\ntwo\nthree\n--i\nstill three"


def test_same_boundary_inside_and_outside() -> None:
    """The inner of two multiparts with one boundary takes it, and gives it back."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ninner\n--b--\n"
        b"--b\n\nouter\n--b--\n"
    )
    assert parse_email(raw).text == "inner\nouter"


def test_similar_boundaries() -> None:
    """A boundary that begins like another is another."""
    alternative = multipart("alternative", part(b"a"), part(b"h", "text/html"), boundary="b_alt")
    email = parse_email(multipart("mixed", alternative, part(b"x", "image/png")))
    assert (email.text, email.structured_text) == ("a", "h")
    assert files_of(email) == [("A1", "", 1, "image/png")]


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', '; boundary=" "'])
def test_multipart_without_boundary(boundary: str) -> None:
    """A multipart that names no boundary is one text."""
    raw = f"Content-Type: multipart/mixed{boundary}\n\n--b\n\none\n--b--\n".encode()
    assert parse_email(raw).text == "--b\n\none\n--b--\n"


def test_boundary_of_other_bytes() -> None:
    """A boundary is compared by its bytes, whatever they are."""
    raw = b'Content-Type: multipart/mixed; boundary="\xe9\xff"\n\n--\xe9\xff\n\none\n--\xe9\xff--\n'
    assert parse_email(raw).text == "one"


def test_digest() -> None:
    """The parts of a digest are mails unless they say otherwise."""
    email = parse_email(multipart("digest", b"\nSubject: a\n\nhi", part(b"words")))
    assert email.text == "words"
    assert files_of(email) == [("A1", "", 14, "message/rfc822")]


def test_attached_mail_is_one_attachment() -> None:
    """Neither text nor files of an attached mail are those of the mail itself."""
    inner = multipart("mixed", part(b"inner"), part(b"x", "image/png; name=x.png"), boundary="i")
    parsed = parse_mail(multipart("mixed", part(b"outer"), part(inner, "message/rfc822")))
    assert parsed.email.text == "outer"
    assert files_of(parsed.email) == [("A1", "", len(inner), "message/rfc822")]
    assert parsed.contents["A1"] == inner


def test_encoded_attached_mail() -> None:
    """An attached mail that is encoded, against the rules, is decoded like any file."""
    mail = b"Subject: inner\n\nhi\n"
    encoding = "Content-Transfer-Encoding: base64"
    parsed = parse_mail(part(base64.encodebytes(mail), "message/rfc822", encoding))
    assert parsed.contents == {"A1": mail}


def test_boundary_of_an_attached_mail_in_the_outer_mail() -> None:
    """An attached mail ends at the boundary of the mail that it is attached to."""
    raw = multipart("mixed", part(b"Subject: a\n\nhi", "message/rfc822"), part(b"after"))
    parsed = parse_mail(raw)
    assert parsed.contents == {"A1": b"Subject: a\n\nhi"}
    assert parsed.email.text == "after"


# Addresses as text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , ;, ", []),
        ("a@x", ["a@x"]),
        ("a@x, b@y;c@z", ["a@x", "b@y", "c@z"]),
        ('"a, b" <a@x>, c', ['"a, b" <a@x>', "c"]),
        ("a (one, two) <a@x>, b@y", ["a (one, two) <a@x>", "b@y"]),
        ("(a (nested, one)) a@x, b@y", ["(a (nested, one)) a@x", "b@y"]),
        ("(only a comment)", []),
        ("Group: a@x, b@y;, c@z", ["a@x", "b@y", "c@z"]),
        ("Group:;", []),
        ("Group: a@x", ["a@x"]),
        ("a@[IPv6:::1], b@y", ["a@[IPv6:::1]", "b@y"]),
        ("<@r,@s:a@x>, b@y", ["<@r,@s:a@x>", "b@y"]),
        ('<"a>,b"@x>, c@z', ['<"a>,b"@x>', "c@z"]),
        ("<a@x, B <b@y>", ["<a@x", "B <b@y>"]),
        ('"open, a@x', ['"open', "a@x"]),
        ("(open, a@x", ["(open", "a@x"]),
        ("close), a@x", ["close)", "a@x"]),
        ("a\\, b@y", ["a\\, b@y"]),
        ("end\\", ["end\\"]),
        ("a@x,\n b@y", ["a@x", "b@y"]),
    ],
)
def test_split_addresses(text: str, expected: list[str]) -> None:
    """A list is split where its addresses end and nowhere else."""
    assert list(split_addresses(text)) == expected


@pytest.mark.parametrize(
    ("address", "name", "bare"),
    [
        ("Joe@Example.ORG", "", "Joe@example.org"),
        (" joe @ example . org ", "", "joe@example.org"),
        ("<joe@example.org>", "", "joe@example.org"),
        ("Joe  Roe <joe@example.org>", "Joe Roe", "joe@example.org"),
        ('"Roe, \\"J\\"" <joe@example.org>', 'Roe, "J"', "joe@example.org"),
        ("joe@example.org (Joe)", "Joe", "joe@example.org"),
        ("<joe@example.org> (Joe)", "Joe", "joe@example.org"),
        ("Joe (not this) <joe@example.org>", "Joe", "joe@example.org"),
        ("<joe(his)@(a (b))example.org>", "", "joe@example.org"),
        ("joe@other.org <joe@example.org>", "joe@other.org", "joe@example.org"),
        ("<nothing> <joe@example.org> <b@c>", "", "joe@example.org"),
        ("<@a,@b:joe@example.org>", "", "joe@example.org"),
        ('"joe"@example.org', "", "joe@example.org"),
        ('"j . d"@Example.org', "", '"j . d"@example.org'),
        ('"a@b" . c@example.org', "", ""),
        ("joe@[192.0.2.1]", "", "joe@[192.0.2.1]"),
        ("jürgen@GRÜSSE.example", "", "jürgen@grüsse.example"),
        ("joe..roe.@example.org", "", "joe..roe.@example.org"),
        ("Joe joe@example.org", "", ""),
        ("a@b@c", "", ""),
        ("joe@", "", ""),
        ("@example.org", "", ""),
        ("Joe (at home)", "", ""),
        ("", "", ""),
    ],
)
def test_parts_of_an_address(address: str, name: str, bare: str) -> None:
    """An address is taken apart, and compared without regard to the case of its domain."""
    found, as_written = address_parts(address)
    assert (found, bare_address(address)) == (name, bare)
    assert as_written.casefold() == bare.casefold()


def test_format_address() -> None:
    """A name is quoted only where it needs it."""
    assert format_address("", "a@x") == "a@x"
    assert format_address("Zoë O'Neill", "a@x") == "Zoë O'Neill <a@x>"
    assert format_address("Roe,\n Joe", "a@x") == '"Roe, Joe" <a@x>'
    assert format_address('a "b" \\c', "a@x") == '"a \\"b\\" \\\\c" <a@x>'
    assert join_addresses(["a@x", "", "b@y"]) == "a@x, b@y"


@given(st.text(max_size=40), st.text('ab"\\(),<>@:; .', max_size=12))
def test_formatted_address_is_read_back(text: str, special: str) -> None:
    """Whatever the name is, the formatted address is one address with this name."""
    for name in (text, special):
        address = format_address(name, "joe@example.org")
        assert split_addresses(address) == (address,)
        assert address_parts(address) == (" ".join(name.split()), "joe@example.org")


@given(st.one_of(st.text(max_size=60), st.text('ab@.<>"\\():;, \n', max_size=30)))
def test_addresses_never_fail(text: str) -> None:
    """Splitting and reading addresses never raises, and invents nothing."""
    for address in split_addresses(text):
        assert address == address.strip() != ""
        assert address in text
        name, bare = address_parts(address)
        assert bare or not name
        assert not bare or "@" in bare
        assert bare_address(bare_address(address)) == bare_address(address)
        assert address_parts(format_address(name, bare)) == (name, bare)


# Any bytes

ANY_MAIL = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
WHOLE_SAMPLES = [sample(name) for name in EXPECTED if name != "long_header"]


@given(st.binary(max_size=300))
@ANY_MAIL
def test_any_bytes(raw: bytes) -> None:
    """All bytes give a mail, and always the same."""
    parsed = parse_mail(raw)
    assert_sound(parsed)
    assert parse_mail(raw) == parsed


SNIPPETS = [
    b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"--", b"--b\n", b"--b--\n", b"\n\n", b" ", b":", b";",
    b"<", b">", b"(", b'"', b"\\", b"=?utf-8?b?", b"?=", b"=?x?q?=0A?=", b"=\n", b"%00",
    b"name*0*=", b"name*1*='", b"Subject: ", b"Date: Mon, 4 Mar 2024 9:1:1 +9", b"To: a:",
    b"References: <", b"Auto-Submitted: (", b"Content-Type: message/rfc822\n",
    b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Transfer-Encoding: base64\n",
    b"Content-Type: text/html; charset=utf-16\n", b"Content-Disposition: attachment; filename=",
    b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n",
]  # fmt: skip


@given(
    st.sampled_from(WHOLE_SAMPLES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(SNIPPETS)), max_size=8),
)
@ANY_MAIL
def test_damaged_samples(raw: bytes, damages: list[tuple[float, int, bytes]]) -> None:
    """A sample with pieces cut out and others put in is still some mail."""
    for place, length, snippet in damages:
        position = int(place * len(raw))
        raw = raw[:position] + snippet + raw[position + length :]
    parsed = parse_mail(raw)
    assert_sound(parsed)
    assert parse_mail(raw) == parsed


FIELD_NAMES = st.sampled_from(
    ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "References", "In-Reply-To",
     "Content-Disposition", "Content-Transfer-Encoding", "Auto-Submitted", "Return-Path", "X-Odd"]
)  # fmt: skip
FIELD_VALUES = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(SNIPPETS), max_size=5).map(b"".join),
    st.sampled_from([b"base64", b"quoted-printable", b"uuencode", b"attachment; filename=a/b"]),
)
LEAVES = st.tuples(
    st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=4),
    st.sampled_from(["text/plain", "text/html; charset=koi8-r", "image/png", "?", "text/csv"]),
    st.binary(max_size=60),
).map(
    lambda leaf: (
        b"".join(name.encode() + b": " + value + b"\n" for name, value in leaf[0])
        + part(leaf[2], leaf[1])
    )
)
TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(
            lambda subtype, boundary, some: multipart(subtype, *some, boundary=boundary),
            st.sampled_from(["mixed", "alternative", "related", "digest", "report"]),
            st.sampled_from(["b", "bb", "b--", "=_1"]),
            st.lists(parts, max_size=4),
        ),
        parts.map(lambda mail: part(mail, "message/rfc822")),
    ),
    max_leaves=12,
)


@given(TREES)
@ANY_MAIL
def test_any_tree_of_parts(raw: bytes) -> None:
    """Parts of any kind in parts of any kind are some mail."""
    parsed = parse_mail(raw)
    assert_sound(parsed)
    assert parse_mail(raw) == parsed
