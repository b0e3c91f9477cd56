"""The services of systemd, run as their units say: user, environment, and no other folder to write to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.support.documents import ROOT, blocks
from tests.support.systemd import run_unit, units

# What the page tells to put into .env.
_FOLDERS = next(block.text for block in blocks(ROOT / "docs" / "operations.md") if block.language == "ini")


def test_the_command_of_the_stream_works_with_what_the_unit_allows(
    tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    """Java starts; what is kept goes into the unit's two folders, all that its user can write to."""
    env_file = f"{_FOLDERS}\nMONGO_URI='{mongo_uri}'\nMONGO_DB_NAME={database.name}\n"
    run = run_unit(units()["health-analytics"], tmp_path, env_file, "--once")
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "state" / "metrics" / "spark_analytics_metrics.prom").is_file()
    history = next((tmp_path / "logs").glob("batch_history_*.json"))
    assert history.stat().st_mode & 0o777 == 0o640
    assert history.stat().st_uid > 0
    assert not list((tmp_path / "app").glob("logs"))


def test_a_task_of_a_timer_reads_the_environment_of_its_instance(tmp_path: Path) -> None:
    """The folder that compact@stock looks at is that of stock.env, which goes before .env."""
    place = "STOCK_COLD_PATH=/var/lib/health-analytics"
    task = units()["health-analytics-compact@stock"]
    run = run_unit(task, tmp_path, f"{_FOLDERS}\n{place}/wrong\n", files={"stock.env": f"{place}/own"})
    assert run.returncode == 2
    assert "/var/lib/health-analytics/own" in run.stdout
