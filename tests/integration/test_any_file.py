"""Files are input: whatever lies in the folder, each record has one end and no file holds up another."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from analytics.ecommerce.rules import RULES
from pipelines.ecommerce.passed_over import shown_name
from tests.support.odd_files import ends_of, odd_folder
from tests.support.shop import Shop


def _bytes(raw: str | bytes | None) -> bytes:
    return raw.encode() if isinstance(raw, str) else raw or b""


def _records(shop: Shop) -> dict[str, list[tuple[str, int, bytes]]]:
    """Refused records by file: reason, line, text."""
    found: dict[str, list[tuple[str, int, bytes]]] = {}
    for letter in shop.letters():
        name = letter.record["source"].removeprefix(f"{shop.incoming}/")
        for record in letter.record["records"]:
            found.setdefault(name, []).append((letter.reason, record["line"], _bytes(record["raw"])))
    return found


def test_each_record_of_any_file_has_one_end(
    tmp_path: Path, events_dsn: str, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written, refused by a named rule with file and line, or its file is told; good files go in."""
    seed = random.randrange(10**9)
    folder = odd_folder(random.Random(seed), rounds=2)
    shop = Shop(tmp_path, events_dsn, spark, ecommerce_max_files_per_trigger=20)
    folder.put(shop.incoming)
    assert shop.run(), seed
    stored, refused = set(shop.ids()), _records(shop)
    told = capsys.readouterr().out
    for file in folder.files:
        here = refused.get(file.name, [])
        about = f"seed {seed}: {file.name!r} {file.content[:300]!r} {here!r}"[:1500]
        raw = b"\n".join(text for reason, _, text in here if reason != "conflict")
        assert all(count == 1 for _, count in ends_of(file.rows, stored, raw)), about
        assert {row["event_id"] for row in file.written} <= stored, about
        assert not {row["event_id"] for row in file.refused} & stored, about
        reasons = {reason for reason, _, _ in here}
        assert reasons <= (file.reasons or set(RULES)), about
        assert len(here) == len({line for _, line, _ in here}), about
        _assert_lines(file.content, here, about)
        if "wrong_header" in reasons and told.count("its first line is not") < 20:
            assert f"{shown_name(str(shop.incoming / file.name))}: its" in told, about
    for name in folder.beside:
        assert told.count(f" {name}") == 1 or told.count(f": {name}") == 1, (name, told)
    shop.assert_accounted(shop.total("records_processed"))


def _assert_lines(content: bytes, refused: list[tuple[str, int, bytes]], about: str) -> None:
    """A refused record is in its file where its letter says."""
    for ends in (rb"\n", rb"\r\n|\n|\r"):
        starts = [0, *(found.end() for found in re.finditer(ends, content))]
        lines = [(starts[line - 1 :][:1], text.rstrip(b"\r\n")) for _, line, text in refused if line]
        if all(place and content[place[0] :].startswith(text) for place, text in lines):
            return
    pytest.fail(about)
