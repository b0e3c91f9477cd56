"""`main.py config`: every setting, its value and where that comes from, without secrets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.table import Column
from rich.text import Text

from commands.common import AsJson
from commands.terminal import console, print_json, table
from contracts.secret_values import secret_kafka_options
from monitoring import logs
from monitoring.redaction import MASK

if TYPE_CHECKING:
    from settings import Settings


def config(as_json: AsJson = False) -> None:
    """Every setting, its value (secrets masked) and its origin: default, .env or environment."""
    from commands.setting_names import remarks, unknown_keys
    from settings import load

    settings = load()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json, sys.stderr)
    rows = setting_rows(settings)
    if as_json:
        values = [dict(zip(("name", "value", "origin"), row, strict=True)) for row in rows]
        print_json({"settings": values, "unknown": unknown_keys(), "remarks": remarks()})
        return
    shown = table(Column("setting", no_wrap=True), Column("value", overflow="fold"), "origin")
    for name, value, where in rows:
        shown.add_row(name, value, Text(where, "" if where == "default" else "green"))
    console().print(shown)
    for line in remarks():
        console().print(Text(f"⚠️  {line}", "yellow"))


def setting_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """The name of each setting, its value without secrets, and its origin."""
    from commands.setting_names import origins

    origin = origins()
    rows = [
        (name.upper(), _shown(getattr(settings, name)), origin[name]) for name in type(settings).model_fields
    ]
    secret = set(secret_kafka_options(settings.kafka_options))
    return rows + [
        (f"kafka option {name}", MASK if value in secret else logs.redact(value), "environment or .env")
        for name, value in settings.kafka_options.items()
    ]


def _shown(value: Any) -> str:
    """The value as it would stand in `.env`; of an address only what is secret in it is masked."""
    from pydantic import SecretStr

    if value is None:
        return ""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return logs.redact(text) if "://" in text else MASK * bool(text)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else logs.redact(str(value))
