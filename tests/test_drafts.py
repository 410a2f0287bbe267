"""How Reply and ReplyAll derive a draft, and how a kept one is resumed (semantics 2a)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from builders import ID, START, TO_ANN, after, attachment, mail, situation, submitted
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import commands as c
from lifecycle._addresses import bare_address, split_addresses
from lifecycle.engine import step
from lifecycle.interaction import Draft, Email
from lifecycle.vocabulary import SYSTEM

OURS = ("help@shop.example", "sales@shop.example")


def draft(
    email: Email, command: c.Command | None = None, our_addresses: tuple[str, ...] = OURS
) -> Draft:
    """The draft that a reply to a mail begins with."""
    interaction = after(submitted(email, our_addresses=our_addresses), *TO_ANN)
    made = step(interaction, command or c.Reply(), actor="ann", at=START).interaction.draft
    assert made is not None
    return made


def resumed(command: c.Command, **kept: Any) -> Draft:
    """A kept draft, with some fields as they were left, that is resumed."""
    interaction = situation("Accepted with a kept draft")
    assert interaction.draft is not None
    changed = attrs.evolve(interaction, draft=attrs.evolve(interaction.draft, **kept))
    now = step(changed, command, actor="ann", at=START).interaction
    assert now.draft is not None
    assert now.drafts == 1
    return now.draft


# -- To and From -------------------------------------------------------------------------------


def test_a_reply_goes_to_the_sender() -> None:
    """To is the original's From where it has no Reply-To."""
    assert draft(mail()).to_address == "Zoé <zoe@home.example>"


def test_a_reply_goes_to_reply_to() -> None:
    """Where the original has a Reply-To, that is To, and From gets nothing."""
    email = mail(reply_to="List <list@home.example>, two@home.example")
    assert draft(email).to_address == "List <list@home.example>, two@home.example"
    everybody = draft(email, c.ReplyAll())
    assert everybody.to_address == "List <list@home.example>, two@home.example"
    assert everybody.cc_addresses == ("Max <max@home.example>", "Eve <eve@work.example>")


@pytest.mark.parametrize(
    ("to", "cc", "ours", "expected"),
    [
        ("Help <help@shop.example>", (), OURS, "help@shop.example"),
        ("max@home.example, Sales <SALES@Shop.Example>", (), ("SALES@shop.example",),
         "SALES@shop.example"),
        ("help@SHOP.example", (), OURS, "help@shop.example"),
        ("max@home.example", ("Sales <sales@shop.example>",), OURS, "sales@shop.example"),
        ("Max <max@home.example>, eve@work.example", (), OURS, "Max <max@home.example>"),
        ("Max <max@home.example>", (), (), "Max <max@home.example>"),
        ('"Max, M." <max@home.example>, eve@work.example', (), (),
         '"Max, M." <max@home.example>'),
        ("help@shop.example", (), ("Us <help@shop.example>",), "Us <help@shop.example>"),
        ("Team: max@home.example, help@shop.example;", (), OURS, "help@shop.example"),
        ("", (), (), ""),
    ],
)  # fmt: skip
def test_a_reply_comes_from_the_address_that_was_written_to(
    to: str, cc: tuple[str, ...], ours: tuple[str, ...], expected: str
) -> None:
    """From is the address of ours in To or Cc, else the first To address."""
    made = draft(mail(to_address=to, cc_addresses=cc), our_addresses=ours)
    assert made.from_address == expected


def test_our_address_is_found_among_very_many() -> None:
    """However long the To of a mail is."""
    to = ", ".join(f"someone{number}@home.example" for number in range(500))
    made = draft(mail(to_address=f"{to}, {OURS[1]}"))
    assert made.from_address == OURS[1]
    [long] = split_addresses(f"{'x' * 600} <zoe@Home.example>")
    assert bare_address(long) == "zoe@home.example"


def test_an_entry_of_ours_that_is_no_address_matches_nothing() -> None:
    """A name in our_addresses is not found in a mail whose To holds no address either."""
    email = mail(to_address="undisclosed recipients, max@home.example", cc_addresses=())
    assert draft(email, our_addresses=("help desk",)).from_address == "max@home.example"


# -- Cc ----------------------------------------------------------------------------------------


def test_a_reply_to_the_sender_has_no_cc() -> None:
    """Reply writes to nobody but the sender."""
    assert draft(mail()).cc_addresses == ()


@pytest.mark.parametrize(
    ("changes", "cc"),
    [
        ({}, ("Max <max@home.example>", "Eve <eve@work.example>")),
        # never our own, however it is written
        ({"to_address": "HELP <help@SHOP.example>", "cc_addresses": ("sales@shop.example",)}, ()),
        # not the sender again
        ({"cc_addresses": ("Zoe <zoe@HOME.example>",)}, ("Max <max@home.example>",)),
        # none twice, in To, in Cc, or in both; the first writing is kept
        (
            {
                "to_address": "help@shop.example, max@home.example, Max <max@HOME.example>",
                "cc_addresses": ("M <max@home.example>", "a@b.example", "<a@b.example>"),
            },
            ("max@home.example", "a@b.example"),
        ),
        # no piece that is no address
        ({"to_address": "undisclosed", "cc_addresses": ("", "nobody", "a@b.example")},
         ("a@b.example",)),
        # not who is in Reply-To; the writer, who is not in it, gets nothing
        (
            {"reply_to": "max@home.example", "cc_addresses": ("zoe@home.example",)},
            ("zoe@home.example",),
        ),
        # members of a group are addresses like others
        ({"to_address": "Team: a@b.example, c@d.example;, help@shop.example", "cc_addresses": ()},
         ("a@b.example", "c@d.example")),
    ],
)  # fmt: skip
def test_a_reply_to_all_has_the_others_in_cc(changes: dict[str, Any], cc: tuple[str, ...]) -> None:
    """ReplyAll adds the original's other To and Cc addresses, never our own, none twice."""
    assert draft(mail(**changes), c.ReplyAll()).cc_addresses == cc


def test_the_address_a_reply_comes_from_is_never_in_cc() -> None:
    """Where none of ours matched, From is the first To address, which is then not in Cc."""
    made = draft(mail(cc_addresses=()), c.ReplyAll(), our_addresses=())
    assert made.from_address == "Help <help@shop.example>"
    assert made.cc_addresses == ("Max <max@home.example>",)


# -- Subject -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("original", "prefix", "subject"),
    [
        ("Order", "Re: ", "Re: Order"),
        ("Re: Order", "Re: ", "Re: Order"),
        ("RE: re:Re:  rE: Order", "Re: ", "Re: Order"),
        ("  Order  ", "Re: ", "Re: Order"),
        ("", "Re: ", "Re: "),
        ("Re:", "Re: ", "Re: "),
        ("Regarding: Order", "Re: ", "Re: Regarding: Order"),
        ("Order Re: x", "Re: ", "Re: Order Re: x"),
        ("Re: Order", "AW: ", "AW: Re: Order"),
        ("aw:AW: Order", "AW: ", "AW: Order"),
        ("Re: Order", "", "Re: Order"),
        ("Re: Order", " ", " Re: Order"),
        ("[Case 7] Order", "[Case 7] ", "[Case 7] Order"),
        ("İ:İ: Order", "İ: ", "İ: Order"),
        ("İ:Order", "İ: ", "İ: Order"),
        ("Reading list", "Re ", "Re Reading list"),
        ("Re Reading list", "Re ", "Re Reading list"),
    ],
)
def test_the_subject_has_the_prefix_once(original: str, prefix: str, subject: str) -> None:
    """However often it was already there, in whatever case; nothing else is lost."""
    assert draft(mail(subject=original), c.Reply(subject_prefix=prefix)).subject == subject


# -- line breaks -------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["\r\n", "\n", "\r", "\r\n ", "\n\n", "\0"])
def test_line_breaks_in_derived_headers_become_a_space(cut: str) -> None:
    """No mail puts a second header into the reply to it."""
    made = draft(
        mail(
            subject=f"Order{cut}Bcc: x@y.example",
            from_address=f"Zoe{cut}<zoe@home.example>",
            to_address=f"Help{cut}<help@shop.example>,{cut}Max{cut}<max@home.example>",
            cc_addresses=(f"Eve{cut}<eve@work.example>",),
        ),
        c.ReplyAll(),
        our_addresses=(),
    )
    headers = [made.subject, made.to_address, made.from_address, *made.cc_addresses]
    assert not [header for header in headers if {"\r", "\n", "\0"} & set(header)]
    assert made.subject.split() == ["Re:", "Order", "Bcc:", "x@y.example"]
    assert made.to_address.split() == ["Zoe", "<zoe@home.example>"]
    assert made.from_address.split() == ["Help", "<help@shop.example>"]
    assert [address.split() for address in made.cc_addresses] == [
        ["Max", "<max@home.example>"],
        ["Eve", "<eve@work.example>"],
    ]


def test_a_line_break_in_reply_to_becomes_a_space() -> None:
    """Reply-To is a derived header value too."""
    made = draft(mail(reply_to="a@b.example,\r\n c@d.example"))
    assert made.to_address.split() == ["a@b.example,", "c@d.example"]


def test_a_line_break_in_our_address_becomes_a_space() -> None:
    """So is the address of ours."""
    made = draft(mail(), our_addresses=("Help\n<help@shop.example>",))
    assert made.from_address == "Help <help@shop.example>"


texts = st.text(st.sampled_from('ab@., <>"\\()\r\n\0:;é'), max_size=20)


@given(subject=texts, sender=texts, reply_to=texts, to=texts, cc=st.lists(texts, max_size=3))
def test_no_mail_breaks_a_header_of_the_reply(
    subject: str, sender: str, reply_to: str, to: str, cc: list[str]
) -> None:
    """Whatever a mail says, no derived header value holds a line break, and none of Cc is ours."""
    email = Email(
        subject=subject,
        from_address=sender,
        reply_to=reply_to,
        to_address=to,
        cc_addresses=tuple(cc),
    )
    made = draft(email, c.ReplyAll(), our_addresses=("a@b", "b@a"))
    headers = (made.subject, made.to_address, made.from_address, *made.cc_addresses)
    assert not any(mark in header for header in headers for mark in "\r\n\0")
    assert not {"a@b", "b@a"} & set(made.cc_addresses)
    assert len(set(made.cc_addresses)) == len(made.cc_addresses)


# -- body --------------------------------------------------------------------------------------


def test_a_reply_has_the_given_bodies() -> None:
    """Text and structured text are the command's; nothing is quoted unless it is asked for."""
    made = draft(mail(), c.Reply(text="Soon.", structured_text="<p>Soon.</p>"))
    assert (made.text, made.structured_text) == ("Soon.", "<p>Soon.</p>")
    empty = draft(mail())
    assert (empty.text, empty.structured_text) == ("", "")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (c.Reply(quote_original=True), "> Hello,\n> where is it?"),
        (
            c.Reply(quote_original=True, reply_to_start_line="On Monday you wrote:"),
            "On Monday you wrote:\n> Hello,\n> where is it?",
        ),
        (c.Reply(quote_original=True, indent_character="| "), "| Hello,\n| where is it?"),
        (c.Reply(quote_original=True, indent_character=""), "Hello,\nwhere is it?"),
        (
            c.Reply(text="Soon.", quote_original=True, reply_to_start_line="You:"),
            "Soon.\n\nYou:\n> Hello,\n> where is it?",
        ),
        (c.Reply(text="Soon.", reply_to_start_line="You:"), "Soon."),
    ],
)
def test_a_quoted_original_stands_behind_the_indent(command: c.Reply, text: str) -> None:
    """The start line, then each original line behind the indent character, below the text."""
    assert draft(mail(), command).text == text


@pytest.mark.parametrize(
    ("original", "quoted"),
    [
        ("a\n\nb\n", "> a\n> \n> b"),
        ("a\r\nb", "> a\n> b"),
        ("> older\nnew", "> > older\n> new"),
        ("", ""),
    ],
)
def test_every_original_line_is_quoted(original: str, quoted: str) -> None:
    """Empty lines too; an earlier quotation is quoted again; an empty text is nothing."""
    assert draft(mail(text=original), c.Reply(quote_original=True)).text == quoted


# -- identity and thread -----------------------------------------------------------------------


def test_a_draft_continues_the_thread() -> None:
    """References are the original's and its own Message-ID; without one only what there is."""
    made = draft(mail())
    assert made.references == ("<m0@shop.example>", "<m1@home.example>", "<m2@home.example>")
    assert draft(mail(message_id=None)).references == ("<m0@shop.example>", "<m1@home.example>")
    assert draft(mail(message_id=None, references=())).references == ()


def test_drafts_are_numbered() -> None:
    """The id is the interaction's, D, and the number; a cancelled number is not used again."""
    interaction = situation("Accepted")
    for number in (1, 2, 3):
        interaction = after(interaction, ("ann", c.Reply()))
        assert interaction.draft is not None
        assert (interaction.draft.id, interaction.drafts) == (f"{ID}D{number}", number)
        interaction = after(interaction, ("ann", c.Cancel()))
        assert (interaction.draft, interaction.drafts) == (None, number)


@pytest.mark.parametrize(
    "path",
    [
        ((SYSTEM, c.Revoke()), *TO_ANN),
        (("ann", c.PlaceInWorkbin(workbin="w")), (SYSTEM, c.Revoke()), *TO_ANN),
    ],
)
def test_a_draft_is_kept_until_somebody_goes_on(path: tuple[Any, ...]) -> None:
    """Through Revoke, a workbin, a new offer and a queue it stays the same object."""
    replying = situation("ReplyCreated")
    kept = after(replying, *path)
    assert kept.draft is replying.draft
    placed = after(kept, ("ann", c.PlaceInQueue(queue="billing")), *TO_ANN)
    assert placed.draft is replying.draft
    assert after(placed, ("ann", c.Reply())).draft is replying.draft


# -- a kept draft ------------------------------------------------------------------------------

EDITED: dict[str, Any] = {
    "subject": "My subject",
    "text": "My text",
    "structured_text": "<p>Mine</p>",
    "to_address": "a@b.example",
    "cc_addresses": ("c@d.example",),
    "attachments": (attachment("A9"),),
}


def test_a_kept_draft_is_resumed_as_it_was() -> None:
    """Reply without parameters changes nothing in it."""
    made = resumed(c.Reply(), **EDITED)
    assert {name: getattr(made, name) for name in EDITED} == EDITED


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (c.Reply(text="New"), {"text": "New"}),
        (c.Reply(structured_text="<p>New</p>"), {"structured_text": "<p>New</p>"}),
        (c.Reply(subject_prefix="AW: "), {"subject": "AW: Where is my order?"}),
        (c.Reply(quote_original=True), {"text": "My text\n\n> Hello,\n> where is it?"}),
        (c.Reply(text="a", quote_original=True), {"text": "a\n\n> Hello,\n> where is it?"}),
    ],
)
def test_what_is_given_replaces_the_fields_of_a_kept_draft(
    command: c.Reply, changed: dict[str, Any]
) -> None:
    """Given parameters replace the fields that they are for, and no others."""
    made = resumed(command, **EDITED)
    assert {name: getattr(made, name) for name in EDITED} == {**EDITED, **changed}


def test_reply_all_adds_cc_to_a_kept_draft() -> None:
    """Behind those that are there; nobody twice, nor who is in To."""
    cc = ("Boss <boss@work.example>", "eve@work.example")
    made = resumed(c.ReplyAll(), **{**EDITED, "to_address": "max@home.example", "cc_addresses": cc})
    assert made.cc_addresses == cc
    fresh = resumed(c.ReplyAll(), cc_addresses=("boss@work.example",))
    assert fresh.cc_addresses == (
        "boss@work.example",
        "Max <max@home.example>",
        "Eve <eve@work.example>",
    )


def test_reply_leaves_the_cc_of_a_kept_draft() -> None:
    """Who was added with ReplyAll stays when the draft is resumed with Reply."""
    assert resumed(c.Reply(), cc_addresses=("a@b.example",)).cc_addresses == ("a@b.example",)


def test_another_agent_resumes_the_draft() -> None:
    """The draft belongs to the interaction, whoever owns it next."""
    bob = after(
        situation("Revoked with a kept draft"),
        (SYSTEM, c.Invite(agent_id="bob")),
        ("bob", c.Accept()),
        ("bob", c.Reply()),
    )
    assert bob.draft is not None
    assert (bob.draft.id, bob.draft.text, bob.agent_id) == (f"{ID}D1", "Soon.", "bob")


def test_drafts_that_are_equal_hash_alike() -> None:
    """Equal drafts are one key, different ones differ in any field."""
    one, other = draft(mail()), draft(mail())
    assert one == other
    assert hash(one) == hash(other)
    changes: list[dict[str, Any]] = [{name: value} for name, value in EDITED.items()]
    changes += [{"id": "x"}, {"from_address": "x"}, {"references": ()}]
    for change in changes:
        assert attrs.evolve(one, **change) != one


def test_a_reply_to_without_an_address_is_none() -> None:
    """A Reply-To that no mail could be sent to does not hide the sender."""
    made = draft(mail(reply_to="please do not reply", from_address="kim@example.net"))
    assert made.to_address == "kim@example.net"
    assert draft(mail(reply_to="nobody", from_address="")).to_address == "nobody"


@pytest.mark.parametrize("text", ["", "Soon."])
def test_a_mail_without_text_leaves_nothing_to_quote(text: str) -> None:
    """Neither a start line nor an empty line is added for nothing."""
    command = c.Reply(text=text, quote_original=True, reply_to_start_line="You wrote:")
    assert draft(mail(text=""), command).text == text


def test_our_own_addresses_are_found_in_any_case() -> None:
    """`Help@Shop.example` is ours where `help@shop.example` is: From, and never in Cc."""
    email = mail(to_address="Help@Shop.example, kim@home.example", cc_addresses=())
    made = draft(email, c.ReplyAll(), our_addresses=("help@shop.example",))
    assert made.from_address == "help@shop.example"
    assert made.cc_addresses == ("kim@home.example",)
