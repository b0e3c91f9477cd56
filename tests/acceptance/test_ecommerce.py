"""`main.py --pipeline ecommerce` as a process: its demo."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from sinks.dead_letters import DeadLetters
from tests.support.job import Job
from tests.support.missing import missing


def test_the_demo_shows_the_real_stream_and_ends_by_itself(tmp_path: Path) -> None:
    """On a PostgreSQL of its own, which is gone afterwards; every record written is accounted for."""
    job = Job(tmp_path, {"COLUMNS": "200"})
    code = job.run("--pipeline", "ecommerce", "--demo")
    if "PostgreSQL was not found" in job.output():
        missing(job.output())
    assert code == 0, job.output()
    assert "Traceback" not in job.output()
    told = re.search(
        r"([\d,]+) in = ([\d,]+) inserted \+ ([\d,]+) duplicates \+ ([\d,]+) rejected", job.output()
    )
    assert told, job.output()
    came, inserted, duplicates, rejected = (int(number.replace(",", "")) for number in told.groups())
    assert came == inserted + duplicates + rejected
    assert min(inserted, duplicates, rejected) > 0
    assert f"✅ {came:,} records were written into files, {came:,} came in" in job.output()
    for figure in ("Throughput", "Latency", "Batch time", "Duplicate rate"):
        assert re.search(rf"{figure} .*\d", job.output()), figure
    (folder,) = (tmp_path / "demo").iterdir()
    letters = DeadLetters(folder / "dlq", "ecommerce_dlq").list()
    assert sum(len(letter.record["records"]) for letter in letters) == rejected
    assert str(folder.relative_to(tmp_path) / "dlq") in job.output()
    address = re.search(r"postgresql://\S+", job.output())
    assert address
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address[0], connect_timeout=5)
