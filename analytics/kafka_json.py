"""How JSON in Kafka is read, and what counts as JSON: texts of Spark SQL on the column `value`."""

from __future__ import annotations

# Spark fills it with the text when that is no JSON, or a field of another type.
_FLAW = "_flaw"
_OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": _FLAW,
    "allowNonNumericNumbers": "false",
    "allowSingleQuotes": "false",
}


def parsed(fields: str) -> str:
    """A struct whose `record` has `fields`, as `name: TYPE, …`; it means nothing unless `is_sound`."""
    # The parser stops at the end of the first value; only inside another one does what follows it matter.
    wrapped = """concat('{"record":', CAST(value AS STRING), ',"end":1}')"""
    options = ", ".join(f"'{name}', '{value}'" for name, value in _OPTIONS.items())
    return f"from_json({wrapped}, 'record STRUCT<{fields}>, end INT, {_FLAW} STRING', map({options}))"


def is_sound(name: str) -> str:
    """Conditions joined by AND: `value` is UTF-8, and one JSON value, no more, that fits the struct `name`.

    `record` is null where that value is `null`.
    """
    return f"is_valid_utf8(CAST(value AS STRING)) AND {name}.{_FLAW} IS NULL AND {name}.end IS NOT NULL"
