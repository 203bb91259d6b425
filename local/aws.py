"""Run ministack with four things as they are in AWS, which it leaves out.

GuardDuty's findings: ministack has no GuardDuty, and PutEvents refuses sources that begin with `aws.`, as AWS does. Here
a test may play its part.
Web identity tokens: ministack signs them with HS256 and names no key; AWS signs with RS256, which Entra insists on.
Event buses of other accounts and regions: ministack delivers within one account and region alone, and keeps no policy
that a template gives a bus.
Dead letter queues: ministack does not say which queues' messages end in one.
"""

import base64
import inspect
import json
import os
import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from ministack.app import main
from ministack.core import iam_evaluator, responses
from ministack.core.arn import Arn, parse_arn
from ministack.services import eventbridge, sqs, sts
from ministack.services.cloudformation import provisioners

_ISSUER = "https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# The id of an organisation, and the accounts that belong to it.
_ORGANIZATION, *_MEMBERS = os.environ["ORGANIZATION"].split(",")
_TOKEN = re.compile(rb"[\w-]{10,}\.([\w-]{10,})\.[\w-]{10,}")


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _sign_as_aws(token: re.Match[bytes]) -> bytes:
    claims = json.loads(base64.urlsafe_b64decode(token[1] + b"=="))
    header = {"alg": "RS256", "kid": "RSA_0", "typ": "JWT"}
    parts = [json.dumps(part).encode() for part in (header, claims | {"iss": _ISSUER})]
    text = b".".join(_encode(part) for part in parts)
    return text + b"." + _encode(_KEY.sign(text, padding.PKCS1v15(), SHA256()))


def let_tests_play_guardduty() -> None:
    """Let PutEvents take sources of AWS."""
    if inspect.signature(eventbridge._put_events).parameters["allow_aws_source"].default is not False:
        raise SystemExit("this version of ministack is not the one in requirements-local.txt")
    eventbridge._put_events.__defaults__ = (True,)


def sign_tokens_as_aws() -> None:
    """Sign web identity tokens anew on their way out."""
    answer = sts.handle_request

    async def signed(*arguments: Any, **named: Any) -> Any:
        status, headers, body = await answer(*arguments, **named)
        content = body.encode() if isinstance(body, str) else body
        if b"WebIdentityToken" in content:
            content = _TOKEN.sub(_sign_as_aws, content)
        return status, headers, content

    sts.handle_request = signed


def keep_policies_of_buses() -> None:
    """Keep the policy that a template gives a bus."""
    bus = provisioners._RESOURCE_HANDLERS["AWS::Events::EventBus"]
    create = bus["create"]

    def created(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        name, attributes = create(logical_id, properties, stack_name)
        if "Policy" in properties:
            eventbridge._event_bus_policies[name] = properties["Policy"]
        return name, attributes

    bus["create"] = created


def carry_events_over_borders() -> None:
    """Deliver to buses of other accounts and regions what role and policy allow; the rest is a dead letter of the rule."""
    within = eventbridge._invoke_target

    def invoke(target: dict[str, Any], event: dict[str, Any], *rest: Any) -> None:
        arn = parse_arn(target["Arn"])
        here = responses.get_account_id(), responses.get_region()
        if arn.service != "events" or (arn.account_id, arn.region) == here:
            within(target, event, *rest)
        elif _may_put_events(target.get("RoleArn", ""), arn, event):
            with responses.request_scope(arn.account_id, arn.region):
                eventbridge._dispatch_event(event | {"EventBusName": arn.resource.removeprefix("event-bus/")})
        elif "DeadLetterConfig" in target:
            payload = json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
            eventbridge._dispatch_to_sqs(parse_arn(target["DeadLetterConfig"]["Arn"]), payload)

    eventbridge._invoke_target = invoke


def _may_put_events(role: str, bus: Arn, event: dict[str, Any]) -> bool:
    with responses.request_scope(bus.account_id, bus.region):
        policy = eventbridge._event_bus_policies.get(bus.resource.removeprefix("event-bus/"))
    account = responses.get_account_id()
    name = role.rsplit("/", 1)[-1]
    request = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/events",
        principal_type="AssumedRole",
        principal_account=account,
        action="events:PutEvents",
        resource_arn=str(bus),
        region=bus.region,
        service_context={"events:source": [event["Source"]], "events:detail-type": [event["DetailType"]]},
        principal_keys={"aws:principalorgid": _ORGANIZATION} if account in _MEMBERS else {},
    )
    identity = iam_evaluator.evaluate(request, iam_evaluator._gather_role_policies(name, account))
    answer = iam_evaluator.combine_resource_policy(identity, request, policy, bus.account_id)
    return bool(answer.decision == "Allow")


def name_sources_of_dead_letters() -> None:
    """Answer ListDeadLetterSourceQueues."""

    def sources(data: dict[str, Any], url: str) -> dict[str, Any]:
        target = sqs._get_q(data.get("QueueUrl", url))["attributes"]["QueueArn"]
        policies = {of: queue["attributes"].get("RedrivePolicy") for of, queue in sqs._queues.items()}
        named = [of for of, policy in policies.items() if policy and target in policy]
        return {"queueUrls": [sqs._externalize_url(of) for of in named]}

    sqs._HANDLERS["ListDeadLetterSourceQueues"] = sources


if __name__ == "__main__":
    name_sources_of_dead_letters()
    let_tests_play_guardduty()
    sign_tokens_as_aws()
    keep_policies_of_buses()
    carry_events_over_borders()
    main()
