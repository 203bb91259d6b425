"""Run ministack with one rule loosened: a test may play the part of GuardDuty.

PutEvents refuses sources that begin with `aws.`, as AWS does, and ministack has no GuardDuty whose findings
could arrive by themselves.
"""

import inspect

from ministack.app import main
from ministack.services import eventbridge

_PARAMETER = "allow_aws_source"

if __name__ == "__main__":
    if inspect.signature(eventbridge._put_events).parameters[_PARAMETER].default is not False:
        raise SystemExit("this version of ministack is not the one in requirements-local.txt")
    eventbridge._put_events.__defaults__ = (True,)
    main()
