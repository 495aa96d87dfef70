"""Values put into a YAML text in place, so that its comments and its layout stay.

ruamel's round trip keeps comments, but writes `null` as nothing, changes the layout of lists, and moves comments.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from pipeline.errors import PipelineError

PLAIN = re.compile(r"[A-Za-z_/~.](?:[\w /.+*()<>=-]*[\w/.)])?")
GAP = 2  # blanks before a comment, at least
Edit = tuple[int, int, str]  # start, end, and the text that takes the place of what is between


def rewrite(text: str, changes: Mapping[tuple[str, ...], Any], expected: Mapping[str, Any], where: object) -> str:
    """The text with these values.

    Args:
        text: YAML of nested mappings.
        changes: new value by the keys that lead to it; the last key may be new.
        expected: what the result must hold, all in all.
        where: the file, for the error.

    Raises:
        PipelineError: the text is laid out so that the values can't be put in, as with anchors.
    """
    root = YAML(typ="safe", pure=True).compose(text)
    edits = [_edit(text, root, path, value) for path, value in changes.items()]  # the last first: places stay
    for _, (start, end, new) in sorted(enumerate(edits), key=lambda one: (one[1][0], one[0]), reverse=True):
        text = text[:start] + new + text[end:]
    try:
        same = repr(YAML(typ="safe", pure=True).load(text)) == repr(expected)
    except Exception:  # whatever the loader says of a text that came out wrong, the file stays as it is
        same = False
    if not same:
        keys = ", ".join(".".join(path) for path in changes)
        raise PipelineError(where, f"can't be rewritten by a program: {keys}", "change these values by hand")
    return text


def flow(value: Any) -> str:
    """YAML on one line, of what YAML can hold: strings are quoted only where they must be."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN.fullmatch(value) and YAML(typ="safe", pure=True).load(value) == value:  # and not null or true
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value) + '"'


def _edit(text: str, root: Node | None, path: tuple[str, ...], value: Any) -> Edit:
    """What puts a value in, by the keys that lead to it."""
    node = root
    for key in path[:-1]:
        node = next((of for name, of in _pairs(node) if name.value == key), None)
    pair = next((pair for pair in _pairs(node) if pair[0].value == path[-1]), None)
    if pair:
        return _replacement(text, *pair, flow(value))
    if not isinstance(node, MappingNode):
        return 0, 0, ""
    entry = f"{flow(path[-1])}: {flow(value)}"
    if node.flow_style or not node.value:
        end = text.rindex("}", 0, node.end_mark.index)
        return end, end, (", " if node.value else "") + entry
    first, last = node.value[-1]
    line = text.find("\n", _end(last))
    line = len(text) if line < 0 else line
    return line, line, f"\n{' ' * first.start_mark.column}{entry}"


def _pairs(node: Node | None) -> list[tuple[Node, Node]]:
    return node.value if isinstance(node, MappingNode) else []


def _replacement(text: str, key: Node, node: Node, value: str) -> Edit:
    """What puts another value there; a comment behind it stays in its column where there is room."""
    start, end = node.start_mark.index, _end(node)
    if start == end:  # an empty value lies where the next key begins
        start = end = text.index(":", key.end_mark.index) + 1
        value = f" {value}"
    comment = re.compile(r"[ \t]+(?=#)").match(text, end)
    if not comment:
        return start, end, value
    column = comment.end() - _line(text, end)
    blanks = max(GAP, column - (start - _line(text, start)) - len(value))
    return start, comment.end(), value + " " * blanks


def _line(text: str, place: int) -> int:
    """Where the line of a place begins."""
    return text.rfind("\n", 0, place) + 1


def _end(node: Node) -> int:
    """Where the text of a node ends; that of a block ends with its last value, not where the next key begins."""
    if isinstance(node, CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index
