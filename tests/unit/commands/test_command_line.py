"""The commands that need neither Spark nor a server: settings, cursor, dead letters."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from bson import ObjectId
from typer.testing import CliRunner, Result

from commands.common import STOPPED, WRONG_USE, guarded, parse_time, prepare
from contracts import ConfigurationError, Rejected
from main import app
from sinks.dead_letters import DeadLetters
from tests.support.command_line import run_command
from tests.support.odd_letters import lay_odd_letters

NOW = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without settings of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONGO_URI", "CHECKPOINT_LOCATION", "DLQ_DIRECTORY", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result


def _letters(number: int) -> list[str]:
    """Store that many letters; their ids."""
    queue = DeadLetters("dlq")
    for index in range(number):
        document = {"_id": ObjectId(), "userId": ObjectId(), "updatedAt": NOW, "metrics": {"steps": index}}
        queue.store([Rejected(document, "out_of_range", "metrics.steps")], "batch_1", NOW)
    return [letter.id for letter in queue.list()]


def test_the_cursor_is_shown_set_and_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`set` says what it stored; `reset` goes back to the default of 30 days ago."""
    monkeypatch.setenv("MONGO_URI", "mongomock://cursor")
    assert "default" in _run("checkpoint", "show").output
    assert "2026-01-01T00:00:00" in _run("checkpoint", "set", "2026-01-01").output
    assert "2026-01-01T00:00:00" in _run("checkpoint", "show").output
    assert "default" in _run("checkpoint", "reset").output
    assert not (Path("spark-checkpoints") / "last_processed_timestamp.txt").exists()


def test_a_wrong_time_is_one_clear_error() -> None:
    """With examples of what would be right."""
    with pytest.raises(ConfigurationError, match="2026-01-31"):
        parse_time("last tuesday")


def test_dead_letters_are_listed_and_shown() -> None:
    """The list has the beginning of the id, which is enough to show one with its whole record."""
    assert "empty" in _run("dlq", "list").output
    first, second = _letters(2)
    listed = _run("dlq", "list").output
    assert first[:12] in listed
    assert second[:12] in listed
    shown = _run("dlq", "show", first[:8]).output
    assert '"$oid"' in shown
    assert "out_of_range metrics.steps" in shown


def test_a_damaged_letter_of_a_stream_is_listed_beside_the_others(folder: Path) -> None:
    """One whose records somebody edited away hid all of them."""
    lay_odd_letters(folder / "dlq", "stock", "sales")
    queue = DeadLetters("dlq", "stock_dlq")
    listed = _run("dlq", "list", "--pipeline", "stock").output
    assert all(letter.id[:12] in listed for letter in queue.list())
    assert f"{queue.count()} letters with" in _run("dlq", "retry", "--dry-run", "--pipeline", "stock").output


def test_purge_asks_first() -> None:
    """Without --yes and with the answer no nothing is deleted."""
    first, _ = _letters(2)
    assert run_command("dlq", "purge", answer="n\n").code == STOPPED
    assert run_command("dlq", "purge").code == WRONG_USE
    assert DeadLetters("dlq").count() == 2
    assert "1 letters deleted" in _run("dlq", "purge", first, "--yes").output
    assert "1 letters deleted" in _run("dlq", "purge", "--yes").output
    assert DeadLetters("dlq").count() == 0


def test_a_dry_run_only_counts() -> None:
    """No Spark and no server are needed to say what would be retried."""
    _letters(2)
    assert "2 letters of 2 users" in _run("dlq", "retry", "--dry-run").output


def test_unknown_keys_of_the_env_file_are_told_with_the_nearest_name(folder: Path) -> None:
    """A misspelled setting would otherwise be silently without effect."""
    (folder / ".env").write_text("BATCH_INTERVAL_SECOND=5\n")
    assert "did you mean BATCH_INTERVAL_SECONDS" in _run("checkpoint", "show").output


def test_a_bug_shows_its_traceback_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither Python nor typer prints it: both would show the message as it is."""
    monkeypatch.setenv("MONGO_URI", "mongodb://app:c4nary%40pw@localhost")

    def bug() -> None:
        settings = prepare()
        raise KeyError(settings.mongo_uri.get_secret_value(), "c4nary@pw")

    assert guarded(bug) == 1
    error = capsys.readouterr().err
    assert "in bug" in error
    assert "KeyError" in error
    assert "report it" in error
    assert "c4nary" not in error


def test_wrong_settings_are_one_error_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All faults at once, each with its rule, no stack trace and no value."""
    monkeypatch.setenv("BATCH_INTERVAL_SECONDS", "-1")
    monkeypatch.setenv("MONGO_URI", "hunter2")
    assert guarded(lambda: app(["checkpoint", "show"], standalone_mode=False)) == 2
    error = capsys.readouterr().err
    assert "BATCH_INTERVAL_SECONDS" in error
    assert "MONGO_URI" in error
    assert "hunter2" not in error
    assert "Traceback" not in error
