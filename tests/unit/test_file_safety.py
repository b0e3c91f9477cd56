"""Files of the service: who may read them, links are not followed, and no name leads out of a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from checkpoint.cursor import FileCursor
from contracts import BatchReport, ConfigurationError, Rejected, ServiceError
from durable import write_atomically
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from settings import load
from sinks.dead_letters import DeadLetters

NOW = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
REPORT = BatchReport("batch_1", NOW, NOW)
LETTER = Rejected({"_id": ObjectId(), "updatedAt": NOW}, "out_of_range", "metrics.steps")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """Nothing is private by the luck of the caller's umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def _cursor(folder: Path) -> None:
    cursor = FileCursor(folder)
    with cursor.lock():
        cursor.save(NOW, cursor.read(NOW), NOW)


def _damaged_cursor(folder: Path) -> None:
    _cursor(folder)
    (folder / "last_processed_timestamp.txt").write_text("not a time")
    FileCursor(folder).read(NOW)


def _letter(folder: Path) -> None:
    DeadLetters(folder).store([LETTER], "batch_1", NOW)


def _history(folder: Path) -> None:
    history = BatchHistory(folder, now=lambda: NOW)
    history.record(REPORT)
    history.export()


def _metrics(folder: Path) -> None:
    Metrics(folder).observe(REPORT)


@pytest.mark.parametrize(
    ("write", "mode", "number"),
    [
        (_cursor, 0o600, 3),
        (_damaged_cursor, 0o600, 4),
        (_letter, 0o600, 1),
        (_history, 0o640, 2),
        (_metrics, 0o644, 1),
    ],
)
def test_modes_of_files(tmp_path: Path, write: Callable[[Path], None], mode: int, number: int) -> None:
    """State and dead letters are the owner's, logs the group's too, metrics everybody's: they name nobody."""
    write(tmp_path / "new")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert len(modes) == number
    assert set(modes.values()) == {mode}, {name: oct(found) for name, found in modes.items()}


def test_the_folder_of_dead_letters_is_the_owners(tmp_path: Path) -> None:
    """Its letters hold health data."""
    _letter(tmp_path / "dlq")
    assert stat.S_IMODE((tmp_path / "dlq").stat().st_mode) == 0o700


@pytest.mark.parametrize("write", [_cursor, _letter, _history, _metrics])
def test_no_link_is_followed(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """A file elsewhere stays as it is, whichever name is a link to it: final names and temporary ones."""
    write(tmp_path / "model")
    names = [path.name for path in (tmp_path / "model").iterdir()]
    names += [temporary for name in names for temporary in _temporary_names(name)]
    for name in names:
        victim, folder = tmp_path / "victim", tmp_path / f"with {name}"
        victim.write_text("untouched")
        folder.mkdir()
        (folder / name).symlink_to(victim)
        with suppress(ServiceError, ConfigurationError):
            write(folder)
        assert victim.read_text() == "untouched", f"{name} was followed"
        assert stat.S_IMODE(victim.stat().st_mode) == 0o666, f"{name} was followed"


def _temporary_names(name: str) -> list[str]:
    return [f".{name}.{os.getpid()}.tmp"]


def test_a_link_to_nowhere_makes_no_file_there(tmp_path: Path) -> None:
    """A dangling link is the same trick for files that are not there yet."""
    target = tmp_path / "elsewhere"
    for name in ("file", f".file.{os.getpid()}.tmp"):
        (tmp_path / name).symlink_to(target)
    assert write_atomically(tmp_path / "file", b"x")
    assert not target.exists()
    assert not (tmp_path / "file").is_symlink()


def test_a_cursor_that_is_a_link_is_one_clear_error(tmp_path: Path) -> None:
    """The next save would replace the link; a foreign file is not read as a cursor, nor set aside."""
    (tmp_path / "secret").write_text("c4nary")
    (tmp_path / "last_processed_timestamp.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match=r"last_processed_timestamp\.txt"):
        FileCursor(tmp_path).read(NOW)
    assert not list(tmp_path.glob("*.corrupt-*"))


@given(
    st.one_of(st.text(), st.sampled_from(["../letter", "/etc/passwd", "*", "[0-9a-f]*", "..", "abcdef/../x"]))
)
def test_only_an_id_is_taken_for_an_id(text: str) -> None:
    """No path and no pattern gets from the command line to the file system."""
    if not (6 <= len(text) <= 64 and set(text) <= set("0123456789abcdef")):
        with pytest.raises(ConfigurationError, match="is not a letter's id"):
            DeadLetters("/nonexistent").named(text)


def test_a_forged_letter_leads_nowhere(tmp_path: Path) -> None:
    """Its content names another id and another time than its file: nothing outside the folder is touched."""
    _letter(tmp_path / "dlq")
    letters = DeadLetters(tmp_path / "dlq")
    (file,) = (tmp_path / "dlq").iterdir()
    outside = tmp_path / "outside.json"
    outside.write_text(file.read_text())
    forged = file.read_text().replace(letters.list()[0].id, "../outside")
    file.write_text(forged)
    assert letters.list() == []
    with pytest.raises(ConfigurationError):
        letters.named("../outside")
    assert outside.exists()


@pytest.mark.parametrize("name", ["healthmetrics", "analytics_checkpoints", "system.users", "a$b"])
def test_results_never_go_where_the_service_would_delete_others_data(name: str) -> None:
    """`--full` removes from its own collection whatever it did not compute."""
    with pytest.raises(ConfigurationError, match="ANALYTICS_COLLECTION"):
        load(env_file=None, analytics_collection=name)
