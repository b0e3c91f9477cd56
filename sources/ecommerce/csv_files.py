"""A folder of CSV files as a stream: Spark notes which files were read, the records come from csv_reader."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from sources.ecommerce.csv_reader import SCHEMA, read_files

# Spark itself opens no file: its reader fails at some names, and the whole batch with it.
_FORMAT = "binaryFile"
_FORMAT_SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"
_ENDING = ".csv"
_GLOB = "[!._]*.[cC][sS][vV]"
# By default Spark passes by files a week older than the newest, without a word, and one may be dated 2200.
_MAX_AGE = "365000d"


def new_files(spark: SparkSession, folder: Path, max_files: int) -> DataFrame:
    """A stream of files `*.csv` of `folder`, in any case, each once, the oldest first.

    `files_of_batch` gives the files of a batch; the rows of the batch must not be read. Names that begin with
    a dot or an underscore are left alone. A file that is written again under the same name is not read again;
    read_files finds it.
    """
    # Spark takes the folder's name for a pattern.
    location = re.sub(r"([\\*?\[\]{}])", r"\\\1", str(folder.absolute()))
    reader = spark.readStream.format(_FORMAT).schema(_FORMAT_SCHEMA)
    reader = reader.option("maxFilesPerTrigger", max_files).option("pathGlobFilter", _GLOB)
    return reader.option("maxFileAge", _MAX_AGE).load(location).select("path")


def files_of_batch(checkpoint: Path, number: int) -> list[str]:
    """The files of a batch, by what Spark noted in the stream's checkpoint before the batch began.

    It includes files that are gone by now. Raises OSError when the checkpoint cannot be read.
    """
    before = offset_of_batch(checkpoint, number - 1) if number else -1
    found = []
    for offset in range(before + 1, offset_of_batch(checkpoint, number) + 1):
        for line in _log(checkpoint / "sources" / "0", offset):
            entry = json.loads(line)
            if entry["batchId"] == offset:
                found.append(path_of(entry))
    return found


def noted_files(checkpoint: Path) -> int:
    """How many files Spark has noted as read in the stream's checkpoint, or some more. Raises OSError."""
    notes = checkpoint / "sources" / "0"
    newest = max(notes.glob("[0-9]*.compact"), key=lambda file: int(file.stem), default=None)
    files = [file for file in notes.glob("[0-9]*") if file.name.isdecimal()] + ([newest] if newest else [])
    return sum(max(0, file.read_bytes().count(b"\n")) for file in files)


def path_of(entry: Mapping[str, Any]) -> str:
    """The path of a file that Spark noted."""
    return re.sub("^file:(//)?", "", unquote(entry["path"]))


def offset_of_batch(checkpoint: Path, number: int) -> int:
    """Up to where a batch reads Spark's notes. Raises OSError."""
    # The version, the batch's settings, and one line a source.
    lines = (checkpoint / "offsets" / str(number)).read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[2])["logOffset"])


def _log(folder: Path, offset: int) -> Iterator[str]:
    """The lines about an offset's files; every tenth log file has those of all before it, which then go."""
    path = folder / str(offset)
    if not path.exists():
        compacted = sorted(int(file.stem) for file in folder.glob("*.compact"))
        path = folder / f"{next((number for number in compacted if number >= offset), offset)}.compact"
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if f'"batchId":{offset}' in line)


def records(spark: SparkSession, paths: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """The records of the files `paths` as csv_reader.SCHEMA, read on the executors."""
    numbers = spark.range(0, len(paths), numPartitions=max(1, len(paths)))
    return numbers.mapInArrow(partial(read_files, paths=tuple(paths), columns=tuple(columns)), SCHEMA)


def passed_over(folder: Path, encoding: str) -> Iterator[tuple[str, str]]:
    """Returns name and reason of each entry of `folder` that is never read.

    Names that begin with a dot are left out: they are being written. `encoding` is that of file names in
    Java (its property sun.jnu.encoding). Raises OSError.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                reason = _why_passed_over(entry, encoding)
                if reason is not None:
                    yield entry.name, reason


def _why_passed_over(entry: os.DirEntry[str], encoding: str) -> str | None:
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:
        return f"the link cannot be followed: {error.strerror}"
    if is_folder:
        hides = "; one with = in its name hides the files beside it" if "=" in entry.name else ""
        return f"files in folders below are not read{hides}"
    if not entry.name.lower().endswith(_ENDING):
        return f"the name does not end in {_ENDING}"
    if entry.name.startswith("_") or not is_file:
        return (
            "a link to nothing, or no regular file" if not is_file else "the name begins with an underscore"
        )
    try:
        entry.name.encode(encoding)
    except (UnicodeError, LookupError):
        return f"Java cannot read the name, it is not {encoding}: use other letters or a UTF-8 locale"
    return None
