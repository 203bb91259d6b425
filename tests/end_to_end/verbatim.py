"""JSON as it was written: slices of a text, where json.loads would give back values that lost their spelling.

RFC 8259, <https://www.rfc-editor.org/rfc/rfc8259>. Texts are taken to be valid JSON; nothing here is ever written out
again from parsed values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True)
class Number:
    """A JSON number with its spelling: 1, 1.0 and 1e0 differ."""

    text: str


def parse(text: str) -> Any:
    """The value of a JSON text, numbers with their spelling; a name that stands twice in one object counts once, the last."""
    return json.loads(text, parse_int=Number, parse_float=Number, strict=False)


def compact(text: str) -> str:
    """The text without the blanks between its tokens."""
    return "".join(TOKEN.findall(text))


def values(text: str) -> Iterator[str]:
    """The values of a text that holds any number of them one after the other: one document, or JSON lines."""
    position = 0
    while token := TOKEN.search(text, position):
        end = _value_end(text, token.start())
        yield text[token.start() : end]
        position = end


def members(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object in their order, doubles included: name and text of the value."""
    for start in _children(text, "{"):
        name = TOKEN.match(text, start)
        colon = TOKEN.search(text, name.end())
        value = TOKEN.search(text, colon.end())
        yield json.loads(name[0], strict=False), text[value.start() : _value_end(text, value.start())]


def elements(text: str) -> Iterator[str]:
    """The texts of an array's elements."""
    for start in _children(text, "["):
        yield text[start : _value_end(text, start)]


def is_object(text: str) -> bool:
    """Whether the text is an object."""
    return text.lstrip().startswith("{")


def is_array(text: str) -> bool:
    """Whether the text is an array."""
    return text.lstrip().startswith("[")


def _children(text: str, bracket: str) -> Iterator[int]:
    """Where each child of the outermost object or array begins."""
    opening = TOKEN.search(text)
    if opening is None or opening[0] != bracket:
        raise ValueError(f"not a JSON value that begins with {bracket}")
    depth, fresh = 0, True
    for token in TOKEN.finditer(text, opening.end()):
        if fresh and token[0] not in "}]":
            yield token.start()
        fresh = token[0] == "," and depth == 0
        depth += (token[0] in "{[") - (token[0] in "}]")


def _value_end(text: str, start: int) -> int:
    """Where the value that begins at `start` ends."""
    depth = 0
    for token in TOKEN.finditer(text, start):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth == 0:
            return token.end()
    raise ValueError("the text ends inside a value")
