"""Messages as files of JSON lines that stand in for Kafka: a folder is a topic, a line a record.

As in Kafka's own segments, the number at the end of a file's name is the offset of its first line
(`matches_20260131_120000_000000000500.jsonl` begins with the record 500). There is one partition, 0.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from datetime import datetime, timezone
from pathlib import Path

from durable import PUBLIC, write_atomically
from simulation.program import Message


def write_files(
    folder: Path, offsets: MutableMapping[str, int], messages: Iterable[Message], now: datetime
) -> list[Path]:
    """Write `TOPIC/TOPIC_YYYYMMDD_HHMMSS_OFFSET.jsonl` for each topic with messages; readers see whole files.

    OFFSET is the number of the first message within its topic, from `offsets`, which goes on by it.
    """
    by_topic: dict[str, list[bytes]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message.value + b"\n")
    paths = []
    for topic, lines in by_topic.items():
        stem = f"{topic}_{now.astimezone(timezone.utc):%Y%m%d_%H%M%S}_{offsets[topic]:012d}"
        offsets[topic] += len(lines)
        paths.append(folder / topic / f"{stem}.jsonl")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[-1], b"".join(lines), durable=False, mode=PUBLIC)
    return paths


def next_offset(topic: Path) -> int:
    """The offset after the last line in the folder; 0 without files."""
    ends = (
        int(file.stem.rpartition("_")[2]) + file.read_bytes().count(b"\n") for file in topic.glob("*.jsonl")
    )
    return max(ends, default=0)
