"""Evaluates the expressions of an ARM template, as far as its parameters decide them
(<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>)."""

import json
import re
from collections.abc import Callable
from typing import Any

_TOKEN = re.compile(r"\s*(?:('(?:''|[^'])*')|(-?\d+)|(\w+)|([()\[\].,]))")


class Undecided(Exception):
    """Only a deployment knows the value."""


def _union(*values: Any) -> Any:
    if isinstance(values[0], dict):
        return {name: member for value in values for name, member in value.items()}
    return list(dict.fromkeys(member for value in values for member in value))


def _concat(*values: Any) -> Any:
    if isinstance(values[0], list):
        return [member for value in values for member in value]
    return "".join(map(str, values))


# The group that resources are in here.
_GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/group"


def _resource_id(kind: str, *names: str) -> str:
    provider, *kinds = kind.split("/")
    return "/".join([_GROUP, "providers", provider, *(part for pair in zip(kinds, names, strict=True) for part in pair)])


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: all(values),
    "concat": _concat,
    "contains": lambda container, member: member in container,
    "createArray": lambda *values: list(values),
    "createObject": lambda *values: dict(zip(values[::2], values[1::2], strict=True)),
    "empty": lambda value: not value,
    "environment": lambda: {"name": "AzureCloud"},
    "div": lambda one, other: one // other,
    "equals": lambda one, other: one == other,
    "false": lambda: False,
    "first": lambda values: values[0],
    "format": lambda form, *values: re.sub(r"\{(\d+)\}", lambda place: str(values[int(place[1])]), form),
    "join": lambda values, between: between.join(values),
    "less": lambda one, other: one < other,
    "not": lambda value: not value,
    "null": lambda: None,
    "or": lambda *values: any(values),
    "resourceId": _resource_id,
    "string": _string,
    "true": lambda: True,
    "union": _union,
}


class Expressions:
    """The expressions of one template, with the default values of its parameters and some other ones."""

    def __init__(self, template: dict[str, Any], parameters: dict[str, Any]) -> None:
        self._template = template
        self._parameters = parameters

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources that are deployed; what is undecided stays the text of its expression."""
        evaluated = [self._value(resource) for resource in self._template["resources"]]
        return [resource for resource in evaluated if resource.get("condition", True) is not False]

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                return {name: self._value(member) for name, member in value.items()}
            case list():
                return [self._value(member) for member in value]
            case str() if value.startswith("[["):
                return value[1:]
            case str() if value.startswith("[") and value.endswith("]"):
                try:
                    return self._evaluate(_Reader(value[1:-1]).whole())
                except Undecided:
                    return value
            case _:
                return value

    def _evaluate(self, node: Any) -> Any:
        match node:
            case ("if", condition, then, otherwise):
                return self._evaluate(then if self._evaluate(condition) else otherwise)
            case ("member", container, name):
                return self._evaluate(container)[self._evaluate(name)]
            case ("parameters", name):
                return self._parameter(self._evaluate(name))
            case ("variables", name):
                return self._decided(self._template["variables"][self._evaluate(name)])
            case (function, *arguments):
                if function not in _FUNCTIONS:
                    raise Undecided(function)
                return _FUNCTIONS[function](*map(self._evaluate, arguments))
            case _:
                return node

    def _parameter(self, name: str) -> Any:
        parameter = self._template["parameters"][name]
        if name in self._parameters:
            return self._parameters[name]
        if "defaultValue" not in parameter:
            raise Undecided(name)
        return self._decided(parameter["defaultValue"])

    def _decided(self, value: Any) -> Any:
        evaluated = self._value(value)
        if isinstance(evaluated, str) and evaluated is value and value.startswith("["):
            raise Undecided(value)
        return evaluated


class _Reader:
    """Reads an expression: a text, a number, or (function, argument, …)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        node = self._node()
        if self._text[self._at :].strip():
            raise ValueError(f"{self._text!r} can't be read from {self._at} on")
        return node

    def _node(self) -> Any:
        text, number, name, _ = self._token()
        if text:
            return text[1:-1].replace("''", "'")
        if number:
            return int(number)
        self._expect("(")
        arguments = []
        while not self._skip(")"):
            arguments.append(self._node())
            self._skip(",")
        node = (name, *arguments)
        while True:
            if self._skip("."):
                node = ("member", node, self._token()[2])
            elif self._skip("["):
                node = ("member", node, self._node())
                self._expect("]")
            else:
                return node

    def _token(self) -> tuple[str, ...]:
        found = _TOKEN.match(self._text, self._at)
        if not found:
            raise ValueError(f"{self._text!r} can't be read from {self._at} on")
        self._at = found.end()
        return tuple(group or "" for group in found.groups())

    def _skip(self, sign: str) -> bool:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found[4] != sign:
            return False
        self._at = found.end()
        return True

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            raise ValueError(f"{self._text!r} lacks {sign!r} at {self._at}")
