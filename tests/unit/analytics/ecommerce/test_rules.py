"""E-commerce's rules, each with what it lets pass and what it refuses, at its limits."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from analytics.ecommerce.rules import RULES, SPARK_CONF, judge
from contracts.ecommerce import EVENT_COLUMNS, MAX_RECORD_BYTES
from contracts.texts import BLANKS
from sinks.ecommerce.staging import staged_columns
from sources.ecommerce.csv_reader import SCHEMA

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
EVENT = {
    "event_id": "0f0e8c1e-2a3b-4c5d-8e9f-001122334455",
    "user_id": "USER_000001",
    "product_id": "PROD_000001",
    "product_name": "Tea",
    "product_category": "Food",
    "event_type": "purchase",
    "price": "9.99",
    "event_timestamp": "2026-03-01T11:59:59Z",
}

ACCEPTED: Sequence[Mapping[str, str]] = (
    {},
    {"event_type": "view", "price": ""},
    *[{"event_type": "view", "price": null} for null in ("NULL", "null", " Null ", "\\N")],
    {"product_name": '"""quoted"" twice"'},
    {"product_name": "C:\\"},
    {"product_name": 'a\\"b'},
    {"event_id": EVENT["event_id"].upper()},
    {"price": "0"},
    {"price": "-0"},
    {"price": "99999999.99"},
    {"price": "99999999.994"},
    {"price": "+.5"},
    {"price": "5."},
    {"price": "1e3"},
    {"user_id": "u" * 500},
    {"user_id": "é" * 500},
    {"product_name": "x, y"},
    {"product_name": 'a "b"'},
    {"product_name": "NULL"},
    {"user_id": "Ünal Øst", "product_id": "緑茶 100"},
    {"event_timestamp": "2026-03-01T12:01:00Z"},
    {"event_timestamp": "2026-03-01T12:01:00"},
    {"event_timestamp": "2026-03-01T14:01:00+02:00"},
    {"event_timestamp": "2026-03-01T14:01:00+0200"},
    {"event_timestamp": "2026-03-01 11:00"},
    {"event_timestamp": "2026-03-01"},
    {"event_timestamp": "2024-02-29T00:00:00.123456789Z"},
    {"event_timestamp": "0001-01-01T00:00:00Z"},
)
REFUSED: Sequence[tuple[str, Mapping[str, str]]] = (
    *[(f"missing_{name}", {name: ""}) for name in EVENT_COLUMNS],
    *[(f"missing_{name}", {name: " \t "}) for name in EVENT_COLUMNS],
    *[
        (f"{name}_too_long", {name: "é" * 501})
        for name in ("user_id", "product_id", "product_name", "product_category")
    ],
    *[(f"missing_{name}", {name: "\\N"}) for name in EVENT_COLUMNS if name != "event_type"],
    ("missing_price", {"price": "NULL"}),
    ("record_too_long", {"product_name": "x" * MAX_RECORD_BYTES}),
    ("nul_character", {"product_name": "a\0b"}),
    *[(f"missing_{name}", {name: "NaN"}) for name in ("user_id", "product_id")],
    *[(f"invalid_{name}", {name: "a\u200bb"}) for name in ("user_id", "product_id")],
    ("invalid_event_id", {"event_id": "0f0e8c1e2a3b4c5d8e9f001122334455"}),
    ("invalid_event_id", {"event_id": EVENT["event_id"] + "0"}),
    ("invalid_event_id", {"event_id": EVENT["event_id"][:-1] + "g"}),
    ("invalid_event_type", {"event_type": "click"}),
    ("invalid_event_type", {"event_type": "views"}),
    ("invalid_price", {"price": "NaN"}),
    ("invalid_price", {"price": "Infinity"}),
    ("invalid_price", {"price": "1,5"}),
    ("invalid_price", {"price": "."}),
    ("invalid_price", {"price": "1 2"}),
    ("invalid_price", {"price": "9.99d"}),
    ("invalid_price", {"event_type": "view", "price": "free"}),
    ("negative_price", {"price": "-0.01"}),
    ("negative_price", {"price": "-0.001"}),
    ("negative_price", {"price": "-1e99"}),
    ("negative_price", {"event_type": "view", "price": "-1"}),
    ("price_overflow", {"price": "99999999.995"}),
    ("price_overflow", {"price": "1e300"}),
    ("price_overflow", {"event_type": "view", "price": "100000000"}),
    ("invalid_timestamp", {"event_timestamp": "yesterday"}),
    ("invalid_timestamp", {"event_timestamp": "2026"}),
    ("invalid_timestamp", {"event_timestamp": "11:59:59"}),
    ("invalid_timestamp", {"event_timestamp": "2026-02-29"}),
    ("invalid_timestamp", {"event_timestamp": "2026-03-01T25:00:00Z"}),
    ("invalid_timestamp", {"event_timestamp": "2026-03-01T11:00:00 Europe/Berlin"}),
    ("invalid_timestamp", {"event_timestamp": "0000-12-31T23:59:59Z"}),
    ("future_timestamp", {"event_timestamp": "2026-03-01T12:01:00.001Z"}),
    ("future_timestamp", {"event_timestamp": "9999-12-31"}),
)


def _line(changes: Mapping[str, str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow({**EVENT, **changes}[name] for name in EVENT_COLUMNS)
    return text.getvalue().encode()


@pytest.fixture
def judged(spark: SparkSession) -> Any:
    """Judges the raw records of one file, with the settings of the pipeline; rows in their order."""
    before = {name: str(spark.conf.get(name)) for name in SPARK_CONF}
    for name, value in SPARK_CONF.items():
        spark.conf.set(name, value)

    def rows(lines: Sequence[bytes], header: str | None = None, first: int = 2) -> list[Any]:
        records = [("a.csv", number, line, header) for number, line in enumerate(lines, first)]
        found = judge(spark.createDataFrame(records, SCHEMA).coalesce(1), NOW).orderBy("line")
        # Its own text, whatever form the record's had.
        moment = F.expr("CAST(try_cast(event_timestamp AS TIMESTAMP) AS STRING)")
        return found.withColumn("event_timestamp", moment).collect()

    yield rows
    for name, value in before.items():
        spark.conf.set(name, value)


def test_what_a_rule_allows_is_accepted(judged: Any) -> None:
    """Limits belong to what is allowed."""
    rows = judged([_line(changes) for changes in ACCEPTED])
    assert [(changes, row.reason) for changes, row in zip(ACCEPTED, rows, strict=True)] == [
        (changes, None) for changes in ACCEPTED
    ]


def test_what_a_rule_forbids_is_refused_in_its_name(judged: Any) -> None:
    """The first rule that a record breaks names it; a rule that a row breaks is not another one's."""
    rows = judged([_line(changes) for _, changes in REFUSED])
    assert [(changes, row.reason) for (_, changes), row in zip(REFUSED, rows, strict=True)] == [
        (changes, reason) for reason, changes in REFUSED
    ]


def test_a_record_without_the_form_of_one_is_refused(judged: Any) -> None:
    """Too few fields, too many, bytes that are no UTF-8, a file with another header."""
    line = _line({})
    rows = judged([line.replace(b",Food", b""), line.replace(b",Food", b",Food,x"), b"x\n", b",\xff" + line])
    assert [row.reason for row in rows] == ["corrupt", "corrupt", "corrupt", "invalid_utf8"]
    assert [row.reason for row in judged([line], header="another")] == ["wrong_header"]
    # Line 0 is no record's.
    assert [row.reason for row in judged([line], header="gone", first=0)] == ["unreadable_file"]


@pytest.mark.parametrize("field", ["," * 60_000, '"' + '""' * 32_000 + '"', '"' * 60_001, "\r" * 60_000])
def test_no_record_is_more_than_the_parser_can_take(judged: Any, field: str) -> None:
    """An error of Spark's would fail the whole batch, each time it comes again."""
    (row,) = judged([_line({"product_name": "@"}).replace(b"@", field.encode())])
    assert row.reason is not None


@pytest.mark.parametrize(
    "field", [r'"19\" screen"', r'"5\" x 6\""', '"a"b', '"a""b"c', ' "a"', '"a"  b', '"a" "b"']
)
def test_a_field_with_quotes_in_another_style_is_refused(judged: Any, field: str) -> None:
    """Stored with its quotes and backslashes it would be another text than the one that was meant."""
    line = _line({"product_name": "@"})
    rows = judged([line.replace(b"@", field.encode()), line.replace(b"@", b'5" nail'), line])
    assert [row.reason for row in rows] == ["broken_quotes", None, None]


def test_no_blank_before_a_quote_makes_the_quotes_text(judged: Any) -> None:
    """Of whatever kind, or a character without width; in the middle of a text both are text."""
    blanks = [*BLANKS.replace("\n", ""), "\u200b", "\u2060", " \u00a0 \v"]
    lines = [_line({"product_name": "@"}).replace(b"@", f'{blank}"a"'.encode()) for blank in blanks]
    lines += [_line({"product_name": f'x{blank}"a"'}) for blank in ("\u00a0", "\u200b")]
    assert [row.reason for row in judged(lines)] == ["broken_quotes"] * len(blanks) + [None, None]


def test_looking_for_quotes_takes_no_longer_than_the_text(judged: Any) -> None:
    """Blanks before no quote, as many as a record may have."""
    before = time.monotonic()
    (row,) = judged([_line({"product_name": "@"}).replace(b"@", "\u00a0".encode() * 30_000 + b'x"')])
    assert (row.reason, row.product_name) == (None, 'x"')
    assert time.monotonic() - before < 10


def test_every_rule_has_a_row_that_breaks_it() -> None:
    """A rule that is added needs one here."""
    formless = {"corrupt", "invalid_utf8", "wrong_header", "unreadable_file", "broken_quotes"}
    assert {reason for reason, _ in REFUSED} | formless == set(RULES)


def test_an_accepted_record_is_trimmed_and_typed(judged: Any) -> None:
    """Texts without blanks around, the type in lower case, prices rounded half up and none for views, UTC."""
    texts = {name: f" \t{EVENT[name]} " for name in EVENT_COLUMNS}
    (row,) = judged(
        [_line({**texts, "event_type": " PurCHASE\t", "price": " 1.005 "}).replace(b"\n", b"\r\n")]
    )
    assert row.reason is None
    assert [row[name] for name in EVENT_COLUMNS[:5]] == [EVENT[name] for name in EVENT_COLUMNS[:5]]
    assert (row.event_type, row.price) == ("purchase", Decimal("1.01"))
    assert row.event_timestamp == "2026-03-01 11:59:59"
    (view,) = judged([_line({"event_type": "View", "price": "3"})])
    assert (view.event_type, view.price) == ("view", None)


def test_java_compiles_what_judges_a_record(spark: SparkSession) -> None:
    """Java only interprets a method of more than 8 000 bytes, which takes three times as long."""
    records = spark.createDataFrame([], SCHEMA)
    lines = judge(records, NOW).select(*staged_columns())
    jvm: Any = spark._jvm
    mode = jvm.org.apache.spark.sql.execution.ExplainMode.fromString("codegen")
    sizes = re.findall(r"maxMethodCodeSize:(\d+)", lines._jdf.queryExecution().explainString(mode))
    assert sizes
    assert max(map(int, sizes)) < 7_500


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
def test_the_end_of_the_line_is_no_part_of_the_last_field(judged: Any, end: bytes) -> None:
    """Also where the last field is in quotes, or blanks follow."""
    line = _line({}).rstrip(b"\n")
    quoted = line.replace(b"2026-03-01T11:59:59Z", b'"2026-03-01T11:59:59Z"')
    rows = judged([line + end, quoted + end, line + b" " + end])
    assert [row.reason for row in rows] == [None, None, None]
    assert len({row.event_timestamp for row in rows}) == 1
