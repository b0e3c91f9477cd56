"""The cursor file: what it may hold, how it is saved, and who wins."""

from __future__ import annotations

import multiprocessing
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkpoint.cursor import FileCursor
from checkpoint.store import CursorState
from checkpoint.timestamp_text import decode_timestamp, format_timestamp, parse_timestamp
from contracts import AlreadyRunningError, ConfigurationError, ServiceError

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
FILE = "last_processed_timestamp.txt"
PREVIOUS = f"{FILE}.previous"


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]


def with_generations(folder: Path) -> CursorState:
    """A cursor that was saved twice: at NOW − 2 days, then at NOW − 1 day."""
    cursor = FileCursor(folder)
    first = cursor.save(NOW - 2 * DAY, cursor.read(NOW), NOW)
    assert first is not None
    second = cursor.save(NOW - DAY, first, NOW)
    assert second is not None
    return second


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T08:30:15Z", utc(2026, 1, 31, 8, 30, 15)),
        ("2026-01-31t08:30:15z", utc(2026, 1, 31, 8, 30, 15)),
        ("2026-01-31T08:30:15+02:00", utc(2026, 1, 31, 6, 30, 15)),
        ("2026-01-31T08:30:15-0330", utc(2026, 1, 31, 12, 0, 15)),
        ("2026-01-31 08:30:15 +05", utc(2026, 1, 31, 3, 30, 15)),
        ("2026-01-31T08:30:15", utc(2026, 1, 31, 8, 30, 15)),
        ("2026-01-31T08:30", utc(2026, 1, 31, 8, 30)),
        ("2026-01-31", utc(2026, 1, 31)),
        ("2026-01-31T08:30:15.123999Z", utc(2026, 1, 31, 8, 30, 15, 123000)),
        ("2026-01-31T08:30:15.5", utc(2026, 1, 31, 8, 30, 15, 500000)),
        ("2026-01-31T08:30:15,1234567+00:00", utc(2026, 1, 31, 8, 30, 15, 123000)),
        (' "2026-01-31" \r\n', utc(2026, 1, 31)),
    ],
)
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: f"\n{text}\r\n".encode(),
    ],
    ids=["utf-8", "utf-8 BOM", "utf-16", "utf-16-be BOM", "utf-16-le", "utf-16-be", "CRLF"],
)
def test_what_people_and_editors_write_is_understood(
    tmp_path: Path, text: str, expected: datetime, encode: Any
) -> None:
    """Z, an offset or none (UTC), a date alone, any usual encoding; microseconds are cut off."""
    (tmp_path / FILE).write_bytes(encode(text))
    state = FileCursor(tmp_path).read(NOW)
    assert (state.timestamp, state.origin, state.warnings) == (expected, "file", ())
    assert state.timestamp.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \r\n",
        "yesterday",
        "2026-02-30",
        "2026-1-1",
        "2026-01-01T25:00",
        "2026-01-01T08:00:00+25:00",
        "2026-01-01T08:00:00+01:75",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:00:00-02:00",
        "0000-01-01",
        "2026-01-01\n2026-01-02",
        "1767225600",
        "２０２６-01-01",  # noqa: RUF001
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"time such as|years|offset|must be in|out of range"):
        parse_timestamp(text)


@given(st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(timezone.utc)))  # noqa: DTZ001
def test_text_and_moment_agree(moment: datetime) -> None:
    """What is written is read back, to the millisecond."""
    truncated = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_timestamp(format_timestamp(moment)) == truncated


def test_absent_means_the_default(tmp_path: Path) -> None:
    """No folder or no file: 30 days ago, or as set; a deleted file is an order, whatever else remains."""
    assert FileCursor(tmp_path / "none").read(NOW) == CursorState(NOW - 30 * DAY, "default", None)
    assert FileCursor(tmp_path, default_days=7).read(NOW).timestamp == NOW - 7 * DAY
    assert FileCursor(tmp_path, default_days=999_999).read(NOW).timestamp == utc(1, 1, 1)
    with_generations(tmp_path)
    (tmp_path / FILE).unlink()
    assert FileCursor(tmp_path).read(NOW) == CursorState(NOW - 30 * DAY, "default", None)


def _peek(cursor: FileCursor, folder: Path) -> CursorState:
    """The state as a command sees it, who changes nothing and is told what is wrong."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    state = cursor.peek(NOW)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "is unreadable" in state.warnings[0]
    return state


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe\xff", b"\x80", b"\x00" * 24, b"2026-13-01"])
def test_unreadable_content_falls_back_to_the_previous_generation(tmp_path: Path, content: bytes) -> None:
    """It is moved aside, told once, and the position restored, so that the next read is no surprise."""
    with_generations(tmp_path)
    (tmp_path / FILE).write_bytes(content)
    cursor = FileCursor(tmp_path)
    peeked = _peek(cursor, tmp_path)
    state = cursor.read(NOW)
    assert (peeked.timestamp, peeked.origin, peeked.raw) == (state.timestamp, state.origin, state.raw)
    assert (state.timestamp, state.origin) == (NOW - 2 * DAY, "previous")
    assert "unreadable" in state.warnings[0]
    assert (tmp_path / f"{FILE}.corrupt-20260701T120000").read_bytes() == content
    again = cursor.read(NOW)
    assert (again.timestamp, again.origin, again.raw) == (NOW - 2 * DAY, "file", state.raw)
    assert cursor.save(NOW, state, NOW) is not None
    (tmp_path / FILE).write_bytes(content)
    assert cursor.read(NOW).origin == "previous"
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 2


@pytest.mark.parametrize("previous", [None, b"garbage"])
def test_without_a_valid_previous_generation_the_default_is_used_loudly(
    tmp_path: Path, previous: bytes | None
) -> None:
    """Only then, and with a warning."""
    (tmp_path / FILE).write_bytes(b"garbage")
    if previous is not None:
        (tmp_path / PREVIOUS).write_bytes(previous)
    for state in (_peek(FileCursor(tmp_path), tmp_path), FileCursor(tmp_path).read(NOW)):
        assert (state.timestamp, state.origin, state.raw) == (NOW - 30 * DAY, "default", None)
        assert "without a valid previous" in state.warnings[0]
    assert not (tmp_path / FILE).exists()


def test_a_future_value_is_clamped_with_a_warning(tmp_path: Path) -> None:
    """A position after the server's now would hide what is written until then."""
    (tmp_path / FILE).write_text("2099-01-01")
    cursor = FileCursor(tmp_path)
    state = cursor.read(NOW)
    assert state.timestamp == NOW
    assert "future" in state.warnings[0]
    saved = cursor.save(NOW + DAY, state, NOW + timedelta(seconds=1))
    assert saved is not None
    assert saved.timestamp == NOW + timedelta(seconds=1)
    assert decode_timestamp((tmp_path / PREVIOUS).read_bytes()) == NOW


def test_save_keeps_the_generation_before(tmp_path: Path) -> None:
    """The new position is plain text; the one before lies beside it, and nothing else remains."""
    second = with_generations(tmp_path)
    assert (tmp_path / FILE).read_text() == "2026-06-30T12:00:00.000Z\n"
    assert (tmp_path / PREVIOUS).read_text() == "2026-06-29T12:00:00.000Z\n"
    assert sorted(item.name for item in tmp_path.iterdir()) == [FILE, PREVIOUS]
    assert second == FileCursor(tmp_path).read(NOW)


def test_save_never_moves_back_and_does_not_write_what_is_there(tmp_path: Path) -> None:
    """The same or an earlier position leaves both generations as they are."""
    second = with_generations(tmp_path)
    stamp = (tmp_path / FILE).stat().st_mtime_ns
    assert FileCursor(tmp_path).save(NOW - 5 * DAY, second, NOW) == second
    assert FileCursor(tmp_path).save(NOW - DAY, second, NOW) == second
    assert (tmp_path / FILE).stat().st_mtime_ns == stamp
    assert (tmp_path / PREVIOUS).read_text() == "2026-06-29T12:00:00.000Z\n"


@pytest.mark.parametrize("target", [NOW, NOW - DAY])
@pytest.mark.parametrize("edit", ["2026-01-01", None])
def test_a_person_wins(tmp_path: Path, target: datetime, edit: str | None) -> None:
    """An edit or a deletion between reading and saving is kept and said by None."""
    second = with_generations(tmp_path)
    if edit is None:
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).write_text(edit)
    cursor = FileCursor(tmp_path)
    assert cursor.save(target, second, NOW) is None
    assert cursor.read(NOW).timestamp == (NOW - 30 * DAY if edit is None else utc(2026, 1, 1))
    assert (tmp_path / PREVIOUS).read_text() == "2026-06-29T12:00:00.000Z\n"
    assert list(tmp_path.glob(".*")) == []


def test_an_edit_in_the_middle_of_saving_wins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is compared as late as can be: after the new content was written beside it."""
    second = with_generations(tmp_path)
    synced = os.fsync

    def edit(descriptor: int) -> None:
        synced(descriptor)
        (tmp_path / FILE).write_text("2026-01-01")

    monkeypatch.setattr(os, "fsync", edit)
    assert FileCursor(tmp_path).save(NOW, second, NOW) is None
    assert FileCursor(tmp_path).read(NOW).timestamp == utc(2026, 1, 1)


@pytest.mark.parametrize("has_previous", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_an_edit_in_the_middle_of_a_recovery_wins_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_previous: bool, late: bool
) -> None:
    """A person mends the damaged file while the service puts the previous generation in its place."""
    with_generations(tmp_path)
    (tmp_path / FILE).write_text("garbage")
    if not has_previous:
        (tmp_path / PREVIOUS).unlink()
    synced, looked = os.fsync, FileCursor._previous_timestamp

    def edit(descriptor: int) -> None:
        synced(descriptor)
        (tmp_path / FILE).write_text("2026-01-01")

    def edit_early(cursor: FileCursor) -> datetime | None:
        (tmp_path / FILE).write_text("2026-01-01")
        return looked(cursor)

    if late and has_previous:
        monkeypatch.setattr(os, "fsync", edit)
    else:
        monkeypatch.setattr(FileCursor, "_previous_timestamp", edit_early)
    assert FileCursor(tmp_path).read(NOW).timestamp == utc(2026, 1, 1)
    monkeypatch.undo()
    assert (tmp_path / FILE).read_text() == "2026-01-01"


def test_an_unexpected_step_back_is_told(tmp_path: Path) -> None:
    """Saving never moves back, so an earlier date is a person's or a flipped bit's: followed, and told."""
    with_generations(tmp_path)
    (tmp_path / FILE).write_text("2016-06-30T12:00:00.000Z")
    state = FileCursor(tmp_path).read(NOW)
    assert (state.timestamp, state.origin) == (utc(2016, 6, 30, 12), "file")
    assert "earlier than its previous generation" in state.warnings[0]


def test_set_and_reset(tmp_path: Path) -> None:
    """An order to go back survives later damage and needs no warning; a reset forgets both generations."""
    cursor = FileCursor(tmp_path / "new")
    cursor.reset()
    cursor.set(utc(2026, 1, 1), NOW)
    assert cursor.read(NOW).timestamp == utc(2026, 1, 1)
    with_generations(tmp_path)
    cursor = FileCursor(tmp_path)
    cursor.set(utc(2026, 1, 1), NOW)
    assert cursor.read(NOW).warnings == ()
    (tmp_path / FILE).write_bytes(b"?")
    assert cursor.read(NOW).timestamp == utc(2026, 1, 1)
    cursor.set(NOW + DAY, NOW)
    assert cursor.read(NOW).timestamp == NOW
    cursor.reset()
    assert cursor.read(NOW).origin == "default"
    assert not (tmp_path / PREVIOUS).exists()


def test_saving_is_written_synced_renamed_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that survives a power cut: content to disk, rename, folder to disk."""
    second = with_generations(tmp_path)
    calls: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve() if Path("/proc/self/fd").exists() else tmp_path
        calls.append("sync folder" if name.is_dir() else "sync file")
        synced(descriptor)

    def note_replace(source: Path, target: Path) -> Path:
        assert source.read_bytes().endswith(b"Z\n")
        calls.append(f"rename to {target.name}")
        return replaced(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    assert FileCursor(tmp_path).save(NOW, second, NOW) is not None
    steps = [
        "sync file",
        f"rename to {FILE}",
        "sync folder",
        "sync file",
        f"rename to {PREVIOUS}",
        "sync folder",
    ]
    assert calls == steps


@pytest.mark.parametrize("refusals", [2, 99])
def test_a_file_that_someone_has_open_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """Windows refuses to replace an open file: a short wait helps, a long one is a clear error."""
    second = with_generations(tmp_path)
    replaced, left = Path.replace, [refusals]

    def refuse(source: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "in use")
        return replaced(source, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("durable._ATTEMPTS", 10)
    monkeypatch.setattr("durable._PAUSE_SECONDS", 0.001)
    if refusals == 2:
        assert FileCursor(tmp_path).save(NOW, second, NOW) is not None
    else:
        with pytest.raises(ServiceError, match="CHECKPOINT_LOCATION"):
            FileCursor(tmp_path).save(NOW, second, NOW)
        assert FileCursor(tmp_path).read(NOW) == second
    assert list(tmp_path.glob(".*")) == []


def test_file_system_errors_name_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read, written or removed is one sentence with the remedy."""
    (tmp_path / FILE).mkdir()
    cursor = FileCursor(tmp_path)
    with pytest.raises(ConfigurationError, match="CHECKPOINT_LOCATION"):
        cursor.read(NOW)
    with pytest.raises(ServiceError, match="CHECKPOINT_LOCATION"):
        cursor.set(NOW, NOW)
    with pytest.raises(ServiceError, match="CHECKPOINT_LOCATION"):
        cursor.reset()


IN_ONE_FOLDER = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@IN_ONE_FOLDER
@given(data=st.data(), position=st.integers(0, 24), value=st.integers(0, 255))
def test_no_damaged_byte_starts_from_zero_in_silence(
    tmp_path: Path, data: st.DataObject, position: int, value: int
) -> None:
    """Whatever one byte becomes, and wherever the file is cut: a step back comes with a warning."""
    damaged = bytearray(format_timestamp(NOW - DAY).encode() + b"\n")
    damaged[position] = value
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    (tmp_path / PREVIOUS).write_text(format_timestamp(NOW - 2 * DAY))
    (tmp_path / FILE).write_bytes(damaged)
    state = FileCursor(tmp_path).read(NOW)
    assert state.timestamp <= NOW
    assert state.origin != "default"
    assert state.warnings or (state.origin == "file" and state.timestamp >= NOW - 2 * DAY)


@pytest.mark.parametrize("damaged", [b"", b"2026-06-30T12:00:00.0", b"\x00" * 25, b"\xff" * 25])
def test_already_the_first_save_leaves_a_copy_to_fall_back_to(tmp_path: Path, damaged: bytes) -> None:
    """Before a second generation exists, damage costs nothing."""
    cursor = FileCursor(tmp_path)
    assert cursor.save(NOW - DAY, cursor.read(NOW), NOW) is not None
    (tmp_path / FILE).write_bytes(damaged)
    state = cursor.read(NOW)
    assert state.timestamp == NOW - DAY
    assert state.warnings or state.origin == "file"


def _hold(folder: Path, started: Any) -> None:
    with FileCursor(folder).lock():
        started.set()
        multiprocessing.Event().wait(300)


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    """Another process holds it; after kill -9 the folder is free without anyone's help."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, started))
    holder.start()
    assert started.wait(300)
    with pytest.raises(AlreadyRunningError), FileCursor(tmp_path).lock():
        pass
    holder.kill()
    holder.join()
    with FileCursor(tmp_path).lock():
        pass


def test_a_folder_that_cannot_be_locked_is_a_configuration_error(tmp_path: Path) -> None:
    """The folder's name belongs to a file: one sentence with the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="CHECKPOINT_LOCATION"), FileCursor(tmp_path / "file").lock():
        pass
