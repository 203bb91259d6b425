"""Asks parliament, policy_sentry and botocore; runs with the Python of .tools/judges, a question in, an answer out.

https://pypi.org/project/parliament/, https://pypi.org/project/policy-sentry/
"""

import json
import sys
from typing import Any

import botocore.session
import parliament
from botocore import xform_name
from policy_sentry.shared.iam_data import iam_definition


def problems(policy: dict[str, Any]) -> list[str]:
    """Name what parliament finds in a policy."""
    found = parliament.analyze_policy_string(json.dumps(policy)).findings
    return [f"{one.issue}: {one.detail}" for one in found]


def actions_of_operations(service: str) -> dict[str, list[str]]:
    """Map each operation of a service, as the SDK calls it, to the actions that IAM asks for, as AWS documents them."""
    privileges = iam_definition[service]["privileges"].items()
    actions: dict[str, list[str]] = {}
    for operation in botocore.session.get_session().get_service_model(service).operation_names:
        page = f"/API_{operation}.html"
        actions[xform_name(operation)] = [
            f"{service}:{name}" for name, one in privileges if one["api_documentation_link"].split("#")[0].endswith(page)
        ]
    return actions


def requests_of_operations(service: str) -> dict[str, str]:
    """Map method and path of each operation of a REST service to its name."""
    model = botocore.session.get_session().get_service_model(service)
    operations = [model.operation_model(name) for name in model.operation_names]
    return {f"{one.http['method']} {one.http['requestUri']}": xform_name(one.name) for one in operations}


def resource_types(action: str) -> list[str] | None:
    """List the kinds of resources that an action can be bound to; nothing where there is no such action."""
    service, name = action.split(":")
    one = iam_definition.get(service, {}).get("privileges", {}).get(name)
    return None if one is None else sorted(kind for kind in one["resource_types"] if kind)


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    answer = {
        "problems": [problems(policy) for policy in asked["policies"]],
        "operations": {service: actions_of_operations(service) for service in asked["services"]},
        "requests": {service: requests_of_operations(service) for service in asked["rest_services"]},
        "resource_types": {action: resource_types(action) for action in asked["actions"]},
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
