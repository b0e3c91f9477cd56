"""`main.py checkpoint`: the cursor, from when on changes are processed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer

from commands.common import parse_time, prepare
from pipelines.health.job import open_cursor

app = typer.Typer(help="The cursor: from when on changes are processed.")


@app.command("show")
def checkpoint_show() -> None:
    """The cursor and where it comes from."""
    state = open_cursor(prepare()).read(_local_now())
    typer.echo(f"{state.timestamp.isoformat().replace('+00:00', 'Z')} ({state.origin})")


@app.command("set")
def checkpoint_set(
    when: Annotated[str, typer.Argument(help="ISO 8601; without an offset it is UTC.")],
) -> None:
    """Reprocess what changed since WHEN; safe while the job runs."""
    cursor = open_cursor(prepare())
    cursor.set(parse_time(when), _local_now())
    checkpoint_show()


@app.command("reset")
def checkpoint_reset() -> None:
    """Remove the cursor: the next run starts 30 days ago."""
    open_cursor(prepare()).reset()
    checkpoint_show()


def _local_now() -> datetime:
    return datetime.now(timezone.utc)
