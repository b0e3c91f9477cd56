"""The commands that need neither Spark nor a server: settings, cursor, dead letters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from typer.testing import CliRunner, Result

from commands.common import STOPPED, WRONG_USE, guarded, parse_time, prepare
from contracts import ConfigurationError, Rejected
from main import app
from pipelines.catalog import PIPELINES
from settings import Settings, load
from sinks.dead_letters import DeadLetters, RetryOutcome
from sinks.stream_letters import RejectedRecord, as_letters
from tests.support.command_line import run_command
from tests.support.odd_letters import lay_odd_letters
from told import told

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
    first, second = _letters(2)
    listed = _run("dlq", "list", "--all").output
    assert first[:12] in listed
    assert second[:12] in listed
    shown = _run("dlq", "show", first[:8]).output
    assert '"$oid"' in shown
    assert "out_of_range metrics.steps" in shown
    assert " (out_of_range)\nwhere: healthmetrics, _id " in shown
    assert json.loads(_run("dlq", "show", first[:8], "--json").stdout)["id"] == first


def _queue_of(pipeline: str) -> DeadLetters:
    return PIPELINES[pipeline].open_letters(load())


def _option(pipeline: str) -> list[str]:
    return ["--pipeline", pipeline]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_an_empty_queue_names_its_pipeline_and_folder_and_where_letters_lie(
    folder: Path, pipeline: str
) -> None:
    """A folder that is not there is another matter: DLQ_DIRECTORY may name a wrong one."""
    for command in (["list"], ["retry"], ["purge"]):
        told = _run("dlq", *command, *_option(pipeline)).output
        assert f"of {pipeline} is empty: there is no folder {folder / 'dlq'}" in told
    other = "stock" if pipeline != "stock" else "esports"
    lay_odd_letters(folder / "dlq", other, "topic")
    told = run_command("dlq", "list", *_option(pipeline)).out
    assert "there is no folder" not in told
    assert f"The dead-letter queue of {pipeline} in {folder / 'dlq'} is empty." in told
    assert f"{_queue_of(other).count()} letters of {other} lie there too" in told
    assert f"pulse {other} dlq list`" in told
    _queue_of(pipeline).store([Rejected({"_id": 1}, "odd")], "b", NOW)
    listed = run_command("dlq", "list", *_option(pipeline))
    assert "lie there too" not in listed.out
    assert "lie there too" in listed.err


def test_letters_of_another_database_are_told_where_nothing_else_is_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On standard output, which a pipe takes; beside letters of one's own it is a remark."""
    monkeypatch.setenv("MONGO_DB_NAME", "elsewhere")
    _queue_of("health").store([Rejected({"_id": 1}, "odd")], "b", NOW)
    monkeypatch.delenv("MONGO_DB_NAME")
    alone = run_command("dlq", "list")
    assert "1 of elsewhere" in alone.out
    assert alone.err == ""
    assert run_command("dlq", "list", "--json").out.strip() == "[]"
    _letters(1)
    listed = run_command("dlq", "list")
    assert "elsewhere" not in listed.out
    assert "1 of elsewhere" in listed.err


def test_letters_are_listed_by_their_reasons() -> None:
    """The most frequent first, with the newest as example; a word for one and for many."""
    ids = {each[:12] for each in _letters(3)}
    later = NOW + timedelta(days=2)
    DeadLetters("dlq").store([Rejected({"_id": 1, "updatedAt": later}, "broken_utf8")], "b", later)
    head, _, usual, other, total = _run("dlq", "list").output.splitlines()
    assert head.split() == ["reason", "letters", "oldest", "newest", "for", "example"]
    day = f"{NOW:%Y-%m-%d %H:%M}".split()
    *words, example = usual.split()
    assert words == ["out_of_range", "metrics.steps", "3", *day, *day]
    assert example in ids
    assert other.split()[:3] == ["broken_utf8", "1", f"{later:%Y-%m-%d}"]
    assert total.startswith(f"4 letters of 2 reasons. Each of them: `{told('health dlq list --all')}`")
    document = RejectedRecord("corrupt", "sales/0", 0, b"{", "t", 0, None, None)
    _queue_of("stock").store(list(as_letters([document], "offset")), "b", NOW)
    *_, row, total = run_command("dlq", "list", "--pipeline", "stock").out.splitlines()
    assert row.split()[:3] == ["corrupt", "1", "1"]
    assert total.startswith("1 letter of 1 reason. ")


@pytest.mark.parametrize("command", ["list", "list --json", "show abcdef", "retry", "purge --yes"])
def test_a_folder_that_cannot_be_read_is_named_with_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """It is not empty."""
    (folder / "dlq").write_text("a file")
    for pipeline in PIPELINES:
        arguments = ["dlq", *command.split(), *_option(pipeline)]
        assert guarded(partial(app, arguments, standalone_mode=False)) == 1
        told = capsys.readouterr()
        assert f"{folder.name}/dlq" in told.err or "dlq, cannot be read" in told.err
        assert "empty" not in told.out


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_damaged_letters_are_told_shown_and_purged(folder: Path, pipeline: str) -> None:
    """They were counted for ever, and nobody could see or remove them. The others are listed as always."""
    queue = _queue_of(pipeline)
    queue.store([Rejected({"_id": 1, "userId": ObjectId(), "updatedAt": NOW}, "odd")], "b", NOW)
    (letter,) = queue.list()
    assert letter.path
    prefix = letter.path.name.partition("_dlq_")[0]
    names = [f"{prefix}_dlq_20260101_000000_{'0' * 12}.json", f"{prefix}_dlq_mine.json"]
    for name in names:
        (folder / "dlq" / name).write_bytes(b'{"id": "\xff')
    done = CliRunner().invoke(app, ["dlq", "retry", names[1], *_option(pipeline)])
    assert "0 letters" in done.output
    assert done.exit_code == 1
    for command in ("list", "list --json", "retry --dry-run"):
        done = CliRunner().invoke(app, ["dlq", *command.split(), *_option(pipeline)])
        assert done.exit_code == 1
        assert all(name in done.output for name in names)
        assert f"2 files in {folder / 'dlq'}" in done.output
        assert "dry-run" in command or letter.id[:12] in done.output
    for name in ("0" * 8, names[1]):
        shown = CliRunner().invoke(app, ["dlq", "show", name, *_option(pipeline)])
        assert shown.exit_code == 1
        assert '{"id": "\\xff' in shown.output
        assert "1 letter deleted" in _run("dlq", "purge", name, "--yes", *_option(pipeline)).output
    assert letter.id[:12] in _run("dlq", "list", *_option(pipeline)).output
    for name in names:
        (folder / "dlq" / name).write_text("")
    assert "3 letters deleted" in _run("dlq", "purge", "--yes", *_option(pipeline)).output
    assert list((folder / "dlq").iterdir()) == []


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_name_that_is_none_is_told_with_the_command_of_the_pipeline(pipeline: str) -> None:
    """Without its name the health pipeline's letters are shown, where nothing is to be found."""
    command = "dlq list" if pipeline == "health" else f"{pipeline} dlq list"
    for name in ("abcdef", "nothing"):
        for verb in ("show", "retry", "purge"):
            error = CliRunner().invoke(app, ["dlq", verb, name, *_option(pipeline)]).exception
            assert isinstance(error, ConfigurationError)
            assert f"`{told(command)} --all`" in str(error)


def test_copies_of_a_letter_are_shown_and_purged_with_it(folder: Path) -> None:
    """A person copied it: it could be neither shown nor purged by its id."""
    first, second = _letters(2)
    (path,) = (path for path in (folder / "dlq").iterdir() if first[:12] in path.name)
    shutil.copy(path, path.with_name("analytics_dlq_copy.json"))
    assert _run("dlq", "show", first).output.count(first) == 2
    assert "2 letters of 1 user " in _run("dlq", "retry", first, "--dry-run").output
    assert "2 letters deleted" in _run("dlq", "purge", first, "--yes").output
    assert [letter.id for letter in DeadLetters("dlq").list()] == [second]


def test_a_letter_tells_how_often_its_document_came_and_when_last() -> None:
    """In the list and when it is shown."""
    document = {"_id": ObjectId(), "userId": ObjectId(), "metrics": {"steps": 1}}
    for day in range(3):
        moment = NOW + timedelta(days=day)
        DeadLetters("dlq").store([Rejected({**document, "updatedAt": moment}, "odd")], "b", moment)
    (letter,) = DeadLetters("dlq").list()
    assert "3 times until 2026-11-25 10:00" in _run("dlq", "list", "--all").output
    listed = " ".join(_run("dlq", "list").output.split())
    assert f"{NOW:%Y-%m-%d %H:%M} 2026-11-25 10:00 {letter.id[:12]}" in listed
    assert "3 times until 2026-11-25T10:00" in _run("dlq", "show", letter.id).output
    (told,) = json.loads(_run("dlq", "list", "--json").stdout)
    assert (told["times"], told["last_seen"][:10], told["time"][:10]) == (3, "2026-11-25", "2026-11-23")


class _Stopped:
    """Tries one letter; then a person has asked to stop."""

    @contextmanager
    def __call__(self, _settings: Settings) -> Iterator[Any]:
        yield lambda letters, _stop: RetryOutcome([next(iter(letters)).id], [], stopped=True)


def test_a_retry_that_is_stopped_says_so_with_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is told, and that some letters had no turn."""
    _letters(2)
    stopped = replace(PIPELINES["health"], open_retry=_Stopped())
    monkeypatch.setitem(PIPELINES, "health", stopped)
    done = run_command("dlq", "retry")
    assert done.code == 3, done
    assert "1 resolved, 0 kept." in done.out
    assert "Stopped before the end" in done.err


@contextmanager
def _keeping(_settings: Settings) -> Iterator[Any]:
    """Keeps every letter."""
    yield lambda letters, _stop: RetryOutcome([], [letter.id for letter in letters])


def test_a_retry_says_why_letters_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent reason comes first."""
    _letters(2)
    document = {"_id": ObjectId(), "userId": ObjectId(), "updatedAt": NOW}
    DeadLetters("dlq").store([Rejected(document, "broken_utf8", None)], "batch_1", NOW)
    monkeypatch.setitem(PIPELINES, "health", replace(PIPELINES["health"], open_retry=_keeping))
    told = _run("dlq", "retry").output
    assert "0 resolved, 3 kept: 2 × metrics.steps: out_of_range, 1 × broken_utf8." in told


def test_a_damaged_letter_of_a_stream_is_listed_beside_the_others(folder: Path) -> None:
    """One whose records somebody edited away hid all of them."""
    lay_odd_letters(folder / "dlq", "stock", "sales")
    queue = DeadLetters("dlq", "stock_dlq")
    listed = _run("dlq", "list", "--all", "--pipeline", "stock").output
    assert all(letter.id[:12] in listed for letter in queue.list())
    assert f"{queue.count()} letters with" in _run("dlq", "retry", "--dry-run", "--pipeline", "stock").output


def test_purge_asks_first() -> None:
    """Without --yes and with the answer no nothing is deleted."""
    first, _ = _letters(2)
    assert run_command("dlq", "purge", answer="n\n").code == STOPPED
    assert run_command("dlq", "purge").code == WRONG_USE
    assert DeadLetters("dlq").count() == 2
    assert "1 letter deleted" in _run("dlq", "purge", first, "--yes").output
    assert "1 letter deleted" in _run("dlq", "purge", "--yes").output
    assert DeadLetters("dlq").count() == 0


def test_a_dry_run_only_counts() -> None:
    """No Spark and no server are needed to say what would be retried."""
    _letters(2)
    assert "2 letters of 2 users" in _run("dlq", "retry", "--dry-run").output


def test_unknown_keys_of_the_env_file_are_told_with_the_nearest_name(folder: Path) -> None:
    """A misspelled setting would otherwise be silently without effect."""
    (folder / ".env").write_text("BATCH_INTERVAL_SECOND=5\nMONGO_URI=mongomock://keys\n")
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
