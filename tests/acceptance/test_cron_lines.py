"""The cron lines of the documentation, run as cron runs them: by /bin/sh, with almost no environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from simulation.health.population import PATTERN_USER_ID, worked_example
from tests.support.class_archive import java_environment
from tests.support.documents import ROOT, blocks, markdown_files
from tests.support.waiting import TIMEOUT_SECONDS

PLACE = "/opt/health-analytics"
LINES = {
    line: f"{block.file.name}-{number}"
    for file in markdown_files()
    for block in blocks(file)
    if block.language == "cron"
    for number, line in enumerate(block.text.splitlines(), block.line + 1)
}
_FIELDS = re.compile(r"((?:[\d*/,-]+\s+){5})(.*)")


@pytest.fixture
def place(tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> Path:
    """A checkout as it is installed, its `.env` naming the fresh database, which holds the worked example."""
    for entry in ROOT.iterdir():
        if entry.name != ".env":
            (tmp_path / entry.name).symlink_to(entry)
    # The interpreter of this run, wherever its environment lies.
    if not (tmp_path / ".venv").exists():
        (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for folder in ("logs", "metrics", "dlq", "spark-checkpoints"):
        (tmp_path / folder).unlink(missing_ok=True)
        (tmp_path / folder).mkdir()
    settings = f'MONGO_URI="{mongo_uri}"\nMONGO_DB_NAME={database.name}\nLOG_KEEP_DAYS=90\n'
    (tmp_path / ".env").write_text(settings)
    today = datetime.now(timezone.utc).date()
    database["healthmetrics"].insert_many(worked_example(PATTERN_USER_ID, today))
    return tmp_path


def _as_cron(line: str, place: Path) -> subprocess.CompletedProcess[str]:
    """What cron does with a line of a crontab: `%` ends the command unless it is escaped."""
    fields = _FIELDS.fullmatch(line)
    assert fields, "not a crontab line"
    assert not re.search(r"(?<!\\)%", fields[2]), "an unescaped % ends the command"
    command = fields[2].replace("\\%", "%").replace(PLACE, str(place))
    environment = {
        # Of a test, not of cron: without it half a line's time is Java's second compiler.
        "JAVA_TOOL_OPTIONS": java_environment()["JAVA_TOOL_OPTIONS"],
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "HOME": str(place),
        "LOGNAME": "health-analytics",
    }
    if "JAVA_HOME" in os.environ:  # as the page says for machines whose Java is elsewhere
        environment["JAVA_HOME"] = os.environ["JAVA_HOME"]
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_the_lines_are_found() -> None:
    """Otherwise the test below would pass for want of lines."""
    assert len(LINES) >= 6


@pytest.mark.parametrize("line", LINES, ids=LINES.values())
def test_a_cron_line_does_what_the_page_says(
    line: str, place: Path, database: Database[dict[str, Any]]
) -> None:
    """It succeeds, mails nothing, and what it computes is there."""
    old = place / "logs" / "batch_logs_20200101.jsonl"
    old.write_text("{}\n")
    run = _as_cron(line, place)
    log = place / "logs" / "cron.log"
    assert run.returncode == 0, run.stderr + (log.read_text() if log.exists() else "")
    assert run.stdout == run.stderr == "", "cron would mail this"
    if "pulse batch" in line:
        assert database["analytics"].count_documents({"userId": PATTERN_USER_ID}) == 3
    cursor = place / "spark-checkpoints" / "last_processed_timestamp.txt"
    if "checkpoint set" in line:
        week_ago = datetime.now(timezone.utc) - timedelta(days=7)
        assert cursor.read_text().startswith(f"{week_ago:%Y-%m-%d}T00:00:00")
    else:
        # Only the slow stream moves the cursor.
        assert cursor.exists() == line.endswith("./pulse batch >>logs/cron.log 2>&1")
    assert old.exists() != ("retention" in line)
