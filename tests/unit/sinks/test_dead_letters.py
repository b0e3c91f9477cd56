"""The dead-letter queue: nothing doubled, nothing half, private, and safe against odd ids."""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import time_machine
from bson import Binary, Code, DBRef, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import ConfigurationError, DeadLetterError, FailedWrite, Rejected
from pipelines.catalog import PIPELINES
from settings import Settings, load
from sinks.dead_letters import DamagedLetter, DeadLetters, Letter, Owner
from sinks.letter_files import as_text, id_of, letter_of
from sinks.stream_letters import records_of

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)
DOCUMENT = {
    "_id": ObjectId(),
    "userId": ObjectId(),
    "updatedAt": NOW,
    "metrics": {"steps": Decimal128("NaN")},
}
REJECTED = Rejected(DOCUMENT, "not_finite", "metrics.steps")


def _owner(pipeline: str, settings: Settings) -> Owner:
    return PIPELINES[pipeline].owner(settings)


def test_a_date_beyond_the_years_can_be_read_again(tmp_path: Path) -> None:
    """It may be the very reason of the letter; `dlq list` must not stumble over it."""
    letters = DeadLetters(tmp_path / "dlq")
    letters.store([Rejected({**DOCUMENT, "date": DatetimeMS(2**61)}, "out_of_range_date")], "batch_1", NOW)
    assert letters.list()[0].record["date"] == DatetimeMS(2**61)


def test_a_letter_keeps_reason_time_batch_and_the_full_record(tmp_path: Path) -> None:
    """What is stored can be read back with its types."""
    letters = DeadLetters(tmp_path / "dlq")
    assert letters.store([REJECTED], "batch_1", NOW) == 1
    (letter,) = letters.list()
    assert (letter.reason, letter.field, letter.batch_id, letter.time) == (
        "not_finite",
        "metrics.steps",
        "batch_1",
        NOW,
    )
    assert letter.record["_id"] == DOCUMENT["_id"]
    assert isinstance(letter.record["metrics"]["steps"], Decimal128)
    (path,) = (tmp_path / "dlq").iterdir()
    assert path.name.startswith("analytics_dlq_20261123_100000_")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_repeated_batch_stores_no_letter_twice(tmp_path: Path) -> None:
    """Also with a fresh object, as after a crash; another reason is another letter."""
    assert DeadLetters(tmp_path).store([REJECTED, REJECTED], "batch_1", NOW) == 1
    assert DeadLetters(tmp_path).store([REJECTED], "batch_2", NOW) == 0
    assert DeadLetters(tmp_path).store([Rejected(DOCUMENT, "out_of_range", "metrics.steps")], "b", NOW) == 1


def test_retries_are_counted_and_park_the_letter(tmp_path: Path) -> None:
    """After `max_attempts` automatic retries leave it alone."""
    letters = DeadLetters(tmp_path, max_attempts=2)
    letters.store([REJECTED], "batch_1", NOW)
    (letter,) = letters.list()
    assert not letters.record_attempt(letter, NOW).parked
    assert letters.record_attempt(letter, NOW).parked
    assert letters.list()[0].attempts == 2
    letters.delete(letter)
    assert letters.list() == []


def test_a_folder_that_cannot_be_written_fails_the_batch(tmp_path: Path) -> None:
    """Nothing is dropped: the error names the folder and the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLetterError, match="DLQ_DIRECTORY"):
        DeadLetters(tmp_path / "file" / "dlq").store([REJECTED], "batch_1", NOW)


def test_a_huge_or_unencodable_record_is_still_a_letter(tmp_path: Path) -> None:
    """Over 1 MB: hash and pointer; without a JSON form: its text."""
    huge = {"_id": 1, "updatedAt": NOW, "text": "x" * 2_000_000}
    odd = {"userId": ObjectId(), "metricType": "steps", "timeRange": "7day", "value": object()}
    letters = DeadLetters(tmp_path)
    assert (
        letters.store([Rejected(huge, "wrong_type_date"), FailedWrite(odd, "cannot be encoded")], "b", NOW)
        == 2
    )
    assert all(path.stat().st_size < 5_000 for path in tmp_path.iterdir())
    assert len(letters.list()) == 2


def test_a_field_that_looks_like_a_type_of_json_stops_no_letter(tmp_path: Path) -> None:
    """`{"$oid": "x"}` may be stored by anyone; read as Extended JSON it made the whole queue unreadable."""
    odd = {"_id": ObjectId(), "updatedAt": NOW, "userId": {"$oid": "x"}, "metrics": [{"$date": "never"}]}
    letters = DeadLetters(tmp_path)
    letters.store([Rejected(odd, "wrong_type_userId"), REJECTED], "b", NOW)
    found = {letter.record["_id"]: letter.record for letter in letters.list()}
    assert len(found) == 2
    assert found[odd["_id"]] == {"_id": odd["_id"], "updatedAt": NOW, "text": repr(odd)}


_HEX = "ab" * 12
_LIKE_A_TYPE: tuple[Any, ...] = (
    *(DBRef("c", value) for value in ({"$oid": 1}, {"$oid": _HEX}, ObjectId())),
    *(Code("x", scope) for scope in ({"$oid": "abc"}, {"$oid": _HEX}, {"a": 1})),
    *(DBRef("c", 1, x={"$date": 1}), {"$oid": _HEX}, [[{"$a": 1}]]),
    *({"$ref": "c", "$id": 1}, Regex("a(", "xu"), float("nan"), Decimal128("sNaN"), DatetimeMS(2**61)),
    *(Binary(b"1", 4), MinKey(), Timestamp(2**32 - 1, 1), "a\0b", {"": 1}, "abc\ufffd", object(), Int64(5)),
)  # fmt: skip


@pytest.mark.parametrize("value", _LIKE_A_TYPE, ids=range(len(_LIKE_A_TYPE)))
@pytest.mark.parametrize("place", ["_id", "userId", "updatedAt", "extra"])
def test_what_is_counted_is_listed(tmp_path: Path, place: str, value: Any) -> None:
    """A record comes back as it is, or as text; never as another one."""
    letters = DeadLetters(tmp_path)
    record = {**DOCUMENT, place: value}
    letters.store([Rejected(record, "odd")], "b", NOW)
    (letter,) = letters.list()
    assert letters.count() == 1
    assert letter.record.get("text") == repr(record) or repr(letter.record) == repr(record)


NAMES = (
    "{} (copy).json",
    "{}.copy.json",
    "copy of it.json",
    "20261399_999999_abcdef.json",
    "00000000_0_a.json",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("time", [NOW, datetime(2020, 1, 1, tzinfo=timezone.utc)])
def test_a_letter_is_the_file_it_was_read_from(tmp_path: Path, name: str, time: datetime) -> None:
    """A person copied it or edited its time: each file is counted, tried and removed by itself."""
    letters = DeadLetters(tmp_path)
    letters.store([REJECTED], "b", NOW)
    (path,) = tmp_path.iterdir()
    copy = tmp_path / ("analytics_dlq_" + name.format(path.stem.removeprefix("analytics_dlq_")))
    copy.write_text(path.read_text().replace("2026-11-23", f"{time:%Y-%m-%d}"))
    assert letters.waiting()[0] == letters.count() == len(letters.list()) == 2
    assert letters.waiting()[1] == NOW
    for letter in letters.list():
        letters.record_attempt(letter, NOW)
    assert [letter.attempts for letter in letters.list()] == [1, 1]
    path.unlink()
    (left,) = letters.list()
    assert letters.named(left.id[:12]) == [left]
    letters.delete(left)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError, match="gone"):
        letters.record_attempt(left, NOW)


_JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 2**80, 1.5, "", "x", "2026-01-01", "2026-01-01T00:00:00Z", "ab" * 8])
    | st.sampled_from(["$date", "$oid", "$numberDecimal", "$numberLong", "$timestamp", "$binary"]).flatmap(
        lambda name: st.sampled_from(["x", "9" * 30, {"$numberLong": "9" * 20}, -1]).map(
            lambda value: {name: value}
        )
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
_EDITED = st.dictionaries(
    st.sampled_from([each.name for each in fields(Letter)] + ["foreign"]), _JSON, min_size=1, max_size=2
)


@given(edited=_EDITED | st.sampled_from(['{"record": ' + "[" * 99_999, "[]", "7", "null", "\0", "\ud800"]))
def test_no_file_hides_the_letters_beside_it(
    tmp_path_factory: pytest.TempPathFactory, edited: dict[str, Any] | str
) -> None:
    """Somebody edited it, or it is no letter: the others are listed and tried, and it is too, or is none."""
    folder = tmp_path_factory.mktemp("dlq")
    queue = DeadLetters(folder, owner=HERE)
    queue.store([REJECTED], "b", NOW)
    [good] = queue.list()
    [path] = folder.glob("*.json")
    text = edited if isinstance(edited, str) else json.dumps({**json.loads(path.read_text()), **edited})
    odd = path.with_name(f"analytics_dlq_20200101_000000_{HERE.tag}_{'0' * 12}.json")
    odd.write_text(text, encoding="utf-8", errors="surrogatepass")
    found = queue.list()
    assert good in found
    assert queue.newest(9)
    assert queue.others() == {}
    assert queue.named(good.id) == [good]
    for letter in found:
        assert letter.id == good.id or letter.time.tzinfo is not None
        with suppress(ConfigurationError):
            queue.record_attempt(letter, NOW)
        assert records_of(letter.record, letter.reason) == []


@pytest.mark.parametrize("letter_id", ["../../etc/passwd", "*", "", "abc"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, letter_id: str) -> None:
    """No path, no pattern, nothing ambiguous."""
    with pytest.raises(ConfigurationError):
        DeadLetters(tmp_path).named(letter_id)


def test_foreign_and_linked_files_are_passed_over_and_damaged_ones_told(tmp_path: Path) -> None:
    """The queue is a folder that people look into. What is counted is told, and can be removed by name."""
    letters = DeadLetters(tmp_path)
    name = "analytics_dlq_20260101_000000_broken.json"
    (tmp_path / name).write_text("{")
    (tmp_path / "analytics_dlq_20260101_000000_folder.json").mkdir()
    (tmp_path / "analytics_dlq_20260101_000000_link.json").symlink_to("/etc/hostname")
    (tmp_path / "notes.txt").write_text("mine")
    assert letters.list() == []
    damaged = DamagedLetter(tmp_path / name, "it holds no letter")
    assert list(letters.read()) == [damaged]
    assert letters.count() == 1
    assert letters.named(name) == [damaged]
    letters.delete(*letters.named(name))
    assert letters.count() == 0


def test_a_letter_and_its_copies_have_one_name(tmp_path: Path) -> None:
    """Also one that was cut short; another letter whose id begins alike is not among them."""
    letters = DeadLetters(tmp_path)
    letters.store([REJECTED, Rejected(DOCUMENT, "odd")], "b", NOW)
    (first, second) = letters.list()
    assert first.path
    for name in ("1.json", f"{first.id[:12]}.json"):
        shutil.copy(first.path, first.path.with_name(f"analytics_dlq_{name}"))
    (tmp_path / f"analytics_dlq_20200101_000000_{first.id[:12]}.json").write_text('{"id":')
    found = letters.named(first.id[:8])
    assert sorted(type(each).__name__ for each in found) == ["DamagedLetter", *["Letter"] * 3]
    letters.delete(*found)
    assert letters.list() == [second]


@pytest.mark.parametrize("begins_alike", [True, False])
def test_a_name_of_several_letters_or_none_is_refused(tmp_path: Path, begins_alike: bool) -> None:
    """The error names the ids, and the command with its pipeline."""
    letters = DeadLetters(tmp_path, listed_by="stock dlq list")
    letters.store([REJECTED], "b", NOW)
    (letter,) = letters.list()
    assert letter.path
    other = f"{letter.id[:8]}{'0' * 56}"
    if begins_alike:
        text = letter.path.read_text().replace(letter.id, other)
        (tmp_path / f"analytics_dlq_{other[:12]}.json").write_text(text)
    found = f"2 letters .*{other[:16]}" if begins_alike else "0 letters "
    with pytest.raises(ConfigurationError, match=f"{found}.*pulse stock dlq list"):
        letters.named(letter.id[:8] if begins_alike else "0" * 8)


def test_a_document_that_is_refused_again_adds_no_letter_and_is_counted(tmp_path: Path) -> None:
    """A phone sends its bad days again: one letter for a document and reason, with both times."""
    letters = DeadLetters(tmp_path, owner=HERE)
    assert letters.store([REJECTED], "batch_1", NOW) == 1
    later = [NOW + timedelta(days=day) for day in range(1, 4)]
    for moment in later:
        document = {**DOCUMENT, "updatedAt": moment, "metrics": {"steps": str(moment)}}
        # The second time it is the batch that comes again.
        for _ in range(2):
            assert letters.store([Rejected(document, "not_finite", "metrics.steps")], "later", moment) == 0
    (letter,) = letters.list()
    assert (letter.time, letter.last_seen, letter.times) == (NOW, later[-1], 4)
    assert letter.record["metrics"] == {"steps": str(later[-1])}
    assert letters.store([Rejected(DOCUMENT, "odd"), Rejected({**DOCUMENT, "_id": 1}, "odd")], "b", NOW) == 2


def _as_before(folder: Path, version: datetime, stored: datetime, owner: Owner | None) -> None:
    """Lay the letter of REJECTED as versions before this one did: its id has `updatedAt`."""
    record = Rejected({**DOCUMENT, "updatedAt": version}, REJECTED.reason, REJECTED.field)
    letter = letter_of(record, "batch_0", stored, 10**6, owner)
    fields = json.loads(as_text(replace(letter, id=id_of(record, owner, version))))
    del fields["times"], fields["last_seen"]
    tag = f"{owner.tag}_" if owner else ""
    name = f"analytics_dlq_{stored:%Y%m%d_%H%M%S}_{tag}{fields['id'][:12]}.json"
    (folder / name).write_text(json.dumps(fields))


@pytest.mark.parametrize("owned", [True, False])
def test_letters_of_versions_of_a_document_become_one_with_its_next_version(
    tmp_path: Path, owned: bool
) -> None:
    """Letters of an earlier version keep working, and the same batch again stores none beside them."""
    before = [NOW - timedelta(days=day) for day in (3, 2, 1)]
    for moment in before:
        _as_before(tmp_path, moment, moment, HERE if owned else None)
    letters = DeadLetters(tmp_path, owner=HERE)
    assert len(letters.list()) == 3
    last = Rejected({**DOCUMENT, "updatedAt": before[-1]}, REJECTED.reason, REJECTED.field)
    assert letters.known([last]) == [True]
    assert letters.store([last], "batch_1", NOW) == 0
    assert letters.store([REJECTED], "batch_1", NOW) == 1
    if owned:
        (letter,) = letters.list()
        assert (letter.time, letter.last_seen, letter.times) == (before[0], NOW, 4)
    else:
        # Nobody knows whose they are.
        assert letters.count() == 4


def test_no_use_of_a_queue_lists_it_again_unless_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five thousand letters cost a tenth of a second a batch; and each letter's retry read all others."""
    letters = DeadLetters(tmp_path)
    letters.store([Rejected({"_id": number, "updatedAt": NOW}, "odd") for number in range(40)], "b", NOW)
    os.utime(tmp_path, (0, 0))
    listings, reads = 0, 0
    scandir, read_bytes = os.scandir, Path.read_bytes

    def list_(path: Any) -> Any:
        nonlocal listings
        listings += 1
        return scandir(path)

    def read(path: Path) -> bytes:
        nonlocal reads
        reads += 1
        return read_bytes(path)

    monkeypatch.setattr(os, "scandir", list_)
    monkeypatch.setattr(Path, "read_bytes", read)
    for _ in range(5):
        assert letters.waiting() == (40, NOW)
        assert letters.known([Rejected({"_id": 1, "updatedAt": NOW}, "odd")]) == [True]
    assert (listings, reads) == (1, 0)
    found = letters.list()
    letters.count_attempts(found, NOW)
    letters.delete(*found[:20])
    assert (listings, reads) == (1, 80)
    os.utime(tmp_path, (1, 1))
    assert letters.count() == 20
    assert listings == 2
    assert letters.purge(lambda: True) == 0
    assert letters.purge() == 20
    assert reads == 80


def test_what_another_process_changes_is_seen(tmp_path: Path) -> None:
    """Within the same step of the file system's clock, too: at once, and by a look after that step."""
    here, there = _queues(tmp_path, HERE, HERE)
    for number in range(3):
        assert here.count() == number
        moment = tmp_path.stat().st_mtime_ns
        there.store([Rejected({"_id": number, "updatedAt": NOW}, "odd")], "b", NOW)
        os.utime(tmp_path, ns=(moment, moment))
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(minutes=1)):
        assert here.count() == 3
    there.purge()
    assert here.count() == 0


@pytest.mark.parametrize("use", [
    lambda queue: queue.count(), lambda queue: queue.waiting(), lambda queue: queue.list(),
    lambda queue: queue.known([REJECTED]), lambda queue: queue.is_there(), lambda queue: queue.purge(),
])  # fmt: skip
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, use: Callable[[DeadLetters], object]) -> None:
    """It is not empty."""
    (tmp_path / "dlq").write_text("a file")
    with pytest.raises(DeadLetterError, match=rf"{tmp_path}/dlq.*DLQ_DIRECTORY"):
        use(DeadLetters(tmp_path / "dlq"))


HERE, THERE = Owner.of("health.analytics", ["a:27017"]), Owner.of("other.analytics", ["a:27017"])
MOVED = Owner.of("health.analytics", ["b:27017"])


def _queues(folder: Path, *owners: Owner | None) -> list[DeadLetters]:
    return [DeadLetters(folder, max_attempts=2, owner=owner) for owner in owners]


def test_two_deployments_in_one_folder_have_a_queue_each(tmp_path: Path) -> None:
    """The same bad document lies in both databases, and neither takes the other's letter for its own."""
    here, there = _queues(tmp_path, HERE, THERE)
    assert (here.store([REJECTED], "b", NOW), there.store([REJECTED], "b", NOW)) == (1, 1)
    assert (here.store([REJECTED], "c", NOW), there.store([REJECTED], "c", NOW)) == (0, 0)
    for queue in (here, there):
        assert queue.count() == 1
        assert queue.waiting() == (1, NOW)
        assert queue.known([REJECTED]) == [True]
        (letter,) = queue.list()
        assert queue.owns(letter)
        assert [one.id for one in queue.newest(9)] == [letter.id]
    assert here.others() == {"other.analytics": 1}
    here.delete(here.list()[0])
    assert here.known([REJECTED]) == [False]
    assert there.count() == 1


def test_a_letter_of_another_database_can_be_shown_and_nothing_else(tmp_path: Path) -> None:
    """The error names both; a server that was moved or renamed gives its letters to who names them."""
    here, there, moved = _queues(tmp_path, HERE, THERE, MOVED)
    here.store([REJECTED], "b", NOW)
    (letter,) = here.list()
    assert there.list() == moved.list() == []
    assert there.named(letter.id, of_anybody=True) == [letter]
    with pytest.raises(ConfigurationError, match=r"belongs to health\.analytics.*other\.analytics"):
        there.named(letter.id)
    assert moved.named(letter.id) == [letter]
    assert not moved.owns(letter)
    tried = moved.record_attempt(letter, NOW)
    assert here.list() == [tried]


def test_letters_of_earlier_versions_stay_in_the_queue(tmp_path: Path) -> None:
    """They have no owner: they are listed, counted and not stored again, but not known to be one's own."""
    before, here = _queues(tmp_path, None, HERE)
    before.store([REJECTED], "b", NOW)
    assert here.store([REJECTED], "b", NOW) == 0
    (letter,) = here.list()
    assert letter.owner is None
    assert not here.owns(letter)
    assert here.known([REJECTED]) == [True]
    assert here.others() == {}
    here.record_attempt(letter, NOW)
    assert here.list()[0].attempts == 1
    here.delete(letter)
    assert here.count() == 0


def test_a_letter_tells_no_address(tmp_path: Path) -> None:
    """Names of database and collection, and a hash."""
    uri = "mongodb://app:hunter2@db1.internal.example,db2.internal.example:27018/?replicaSet=rs"
    chosen = load(
        env_file=None, mongo_uri=uri, postgres_dsn="postgresql://app:hunter2@db1.internal.example/shop"
    )
    for pipeline in ("health", "stock", "ecommerce"):
        letters = DeadLetters(tmp_path, f"{pipeline}_dlq", owner=_owner(pipeline, chosen))
        letters.store([REJECTED], "b", NOW)
    for path in tmp_path.iterdir():
        text = path.name + path.read_text()
        assert "hunter2" not in text
        assert "internal" not in text


@settings(max_examples=20)
@given(
    hosts=st.lists(
        st.sampled_from(["db1", "DB2.example", "db3:27018", "[::1]:5", "localhost"]), min_size=1, unique=True
    ),
    order=st.randoms(),
    credentials=st.sampled_from(["", "app:secret@", "other:p%40ss@"]),
    options=st.sampled_from(
        ["", "/", "/?replicaSet=rs0", "/admin?tls=true", "?w=majority", "/?appName=a@b", "?appName=/x@b/c"]
    ),
)
def test_one_server_written_differently_is_one_owner(
    hosts: list[str], order: random.Random, credentials: str, options: str
) -> None:
    """User, password, options, the order of hosts, capitals and the usual port say nothing of the place."""
    written = [host.lower() if ":" in host else f"{host.upper()}:27017" for host in hosts]
    order.shuffle(written)
    plain = load(env_file=None, mongo_uri=f"mongodb://{','.join(hosts)}")
    other = load(env_file=None, mongo_uri=f"mongodb://{credentials}{','.join(written)}{options}")
    elsewhere = load(
        env_file=None, mongo_uri=f"mongodb://{credentials}{','.join([*written, 'db9'])}{options}"
    )
    for pipeline in ("health", "stock"):
        assert _owner(pipeline, plain) == _owner(pipeline, other)
        assert _owner(pipeline, plain) != _owner(pipeline, elsewhere)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql:///ecommerce", "postgresql://127.0.0.1/ecommerce", "postgresql://app:x@LOCALHOST:5432/ecommerce",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/ecommerce", "postgresql://[::1]/ecommerce?sslmode=prefer",
    ],
)  # fmt: skip
def test_postgresql_here_is_one_owner_however_it_is_reached(dsn: str) -> None:
    """A socket, a name or an address of this machine lead to the same server."""
    there = load(env_file=None, postgres_dsn="postgresql://localhost/ecommerce")
    assert _owner("ecommerce", load(env_file=None, postgres_dsn=dsn)) == PIPELINES["ecommerce"].owner(there)


@pytest.mark.parametrize(
    ("pipeline", "changed"),
    [
        ("health", {"mongo_db_name": "b"}), ("health", {"analytics_collection": "b"}),
        ("health", {"mongo_uri": "mongodb://b"}), ("stock", {"stock_db_name": "b"}),
        ("esports", {"esports_output_path": "b"}), ("ecommerce", {"postgres_dsn": "postgresql://localhost/b"}),
        ("ecommerce", {"postgres_dsn": "postgresql://localhost/ecommerce?options=-csearch_path%3Db"}),
        ("ecommerce", {"postgres_dsn": "postgresql://localhost:5433/ecommerce"}),
    ],
)  # fmt: skip
def test_another_database_or_folder_is_another_owner(pipeline: str, changed: dict[str, Any]) -> None:
    """Where the results lie is what the letters belong to, in each pipeline."""
    assert _owner(pipeline, load(env_file=None)) == _owner(pipeline, load(env_file=None))
    assert _owner(pipeline, load(env_file=None)) != _owner(pipeline, load(env_file=None, **changed))


def test_a_letter_is_synced_renamed_and_its_folder_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the cursor moves on: a power cut must not lose what was set aside."""
    calls: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("sync folder" if is_folder else "sync file")
        synced(descriptor)

    def note_replace(source: Path, target: Path) -> Path:
        assert source.read_text().endswith("}\n")
        calls.append("rename")
        return replaced(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    other = Rejected(DOCUMENT, "out_of_range", "metrics.steps")
    DeadLetters(tmp_path / "dlq").store([REJECTED, other], "b", NOW)
    assert calls == ["sync file", "rename", "sync file", "rename", "sync folder"]


def test_every_queue_of_the_product_has_an_owner() -> None:
    """One without would store letters that nobody can be sure of, and take others' for its own."""
    root = Path(__file__).parents[3]
    folders = ("pipelines", "commands", "sinks", "dashboard")
    files = [file for folder in folders for file in (root / folder).rglob("*.py")]
    calls = [
        (file.name, node)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DeadLetters"
    ]
    assert len(calls) >= 2
    for name, call in calls:
        assert any(keyword.arg == "owner" for keyword in call.keywords), name
