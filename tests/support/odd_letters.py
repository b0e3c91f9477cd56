"""Letters that no program of ours would write, laid before all others in a stream's dead-letter queue."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from contracts import Rejected
from sinks.dead_letters import DeadLetters

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


def lay_odd_letters(directory: Path, pipeline: str, topic: str = "") -> set[str]:
    """Edited, damaged, or of another version; returns their ids."""
    record = {"offset": 1, "raw": "{}"}
    documents: list[dict[str, Any]] = [
        {"source": "no-partition", "records": [record], "note": "n"},
        {"source": f"{topic}/99999999999", "records": [record], "note": "n"},
        {"source": f"{topic}/0", "records": [{**record, "timestamp_ms": 2**62}], "note": "n"},
        {"source": f"{topic}/0", "records": [record, {"raw": 7}], "note": "n"},
        {"source": f"{topic}/0", "records": 5},
        {"sha256": "0", "bytes": 10**9},
        {"source": f"{topic}\0/0", "records": [{**record, "raw": "a\0b"}], "note": "a\0,b"},
    ]
    letters = DeadLetters(directory, f"{pipeline}_dlq")
    odd = [Rejected({"_id": number, **document}, "corrupt") for number, document in enumerate(documents)]
    letters.store(odd, "odd", LONG_AGO)
    return {letter.id for letter in letters.list() if letter.batch_id == "odd"}
