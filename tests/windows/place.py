"""A checkout on drive C with a database of its own, beside a run on Linux over the same documents."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from simulation.health.population import Population
from tests.support.compare import RUN_FIELDS
from tests.support.fresh_mongo import fresh_mongo
from tests.support.job import HealthJob
from tests.windows.machine import Ended, Machine

_USERS, _DAYS = 15, 120
# Of the one document that is sure to be refused.
REFUSED_STEPS = -7
_STATE = ("spark-checkpoints", "dlq", "logs", "metrics")
_KEY = ("userId", "metricType", "timeRange")


@dataclass(frozen=True, slots=True)
class Place:
    """The checkout in `folder` of drive C, whose `.env` names the database of `job`."""

    machine: Machine
    folder: str
    job: HealthJob
    uri: str

    @property
    def on_disk(self) -> Path:
        """The folder as Linux sees it."""
        return self.machine.drive / self.folder

    def python(self, *arguments: str, **variables: str) -> Ended:
        """Run `python …` there to the end. Afterwards nothing lies in %TEMP% that was not there before."""
        before = self._left_over()
        ended = self.machine.run(self.folder, *arguments, **variables)
        self.assert_clean(before, ended)
        return ended

    def assert_clean(self, before: set[str], ended: Ended) -> None:
        """The temporary files of a run went with it, and so did each word of Windows' tools."""
        left = self._left_over() - before
        assert not left, f"left over in %TEMP%: {sorted(left)}"
        assert "taskkill" not in ended.text.lower(), ended.text
        assert "SUCCESS: The process" not in ended.text, ended.text

    def _left_over(self) -> set[str]:
        # Java's own note of which Javas run.
        return {path.name for path in self.machine.temporary.iterdir()} - {"hsperfdata_root"}

    def configure(self, encoding: str = "utf-8", **given: str) -> None:
        """Write `.env`."""
        values = {
            "MONGO_URI": self.uri, "MONGO_DB_NAME": self.job.database.name, "DEFAULT_LOOKBACK_DAYS": "3650",
            "HEALTH_PORT": "0", **given,
        }  # fmt: skip
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.on_disk / ".env").write_text(text, encoding=encoding)

    def forget(self) -> None:
        """As before the first run: no results, no state."""
        self.job.database["analytics"].delete_many({})
        for name in _STATE:
            shutil.rmtree(self.on_disk / name, ignore_errors=True)
            shutil.rmtree(self.job.folder / name, ignore_errors=True)

    def results(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What is stored, without what belongs to the run."""
        return {
            tuple(document[name] for name in _KEY): {
                name: value for name, value in document.items() if name not in RUN_FIELDS
            }
            for document in self.job.database["analytics"].find()
        }

    def letters(self, folder: Path | None = None) -> set[str]:
        """The ids of the dead letters there, or in `folder`."""
        files = ((folder or self.on_disk) / "dlq").glob("*.json")
        return {path.stem.rpartition("_")[2] for path in files}

    def linux_run(self) -> tuple[dict[tuple[Any, ...], dict[str, Any]], set[str]]:
        """What a run here stores of the same documents; afterwards nothing is stored."""
        self.forget()
        assert self.job.run(script="process_batch.py") == 0, self.job.output()
        found = self.results(), self.letters(self.job.folder)
        self.forget()
        return found


@contextmanager
def opened(machine: Machine, folder: str, uri: str) -> Iterator[Place]:
    """A place with a population, one of whose documents will be a dead letter."""
    with fresh_mongo(uri) as database, tempfile.TemporaryDirectory() as beside:
        _fill(database)
        place = Place(machine, folder, HealthJob(Path(beside), uri, database), uri)
        place.configure()
        yield place
        place.job.end()


def _fill(database: Database[dict[str, Any]]) -> None:
    now = datetime.now(timezone.utc)
    source = database["healthmetrics"]
    Population(seed=11, users=_USERS, days=_DAYS, today=now.date()).backfill(
        source, now - timedelta(minutes=5)
    )
    source.insert_one(
        {
            "userId": ObjectId(),
            "date": now,
            "source": "manual",
            "metrics": {"steps": REFUSED_STEPS},
            "updatedAt": now,
        }
    )
