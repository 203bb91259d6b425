"""Finds the KQL of a template: the transforms of its rules, and every query wherever it stands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.kql.expression import Expressions

Columns = dict[str, str]

_QUERIES = Path(__file__).parents[2] / "src" / "azure_template" / "queries"
_ALERT_RULES = "Microsoft.SecurityInsights/alertRules"
_RULES = "Microsoft.Insights/dataCollectionRules"
_QUERY_ALERTS = "Microsoft.Insights/scheduledQueryRules"
# A member of one of these names holds KQL.
_QUERY_MEMBERS = {"query", "baseQuery", "lastDataReceivedQuery"}
_CRITERIA = "connectivityCriteria"
# What Azure calls some types that KQL calls otherwise.
_KQL_TYPES = {"boolean": "bool", "dateTime": "datetime"}


@dataclass(frozen=True)
class Transform:
    """A transform of a rule, what it reads and where its rows go."""

    name: str
    text: str
    stream: str
    source: Columns
    table: str

    def query(self) -> "Query":
        """Return it as a query of its stream."""
        return Query(self.name, f"let source = ['{self.stream}'];\n{self.text}")


@dataclass(frozen=True)
class Query:
    """A query, the columns that its owner takes from the result, and how far back its owner lets it look."""

    name: str
    text: str
    columns: frozenset[str] = frozenset()
    period: str | None = None


def in_kql(columns: Columns) -> Columns:
    """Call the types of columns as KQL does."""
    return {name: _KQL_TYPES.get(kind, kind) for name, kind in columns.items()}


def own_queries() -> dict[str, str]:
    """Return the text of the project's own query files by their name."""
    files = sorted(_QUERIES.glob("*/*.kql"))
    return {
        file.relative_to(_QUERIES).with_suffix("").as_posix(): file.read_text(encoding="utf-8")
        for file in files
    }


class Content:
    """A template with its expressions evaluated for the default values of its parameters."""

    def __init__(self, template: dict[str, object], parameters: dict[str, object]) -> None:
        self._resources: list[dict[str, object]] = Expressions(template, parameters).resources()

    def transforms(self) -> Iterator[Transform]:
        """Yield the transform of each flow; a flow without one passes its stream on as it is."""
        for resource in self._of_type(_RULES):
            rule = resource["properties"]
            for flow in rule["dataFlows"]:
                for stream in flow["streams"]:
                    columns = rule["streamDeclarations"][stream]["columns"]
                    output = flow.get("outputStream", stream)
                    yield Transform(
                        name=f"{stream} -> {output}",
                        text=flow.get("transformKql", "source"),
                        stream=stream,
                        source=in_kql({column["name"]: column["type"] for column in columns}),
                        table=output.partition("-")[2],
                    )

    def queries(self) -> Iterator[Query]:
        """Yield every query, under the name of its file where the project has it in one."""
        names = {_without_settings(text): name for name, text in own_queries().items()}
        for resource in self._resources:
            for place, text in _texts(resource, str(resource["type"]).rpartition("/")[2]):
                name = names.get(_without_settings(text), place)
                if resource["type"] == _ALERT_RULES:
                    rule = resource["properties"]
                    yield Query(name, text, frozenset(_taken(rule)), rule["queryPeriod"])
                elif resource["type"] == _QUERY_ALERTS:
                    criteria = resource["properties"]["criteria"]["allOf"]
                    yield Query(name, text, frozenset(each["metricMeasureColumn"] for each in criteria))
                else:
                    yield Query(name, text)

    def _of_type(self, kind: str) -> Iterator[dict[str, object]]:
        return (resource for resource in self._resources if resource["type"] == kind)


def _without_settings(text: str) -> str:
    """Return a query without the first lines whose values a deployment fills in."""
    return re.sub(r"^let \w+ = (?:[\d.]+|dynamic\(\[.*?\]\));\n", "", text.strip())


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield each query below a value with its place; a workbook is opened, and its parameters take their values."""
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield from _texts(member, f"{place}/{index}")
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        below = f"{place}/{name}"
        if name == "serializedData":
            notebook = json.loads(member)
            values = dict(_parameters(notebook))
            for inner, text in _texts(notebook, below):
                yield inner, re.sub(r"\{(\w+)\}", lambda used: values.get(used[1], used[0]), text)
        elif name in _QUERY_MEMBERS and isinstance(member, str):
            yield below, member
        elif name == _CRITERIA:
            for index, text in enumerate(text for criterion in member for text in criterion["value"]):
                yield f"{below}/{index}", text
        else:
            yield from _texts(member, below)


def _parameters(notebook: dict[str, object]) -> Iterator[tuple[str, str]]:
    for item in notebook["items"]:
        for parameter in item["content"].get("parameters", []):
            if isinstance(parameter["value"], str):
                yield parameter["name"], parameter["value"]


def _taken(rule: dict[str, object]) -> Iterator[str]:
    """Yield the columns that an alert takes from the result of its query."""
    yield from rule.get("customDetails", {}).values()
    for entity in rule.get("entityMappings", []):
        yield from (field["columnName"] for field in entity["fieldMappings"])
    for text in rule.get("alertDetailsOverride", {}).values():
        yield from re.findall(r"\{\{(\w+)\}\}", text)
