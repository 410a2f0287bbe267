"""The texts that are made of a rule table, read back by parsers of other hands."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from typing import Any, TypeAlias
from xml.etree import ElementTree

import attrs
import pytest
from markdown_it import MarkdownIt

from lifecycle import commands as c
from lifecycle.diagram import dot, markdown, mermaid
from lifecycle.interaction import Change
from lifecycle.table import EMAIL, Condition, Row, StateRule, Table, condition_label
from lifecycle.vocabulary import Who

Box: TypeAlias = tuple[float, float, float, float]

SVG = "{http://www.w3.org/2000/svg}"


@attrs.frozen
class Approve(c.Command):
    """A reviewer lets a reply go."""

    trigger = "Approve"


@attrs.frozen
class Disapprove(c.Command):
    """A reviewer sends a reply back."""

    trigger = "Disapprove"


@attrs.frozen(kw_only=True)
class Forward(c.Command):
    """Hand the mail to another company."""

    trigger = "Forward"
    to_address: str


def drawn_for_review(interaction: Change) -> bool:
    """a sample is drawn for review."""
    return interaction.offer > 1


EXTENDED = EMAIL.extend(
    states=["InReview"],
    rows=[
        Row("Send", "ReplyCreated", "InReview", drawn_for_review, Who.OWNER, None, c.Send),
        Row("Approve", "InReview", "Sent", None, Who.ANY_AGENT, None, Approve),
        Row("Disapprove", "InReview", "ReplyCreated", None, Who.ANY_AGENT, None, Disapprove),
        Row("Forward", "Accepted", "Completed", None, Who.OWNER, None, Forward),
    ],
    order=(*EMAIL.order, "Approve", "Disapprove", "Forward"),
)


class Go(c.Command):
    """An agent's own trigger."""

    trigger = "Go"


class Poll(c.Command):
    """A system event of a team's own."""

    trigger = "Poll"


def condition(label: str) -> Condition:
    """A condition that says something."""

    def holds(interaction: Change) -> bool:
        return True

    holds.__doc__ = label
    return holds


HOSTILE = (
    "a -- b --> c",
    "%% gone",
    "x; y: z",
    "{a}",
    "end note",
    "back\\slash",
    r"\N, \G, \E and \\ end\n",
    '"quoted"',
    "it's",
    "<script>alert(1)</script>",
    "]> </TABLE> <BR/>",
    "_em_ *b* `c` ~~d~~",
    "#35; &amp; &#60;",
    "style x:#a;",
    "[*]",
    "[a](b)",
    "a|b",
    "100 $ or $x$",
    "ünï",
)

# Words that mean something to Mermaid or DOT, or that the pictures use for themselves.
KEYWORDS = (
    *("end", "state", "note", "class", "classDef", "style", "direction", "TB", "default", "as"),
    *("graph", "node", "edge", "digraph", "subgraph", "strict", "start", "joint", "root"),
)


def small(label: str | None = None, *, names: tuple[str, ...] = ("Begin", "Work")) -> Table:
    """Some states in a row and `Done`: agents and the system move on or stay, on a condition."""
    asked = None if label is None else condition(label)
    rows = []
    for source, dest in itertools.pairwise((*names, "Done")):
        rows += [
            Row("Go", source, dest, asked, Who.ANY_AGENT, None, Go),
            Row("Poll", source, dest, asked, Who.SYSTEM, None, Poll),
            Row("Go", source, source, condition("it waits"), Who.ANY_AGENT, None, Go),
            Row("Poll", source, source, condition("it waits"), Who.SYSTEM, None, Poll),
        ]
    return Table((*names, StateRule("Done", final=True)), rows, ("Go",))


def said(table: Table, row: Row) -> str:
    """On what a row depends, in words."""
    if row.condition is not None:
        return f"if {condition_label(row.condition)}"
    return "otherwise" if len(table.cells[row.source, row.trigger]) > 1 else ""


def words(table: Table, row: Row) -> str:
    """A row's trigger and on what it depends."""
    return f"{row.trigger} {said(table, row)}".strip()


# -- Markdown ----------------------------------------------------------------------------------


def tables(text: str) -> dict[str, list[list[str]]]:
    """The text's tables by heading, rows of plain text, as an independent parser reads them."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    inside = ""
    for token in MarkdownIt().enable("table").parse(text):
        if token.type in ("heading_open", "tr_open"):
            inside = token.type
            if inside == "tr_open":
                rows.append([])
        elif token.type == "inline":
            plain = "".join(child.content for child in token.children or ())
            assert all(
                child.type in ("text", "text_special", "code_inline")
                for child in token.children or ()
            )
            if inside == "heading_open":
                rows = found[plain] = []
            else:
                rows[-1].append(plain)
    return found


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small()])
def test_markdown_lists_the_states(table: Table) -> None:
    """Each state with what holds of it, the first one marked as initial."""
    head, *rows = tables(markdown(table))["States"]
    assert head == ["state", "on the page", "held by an agent", "final", "timer"]
    assert rows[0][0] == f"{table.initial} (initial)"
    for rule, row in zip(table.states, rows, strict=True):
        assert row[0].removesuffix(" (initial)") == rule.name
        assert [cell == "yes" for cell in row[1:4]] == [rule.documented, rule.held, rule.final]
        assert bool(row[4]) is (rule.timer is not None)


def test_markdown_names_the_timers() -> None:
    """The timers of the shipped table are told apart."""
    rows = tables(markdown())["States"][1:]
    timers = {row[0].split()[0]: row[4] for row in rows}
    assert timers["Invited"] == "delivering"
    assert timers["Accepted"] == "handling"
    assert timers["Accepted"] == timers["ReplyCreated"]
    assert "transfer" in timers["Revoked"]
    assert timers["Queued"] == timers["InWorkbin"] == timers["Sent"] == ""


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small("it is so")])
def test_markdown_lists_every_row(table: Table) -> None:
    """Every row of the table once, in its order, and nothing else."""
    head, *rows = tables(markdown(table))["Transitions"]
    assert head == ["trigger", "from", "to", "condition", "who may"]
    assert rows == [
        [row.trigger, row.source, row.dest, said(table, row), row.who.value] for row in table.rows
    ]


def test_markdown_says_what_some_rows_are() -> None:
    """Rows whose words are written out here: conditions, the rest of a cell, who may."""
    rows = tables(markdown(EXTENDED))["Transitions"]
    assert ["Return", "Revoked", "Accepted", "if a transfer origin is recorded", "system"] in rows
    assert ["Pull", "InWorkbin", "Accepted", "otherwise", "an agent of the workbin"] in rows
    assert ["Accept", "Invited", "Accepted", "", "invited agent"] in rows
    assert ["Send", "ReplyCreated", "InReview", "if a sample is drawn for review", "owner"] in rows
    assert ["Send", "ReplyCreated", "Sent", "otherwise", "owner"] in rows
    assert ["Approve", "InReview", "Sent", "", "any agent"] in rows


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small()])
def test_markdown_lists_the_capabilities(table: Table) -> None:
    """What an agent may do in each state, in the global order."""
    head, *rows = tables(markdown(table))["Capabilities"]
    assert head == ["state", "capabilities"]
    assert rows == [[rule.name, ", ".join(table.capabilities(rule.name))] for rule in table.states]


def test_markdown_headings_fit_into_a_document() -> None:
    """The level of the headings is the caller's; the rest of the text does not depend on it."""
    deeper = markdown(level=4)
    assert re.findall(r"(?m)^#+ \w+$", deeper) == [
        "#### States",
        "#### Transitions",
        "#### Capabilities",
    ]
    assert deeper.replace("#### ", "## ") == markdown()
    assert markdown().endswith("|\n")


@pytest.mark.parametrize("label", HOSTILE)
def test_markdown_escapes_what_a_condition_says(label: str) -> None:
    """A condition's words are text, whatever characters they have."""
    rows = tables(markdown(small(label)))["Transitions"][1:]
    assert rows[0] == ["Go", "Begin", "Work", f"if {label}", "any agent"]


def test_markdown_escapes_what_only_github_understands() -> None:
    """A dollar sign would start a formula and a tilde strike a text through."""
    assert r"if 1 \$ or \~2" in markdown(small("1 $ or ~2"))


# -- Mermaid -----------------------------------------------------------------------------------


def unescaped(text: str) -> str:
    """Mermaid's entity codes resolved."""
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


@attrs.define
class Chart:
    """A Mermaid state diagram, read line by line."""

    boxes: dict[str, list[str]] = attrs.field(factory=dict)
    arrows: list[tuple[str, str, list[str]]] = attrs.field(factory=list)
    classes: dict[str, str] = attrs.field(factory=dict)
    styles: dict[str, str] = attrs.field(factory=dict)
    note: str = ""


_LINES = {
    "style": r"classDef (\w+) ((?:[\w-]+:[#\w]+,?)+)",
    "box": r'state "([^"]*)" as s_(\w+)',
    "arrow": r"(?:s_(\w+)|\[\*\]) --> (?:s_(\w+)|\[\*\])(?:: ((?:#\d+;|[^#:;{}\"%])+))?",
    "class": r"class ((?:s_\w+,?)+) (\w+)",
}


def chart(text: str) -> Chart:
    """A diagram's parts; fails for a line that is none of the few forms that are used."""
    first, *lines, last = text.split("\n")
    assert (first, last) == ("stateDiagram-v2", "")
    result = Chart()
    start = next(index for index, line in enumerate(lines) if "note left of s_" in line)
    assert lines[start + 2] == "    end note"
    result.note = lines[start + 1].strip()
    for line in (*lines[:start], *lines[start + 3 :]):
        (form, found), *others = [
            (form, found)
            for form, text in _LINES.items()
            if (found := re.fullmatch(text, line[4:]))
        ]
        assert not others
        if form == "style":
            result.styles[found[1]] = found[2]
        elif form == "box":
            result.boxes[found[2]] = [unescaped(part) for part in found[1].split("<br/>")]
        elif form == "arrow":
            labels = [unescaped(part) for part in (found[3] or "").split("<br/>")]
            result.arrows.append((found[1] or "", found[2] or "", labels))
        else:
            result.classes |= {name.removeprefix("s_"): found[2] for name in found[1].split(",")}
    return result


def expected_arrows(table: Table) -> list[tuple[str, str, list[str]]]:
    """One arrow a side and pair of states, with all labels; the system's are in brackets."""
    arrows: dict[tuple[str, str, bool], list[str]] = {}
    for row in table.rows:
        if row.source != row.dest:
            system = row.who is Who.SYSTEM
            label = f"[{words(table, row)}]" if system else words(table, row)
            arrows.setdefault((row.source, row.dest, system), []).append(label)
    ends = [(rule.name, "", [""]) for rule in table.states if rule.final]
    moves = [(source, dest, labels) for (source, dest, _), labels in arrows.items()]
    return [("", table.initial, [""]), *moves, *ends]


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small(), small(names=KEYWORDS)])
def test_mermaid_has_every_arrow(table: Table) -> None:
    """The initial state, every row that changes the state, the final ones; nothing else."""
    assert sorted(chart(mermaid(table)).arrows) == sorted(expected_arrows(table))


def test_mermaid_merges_parallel_arrows() -> None:
    """Reply and ReplyAll share one arrow."""
    assert ("Accepted", "ReplyCreated", ["Reply", "ReplyAll"]) in chart(mermaid()).arrows


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small(names=KEYWORDS)])
def test_mermaid_tells_the_states_apart(table: Table) -> None:
    """Held, resting and final states have classes of different looks."""
    result = chart(mermaid(table))
    assert result.classes == {
        rule.name: "final" if rule.final else "held" if rule.held else "resting"
        for rule in table.states
    }
    assert set(result.styles) == {"held", "resting", "final"}
    assert len(set(result.styles.values())) == 3
    assert list(result.boxes) == [rule.name for rule in table.states]
    assert all(lines[0] == name for name, lines in result.boxes.items())


def test_mermaid_explains_itself() -> None:
    """A note says what brackets, colour and border mean."""
    note = chart(mermaid()).note
    assert "[in brackets]: done by the system" in note
    assert "blue: held by an agent" in note


def test_mermaid_lists_what_changes_no_state_in_the_box() -> None:
    """Self-loops are lines of the state's box, the system's apart and in brackets."""
    boxes = chart(mermaid()).boxes
    assert boxes["ReplyCreated"] == [
        "ReplyCreated",
        "stays: UpdateProperties, LinkAttachment",
    ]
    assert boxes["Queued"] == ["Queued"]
    assert chart(mermaid(small())).boxes["Work"] == [
        "Work",
        "stays: Go if it waits",
        "stays: [Poll if it waits]",
    ]


@pytest.mark.parametrize("label", HOSTILE)
def test_mermaid_escapes_what_a_condition_says(label: str) -> None:
    """Nothing in a condition's words ends the label, starts a comment or is markup."""
    text = mermaid(small(label))
    assert ("Begin", "Work", [f"Go if {label}"]) in chart(text).arrows
    assert not re.search(r'[<>"*`\\|]', re.sub(r'<br/>|-->|\[\*\]|state "[^"]*" as', "", text))


# -- DOT ---------------------------------------------------------------------------------------


def rendered(source: str, form: str) -> bytes:
    """What Graphviz makes of a graph."""
    renderer = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    assert renderer is not None, "the tests need the extra `cli`"
    result = subprocess.run(
        [renderer, f"-T{form}"], input=source.encode(), capture_output=True, check=True, timeout=60
    )
    return result.stdout


def laid_out(source: str) -> dict[str, Any]:
    """A graph as Graphviz's JSON: nodes, edges, where they are and the text in them."""
    layout: dict[str, Any] = json.loads(rendered(source, "json"))
    return layout


def text_of(thing: dict[str, Any]) -> str:
    """The text that is drawn in a node or beside an edge, its lines joined."""
    operations = thing.get("_ldraw_", ())
    lines = [operation["text"] for operation in operations if operation["op"] == "T"]
    return " ".join(lines)


@attrs.frozen
class Move:
    """An arrow of the picture, with the states that it leads between."""

    source: str
    dest: str
    text: str
    dashed: bool
    colour: str


def moves(layout: dict[str, Any]) -> list[Move]:
    """The arrows between states, those through an oval put together again."""
    nodes = {node["_gvid"]: node for node in layout["objects"]}
    edges = [(nodes[edge["tail"]], nodes[edge["head"]], edge) for edge in layout["edges"]]
    found = []
    for tail, head, edge in edges:
        joint = head if head["name"].startswith("joint") else None
        if tail["name"].startswith("joint"):
            continue
        ends = [next_head for at, next_head, _ in edges if at is joint] if joint else [head]
        assert len(ends) == 1
        found.append(
            Move(
                source=tail["name"].removeprefix("state "),
                dest=ends[0]["name"].removeprefix("state "),
                text=text_of(joint or edge),
                dashed=edge.get("style") == "dashed",
                colour=edge["color"],
            )
        )
    return found


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small(), small(names=KEYWORDS)])
def test_dot_has_every_arrow(table: Table) -> None:
    """The picture leads from state to state as the rows do, agents' and system's arrows apart."""
    expected: dict[tuple[str, str, bool], list[str]] = {("start", table.initial, False): []}
    for row in table.rows:
        if row.source != row.dest:
            key = (row.source, row.dest, row.who is Who.SYSTEM)
            expected.setdefault(key, []).append(words(table, row))
    drawn = moves(laid_out(dot(table)))
    assert sorted((move.source, move.dest, move.dashed) for move in drawn) == sorted(expected)
    for move in drawn:
        assert move.text == " ".join(expected[move.source, move.dest, move.dashed])
    colours = {
        dashed: {move.colour for move in drawn if move.dashed is dashed and move.text}
        for dashed in (False, True)
    }
    assert len(colours[False]) == len(colours[True]) == 1
    assert colours[False] != colours[True]


def test_dot_gathers_a_system_trigger_that_leads_to_one_state() -> None:
    """Invite, Revoke, Return and Close stand once each; an agent's PlaceInWorkbin twice."""
    layout = laid_out(dot())
    nodes = {node["_gvid"]: node for node in layout["objects"]}
    ovals = {
        text_of(node): sum(edge["head"] == number for edge in layout["edges"])
        for number, node in nodes.items()
        if node["name"].startswith("joint")
    }
    assert ovals == {
        "Invite": 4,
        "Revoke": 4,
        "Return if a transfer origin is recorded": 3,
        "Close": 3,
    }
    assert sum(text_of(edge) == "PlaceInWorkbin" for edge in layout["edges"]) == 2


@pytest.mark.parametrize("table", [EMAIL, EXTENDED, small(names=KEYWORDS)])
def test_dot_tells_the_states_apart(table: Table) -> None:
    """Held, resting, final: each of one look, which no other has in border or in fill."""
    nodes = {node["name"]: node for node in laid_out(dot(table))["objects"]}
    looks: dict[str, set[tuple[str, ...]]] = {}
    for rule in table.states:
        node = nodes[f"state {rule.name}"]
        kind = "final" if rule.final else "held" if rule.held else "resting"
        outline = (node["style"], node.get("peripheries", "1"), node.get("penwidth", "1"))
        looks.setdefault(kind, set()).add((node["fillcolor"], *outline))
    assert all(len(look) == 1 for look in looks.values())
    for (one,), (other,) in itertools.combinations(looks.values(), 2):
        assert one[0] != other[0]
        assert one[1:] != other[1:]
    assert nodes["start"]["shape"] == "circle"


def test_dot_lists_what_changes_no_state_in_the_box() -> None:
    """Self-loops are lines of the state's box, the system's under a heading of their own."""
    nodes = {node["name"]: text_of(node) for node in laid_out(dot())["objects"]}
    assert nodes["state Accepted"] == "Accepted stays: UpdateProperties"
    assert nodes["state ReplyCreated"] == "ReplyCreated stays: UpdateProperties LinkAttachment"
    assert nodes["state Queued"] == "Queued"
    (work,) = (n for n in laid_out(dot(small()))["objects"] if n["name"] == "state Work")
    assert text_of(work) == "Work stays: Go if it waits stays, by the system: Poll if it waits"


@pytest.mark.parametrize("label", HOSTILE)
def test_dot_escapes_what_a_condition_says(label: str) -> None:
    """A condition's words are drawn as they are, broken between words or in a long one."""
    svg = ElementTree.fromstring(rendered(dot(small(label)), "svg"))
    drawn = [
        "".join(line.text or "" for line in group.iter(f"{SVG}text"))
        for group in svg.iter(f"{SVG}g")
        if group.get("class") == "edge" and group.findtext(f"{SVG}title", "").endswith("Work")
    ]
    assert [text.replace(" ", "") for text in drawn] == [
        f"{trigger}if{label}".replace(" ", "") for trigger in ("Go", "Poll")
    ]


def test_dot_has_a_legend() -> None:
    """What the looks mean stands below the picture."""
    legend = text_of(laid_out(dot()))
    for meaning in ("held by an agent", "held by nobody", "final", "by an agent", "by the system"):
        assert meaning in legend


def texts(thing: dict[str, Any]) -> Iterator[Box]:
    """Where the lines of a label are."""
    size = 0.0
    for operation in thing.get("_ldraw_", ()):
        if operation["op"] == "F":
            size = operation["size"]
        elif operation["op"] == "T":
            (x, y), width = operation["pt"], operation["width"]
            left = x - {"l": 0.0, "c": 0.5, "r": 1.0}[operation["align"]] * width
            yield left, y - size / 5, left + width, y + size * 3 / 4


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have an area in common."""
    return all(one[i] < other[i + 2] and other[i] < one[i + 2] for i in (0, 1))


@pytest.mark.parametrize("table", [EMAIL, EXTENDED])
def test_the_picture_has_room_for_its_labels(table: Table) -> None:
    """No label lies on another or on a box, and the whole is no wider than a page."""
    layout = laid_out(dot(table))
    nodes = []
    for node in layout["objects"]:
        x, y = map(float, node["pos"].split(","))
        width, height = float(node["width"]) * 36, float(node["height"]) * 36
        nodes.append((x - width, y - height, x + width, y + height))
    labels = [
        (
            min(x for x, *_ in lines),
            min(line[1] for line in lines),
            max(line[2] for line in lines),
            max(line[3] for line in lines),
        )
        for edge in layout["edges"]
        if (lines := list(texts(edge)))
    ]
    assert len(labels) >= 10
    for one, other in itertools.combinations((*nodes, *labels), 2):
        assert not overlap(one, other)
    assert float(layout["bb"].split(",")[2]) <= 720  # points: 960 pixels


# -- all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [markdown, mermaid, dot])
def test_what_cannot_be_printed_is_left_out(draw: Any) -> None:
    """Control characters, line breaks and lone surrogates of a label are read as spaces."""

    def asked(interaction: Change) -> bool:
        return True

    asked.__name__ = "is\x1b so\n\ud800 or\x00not"
    asked.__doc__ = None
    rows = [Row("Go", "Begin", "Done", asked, Who.ANY_AGENT, None, Go)]
    text = draw(Table(("Begin", StateRule("Done", final=True)), rows, ("Go",)))
    assert "is so or not" in re.sub(r"</?I>|<BR/>", " ", text).replace("  ", " ")
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    text.encode()


@pytest.mark.parametrize("draw", [markdown, mermaid, dot])
def test_the_text_depends_on_the_table_alone(draw: Any) -> None:
    """An equal table gives the same text, another table another; the shipped one is the default."""
    assert draw() == draw(EMAIL) == draw(EMAIL.extend())
    assert draw(EXTENDED) != draw(EMAIL)
