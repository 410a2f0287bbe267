"""L6. What can be wrong with one interaction and its history; pure (semantics 1, 2, 4, 9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from lifecycle import _effects as effects
from lifecycle._housekeeping import ERASE
from lifecycle._possible import explained, is_possible
from lifecycle.interaction import RECEIVED_AT, Interaction
from lifecycle.records import Entry
from lifecycle.table import Row, Table
from lifecycle.vocabulary import Who

SUBMIT: Final = "Submit"
"""What the history says of the submission."""


@attrs.frozen
class Finding:
    """Something that is wrong with what a store holds."""

    where: str
    """What it is about: an interaction, a line of a history, an agent, a delivery, a mail."""
    what: str
    """What is wrong with it, as the rest of a sentence."""
    found: Any = None
    """What is there; None where there is nothing to show."""
    wanted: Any = None
    """What should be there; None where that cannot be said."""

    def __str__(self) -> str:
        text = f"{self.where} {self.what}"
        if self.wanted is not None:
            return f"{text}: found {self.found!r}, wanted {self.wanted!r}"
        return text if self.found is None else f"{text}: found {self.found!r}"


def value_findings(interaction: Interaction, table: Table) -> Iterator[Finding]:
    """What of an interaction no rows of the table can have led to."""
    where = f"interaction {interaction.id}"
    if not is_possible(interaction, table):
        wrong = explained(interaction, table)
        what = f"is impossible in {interaction.state} at {wrong.path}"
        yield Finding(where, what, wrong.found, wrong.wanted)
    draft = interaction.draft
    if draft is not None and draft.id != (id := f"{interaction.id}D{interaction.drafts}"):
        yield Finding(where, "has a draft with another id", draft.id, id)


def history_findings(
    id: str, interaction: Interaction | None, entries: Sequence[Entry], table: Table
) -> Iterator[Finding]:
    """What is wrong with a history by itself, and with how it ends.

    Arguments:
        id: of which interaction.
        interaction: its latest value, None where that cannot be read.
        entries: the history.
        table: the rule table.
    """
    if not entries:
        yield Finding(f"history of {id}", "has no lines")
        return
    yield from _first(id, interaction, entries[0], table)
    before = entries[0]
    holder: str | None = None
    for number, entry in enumerate(entries[1:], 1):
        where = f"history of {id}, version {entry.version}"
        if entry.version != number:
            yield Finding(where, "does not follow the line before", entry.version, number)
            return  # a line is missing, so nothing can be said of what follows
        if entry.source != before.dest:
            yield Finding(where, "begins in another state", entry.source, before.dest)
        if entry.trigger == ERASE:
            yield from _erasure(where, before, entry, table)
        else:
            yield from _step(where, before, entry, holder, table)
            holder = entry.agent_id if _is_held(entry.dest, table) else None
        before = entry
    if interaction is not None:
        yield from _end(interaction, before, holder)


def _is_held(state: str, table: Table) -> bool:
    rule = table.by_name.get(state)
    return rule is not None and rule.held


def _first(
    id: str, interaction: Interaction | None, entry: Entry, table: Table
) -> Iterator[Finding]:
    at = entry.at
    wanted = Entry(
        interaction_id=id,
        version=0,
        at=at,
        actor=None,
        trigger=SUBMIT,
        source=None,
        dest=table.initial,
        offer=0,
        agent_id=None,
        sequence=None,
    )
    if entry != wanted:
        found = attrs.asdict(entry)
        expected = attrs.asdict(wanted)
        name = next(name for name in found if found[name] != expected[name])
        what = f"does not begin with the submission: its {name} is another"
        yield Finding(f"history of {id}", what, found[name], expected[name])
    if interaction is not None:
        received_at = interaction.submission.received_at
        if received_at != at.strftime(RECEIVED_AT):
            what = "was submitted at another time than its history says"
            yield Finding(f"interaction {id}", what, received_at, at.strftime(RECEIVED_AT))


def _erasure(where: str, before: Entry, entry: Entry, table: Table) -> Iterator[Finding]:
    rule = table.by_name.get(before.dest)
    if rule is None or not rule.final or entry.dest != before.dest:
        yield Finding(where, "erases what has not ended", (entry.source, entry.dest))
    if (entry.actor, entry.agent_id, entry.sequence) != (None, None, None):
        found = (entry.actor, entry.agent_id, entry.sequence)
        yield Finding(where, "erases, and names an agent", found, (None, None, None))
    if entry.offer != before.offer:
        yield Finding(where, "has another offer", entry.offer, before.offer)


def _step(
    where: str, before: Entry, entry: Entry, holder: str | None, table: Table
) -> Iterator[Finding]:
    """What is wrong with a line that must be a row of the table."""
    rows = [
        row for row in table.cells.get((str(entry.source), entry.trigger), ())
        if row.dest == entry.dest
    ]  # fmt: skip
    if not rows:
        found = (entry.trigger, entry.source, entry.dest)
        yield Finding(where, "is no row of the table", found)
        return
    rule = table.by_name[entry.dest]
    held = rule.held
    if any(row.who is Who.SYSTEM for row in rows) is not (entry.actor is None):
        yield Finding(where, "was done by somebody who may not", entry.actor, str(rows[0].who))
    if all(_is_ours(row) for row in rows):
        offer = before.offer + any(row.effect is effects.invite for row in rows)
        if entry.offer != offer:
            yield Finding(where, "has another offer", entry.offer, offer)
        if held and entry.actor is not None and entry.agent_id != entry.actor:
            yield Finding(where, "notifies another agent", entry.agent_id, entry.actor)
    if any(row.who in (Who.OWNER, Who.INVITED_AGENT) for row in rows) and entry.actor != holder:
        yield Finding(where, "was done by somebody who did not hold it", entry.actor, holder)
    if not held and entry.agent_id != holder:
        yield Finding(where, "notifies another agent", entry.agent_id, holder)
    if held and entry.agent_id is None:
        yield Finding(where, "leaves it to nobody")
    if entry.agent_id is None and entry.sequence is not None:
        yield Finding(where, "has a notification for nobody", entry.sequence)
    if entry.agent_id is not None and entry.sequence is None and rule.documented:
        yield Finding(where, "has no notification")


def _is_ours(row: Row) -> bool:
    """Whether it is known what the effect of a row writes."""
    return row.effect is None or row.effect.__module__ == effects.__name__


def _end(interaction: Interaction, last: Entry, holder: str | None) -> Iterator[Finding]:
    """Where the latest value is not what the history ends in."""
    where = f"interaction {interaction.id}"
    for name, found, wanted in (
        ("version", interaction.version, last.version),
        ("state", interaction.state, last.dest),
        ("offer", interaction.offer, last.offer),
        ("agentId", interaction.agent_id, holder),
    ):
        if found != wanted:
            yield Finding(where, f"is not what its history ends in at $.{name}", found, wanted)
