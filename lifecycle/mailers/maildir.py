"""L6. A mailer that writes into a Maildir."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import partial
from pathlib import Path

import anyio.to_thread

from lifecycle.ports import MailAnswer
from lifecycle.records import Outgoing


class MaildirMailer:
    """Puts every message as one file into the `new` folder of a Maildir.

    The file's name comes from the Message-ID, so a message that is sent again replaces itself
    and is there once. A file appears whole or not at all, and is on the disk when `send` returns.

    Arguments:
        path: the Maildir; it and its `cur`, `new` and `tmp` are made where they are missing.

    Raises `OSError` where the folders cannot be made; one while sending counts as a deferral.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        for folder in ("tmp", "new", "cur"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)

    async def send(self, mail: Outgoing) -> MailAnswer:
        """Write a message."""
        await anyio.to_thread.run_sync(partial(self._write, mail))
        return MailAnswer.SENT

    def _write(self, mail: Outgoing) -> None:
        digest = hashlib.sha256(mail.message_id.encode()).hexdigest()[:32]
        name = f"{int(mail.at.timestamp())}.{digest}.lifecycle"
        if any((self.path / "cur").glob(f"{name}*")):
            return  # somebody has read it already; it was delivered
        # A name of its own: another worker may be writing the same message.
        descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.", dir=self.path / "tmp")
        try:
            with open(descriptor, "wb") as file:
                file.write(mail.message)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path / "new" / name)
        except BaseException:
            Path(temporary).unlink()
            raise
        _sync_folder(self.path / "new")


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
