"""compose.yaml as docker compose itself reads it, with the profile that has everything."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import Any

from tests.support.deployment import DEPLOY, validator

FILE = DEPLOY / "compose.yaml"
PASSWORDS = sorted(set(re.findall(r"\$\{(\w+)", FILE.read_text())))
OURS = re.compile(r"health-analytics(-dashboard)?:")


def compose(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Ask docker compose for its view, with a password of each name but one."""
    given = {name: f"of-{name}" for name in PASSWORDS if name != without}
    return validator(
        "docker-compose", "--file", str(FILE), "--profile", "demo", "config", *arguments, **given
    )


@cache
def services() -> dict[str, dict[str, Any]]:
    """Each service by its name."""
    run = compose("--format", "json")
    assert run.returncode == 0, run.stderr
    services: dict[str, dict[str, Any]] = json.loads(run.stdout)["services"]
    return services


def ours() -> dict[str, dict[str, Any]]:
    """Those that run an image of ours."""
    return {name: service for name, service in services().items() if OURS.match(service["image"])}
