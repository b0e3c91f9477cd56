"""The health pipeline: a user's first document is a record, and that user's average the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pyspark.sql import SparkSession

from contracts.health import RESULTS_COLLECTION, SOURCE_COLLECTION
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline, assemble
from pipelines.health.polling import open_poll
from pipelines.health.stores import open_cursor, open_database
from settings import Settings, load
from sinks.dead_letters import Letter, RetryOutcome
from sinks.health.indexes import ensure_indexes
from tests.contract.systems.system import Given, System, folders
from tests.support.compare import assert_same_analytics
from tests.support.fresh_mongo import fresh_mongo
from tests.support.reference import reference_analytics


class Health(System):
    """A bad record's date is no date."""

    name = "health"
    killed_first = ("compute", "write", "save")
    killed_later = ("write", "dead_letters", "save")
    sink_setting, sink_server = "MONGO_URI", "mongo_uri"
    knows_records = False
    # It writes results, not records.
    own_fields = (
        "users", "analytics_computed", "analytics_written", "analytics_inserted", "analytics_updated",
        "analytics_skipped", "analytics_deleted",
    )  # fmt: skip
    # Its poll, its audit and its indexes are measured too.
    own_metrics = (
        "ahead_documents", "ahead_seconds", "analytics_deleted_total", "analytics_inserted_total",
        "analytics_skipped_total", "analytics_updated_total", "analytics_written_total", "backlog_documents",
        "batch_stale_users", "commit_lateness_max_seconds", "commit_lateness_seconds_bucket{le}",
        "commit_lateness_seconds_count", "commit_lateness_seconds_sum", "cursor_recoveries_total{origin}",
        "duplicates_removed_total", "index_missing{index}", "indexes_made_total{index}",
        "newest_processed_timestamp_seconds",
        "poll_lag_seconds", "poll_overlap_seconds", "reconciliation_drift_users{kind}",
        "reconciliation_healed_users_total{kind}", "reconciliation_interval_seconds",
        "reconciliation_timestamp_seconds", "unknown_source_total",
        "unseen_documents{kind}",
    )  # fmt: skip
    # Each user's results stand for themselves.
    whole_batches = False
    log_files = "batch_logs_*.jsonl"
    metrics_file = "spark_analytics_metrics.prom"

    def __init__(
        self, folder: Path, spark: SparkSession, uri: str, database: Database[dict[str, Any]]
    ) -> None:
        super().__init__(folder, spark)
        self._uri, self._database = uri, database
        self._changed = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=3)
        self._has_sent = False
        # Whose documents went with the source that was made anew.
        self._gone: list[ObjectId] = []

    @classmethod
    @contextmanager
    def opened(cls, given: Given, folder: Path, spark: SparkSession) -> Iterator[System]:
        with fresh_mongo(given("mongo_uri")) as database:
            yield cls(folder, spark, given("mongo_uri"), database)

    def settings(self, fault: str = "") -> Settings:
        given = {"mongo_uri": self._uri, "mongo_db_name": self._database.name, "poll_overlap_seconds": 0}
        given |= {**folders(self.folder), "health_port": 0, "fault": fault, **self.options}
        return load(env_file=None, **given)

    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        day = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        documents = [_document(number, f"{day:%d.%m.%Y}") for number in bad]
        documents += [_document(number, day) for number in good]
        for document in documents:
            self._changed += timedelta(milliseconds=1)
            document["updatedAt"] = self._changed
        self._database[SOURCE_COLLECTION].insert_many(documents)
        # A new process polls the newest one of before again.
        again = int(self._has_sent)
        self._has_sent = True
        self.others += again
        return len(documents) + again

    def make_source_anew(self) -> None:
        # Their results go with the next full pass.
        self._gone = self._database[SOURCE_COLLECTION].distinct("userId")
        self._database[SOURCE_COLLECTION].drop()

    def pipeline(self, fault: str = "") -> HealthPipeline:
        """As a fresh process would build it."""
        settings = self.settings(fault)
        database, clock = open_database(settings)
        source, target = database[SOURCE_COLLECTION], database[RESULTS_COLLECTION]
        cursor = open_cursor(settings)
        poll = open_poll(settings, source, cursor)
        poll.ensure_index()
        ensure_indexes(target)
        return assemble(settings, self.spark, source, target, clock, cursor, poll)

    def run(self, fault: str = "", at_once: int = 1_000) -> bool:  # noqa: ARG002 - it has none of others
        pipeline, stop = self.pipeline(fault), StopFlag()
        # A failed pass comes again with the next trigger.
        return pipeline.once(stop) or pipeline.once(stop)

    def written(self) -> list[int]:
        averages = self._database[RESULTS_COLLECTION].find({"metricType": "steps", "timeRange": "7day"})
        return sorted(int(str(one["userId"]), 16) for one in averages)

    def check(self) -> None:
        documents = list(self._database[SOURCE_COLLECTION].find())
        expected = reference_analytics(documents, "UTC", datetime.now(timezone.utc).date())
        found = self._database[RESULTS_COLLECTION].find({"userId": {"$nin": self._gone}})
        assert_same_analytics(list(found), expected)

    def told(self, step: str) -> int:
        # It reports after it has saved the cursor: what dies in between is done, and told by nobody.
        return 0 if step == "save" else 1

    def told_after_kills(self, first: int, later: int) -> list[int]:  # noqa: ARG002 - as above
        # Both died between the cursor and the report; the newest record is polled again.
        return [1]

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        return self.pipeline().letters.run(letters)

    def refused(self) -> Counter[object]:
        return Counter(letter.record["_id"] for letter in self.letters())

    def mend(self, number: int) -> list[Letter]:
        day = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        self._changed += timedelta(milliseconds=1)
        self._database[SOURCE_COLLECTION].update_one({"userId": _user(number)}, {"$set": {"date": day}})
        return [letter for letter in self.letters() if letter.user_id == str(_user(number))]


def _document(number: int, day: datetime | str) -> dict[str, Any]:
    return {"userId": _user(number), "date": day, "metrics": {"steps": 1000 + number}, "source": "manual"}


def _user(number: int) -> ObjectId:
    return ObjectId(f"{number:024x}")
