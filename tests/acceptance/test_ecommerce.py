"""`main.py --pipeline ecommerce` as a process: killed between steps, nothing is lost or doubled."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from sinks.dead_letters import DeadLetters
from tests.acceptance.job import run_main
from tests.support.missing import missing
from tests.support.shop import Shop, event, events


def _once(shop: Shop, fault: str = "") -> subprocess.CompletedProcess[str]:
    return run_main(shop.folder, "--pipeline", "ecommerce", "--once", **shop.environment(), FAULT=fault)


def test_kill_9_after_any_step_loses_and_doubles_nothing(tmp_path: Path, events_dsn: str) -> None:
    """The seed's fifth test case, also between PostgreSQL's commit and Spark's; each record counts once.

    In the first batch, into an empty table, and in a later one, into a table that holds its duplicates; the
    later batch also has a conflict, whose letter is there before the kill and once in the end.
    """
    shop = Shop(tmp_path, events_dsn, ecommerce_max_files_per_trigger=1)
    good, later = events(300), events(300)
    batches = [
        [*good, event(event_type="click")],
        [*later, *good[:50], {**good[0], "user_id": "another"}, event(event_type="click")],
    ]
    for number, batch in enumerate(batches):
        shop.put(batch, f"{number}.csv")
        for step in ("stage", "insert", "commit"):
            killed = _once(shop, f"{step}:kill:1")
            assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    again = _once(shop)
    assert again.returncode == 0, again.stdout + again.stderr
    assert shop.ids() == sorted(one["event_id"] for one in [*good, *later])
    assert sorted(reason for reason, _ in shop.dead_lines().values()) == [
        "conflict", "invalid_event_type", "invalid_event_type",
    ]  # fmt: skip
    assert shop.total("duplicates") == 50
    shop.assert_accounted(653)
    left = "SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%'"
    assert shop.query(left) == []


def test_the_demo_shows_the_real_stream_and_ends_by_itself(tmp_path: Path) -> None:
    """On a PostgreSQL of its own, which is gone afterwards; every record written is accounted for."""
    demo = run_main(tmp_path, "--pipeline", "ecommerce", "--demo", COLUMNS="200")
    if "PostgreSQL was not found" in demo.stderr:
        missing(demo.stderr)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Traceback" not in demo.stdout + demo.stderr
    told = re.search(
        r"([\d,]+) in = ([\d,]+) inserted \+ ([\d,]+) duplicates \+ ([\d,]+) rejected", demo.stdout
    )
    assert told, demo.stdout
    came, inserted, duplicates, rejected = (int(number.replace(",", "")) for number in told.groups())
    assert came == inserted + duplicates + rejected
    assert min(inserted, duplicates, rejected) > 0
    assert f"✅ {came:,} records were written into files, {came:,} came in" in demo.stdout
    for figure in ("Throughput", "Latency", "Batch time", "Duplicate rate"):
        assert re.search(rf"{figure} .*\d", demo.stdout), figure
    (folder,) = (tmp_path / "demo").iterdir()
    letters = DeadLetters(folder / "dlq", "ecommerce_dlq").list()
    assert sum(len(letter.record["records"]) for letter in letters) == rejected
    assert str(folder.relative_to(tmp_path) / "dlq") in demo.stdout
    address = re.search(r"postgresql://\S+", demo.stdout)
    assert address
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address[0], connect_timeout=5)
