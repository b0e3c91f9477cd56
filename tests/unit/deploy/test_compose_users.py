"""Whom the programs of compose.yaml log in as: each may do what it must, and none is an administrator."""

from __future__ import annotations

import re

from tests.support.compose import ours, services
from tests.support.deployment import DEPLOY
from tests.support.documents import ROOT

_SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def _logins(setting: str) -> dict[str, tuple[str, str]]:
    """User and password in the address that each of our services has in `setting`."""
    found = {}
    for name, service in ours().items():
        address = service.get("environment", {}).get(setting)
        if address:
            ((user, password),) = re.findall(
                r"^\w+://([\w-]+):of-(\w+)@(?:mongo:27017|postgres:5432)/", address
            )
            found[name] = (user, password)
    return found


def test_each_program_logs_in_as_a_user_of_mongodb_with_the_documented_rights() -> None:
    """No administrator is among them; roles and indexes are those of docs/security.md."""
    script = (DEPLOY / "mongo" / "users.js").read_text()
    made = {
        user: (password, roles)
        for user, password, roles in re.findall(
            r'^user\("(.+?)", process\.env\.(\w+), \[(.+)\]\);$', script, re.MULTILINE
        )
    }
    rights = {user: roles for user, (_, roles) in made.items()}
    assert rights == {
        "health-analytics": '"healthAnalytics"',
        "stock": '"stockPipeline"',
        "health-reader": '"healthReader", "stockReader"',
        "backend": '{role: "readWrite", db: "health-metrics"}',
    }
    logins = {**_logins("MONGO_URI"), **_logins("DASHBOARD_MONGO_URI")}
    assert {name: user for name, (user, _) in logins.items()} == {
        "job": "health-analytics",
        "people": "backend",
        "stock": "stock",
        "dashboard": "health-reader",
    }
    assert all(made[user][0] == password for user, password in logins.values())
    assert {password for password, _ in made.values()} <= set(services()["mongo"]["environment"])
    block, flags = r'\((\{\n  "role": "(\w+)".*?^\})\)', re.MULTILINE | re.DOTALL
    defined, documented = (
        dict(re.findall(pattern + block, text, flags))
        for pattern, text in (("^role", script), (r"^db\.createRole", _SECURITY))
    )
    # The cursor is in a file here, and nobody is told what is new.
    optional = {"healthAnalyticsCursor", "healthAnalyticsTold"}
    assert set(documented.values()) - set(defined.values()) == optional
    assert set(defined) <= set(documented)
    indexes = [line for line in _SECURITY.splitlines() if re.match(r"db\.\w+\.createIndex", line)]
    assert [line for line in script.splitlines() if "createIndex(" in line] == [
        f"{line};" for line in indexes
    ]


def test_neither_pipeline_nor_pages_log_in_as_the_administrator_of_postgresql() -> None:
    """Whom the script makes, tests/integration/test_postgres_users.py runs."""
    server = services()["postgres"]["environment"]
    assert _logins("POSTGRES_DSN") == {
        "ecommerce": ("shop", "POSTGRES_PASSWORD"),
        "dashboard": ("viewer", "POSTGRES_VIEWER_PASSWORD"),
    }
    assert server["POSTGRES_USER"] not in ("shop", "viewer")
    given = {name: server[f"POSTGRES_PASSWORD_{name}"] for name in ("SHOP", "VIEWER")}
    assert given == {"SHOP": "of-POSTGRES_PASSWORD", "VIEWER": "of-POSTGRES_VIEWER_PASSWORD"}
