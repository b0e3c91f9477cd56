"""CSV files into a real PostgreSQL: the seed's test cases, and no record is lost, doubled or forgotten."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipelines.ecommerce import batch
from pipelines.engine.stop_flag import StopFlag
from sinks.ecommerce.staging import PIECE_ROWS, Staged, stage
from sources.ecommerce.csv_files import files_of_batch
from tests.support.compiled import assert_later_batches_need_no_code
from tests.support.shop import HEADER, Shop, as_csv, event, events


@pytest.fixture
def shop(tmp_path: Path, events_dsn: str, spark: SparkSession) -> Shop:
    """A shop with an empty folder and database."""
    return Shop(tmp_path, events_dsn, spark)


def test_files_are_read_and_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The seed's second test case; every column arrives as it was, the time of insertion with it."""
    sent = events(200)
    shop.put(sent)
    assert shop.run()
    assert shop.ids() == sorted(one["event_id"] for one in sent)
    assert "Batch 0: Processed 200 records, inserted 200 in" in capsys.readouterr().out
    one = next(one for one in sent if one["event_type"] == "purchase")
    columns = "user_id, product_id, product_name, product_category, event_type, price::text"
    found = shop.query(f"SELECT {columns} FROM user_events WHERE event_id = '{one['event_id']}'")
    names = ("user_id", "product_id", "product_name", "product_category", "event_type", "price")
    assert found == [tuple(one[name] for name in names)]
    late = "ingested_at < event_timestamp OR ingested_at > now()"
    assert shop.query(f"SELECT count(*) FROM user_events WHERE {late}") == [(0,)]
    shop.assert_accounted(200)


def test_bad_data_is_filtered_out(shop: Shop) -> None:
    """The seed's third test case; what is refused is a dead letter with file, line, rule and text."""
    good = event()
    rows = [
        event(event_type="click"),
        good,
        event(event_type="purchase", price="-50.00"),
        event(event_timestamp="2099-01-01"),
    ]
    shop.put(rows, "mixed.csv")
    assert shop.run()
    assert shop.ids() == [good["event_id"]]
    lines = as_csv(rows).splitlines(keepends=True)
    assert shop.dead_lines() == {
        ("mixed.csv", 2): ("invalid_event_type", lines[1]),
        ("mixed.csv", 4): ("negative_price", lines[3]),
        ("mixed.csv", 5): ("future_timestamp", lines[4]),
    }
    shop.assert_accounted(4)


def test_an_event_that_is_there_already_is_a_duplicate(shop: Shop) -> None:
    """The seed's fourth test case: one row, the first, and no error; however its values are written."""
    one = event(event_type="purchase", price="12.30", event_timestamp="2026-03-01T11:59:59.123456Z")
    shop.put([one], "a.csv")
    assert shop.run()
    forms = {"event_id": one["event_id"].upper(), "price": "12.3", "event_type": " Purchase"}
    again = {**one, **forms, "event_timestamp": "2026-03-01 13:59:59.1234569+02:00"}
    shop.put([one, again, event()], "b.csv")
    assert shop.run()
    assert (shop.total("records_written"), shop.total("duplicates"), shop.letters()) == (2, 2, [])
    assert one["event_id"] in shop.ids()


def test_what_an_earlier_version_trimmed_less_is_the_same_event(shop: Shop) -> None:
    """Its file, read again, is no conflict; another name still is."""
    one = event(product_name="\u00a0Tea\u3000")
    shop.put([one], "a.csv")
    assert shop.run()
    assert shop.query("UPDATE user_events SET product_name = E'\\u00a0Tea\\u3000' RETURNING user_id")
    shop.put([one, {**one, "product_name": "T\u00a0ea"}], "b.csv")
    assert shop.run()
    assert (shop.total("duplicates"), {reason for reason, _ in shop.dead_lines().values()}) == (
        1,
        {"conflict"},
    )
    shop.assert_accounted(3)


def test_a_batch_needs_no_code_that_the_one_before_had_not(shop: Shop, spark: SparkSession) -> None:
    """Java has compiled it by the second."""

    def take(_number: int) -> None:
        shop.put(events(3))
        assert shop.run()

    assert_later_batches_need_no_code(spark, take)


def test_an_id_that_went_through_a_float_is_stored_and_told(shop: Shop) -> None:
    """In the batch's log line; a refused record's is nobody's."""
    shop.put([event(user_id="17850.0"), event(), event(user_id="1.0", price="x", event_type="purchase")])
    assert shop.run()
    assert [entry["noted"] for entry in shop.log()] == [{"user_id as a float": 1}]
    assert shop.query("SELECT count(*) FROM user_events WHERE user_id = '17850.0'") == [(1,)]


@pytest.mark.parametrize("where", ["in the same file", "in the same batch", "in another batch"])
def test_another_event_with_a_known_id_is_refused(shop: Shop, where: str) -> None:
    """The first one stays; each column counts; a retry refuses it again, and nothing is counted twice."""
    first = event(event_type="purchase", price="35.79")
    others = [{**first, "price": "99.00"}, {**first, "event_type": "view", "price": ""}]
    others += [
        {**first, name: f"another {name}"}
        for name in ("user_id", "product_id", "product_name", "product_category")
    ]
    others.append({**first, "event_timestamp": "2026-03-01T11:59:59.000001Z"})
    if where == "in the same file":
        shop.put([first, *others[:3], first, *others[3:]], "b.csv")
        lines = [3, 4, 5, 7, 8, 9, 10]
    else:
        shop.put([event(), first], "a.csv")
        if where == "in another batch":
            assert shop.run()
        shop.put([*others, first], "b.csv")
        lines = list(range(2, 9))
    assert shop.run()
    stored = (
        f"SELECT user_id, product_name, price::text FROM user_events WHERE event_id = '{first['event_id']}'"
    )
    expected = [(first["user_id"], first["product_name"], "35.79")]
    assert shop.query(stored) == expected
    assert {place: reason for place, (reason, _) in shop.dead_lines().items()} == {
        ("b.csv", line): "conflict" for line in lines
    }
    assert shop.total("duplicates") == 1
    shop.assert_accounted(len(others) + (2 if where == "in the same file" else 3))
    outcome = shop.retrying().retry(shop.letters())
    assert (len(outcome.resolved), len(outcome.kept)) == (0, 1)
    assert shop.query(stored) == expected


def test_the_same_file_and_the_same_events_again_change_nothing(shop: Shop) -> None:
    """Under the same name Spark knows the file; under another one the events are duplicates."""
    sent = events(50)
    shop.put(sent, "a.csv")
    assert shop.run()
    shop.put(sent, "a.csv")
    assert shop.run()
    shop.put([*sent, *sent], "b.csv")
    assert shop.run()
    assert shop.ids() == sorted(one["event_id"] for one in sent)
    assert (shop.total("records_processed"), shop.total("duplicates")) == (150, 100)


@pytest.mark.parametrize("growing", ["between the readings", "all the time"])
def test_a_file_that_grows_does_not_hold_up_a_batch_with_a_conflict(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], growing: str
) -> None:
    """It reads its files twice; each event of the others is stored, and the counts add up."""
    one, others = event(), events(50)
    shop.put([one, {**one, "user_id": "other"}], "conflict.csv")
    shop.put(others, "good.csv")
    path = shop.put(events(50), "grows.csv")
    lines = as_csv(events(30)).partition("\n")[2]
    ended = threading.Event()

    def grow() -> None:
        with path.open("a") as file:
            file.write(lines)

    def grow_on() -> None:
        while not ended.wait(0.02):
            grow()

    def staging(judged: DataFrame, dsn: str, table: str, placed: bool = False) -> Staged:
        if placed and growing == "between the readings":
            grow()
        return stage(judged, dsn, table, placed)

    monkeypatch.setattr(batch, "stage", staging)
    with ThreadPoolExecutor(1) as pool:
        if growing == "all the time":
            pool.submit(grow_on)
        try:
            assert shop.run()
        finally:
            ended.set()
    assert len(shop.log()) == 1
    assert {one["event_id"], *(other["event_id"] for other in others)} <= set(shop.ids())
    assert ("conflict.csv", 3) in shop.dead_lines()
    shop.assert_accounted(shop.total("records_processed"))
    told = capsys.readouterr().out
    assert (
        told.count("Changed after it was read: grows.csv") + told.count("grows.csv: the file could not") == 1
    )


def test_a_file_that_loses_records_while_its_batch_reads_it_twice_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As what it is; the batch is tried again, and takes what is there then."""
    one = event()
    shop.put([one, {**one, "user_id": "other"}], "a.csv")
    path = shop.put(events(3), "b.csv")

    def staging(judged: DataFrame, dsn: str, table: str, placed: bool = False) -> Staged:
        if placed:
            path.write_text(HEADER)
        return stage(judged, dsn, table, placed)

    monkeypatch.setattr(batch, "stage", staging)
    assert shop.run()
    told = capsys.readouterr().out
    assert "files had 5 valid records, and a moment later 2; the batch is tried again" in told
    assert "does not answer" not in told
    assert shop.ids() == [one["event_id"]]


_CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten": lambda path: path.write_text(as_csv(events(5))),
    "appended": lambda path: path.write_text(path.read_text() + as_csv(events(1)).partition("\n")[2]),
    "replaced by an older one": lambda path: _older(path.with_name(".new")).rename(path),
    "made anew": lambda path: path.rename(path.with_name(".old")).with_name(path.name).write_text(HEADER),
}


def _older(path: Path) -> Path:
    path.write_text(as_csv(events(5)))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("change", _CHANGES)
def test_a_file_that_changes_after_it_was_read_is_told(
    shop: Shop, capsys: pytest.CaptureFixture[str], change: str, restarted: bool
) -> None:
    """Once a change, by name; its records are not read, so nothing else would say so. Others are not told."""
    paths = {name: shop.put(events(2), f"{name} %20+é.csv") for name in ("a", "b")}
    told = f"Changed after it was read: {paths['a'].name}. Nothing"
    job = shop.pipeline()
    assert job.once(StopFlag())
    assert "Changed after" not in capsys.readouterr().out
    _CHANGES[change](paths["a"])
    shop.put(events(1), "to be read.csv")
    (looking,) = job.companions
    if restarted:
        (looking,) = shop.pipeline().companions
        looking.start(StopFlag())
    looking.look(at_once=True)
    looking.look(at_once=True)
    assert capsys.readouterr().out.count(told) == 1
    with paths["a"].open("a") as file:
        file.write(as_csv(events(1)).partition("\n")[2])
    looking.look(at_once=True)
    assert capsys.readouterr().out.count(told) == 1
    assert shop.run()
    assert len(shop.ids()) == 5


def test_what_was_read_is_archived_and_the_list_of_it_begins_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each event counts once all the same, and no file is read twice."""
    monkeypatch.setattr("pipelines.ecommerce.job.MAX_NOTED", 3)
    archiving = Shop(shop.incoming.parent, shop.dsn, shop.spark, ecommerce_read_files="archive")
    for turn in range(2):
        for number in range(4):
            archiving.put(events(1), f"{turn} {number}.csv")
        assert archiving.run()
        assert [path.name for path in shop.incoming.iterdir()] == [".read"]
    assert "begins anew" in capsys.readouterr().out
    archiving.assert_accounted(8)
    assert archiving.total("duplicates") == 0


def test_what_is_written_before_the_batch_reads_it_or_read_again_later_is_no_change(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was read whole, `dlq retry` reads the other."""
    late, gone = shop.put(events(2), "late.csv"), shop.put(events(2), "gone.csv")

    def read(checkpoint: Path, number: int) -> list[str]:
        with late.open("a") as file:
            file.write(as_csv(events(1)).partition("\n")[2])
        gone.unlink()
        # Files are written before Spark notes them, or while it does.
        os.utime(checkpoint / "sources" / "0" / str(number))
        return files_of_batch(checkpoint, number)

    monkeypatch.setattr(batch, "files_of_batch", read)
    job = shop.pipeline()
    assert job.once(StopFlag())
    assert len(shop.ids()) == 3
    shop.put(events(1), gone.name)
    (looking,) = job.companions
    looking.look(at_once=True)
    assert "Changed after" not in capsys.readouterr().out


def test_a_time_in_any_form_is_the_moment_it_names(shop: Shop) -> None:
    """With an offset or none, which is UTC, to the microsecond; the server's own zone has no part in it."""
    forms = {
        "2026-03-01T11:59:59Z": "2026-03-01 11:59:59.000000",
        " 2026-03-01T11:59:59.5Z\t": "2026-03-01 11:59:59.500000",
        "2026-03-01T11:59:59.123456Z": "2026-03-01 11:59:59.123456",
        "2026-03-01T11:59:59.999999999Z": "2026-03-01 11:59:59.999999",
        "2026-03-01T11:59:59.123456789": "2026-03-01 11:59:59.123456",
        "2026-03-01T11:59": "2026-03-01 11:59:00.000000",
        "2026-03-01": "2026-03-01 00:00:00.000000",
        "2026-03-01T11:59:59+02:00": "2026-03-01 09:59:59.000000",
        "2026-03-01T11:59:59-0730": "2026-03-01 19:29:59.000000",
        "2026-03-01 11:59:59+05": "2026-03-01 06:59:59.000000",
        "0001-01-01T00:00:00Z": "0001-01-01 00:00:00.000000",
    }
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET timezone = 'America/New_York'")
    shop.put([event(product_name=form.strip(), event_timestamp=form) for form in forms])
    assert shop.run()
    moment = "to_char(event_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    found = shop.query(f"SELECT product_name, {moment} FROM user_events")
    assert dict(found) == {form.strip(): expected for form, expected in forms.items()}


def test_five_files_make_a_batch(shop: Shop) -> None:
    """The oldest first, so that a backlog is worked off in pieces."""
    for _ in range(7):
        shop.put(events(2))
        time.sleep(0.01)
    assert shop.run()
    assert [entry["records_processed"] for entry in shop.log()] == [10, 4]
    shop.assert_accounted(14)


def test_a_large_file_is_inserted_in_pieces(shop: Shop) -> None:
    """Each as soon as it is staged; a duplicate in another piece is one, and everything is counted once."""
    sent = events(2 * PIECE_ROWS)
    shop.put([*sent, *sent[:10], event(event_type="click")])
    assert shop.run()
    assert shop.query("SELECT count(*) FROM user_events") == [(len(sent),)]
    (entry,) = shop.log()
    assert (entry["records_written"], entry["duplicates"]) == (len(sent), 10)
    shop.assert_accounted(len(sent) + 11)


def test_files_that_are_being_written_are_left_alone(shop: Shop) -> None:
    """Until they are renamed; files that are no CSV are none of ours."""
    whole = as_csv(events(5))
    half = shop.incoming / ".tmp_events.csv"
    half.write_text(whole[:200])
    (shop.incoming / "readme.txt").write_text("no events")
    assert shop.run()
    half.write_text(whole)
    half.rename(shop.incoming / "events.csv")
    assert shop.run()
    assert len(shop.ids()) == 5
    shop.assert_accounted(5)


def test_files_of_every_kind_of_fault_do_not_hold_up_the_others(shop: Shop) -> None:
    """Wrong header, wrong encoding, empty, only a header, cut off in the middle."""
    good = events(3)
    utf16, latin = as_csv(events(2)).encode("utf-16"), as_csv([event(product_name="Café")]).encode("latin-1")
    shop.put(good, "good.csv")
    shop.put(as_csv(events(2)).replace("event_id,user_id", "user_id,event_id", 1), "swapped.csv")
    shop.put(utf16, "utf16.csv")
    shop.put(latin, "latin1.csv")
    shop.put("", "empty.csv")
    shop.put(HEADER, "header.csv")
    shop.put(as_csv(events(2))[:-30], "cut.csv")
    assert shop.run()
    written = shop.ids()
    assert set(written) > {one["event_id"] for one in good}
    assert len(written) == 4
    rejected = shop.rejected()
    # UTF-16 has line feeds where they are not: how many lines it makes is nobody's business.
    assert rejected.pop("wrong_header") >= 3
    assert rejected.pop("invalid_utf8") == 1
    assert sum(rejected.values()) == 1
    headers = {letter.record.get("note") for letter in shop.letters() if letter.reason == "wrong_header"}
    assert any("user_id,event_id" in (header or "") for header in headers)
    shop.assert_accounted(shop.total("records_processed"))


def test_quotes_line_breaks_and_commas_in_fields_are_kept(shop: Shop) -> None:
    """A record with line breaks is one record, and its dead letter names its first line."""
    names = ['19" screen', "two\nlines", "comma, comma", '"quoted"', "back\\slash", "tab\there", "naïve 🛒"]
    good = [event(product_name=name) for name in names]
    bad = event(product_name='three\n"long"\nlines', event_type="click")
    shop.put([*good[:3], bad, *good[3:]], "quotes.csv")
    assert shop.run()
    found = dict(shop.query("SELECT event_id::text, product_name FROM user_events"))
    assert found == {one["event_id"]: one["product_name"] for one in good}
    assert list(shop.dead_lines()) == [("quotes.csv", 6)]
    shop.assert_accounted(8)


def test_an_injection_in_any_field_is_only_text(shop: Shop) -> None:
    """Refused where the field has a form of its own, stored as it is where it has none."""
    attack = "x'); DROP TABLE user_events; --\\copy \\N \\. \",\"',%s{}$1"
    texts = ("user_id", "product_id", "product_name", "product_category")
    rows = [event(**{name: attack}) for name in (*texts, "event_id", "event_type", "event_timestamp")]
    rows.append(event(event_type="purchase", price=attack))
    shop.put(rows)
    assert shop.run()
    for name in texts:
        assert shop.query(f"SELECT count(*) FROM user_events WHERE {name} = $${attack}$$") == [(1,)]
    assert shop.rejected() == {
        "invalid_event_id": 1,
        "invalid_event_type": 1,
        "invalid_timestamp": 1,
        "invalid_price": 1,
    }
    shop.assert_accounted(8)


def test_what_postgresql_could_not_store_is_refused_before(shop: Shop) -> None:
    """A NUL, a price too large, a year too early, a key too long: any of them would fail the whole batch."""
    good = event()
    rows = [
        good,
        event(product_name="a\x00b"),
        event(event_type="purchase", price="99999999.995"),
        event(event_timestamp="0000-06-01T00:00:00Z"),
        event(user_id="u" * 501),
        event(product_name="x" * 70_000),
    ]
    shop.put(rows)
    assert shop.run()
    assert shop.ids() == [good["event_id"]]
    assert shop.rejected() == {
        "nul_character": 1,
        "price_overflow": 1,
        "invalid_timestamp": 1,
        "user_id_too_long": 1,
        "record_too_long": 1,
    }
    shop.assert_accounted(6)


def test_old_files_and_folders_with_odd_names_are_read(
    tmp_path: Path, events_dsn: str, spark: SparkSession
) -> None:
    """Spark by default passes by what is a week older than the newest file, and takes names for patterns."""
    folder = tmp_path / "a [b] {c} *d"
    folder.mkdir()
    shop = Shop(folder, events_dsn, spark, ecommerce_max_files_per_trigger=1)
    for age_days in (0, 400):
        path = shop.put(events(2), f"ev?nts [{age_days}], {{x}}.csv")
        moment = time.time() - age_days * 86_400
        os.utime(path, (moment, moment))
        assert shop.run()
    shop.assert_accounted(4)
