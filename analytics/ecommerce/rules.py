"""Which e-commerce events count: a CSV record is accepted, typed and trimmed, or refused by a named rule.

Pure expressions of Spark; the time against which "in the future" is judged is an argument.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from analytics.texts import BLANK_CLASS, PLAIN_ID, is_float_sql, is_nothing_sql, is_visible_sql, trimmed_sql
from analytics.times import time_sql
from contracts import CORRUPT
from contracts.ecommerce import EVENT_COLUMNS, MAX_RECORD_BYTES

# Spark fills it with the record's text when that has not as many fields as there are columns.
RAW_TEXT = "_corrupt_record"
# All text: what is wrong with a value is told by a rule with a name, not by the parser.
CSV_SCHEMA = ", ".join(f"{name} STRING" for name in (*EVENT_COLUMNS, RAW_TEXT))
CSV_OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": RAW_TEXT,
    "escape": '"',
    # What exports of databases have where there is no value.
    "nullValue": "\\N",
    # At more fields the parser fails, and the whole batch with it; no record has as many bytes.
    "maxColumns": str(MAX_RECORD_BYTES + 1),
}
# Otherwise the optimizer drops columns that are not used, and what is corrupt would depend on them.
SPARK_CONF = {
    "spark.sql.optimizer.enableCsvExpressionOptimization": "false",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
CLOCK_SKEW = timedelta(seconds=60)
# A longer key would not fit into PostgreSQL's indexes, which would fail the whole batch.
MAX_TEXT_LENGTH = 500

# With (?d) only a line feed ends a line, and none is left at the end of a trimmed text.
# A class of characters is looked up at once, one of ranges is not.
_UUID = "(?d)^{8}-{4}-{4}-{4}-{12}$".replace("{", "[0123456789abcdefABCDEF]{")
_NUMBER = "(?d)^[+-]?([0-9]{1,50}[.]?[0-9]{0,50}|[.][0-9]{1,50})([eE][+-]?[0-9]{1,3})?$"
# RFC 4180: a field that begins with a quote ends with one, and those within are doubled. Otherwise the parser
# takes the field as it is, with its quotes: where they are escaped by a backslash, or blanks or characters
# without width are before them. Java repeats a group with *+ without using the stack.
_BEFORE = rf"[{BLANK_CLASS}\\p{{Cf}}]*+"
_FIELD = rf'(?:"[^"]*+(?:""[^"]*+)*+"[ \\t\\r\\n]*+|(?!{_BEFORE}")[^,]*+)'
_QUOTED_WELL = rf"^{_FIELD}(?:,{_FIELD})*+\\z"
_LONGEST = len("2026-01-01T00:00:00.000000Z")
# Most are such texts already, and making one takes half as long as parsing a whole record.
_UTC_TEXT = (
    f"IF(endswith(event_timestamp, 'Z') AND octet_length(event_timestamp) <= {_LONGEST}"
    " AND substr(event_timestamp, 20, 1) IN ('Z', '.')"
    " AND substr(event_timestamp, 18, 2) <> '60' AND substr(event_timestamp, 12, 2) <> '24',"
    " event_timestamp, concat(CAST(moment AS STRING), 'Z'))"
)
# Binary, because that is faster than trimming a text.
_WITHOUT_LINE_END = (
    "substring(raw, 1, octet_length(raw) - CASE WHEN substring(raw, -2, 2) = x'0D0A' THEN 2"
    " WHEN substring(raw, -1, 1) = x'0A' THEN 1 ELSE 0 END)"
)
_IDS = ("user_id", "product_id")
_TEXTS = ("user_id", "product_id", "product_name", "product_category")
_REQUIRED = tuple(name for name in EVENT_COLUMNS if name != "price")

UNREADABLE = "unreadable_file"
# The first that holds names the refusal. The columns are trimmed texts, empty where there is none; `amount`
# is the price as NUMERIC(10,2) holds it, null when it is too large; `moment` the time, null when it is none.
RULES: dict[str, str] = {
    UNREADABLE: "line = 0",
    "wrong_header": "header IS NOT NULL",
    "record_too_long": f"octet_length(raw) > {MAX_RECORD_BYTES}",
    "invalid_utf8": "NOT is_valid_utf8(CAST(raw AS STRING))",
    "nul_character": "contains(raw, x'00')",
    CORRUPT: f"{RAW_TEXT} IS NOT NULL",
    "broken_quotes": f"contains(raw, x'22') AND NOT CAST(raw AS STRING) RLIKE '{_QUOTED_WELL}'",
    **{
        f"missing_{name}": f"{name} = ''{f' OR {is_nothing_sql(name)}' if name in _IDS else ''}"
        for name in _REQUIRED
    },
    **{
        f"{name}_too_long": f"octet_length(raw) > {MAX_TEXT_LENGTH} AND length({name}) > {MAX_TEXT_LENGTH}"
        for name in _TEXTS
    },
    **{f"invalid_{name}": f"NOT {name} RLIKE '{PLAIN_ID}' AND NOT ({is_visible_sql(name)})" for name in _IDS},
    "invalid_event_id": f"NOT event_id RLIKE '{_UUID}'",
    "invalid_event_type": "event_type NOT IN ('view', 'purchase')",
    "missing_price": "price = '' AND event_type = 'purchase'",
    "invalid_price": f"price <> '' AND amount IS NULL AND NOT price RLIKE '{_NUMBER}'",
    "negative_price": "startswith(price, '-') AND try_cast(price AS DOUBLE) < 0",
    "price_overflow": "price <> '' AND amount IS NULL",
    "invalid_timestamp": "moment IS NULL",
    "future_timestamp": "CAST(unix_micros(moment) AS DECIMAL(18,0)) > latest",
}
# Refusals of a whole file, in the words of the log.
WHOLE_FILES = {
    UNREADABLE: "it could not be read to its end; a retry of its dead letter reads it again",
    "wrong_header": f"its first line is not {','.join(EVENT_COLUMNS)}, so all its records are refused",
}


def judge(records: DataFrame, now: datetime) -> DataFrame:
    """Records (`file, line, raw, header`) with `reason`, null for those that count, `noted`, and the event.

    The event's columns are trimmed, `event_type` is in lower case, `price` DECIMAL(10,2) rounded
    half up and null for views, `event_timestamp` a text: ISO 8601 in UTC, with Z, to the microsecond at most;
    they mean nothing where there is a reason. `noted` has a line for each thing that a person should know of
    an event that counts, null without any.
    """
    text = F.expr(f"CAST(IF(octet_length(raw) <= {MAX_RECORD_BYTES}, {_WITHOUT_LINE_END}, NULL) AS STRING)")
    parsed = records.withColumn("record", F.from_csv(text, CSV_SCHEMA, CSV_OPTIONS))
    trimmed = parsed.select(
        "file", "line", "raw", "header", f"record.{RAW_TEXT}", *map(_trimmed, EVENT_COLUMNS)
    )
    typed = trimmed.withColumns(
        {
            "price": F.expr("IF(lower(price) = 'null', '', price)"),
            "amount": F.expr(
                f"IF(price <> '' AND price RLIKE '{_NUMBER}', try_cast(price AS DECIMAL(10,2)), NULL)"
            ),
            "moment": F.expr(time_sql("event_timestamp")),
            # As a decimal it is no part of the generated code, which need not be compiled for every batch.
            "latest": F.lit(Decimal((now + CLOCK_SKEW - _EPOCH) // timedelta(microseconds=1))),
        }
    )
    return typed.select(
        "file",
        "line",
        "header",
        "raw",
        _reason().alias("reason"),
        F.expr(f"nullif(concat_ws('\\n', {', '.join(map(_noted, _IDS))}), '') AS noted"),
        *[name for name in EVENT_COLUMNS if name not in ("price", "event_timestamp")],
        F.expr("IF(event_type = 'purchase', amount, NULL) AS price"),
        F.expr(f"{_UTC_TEXT} AS event_timestamp"),
    )


def _trimmed(name: str) -> Column:
    """Trim column `name` only where an end of it is no plain character: trimming costs as much as parsing."""
    text = f"coalesce(record.{name}, '')"
    plain = f"{text} BETWEEN '!' AND '~~' AND substr({text}, -1) BETWEEN '!' AND '~'"
    text = f"IF({plain}, {text}, {trimmed_sql(text)})"
    return F.expr(f"lower({text})" if name == "event_type" else text).alias(name)


def _noted(name: str) -> str:
    return f"IF({is_float_sql(name)}, '{name} as a float', NULL)"


def _reason() -> Column:
    cases = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in RULES.items())
    return F.expr(f"CASE {cases} END")
