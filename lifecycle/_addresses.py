"""L1. RFC 5322 addresses as text: a list into its addresses, an address into its parts.

An own small scanner: the one of the standard library answers differently from patch release to
patch release. Nothing here raises, and everything takes time in proportion to the text. What
is no address is kept as it is, for a person to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_LONGEST_KEPT = 512
_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A backslash takes the next character with it in all alternatives. So a quote that nothing
# closes is tried once and not once for each place: the time stays linear.
_TOKEN = re.compile(
    rf"""(?P<quoted>{_QUOTED})
    |<(?P<angle>(?:[^<>"\\]++|\\.|{_QUOTED})*+)>
    |(?P<mark>[(,;:@])
    |(?P<plain>(?:[^\\"(<,;:@]++|\\.)++|.)""",
    re.VERBOSE | re.DOTALL,
)
_PAREN = re.compile(r"\\.|[()]", re.DOTALL)
_ATOMS = r'[^\s\x00-\x1f\x7f-\x9f"(),:;<>@\[\\\]]++'
_ADDR_SPEC = re.compile(
    rf"(?P<local>{_ATOMS}|{_QUOTED})@(?P<domain>{_ATOMS}|\[[^\s\[\\\]]*+\])", re.DOTALL
)
_SPACING = re.compile(rf"({_QUOTED}|\\.)|\s*+([.@])\s*+|\s++", re.DOTALL)
_ROUTE = re.compile(r"@[^:]*+:")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]|[^\x00-\xa0])+")


@lru_cache(maxsize=1024)
def split_addresses(text: str) -> tuple[str, ...]:
    """Split an address list into one string per address.

    Arguments:
        text: an RFC 5322 address list, well formed or not. Semicolons separate like commas.

    Returns: the addresses in their order with their display names, as they stand in the text.
    The members of a group stand in place of the group; a piece of nothing but space and
    comments is left out; a piece that is no address is kept.
    """
    found = []
    start = 0
    has_content = has_address = False
    closings = _closings(text)
    position = 0
    while token := _TOKEN.match(text, position):
        position = token.end()
        mark = token["mark"]
        if mark == "(" and token.start() in closings:
            position = closings[token.start()]
        elif (mark == ":" and not has_address) or mark in (",", ";"):
            if mark != ":" and has_content:
                found.append(text[start : token.start()].strip())
            start = position
            has_content = has_address = False
        else:
            has_content = has_content or not token[0].isspace()
            has_address = has_address or mark == "@" or token["angle"] is not None
    if has_content:
        found.append(text[start:].strip())
    return tuple(found)


def address_parts(address: str) -> tuple[str, str]:
    """The display name and the bare address of one address.

    Arguments:
        address: one address, as `split_addresses` gives it.

    Returns: the name without quotes, or else what a comment says (`joe@example.com (Joe)`), on
    one line, `""` where there is none; and the address as `bare_address` gives it, but with
    the case of its domain kept. Both are `""` where the text holds no address.
    """
    if _ADDR_SPEC.fullmatch(address) and not address.startswith('"'):
        return "", address
    name: list[str] = []
    comments: list[str] = []
    spec = ""
    closings = _closings(address)
    position = 0
    while token := _TOKEN.match(address, position):
        position = token.end()
        if token["mark"] == "(" and token.start() in closings:
            position = closings[token.start()]
            comments.append(_unquoted(address[token.start() : position]))
        elif token["angle"] is not None:
            spec = spec or _addr_spec(token["angle"])
            name.append(" ")
        else:
            name.append(token[0] if token["quoted"] is None else _unquoted(token[0]))
    comment = _on_one_line(" ".join(comments))
    if spec:
        return _on_one_line("".join(name)) or comment, spec
    spec = _addr_spec(address)
    return comment if spec else "", spec


def bare_address(address: str) -> str:
    """The bare address (`joe@example.com`) of one address, for comparing.

    Arguments:
        address: one address, with or without display name and comments.

    Returns: local part and domain, the domain in lower case, without whitespace (but for a
    quoted local part that holds some) and without needless quotes; `""` where there is none.
    """
    return _bare(address) if len(address) > _LONGEST_KEPT else _known_bare(address)


def _bare(address: str) -> str:
    local, at, domain = address_parts(address)[1].rpartition("@")
    return local + at + domain.lower()


_known_bare = lru_cache(maxsize=1024)(_bare)


def senders(*lists: str) -> tuple[str, ...]:
    """The bare addresses in some address lists in small letters, each once: who wrote a mail.

    Arguments:
        lists: its From and its Reply-To.
    """
    found = (bare_address(one).lower() for text in lists for one in split_addresses(text))
    return tuple(dict.fromkeys(filter(None, found)))


def format_address(name: str, address: str) -> str:
    """A display name and a bare address as one address, the opposite of `address_parts`.

    Arguments:
        name: the display name in readable form, `""` for none; brought on one line.
        address: the bare address.

    Returns: `Joe <joe@example.com>`, with the name in quotes where it needs them.
    """
    name = _on_one_line(name)
    if not name:
        return address
    if not _PLAIN_NAME.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address}>"


def join_addresses(addresses: Iterable[str]) -> str:
    """One address list of the addresses: joined by a comma and a space, empty ones left out."""
    return ", ".join(address for address in addresses if address)


def _closings(text: str) -> dict[int, int]:
    """For the start of every comment, the position after its closing parenthesis."""
    closings = {}
    opened = []
    for paren in _PAREN.finditer(text):
        if paren[0] == "(":
            opened.append(paren.start())
        elif paren[0] == ")" and opened:
            closings[opened.pop()] = paren.end()
    return closings


def _without_comments(text: str) -> str:
    closings = _closings(text)
    if not closings:
        return text
    kept = []
    start = position = 0
    while token := _TOKEN.match(text, position):
        position = token.end()
        if token["mark"] == "(" and token.start() in closings:
            kept.append(text[start : token.start()])
            start = position = closings[token.start()]
    kept.append(text[start:])
    return " ".join(kept)


def _addr_spec(text: str) -> str:
    """Normalise `local@domain`, which may have a route before it; `""` where it is not one."""
    text = _without_comments(text).strip()
    route = _ROUTE.match(text)
    if route:
        text = text[route.end() :].strip()
    match = _ADDR_SPEC.fullmatch(text) or _ADDR_SPEC.fullmatch(_closed_up(text))
    if match is None:
        return ""
    local = match["local"]
    if local.startswith('"'):
        unquoted = _unquoted(local)
        if re.fullmatch(_ATOMS, unquoted):
            local = unquoted
    return f"{local}@{match['domain']}"


def _closed_up(text: str) -> str:
    """Without the space around dots and `@` that RFC 5322, 4.4, still allows."""
    return _SPACING.sub(lambda match: match[1] or match[2] or " ", text)


def _unquoted(text: str) -> str:
    """What a quoted string or a comment says."""
    return _PAIR.sub(r"\1", text[1:-1])


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
