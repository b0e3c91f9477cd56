"""The database rights that docs/security.md gives, and those that recorded commands need."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.documents import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
# What MongoDB lets everybody do, or anybody who is known (manual, "privilege actions").
FREE = {"hello", "ismaster", "ping", "buildinfo", "connectionstatus", "endsessions", "killcursors"}
FREE |= {"saslstart", "saslcontinue", "logout"}
ACTIONS = {
    "find": "find",
    "getmore": "find",
    "count": "find",
    "distinct": "find",
    "aggregate": "find",
    "findandmodify": "update",
    "insert": "insert",
    "update": "update",
    "delete": "remove",
    "listindexes": "listIndexes",
    "createindexes": "createIndex",
}
READING_STAGES = {
    "$match",
    "$group",
    "$sort",
    "$limit",
    "$project",
    "$count",
    "$unwind",
    "$addFields",
    "$set",
    "$facet",
}


def documented_rights(role: str, database: str = "health-metrics") -> set[tuple[str, str]]:
    """(collection, action) pairs of the role in the document, whose commands are JSON on purpose.

    All are in `database`.
    """
    for block in re.findall(r"^db\.createRole\((\{.*?^\})\)", DOCUMENT, re.MULTILINE | re.DOTALL):
        found = json.loads(block)
        if found["role"] == role:
            assert all(item["resource"]["db"] == database for item in found["privileges"])
            return {
                (item["resource"]["collection"], action)
                for item in found["privileges"]
                for action in item["actions"]
            }
    raise AssertionError(f"docs/security.md has no role {role}")


def used_rights(file: Path, database: str) -> set[tuple[str, str]]:
    """(collection, action) pairs that the recorded commands need on a MongoDB that checks."""
    used = set()
    for line in file.read_text().splitlines():
        sent = json.loads(line)
        command = sent["command"].lower()
        if command in FREE:
            continue
        assert sent["database"] == database, f"outside its database: {sent}"
        assert set(sent["stages"]) <= READING_STAGES, f"an aggregation that may need more than find: {sent}"
        used.add((sent["collection"], ACTIONS[command]))
        if sent["upsert"]:
            used.add((sent["collection"], "insert"))
    return used
