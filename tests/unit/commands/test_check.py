"""`main.py check` without a server: each check is a value, none can hang or break the others."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark
import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure
from typer.testing import CliRunner

from commands.check import conclusion
from commands.checks import database, documents, kafka, machine, run
from commands.checks.result import CheckResult, bounded, ok
from contracts import ConfigurationError, UnfitError
from contracts.spark import Odd
from main import app
from pipelines.catalog import PIPELINES
from session import LOCAL
from settings import load
from surroundings.before_start import looks

DAY = datetime(2026, 1, 31, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, an address where nobody answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", "mongodb://app:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=200")
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    return tmp_path


def test_a_check_that_hangs_is_given_up() -> None:
    """It becomes a failure of its own after the time it may take."""
    release = threading.Event()

    def hang() -> CheckResult:
        release.wait(60)
        return ok("Slow", "late")

    result = bounded("Slow", hang, seconds=0.05)
    release.set()
    assert (result.status, result.detail) == ("failed", "no answer within 0.05 seconds")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OperationFailure("full error: x", 8000), "OperationFailure"),
        (ConfigurationError("MONGO_URI is wrong."), "MONGO_URI is wrong."),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
def test_a_check_that_raises_fails_alone(error: Exception, told: str) -> None:
    """Whatever it raises is told in its row."""

    def broken() -> CheckResult:
        raise error

    result = bounded("Broken", broken)
    assert result.status == "failed"
    assert told in result.detail


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["ok", "warning", "ok"], ["2 ok, 1 warning", "All that is needed is there."]),
        (["skipped", "warning", "warning"], ["2 warnings, 1 skipped", "All that is needed is there."]),
        (
            ["failed", "ok", "failed"],
            [
                "1 ok, 2 failed",
                "Failed: 0 → Start it.",
                "Failed: 2 → Start it.",
            ],
        ),
    ],
    ids=["warned", "skipped", "failed"],
)
def test_the_end_says_what_failed_and_what_to_do(statuses: list[Any], told: list[str]) -> None:
    """Rows of a long table scroll away, the last lines stay in view."""
    results = [
        CheckResult(str(number), status, "found", "Start it." if status == "failed" else "")
        for number, status in enumerate(statuses)
    ]
    assert [line.plain for line in conclusion(results)] == told


def test_a_date_that_is_none_does_not_hide_the_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """One document with text or null there made the whole row fail."""
    odd = [None, "2026-01-01", 5, [DAY], {"a": DAY}, DatetimeMS(2**61)]
    sample = [{"date": value} for value in (DAY, *odd)] + [{}]
    monkeypatch.setattr(documents, "newest_changes", lambda *_: sample)
    monkeypatch.setattr(documents, "has_index_on", lambda *_: False)
    found = documents.local_days(SimpleNamespace(settings=load(None), source=[], now=lambda: DAY))  # type: ignore[arg-type]
    assert (found.status, found.detail) == ("ok", "1 of 1 dates looked at are midnights")


def test_python_must_be_one_that_spark_takes() -> None:
    """Too old and too new fail."""
    assert machine.python().status == "ok"
    assert machine.python((3, 9)).status == "failed"
    assert machine.python((3, 14)).status == "failed"


def test_packages_are_the_pinned_ones() -> None:
    """The versions are told, so that a report says what was installed."""
    assert machine.packages().status == "ok"
    assert f"pyspark {pyspark.__version__}, " in machine.packages().detail


@pytest.mark.parametrize(
    ("pyspark_version", "pandas_version", "status"),
    [
        ("4.0.5", "2.3.3", "ok"),
        ("4.1.4", "2.2.0", "ok"),
        ("4.2.1", "2.3.3", "ok"),
        ("3.5.6", "2.3.3", "failed"),
        ("4.3.0", "2.3.3", "failed"),
        ("4.10.0", "2.3.3", "failed"),
        ("4.2.1", "2.1.4", "failed"),
        ("4.2.1", "3.0.0", "failed"),
    ],
)
def test_packages_must_fit_together(
    pyspark_version: str, pandas_version: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark from 4.0 to 4.2, and the pandas that all of these take."""
    versions = {"pyspark": pyspark_version, "pandas": pandas_version}
    monkeypatch.setattr("importlib.metadata.version", lambda name: versions.get(name, "1.0"))
    assert machine.packages().status == status


def test_a_missing_java_tells_what_to_install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What was found is the detail, what to do the remedy."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    result = machine.look("Java", looks(LOCAL)["Java"])
    assert (result.status, result.detail) == ("failed", "Java was not found")
    assert result.remedy.startswith("Install Java 17")


def test_a_folder_that_cannot_be_used_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place, or a file system that refuses; a folder to be made later is fine, and not made."""
    (folder / "file").write_text("")
    assert machine.folder("DLQ_DIRECTORY", folder / "file").status == "failed"
    assert machine.folder("DLQ_DIRECTORY", folder / "file" / "below").status == "failed"
    assert machine.folder("DLQ_DIRECTORY", Path("/proc/nobody/writes/here")).status == "failed"
    fine = machine.folder("DLQ_DIRECTORY", folder / "a" / "b")
    assert fine.status == "ok"
    assert "not made yet" in fine.detail
    assert not (folder / "a").exists()


def test_a_drive_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its own parent, so the search for one that is there never ended."""
    looked: list[Path] = []

    def exists(path: Path) -> bool:
        looked.append(path)
        assert len(looked) < 20
        return False

    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", exists)
        result = machine.folder("DLQ_DIRECTORY", Path("/a/b"))
    assert (result.status, result.detail) == ("failed", "/a/b: the drive / is not there")


@pytest.mark.parametrize(("free", "status"), [(50, "failed"), (500, "warning"), (5000, "ok")])
def test_space_runs_out_with_a_warning_first(
    free: int, status: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below 1 GiB warns, below 100 MiB fails."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(0, 0, free * 1024**2))
    assert machine.folder("LOG_DIRECTORY", folder).status == status


def test_all_folders_of_the_settings_are_looked_at() -> None:
    """Each setting that names a folder to write into has a row; a new one must be added to the check."""
    named = {name.upper() for name, value in load(env_file=None) if isinstance(value, Path)}
    # The one is only read, the other is looked at where the accountant's page is on.
    others = {"ECOMMERCE_INPUT_PATH", "SQLITE_DB_PATH"}
    settings = load(env_file=None)
    looked_at = {name for one in PIPELINES.values() for name in machine.folders(settings, one)}
    assert named - others <= looked_at


_SERVERS = {"health": ["MongoDB"], "stock": ["MongoDB"], "esports": [], "ecommerce": ["PostgreSQL"]}


@pytest.mark.parametrize("name", PIPELINES)
def test_what_only_other_pipelines_need_fails_no_check(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folders cannot be made, their servers are away, before and after the command's name."""
    monkeypatch.setattr(kafka, "run", lambda *_: iter(()))
    (folder / "file").write_text("")
    paths = {one.parquet.setting: one.name for one in PIPELINES.values() if one.parquet}
    for setting, owner in {**paths, "SQLITE_DB_PATH": "stock"}.items():
        if owner != name:
            monkeypatch.setenv(setting, str(folder / "file" / "below"))
    if not PIPELINES[name].topics:
        monkeypatch.setenv("KAFKA_CONNECTOR_PATH", str(folder / "file" / "below"))
    before, after = (
        CliRunner().invoke(app, arguments)
        for arguments in (["--pipeline", name, "--json", "check"], ["check", "--pipeline", name, "--json"])
    )
    rows = {row["name"]: row["status"] for row in json.loads(after.stdout)["checks"]}
    assert rows == {row["name"]: row["status"] for row in json.loads(before.stdout)["checks"]}
    assert [row for row, status in rows.items() if status == "failed" and row not in _SERVERS[name]] == []


def _granted(*privileges: tuple[str, str, str]) -> dict[str, Any]:
    """What the server answers for a user with these (database, collection, action)."""
    granted = [
        {"resource": {"db": db, "collection": name}, "actions": [action]} for db, name, action in privileges
    ]
    return {"authenticatedUsers": [{"user": "app"}], "authenticatedUserPrivileges": granted}


@pytest.mark.parametrize(
    ("auth", "allowed"),
    [
        ({"authenticatedUsers": []}, True),
        ({"authenticatedUsers": [{"user": "app"}]}, None),
        (_granted(), False),
        (_granted(("health", "", "createIndex")), True),
        (_granted(("", "", "find"), ("", "", "createIndex")), True),
        (_granted(("health", "analytics", "find")), False),
        (_granted(("other", "", "createIndex")), False),
        (_granted(("health", "healthmetrics", "createIndex")), False),
    ],
)
def test_the_right_to_create_indexes_is_read_from_the_privileges(auth: Any, allowed: bool | None) -> None:
    """`connectionStatus` as MongoDB's manual describes it; without a user all is allowed."""
    assert database.may(auth, "createIndex", "health", "analytics") is allowed


class Refusing:
    """A collection of a user without rights, as MongoDB answers one."""

    name = "healthmetrics"

    def find_one(self, *_arguments: Any) -> None:
        """Refused."""
        raise OperationFailure("not authorized on health to execute command", 13)


def test_a_missing_right_is_told_with_the_role_to_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 13 is no stack trace and no vague failure."""
    monkeypatch.setattr(database.Database, "source", Refusing())
    result = database.can_read(database.Database.open(load(env_file=None)))
    assert (result.status, result.detail) == ("failed", "not allowed")
    assert "Grant the user `read`" in result.remedy


def _check(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments])
    return result.exit_code, result.stdout


def test_each_look_of_the_start_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is odd is a warning; what keeps Spark from starting a failure, and then it is not started."""

    def unfit() -> str:
        raise UnfitError("no name", "Add one.")

    monkeypatch.setattr(run, "looks", lambda _master: {"Java": lambda: Odd("old", "Mend it."), "User": unfit})
    rows = {row["name"]: row for row in json.loads(_check("--json")[1])["checks"]}
    assert (rows["Java"]["status"], rows["Java"]["detail"]) == ("warning", "old")
    assert (rows["User"]["status"], rows["User"]["remedy"]) == ("failed", "Add one.")
    assert rows["Spark"]["status"] == "skipped"


def test_without_a_database_the_rest_is_still_checked(folder: Path) -> None:
    """One failure with its remedy, dependent checks skipped, exit code 2, no password anywhere."""
    (folder / ".env").write_text("MONGO_URL=x\n")
    code, text = _check("--json")
    assert code == 2
    assert "hunter2" not in text
    answer = json.loads(text)
    rows = {row["name"]: row for row in answer["checks"]}
    assert answer["ok"] is False
    assert rows["MongoDB"]["status"] == "failed"
    assert "Start MongoDB" in rows["MongoDB"]["remedy"]
    assert rows["Clocks"]["status"] == "skipped"
    assert rows["Settings"]["status"] == "warning"
    assert "did you mean MONGO_URI" in rows["Settings"]["detail"]
    assert rows["Java"]["status"] == rows["LOG_DIRECTORY"]["status"] == "ok"
    code, table = _check()
    assert code == 2
    assert "hunter2" not in table
    assert "→ Start MongoDB" in table


def test_wrong_settings_are_one_failed_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not depend on them is checked all the same."""
    monkeypatch.setenv("BATCH_INTERVAL_SECONDS", "soon")
    code, text = _check("--json")
    rows = {row["name"]: row for row in json.loads(text)["checks"]}
    assert code == 2
    assert "BATCH_INTERVAL_SECONDS" in rows["Settings"]["detail"]
    assert rows["Python"]["status"] == "ok"


def test_an_address_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any connection is tried."""
    monkeypatch.setenv("MONGO_URI", "mongodb://app:hun/ter2@127.0.0.1")
    code, text = _check("--json")
    assert code == 2
    assert "percent-encode" in text
    assert "ter2" not in text


def test_the_embedded_store_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing about it is a failure, so that trying out begins with a good check."""
    monkeypatch.setenv("MONGO_URI", "mongomock://check")
    code, text = _check("--json")
    assert code == 0, text
