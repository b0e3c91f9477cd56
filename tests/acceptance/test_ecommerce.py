"""`pulse ecommerce` as a process: its demo."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from sinks.dead_letters import DeadLetters
from tests.support.job import Job
from tests.support.missing import missing
from tests.support.shell import in_a_shell


class _Installed(Job):
    """Starts the command of the given name."""

    def command(self, script: str) -> list[str]:
        """A command is its own program."""
        return [script]


def test_the_demo_shows_the_real_stream_and_ends_by_itself(tmp_path: Path, installed_pulse: Path) -> None:
    """On a PostgreSQL of its own, which is gone afterwards; every record written is accounted for.

    It is the program that pip installed: what Spark's workers and the server need is in the wheel, and the
    command that it shows at its end runs as it is shown.
    """
    job = _Installed(tmp_path, {"COLUMNS": "200"}, own_java=True)
    code = job.run("ecommerce", "demo", script=str(installed_pulse))
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
    (shown,) = re.findall(r"^ +(DLQ_DIRECTORY=.*)$", job.output(), re.MULTILINE)
    assert letters[0].reason in in_a_shell(shown, tmp_path)
    address = re.search(r"🐘 (postgresql://\S+)", job.output())
    assert address
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address[1], connect_timeout=5)
