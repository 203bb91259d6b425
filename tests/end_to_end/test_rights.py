"""What the templates allow: no wildcard but those that a comment explains, and nothing for everybody without a condition."""

from collections.abc import Iterator
from pathlib import Path

import cloudformation
import pytest
import yaml

WILD = """
Statement:
  - Effect: Allow
    Action: {action}
    Resource: {resource}
"""


def allowing(node: yaml.Node) -> Iterator[dict[str, yaml.Node]]:
    """Find the statements that allow something."""
    if isinstance(node, yaml.MappingNode):
        members = {key.value: value for key, value in node.value}
        if "Effect" in members and members["Effect"].value == "Allow":
            yield members | {"": node}
        for value in members.values():
            yield from allowing(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from allowing(value)


def leaves(node: yaml.Node) -> list[yaml.ScalarNode]:
    """List the values in a node, however deep."""
    if isinstance(node, yaml.ScalarNode):
        return [node]
    values = [pair[1] for pair in node.value] if isinstance(node, yaml.MappingNode) else node.value
    return [leaf for value in values for leaf in leaves(value)]


def unexplained(text: str) -> list[int]:
    """Find the lines of statements with a wildcard and no comment in or above them."""
    lines = text.splitlines()
    found = []
    for statement in allowing(yaml.compose(text)):
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement)
        parts = [statement[part] for part in ("Action", "Resource", "Principal") if part in statement]
        start, end = statement[""].start_mark.line, leaves(statement[""])[-1].start_mark.line
        if any(leaf.value == "*" or leaf.value.endswith(":*") for part in parts for leaf in leaves(part)):
            own = lines[start : end + 1] + [lines[start - 1]]
            if not any(line.strip().startswith("#") for line in own):
                found.append(start + 1)
    return found


@pytest.mark.parametrize("path", cloudformation.TEMPLATES, ids=lambda path: path.name)
def test_every_wildcard_is_explained(path: Path) -> None:
    assert unexplained(path.read_text()) == []
    assert list(allowing(yaml.compose(path.read_text())))


@pytest.mark.parametrize("path", cloudformation.TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_for_everybody_without_a_condition(path: Path) -> None:
    for statement in allowing(yaml.compose(path.read_text())):
        if "Principal" in statement and "*" in [leaf.value for leaf in leaves(statement["Principal"])]:
            assert "Condition" in statement, f"line {statement[''].start_mark.line + 1}"


@pytest.mark.parametrize(("action", "resource"), [("s3:*", "arn:aws:s3:::b"), ("s3:GetObject", "'*'"), ("'*'", "x")])
def test_a_wildcard_is_noticed(action: str, resource: str) -> None:
    text = WILD.format(action=action, resource=resource)
    assert unexplained(text) == [3]
    assert unexplained(text.replace("    Resource", "    # For a reason.\n    Resource")) == []
