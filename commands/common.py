"""What every command needs: settings with logs set up, times as people write them, faults as one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import typer
from pymongo.errors import PyMongoError

from checkpoint.cursor import parse_timestamp
from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from monitoring import logs
from settings import Settings, load, unknown_keys


def prepare(**overrides: Any) -> Settings:
    """Settings, with logging configured and unknown keys of `.env` told."""
    settings = load(**overrides)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    for line in unknown_keys():
        logs.get_logger(__name__).warning(line)
    return settings


def parse_time(text: str) -> datetime:
    """ISO 8601 text as UTC. Raises ConfigurationError with examples."""
    try:
        return parse_timestamp(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None


def guarded(call: Callable[[], Any]) -> int:
    """Run `call`; faults that a person can mend become one line on stderr and exit code 2."""
    try:
        call()
    except (ConfigurationError, AlreadyRunningError) as error:
        typer.echo(f"❌ {error}", err=True)
        return 2
    except ServiceError as error:
        typer.echo(f"❌ {error}", err=True)
        return 1
    except PyMongoError as error:
        typer.echo(f"❌ {logs.redact(_mongo_remedy(error))}", err=True)
        return 2
    return 0


def _mongo_remedy(error: PyMongoError) -> str:
    first_line = str(error).partition(", Timeout:")[0]
    name = type(error).__name__
    return f"MongoDB at MONGO_URI does not answer as needed ({name}: {first_line}). Check MONGO_URI."
