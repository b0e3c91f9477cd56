"""Starts the query of a stream, the same way for every pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from checkpoint.stream_folder import begin_anew, damage, drop_lone_checksums, is_begun
from monitoring.logs import get_logger
from pipelines.engine.supervisor import BatchFunction, StartAnewError

logger = get_logger(__name__)


def start_query(
    name: str, frame: DataFrame, batch: BatchFunction, checkpoint: Path, interval_seconds: float, once: bool
) -> StreamingQuery:
    """Hand each micro-batch of `frame` to `batch`, every `interval_seconds`, or `once` what is there.

    `checkpoint` is the query's folder.
    """
    writer = frame.writeStream.queryName(name).foreachBatch(batch)
    writer = writer.option("checkpointLocation", address_of(checkpoint))
    if once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(interval_seconds * 1000)} milliseconds").start()


def address_of(folder: Path) -> str:
    """The address of `folder` as Spark takes it: as text, in which it decodes no escapes."""
    return f"file:///{folder.absolute().as_posix().lstrip('/')}"


class QueryFolder:
    """The `folder` that Spark keeps for the query `name`.

    A new one has `beginning`: files by their names.
    """

    def __init__(self, name: str, folder: Path, beginning: Mapping[str, bytes]) -> None:
        self._name = name
        self._folder = folder
        self._beginning = beginning
        self._was_begun = False

    def prepare(self) -> None:
        """Let the query begin anew where Spark could not go on. Raises OSError."""
        fault = damage(self._folder)
        if fault is None and self._was_begun and not is_begun(self._folder):
            fault = "it was removed under the query"
        if fault is None:
            drop_lone_checksums(self._folder)
        else:
            before = begin_anew(self._folder, self._beginning)
            logger.warning(
                f"🩹 {self._name}: Spark's checkpoint {self._folder} was damaged ({fault}) and begins anew: "
                f"nothing is lost or written twice. What was left of it is in {before}"
            )
        self._was_begun = False

    def look(self) -> None:
        """The query runs. Raises StartAnewError when its folder is gone."""
        self._was_begun = True
        if not is_begun(self._folder):
            raise StartAnewError(f"{self._folder} was removed")
