"""Validates expanded resources of an Azure template, and its form, against Microsoft's published JSON schemas
(<https://github.com/Azure/azure-resource-manager-schemas>).

The resource schemas leave objects open, so that a misspelled member passes: here they are closed first. Expressions are
evaluated before, so none is accepted.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

_EXPRESSIONS = "https://schema.management.azure.com/schemas/common/definitions.json"
_FORM = "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json"
# Members of the template language, which no resource schema knows.
_LANGUAGE = {"condition", "copy", "dependsOn", "scope"}
_COMBINED = {"allOf", "anyOf", "oneOf"}
# A control or a subtype is told by one of these; its other members are checked against that one alone.
_DISCRIMINATORS = {"type", "kind", "odata.type", "criterionType"}

Json = dict[str, Any]


class Schemas:
    """The schemas of a folder: one folder a version, one file a provider."""

    def __init__(self, folder: Path) -> None:
        self._registry: Registry[Any] = Registry().with_resource(
            _EXPRESSIONS, DRAFT4.create_resource({"definitions": {"expression": {"not": {}}}})
        )
        self._resources: dict[tuple[str, str], str] = {}
        for file in sorted(folder.glob("*/*.json")):
            schema = json.loads(file.read_text(encoding="utf-8"))
            address = schema["id"].removesuffix("#")
            if "resourceDefinitions" in schema or "SecurityInsights" in file.name:
                _close(schema)
            self._registry = self._registry.with_resource(address, Resource(schema, DRAFT4))
            for of, pointer in _resource_types(schema):
                self._resources.setdefault((of, file.parent.name), f"{address}#{pointer}")

    def faults(self, resources: list[Json], form: Json) -> Iterator[Json]:
        """Yield what is wrong with resources and a form."""
        for resource in resources:
            yield from self._resource_faults(resource)
        yield from self._validate("form", _FORM, form)

    def _resource_faults(self, resource: Json) -> Iterator[Json]:
        kind, version = resource["type"], resource["apiVersion"]
        body = {name: value for name, value in resource.items() if name not in _LANGUAGE}
        # A child's schema has its own name, without its parent's.
        body["name"] = str(body["name"]).rpartition("/")[2]
        address = self._resources.get((kind, version))
        if of_its_kind := self._resources.get((f"{kind}/{resource.get('kind')}", version)):
            address, body = of_its_kind, {name: body[name] for name in ("kind", "properties")}
        if address:
            yield from self._validate(kind, address, body)
        else:
            yield {"of": kind, "path": "", "rule": "no schema", "text": f"no schema in {version}"}

    def _validate(self, of: str, address: str, instance: Json) -> Iterator[Json]:
        validator = Draft4Validator({"$ref": address}, registry=self._registry)
        for error in validator.iter_errors(instance):
            for leaf in _leaves(error):
                path = "/".join("*" if isinstance(part, int) else part for part in leaf.absolute_path)
                yield {"of": of, "path": path, "rule": leaf.validator, "text": leaf.message[:400]}


def _resource_types(schema: Json) -> Iterator[tuple[str, str]]:
    for group in ("resourceDefinitions", "extension_resourceDefinitions"):
        for name, definition in schema.get(group, {}).items():
            yield definition["properties"]["type"]["enum"][0], f"/{group}/{name}"
    if "ScheduledAlertRule" in schema.get("definitions", {}):
        yield "Microsoft.SecurityInsights/alertRules/Scheduled", "/definitions/ScheduledAlertRule"


def _close(schema: Any) -> None:
    """Let no object have members that its schema does not name, unless it is one of several combined."""
    if isinstance(schema, list):
        for member in schema:
            _close(member)
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("properties") and not _COMBINED & schema.keys():
            schema.setdefault("additionalProperties", False)
        for member in schema.values():
            _close(member)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yield the errors behind an alternative that does not match: those of the branch that was meant."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = defaultdict(list)
    for inner in error.context:
        branches[inner.schema_path[0]].append(inner)
    meant = min(branches.values(), key=_distance)
    for inner in list(filter(_is_of_another, meant)) or meant:
        yield from _leaves(inner)


def _is_of_another(error: ValidationError) -> bool:
    return error.validator == "enum" and bool(error.path) and error.path[-1] in _DISCRIMINATORS


def _distance(branch: list[ValidationError]) -> tuple[bool, bool, int]:
    is_expression = any(error.validator == "not" for error in branch)
    return is_expression, any(map(_is_of_another, branch)), len(branch)


def main() -> None:
    """Read {case: {"resources": [...], "form": {...}}}, print the faults of each."""
    schemas = Schemas(Path(sys.argv[1]))
    json.dump({name: list(schemas.faults(**case)) for name, case in json.load(sys.stdin).items()}, sys.stdout)


if __name__ == "__main__":
    main()
