"""Records and findings that no service ever wrote: seeded, hostile, and each the text of a JSON object.

A record has members that are known and members that are not, each with a value that fits or one that does not; names and
strings are written with and without escapes, members come twice, values lie around the limit of a field.
"""

import json
import random
from collections.abc import Callable

from oracle import CLOUDTRAIL, FINDING_TEXTS, MOST_VALUE_BYTES

GUIDS = ("93f52e2f-0ef0-4f3b-b0c8-0a0b0c0d0e0f", "93F52E2F-0EF0-4F3B-B0C8-0A0B0C0D0E0F", "93f52e2f-0ef0-4f3b-b0c8")
TIMES = ("2026-03-10T11:58:07Z", "2026-03-10T11:58:07.123Z", "2026-03-10T12:58:07+01:00", "2019-01-01T00:00:00Z", "soon")
NUMBERS = ("0", "-1", "6.9", "6.9999999999999999", "1e3", "123456789012345678901234567890", "0.10", "-0.5", "2147483648")
WORDS = ("true", "false", "null", '""', '"true"', '"false"', "{}", "[]", "{ }", "[ ]")
TEXTS = ("a", "é", "\u2028", "a \"b\" \\ /", "\t\n\r\b\f", "\U00010348", "ipPermissions", "unmapped", "x" * 300)
NAMES = ("a", "unmapped", "unmapped_", "addendum", "eventContext", "x y", 'q"', "ü", "insightDetails")
MOST_LEVELS = 6


class Records:
    """A source of records that gives the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self, name: str) -> str:
        """Write a name, now and then with an escape."""
        written = json.dumps(name, ensure_ascii=self.random.random() < 0.5)
        if name and name[0].isascii() and name[0].isalpha() and self.random.random() < 0.05:
            written = f'"\\u{ord(name[0]):04x}{written[2:]}'
        return written

    def text(self) -> str:
        """Write a string."""
        chance = self.random.random()
        if chance < 0.004:
            length = MOST_VALUE_BYTES + self.random.randrange(-3, 4)
            return json.dumps(self.random.choice(("x", '"', "\\", "\n")) * length)
        if chance < 0.01:
            return self.random.choice(('"\\ud800"', '"\\udc00\\ud800x"', '"\\ud83d\\ude00"'))
        parts = self.random.choices((*TEXTS, *GUIDS, *TIMES), k=self.random.randrange(1, 4))
        return json.dumps("".join(parts), ensure_ascii=self.random.random() < 0.5)

    def value(self, level: int = 0) -> str:
        """Write any value."""
        kind = self.random.randrange(10 if level < MOST_LEVELS else 6)
        if kind < 2:
            return self.random.choice(WORDS)
        if kind < 3:
            return self.random.choice(NUMBERS)
        if kind < 6:
            return self.text()
        blank = self.random.choice(("", "", " ", "\n\t"))
        count = self.random.randrange(4)
        if kind < 8:
            return "[" + f"{blank},{blank}".join(self.value(level + 1) for _ in range(count)) + "]"
        members = (f"{self.name(self.random.choice(NAMES))}{blank}:{self.value(level + 1)}" for _ in range(count))
        return "{" + f",{blank}".join(members) + "}"

    def fitting(self, name: str) -> str:
        """Write a value that the member of that name may well have."""
        if name in ("eventTime", "createdAt", "updatedAt", "creationDate"):
            return json.dumps(self.random.choice(TIMES))
        if name in ("eventID", "sharedEventID"):
            return json.dumps(self.random.choice(GUIDS))
        if name == "severity":
            return self.random.choice((*NUMBERS, '"high"', '"6.9"'))
        if name == "requestParameters" and self.random.random() < 0.3:
            rule = f'{{"ipProtocol":{self.value(4)},"fromPort":{self.value(4)},"ipRanges":{{"items":[{{"cidrIp":{self.value(4)}}}]}}}}'
            return f'{{{self.name("ipPermissions")}:{{"items":[{rule}]}}}}'
        return self.text()

    def object(self, columns: dict[str, object], first: str) -> str:
        """Write an object of members that have a column and others."""
        parts = [first] if first else []
        for _ in range(self.random.randrange(1, 12)):
            if self.random.random() < 0.15:
                name, inner = self.random.choice(NAMES), None
            else:
                name, inner = self.random.choice(list(columns.items()))
            if isinstance(inner, dict) and self.random.random() < 0.9:
                value = self.object(inner, "")
            else:
                value = self.fitting(name) if self.random.random() < 0.6 else self.value()
            parts.append(f"{self.name(name)}:{value}")
        self.random.shuffle(parts)
        return "{" + self.random.choice((",", ", ", ",\n")).join(parts) + "}"

    def record(self, number: int) -> str:
        """Write a record of CloudTrail's; its number is its request's id."""
        columns = {name: column for name, column in CLOUDTRAIL.items() if name != "requestID"}
        return self.object(columns, f'"requestID":"{number}"')

    def finding(self, number: int) -> str:
        """Write a finding of GuardDuty's; its number is its id."""
        names = [*FINDING_TEXTS, "resource", "service", "severity", "createdAt", "updatedAt"]
        return self.object({name: None for name in names if name != "id"}, f'"id":"{number}"')


WRITERS: dict[str, Callable[[Records, int], str]] = {"AWSCloudTrail": Records.record, "AWSGuardDuty": Records.finding}
