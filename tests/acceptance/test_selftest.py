"""`python main.py selftest` as a person runs it, and as a person stops it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.support.job import ROOT, HealthJob
from tests.support.waiting import TIMEOUT_SECONDS, wait_for


def test_it_passes_and_a_stopped_one_leaves_nothing(
    tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    """SIGTERM as soon as the documents are there; then a whole run. The database is empty after each."""
    job = HealthJob(tmp_path, mongo_uri, database)
    source, target = database["healthmetrics"], database["analytics"]
    process = job.start("selftest")
    wait_for(lambda: source.count_documents({}) == 14, "the scratch user's documents", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_SECONDS) == 3
    assert source.count_documents({}) == target.count_documents({}) == 0
    command = [sys.executable, str(ROOT / "main.py"), "selftest", "--json"]
    run = subprocess.run(
        command, cwd=tmp_path, env=job.environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=True
    )
    answer = json.loads(run.stdout)
    assert answer["ok"] is True
    assert answer["found"]["7-day average"] == "9771.43"
    assert source.count_documents({}) == target.count_documents({}) == 0
