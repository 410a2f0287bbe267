"""What a process knows from before is never believed where another process knows better."""

from __future__ import annotations

import attrs
import pytest
from desks import desk

from lifecycle import Accept, Agent, MemoryStore, _recent
from lifecycle._recent import Recent
from lifecycle.conformance._samples import START, commit, ended, queued, saved
from lifecycle.errors import NotValidInState
from lifecycle.records import Commit

pytestmark = pytest.mark.anyio


async def test_an_agent_whom_another_process_changed() -> None:
    """Semantics 6: `Ready` and `NotReady` hold whatever was known here before."""
    store = MemoryStore()
    here, there = desk(store), desk(store)
    await here.offer("ann")
    await there.lifecycle.not_ready("ann")
    assert (await here.lifecycle.ready("ann")).ready
    assert (await here.lifecycle.agent("ann")).ready
    await there.offer("ann", "I2")
    await here.lifecycle.not_ready("ann")
    await there.lifecycle.ready("ann")
    await there.lifecycle.invite("I2", "ann")
    await here.lifecycle.not_ready("ann")
    agent = await there.lifecycle.agent("ann")
    assert (agent.ready, agent.load) == (False, 0)
    assert (await there.lifecycle.get("I2")).state == "Revoked"


async def test_an_interaction_that_another_process_changed() -> None:
    """A step is made from the stored version, and refused for the stored state."""
    store = MemoryStore()
    here, there = desk(store), desk(store)
    await here.offer("ann")
    await there.lifecycle.revoke("I1")
    await there.lifecycle.invite("I1", "ann")
    with pytest.raises(NotValidInState) as refused:
        await here.lifecycle.perform("I1", Accept(offer=1), agent_id="ann")
    assert refused.value.state == "Invited"
    done = await here.lifecycle.perform("I1", Accept(offer=2), agent_id="ann")
    assert done.version == 4


async def test_it_remembers_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is forgotten; what has ended, or is not there any more, is not kept at all."""
    monkeypatch.setattr(_recent, "_KEPT", 2)
    store = MemoryStore()
    recent = Recent(store)
    for id in ("I1", "I2", "I3"):
        recent.committed(Commit(at=START, interactions=(saved(queued(id)),)))
    assert await recent.interaction("I1") is None
    assert await recent.interaction("I3") == queued("I3")
    last = attrs.evolve(saved(ended("I3"), expected=0), finished=True)
    recent.committed(Commit(at=START, interactions=(last,)))
    assert await recent.interaction("I3") is None
    recent.committed(Commit(at=START, agents=(Agent(id="ann", version=1),)))
    assert await recent.agent("ann") == Agent(id="ann", version=1)
    assert await recent.fresh.agent("ann") is None
    assert await recent.agent("ann") is None
    assert await recent.fresh.interaction("I2") is None
    await commit(store, queued("I4"), agents=(Agent(id="bob", version=1),))
    assert await recent.interaction("I4") == queued("I4")
    assert await recent.agent("bob") == Agent(id="bob", version=1)
    await store.remove(["I4"])
    assert await recent.interaction("I4") == queued("I4")
    assert await recent.fresh.interaction("I4") is None
    assert await recent.interaction("I4") is None
