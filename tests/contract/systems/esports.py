"""The esports pipeline's stream of matches: Kafka to Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES
from pipelines.esports.job import assemble_retry
from settings import Settings
from sinks.dead_letters import Letter, RetryOutcome
from tests.contract.systems.on_kafka import OnKafka
from tests.contract.systems.system import KAFKA_METRICS, RECORD_FIELDS, STREAM_METRICS, Given, System
from tests.support.arena import Arena, Topics, match
from tests.support.taken_away import give_back, take_away


class Esports(OnKafka):
    """A record is a match; a bad one has text for a number."""

    name = "esports"
    killed_first = ("stage", "commit")
    killed_later = ("dead_letters", "sync", "report")
    part = "matches"
    sink_setting = "ESPORTS_OUTPUT_PATH"
    locks_sink = True
    # It has two streams, and measures Spark's queries also where they end by themselves.
    own_fields = (*RECORD_FIELDS, "stream")
    own_metrics = (*STREAM_METRICS, *KAFKA_METRICS)
    log_files = "esports_batch_logs_*.jsonl"
    metrics_file = "esports_metrics.prom"

    def __init__(self, folder: Path, spark: SparkSession, topics: Topics) -> None:
        super().__init__(folder, spark, topics, topics.matches)
        self._topics = topics

    @classmethod
    @contextmanager
    def opened(cls, given: Given, folder: Path, spark: SparkSession) -> Iterator[System]:
        topics = Topics(given("kafka"))
        topics.create(topics.matches)
        topics.create(topics.players)
        yield cls(folder, spark, topics)
        topics.remove()

    def _arena(self, fault: str = "", at_once: int = 1_000) -> Arena:
        options = {"kafka_max_offsets_per_trigger": at_once, "retry_base_seconds": 0.1, "fault": fault}
        return Arena(self.folder, self._topics, self.spark, **{**options, **self.options})

    def settings(self, fault: str = "") -> Settings:
        return self._arena(fault).settings

    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        values = [*map(match, good), *(match(number, team_1_kills="many") for number in bad)]
        self._topics.send(self._topics.matches, values)
        return len(values)

    def cut(self) -> None:
        take_away(self.settings().esports_output_path)

    def heal(self) -> None:
        give_back(self.settings().esports_output_path)

    def run(self, fault: str = "", at_once: int = 1_000) -> bool:
        return self._arena(fault, at_once).run(MATCHES)

    def written(self) -> list[int]:
        return sorted(int(name[1:]) for name in self._arena().ids("matches"))

    def staged(self) -> Sequence[object]:
        return list((self.settings().esports_output_path / ".staging" / "matches").rglob("*.parquet"))

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        return assemble_retry(self.settings(), self.spark).retry(letters)

    def raw(self, number: int) -> str:
        return json.dumps(match(number))

    def is_of(self, number: int, raw: str) -> bool:
        return bool(json.loads(raw)["match_id"] == f"M{number}")
