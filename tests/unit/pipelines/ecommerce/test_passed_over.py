"""What becomes of files after they were read: by a checkpoint as Spark writes it, without Spark."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipelines.ecommerce import passed_over
from pipelines.ecommerce.passed_over import ARCHIVE, PassedOver
from pipelines.engine.supervisor import StartAnewError
from sources.ecommerce import read_files
from sources.ecommerce.csv_files import noted_files
from sources.ecommerce.read_files import ReadFiles


class Folder:
    """A folder of files, and the notes of a stream that read them."""

    def __init__(self, root: Path) -> None:
        self.files, self.checkpoint = root / "in", root / "events"
        self.files.mkdir()
        for part in ("offsets", "commits", "sources/0"):
            (self.checkpoint / part).mkdir(parents=True)
        self._batch = 0
        self.unreadable: set[str] = set()

    def put(self, name: str) -> Path:
        """A file that waits."""
        path = self.files / name
        path.write_text(name)
        return path

    def read(self, *names: str) -> None:
        """A batch of files that ended."""
        entries = [
            {
                "path": (self.files / name).as_uri(),
                "timestamp": (self.files / name).stat().st_mtime_ns // 1_000_000,
                "batchId": self._batch,
            }
            for name in names
        ]
        lines = [json.dumps(entry, separators=(",", ":")) for entry in entries]
        notes = self.checkpoint / "sources/0" / str(self._batch)
        notes.write_text("\n".join(["v1", *lines]))
        plan = self.checkpoint / "offsets" / str(self._batch)
        plan.write_text(f'v1\n{{}}\n{{"logOffset":{self._batch}}}')
        (self.checkpoint / "commits" / str(self._batch)).write_text("v1\n{}")
        self._batch += 1

    def look(self, how: str) -> PassedOver:
        """Look after them once."""
        read = ReadFiles(self.files, self.checkpoint)
        made = PassedOver(self.files, "UTF-8", 0.0, read, how, self.unreadable)
        made.look()
        return made

    def names(self, below: str = "") -> list[str]:
        """The files that lie there."""
        return sorted(file.name for file in (self.files / below).rglob("*.csv*") if file.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty one."""
    return Folder(tmp_path)


@pytest.mark.parametrize(("how", "archived"), [("keep", []), ("archive", ["a %20é.csv"]), ("delete", [])])
def test_files_that_were_read_are_kept_archived_or_deleted(
    folder: Folder, how: str, archived: list[str]
) -> None:
    """Not those that wait, that changed since, or that could not be read; an entry of the archive stays."""
    for name in ("a %20é.csv", "changed.csv", "unreadable.csv", "waits.csv"):
        folder.put(name)
    folder.read("a %20é.csv", "changed.csv", "unreadable.csv")
    os.utime(folder.put("changed.csv"), (2e9, 2e9))
    folder.unreadable.add(str(folder.files / "unreadable.csv"))
    folder.look(how)
    left = {path.name for path in folder.files.iterdir() if path.is_file()}
    kept = {"changed.csv", "unreadable.csv", "waits.csv"}
    assert left == (kept | {"a %20é.csv"} if how == "keep" else kept)
    assert (folder.names(ARCHIVE) if (folder.files / ARCHIVE).exists() else []) == archived


def test_a_second_file_of_a_name_takes_no_place_in_the_archive(folder: Folder) -> None:
    """It was read by another checkpoint, perhaps; both are there."""
    for _ in range(2):
        folder.put("a.csv")
        folder.read("a.csv")
        folder.look("archive")
    assert folder.names(ARCHIVE) == ["a.csv", "a.csv.1"]


@pytest.mark.parametrize("archive", [None, "archive"])
def test_a_file_that_changes_in_this_moment_is_given_back(folder: Folder, archive: str | None) -> None:
    """Between the look and the move."""
    path = folder.put("a.csv")
    target = folder.files / archive if archive else None
    assert not read_files.clear(folder.files, "a.csv", (1, 1), target)
    assert path.read_text() == "a.csv"


def test_the_list_of_read_files_begins_anew_where_they_are_cleared_away(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would grow for ever; of files that are kept it is needed."""
    monkeypatch.setattr(passed_over, "MAX_NOTED", 4)
    names = [folder.put(f"{number}.csv").name for number in range(5)]
    folder.read(*names)
    assert noted_files(folder.checkpoint) >= 5
    folder.look("keep").start()
    # No query runs yet that could be started anew.
    read = ReadFiles(folder.files, folder.checkpoint)
    PassedOver(folder.files, "UTF-8", 0.0, read, "delete", {*map(str, folder.files.iterdir())}).start()
    with pytest.raises(StartAnewError):
        folder.look("archive")
    assert folder.names(ARCHIVE) == names


def test_a_folder_of_many_kept_files_is_told_and_looked_at_seldom(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The looks take no more than a fiftieth of the time."""
    monkeypatch.setattr(passed_over, "MAX_NOTED", 1)
    folder.read(folder.put("a.csv").name, folder.put("b.csv").name)
    looking = folder.look("keep")
    monkeypatch.setattr(passed_over, "_PAUSE_TIMES", 1e6)
    looking.look()
    folder.read(folder.put("c.csv").name)
    os.utime(folder.put("c.csv"), (2e9, 2e9))
    looking.look()
    told = capsys.readouterr().out
    assert told.count("ECOMMERCE_READ_FILES") == 1
    assert "Changed" not in told
