"""Kafka into Parquet on a real broker: every record once, refused ones kept, whatever is in the topic."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES
from tests.support.arena import Arena, Topics, match, player
from tests.support.compiled import assert_later_batches_need_no_code


def test_records_become_rows_with_their_origin(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    """Both topics, every field, in the layout that docs/esports.md tells."""
    arena.topics.send(arena.topics.matches, [match(number) for number in range(30)])
    arena.topics.send(arena.topics.players, [player(number) for number in range(20)])
    assert arena.run()
    assert arena.ids("matches") == sorted(f"M{number}" for number in range(30))
    assert arena.ids("players") == sorted(f"P{number}" for number in range(20))
    assert "matches: Batch 0: Processed 30 records, inserted 30 in" in capsys.readouterr().out
    columns = "match_id, team_1_kills, status, started_at::text, kafka_topic, kafka_partition, kafka_offset"
    assert arena.rows("matches", columns)[1] == (
        "M2", 2, "scheduled", "2026-01-01 12:00:00+00", arena.topics.matches, 0, 1,
    )  # fmt: skip
    assert arena.rows("players", "player_id, status, role, win_rate, total_games")[0] == (
        "P0", "active", "top", 0.5, 0,
    )  # fmt: skip
    arena.assert_accounted(50)


def test_a_batch_needs_no_code_that_the_one_before_had_not(arena: Arena, spark: SparkSession) -> None:
    """Java has compiled it by the second."""

    def batch(number: int) -> None:
        arena.topics.send(arena.topics.matches, [match(number)], partition=0)
        assert arena.run(MATCHES)

    assert_later_batches_need_no_code(spark, batch)


def test_what_cannot_be_used_is_a_dead_letter_with_place_and_bytes(
    arena: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text after the object, infinity, null, arrays, nothing, bad UTF-8: none of it is taken for a match."""
    good = match(1)
    bad = {
        b'{"match_id": "M2"} trailing': "corrupt",
        b'{"match_id": "M3"': "corrupt",
        b'{"match_id": "M4\xff"}': "corrupt",
        b'{"match_id": "M5", "team_1_kills": "many"}': "invalid_team_1_kills",
        b"null": "corrupt",
        b"[1, 2]": "corrupt",
        b"": "corrupt",
        b"{}": "missing_match_id",
        b'{"match_id": " "}': "missing_match_id",
        b'{"match_id": {"a": 1}}': "invalid_match_id",
        b'{"match_id": "M6", "started_at": 1700000000}': "invalid_started_at",
    }
    arena.topics.send(arena.topics.matches, [good, *bad, None], partition=0)
    arena.topics.send(arena.topics.players, ['{"player_id": "P1", "win_rate": 1e999}'])
    assert arena.run()
    assert arena.ids("matches") == ["M1"]
    dead = arena.dead_records()
    place = f"{arena.topics.matches}/0"
    for offset, (raw, reason) in enumerate(bad.items(), 1):
        shown = raw if b"\xff" in raw else raw.decode()
        assert dead[place, offset] == (reason, shown)
    assert dead[place, len(bad) + 1] == ("corrupt", None)
    assert dead[f"{arena.topics.players}/0", 0][0] == "number_not_finite"
    assert "matches: Batch 0: found 7 corrupt records" in capsys.readouterr().out
    arena.assert_accounted(len(bad) + 3)


def test_partition_values_cannot_leave_the_folder(arena: Arena) -> None:
    """Whatever a record gives becomes one folder below its batch; what is no folder's name is refused."""
    long = ["\U0001d49c" * 62, "/" * 64, "\"#%'*/:=?\\{[]^" * 4]
    too_long = ["\U0001d49c" * 63, "\U0001d49c" * 30 + "/" * 34 + "é" * 14]
    roles = ["../../x", "..", "a=b/c", "a\\b", "*", "%2F", "ключ", *long, None, " "]
    roles += [*too_long, "x" * 65, "a\u0000b"]
    arena.topics.send(arena.topics.players, [player(0, role=role) for role in roles], partition=0)
    arena.topics.send(arena.topics.matches, [match(0, status="../../x"), match(1, status=None)])
    assert arena.run()
    kept = [role for (role,) in arena.rows("players", "role")]
    assert kept == ["../../x", "..", "a=b/c", "a\\b", "*", "%2F", "ключ", *long, "unknown", "unknown"]
    assert arena.rejected() == {"invalid_role": 4}
    assert arena.rows("matches", "status") == [("unknown",), ("unknown",)]
    outside = {path.name for path in arena.settings.esports_output_path.iterdir()}
    assert outside == {"matches", "players", ".generations", ".staging"}
    for name, levels in (("matches", ["batch", "status"]), ("players", ["batch", "status", "role"])):
        dataset = (arena.settings.esports_output_path / name).resolve()
        for file in dataset.rglob("*.parquet"):
            parts = file.parent.relative_to(dataset).parts
            assert [part.partition("=")[0] for part in parts] == levels
    arena.assert_accounted(18)


def test_keys_sizes_codecs_and_repetitions_do_not_matter(kafka: str, arena: Arena) -> None:
    """1 MB messages, every codec, no key, the same message twice: each record is a row."""
    topic = arena.topics.matches
    long = "x" * 1_000_000
    for number, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        sender = Topics(kafka, **{"compression.type": codec})
        sender.send(topic, [match(number), match(number)], partition=0, key=None)
    arena.topics.send(topic, [match(9, data_source=long), '{"match_id": "' + long], partition=1)
    assert arena.run()
    assert arena.ids("matches") == sorted([f"M{number}" for number in range(5)] * 2 + ["M9"])
    assert [length for (length,) in arena.rows("matches", "length(data_source)") if length] == [1_000_000]
    assert arena.dead_records()[f"{topic}/1", 1] == ("corrupt", '{"match_id": "' + long)
    arena.assert_accounted(12)


def test_a_backlog_is_worked_off_in_pieces(tmp_path: Path, topics: Topics, spark: SparkSession) -> None:
    """KAFKA_MAX_OFFSETS_PER_TRIGGER bounds a batch; small batches leave few files."""
    arena = Arena(tmp_path, topics, spark, kafka_max_offsets_per_trigger=20)
    topics.send(topics.matches, [match(number) for number in range(50)])
    assert arena.run(MATCHES)
    assert max(entry["records_processed"] for entry in arena.log()) <= 20
    files = list(arena.settings.esports_output_path.rglob("*.parquet"))
    assert len(files) <= 3 * len(arena.log())
    arena.assert_accounted(50)
