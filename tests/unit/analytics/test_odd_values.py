# ruff: noqa: RUF001
"""Odd values mean the same in every pipeline and on the accountant's page: times, texts, numbers, ids."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

import analytics.ecommerce.rules
import analytics.esports.rules
import analytics.stock.rules
from accounting.entries import EntryError, read_client, read_product, read_sale
from analytics.esports.rules import KAFKA_SCHEMA, MATCHES, ODD, PLAYERS, Dataset, published
from analytics.texts import has_lone_surrogate, has_lone_surrogate_sql
from analytics.times import read_time, time_sql
from contracts import CORRUPT
from contracts.ecommerce import EVENT_COLUMNS
from contracts.stock import Client, Product, Sale
from contracts.texts import BLANKS
from sources.ecommerce.csv_reader import SCHEMA
from tests.support.stock_events import TOPICS, client, product, sale
from tests.unit.analytics.ecommerce.test_rules import EVENT

_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
_DAY = datetime(2026, 1, 31, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def as_configured(spark: SparkSession) -> Iterator[SparkSession]:
    """Spark with the settings of the pipelines."""
    given = {**analytics.esports.rules.SPARK_CONF, **analytics.ecommerce.rules.SPARK_CONF}
    before = {name: str(spark.conf.get(name)) for name in given}
    for name, value in given.items():
        spark.conf.set(name, value)
    yield spark
    for name, value in before.items():
        spark.conf.set(name, value)


def _json(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def esports(
    spark: SparkSession,
    values: Sequence[Any],
    dataset: Dataset = MATCHES,
    judge: Callable[[DataFrame, Dataset], DataFrame] = analytics.esports.rules.judge,
) -> list[dict[str, Any]]:
    """What the esports pipeline makes of records, in their order."""
    rows = [(_json(value), "t", 0, offset, None) for offset, value in enumerate(values)]
    judged = judge(spark.createDataFrame(rows, KAFKA_SCHEMA), dataset)
    columns = ("offset", "reason", "noted", *published(dataset), *dataset.partitions)
    return judged.coalesce(1).selectExpr(*columns).orderBy("offset").toArrow().to_pylist()  # type: ignore[no-any-return]


def stock(kind: str, values: Sequence[Any]) -> list[Any]:
    """What the stock pipeline makes of records of one kind, in their order."""
    made = int(_DAY.timestamp() * 1000)
    place = {"kind": kind, "topic": TOPICS[kind], "partition": 0, "timestamp": _DAY, "timestamp_ms": made}
    return [
        analytics.stock.rules.judge({**place, "offset": offset, "value": _json(value)}, _NOW)
        for offset, value in enumerate(values)
    ]


def ecommerce(spark: SparkSession, events: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """What the e-commerce pipeline makes of records, in their order."""
    lines = []
    for number, changes in enumerate(events, 2):
        text = io.StringIO()
        csv.writer(text).writerow({**EVENT, **changes}[name] for name in EVENT_COLUMNS)
        lines.append(("a.csv", number, text.getvalue().encode(), None))
    judged = analytics.ecommerce.rules.judge(spark.createDataFrame(lines, SCHEMA).coalesce(1), _NOW)
    moments = judged.orderBy("line").selectExpr("*", "try_cast(event_timestamp AS TIMESTAMP) AS moment")
    return moments.toArrow().to_pylist()  # type: ignore[no-any-return]


_SCALARS = [
    *("null", "true", "0", "-0", "12", "12.0", "1.10", "1e5", "1e999", "9" * 30, "+1", "01", "NaN", "'x'"),
    *(f"0.{'1234567890' * 5}", f'"0.{"1234567890" * 5}"', '"NaN"', '"a b"', '"T1\u200b"', "false", '"true"'),
    *("[]", '{"a": 1}', '""', '" "', '"M1"', '" M1"', '"17.0"', '"1e5"', '"é"', '"live"', '"over"'),
    *('"\\ud83d\\ude00"', '"\\ud83d"', '"2026-01-31"', '"2026-01-31T17:00:00Z"', '"2026-01-31T17:00"'),
    *('"2026-02-30"', '"0001-01-01"'),
]
_NAMED = [*MATCHES.fields, *PLAYERS.fields, "other"]
_PAIRS = st.lists(st.tuples(st.sampled_from(_NAMED), st.sampled_from(_SCALARS)), max_size=4)
_KEYS = ['"M1"', '"M1"', '"M1"', "7", "7.0", '"a b"', '""', "null"]
_ENDS = [*["}"] * 8, "", "} {}", ',"end":1}']


def _record(key: str, fields: Sequence[tuple[str, str]], end: str) -> str:
    pairs = [("match_id", key), ("player_id", key), *fields]
    return "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + end


def test_what_is_judged_quickly_is_judged_alike(as_configured: SparkSession) -> None:
    """The quick judgement leaves a record to the exact one, or says the same of it in every column."""
    records = {_record('"M1"', [(name, value)], "}") for name in _NAMED for value in _SCALARS}

    @given(st.lists(st.builds(_record, st.sampled_from(_KEYS), _PAIRS, st.sampled_from(_ENDS)), min_size=20))
    def gather(some: list[str]) -> None:
        records.update(some)

    gather()
    for dataset in (MATCHES, PLAYERS):
        exact = esports(as_configured, sorted(records), dataset)
        quick = esports(as_configured, sorted(records), dataset, analytics.esports.rules.judge_usual)
        judged = [pair for pair in zip(quick, exact, strict=True) if pair[0]["reason"] != ODD]
        for one, other in judged:
            assert one["reason"] == other["reason"], one["value"]
            assert one["reason"] or one == other, one["value"]
        assert len(judged) > len(_SCALARS) * len(_NAMED) / 2


def test_a_usual_record_is_judged_once(as_configured: SparkSession) -> None:
    """What feeds send every day, with gaps, is not odd."""
    match = {"match_id": "106-A", "game_id": 77, "team_1_name": "Zoë", "patch": "14.10", "team_1_id": 0}
    match |= {"started_at": "2026-01-31T17:00:00Z", "finished_at": "", "status": "running", "winner_id": None}
    player = {"player_id": "P1", "win_rate": 51.25, "active": True, "role": "mid", "total_games": None}
    quickly = analytics.esports.rules.judge_usual
    assert esports(as_configured, [match, {"match_id": "M"}], MATCHES, quickly)[0]["reason"] is None
    assert esports(as_configured, [player], PLAYERS, quickly)[0]["reason"] is None


# --- Times ------------------------------------------------------------------------------------------

# What each text means, by the grammar of analytics/times.py; None: no time.
TIMES: dict[str, datetime | None] = {
    "2026-01-31": _DAY,
    "2026-01-31T17:00Z": _DAY + timedelta(hours=17),
    "2026-01-31T11:59Z": _DAY + timedelta(hours=11, minutes=59),
    "2026-01-31T17:00": _DAY + timedelta(hours=17),
    "2026-01-31T17:00+02:00": _DAY + timedelta(hours=15),
    "2026-01-31 17:00:00+0200": _DAY + timedelta(hours=15),
    "2026-01-31T17:00:00-05": _DAY + timedelta(hours=22),
    "2026-01-31t17:00:00z": _DAY + timedelta(hours=17),
    "2026-01-31T17:00:00,25Z": _DAY + timedelta(hours=17, milliseconds=250),
    "2026-01-31T17:00:00.1234567891234Z": _DAY + timedelta(hours=17, microseconds=123_456),
    "2026-01-31T24:00Z": _DAY + timedelta(days=1),
    "2026-01-31T24:00:00.000Z": _DAY + timedelta(days=1),
    "2026-01-31T23:59:60Z": _DAY + timedelta(days=1),
    "2026-01-31T24:00:01Z": None,
    "2026-01-31T25:00Z": None,
    "2026-01-31T17:00:00+19:00": None,
    "2026-01-31T17:00:00 Europe/Berlin": None,
    "2026-01-31T17:00:00+2:00": None,
    "20260131T170000Z": None,
    "2026-1-31": None,
    "2026-02-30": None,
    "0000-01-31": None,
    "17:00": None,
    "2026": None,
    "1769878800": None,
    "٢٠٢٦-01-31": None,
    " 2026-01-31\u3000": _DAY,
}


def test_a_time_is_the_same_in_every_pipeline(as_configured: SparkSession) -> None:
    """With and without seconds, fractions of any length, offsets of any form; and what is none is none."""
    texts = list(TIMES)
    expected = list(TIMES.values())
    matches = esports(as_configured, [{"match_id": "M", "started_at": text} for text in texts])
    assert [None if row["reason"] else row["started_at"] for row in matches] == expected
    assert {row["reason"] for row in matches} == {None, "invalid_started_at"}
    sales = stock("sales", [{**sale("I"), "timestamp": text} for text in texts])
    assert [found.time if isinstance(found, Sale) else None for found in sales] == expected
    events = ecommerce(as_configured, [{"event_timestamp": text} for text in texts])
    assert [None if row["reason"] else row["moment"] for row in events] == expected
    typed = [_typed_time(text) for text in texts]
    milliseconds = [
        found and found.replace(microsecond=found.microsecond // 1000 * 1000) for found in expected
    ]
    assert typed == milliseconds


def _typed_time(text: str) -> datetime | None:
    fields = {"invoice_id": "I", "client_id": "C", "timestamp": text, "total_amount": "1"}
    try:
        return read_sale(fields, [("P", "1")]).time
    except EntryError:
        return None


def _digits(low: int, high: int, width: int = 2) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda number: f"{number:0{width}}")


_DATES = st.builds("{}-{}-{}".format, _digits(0, 9999, 4), _digits(0, 13), _digits(0, 32)) | st.sampled_from(
    ["0001-01-01", "9999-12-31", "2024-02-29", "2026-02-29"]
)
_OFFSETS = st.sampled_from(["", "Z", "z", "+00", "-0000", "+18:00", "-18:01", "+5", "+0530", "-12:60", " Z"])
_CLOCKS = st.builds(
    "{}{}:{}{}{}{}".format,
    st.sampled_from(["T", "t", " ", "  ", ""]),
    _digits(0, 25),
    _digits(0, 60),
    st.sampled_from(["", ":00", ":59", ":60", ":61", ":7"]),
    st.sampled_from(["", "", ".5", ",5", ".0000000", ".1234567890123456789", "."]),
    _OFFSETS,
)
_TEXTS = st.builds("{}{}{}".format, _DATES, st.just("") | _CLOCKS, st.sampled_from(["", "", " ", "\n", "x"]))


def test_no_text_is_one_time_in_python_and_another_in_sql(as_configured: SparkSession) -> None:
    """Texts of and around the grammar: the accountant's page and Spark agree on each."""
    found: set[str] = set()

    @given(st.lists(_TEXTS, min_size=50, max_size=50))
    def gather(texts: list[str]) -> None:
        found.update(texts)

    gather()
    frame = as_configured.createDataFrame([(text,) for text in found], "t STRING").coalesce(4)
    rows = frame.selectExpr("t", f"{time_sql('t')} AS moment").toArrow().to_pylist()
    differ = [(row["t"], row["moment"]) for row in rows if read_time(row["t"]) != row["moment"]]
    assert differ == []
    assert sum(row["moment"] is not None for row in rows) > 50


# --- Numbers ----------------------------------------------------------------------------------------


def test_a_whole_number_is_whole_however_it_is_written(as_configured: SparkSession) -> None:
    """A gap makes floats of a column of pandas; nothing else of the record is refused for it."""
    ways = ["12", "12.0", "1.2e1", '"12"', '" 12.0 "', '"12."']
    matches = esports(as_configured, [f'{{"match_id":"M","team_1_kills":{way}}}' for way in ways])
    assert [(row["reason"], row["team_1_kills"]) for row in matches] == [(None, 12)] * len(ways)
    products = [json.dumps(product("P")).replace('"quantity": 5', f'"quantity": {way}') for way in ways]
    assert [found.quantity for found in stock("inventory", products)] == [12] * len(ways)
    bad = ["1.5", '"many"', "true", "[12]", "3000000000", '"1 2"']
    matches = esports(as_configured, [f'{{"match_id":"M","team_1_kills":{way}}}' for way in bad])
    assert [row["reason"] for row in matches] == ["invalid_team_1_kills"] * len(bad)


def test_what_is_empty_is_absent(as_configured: SparkSession) -> None:
    """An empty text where a time, a number, a text or a truth may be missing is none."""
    optional = [name for name in MATCHES.fields if name not in ("match_id", "status")]
    for blank in ("", " \u00a0"):
        (row,) = esports(as_configured, [{"match_id": "M", **dict.fromkeys(optional, blank)}])
        assert (row["reason"], {row[name] for name in optional}) == (None, {None})
    optional = [name for name in PLAYERS.fields if name != "player_id"]
    (row,) = esports(as_configured, [{"player_id": "P", **dict.fromkeys(optional, "")}], PLAYERS)
    assert (row["reason"], row["status"], row["role"]) == (None, "unknown", "unknown")
    names = ("category", "batch_no", "last_movement", "expiry_date", "updated_at")
    (found,) = stock("inventory", [product("P", **dict.fromkeys(names, " \u3000"))])
    assert (found.category, found.batch_no, found.last_movement) == (None, None, None)
    (found,) = stock("clients", [client("C", " ", email=" ")])
    assert (found.opening, found.email) == (0, None)


@pytest.mark.parametrize("digits", ["1.10", "13.10", "-0", "1e5", "12345678901234567890", "17850.0", "1E400"])
def test_ids_and_versions_keep_the_digits_that_were_sent(as_configured: SparkSession, digits: str) -> None:
    """No number passes through a double on its way into a text."""
    texts = ("match_id", "patch", "game_version", "winner_id", "team_1_id")
    record = ", ".join(f'"{name}" : {digits}' for name in texts)
    (row,) = esports(as_configured, [f'{{{record}, "team_1_kills":3, "x": "\\"patch\\": 2.20"}}'])
    assert (row["reason"], {row[name] for name in texts}) == (None, {digits})
    event = json.dumps({**sale("#"), "client_id": "#", "items": [{"product_id": "#", "quantity": 1}]})
    (found,) = stock("sales", [event.replace('"#"', digits)])
    assert (found.invoice_id, found.client_id, found.items) == (digits, digits, ((digits, 1),))


# --- Texts ------------------------------------------------------------------------------------------

NAMES = {
    "Tea\u00a0100\u00a0g": "Tea\u00a0100\u00a0g",
    "می\u200cخواهم": "می\u200cخواهم",
    "👨\u200d👩\u200d👧": "👨\u200d👩\u200d👧",
    "co\u00adoperate": "co\u00adoperate",
    "緑茶\u3000100": "緑茶\u3000100",
    "\u200fשלום": "\u200fשלום",
    "Green\r\n tea\t100": "Green tea 100",
    "\ufeff Tea\u2028": "Tea",
    "[SALE] Tea": "[SALE] Tea",
}


def test_a_name_is_kept_as_it_was_sent(as_configured: SparkSession) -> None:
    """But for white space that means nothing: around it, and where a line ends in it."""
    events = [product("P", name=name) for name in NAMES]
    assert [found.name for found in stock("inventory", events)] == list(NAMES.values())
    events = [client("C", name=name) for name in NAMES]
    assert [found.name for found in stock("clients", events)] == list(NAMES.values())
    prices = {"quantity": "1", "buy_price": "1", "sell_price": "2"}
    typed = [read_product({"product_id": "P", "name": name, **prices}).name for name in NAMES]
    assert typed == list(NAMES.values())
    assert [read_client({"client_id": "C", "name": name}).name for name in NAMES] == list(NAMES.values())


@settings(max_examples=10)
@given(st.lists(st.text(st.sampled_from(f"{BLANKS}aZ0!~é緑\u200b"), max_size=6), min_size=90, max_size=90))
def test_white_space_around_a_text_means_nothing(as_configured: SparkSession, texts: list[str]) -> None:
    """Of whatever kind, and nothing else is taken for it; within, an event's texts are kept as they were."""
    names = ("product_name", "product_category")
    events = ecommerce(as_configured, [{names[0]: f"a{text}", names[1]: f"{text}a"} for text in texts])
    for event, text in zip(events, texts, strict=True):
        assert (event["reason"], *(event[name] for name in names)) == (
            None,
            f"a{text}".strip(BLANKS),
            f"{text}a".strip(BLANKS),
        )


def test_a_run_of_blanks_of_any_length_holds_nothing_up(as_configured: SparkSession) -> None:
    """What costs the square of a text's length would take hours for one of these."""
    long = f"a{' ' * 100_000}b"
    values: list[dict[str, Any]] = [
        {"match_id": "M", name: value}
        for name in ("status", "tournament_name", "game_id", "started_at", "team_1_kills")
        for value in (long, f" {long}", f"{long} ")
    ]
    for judge in (analytics.esports.rules.judge, analytics.esports.rules.judge_usual):
        assert len(esports(as_configured, values, MATCHES, judge)) == len(values)
        assert esports(as_configured, [{"player_id": "P", "role": long}], PLAYERS, judge)
    assert stock("inventory", [product("P", name=long)]) == ["name_too_long"]
    events = ecommerce(as_configured, [{"product_name": f" {long[:60_000]}b"}])
    assert events[0]["reason"] == "product_name_too_long"


def test_other_ids_are_ids_too(as_configured: SparkSession) -> None:
    """Esports compares them with each other: whatever differs in what nobody sees would be another team."""
    sent = ["T1", " T1 ", "NaN", "None", "", "T1\u200b", "\u3164", "T 1", "ü"]
    rows = esports(as_configured, [{"match_id": "M", "winner_id": value} for value in sent])
    assert [row["winner_id"] for row in rows if not row["reason"]] == [
        "T1",
        "T1",
        None,
        None,
        None,
        "T 1",
        "ü",
    ]
    assert [row["reason"] for row in rows if row["reason"]] == ["invalid_winner_id"] * 2
    truths = [row["reason"] for row in esports(as_configured, [{"match_id": True}, {"match_id": "false"}])]
    assert truths == ["invalid_match_id"] * 2


def test_what_no_text_may_hold_is_refused_by_name(as_configured: SparkSession) -> None:
    """Control characters in names, and in ids whatever cannot be seen, for it would look like another id."""
    for name in ("Tea\0", "T\x1bea", "T\x7fea"):
        assert stock("inventory", [product("P", name=name)]) == ["invalid_name"]
    odd = [f"a{char}b" for char in "\n\0\u200b\u00a0\u202e\u034f\u115f\u2800\u3164\ufe0f\uffa0\U000e0101"]
    records = [{"match_id": value} for value in odd]
    assert [row["reason"] for row in esports(as_configured, records)] == ["invalid_match_id"] * len(odd)
    assert stock("sales", [sale("I", value) for value in odd]) == ["invalid_client_id"] * len(odd)
    for name in ("user_id", "product_id"):
        events = ecommerce(as_configured, [{name: value} for value in odd])
        assert [event["reason"] for event in events] == [
            "nul_character" if "\0" in value else f"invalid_{name}" for value in odd
        ]
    with pytest.raises(EntryError, match=r'client_id "a<U\+200B>b" is not a text of visible characters'):
        read_client({"client_id": "a\u200bb"})


@pytest.mark.parametrize("nothing", ["NaN", "nan", "None", "null", "NaT", "<NA>", " NULL ", "undefined"])
def test_what_programs_write_for_nothing_is_no_id(as_configured: SparkSession, nothing: str) -> None:
    """Otherwise all sales without a client would be one client's."""
    assert stock("sales", [sale("I", nothing)]) == ["missing_client_id"]
    assert esports(as_configured, [{"match_id": nothing}])[0]["reason"] == "missing_match_id"
    for name in ("user_id", "product_id"):
        assert ecommerce(as_configured, [{name: nothing}])[0]["reason"] == f"missing_{name}"
    with pytest.raises(EntryError, match="client_id is missing"):
        read_client({"client_id": nothing})


def test_an_id_that_went_through_a_float_is_told(as_configured: SparkSession) -> None:
    """It stays the id that was sent, and is noted, because it may be another one's second name."""
    (row,) = esports(as_configured, ['{"match_id": "M", "team_1_id": 17850.0, "patch": "14.0"}'])
    assert (row["team_1_id"], row["noted"]) == ("17850.0", "team_1_id as a float")
    (found,) = stock("sales", [sale("I", "17850.0")])
    assert analytics.stock.rules.notes(found) == ["client_id as a float"]
    ids = {"user_id": "17850.0", "product_id": "1.0", "product_name": "2.0"}
    (event, another) = ecommerce(as_configured, [ids, {"user_id": "17850", "product_id": "A.0"}])
    assert {name: event[name] for name in ids} == ids
    assert (event["noted"], another["noted"]) == ("user_id as a float\nproduct_id as a float", None)
    (found,) = stock("inventory", [product("17850")])
    assert isinstance(found, Product)
    assert analytics.stock.rules.notes(found) == []


_PIECES = st.lists(
    st.sampled_from(["\\\\", "\\ud83d", "\\uDE00", "\\uD800", "\\u00d8", "ud800", "\\n", "a"]), max_size=6
).map("".join)


@given(_PIECES)
def test_half_a_surrogate_pair_is_found_however_it_is_escaped(text: str) -> None:
    """As Python's own reader of JSON finds it."""
    read = json.loads(f'"{text}"')
    try:
        read.encode()
        lone = False
    except UnicodeEncodeError:
        lone = True
    assert has_lone_surrogate(text.encode()) == lone


def test_half_a_surrogate_pair_is_refused_wherever_it_stands(as_configured: SparkSession) -> None:
    """Spark makes the same question mark of all of them, and of two products one."""
    places = ['"x\\ud800"', '"x", "name\\udc00": 1', '"x", "more": [{"a": "\\ud83d\\ud83d\\ude00"}]']
    records = [f'{{"match_id": {place}}}' for place in places]
    assert [row["reason"] for row in esports(as_configured, records)] == ["lone_surrogate"] * 3
    event = json.dumps(product("#"))
    records = [event.replace('"#"', place) for place in places]
    assert stock("inventory", records) == ["lone_surrogate"] * 3
    whole = '"\\\\ud800 \\ud83d\\ude00"'
    (row,) = esports(as_configured, [f'{{"match_id": "M", "team_1_name": {whole}}}'])
    assert (row["reason"], row["team_1_name"]) == (None, "\\ud800 😀")
    (found,) = stock("clients", [json.dumps(client("C", name="#")).replace('"#"', whole)])
    assert isinstance(found, Client)
    assert found.name == "\\ud800 😀"
    # As bytes they are no UTF-8.
    raw = b'{"match_id": "x\xed\xa0\x80"}'
    frame = as_configured.createDataFrame([(raw, "t", 0, 0, None)], KAFKA_SCHEMA)
    assert analytics.esports.rules.judge(frame, MATCHES).first()["reason"] == CORRUPT  # type: ignore[index]
    texts = as_configured.createDataFrame([("\\ud800",), ("\\\\ud800",)], "t STRING")
    judged = texts.selectExpr(f"{has_lone_surrogate_sql('t')} AS lone").collect()
    assert [row["lone"] for row in judged] == [True, False]


# --- Words for a match's status ---------------------------------------------------------------------


def test_the_words_of_public_feeds_are_known(as_configured: SparkSession) -> None:
    """In any case, with spaces, hyphens or underscores; what is not known is told by its value, on a line."""
    words: dict[str, list[str | None]] = {
        "finished": ["finished", "Ended", "closed", "completed", "over"],
        "live": ["live", "running", "inProgress", "in_progress", "ONGOING", "started", "\u00a0Running\n"],
        "scheduled": ["scheduled", "not_started", "Not Started", "not-started", "unstarted", "upcoming"],
        "canceled": ["canceled", "Cancelled", "abandoned"],
        "postponed": ["postponed"],
        "unknown": ["half_time", "half\n\u2028time", "", None],
    }
    pairs = [(word, status) for status, some in words.items() for word in some]
    rows = esports(as_configured, [{"match_id": "M", "status": word} for word, _ in pairs])
    assert [(word, row["status"]) for (word, _), row in zip(pairs, rows, strict=True)] == pairs
    assert [row["noted"] for row in rows if row["noted"]] == ["status half_time", "status half time"]
