"""A Delta table takes each batch once, on a disk and in an S3 store, whatever its writer dies of."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.fs import DeltaStorageHandler
from pydantic import SecretStr

from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from contracts.object_store import ObjectStore
from sinks.delta.compaction import compact_table
from sinks.delta.ledgers import FOLDER
from sinks.delta.table import DeltaDataset, unusable
from sinks.parquet.dataset import Ledger

_NOW = datetime(2026, 1, 29, 10, tzinfo=timezone.utc)
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("status", pa.string()),
        ("role", pa.string()),
    ]
)
_PARTITIONS = ("status", "role")
_KEY = ("topic", "id", 0)
# As Hadoop names its folder, and as it was.
_ROLES = {"a%2Fb%3D%25": "a/b=%", "käse x": "käse x", "12": "12"}


@dataclass
class Lake:
    """A place for tables; `store` gives a table as a new process would have it."""

    address: str
    options: dict[str, str]
    scratch: Path

    def store(self, columns: pa.Schema = _SCHEMA) -> DeltaDataset:
        made = DeltaDataset(self.address, self.options, columns, _PARTITIONS, self.scratch / "stag #1 50%")
        made.open()
        return made

    def table(self) -> DeltaTable:
        return DeltaTable(self.address, storage_options=self.options)

    def names(self) -> list[str]:
        return sorted(self.table().to_pyarrow_table(columns=["name"])["name"].to_pylist())

    def files(self) -> pafs.FileSystem:
        return pafs.PyFileSystem(DeltaStorageHandler(self.address, self.options))


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """An empty one."""
    if request.param == "disk":
        return Lake(str(tmp_path / "my lake 50% käse" / "t"), {}, tmp_path)
    endpoint = request.getfixturevalue("s3_endpoint")
    store = ObjectStore(endpoint, "us-east-1", SecretStr("key"), SecretStr("secret"), SecretStr(""))
    address = f"s3://lake/{uuid.uuid4().hex}/t"
    return Lake(address, store.options(address), tmp_path)


def _stage(
    store: DeltaDataset, batch_id: str, names: list[str], role: str = "12", more: bool = False
) -> Path:
    staged = store.stage(batch_id)
    rows = [{"name": name, "at": _NOW, **({"extra": 1} if more else {})} for name in names]
    if rows:
        folder = staged / "status=live" / f"role={role}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
    return staged


def _ledger(batch_id: str, first: int, after: int) -> Ledger:
    ledger = Ledger((batch_id,), outcome={"written": after - first})
    ledger.consumed.add(_KEY, first, after)
    return ledger


def _add(store: DeltaDataset, batch_id: str, first: int, names: list[str], role: str = "12") -> None:
    staged, ledger = _stage(store, batch_id, names, role), _ledger(batch_id, first, first + 10)
    store.sync(staged, ledger)
    store.publish(batch_id, staged, ledger)


def test_a_batch_is_one_commit_that_the_next_process_knows(lake: Lake) -> None:
    """With its rows, its number, and what it used up; one without rows too, as when all was refused."""
    store = lake.store()
    assert store.find("q-000000") is None
    _add(store, "q-000000", 0, ["a", "b"])
    _add(store, "q-000001", 10, [])
    _add(store, "retry-ff", 20, ["c"])
    again = lake.store()
    assert lake.names() == ["a", "b", "c"]
    assert again.consumed.as_json() == {"topic": {"id": {"0": [[0, 30]]}}} == store.consumed.as_json()
    for batch_id, written in (("q-000000", 10), ("q-000001", 10), ("retry-ff", 10)):
        for one in (store, again):
            found = one.find(batch_id)
            assert found is not None
            assert found.outcome["written"] == written
    assert again.find("q-000002") is None
    assert again.find("other-000000") is None


def test_a_batch_that_died_before_its_commit_counts_for_nothing(lake: Lake) -> None:
    """Its ledger lies there already; the next process writes the batch anew, which may be cut otherwise."""
    store = lake.store()
    store.sync(_stage(store, "q-000000", ["a"]), _ledger("q-000000", 0, 10))
    again = lake.store()
    assert list(again.staging.iterdir()) == []
    assert (again.consumed.as_json(), again.find("q-000000")) == ({}, None)
    _add(again, "q-000000", 0, ["a"])
    assert lake.names() == ["a"]


def test_of_two_processes_that_write_the_second_is_refused(lake: Lake) -> None:
    """No lock reaches the other machine, but the log does: at its next batch, and in the midst of one."""
    first, second, third = lake.store(), lake.store(), lake.store()
    _add(first, "q-000000", 0, ["a"])
    with pytest.raises(AlreadyRunningError, match=r"Another process has written .* Run only one"):
        second.find("r-000000")
    with pytest.raises(AlreadyRunningError, match=r"Another process has written"):
        _add(third, "s-000000", 0, ["a"])
    assert lake.names() == ["a"]
    _add(first, "q-000001", 10, ["b"])
    assert lake.names() == ["a", "b"]


def test_a_commit_whose_answer_was_lost_is_known(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has it although the writer got an error; the same process finds it, and goes on."""
    store = lake.store()

    def lost(*table: Any, **how: Any) -> None:
        write_deltalake(*table, **how)
        raise OSError("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr("deltalake.write_deltalake", lost)
        with pytest.raises(OSError, match="broke"):
            _add(store, "q-000000", 0, ["a"])
    assert store.find("q-000000") is not None
    assert store.find("q-000001") is None
    _add(store, "q-000001", 10, ["b"])
    assert lake.names() == ["a", "b"]


def test_compaction_changes_no_row_and_forgets_no_record(lake: Lake) -> None:
    """While a stream runs: files become one, the replaced ones go, the last batch keeps its outcome."""
    store = lake.store()
    for number in range(4):
        _add(store, f"q-{number:06d}", 10 * number, [f"n{number}"])
    found = compact_table(lake.address, lake.options, 0)
    assert found is not None
    assert (found.files_before, found.files_after, found.files_removed) == (4, 1, 4)
    assert len(lake.files().get_file_info(pafs.FileSelector(FOLDER))) == 2
    _add(store, "q-000004", 40, ["n4"])
    again = lake.store()
    assert lake.names() == [f"n{number}" for number in range(5)]
    assert again.consumed.as_json() == {"topic": {"id": {"0": [[0, 50]]}}}
    # Spark asks for the last one only; of the others it is known that they are there.
    assert {number: again.find(f"q-{number:06d}") is not None for number in range(6)} == {
        **dict.fromkeys(range(5), True), 5: False,
    }  # fmt: skip
    assert again.find("q-000004").outcome["written"] == 10  # type: ignore[union-attr]
    kept = compact_table(lake.address, lake.options, 3_600)
    assert kept is not None
    assert kept.files_removed == 0
    assert compact_table(f"{lake.address}x", lake.options, 0) is None


def test_numbers_outlive_the_log_s_old_entries(lake: Lake) -> None:
    """After a checkpoint of the log the entries before it may go, by their age."""
    store = lake.store()
    _add(store, "q-000000", 0, ["a"])
    _add(store, "retry-ff", 10, ["b"])
    table = lake.table()
    table.create_checkpoint()
    files = lake.files()
    for one in files.get_file_info(pafs.FileSelector("_delta_log")):
        if one.path.endswith(".json") and table.version() != int(one.path[-25:-5]):
            files.delete_file(one.path)
    again = lake.store()
    assert again.find("q-000000") is not None
    assert again.find("retry-ff") is not None
    assert again.consumed.as_json() == {"topic": {"id": {"0": [[0, 20]]}}}


@pytest.mark.parametrize(("folder", "role"), _ROLES.items(), ids=["escaped", "accented", "number"])
def test_other_programs_read_it(lake: Lake, folder: str, role: str) -> None:
    """polars by itself; duckdb through Arrow, because its extension would be fetched."""
    if not lake.options:
        # polars 2 does not find files below a folder whose name has other characters than a URI may have.
        lake = replace(lake, address=str(lake.scratch / "lake" / "t"))
    _add(lake.store(), "q-000000", 0, ["a"], folder)
    expected = {"name": "a", "at": _NOW, "status": "live", "role": role}
    assert pl.read_delta(lake.address, storage_options=lake.options).to_dicts() == [expected]
    rows = lake.table().to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        query = "SELECT name, status, role FROM rows WHERE status = 'live'"
        found = connection.execute(query).fetchall()
    assert (found, rows.count_rows()) == ([("a", "live", role)], 1)


def test_a_later_version_may_have_one_more_column(lake: Lake) -> None:
    """Rows before it have nulls there."""
    _add(lake.store(), "q-000000", 0, ["a"])
    later = lake.store(_SCHEMA.append(pa.field("extra", pa.int64())))
    staged = _stage(later, "q-000001", ["b"], more=True)
    later.publish("q-000001", staged, _ledger("q-000001", 10, 20))
    rows = sorted(lake.table().to_pyarrow_table(columns=["name", "extra"]).to_pylist(), key=str)
    assert rows == [{"name": "a", "extra": None}, {"name": "b", "extra": 1}]


def test_a_broken_ledger_is_named(lake: Lake) -> None:
    """It is not guessed what it held."""
    store = lake.store()
    _add(store, "q-000000", 0, ["a"])
    handler = DeltaStorageHandler(lake.address, lake.options)._handler
    stream: Any = handler.open_output_stream(f"{FOLDER}/q-000000.json", None)
    stream.write(b"{}")
    stream.close()
    with pytest.raises(ServiceError, match=r"_ledgers/q-000000.json cannot be read \(KeyError\)"):
        lake.store()


@pytest.mark.parametrize("way", ["file", "bucket"])
def test_a_place_that_cannot_be_used_is_told_with_the_remedy(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    """A file where the folder should be, a bucket that is not there; neither key is told."""
    if way == "file":
        (tmp_path / "lake").write_text("")
        lake = Lake(str(tmp_path / "lake" / "t"), {}, tmp_path)
    else:
        endpoint = request.getfixturevalue("s3_endpoint")
        store = ObjectStore(endpoint, "us-east-1", SecretStr("key-7"), SecretStr("secret-7"), SecretStr(""))
        lake = Lake("s3://no-such-bucket/t", store.options("s3://x"), tmp_path)
    with pytest.raises(ConfigurationError, match=r"The Delta table .* cannot be used: .+") as told:
        lake.store()
    text = str(told.value)
    assert ("Make the folder writable" if way == "file" else "Look at the bucket") in text
    assert "-7" not in text
    assert "\n" not in text


def test_what_delta_rs_says_is_one_plain_line() -> None:
    """It paints its messages, and lists the requests that led there."""
    error = OSError("Generic S3 error\n \x1b[31m↳\x1b[0m Error performing GET\n  \x1b[31m↳\x1b[0m refused\n")
    assert unusable("s3://lake/t", error) == (
        "The Delta table s3://lake/t cannot be used: refused. Look at the bucket, its rights and the AWS_… "
        "settings."
    )
