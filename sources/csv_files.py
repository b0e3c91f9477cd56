"""A folder of CSV files as a stream: Spark notes which files were read, the records come from csv_records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sources.csv_records import SCHEMA, read_files

# Of this format only the path is asked for, so Spark itself reads no content.
_FORMAT = "binaryFile"
_FORMAT_SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"
# By default Spark passes by files a week older than the newest, without a word.
_MAX_AGE = "36500d"


def new_files(spark: SparkSession, folder: Path, max_files: int) -> DataFrame:
    """A stream of the column `path`: files `*.csv` of `folder`, each once, the oldest first.

    Names that begin with a dot or an underscore are left alone: they are being written. A file that is
    written again under the same name is not read again.
    """
    # Spark takes the folder's name for a pattern.
    location = re.sub(r"([\\*?\[\]{}])", r"\\\1", str(folder.absolute()))
    reader = spark.readStream.format(_FORMAT).schema(_FORMAT_SCHEMA)
    reader = reader.option("maxFilesPerTrigger", max_files).option("pathGlobFilter", "*.csv")
    return reader.option("maxFileAge", _MAX_AGE).load(location).select("path")


def records(files: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The records of `files` (column `path`) as csv_records.SCHEMA, read on the executors."""
    return files.mapInArrow(partial(read_files, columns=tuple(columns)), SCHEMA)
