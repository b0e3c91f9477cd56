"""`main.py retention`: what is older than the settings say goes, and nothing else; what goes is told."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from bson import ObjectId
from typer.testing import CliRunner, Result

from contracts import Rejected
from main import app
from pipelines.catalog import PIPELINES
from settings import load
from sinks.parquet.dataset import ParquetDataset, read_ledger
from sinks.stock.archive import DATASET, StockArchive

NOW = datetime.now(timezone.utc).replace(microsecond=0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["retention", *arguments], catch_exceptions=False)


def _rows(*arguments: str) -> dict[tuple[str, str], int]:
    done = _run("--json", *arguments)
    rows = json.loads(done.stdout)["removed"]
    return {(row["pipeline"], row["setting"]): row.get("count", -1) for row in rows}


def _logs(folder: Path) -> None:
    (folder / "logs").mkdir()
    for days in (0, 29, 31, 400):
        for prefix in ("", "stock_"):
            (folder / "logs" / f"{prefix}batch_logs_{_ago(days):%Y%m%d}.jsonl").touch()
            (folder / "logs" / f"{prefix}batch_history_{_ago(days):%Y%m%d_%H%M%S}_2.json").touch()
    for other in ("notes_20200101.txt", "my_batch_logs_20200101.jsonl", "batch_logs_20209999.jsonl"):
        (folder / "logs" / other).touch()


def test_by_default_everything_is_kept_for_ever(folder: Path) -> None:
    """And the settings are named; no server is asked."""
    _logs(folder)
    done = _run()
    assert done.exit_code == 0
    assert "LOG_KEEP_DAYS, DLQ_KEEP_DAYS, ECOMMERCE_KEEP_DAYS, STOCK_COLD_KEEP_DAYS" in done.stdout
    assert len(list((folder / "logs").iterdir())) == 19
    assert _rows() == {}


def test_old_logs_go_by_the_day_in_their_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the pipeline that is named, or of all; files of others stay; a dry run only tells."""
    monkeypatch.setenv("LOG_KEEP_DAYS", "30")
    _logs(folder)
    dry = _run("--dry-run", "--pipeline", "stock")
    assert "Would remove 4 files of the batch log of stock" in dry.stderr
    assert "(LOG_KEEP_DAYS=30)" in dry.stderr
    assert len(list((folder / "logs").iterdir())) == 19
    assert "Removed 4 files of the batch log of stock from before" in _run("--pipeline", "stock").stderr
    assert len(list((folder / "logs").iterdir())) == 15
    assert _rows() == {("health", "LOG_KEEP_DAYS"): 4} | {
        (name, "LOG_KEEP_DAYS"): 0 for name in PIPELINES if name != "health"
    }
    assert len(list((folder / "logs").iterdir())) == 11


def test_old_acts_go_by_a_setting_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of no single pipeline, and whoever audits may want them longer than the logs."""
    monkeypatch.setenv("LOG_KEEP_DAYS", "1")
    days = (0, 29, 31, 400)
    names = [f"acts_{_ago(day):%Y%m%d}.jsonl" for day in days]
    (folder / "logs").mkdir()
    for name in [*names, "acts_20209999.jsonl", "my_acts_20200101.jsonl"]:
        (folder / "logs" / name).touch()
    assert ("all", "ACTS_KEEP_DAYS") not in _rows()
    assert len(list((folder / "logs").iterdir())) == 6
    monkeypatch.setenv("ACTS_KEEP_DAYS", "30")
    assert ("all", "ACTS_KEEP_DAYS") not in _rows("--pipeline", "health")
    assert _rows("--dry-run")["all", "ACTS_KEEP_DAYS"] == 2
    assert _rows()["all", "ACTS_KEEP_DAYS"] == 2
    left = {path.name for path in (folder / "logs").iterdir()}
    assert left == {*names[:2], "acts_20209999.jsonl", "my_acts_20200101.jsonl"}


def test_a_letter_goes_when_its_record_was_refused_last_so_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was refused again stays; a damaged one goes by the time in its name."""
    monkeypatch.setenv("DLQ_KEEP_DAYS", "30")
    letters = PIPELINES["health"].open_letters(load(env_file=None))
    old, again, new = ({"_id": ObjectId(), "userId": ObjectId(), "updatedAt": _ago(40)} for _ in range(3))
    letters.store([Rejected(old, "not_finite"), Rejected(again, "not_finite")], "batch_1", _ago(40))
    letters.store([Rejected({**again, "updatedAt": _ago(3)}, "not_finite")], "batch_2", _ago(3))
    letters.store([Rejected(new, "not_finite")], "batch_3", _ago(3))
    damaged = letters.directory / f"analytics_dlq_{_ago(50):%Y%m%d_%H%M%S}_00000000_0123456789abcdef.json"
    own = next(letters.directory.iterdir()).name.split("_")[4]
    damaged = damaged.with_name(damaged.name.replace("00000000", own))
    damaged.write_text("{")
    assert _rows("--dry-run")["health", "DLQ_KEEP_DAYS"] == 2
    assert letters.count() == 4
    assert _rows()["health", "DLQ_KEEP_DAYS"] == 2
    assert {letter.record["_id"] for letter in letters.list()} == {again["_id"], new["_id"]}


def test_old_rows_leave_the_cold_store_and_its_ledgers_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no offset comes in again; a row without a time stays, and who reads sees one state."""
    monkeypatch.setenv("STOCK_COLD_KEEP_DAYS", "30")
    dataset = ParquetDataset(folder / "data" / "stock", DATASET)
    dataset.open()
    times: list[list[datetime | None]] = [[_ago(50), _ago(40)], [_ago(31), None, _ago(2)], [_ago(1)]]
    for number, some in enumerate(times):
        rows = [_record(number, offset, time) for offset, time in enumerate(some)]
        StockArchive(dataset).store(f"q-{number}", rows, {"t": "id"})
    stream = ParquetDataset(folder / "data" / "stock", DATASET)
    assert _rows("--dry-run", "--pipeline", "stock")["stock", "STOCK_COLD_KEEP_DAYS"] == 3
    assert _read(dataset).num_rows == 6
    assert _rows("--pipeline", "stock")["stock", "STOCK_COLD_KEEP_DAYS"] == 3
    assert sorted(map(str, _read(dataset)["kafka_timestamp"].to_pylist())) == sorted(
        map(str, [None, _ago(2), _ago(1)])
    )
    stream.open()
    assert [read_ledger(batch).batches for batch in stream.batches()] == [("q-0",), ("q-1",), ("q-2",)]
    assert stream.consumed.within(("t", "id", 0), 0, 2) == dataset.consumed.within(("t", "id", 0), 0, 2)
    StockArchive(stream).store("again", [_record(0, 0, _ago(50))], {"t": "id"})
    assert _read(dataset).num_rows == 3
    assert _rows("--pipeline", "stock")["stock", "STOCK_COLD_KEEP_DAYS"] == 0


def _record(partition: int, offset: int, time: datetime | None) -> dict[str, object]:
    values = {"topic": "t", "partition": partition, "offset": offset, "timestamp": time}
    return {**values, "key": b"k", "value": b"v", "kind": "sales"}


def _read(dataset: ParquetDataset) -> pa.Table:
    return ds.dataset(dataset.folder.resolve(), format="parquet").to_table()


def test_a_server_that_is_away_is_told_and_the_rest_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, for cron's mail."""
    monkeypatch.setenv("LOG_KEEP_DAYS", "30")
    monkeypatch.setenv("ECOMMERCE_KEEP_DAYS", "30")
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://app:hunter2@127.0.0.1:9/shop")
    _logs(folder)
    done = _run()
    assert done.exit_code == 1
    assert "Events of ecommerce" in done.stderr
    assert "Start it or correct POSTGRES_DSN" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Removed 4 files of the batch log of stock" in done.stderr


def _half_written(path: Path, age: float) -> None:
    path.write_text('{"steps": -4242')
    os.utime(path, (_ago(age).timestamp(), _ago(age).timestamp()))


def test_no_letter_keeps_a_value_longer_than_it_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting, refused again, tried again, damaged, half written: by when it was refused last."""
    monkeypatch.setenv("DLQ_KEEP_DAYS", "30")
    letters = PIPELINES["health"].open_letters(load())

    def refuse(record: dict[str, object], age: float) -> None:
        version = {**record, "updatedAt": _ago(age), "metrics": {"steps": -4242}}
        letters.store([Rejected(version, "out_of_range", "metrics.steps")], "b", _ago(age))

    for age in (1, 31, 60, 90):
        record: dict[str, object] = {"_id": ObjectId(), "userId": ObjectId()}
        refuse(record, age)
        if age == 60:
            letters.record_attempt(letters.list()[0], NOW)
        if age == 90:
            refuse(record, 2)
    dlq = folder / "dlq"
    _half_written(dlq / f"analytics_dlq_{_ago(40):%Y%m%d_%H%M%S}_0123456789abcdef.json", 40)
    _half_written(dlq / ".analytics_dlq_old.json.1.tmp", 40)
    _half_written(dlq / ".analytics_dlq_new.json.1.tmp", 1)
    assert _rows("--pipeline", "health", "--dry-run")["health", "DLQ_KEEP_DAYS"] == 4
    assert _rows("--pipeline", "health")["health", "DLQ_KEEP_DAYS"] == 4
    kept = [letter.last_seen or letter.time for letter in letters.list()]
    assert sorted(kept) == [_ago(2), _ago(1)]
    assert len([*dlq.iterdir()]) == 3
