"""What docs/esports.md says to type in order to read the datasets works, on datasets that were compacted."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from sinks.parquet.compaction import compact
from tests.support.documents import ROOT, blocks
from tests.support.esports_dataset import Writer

_PAGE = [block for block in blocks(ROOT / "docs" / "esports.md") if block.language in ("python", "sql")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with data/processed in it, compacted, and batches that came since."""
    writer = Writer(tmp_path / "data" / "processed")
    now = datetime.now(timezone.utc)
    writer.season(20, now - timedelta(hours=2))
    for generations in writer.generations.values():
        compact(generations)
    writer.season(10, now - timedelta(hours=1))
    return tmp_path


def _run(folder: Path, code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_reading_with_duckdb_and_pyarrow(folder: Path) -> None:
    """The block as it stands; afterwards both have seen all rows."""
    (block,) = (block for block in _PAGE if "import duckdb" in block.text)
    count = "print(pa.dataset.dataset(folder, partitioning='hive', schema=schema).count_rows())"
    with duckdb.connect() as connection:
        files = f"{(folder / 'data' / 'processed' / 'matches').resolve()}/**/*.parquet"
        row = connection.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()
    assert row
    assert int(_run(folder, f"{block.text}\n{count}")) == row[0] > 0


def test_the_newest_row_of_each_match(folder: Path) -> None:
    """The query gives one row a match, and it is the newest."""
    (block,) = (block for block in _PAGE if block.language == "sql")
    files = f"'{(folder / 'data' / 'processed' / 'matches').resolve()}/**/*.parquet'"
    newest = f"CREATE TABLE newest AS {block.text.replace('?', files)}"
    told = f"CREATE TABLE told AS FROM read_parquet({files})"
    counts = (
        "SELECT count(*), count(DISTINCT match_id), (SELECT count(DISTINCT match_id) FROM told), "
        "max(kafka_offset), (SELECT max(kafka_offset) FROM told) FROM newest"
    )
    code = (
        f"import duckdb\nc = duckdb.connect()\nc.execute({newest!r})\nc.execute({told!r})\n"
        f"print(*c.execute({counts!r}).fetchone())"
    )
    rows, keys, told_of, last, last_told = map(int, _run(folder, code).split())
    assert rows == keys == told_of > 0
    assert last == last_told
