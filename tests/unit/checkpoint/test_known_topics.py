"""What a checkpoint knows of its topics survives a crash at any step."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint.known_topics import Known, KnownTopics

OLD = Known({"a": "1", "b": "2"})
NEW = Known({"a": "3", "b": "2"}, {("b", 0): 7, ("b", 1): 0})


def _made(folder: Path) -> Path:
    checkpoint = folder / "events"
    KnownTopics(checkpoint).save(OLD)
    (checkpoint / "offsets").mkdir()
    (checkpoint / "offsets" / "0").write_text("of the old topic")
    return checkpoint


def test_a_query_that_begins_anew_has_no_offsets(tmp_path: Path) -> None:
    """Also a second time: only the last folder is kept."""
    checkpoint = _made(tmp_path)
    for _ in range(2):
        KnownTopics(checkpoint).begin_anew(NEW)
        assert KnownTopics(checkpoint).load() == NEW
        assert [path.name for path in checkpoint.iterdir()] == ["topics.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "events.before"]


@pytest.mark.parametrize("step", range(3))
def test_killed_at_any_step_it_is_the_old_one_or_the_new_one(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old offsets are never beside the new ids; the next start does it again, or goes on."""
    checkpoint = _made(tmp_path)
    moves = 0
    move = Path.replace

    def dying(source: Path, target: Path) -> Path:
        nonlocal moves
        if moves == step:
            raise KeyboardInterrupt
        moves += 1
        return move(source, target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        KnownTopics(checkpoint).begin_anew(NEW)
    monkeypatch.undo()
    found = KnownTopics(checkpoint).load()
    assert found == (OLD if step < 2 else NEW)
    assert (checkpoint / "offsets").exists() == (found == OLD)
    KnownTopics(checkpoint).begin_anew(NEW)
    assert KnownTopics(checkpoint).load() == NEW


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"ids": {}, "start": 1}', b"\xff", b'{"ids": 1, "start": null}']
)
def test_what_cannot_be_read_is_not_known(content: bytes, tmp_path: Path) -> None:
    """The ids are then taken from what the sink has."""
    (tmp_path / "topics.json").write_bytes(content)
    assert KnownTopics(tmp_path).load() is None
