"""JSON that Spark's parser refuses whole, or alters, read once more: field by field, by rules with names.

A whole number is whole also as `12.0` and as a text; an empty text is no value; a number in the place of a
text has the digits that were sent. All records are parsed with the fields' types, which is fast; only those
in which something is odd are parsed again, as texts. All of it is Spark SQL on the column `value`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from analytics.kafka_json import is_sound, parsed
from analytics.texts import (
    LONE_SURROGATE,
    PLAIN_ID,
    PLAIN_IDS,
    has_lone_surrogate_sql,
    is_nothing_sql,
    is_visible_sql,
    let,
    trimmed_sql,
)
from contracts import CORRUPT

_JSON = "CAST(value AS STRING)"
_NUMBER = r"^[+-]?([0-9]{1,#}[.]?[0-9]{0,#}|[.][0-9]{1,#})([eE][+-]?[0-9]{1,3})?\\z"
# The parser takes no number of more digits.
_DIGITS, _DIGITS_OF_WHOLE = "1000", "40"
_EXACT = "DECIMAL(38,18)"
# Of a key they are no ids.
_TRUTHS = "('true', 'false')"


def is_id(name: str) -> bool:
    """Whether the values of the field `name` are ids."""
    return name.endswith("_id")


def is_odd(record: str, texts: Collection[str], key: str) -> str:
    """The condition that a parsed record has to be read by `mended`; `texts` are its fields of that type."""
    made = " OR ".join(_is_made(name, f"{record}.{name}") for name in texts)
    others = [f"{record}.{name}" for name in texts if is_id(name) and name != key]
    joined = f"concat_ws('\\n', {', '.join(others)})"
    return " OR ".join(
        [
            f"NOT coalesce({record}.{key} RLIKE '{PLAIN_ID}' AND {record}.{key} NOT IN {_TRUTHS}, false)",
            f"NOT {joined} RLIKE '{PLAIN_IDS}'",
            *(f"coalesce({is_nothing_sql(other)}, false)" for other in others),
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

    Ids are trimmed.
    """
    texts = parsed(", ".join(f"{name}: STRING" for name in fields), exact=fields)
    typed = ", ".join(
        f"'{name}', {_id(name, key) if is_id(name) else _typed(f's.record.{name}', kind)}"
        for name, kind in fields.items()
    )
    hidden = " ".join(
        f"WHEN NOT ({is_visible_sql(f'r.{name}')}) THEN 'invalid_{name}'" for name in fields if is_id(name)
    )
    wrong = " ".join(
        f"WHEN r.{name} IS NULL AND {trimmed_sql(f's.record.{name}')} <> '' THEN 'invalid_{name}'"
        for name, kind in fields.items()
        if kind != "STRING"
    )
    reason = (
        f"CASE WHEN NOT ({is_sound('s')}) OR s.record IS NULL THEN '{CORRUPT}'"
        f" WHEN {has_lone_surrogate_sql(_JSON)} THEN '{LONE_SURROGATE}'"
        f" WHEN r.{key} IN {_TRUTHS} OR (substr(r.{key}, 1, 1) IN ('{{', '[')"
        f" AND try_parse_json(r.{key}) IS NOT NULL) THEN 'invalid_{key}' {hidden} {wrong} END"
    )
    return let(
        texts, "s", let(f"named_struct({typed})", "r", f"named_struct('record', r, 'reason', {reason})")
    )


def _id(name: str, key: str) -> str:
    """Without the white space around it; a word for nothing is no id, which only of the `key` is a fault."""
    text = trimmed_sql(f"s.record.{name}")
    return text if name == key else let(text, "t", f"IF({is_nothing_sql('t')}, NULL, t)")


def _typed(text: str, kind: str) -> str:
    plain = trimmed_sql(text)
    if kind == "STRING":
        return text
    if kind == "BOOLEAN":
        words = "'true', true, '1', true, '1.0', true, 'false', false, '0', false, '0.0', false"
        return f"map({words})[lower({plain})]"
    digits = _DIGITS if kind == "DOUBLE" else _DIGITS_OF_WHOLE
    number = f"IF({plain} RLIKE '{_NUMBER.replace('#', digits)}', {plain}, NULL)"
    if kind == "DOUBLE":
        return f"try_cast({number} AS DOUBLE)"
    whole = f"IF(n = floor(n), try_cast(n AS {kind}), NULL)"
    return let(f"try_cast({number} AS {_EXACT})", "n", whole)
