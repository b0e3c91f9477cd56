"""A file that another program has open, as a virus scanner does on Windows, is tried again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

import durable
from checkpoint.cursor import FileCursor
from contracts import BatchReport, Rejected
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from sinks.dead_letters import DeadLetters
from sinks.letter_files import Letter, read_letter

NOW = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
REPORT = BatchReport("batch_1", NOW, NOW)
LETTER = Rejected({"_id": ObjectId(), "updatedAt": NOW}, "out_of_range", "metrics.steps")


def _cursor(folder: Path) -> None:
    cursor = FileCursor(folder)
    assert cursor.save(NOW, cursor.read(NOW), NOW)


def _reset(folder: Path) -> None:
    FileCursor(folder).reset()


def _letter(folder: Path) -> None:
    DeadLetters(folder).store([LETTER], "batch_1", NOW)
    for path in folder.glob("*.json"):
        assert isinstance(read_letter(path), Letter)


def _purge(folder: Path) -> None:
    DeadLetters(folder).purge()


def _history(folder: Path) -> None:
    BatchHistory(folder, now=lambda: NOW).record(REPORT)


def _metrics(folder: Path) -> None:
    Metrics(folder).observe(REPORT)


def _refuse(monkeypatch: pytest.MonkeyPatch, times: int) -> Counter[str]:
    """Let each way to a file be refused so often for each; which ones were."""
    refused: Counter[str] = Counter()

    def held(where: Any, name: str) -> None:
        usual = getattr(where, name)

        def open_or_refuse(path: Any, *arguments: Any, **options: Any) -> Any:
            of = Path(path)
            if of.is_file() and not of.name.startswith("."):
                refused[f"{name} {of.name}"] += 1
                if refused[f"{name} {of.name}"] <= times:
                    raise PermissionError(13, "held open")
            return usual(path, *arguments, **options)

        monkeypatch.setattr(where, name, open_or_refuse)

    held(os, "open")
    for name in ("open", "unlink"):
        held(Path, name)
    return refused


@pytest.mark.parametrize("act", [_cursor, _reset, _letter, _purge, _history, _metrics])
def test_every_file_that_is_held_open_is_tried_again(
    act: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The cursor was, and a letter or the metrics file failed at once."""
    for make in (_cursor, _letter, _history, _metrics):
        make(tmp_path)
    monkeypatch.setattr(durable, "_ATTEMPTS", 4)
    monkeypatch.setattr(durable, "_PAUSE_SECONDS", 0.0)
    refused = _refuse(monkeypatch, 3)
    act(tmp_path)
    assert refused
    assert min(refused.values()) > 3
    assert "".join(capfd.readouterr()) == ""


def test_what_stays_forbidden_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as is said, and elsewhere than on Windows at once."""
    monkeypatch.setattr(durable, "_PAUSE_SECONDS", 0.0)
    for attempts in (durable._ATTEMPTS, 4):
        monkeypatch.setattr(durable, "_ATTEMPTS", attempts)
        tried: list[None] = []

        def forbidden(tried: list[None] = tried) -> None:
            tried.append(None)
            raise PermissionError

        with pytest.raises(PermissionError):
            durable.patiently(forbidden)
        assert len(tried) == attempts == (1 if attempts != 4 else 4)
