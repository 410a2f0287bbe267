"""The sink and the mailer: one process that outlives everybody, and misbehaves by the seed.

It writes down whatever arrives before it answers. Imports nothing of the library.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from base64 import b64decode
from collections import Counter
from random import Random
from typing import Any

from chaos.board import Board, Phase
from chaos.config import AGENTS, SINK_TIMEOUT, Config
from chaos.journal import Journal
from chaos.processes import die_with_parent

_LOOK = 0.05
"""Seconds between two looks at the board, which another process writes to and nothing rings."""
_BAD_SPELL = 2.0
"""Seconds for which all deliveries of one agent fail."""


class Endpoint:
    """Takes deliveries and mails, or does what a bad peer does."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._board = Board(config.path("board"))
        self._journal = Journal(config.path("endpoint.jsonl"))
        self._arrivals: Counter[str] = Counter()
        self._start = time.monotonic()

    async def serve(self) -> None:
        """Serve until the run is over."""
        server = await asyncio.start_unix_server(self._talk, self._config.socket, limit=2**22)
        async with server:
            while self._board.phase is not Phase.OVER:
                await asyncio.sleep(_LOOK)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break  # cut off by a kill
                answer = await self._answer(json.loads(line))
                if answer is None:
                    break
                writer.write(answer.encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the peer was killed
        except asyncio.CancelledError:
            pass  # the server closes; since there is no more to read nothing is cut off
        finally:
            writer.close()

    async def _answer(self, message: dict[str, Any]) -> str | None:
        """What to answer; None to drop the connection."""
        key = f"{message.get('agent')}/{message.get('sequence')}/{message.get('message_id')}"
        self._arrivals[key] += 1
        running = self._board.phase is Phase.RUNNING
        conduct = self._config.random("endpoint", key, self._arrivals[key]) if running else None
        if message["kind"] == "mail":
            return await self._mail(message, conduct)
        return await self._delivery(message, conduct)

    async def _delivery(self, message: dict[str, Any], conduct: Random | None) -> str | None:
        if conduct is not None:
            if self._has_bad_spell(message["agent"]):
                return self._note(message, "failed")
            luck = conduct.random()
            if luck < 0.02:
                return self._note(message, "failed")
            if luck < 0.03:
                return self._note(message, "not connected")
            if luck < 0.04:
                self._note(message, "dropped")
                return None
            if luck < 0.06:
                self._note(message, "delivered")
                return None  # it was taken, and nobody is told
            if luck < 0.065:
                await asyncio.sleep(2 * SINK_TIMEOUT)
        return self._note(message, "delivered")

    async def _mail(self, message: dict[str, Any], conduct: Random | None) -> str | None:
        if conduct is not None:
            luck = conduct.random()
            if luck < 0.05:
                return self._note(message, "deferred")
            if luck < 0.07:
                return self._note(message, "refused")
            if luck < 0.1:
                self._note(message, "dropped")
                return None
            if luck < 0.15:
                self._note(message, "sent")
                return None
            if luck < 0.16:
                await asyncio.sleep(2 * SINK_TIMEOUT)
        return self._note(message, "sent")

    def _has_bad_spell(self, agent: str) -> bool:
        spell = self._config.random("spell", int((time.monotonic() - self._start) / _BAD_SPELL))
        return spell.random() < 0.5 and spell.choice(sorted(AGENTS)) == agent

    def _note(self, message: dict[str, Any], answer: str) -> str:
        body = b64decode(message.pop("body"))
        digest = hashlib.sha256(body).hexdigest()
        self._journal.write(**message, digest=digest, answer=answer)
        return answer


def main(config: Config) -> None:
    """The endpoint's process."""
    die_with_parent()
    asyncio.run(Endpoint(config).serve())
