"""CloudFormation templates as data: what their short forms stand for."""

import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

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


REGION, ACCOUNT = "eu-west-1", "111122223333"
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": "example",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/example/0a1b2c3d-0000-0000-0000-000000000000",
    "AWS::NoValue": None,
}
# What `Fn::GetAtt` of `Arn` gives; `{}` is the resource's name.
_ARNS = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{place}:alarm:{name}",
    "AWS::DynamoDB::Table": "dynamodb:{place}:table/{name}",
    "AWS::Events::EventBus": "events:{place}:event-bus/{name}",
    "AWS::Events::Rule": "events:{place}:rule/{name}",
    "AWS::IAM::Role": f"iam::{ACCOUNT}:role/{{name}}",
    "AWS::Lambda::Function": "lambda:{place}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{place}:log-group:{name}:*",
    "AWS::SNS::Topic": "sns:{place}:{name}",
    "AWS::SQS::Queue": "sqs:{place}:{name}",
}


class Expanded:
    """A template as plain CloudFormation, for these parameters: each function has its value, no condition is left."""

    def __init__(self, path: Path, **parameters: str) -> None:
        content = template(path)
        if "Transform" in content:
            # As `sam package` leaves it.
            for resource in content["Resources"].values():
                if resource["Type"] == "AWS::Serverless::Function":
                    resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
            with patch.dict(os.environ, AWS_DEFAULT_REGION=REGION):
                content = transform(content, {}, ManagedPolicyLoader(None))
        self._template = content
        self._parameters = {name: parameters.get(name, one.get("Default")) for name, one in content["Parameters"].items()}
        assert parameters.keys() <= self._parameters.keys()
        self.resources: dict[str, dict[str, Any]] = {
            name: resource | {"Properties": self._value(resource["Properties"])}
            for name, resource in content["Resources"].items()
            if "Condition" not in resource or self._holds({"Condition": resource["Condition"]})
        }

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Find the properties of all resources of a kind, by their names."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] == kind}

    def _holds(self, condition: Any) -> bool:
        ((name, argument),) = condition.items()
        match name:
            case "Condition":
                return self._holds(self._template["Conditions"][argument])
            case "Fn::Equals":
                return bool(self._value(argument[0]) == self._value(argument[1]))
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(self._holds(one) for one in argument)
        raise AssertionError(name)

    def _ref(self, name: str) -> Any:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name not in self._parameters:
            kind = self._template["Resources"][name]["Type"]
            return self._attribute(name, "Arn") if kind == "AWS::SNS::Topic" else name
        value = self._parameters[name]
        if self._template["Parameters"][name]["Type"] == "CommaDelimitedList":
            return value.split(",")
        return value

    def _attribute(self, name: str, attribute: str) -> str:
        if attribute != "Arn":
            return f"{name}.{attribute}"
        resource = self._template["Resources"][name]
        own = self._value(resource["Properties"].get("QueueName", name))
        return "arn:aws:" + _ARNS[resource["Type"]].format(place=f"{REGION}:{ACCOUNT}", name=own)

    def _substituted(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(self._value(own[name]))
            return self._attribute(*name.split(".")) if "." in name else str(self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            values = [self._value(one) for one in node]
            return [value for value in values if value is not None]
        if not isinstance(node, dict):
            return node
        name, argument = next(iter(node.items()), ("", None))
        if len(node) != 1 or not (name == "Ref" or name.startswith("Fn::")):
            values = {key: self._value(one) for key, one in node.items()}
            return {key: value for key, value in values.items() if value is not None}
        match name:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(*(argument.split(".") if isinstance(argument, str) else argument))
            case "Fn::Sub":
                return self._substituted(argument)
            case "Fn::If":
                return self._value(argument[1 if self._holds({"Condition": argument[0]}) else 2])
            case "Fn::Join":
                return argument[0].join(self._value(argument[1]))
            case "Fn::Split":
                return self._value(argument[1]).split(argument[0])
            case "Fn::Select":
                return self._value(argument[1])[int(argument[0])]
            case "Fn::FindInMap":
                mapping, key, member = (self._value(one) for one in argument)
                return self._template["Mappings"][mapping][key][member]
        raise AssertionError(name)
