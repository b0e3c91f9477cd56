"""The good records of a batch as Parquet, and the numbers of all of them, in one pass."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from analytics.esports.rules import ODD, ORIGIN_FIELDS, Dataset, published
from contracts import ServiceError, most
from sources.kafka_stream import MAX_AHEAD_MS, Span

_REFUSED = "reason IS NOT NULL AND NOT known"
_GOOD = "reason IS NULL AND NOT known"
# `partition`, `offset` and `reason` of a refused record.
Refusal = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """Numbers of records: seen, written, and known before.

    `expired` ones were read although Kafka had deleted them; `untimed` ones have no time of Kafka's; `noted`
    counts what a person should know of those written.
    """

    refused: list[Refusal]
    records: int
    written: int
    known: int
    expired: int
    untimed: int
    noted: dict[str, int]

    def joined(self, judged: Written) -> Written:
        """This and what became of its odd records."""
        return replace(
            self,
            refused=[place for place in self.refused if place["reason"] != ODD] + judged.refused,
            written=self.written + judged.written,
            untimed=self.untimed + judged.untimed,
            noted=most(Counter(self.noted) + Counter(judged.noted)),
        )


def write_good(
    judged: DataFrame, dataset: Dataset, folder: Path, tasks: int, expired: str = "false"
) -> Written:
    """Write what counts and is not `known` below `folder`; `expired` is a condition on records to count.

    All is counted while it is written: nothing is read for it once more.
    """
    observation = Observation()
    now_ms = time.time_ns() // 1_000_000
    # A record dated ahead would count as the newest until that time. As a decimal the time is no part of the
    # generated code, which Java would have to compile for every batch.
    latest = f"{now_ms + MAX_AHEAD_MS}BD"
    time_of = f"IF(CAST(unix_millis(timestamp) AS DECIMAL(18,0)) <= {latest}, timestamp, NULL)"
    # What follows is not moved before the counting, so each record is parsed once.
    observed = judged.drop("value").observe(
        observation,
        F.count(F.lit(1)).alias("records"),
        F.expr(f"count(IF({_GOOD}, 1, NULL))").alias("written"),
        F.expr("count(IF(known, 1, NULL))").alias("known"),
        F.expr(f"count(IF({expired}, 1, NULL))").alias("expired"),
        F.expr(f"count(IF({_GOOD} AND {time_of} IS NULL, 1, NULL))").alias("untimed"),
        # As text, because pyspark cannot take a list out of an observation.
        F.expr(f"to_json(collect_list(IF({_REFUSED}, struct(partition, offset, reason), NULL)))").alias(
            "refused"
        ),
        F.expr(f"to_json(collect_list(IF({_GOOD}, noted, NULL)))").alias("noted"),
    )
    kafka = ("topic", "partition", "offset", time_of)
    origin = [f"{column} AS {name}" for column, name in zip(kafka, ORIGIN_FIELDS, strict=True)]
    good = observed.where(_GOOD).selectExpr(*published(dataset), *origin, *dataset.partitions)
    writer = good.coalesce(tasks).write.mode("append").partitionBy(*dataset.partitions)
    # As text, not as a URI: Hadoop does not decode it.
    writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").parquet(f"file://{folder}")
    found = observation.get
    refused = json.loads(found["refused"])
    numbers = {name: int(found[name]) for name in ("records", "written", "known", "expired", "untimed")}
    noted = Counter(line for lines in json.loads(found["noted"]) for line in lines.split("\n"))
    return Written(refused, **numbers, noted=most(noted))


def all_there(read: int, wanted: int) -> None:
    """Raises ServiceError when of the `wanted` records of a batch only some could be read once more."""
    if read != wanted:
        raise ServiceError(
            f"Of {wanted} records {read} were there when they were read again: "
            "Kafka deletes them right now. The batch comes again."
        )


def ranges_condition(ranges: Span) -> str:
    """The condition of Spark SQL that a record lies in one of the ranges."""
    return " OR ".join(
        [
            "false",
            *(
                f"(partition = {partition} AND offset >= {first} AND offset < {after})"
                for (_, partition), (first, after) in ranges.items()
            ),
        ]
    )
