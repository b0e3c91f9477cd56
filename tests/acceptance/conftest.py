"""Fixtures for whole runs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from simulation.health.population import Population
from tests.support.fake_backend import FakeBackend
from tests.support.job import HealthJob

# ACCEPTANCE_USERS=1000 makes the same runs large.
USERS = int(os.environ.get("ACCEPTANCE_USERS", "25"))
DAYS = 180


@pytest.fixture
def job(tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> Iterator[HealthJob]:
    """A job whose source holds a simulated population, all of it older than the poll's overlap."""
    now = datetime.now(timezone.utc)
    Population(seed=11, users=USERS, days=DAYS, today=now.date()).backfill(
        database["healthmetrics"], now - timedelta(minutes=5)
    )
    made = HealthJob(tmp_path, mongo_uri, database)
    yield made
    made.end()


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    """A strict backend that is up."""
    running = FakeBackend()
    yield running
    running.down()


@pytest.fixture
def small_job(tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> Iterator[HealthJob]:
    """A job of a few users, one of whose documents is a dead letter, for what does not depend on size."""
    now = datetime.now(timezone.utc)
    source = database["healthmetrics"]
    Population(seed=11, users=3, days=30, today=now.date()).backfill(source, now - timedelta(minutes=5))
    source.insert_one({"userId": ObjectId(), "date": now, "metrics": {"steps": -1}, "updatedAt": now})
    made = HealthJob(tmp_path, mongo_uri, database)
    yield made
    made.end()


@pytest.fixture
def edit(database: Database[dict[str, Any]]) -> Any:
    """Adds and edits days like the backend does: any user, any day, `updatedAt` now."""
    rng = random.Random(5)
    source = database["healthmetrics"]
    users = sorted(source.distinct("userId", {"userId": {"$type": "objectId"}}))

    def one() -> None:
        user = rng.choice(users)
        day = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        day -= timedelta(days=rng.randrange(0, 200))
        values = {"metrics.steps": rng.randrange(0, 20_000), "metrics.weight": rng.choice([None, 70.5, 81.0])}
        source.update_one(
            {"userId": user, "date": day},
            {"$set": {**values, "source": "manual", "updatedAt": datetime.now(timezone.utc)}},
            upsert=True,
        )

    return one
