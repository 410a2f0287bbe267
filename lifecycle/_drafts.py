"""L2. How a reply is derived from the mail that it answers (semantics 2a). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import attrs

from lifecycle._addresses import bare_address, split_addresses
from lifecycle._values import maker
from lifecycle.commands import Reply, ReplyAll
from lifecycle.interaction import Change, Draft, Email

_LINE_BREAKS = re.compile(r"[\r\n\0]+")
_LONGEST_KEPT = 4096
_DEFAULT_PREFIX = Reply().subject_prefix
_make_draft = maker(Draft)


def derive(change: Change, command: Reply) -> Draft:
    """The first draft of a reply: To, From, Cc, Subject and quotation of section 2a."""
    email = change.email
    sender = _one_line(_reply_address(email))
    ours = _our_address(email, change.submission.our_addresses)
    return _make_draft(
        id=f"{change.id}D{change.drafts}",
        to_address=sender,
        from_address=ours,
        cc_addresses=_others(change, sender, ours) if isinstance(command, ReplyAll) else (),
        subject=_subject(email.subject, command.subject_prefix),
        text=_text(change, command),
        structured_text=command.structured_text,
        references=email.references + ((email.message_id,) if email.message_id else ()),
    )


def resume(change: Change, draft: Draft, command: Reply) -> Draft:
    """A kept draft, with what the command gives in place of its fields."""
    given: dict[str, Any] = {}
    if command.text or command.quote_original:
        given["text"] = _text(change, command, draft.text)
    if command.structured_text:
        given["structured_text"] = command.structured_text
    if command.subject_prefix != _DEFAULT_PREFIX:
        given["subject"] = _subject(change.email.subject, command.subject_prefix)
    if isinstance(command, ReplyAll):
        others = _others(change, draft.to_address, draft.from_address)
        given["cc_addresses"] = _distinct((*draft.cc_addresses, *others), ())
    return edited(draft, given)


def edited(draft: Draft, given: Mapping[str, Any]) -> Draft:
    """A draft with some fields replaced; the same one where nothing differs."""
    for name, value in given.items():
        if getattr(draft, name) != value:
            return attrs.evolve(draft, **given)
    return draft


def _reply_address(email: Email) -> str:
    """Reply-To, or From where there is none, or none that a mail could be sent to."""
    if any(map(bare_address, split_addresses(email.reply_to))):
        return email.reply_to
    return email.from_address or email.reply_to


def _one_line(value: str) -> str:
    return value if value.isprintable() else _LINE_BREAKS.sub(" ", value)


def _our_address(email: Email, ours: tuple[str, ...]) -> str:
    addresses = email.to_address, email.cc_addresses
    if len(email.to_address) + sum(map(len, email.cc_addresses)) > _LONGEST_KEPT:
        return _found_address(*addresses, ours)
    return _known_address(*addresses, ours)


def _found_address(to_address: str, cc_addresses: tuple[str, ...], ours: tuple[str, ...]) -> str:
    received = split_addresses(_one_line(to_address))
    reached = {_identity(address) for address in (*received, *cc_addresses)} - {""}
    for address in ours:
        if _identity(address) in reached:
            return _one_line(address)
    return next((address for address in (*received, *ours) if bare_address(address)), "")


_known_address = lru_cache(maxsize=512)(_found_address)


def _others(change: Change, sender: str, ours: str) -> tuple[str, ...]:
    email = change.email
    candidates = (*split_addresses(email.to_address), *email.cc_addresses)
    without = (*split_addresses(sender), ours, *change.submission.our_addresses)
    return _distinct((_one_line(address) for address in candidates), without)


def _distinct(addresses: Iterable[str], without: Iterable[str]) -> tuple[str, ...]:
    seen = {"", *map(_identity, without)}
    result = []
    for address in addresses:
        identity = _identity(address)
        if identity not in seen:
            seen.add(identity)
            result.append(address)
    return tuple(result)


def _identity(address: str) -> str:
    """What tells two addresses apart: people write both sides of the `@` in either case."""
    return bare_address(address).lower()


def _subject(original: str, prefix: str) -> str:
    subject = _one_line(original).strip()
    mark = prefix.strip()
    if mark:
        repeated = _repeated(mark).match(subject)
        subject = subject[repeated.end() :] if repeated else subject
    return prefix + subject


@lru_cache(maxsize=64)
def _repeated(mark: str) -> re.Pattern[str]:
    end = r"(?!\w)" if mark[-1].isalnum() else ""  # "Re " does not begin "Reading list"
    return re.compile(rf"(?:{re.escape(mark)}{end}\s*)+", re.IGNORECASE)


def _text(change: Change, command: Reply, kept: str = "") -> str:
    text = command.text or kept
    if not command.quote_original or not change.email.text:
        return text
    quoted = [command.indent_character + line for line in change.email.text.splitlines()]
    if command.reply_to_start_line:
        quoted.insert(0, command.reply_to_start_line)
    return "\n".join([text, "", *quoted] if text else quoted)


def recipients(draft: Draft) -> tuple[str, ...]:
    """The bare addresses that a draft would be sent to, To and then Cc."""
    listed = (*split_addresses(draft.to_address), *draft.cc_addresses)
    return tuple(filter(None, map(bare_address, listed)))
