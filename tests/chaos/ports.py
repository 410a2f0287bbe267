"""The sink and the mailer of a worker: they hand everything to the endpoint."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

from lifecycle import Answer, Delivery, MailAnswer, Outgoing

_ANSWERS = {answer.value: answer for answer in Answer}
_MAIL_ANSWERS = {answer.value: answer for answer in MailAnswer}


class Connections:
    """Connections to the endpoint, used again while they last.

    Arguments:
        socket: where the endpoint listens.
        worker: who this is, for its journal.
    """

    def __init__(self, socket: str, worker: str) -> None:
        self._socket = socket
        self._worker = worker
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, kind: str, body: bytes, **fields: object) -> str:
        """Say something and wait for the answer; raises where the connection is dropped."""
        message = {"kind": kind, "worker": self._worker, **fields, "body": b64encode(body).decode()}
        reader, writer = (
            self._idle.pop() if self._idle else await asyncio.open_unix_connection(self._socket)
        )
        try:
            writer.write(json.dumps(message).encode() + b"\n")
            answer = await reader.readline()
            if not answer.endswith(b"\n"):
                raise ConnectionError("the endpoint has dropped the connection")
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return answer.decode().strip()


class EndpointSink:
    """Hands deliveries to the endpoint."""

    def __init__(self, endpoint: Connections) -> None:
        self._endpoint = endpoint

    async def deliver(self, delivery: Delivery) -> Answer:
        """What the endpoint says of it."""
        answer = await self._endpoint.ask(
            "delivery",
            delivery.payload,
            agent=delivery.agent_id,
            sequence=delivery.sequence,
            interaction=delivery.interaction_id,
            offer=delivery.offer,
            trigger=delivery.trigger,
        )
        return _ANSWERS[answer]


class EndpointMailer:
    """Hands mails to the endpoint."""

    def __init__(self, endpoint: Connections) -> None:
        self._endpoint = endpoint

    async def send(self, mail: Outgoing) -> MailAnswer:
        """What the endpoint says of it."""
        answer = await self._endpoint.ask(
            "mail", mail.message, message_id=mail.message_id, interaction=mail.interaction_id
        )
        return _MAIL_ANSWERS[answer]
