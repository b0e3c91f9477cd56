"""JSON that Spark's parser refuses whole, or alters, read once more: field by field, by rules with names.

A whole number is whole also as `12.0` and as a text; an empty text is no value; a number in the place of a
text has the digits that were sent. All records are parsed with the fields' types, which is fast; only those
in which something is odd are parsed again, as texts. All of it is Spark SQL on the column `value`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from analytics.kafka_json import is_sound, parsed
from analytics.texts import LONE_SURROGATE, PLAIN_ID, has_lone_surrogate_sql, is_visible_sql, let, trimmed_sql
from contracts import CORRUPT

_JSON = "CAST(value AS STRING)"
_NUMBER = r"^[+-]?([0-9]{1,40}[.]?[0-9]{0,40}|[.][0-9]{1,40})([eE][+-]?[0-9]{1,3})?\\z"
_EXACT = "DECIMAL(38,18)"


def is_odd(record: str, texts: Collection[str], key: str) -> str:
    """The condition that a parsed record has to be read by `mended`; `texts` are its fields of that type."""
    made = " OR ".join(_is_made(name, f"{record}.{name}") for name in texts)
    return " OR ".join(
        [
            f"NOT coalesce({record}.{key} RLIKE '{PLAIN_ID}', false)",
            rf"(contains({_JSON}, '\\u') AND {_JSON} RLIKE '\\\\u[dD][89abcdefABCDEF]')",
            made,
        ]
    )


def _is_made(name: str, text: str) -> str:
    """Whether the field `name` is a number of which the parser made another `text`.

    It makes 1.1 of 1.10, 0 of -0, 100000.0 of 1e5, and "Infinity", in quotes, of 1e999.
    """
    may_be = f"contains({text}, '.') OR {text} = '0' OR startswith({text}, '\"')"
    number = rf"""{_JSON} RLIKE '"{name}"\\s*:\\s*(?:-0|-?[0-9]+[.eE])'"""
    return f"(coalesce({text}, 'none') < ':' AND ({may_be}) AND {number})"


def mended(fields: Mapping[str, str], key: str) -> str:
    """A struct of `record`, with `fields`, and `reason`, null where each field is a value of its type.

    `key` is trimmed.
    """
    texts = parsed(", ".join(f"{name}: STRING" for name in fields), exact=fields)
    typed = ", ".join(
        f"'{name}', {trimmed_sql(f's.record.{name}') if name == key else _typed(f's.record.{name}', kind)}"
        for name, kind in fields.items()
    )
    wrong = " ".join(
        f"WHEN r.{name} IS NULL AND {trimmed_sql(f's.record.{name}')} <> '' THEN 'invalid_{name}'"
        for name, kind in fields.items()
        if kind != "STRING"
    )
    reason = (
        f"CASE WHEN NOT ({is_sound('s')}) OR s.record IS NULL THEN '{CORRUPT}'"
        f" WHEN {has_lone_surrogate_sql(_JSON)} THEN '{LONE_SURROGATE}'"
        f" WHEN NOT ({is_visible_sql(f'r.{key}')}) OR (substr(r.{key}, 1, 1) IN ('{{', '[')"
        f" AND try_parse_json(r.{key}) IS NOT NULL) THEN 'invalid_{key}' {wrong} END"
    )
    return let(
        texts, "s", let(f"named_struct({typed})", "r", f"named_struct('record', r, 'reason', {reason})")
    )


def _typed(text: str, kind: str) -> str:
    plain = trimmed_sql(text)
    if kind == "STRING":
        return text
    if kind == "BOOLEAN":
        words = "'true', true, '1', true, '1.0', true, 'false', false, '0', false, '0.0', false"
        return f"map({words})[lower({plain})]"
    number = f"IF({plain} RLIKE '{_NUMBER}', {plain}, NULL)"
    if kind == "DOUBLE":
        return f"try_cast({number} AS DOUBLE)"
    whole = f"IF(n = floor(n), try_cast(n AS {kind}), NULL)"
    return let(f"try_cast({number} AS {_EXACT})", "n", whole)
