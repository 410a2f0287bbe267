"""L5. What can be asked of a running lifecycle; nothing here changes anything."""

from __future__ import annotations

from lifecycle._housekeeping import person
from lifecycle._requests import no_such_interaction
from lifecycle.commands import check_name
from lifecycle.errors import NotFound
from lifecycle.interaction import Interaction
from lifecycle.ports import ContentStore, Directory, Store
from lifecycle.records import Agent, Delivery, Entry, Outgoing, Stream


class Questions:
    """The questions that a lifecycle answers from its store, directory and contents."""

    def __init__(self, store: Store, directory: Directory, contents: ContentStore) -> None:
        self._store = store
        self._directory = directory
        self._contents = contents

    async def get(self, interaction_id: str) -> Interaction:
        """The latest value of an interaction. Raises `NotFound`, `InvalidParameter`."""
        check_name("$.id", interaction_id)
        interaction = await self._store.interaction(interaction_id)
        if interaction is None:
            raise no_such_interaction(interaction_id)
        return interaction

    async def history(self, interaction_id: str) -> tuple[Entry, ...]:
        """What happened to an interaction, oldest first. Raises `NotFound`."""
        await self.get(interaction_id)
        return await self._store.history(interaction_id)

    async def waiting(
        self, queue: str | None = None, *, limit: int | None = None
    ) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest first; of all queues where none is named.

        Arguments:
            queue: only what waits in this queue.
            limit: how many at most; None for all.
        """
        return await self._store.waiting(queue, limit=limit)

    async def of_person(self, address: str) -> tuple[str, ...]:
        """The ids of interactions whose mail is from an address, oldest first.

        Raises `InvalidParameter` for what is not one address.
        """
        return await self._store.of_person(person(address))

    async def interactions_of(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest first."""
        return await self._store.held_by(agent_id)

    async def workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest first. Raises `NotFound`."""
        if not self._directory.has_workbin(workbin):
            raise NotFound("there is no such workbin", path="$.workbin", value=workbin)
        return await self._store.in_workbin(workbin)

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions of the thread that a Message-ID belongs to, oldest first."""
        return await self._store.thread(message_id)

    async def agent(self, agent_id: str) -> Agent:
        """An agent's media channel and counts. Raises `NotFound`, `InvalidParameter`."""
        check_name("$.agentId", agent_id)
        if self._directory.capacity(agent_id) is None:
            raise NotFound("there is no such agent", agent_id=agent_id, value=agent_id)
        return await self._store.agent(agent_id) or Agent(id=agent_id)

    async def agents(self) -> tuple[Agent, ...]:
        """All agents who have ever been ready or notified, by id."""
        return await self._store.agents()

    async def content(self, id: str) -> bytes:
        """The bytes of an attachment or a raw mail. Raises `NotFound`."""
        data = await self._contents.content(id)
        if data is None:
            raise NotFound("there is no such content", path="$.id", value=id)
        return data

    async def deliveries(
        self, agent_id: str, *, after: int = 0, limit: int = 100
    ) -> tuple[Delivery, ...]:
        """An agent's retained deliveries with sequences above `after`, in order."""
        return await self._store.deliveries(agent_id, after, limit)

    async def parked(self) -> tuple[Stream, ...]:
        """The streams of agents that stopped at a delivery that failed too often."""
        return await self._store.streams(parked=True)

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Replies that the mailer does not have: parked ones, others, or both."""
        return await self._store.outgoing(parked=parked)
