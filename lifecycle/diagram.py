"""L4. A rule table as text to look at: Markdown, Mermaid and Graphviz's DOT (semantics 2, 3).

Pure: a table in, a string out, the same for the same table. Everything is derived from the
table, so an extended one is drawn like the shipped one.

What the pictures have in common: a trigger that changes no state stands inside its state's box
as `stays: ...`; triggers of the same side (agents, or the system) between the same two states
share an arrow; a row without a condition beside rows with one is labelled `otherwise`.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from lifecycle.table import EMAIL, Row, StateRule, Table, condition_label
from lifecycle.vocabulary import Who

# Blue and vermilion of the Okabe-Ito palette, the latter darkened so that small text is legible:
# told apart with any kind of colour vision, and never the only sign (lines are dashed, borders
# doubled, boxes rounded as well).
_AGENT: Final = "#0072B2"
_SYSTEM: Final = "#B34700"
_INK: Final = "#222222"
_QUIET: Final = "#555555"
_FILLS: Final = {"held": "#D9ECF8", "resting": "#F4F4F4", "final": "#D5D5D5"}

_LABEL_WIDTH: Final = 22
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$]")
_MERMAID_SPECIAL = re.compile(r"[^\w .,()/'+=?!-]|_")


def _said(function: Callable[..., Any]) -> str:
    """What a condition or timer says, on one line that can be printed, encoded and drawn."""
    label = condition_label(function)
    return " ".join("".join(c if c.isprintable() else " " for c in label).split())


def _condition(table: Table, row: Row) -> str:
    """On what a row depends: `if ...`, `otherwise`, or nothing."""
    if row.condition is not None:
        return f"if {_said(row.condition)}"
    return "otherwise" if len(table.cells[row.source, row.trigger]) > 1 else ""


def _kind(rule: StateRule) -> str:
    return "final" if rule.final else "held" if rule.held else "resting"


def _is_system(row: Row) -> bool:
    return row.who is Who.SYSTEM


@attrs.frozen
class _Label:
    """A trigger and on what it depends."""

    trigger: str
    condition: str

    def __str__(self) -> str:
        return f"{self.trigger} {self.condition}".rstrip()


@attrs.frozen
class _Arrow:
    """What leads from one state, or from several, to another by the same side's hand."""

    sources: tuple[str, ...]
    dest: str
    system: bool
    labels: tuple[_Label, ...]


def _stays(table: Table, state: str, *, system: bool) -> tuple[_Label, ...]:
    return tuple(
        _Label(row.trigger, _condition(table, row))
        for row in table.rows
        if row.source == row.dest == state and _is_system(row) is system
    )


def _arrows(table: Table) -> list[_Arrow]:
    """The rows that change the state: one arrow for each side between two states."""
    labels: dict[tuple[str, str, bool], list[_Label]] = {}
    for row in table.rows:
        if row.source != row.dest:
            key = (row.source, row.dest, _is_system(row))
            labels.setdefault(key, []).append(_Label(row.trigger, _condition(table, row)))
    return [
        _Arrow((source,), dest, system, tuple(found))
        for (source, dest, system), found in labels.items()
    ]


def _gathered(arrows: Iterable[_Arrow]) -> list[_Arrow]:
    """The same, with the system's arrows that say the same and end in one state made one."""
    gathered: dict[object, _Arrow] = {}
    for arrow in arrows:
        key = (arrow.dest, arrow.labels) if arrow.system else arrow
        first = gathered.get(key)
        sources = arrow.sources if first is None else (*first.sources, *arrow.sources)
        gathered[key] = attrs.evolve(arrow, sources=sources)
    return list(gathered.values())


# Markdown


def markdown(table: Table = EMAIL, *, level: int = 2) -> str:
    """The table as three Markdown tables: states, transitions, capabilities (semantics 2, 3).

    Arguments:
        table: the rule table.
        level: of the headings, 1 to 6; so that the text fits into a document of one's own.

    Returns: GitHub-flavoured Markdown that ends with a line break.
    """
    heading = "#" * level
    return "\n".join(
        (
            f"{heading} States",
            "",
            *_markdown_table(
                ("state", "on the page", "held by an agent", "final", "timer"),
                (
                    (
                        _code(rule.name) + (" (initial)" if rule.name == table.initial else ""),
                        _yes(rule.documented),
                        _yes(rule.held),
                        _yes(rule.final),
                        "" if rule.timer is None else _markdown_text(_said(rule.timer)),
                    )
                    for rule in table.states
                ),
            ),
            "",
            f"{heading} Transitions",
            "",
            *_markdown_table(
                ("trigger", "from", "to", "condition", "who may"),
                (
                    (
                        _code(row.trigger),
                        _code(row.source),
                        _code(row.dest),
                        _markdown_text(_condition(table, row)),
                        str(row.who),
                    )
                    for row in table.rows
                ),
            ),
            "",
            f"{heading} Capabilities",
            "",
            *_markdown_table(
                ("state", "capabilities"),
                (
                    (_code(rule.name), ", ".join(map(_code, table.capabilities(rule.name))))
                    for rule in table.states
                ),
            ),
            "",
        )
    )


def _markdown_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _code(name: str) -> str:
    return f"`{name}`"


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _markdown_text(text: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\g<0>", text)


# Mermaid


def mermaid(table: Table = EMAIL) -> str:
    """The table as a Mermaid state diagram, which GitHub draws in a `mermaid` code block.

    Mermaid cannot style the arrows of such a diagram, so the system's triggers are in square
    brackets.

    Arguments:
        table: the rule table.

    Returns: the source of the diagram; it ends with a line break.
    """
    return "\n".join((*_mermaid_lines(table), ""))


def _mermaid_lines(table: Table) -> Iterator[str]:
    yield "stateDiagram-v2"
    for kind, border in (("held", _AGENT), ("resting", _QUIET), ("final", _INK)):
        width = "3px" if kind == "final" else "1px"
        style = f"fill:{_FILLS[kind]},stroke:{border},stroke-width:{width},color:{_INK}"
        yield f"    classDef {kind} {style}"
    for rule in table.states:
        lines = [rule.name]
        for system in (False, True):
            stays = _stays(table, rule.name, system=system)
            if stays:
                lines.append(f"stays: {', '.join(_mermaid_label(it, system) for it in stays)}")
        yield f'    state "{"<br/>".join(lines)}" as {_mermaid_id(rule.name)}'
    yield f"    note left of {_mermaid_id(table.initial)}"
    yield f"        {'<br/>'.join(_MERMAID_LEGEND)}"
    yield "    end note"
    yield f"    [*] --> {_mermaid_id(table.initial)}"
    for arrow in _arrows(table):
        label = "<br/>".join(_mermaid_label(it, arrow.system) for it in arrow.labels)
        (source,) = arrow.sources
        yield f"    {_mermaid_id(source)} --> {_mermaid_id(arrow.dest)}: {label}"
    for rule in table.states:
        if rule.final:
            yield f"    {_mermaid_id(rule.name)} --> [*]"
    for kind in _FILLS:
        names = [_mermaid_id(rule.name) for rule in table.states if _kind(rule) == kind]
        if names:
            yield f"    class {','.join(names)} {kind}"


_MERMAID_LEGEND: Final = (
    "blue: held by an agent",
    "thick border: final",
    "[in brackets]: done by the system",
)


def _mermaid_id(name: str) -> str:
    """A name that no keyword of Mermaid can be equal to, such as `end` or `state`."""
    return f"s_{name}"


def _mermaid_label(label: _Label, system: bool) -> str:
    text = _MERMAID_SPECIAL.sub(lambda found: f"#{ord(found[0])};", str(label))
    return f"[{text}]" if system else text


# DOT


def dot(table: Table = EMAIL) -> str:
    """The table as a directed graph in Graphviz's DOT language, with a legend.

    A system trigger that leads from several states to one is drawn once, in an oval between
    them that gathers their lines.

    Arguments:
        table: the rule table.

    Returns: the source of the graph; it ends with a line break.
    """
    return "\n".join((*_dot_lines(table), ""))


def _dot_lines(table: Table) -> Iterator[str]:
    arrows = list(enumerate(_gathered(_arrows(table))))
    yield "digraph lifecycle {"
    yield "  graph [rankdir=TB nodesep=0.25 ranksep=0.45 pad=0.15 bgcolor=white]"
    yield f"  graph [fontname=Helvetica fontsize=11 label=<{_legend()}>]"
    yield f'  node [shape=box style=filled fontname=Helvetica fontsize=14 fontcolor="{_INK}"]'
    yield "  edge [fontname=Helvetica fontsize=11 arrowsize=0.8]"
    yield f'  start [shape=circle label="" width=0.17 fillcolor="{_INK}" color="{_INK}"]'
    for number, arrow in arrows:  # before the states: Graphviz lays them out better in this order
        if len(arrow.sources) > 1:
            yield f"  {_joint(number)} [{_JOINT} label=<{_dot_labels(arrow)}>]"
    for rule in table.states:
        look = _STATES[_kind(rule)]
        yield f"  {_dot_id(rule.name)} [{look} label=<{_dot_state(table, rule)}>]"
    yield f'  start -> {_dot_id(table.initial)} [color="{_INK}"]'
    for number, arrow in arrows:
        yield from _dot_arrow(number, arrow)
    yield "}"


def _dot_id(name: str) -> str:
    """A name that no keyword of DOT and no node of the picture's own can be equal to."""
    return f'"state {name}"'


def _joint(number: int) -> str:
    return f'"joint {number}"'


def _dot_state(table: Table, rule: StateRule) -> str:
    lines = [f"<B>{rule.name}</B>"]
    for system, colour, title in (
        (False, _AGENT, "stays:"),
        (True, _SYSTEM, "stays, by the system:"),
    ):
        stays = _stays(table, rule.name, system=system)
        text = (title, *(line for label in stays for line in _dot_label(label)))
        if stays:  # a smaller font is to be opened and closed on each line
            lines += (f'<FONT POINT-SIZE="10" COLOR="{colour}">{line}</FONT>' for line in text)
    return "<BR/>".join(lines)


def _dot_label(label: _Label) -> Iterator[str]:
    yield label.trigger
    for line in textwrap.wrap(label.condition, _LABEL_WIDTH):
        # even in an HTML-like label a backslash begins an escape, such as \N for the node's name
        text = html.escape(line.replace("\\", "\\\\"))
        yield f"<I>{text}</I>"


def _dot_labels(arrow: _Arrow) -> str:
    return "<BR/>".join(line for label in arrow.labels for line in _dot_label(label))


def _dot_arrow(number: int, arrow: _Arrow) -> Iterator[str]:
    look = _BY_SYSTEM if arrow.system else _BY_AGENT
    dest = _dot_id(arrow.dest)
    if len(arrow.sources) == 1:
        # the cell around the text keeps it off the lines
        cell = f'<TABLE BORDER="0" CELLPADDING="5"><TR><TD>{_dot_labels(arrow)}</TD></TR></TABLE>'
        yield f"  {_dot_id(arrow.sources[0])} -> {dest} [{look} label=<{cell}>]"
        return
    for source in arrow.sources:
        yield f"  {_dot_id(source)} -> {_joint(number)} [{look} arrowsize=0.5]"
    yield f"  {_joint(number)} -> {dest} [{look}]"


_STATES: Final = {
    "held": f'penwidth=2 fillcolor="{_FILLS["held"]}" color="{_AGENT}"',
    "resting": f'style="filled,rounded" fillcolor="{_FILLS["resting"]}" color="{_QUIET}"',
    "final": f'peripheries=2 fillcolor="{_FILLS["final"]}" color="{_INK}"',
}
# what agents do is what the picture is laid out along
_BY_AGENT: Final = f'weight=3 color="{_AGENT}" fontcolor="{_AGENT}"'
_BY_SYSTEM: Final = f'style=dashed color="{_SYSTEM}" fontcolor="{_SYSTEM}"'
_JOINT: Final = (
    f'shape=ellipse style="filled,dashed" fillcolor=white color="{_SYSTEM}"'
    f' fontcolor="{_SYSTEM}" fontsize=11 margin="0.06,0.03" width=0.5 height=0.3'
)


def _legend() -> str:
    """What the looks mean, as the label of the whole graph."""
    final = f'<TD BORDER="1" COLOR="{_INK}" BGCOLOR="{_FILLS["final"]}">final</TD>'
    cells = (
        f'<TD BORDER="2" COLOR="{_AGENT}" BGCOLOR="{_FILLS["held"]}">held by an agent</TD>',
        f'<TD BORDER="1" COLOR="{_QUIET}" BGCOLOR="{_FILLS["resting"]}" STYLE="rounded">'
        "held by nobody</TD>",
        f'<TD BORDER="1" COLOR="{_INK}" CELLPADDING="2"><TABLE BORDER="0" CELLSPACING="0"'
        f' CELLPADDING="4"><TR>{final}</TR></TABLE></TD>',
        f'<TD BORDER="1" COLOR="{_AGENT}" SIDES="B">'
        f'<FONT COLOR="{_AGENT}">done by an agent</FONT></TD>',
        f'<TD BORDER="1" COLOR="{_SYSTEM}" SIDES="B" STYLE="dashed">'
        f'<FONT COLOR="{_SYSTEM}">done by the system</FONT></TD>',
    )
    return (
        '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="10" CELLPADDING="5">'
        f"<TR>{''.join(cells)}</TR></TABLE>"
    )
