"""People whose days come into a real MongoDB as the backend writes them, to see the health pipeline at work.

`./pulse simulate --help` tells how.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from contracts import ConfigurationError, ServiceError, StoppedError
from contracts.health import SOURCE_COLLECTION
from settings import load
from simulation.health.population import Population
from simulation.program import run_program, stop_on_signals
from sources.mongo_client import connect, ping


def main(
    seconds: Annotated[float, typer.Option(min=0, help="How long to go on; 0: until Ctrl+C.")] = 0,
    per_second: Annotated[float, typer.Option(min=0.1, help="Changed days in a second.")] = 1,
    users: Annotated[int, typer.Option(min=1, help="How many people.")] = 40,
    days: Annotated[int, typer.Option(min=1, help="How many days of history they begin with.")] = 120,
    seed: Annotated[int, typer.Option(help="For the same people again.")] = 7,
) -> None:
    """Write invented people into healthmetrics of MONGO_DB_NAME on MONGO_URI, which must hold no others."""
    settings = load()
    database = connect(settings.mongo_uri.get_secret_value())[settings.mongo_db_name]
    source, now = database[SOURCE_COLLECTION], datetime.now(timezone.utc)
    population, stop, count = Population(seed, users, days, now.date()), stop_on_signals(), 0
    ends = time.monotonic() + seconds if seconds else float("inf")
    try:
        ping(database, settings.mongo_timeout_seconds)
        if source.find_one({"userId": {"$nin": population.ids}}, {"_id": 1}):
            raise ConfigurationError(
                f"{SOURCE_COLLECTION} of {settings.mongo_db_name} holds other people than those of "
                f"--seed {seed} --users {users}: give invented ones a database of their own, MONGO_DB_NAME."
            )
        if not source.find_one({}, {"_id": 1}):
            typer.echo(f"{population.backfill(source, now)} days of {users} people written.")
        while time.monotonic() < ends and not stop.is_set():
            population.live_change(source, datetime.now(timezone.utc))
            count += 1
            stop.wait(1 / per_second)
    except PyMongoError as error:
        raise ServiceError(f"MONGO_URI: {type(error).__name__}; start the server or correct it.") from error
    typer.echo(f"{count} days changed.")
    if seconds and time.monotonic() < ends:
        raise StoppedError("Stopped before --seconds had passed.")


if __name__ == "__main__":
    run_program(main)
