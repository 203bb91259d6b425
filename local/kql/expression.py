"""Evaluates the expressions of an ARM template, as far as the default values of its parameters decide them
(<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>)."""

import re
from collections.abc import Callable

_TOKEN = re.compile(r"\s*('(?:''|[^'])*'|-?\d+|\w+|[()\[\].,])")

Template = dict[str, object]


class Undecided(Exception):
    """Only a deployment knows the value."""


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": lambda *values: all(values),
    "concat": lambda *values: sum(values, []) if isinstance(values[0], list) else "".join(map(str, values)),
    "contains": lambda container, item: item in container,
    "createArray": lambda *values: list(values),
    "empty": lambda value: not value,
    # A deployment to the public cloud.
    "environment": lambda: {"name": "AzureCloud"},
    "equals": lambda one, other: one == other,
    "false": lambda: False,
    "format": lambda form, *values: re.sub(r"\{(\d+)\}", lambda place: str(values[int(place[1])]), form),
    "if": lambda condition, then, otherwise: then if condition else otherwise,
    "join": lambda values, between: between.join(values),
    "not": lambda value: not value,
    "or": lambda *values: any(values),
    "true": lambda: True,
    "union": lambda *values: {name: value for each in values for name, value in each.items()},
}


class Expressions:
    """The expressions of one template."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def resources(self) -> list[dict[str, object]]:
        """Return the resources that are deployed, what is undecided left as its text."""
        evaluated = [self._value(resource) for resource in self._template["resources"]]
        return [resource for resource in evaluated if resource.get("condition", True) is not False]

    def _value(self, value: object) -> object:
        match value:
            case dict():
                return {name: self._value(member) for name, member in value.items()}
            case list():
                return [self._value(member) for member in value]
            case str() if value.startswith("[["):
                return value[1:]
            case str() if value.startswith("[") and value.endswith("]"):
                try:
                    return self._evaluate(value[1:-1])
                except Undecided:
                    return value
            case _:
                return value

    def _evaluate(self, text: str) -> object:
        tokens = _TOKEN.findall(text)
        if "".join(tokens) != re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text):
            raise Undecided(text)
        value = self._expression(tokens)
        if tokens:
            raise Undecided(text)
        return value

    def _expression(self, tokens: list[str]) -> object:
        token = tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        value = self._call(token, self._arguments(tokens))
        while tokens and tokens[0] in (".", "["):
            if tokens.pop(0) == ".":
                value = value[tokens.pop(0)]
            else:
                value = value[self._expression(tokens)]
                tokens.pop(0)
        return value

    def _arguments(self, tokens: list[str]) -> list[object]:
        arguments: list[object] = []
        tokens.pop(0)
        while tokens[0] != ")":
            arguments.append(self._expression(tokens))
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return arguments

    def _call(self, function: str, arguments: list[object]) -> object:
        match function, arguments:
            case "parameters", [name]:
                if "defaultValue" not in self._template["parameters"][name]:
                    raise Undecided(name)
                return self._value(self._template["parameters"][name]["defaultValue"])
            case "variables", [name]:
                value = self._value(self._template["variables"][name])
                if isinstance(value, str) and value.startswith("["):
                    raise Undecided(name)
                return value
            case _ if function in _FUNCTIONS:
                return _FUNCTIONS[function](*arguments)
            case _:
                raise Undecided(function)
