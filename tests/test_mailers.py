"""The shipped mailers: the suite for each, and what is particular to the Maildir."""

from __future__ import annotations

import errno
import mailbox
import os
import stat
from pathlib import Path

import anyio
import attrs
import pytest
from clocks import START

from lifecycle import MailAnswer, MaildirMailer, MemoryMailer, Outgoing
from lifecycle.conformance.mailer_suite import MailerSuite, MailerUnderTest

MAIL = Outgoing(
    message_id="<I1D1@shop.example>",
    interaction_id="I1",
    queue=None,
    sender="help@shop.example",
    recipients=("zoe@home.example",),
    at=START,
    message=b"Subject: hello\r\nMessage-ID: <I1D1@shop.example>\r\n\r\nBody\r\n",
)


class TestMemoryMailer(MailerSuite):
    """The memory mailer behaves as every mailer does."""

    @pytest.fixture
    def under_test(self) -> MailerUnderTest:
        """An empty one."""
        mailer = MemoryMailer()

        async def arrived() -> list[bytes]:
            return [mail.message for mail in mailer.sent]

        return MailerUnderTest(mailer=mailer, arrived=arrived)


class TestMaildirMailer(MailerSuite):
    """The Maildir mailer behaves as every mailer does, read by the files in `new`."""

    @pytest.fixture
    def under_test(self, tmp_path: Path) -> MailerUnderTest:
        """One that writes to a new Maildir."""

        async def arrived() -> list[bytes]:
            return [path.read_bytes() for path in (tmp_path / "box" / "new").iterdir()]

        return MailerUnderTest(mailer=MaildirMailer(tmp_path / "box"), arrived=arrived)


@pytest.mark.anyio
async def test_the_memory_mailer_keeps_whole_mails() -> None:
    """What it has is the very mails, repeats too."""
    mailer = MemoryMailer()
    await mailer.send(MAIL)
    await mailer.send(MAIL)
    assert mailer.sent == [MAIL, MAIL]


@pytest.mark.anyio
async def test_a_maildir_can_be_read_by_others(tmp_path: Path) -> None:
    """The standard library's own reader finds the message, and nothing else."""
    await MaildirMailer(tmp_path / "box").send(MAIL)
    (message,) = mailbox.Maildir(tmp_path / "box", create=False)
    assert message["subject"] == "hello"
    assert list((tmp_path / "box" / "tmp").iterdir()) == []


@pytest.mark.anyio
async def test_a_maildir_is_made_where_it_is_missing(tmp_path: Path) -> None:
    """Its folders, and those above it; what is there stays."""
    path = tmp_path / "deep" / "box"
    mailer = MaildirMailer(os.fspath(path))
    await mailer.send(MAIL)
    assert MaildirMailer(path).path == path
    assert sorted(folder.name for folder in path.iterdir()) == ["cur", "new", "tmp"]
    assert len(list((path / "new").iterdir())) == 1


def test_a_maildir_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in its place is an error at once, not at the first message."""
    (tmp_path / "box").write_text("a file")
    with pytest.raises(OSError, match="box"):
        MaildirMailer(tmp_path / "box")


@pytest.mark.anyio
async def test_a_message_that_is_sent_again_replaces_itself(tmp_path: Path) -> None:
    """One Message-ID is one file, whoever sends it again; another one is another file."""
    await MaildirMailer(tmp_path).send(MAIL)
    (first,) = (tmp_path / "new").iterdir()
    await MaildirMailer(tmp_path).send(MAIL)
    assert list((tmp_path / "new").iterdir()) == [first]
    await MaildirMailer(tmp_path).send(attrs.evolve(MAIL, message_id="<I1D2@shop.example>"))
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.anyio
async def test_a_message_that_was_read_does_not_come_again(tmp_path: Path) -> None:
    """A reader moves it to `cur` with flags; a repeat after that is already delivered."""
    mailer = MaildirMailer(tmp_path)
    await mailer.send(MAIL)
    (path,) = (tmp_path / "new").iterdir()
    path.rename(tmp_path / "cur" / f"{path.name}:2,S")
    assert await mailer.send(MAIL) is MailAnswer.SENT
    assert list((tmp_path / "new").iterdir()) == []
    assert len(list((tmp_path / "cur").iterdir())) == 1


@pytest.mark.anyio
async def test_what_a_crash_left_is_never_in_new(tmp_path: Path) -> None:
    """A half-written file stays in `tmp`, where readers do not look; the message is whole."""
    mailer = MaildirMailer(tmp_path)
    await mailer.send(MAIL)
    (path,) = (tmp_path / "new").iterdir()
    path.rename(tmp_path / "tmp" / path.name)
    (tmp_path / "tmp" / path.name).write_bytes(b"Subject: he")
    await mailer.send(MAIL)
    assert path.read_bytes() == MAIL.message
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.anyio
async def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes out, and neither folder has a piece of the message."""
    mailer = MaildirMailer(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        await mailer.send(MAIL)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.anyio
async def test_a_message_is_on_the_disk_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced while it is in `tmp`, its name in `new` after that."""
    mailer = MaildirMailer(tmp_path)
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        named = len(list((tmp_path / "new").iterdir()))
        size = os.fstat(descriptor).st_size
        synced.append(f"folder, {named} named" if folder else f"{size} bytes, {named} named")

    monkeypatch.setattr(os, "fsync", sync)
    await mailer.send(MAIL)
    assert synced == [f"{len(MAIL.message)} bytes, 0 named", "folder, 1 named"]


@pytest.mark.anyio
async def test_a_folder_that_is_gone_raises(tmp_path: Path) -> None:
    """The service takes it as a deferral; nothing says that the message was sent."""
    mailer = MaildirMailer(tmp_path)
    (tmp_path / "tmp").rmdir()
    with pytest.raises(FileNotFoundError):
        await mailer.send(MAIL)


@pytest.mark.anyio
async def test_one_message_sent_by_two_at_a_time_is_whole(tmp_path: Path) -> None:
    """Two workers with the same message leave it there once, whatever the order."""
    mail = attrs.evolve(MAIL, message=MAIL.message + b"x" * 1_000_000)
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(MaildirMailer(tmp_path).send, mail)
    (path,) = (tmp_path / "new").iterdir()
    assert path.read_bytes() == mail.message
    assert list((tmp_path / "tmp").iterdir()) == []
