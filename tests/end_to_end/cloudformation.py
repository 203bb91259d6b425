"""CloudFormation templates as data: what their short forms stand for."""

from pathlib import Path
from typing import Any

import yaml

from local.stack import ROOT

TEMPLATES = [ROOT / "template.yaml", *sorted((ROOT / "deploy").glob("*.yaml"))]


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as `{"Ref": X}` and `!Sub X` as `{"Fn::Sub": X}`."""


def _long_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_scalar(node)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _long_form)


def template(path: Path) -> dict[str, Any]:
    """Read a template."""
    content: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506 it is a SafeLoader
    return content


def resources(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Find the properties of all resources of a kind, by their names."""
    every = template(path)["Resources"].items()
    return {name: resource["Properties"] for name, resource in every if resource["Type"] == kind}
