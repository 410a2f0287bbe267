"""L5. What is forgotten: what is old by itself, and a person's data on request (semantics 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import orjson

from lifecycle._addresses import senders
from lifecycle._recent import Reads
from lifecycle._requests import no_such_interaction, raw_mail_id
from lifecycle.commands import check_name
from lifecycle.errors import Forbidden, InvalidParameter
from lifecycle.interaction import Attachment, Email, Interaction, UserData
from lifecycle.ports import ContentStore, Store
from lifecycle.records import Commit, Delivery, Entry, Erasure, Saved
from lifecycle.settings import Settings
from lifecycle.table import Table

ERASE = "Erase"
"""What the history says was done to an interaction whose content was erased."""
_EVER = datetime.min.replace(tzinfo=UTC)
_SHOWN = frozenset({"messageTypeName", "id", "channel", "interactionType", "interactionSubType",
                    "interactionId", "currentQueue", "inQueues", "outQueues", "receivedAt",
                    "state", "capabilities"})  # fmt: skip
"""The keys of a notification that say nothing of a mail."""
_FREE_KEYS = "userData"
"""The key under which keys say something too."""


@attrs.frozen(kw_only=True)
class Dossier:
    """What is stored of one interaction, for the person who wrote it."""

    interaction: Interaction
    """Its latest value."""
    history: tuple[Entry, ...]
    """What happened to it."""
    contents: dict[str, bytes]
    """The raw mail and the attachments of mail and reply, by content id."""


class Housekeeping:
    """Retention, export and erasure."""

    def __init__(
        self, store: Store, contents: ContentStore, table: Table, settings: Settings
    ) -> None:
        self._store = store
        self._contents = contents
        own: object = store
        self._contents_in_store = contents is own
        self._table = table
        self._settings = settings

    async def prune(self, at: datetime) -> int:
        """Forget one small batch of each kind of what is too old, and say how much it was."""
        settings = self._settings
        pruned = await self._store.prune(
            deliveries=_before(at, settings.deliveries_kept),
            outcomes=_before(at, settings.outcomes_kept),
            contents=_before(at, settings.finished_kept),
            limit=settings.batch,
        )
        ids = await self._store.finished(_before(at, settings.finished_kept), settings.batch)
        if ids:
            if not self._contents_in_store:
                for id in ids:
                    await self._delete_contents(id)
            await self._store.remove(ids)
        return pruned + len(ids)

    async def _delete_contents(self, interaction_id: str) -> None:
        interaction = await self._store.interaction(interaction_id)
        if interaction is not None:
            for id in content_ids(interaction):
                await self._contents.delete(id)

    async def export(self, address: str) -> tuple[Dossier, ...]:
        """Everything that is stored of the interactions whose mail is from an address."""
        dossiers = []
        for id in await self._store.of_person(person(address)):
            interaction = await self._store.interaction(id)
            if interaction is None:
                continue  # forgotten meanwhile
            found = {key: await self._contents.content(key) for key in content_ids(interaction)}
            dossiers.append(
                Dossier(
                    interaction=interaction,
                    history=await self._store.history(id),
                    contents={key: data for key, data in found.items() if data is not None},
                )
            )
        return tuple(dossiers)

    async def erase(
        self, at: datetime, reads: Reads, *, interaction_id: str
    ) -> tuple[Commit, Interaction]:
        """The content of a finished interaction goes, the fact stays."""
        before = await reads.interaction(interaction_id)
        if before is None:
            raise no_such_interaction(interaction_id)
        if not self._table.by_name[before.state].final:
            raise Forbidden(
                "only a finished interaction can be erased",
                interaction_id=before.id,
                state=before.state,
            )
        if any(mail.interaction_id == before.id for mail in await self._store.outgoing()):
            raise Forbidden(
                "its reply has not left yet", interaction_id=before.id, state=before.state
            )
        history = await self._store.history(before.id)
        after = erased(before)
        if not self._contents_in_store:
            await self._delete_contents(before.id)
        commit = Commit(
            at=at,
            interactions=(
                Saved(interaction=after, expected=before.version, waiting=False, finished=True),
            ),
            entries=(
                Entry(
                    interaction_id=after.id,
                    version=after.version,
                    at=at,
                    actor=None,
                    trigger=ERASE,
                    source=before.state,
                    dest=after.state,
                    offer=after.offer,
                    agent_id=None,
                ),
            ),
            erased=(
                Erasure(
                    interaction_id=after.id,
                    deliveries=tuple([one async for one in self._notifications(history)]),
                ),
            ),
        )
        return commit, after

    async def _notifications(self, history: tuple[Entry, ...]) -> AsyncIterator[Delivery]:
        for entry in history:
            if entry.agent_id is None or entry.sequence is None:
                continue
            for one in await self._store.deliveries(entry.agent_id, entry.sequence - 1, 1):
                if one.sequence == entry.sequence:  # it is retained
                    yield attrs.evolve(one, payload=scrubbed(one.payload))


def person(address: str) -> str:
    """The bare address that a person's interactions are found under.

    Raises `InvalidParameter` for what is not one address.
    """
    check_name("$.address", address)
    found = senders(address)
    if len(found) != 1:
        raise InvalidParameter("must be one address", path="$.address", value=address)
    return found[0]


def content_ids(interaction: Interaction) -> list[str]:
    """The ids of the contents that belong to an interaction: raw mail, files of mail and reply."""
    files: tuple[Attachment, ...] = interaction.email.attachments
    if interaction.draft is not None:
        files += interaction.draft.attachments
    return [raw_mail_id(interaction.id), *(file.id for file in files)]


def erased(interaction: Interaction) -> Interaction:
    """The next version of an interaction, with nothing in it that a person wrote."""
    submission = attrs.evolve(interaction.submission, email=Email(), contact_id=None)
    return attrs.evolve(
        interaction,
        submission=submission,
        version=interaction.version + 1,
        user_data=UserData(),
        comment=None,
        draft=None,
        reason=None,
    )


def scrubbed(payload: bytes) -> bytes:
    """A notification with nothing in it that a person wrote: the same keys, empty values."""
    return orjson.dumps(_emptied(orjson.loads(payload)))


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied_item(key, item) for key, item in value.items()}
    return None if value is None else type(value)()  # "", [], 0, False


def _emptied_item(key: str, item: Any) -> Any:
    if key in _SHOWN:
        return item
    return {} if key == _FREE_KEYS else _emptied(item)


def _before(at: datetime, kept: timedelta | None) -> datetime:
    return _EVER if kept is None or kept > at - _EVER else at - kept
