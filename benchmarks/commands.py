"""Whole commands in processes of their own: a full pass, and the start until there is a result.

With the checkout of an earlier version beside this one, the two take turns, and the budgets are ratios.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.common import in_turns
from benchmarks.figures import Figures
from benchmarks.memory import environment_of, watch
from benchmarks.population import change, fill, user_ids
from checkpoint.cursor import FILE_NAME

FULL_USERS, WAITING_USERS, DAYS = 2_000, 100, 180
_TIMES_AS_FAST, _SHARE_OF_START = 2.5, 0.6
_TARGET = "analytics_of_commands"
_GIVE_UP_SECONDS = 300.0


def measure_full(uri: str, users: int, rounds: int, base: Path | None, figures: Figures) -> None:
    """`process_batch.py --full` into an empty collection; the seconds are those of its batches."""
    database = _filled(uri, users)
    seconds = _turns(partial(_full, uri, database), rounds, base, figures)
    rows = [[name, f"{found:.1f}", f"{users / found:.0f}"] for name, found in seconds.items()]
    columns = ["version", "seconds in batches", "users/s"]
    figures.table(f"process_batch.py --full, {users:,} users × {DAYS} days, nothing stored", columns, rows)
    if base:
        what = "process_batch.py --full, times as fast as the earlier version"
        figures.judge(what, seconds["earlier"] / seconds["now"], " ×", least=_TIMES_AS_FAST)


def measure_start(uri: str, rounds: int, base: Path | None, figures: Figures) -> None:
    """`main.py` with users waiting, from its start until the first result is there."""
    database = _filled(uri, WAITING_USERS)
    seconds = _turns(partial(_first_result, uri, database), rounds, base, figures)
    rows = [[name, f"{found:.1f}"] for name, found in seconds.items()]
    title = f"main.py starts with {WAITING_USERS} changed users"
    figures.table(title, ["version", "seconds to the first result"], rows)
    if base:
        share = seconds["now"] / seconds["earlier"]
        figures.judge("first result, share of the earlier version's time", share, "", most=_SHARE_OF_START)


def _filled(uri: str, users: int) -> Database[dict[str, Any]]:
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    database = client[f"bench_{users}_{DAYS}"]
    fill(database, users, DAYS)
    return database


def _turns(
    run: Callable[[Path], float], rounds: int, base: Path | None, figures: Figures
) -> dict[str, float]:
    checkouts = {"now": Path(), **({"earlier": base} if base else {})}
    return in_turns({name: partial(run, where) for name, where in checkouts.items()}, rounds, figures.out)


def _environment(uri: str, database: Database[dict[str, Any]]) -> Mapping[str, str]:
    return {
        "MONGO_URI": uri,
        "MONGO_DB_NAME": database.name,
        "ANALYTICS_COLLECTION": _TARGET,
        "HEALTH_PORT": "0",
    }


def _full(uri: str, database: Database[dict[str, Any]], checkout: Path) -> float:
    database[_TARGET].drop()
    with tempfile.TemporaryDirectory() as name:
        watch(["process_batch.py", "--full"], Path(name), _environment(uri, database), checkout=checkout)
        files = (Path(name) / "log_directory").glob("batch_logs_*.jsonl")
        entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    database[_TARGET].drop()
    return float(sum(entry["processing_time_ms"] for entry in entries)) / 1000


def _first_result(uri: str, database: Database[dict[str, Any]], checkout: Path) -> float:
    target = database[_TARGET]
    target.drop()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cursor = folder / "checkpoint_location" / FILE_NAME
        cursor.parent.mkdir()
        cursor.write_text((datetime.now(timezone.utc) - timedelta(seconds=5)).isoformat())
        change(database["healthmetrics"], user_ids(WAITING_USERS), random.Random(name))
        environment = environment_of(folder, _environment(uri, database))
        with (folder / "output").open("w") as output:
            began = time.perf_counter()
            command = [sys.executable, "main.py"]
            process = subprocess.Popen(command, env=environment, cwd=checkout, stdout=output, stderr=output)
            try:
                while target.find_one({}, {"_id": 1}) is None:
                    waited = time.perf_counter() - began
                    if process.poll() is not None or waited > _GIVE_UP_SECONDS:
                        text = (folder / "output").read_text()[-2000:]
                        raise RuntimeError(f"main.py wrote no result: {text}")
                    time.sleep(0.01)
                return time.perf_counter() - began
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()
