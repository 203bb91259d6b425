"""`make kql`: binds all KQL of the Azure template with Microsoft's binder, and runs the queries on sample rows."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from local.kql.binder import Binder, planted_queries, planted_transforms
from local.kql.content import Columns, Content, Query, Transform, in_kql, own_queries
from local.kql.samples import Sample, differences, gaps, needs_its_table, samples, slips

Kql = TypeVar("Kql", Transform, Query)


def main() -> int:
    """Print what is wrong, or one line of what was tried."""
    arguments = argparse.ArgumentParser(prog="python -m local.kql", description=__doc__)
    arguments.add_argument("template", type=Path, help="the template, as it is deployed")
    arguments.add_argument(
        "binder", type=Path, help="the folder that @kusto/language-service-next is installed in"
    )
    arguments.add_argument(
        "--also",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="look at the template once more, with this parameter",
    )
    asked = arguments.parse_args()
    schema = json.load(sys.stdin)
    tables = {name: in_kql(columns) for name, columns in schema["tables"].items()}
    streams = {name: in_kql(columns) for name, columns in schema["streams"].items()}
    template = json.loads(asked.template.read_text(encoding="utf-8"))
    contents = [Content(template, {}), Content(template, dict(asked.also))]
    transforms = list(_apart(each for content in contents for each in content.transforms()))
    queries = list(_apart(each for content in contents for each in content.queries()))
    wrong, lines = list(_streams(transforms, streams)), []
    for faults, line in (
        _bound(Binder(asked.binder, tables), transforms, queries),
        _run(samples(), transforms, queries, tables),
    ):
        wrong += faults
        lines.append(line)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    print("KQL: " + "; ".join(lines))
    return 0


def _parameter(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


def _apart(found: Iterable[Kql]) -> Iterator[Kql]:
    """Yield what is the same once, and number what only has the same name."""
    texts: dict[str, list[str]] = {}
    for each in found:
        known = texts.setdefault(each.name, [])
        if each.text not in known:
            known.append(each.text)
            yield each if len(known) == 1 else replace(each, name=f"{each.name} ({len(known)})")


def _streams(transforms: list[Transform], streams: dict[str, Columns]) -> Iterator[str]:
    """Say which streams of the function flow nowhere, or are declared otherwise than the function fills them."""
    for name, columns in streams.items():
        flowing = [each for each in transforms if each.stream == name]
        if not flowing:
            yield f"{name} flows nowhere"
        if any(each.source != columns for each in flowing):
            yield f"{name} is declared with other columns than the function sends"


def _bound(binder: Binder, transforms: list[Transform], queries: list[Query]) -> tuple[list[str], str]:
    if shutil.which("npm") is None:
        return [], "NOTHING BOUND, since npm is not installed"
    found = binder.faults(transforms, queries)
    wrong = [f"{name}: {fault}" for name, faults in found.items() for fault in faults]
    planted = binder.faults(
        list(planted_transforms(transforms)), list(planted_queries(queries, binder.tables))
    )
    wrong += [f"the binder misses a planted fault: {name}" for name, faults in planted.items() if not faults]
    line = (
        f"{len(transforms)} transforms and {len(queries)} queries bound, {len(planted)} planted faults found"
    )
    return wrong, line


def _run(
    of: list[Sample], transforms: list[Transform], queries: list[Query], tables: dict[str, Columns]
) -> tuple[list[str], str]:
    own = own_queries()
    named = own.keys() | {name for sample in of for name in sample.expected}
    deployed = {query.name: query for query in queries if query.name in named}
    wrong = [f"{name}.kql is not in the template" for name in sorted(own.keys() - deployed.keys())]
    # A transform that does nothing needs no sample.
    tried = deployed | {each.name: each.query() for each in transforms if each.text != "source"}
    tables = tables | {each.stream: each.source for each in transforms}
    wrong += gaps(of, set(tried))
    results = [(sample, tried[name]) for sample in of for name in sample.expected if name in tried]
    wrong += filter(None, (differences(sample, query, tables) for sample, query in results))
    rules = [query for query in tried.values() if query.period]
    wrong += filter(None, map(needs_its_table, rules))
    planted = [replace(rule, text=rule.text.replace(" isfuzzy=true", "")) for rule in rules]
    wrong += [f"it is not seen that {rule.name} needs its table" for rule in planted if not needs_its_table(rule)]
    slipped = [slip for query in tried.values() for slip in slips(query)]
    wrong += [
        f"no sample notices a slip: {where}"
        for where, slip in slipped
        if not any(differences(sample, slip, tables) for sample in of if slip.name in sample.expected)
    ]
    return wrong, f"{len(results)} results on {len(of)} samples as expected, {len(slipped)} slips noticed"


if __name__ == "__main__":
    sys.exit(main())
