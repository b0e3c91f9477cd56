"""How JSON in Kafka is read, and what counts as JSON: by Spark SQL on the column `value`, or in Python."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

# Spark fills it with the text when that is no JSON, or a field of another type.
_FLAW = "_flaw"
_OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": _FLAW,
    "allowNonNumericNumbers": "false",
    "allowSingleQuotes": "false",
}


# A number of JSON as the value of a field, up to what has to follow it.
_NUMBER = r"(-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?)(?=\\s*[,}])"


def parsed(fields: str, exact: Iterable[str] = ()) -> str:
    """A struct whose `record` has `fields`, as `name: TYPE, …`; it means nothing unless `is_sound`.

    A text field gets of a number what a double makes of it (`1.1` for 1.10). A field with a name of `exact`,
    on whatever level, gets the digits as they were sent.
    """
    text, names = "CAST(value AS STRING)", "|".join(exact)
    if names:
        # In quotes they are texts. A quote that ends a name is the end of a text only where it is a name's.
        text = rf"""regexp_replace({text}, '("(?:{names})"\\s*:\\s*){_NUMBER}', '$1"$2"')"""
    # The parser stops at the end of the first value; only inside another one does what follows it matter.
    wrapped = f"""concat('{{"record":', {text}, ',"end":1}}')"""
    options = ", ".join(f"'{name}', '{value}'" for name, value in _OPTIONS.items())
    return f"from_json({wrapped}, 'record STRUCT<{fields}>, end INT, {_FLAW} STRING', map({options}))"


def is_sound(name: str) -> str:
    """Conditions joined by AND: `value` is UTF-8, and one JSON value, no more, that fits the struct `name`.

    `record` is null where that value is `null`.
    """
    return f"is_valid_utf8(CAST(value AS STRING)) AND {name}.{_FLAW} IS NULL AND {name}.end IS NOT NULL"


def read_object(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object that `value` is, None when it is anything else or not UTF-8.

    A number is a text of the digits that were sent, so none passes through a float.
    """
    try:
        text = (value or b"").decode("utf-8")
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# First bytes of records that are no JSON, and the format that begins so.
_HEADS = (
    (b"\xef\xbb\xbf", "JSON behind a byte order mark of UTF-8, which JSON must not have"),
    (b"\xff\xfe", "UTF-16 text, where UTF-8 is needed"),
    (b"\xfe\xff", "UTF-16 text, where UTF-8 is needed"),
    (b"Obj\x01", "an Avro container file"),
    (b"\x1f\x8b", "gzip; let Kafka's producer compress instead"),
    (b"\x28\xb5\x2f\xfd", "Zstandard; let Kafka's producer compress instead"),
    (b"PAR1", "Parquet"),
    (b"PK\x03\x04", "a ZIP file"),
)


def looks_like(value: bytes | None) -> str | None:
    """Guess from its first bytes what `value`, which is no JSON of ours, is; None without a guess."""
    if value is None:
        return "a tombstone: no value, only a key, which asks to delete what has that key"
    if not value.strip():
        return "an empty value"
    named = [what for head, what in _HEADS if value.startswith(head)]
    return named[0] if named else _coded(value)


def _coded(value: bytes) -> str | None:
    """Guess the coding of `value` where no mark at its beginning names it."""
    if (value[0] and value[1:2] == b"\x00") or (not value[0] and value[1:2] > b"\x00" == value[2:3]):
        return "UTF-16 text, where UTF-8 is needed"
    if not value[0] and len(value) > 5:
        what = "JSON" if value[5:6] in (b"{", b"[") else "Avro or Protobuf"
        schema = int.from_bytes(value[1:5], "big")
        return f"{what} behind the five bytes of a schema registry (schema {schema})"
    if 0x80 <= value[0] <= 0x8F or value[0] in (0xDE, 0xDF):
        return "MessagePack"
    # A first field that is a number, or a short text; what is printable is neither.
    is_text = value[0] % 8 == 2 and value[0] < 0x80 and 0 < len(value[2:]) >= value[1] < 0x20
    return "Protobuf" if value[0] == 0x08 or is_text else None
