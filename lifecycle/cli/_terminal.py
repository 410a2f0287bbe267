"""L8. What a mail says is hostile: how it may be shown on a terminal, and what the commands say."""

from __future__ import annotations

import unicodedata

import typer

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"  # join and part letters and emoji, and nothing else


def plain(text: str, encoding: str = "utf-8") -> str:
    """A text on one line, without what a terminal would obey instead of showing.

    Arguments:
        text: any text.
        encoding: that of the stream it is for.

    Returns: the text with escapes, as Python writes them, for control and format characters,
    line ends, lone surrogates, and whatever the encoding does not have.
    """
    shown = "".join(_escaped(char) if _is_unseen(char) else char for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN and char not in _JOINERS


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def say(command: str, message: str) -> None:
    """Write one line to standard error, on behalf of a command."""
    typer.echo(plain(f"lifecycle {command}: {message}"), err=True)


def reason(error: OSError) -> str:
    """Why the system refused."""
    return error.strerror or str(error)
