"""`main.py --pipeline ecommerce` as a process: killed between steps, nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.job import ROOT, TIMEOUT_SECONDS
from tests.class_archive import java_options
from tests.shop import Shop, event, events


def _run(shop: Shop, *arguments: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "POSTGRES_DSN": shop.dsn,
        "ECOMMERCE_INPUT_PATH": str(shop.incoming),
        "LOG_DIRECTORY": str(shop.settings.log_directory),
        "METRICS_DIRECTORY": str(shop.settings.metrics_directory),
        "DLQ_DIRECTORY": str(shop.settings.dlq_directory),
        "CHECKPOINT_LOCATION": str(shop.settings.checkpoint_location),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_TOOL_OPTIONS": java_options(),
        "FAULT": fault,
    }
    # From another folder than the checkout: the executors must get the code all the same.
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=shop.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("step", ["stage", "insert", "commit"])
def test_kill_9_after_a_step_loses_and_doubles_nothing(tmp_path: Path, events_dsn: str, step: str) -> None:
    """Also between PostgreSQL's commit and Spark's; each record is accounted for once."""
    shop = Shop(tmp_path, events_dsn)
    good = events(300)
    shop.put([*good, event(event_type="click")])
    killed = _run(shop, "--pipeline", "ecommerce", "--once", fault=f"{step}:kill:1")
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    again = _run(shop, "--pipeline", "ecommerce", "--once")
    assert again.returncode == 0, again.stdout + again.stderr
    assert shop.ids() == sorted(one["event_id"] for one in good)
    assert next(iter(shop.dead_lines().values()))[0] == "invalid_event_type"
    shop.assert_accounted(301)
