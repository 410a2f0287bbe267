"""L6. A mailer that keeps what it is given."""

from __future__ import annotations

from lifecycle.ports import MailAnswer
from lifecycle.records import Outgoing


class MemoryMailer:
    """Keeps every message, repeats too, in the order in which they came."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, mail: Outgoing) -> MailAnswer:
        """Keep a message."""
        self.sent.append(mail)
        return MailAnswer.SENT
