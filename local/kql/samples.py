"""The samples: rows of a workspace at one moment, and what each query must make of them, written by hand."""

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from local.kql.content import Columns, Query
from local.kql.engine import Row, Workspace

_FOLDER = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Sample:
    """One situation."""

    name: str
    now: str
    rows: dict[str, list[Row]]
    expected: dict[str, list[Row]]


def samples() -> list[Sample]:
    """Return every sample."""
    files = sorted(_FOLDER.glob("*.json"))
    return [Sample(file.stem, **json.loads(file.read_text(encoding="utf-8"))) for file in files]


def differences(sample: Sample, query: Query, tables: dict[str, Columns]) -> str | None:
    """Say how the result differs from what the sample expects of this query; None if it doesn't."""
    workspace = Workspace(sample.now, tables, _seen(sample, query.period))
    result, expected = workspace.run(query.text), sample.expected[query.name]
    if "order by" not in query.text:
        result, expected = sorted(result, key=_text), sorted(expected, key=_text)
    if result == expected:
        return None
    lines = [f"{query.name} on {sample.name}"]
    lines += [f"  expected {json.dumps(row)}" for row in expected]
    lines += [f"  returned {json.dumps(row)}" for row in result]
    return "\n".join(lines)


def needs_its_table(query: Query) -> str | None:
    """Say why an alert rule can't run before its table is there, as in the deployment that makes both."""
    try:
        rows = Workspace("2026-03-01T12:00:00Z", {}, {}).run(query.text)
    except Exception as error:
        return f"{query.name} fails without its table: {error}"
    return f"{query.name} returns rows without its table" if rows else None


def _seen(sample: Sample, period: str | None) -> dict[str, list[Row]]:
    """Return the rows that Sentinel lets an alert rule see: those of its period."""
    if period is None:
        return sample.rows
    since = (datetime.datetime.fromisoformat(sample.now) - _duration(period)).isoformat()
    return {table: [row for row in rows if _moment(row) >= since] for table, rows in sample.rows.items()}


def _text(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


def _moment(row: Row) -> str:
    return datetime.datetime.fromisoformat(str(row["TimeGenerated"])).isoformat()


def _duration(text: str) -> datetime.timedelta:
    number, unit = re.fullmatch(r"PT?(\d+)([DHM])", text).groups()
    return datetime.timedelta(**{{"D": "days", "H": "hours", "M": "minutes"}[unit]: int(number)})


# What a slip of the hand makes of a query. Each must change some result.
_SLIPS = {
    r"\bsum\(": "max(",
    r"\bmax\(": "min(",
    r"\bmin\(": "max(",
    r"\barg_max\(": "arg_min(",
    r"\bcount\(\)": "sum(1) + 1",
    r"\b(5|9)\d\)": "1)",
    r"\b(\d)h\b": r"\g<1>0h",
    r" 1e9\b": " 1e6",
    r" > ": " < ",
    r" < ": " > ",
    r" and ": " or ",
    r" or ": " and ",
    r"\bdesc\b": "asc",
    r"\basc\b": "desc",
    r"\btoguid\(": "tostring(",
    r"\bcoalesce\((\w+), ": r"coalesce(TimeGenerated, ",
}


def slips(query: Query) -> Iterator[tuple[str, Query]]:
    """Yield the query with one slip, and where it is, for each place where one can be made."""
    for pattern, instead in _SLIPS.items():
        for place in re.finditer(pattern, query.text):
            text = query.text[: place.start()] + place.expand(instead) + query.text[place.end() :]
            line = query.text.count("\n", 0, place.start()) + 1
            where = f"{query.name}, line {line}: {place[0].strip()} for {place.expand(instead).strip()}"
            yield where, replace(query, text=text)


def gaps(of: list[Sample], names: set[str]) -> Iterator[str]:
    """Say what no sample tries: each query must return rows once, and each alert rule must once return none."""
    for name in sorted(names):
        results = [sample.expected[name] for sample in of if name in sample.expected]
        if not any(results):
            yield f"no sample expects rows of {name}"
        if name.startswith("rules/") and all(results):
            yield f"no sample expects {name} to stay silent"
    for sample in of:
        for name in sorted(sample.expected.keys() - names):
            yield f"sample {sample.name} expects something of {name}, which the template has not"
