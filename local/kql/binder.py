"""Asks Microsoft's binder what is wrong with the KQL of a template, and plants faults that it has to find."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from local.kql.content import Columns, Query, Transform

_PROGRAM = Path(__file__).parent / "bind.cjs"
# An empty table in the place of one that may not be there yet, and that one.
_STAND_IN = re.compile(r"\(datatable\((.*?)\)\[\]\),\s*\((\w+)")
_OPTIONAL = re.compile(r'column_ifexists\("(\w+)"')
# A name where it is read: neither a member of a dynamic value, nor what a result is called.
_READ = r"(?<!\.)\b{}\b(?!\s*=[^=~])"


@dataclass(frozen=True)
class Bound:
    """What the binder says of one text."""

    faults: list[str]
    columns: Columns


class Binder:
    """The binder, with the tables of a workspace."""

    def __init__(self, tool: Path, tables: dict[str, Columns]) -> None:
        self._tool = tool.resolve()
        self.tables = tables

    def bind(self, texts: dict[str, dict[str, object]]) -> dict[str, Bound]:
        """Bind texts by name, all in one run of the program."""
        asked = json.dumps({"tables": self.tables, "texts": texts})
        command = ["node", str(_PROGRAM), str(self._tool)]
        answer = subprocess.run(command, input=asked, text=True, check=True, stdout=subprocess.PIPE)
        return {name: Bound(**bound) for name, bound in json.loads(answer.stdout).items()}

    def faults(self, transforms: list[Transform], queries: list[Query]) -> dict[str, list[str]]:
        """Return what is wrong with each transform and query; nothing is wrong with an empty list."""
        texts: dict[str, dict[str, object]] = {query.name: {"text": query.text} for query in queries}
        texts |= {each.name: {"text": each.text, "source": each.source} for each in transforms}
        bound = self.bind(texts)
        found = {query.name: list(self._query_faults(query, bound[query.name])) for query in queries}
        return found | {
            each.name: list(self._transform_faults(each, bound[each.name])) for each in transforms
        }

    def _transform_faults(self, transform: Transform, bound: Bound) -> Iterator[str]:
        yield from bound.faults
        if transform.table not in self.tables:
            yield f"there is no table {transform.table}"
            return
        table = self.tables[transform.table]
        for column, kind in bound.columns.items():
            if column not in table:
                yield f"{transform.table} has no column {column}: it would be billed and thrown away"
            elif kind != table[column]:
                yield f"{column} is {kind} here and {table[column]} in {transform.table}: it would stay null"
        if "TimeGenerated" not in bound.columns:
            yield "TimeGenerated is missing"


    def _query_faults(self, query: Query, bound: Bound) -> Iterator[str]:
        yield from bound.faults
        for column in sorted(query.columns - bound.columns.keys()):
            yield f"the result has no column {column}, which the alert takes"
        for declared, table in _STAND_IN.findall(query.text):
            for column, kind in (part.split(": ") for part in declared.split(", ")):
                if self.tables.get(table, {}).get(column) != kind:
                    yield f"{table} has no column {column} of type {kind}, which stands in for it"
        for column in _OPTIONAL.findall(query.text):
            if not any(column in columns for columns in self.tables.values()):
                yield f"no table has a column {column}"


def planted_transforms(transforms: list[Transform]) -> Iterator[Transform]:
    """Yield transforms with one fault each."""
    for each in transforms:
        faulty = {
            "a column that is not there": f"{each.text} | extend TimeGenerated = NotThere",
            "a column that the table has not": f"{each.text} | extend NotThere = 1",
            "a wrong type": f"{each.text} | extend TimeGenerated = tostring(TimeGenerated)",
            "no time": f"{each.text} | project-away TimeGenerated",
            "a function that is not there": f"{each.text} | extend TimeGenerated = notthere(TimeGenerated)",
            "no guid": re.sub(r"\btoguid\(", "tostring(", each.text),
            "an open bracket": f"{each.text} | extend TimeGenerated = todatetime(TimeGenerated",
        }
        for fault, text in faulty.items():
            if text != each.text:
                yield replace(each, name=f"{each.name}, {fault}", text=text)


def planted_queries(queries: list[Query], tables: dict[str, Columns]) -> Iterator[Query]:
    """Yield queries with a table or a column misspelled, one at a time, or without a column that an alert takes."""
    for query in queries:
        read = tables.keys() & set(re.findall(_READ.format(r"\w+"), query.text))
        for name in sorted(read | {column for table in read for column in tables[table]}):
            text = re.sub(_READ.format(name), f"{name}NotThere", query.text)
            if text != query.text:
                yield Query(f"{query.name}, {name} misspelled", text)
        for column in sorted(query.columns):
            text = f"{query.text} | project-away {column}"
            yield Query(f"{query.name} without {column}", text, query.columns)
