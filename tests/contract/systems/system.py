"""What a pipeline must offer to be put through the contract: one class a system, records that are numbers."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client.parser import text_string_to_metric_families
from pyspark.sql import SparkSession

from pipelines.catalog import PIPELINES
from pipelines.engine.pipeline import ALL_PARTS
from settings import Settings
from sinks.dead_letters import Letter, RetryOutcome
from sinks.stream_letters import records_of
from tests.support.job import Job, environment_of
from tests.support.toxiproxy import Proxy

# What log and metrics have where records are written; the health pipeline has the seed's words for results.
RECORD_FIELDS = ("records_written", "duplicates", "rejected", "corrupt", "noted")
STREAM_METRICS = (
    *(f"records_{what}_total" for what in ("written", "inserted", "updated", "skipped", "deleted")),
    *(f"query_trigger_duration_seconds_{of}" for of in ("bucket{le,query}", "count{query}", "sum{query}")),
    *("query_input_rows_total{query}", "query_terminated_total{outcome,query}", "query_up{stream}"),
)
# What only Kafka can tell: how much waits, what was deleted before it was read.
KAFKA_METRICS = ("backlog_records{stream}", "offsets_lost_total{stream}")

# A session fixture by its name.
Given = Callable[[str], Any]


class System(ABC):
    """One pipeline with a folder, a source and a sink of its own.

    A good record is a number, and `written` tells which numbers are in the sink. A bad one is a number too,
    which is written once its letter was mended; an odd one is refused because it contradicts 0 where the
    system knows records by their content (`knows_content`).
    """

    name: ClassVar[str]
    # Where it is killed in the first batch, on an empty target, and in a later one: together after all steps
    # that change anything outside the process. The first series ends with the step that commits.
    killed_first: ClassVar[Sequence[str]]
    killed_later: ClassVar[Sequence[str]]
    part: ClassVar[str] = ALL_PARTS
    # The setting that says where the sink is, and the fixture with its server's address, if it has a server.
    sink_setting: ClassVar[str]
    sink_server: ClassVar[str] = ""
    knows_content: ClassVar[bool] = False
    # Whether a record that is read again is counted as one that was there; else its result is made anew.
    knows_records: ClassVar[bool] = True
    # Whether a second process with a checkpoint of its own is refused at the same sink.
    locks_sink: ClassVar[bool] = False
    reads_kafka: ClassVar[bool] = False
    # Whether what is read is known by its name alone, so that a new one of the same name is not read.
    knows_names: ClassVar[bool] = False
    # Whether readers are promised whole batches.
    whole_batches: ClassVar[bool] = True
    # What log lines and metrics have that not all systems have.
    own_fields: ClassVar[Sequence[str]] = RECORD_FIELDS
    own_metrics: ClassVar[Sequence[str]] = STREAM_METRICS
    log_files: ClassVar[str]
    metrics_file: ClassVar[str]

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.folder = folder
        self.spark = spark
        # Records beside the numbered ones that `send` has sent, and that are written.
        self.others = 0
        # The topic that has the records, where it is one of Kafka.
        self.topic = ""
        # Settings of this test alone.
        self.options: dict[str, Any] = {}
        # The way to the sink's server, where the test may cut it.
        self.door: Proxy | None = None

    @classmethod
    @abstractmethod
    def opened(cls, given: Given, folder: Path, spark: SparkSession) -> AbstractContextManager[System]:
        """One whose source and sink are empty, and gone after the block; `given` has session fixtures."""

    @abstractmethod
    def settings(self, fault: str = "") -> Settings:
        """The settings of a run."""

    @abstractmethod
    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        """Put records into the source, for one batch; how many they are."""

    @abstractmethod
    def run(self, fault: str = "", at_once: int = 1_000) -> bool:
        """Process what is there in this process, as `--once` does; a batch has at most `at_once` records."""

    @abstractmethod
    def written(self) -> list[int]:
        """The numbers that are in the sink, sorted, as often as they are there."""

    @abstractmethod
    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        """Try letters again, as `dlq retry` does."""

    @abstractmethod
    def make_source_anew(self) -> None:
        """Replace the source by an empty one of the same name."""

    def cut(self) -> None:
        """Take the sink's server, or its folder, away until `heal`."""
        assert self.door is not None
        self.door.cut()

    def heal(self) -> None:
        """Give it back as it was."""
        assert self.door is not None
        self.door.heal()

    @property
    def steps(self) -> Sequence[str]:
        """The steps of a batch at which FAULT can strike, in their order."""
        return PIPELINES[self.name].steps

    def seen(self) -> int:
        """How many good records a reader of the sink sees now."""
        return len(self.written())

    def staged(self) -> Sequence[object]:
        """What lies where batches are prepared."""
        return ()

    def check(self) -> None:  # noqa: B027 - most have nothing else
        """What else must hold of this system's sink at any time between two batches."""

    def told(self, _step: str) -> int:
        """How many times log and metrics tell a batch that ends after a step and comes again."""
        return 1

    def told_after_kills(self, first: int, later: int) -> list[int]:
        """How many records the log tells of each batch, after the first and a later one were killed.

        Between its report and the note of that, which is where the later one dies last, it is told twice.
        """
        return [first, later, later]

    def job(self) -> Job:
        """What starts processes."""
        return Job(self.folder, environment_of(self.settings()))

    def lose_commit(self) -> None:
        """Let Spark not know that it has done the last batch."""
        for commits in self.settings().checkpoint_location.rglob("commits"):
            numbers = (int(file.name) for file in commits.iterdir() if file.name.isdecimal())
            newest = commits / str(max(numbers))
            newest.unlink()
            newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)

    def lose_checkpoint(self) -> None:
        """Delete the checkpoint folder."""
        shutil.rmtree(self.settings().checkpoint_location)

    def letters(self) -> list[Letter]:
        """The dead letters."""
        return PIPELINES[self.name].open_letters(self.settings()).list()

    def refused(self) -> Counter[object]:
        """The records that are dead letters, by their place."""
        return Counter(
            (record.source, record.position)
            for letter in self.letters()
            for record in records_of(letter.record, letter.reason)
        )

    def mend(self, number: int) -> list[Letter]:
        """The letters of the bad record `number`, which would count now."""
        return [
            replace(letter, record={**letter.record, "records": [{**record, "raw": self.raw(number)}]})
            for letter in self.letters()
            for record in letter.record["records"]
            if self.is_of(number, record["raw"])
        ]

    def raw(self, number: int) -> str:
        """The good record `number` as it stands in the source."""
        raise NotImplementedError

    def is_of(self, number: int, raw: str) -> bool:
        """Whether a letter's record is the bad one of that number."""
        raise NotImplementedError

    def log(self) -> list[dict[str, Any]]:
        """The batch log's lines."""
        files = sorted(self.settings().log_directory.glob(self.log_files))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def metrics(self) -> dict[str, float]:
        """The values in the metrics file; names without the system's, labels as `name{label=value}`."""
        text = (self.settings().metrics_directory / self.metrics_file).read_text()
        return {
            f"{sample.name.removeprefix(f'{self.name}_')}{_labels(sample.labels)}": sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def _labels(labels: dict[str, str]) -> str:
    return f"{{{','.join(f'{name}={value}' for name, value in sorted(labels.items()))}}}" if labels else ""


def folders(folder: Path) -> dict[str, Path]:
    """The settings of where everything lies."""
    names = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
    return {name: folder / name for name in names}
