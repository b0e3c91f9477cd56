"""What a person does on Windows, and what has to come of it. Each check starts from a place of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone

from tests.windows.machine import Ended
from tests.windows.place import REFUSED_STEPS, Place

BATCH = "process_batch.py"
_NO_DRIVE = r"Q:\state"


def batches(place: Place) -> None:
    """A folder with blanks and umlauts, a pipe of code page 1252: the results and letters of a Linux run.

    With --json nothing but JSON is said, also by what ends Java.
    """
    results, letters = place.linux_run()
    ended = _done(place.python(BATCH))
    assert "BATCH PROCESSING COMPLETED" in ended.out, ended.text
    assert place.results() == results
    assert place.letters() == letters
    assert results
    assert letters
    place.job.assert_equals_reference()
    again = _done(place.python(BATCH, "--json"))
    for line in again.out.splitlines():
        json.loads(line)
    assert again.errors == "", again.errors
    assert place.letters() == letters


def ways(place: Place) -> None:
    """`main.py --once`, `--since` and `--full` store what the reference says."""
    _done(place.python("main.py", "--once"))
    place.job.assert_equals_reference()
    _edit(place)
    _done(place.python(BATCH, "--since", f"{datetime.now(timezone.utc):%Y-%m-%d}"))
    place.job.assert_equals_reference()
    _edit(place)
    _done(place.python(BATCH, "--full"))
    place.job.assert_equals_reference()


def commands(place: Place) -> None:
    """The commands that look, in a place without a run and in a pipe of code page 1252."""
    shown = _done(place.python("main.py", "check", "--json"))
    rows = {row["name"]: row for row in json.loads(shown.out)["checks"]}
    assert rows["Spark"]["status"] == "ok", rows["Spark"]
    assert shown.errors == "", shown.errors
    for arguments in (["config"], ["dlq", "list"], ["checkpoint", "show"], ["inspect"]):
        _done(place.python("main.py", *arguments))
    _done(place.python("main.py", "selftest"))


def letters(place: Place) -> None:
    """A refused document is a letter; corrected in the database, its retry resolves it."""
    _done(place.python(BATCH))
    before = place.letters()
    source = place.job.database["healthmetrics"]
    source.update_one({"metrics.steps": REFUSED_STEPS}, {"$set": {"metrics.steps": 9000}})
    _done(place.python("main.py", "dlq", "retry"))
    assert place.letters() < before
    assert len(place.letters()) == len(before) - 1
    place.job.assert_equals_reference()


def ctrl_c(place: Place) -> None:
    """Ctrl+C in a console finishes the running piece, which needs Java, and says so."""
    place.configure(FAULT="compute:sleep:10")
    before = {path.name for path in place.machine.temporary.iterdir()}
    ended = place.machine.in_console(place.folder, BATCH, until="Recomputing", keys=b"\x03")
    assert ended.code == 3, ended.text
    assert "Stopped after" in ended.text, ended.text
    assert "Traceback" not in ended.text, ended.text
    place.assert_clean(before, ended)
    assert place.results()
    place.job.assert_equals_reference()


def streams(place: Place) -> None:
    """What needs Spark's streams is refused at once, with the ways out."""
    for arguments in ([], ["--demo"], ["--pipeline", "esports", "--once"]):
        ended = _refused(place.python("main.py", *arguments))
        assert "process_batch.py" in ended.errors, ended.errors
        assert "WSL2" in ended.errors, ended.errors


def settings(place: Place) -> None:
    """`.env` as Notepad and PowerShell save it; a drive that is not there; a path in double quotes."""
    place.configure("utf-16")
    assert place.job.database.name in _done(place.python("main.py", "config")).out
    place.configure("cp1252", SPARK_APP_NAME="Müller")
    assert "save it as UTF-8" in _refused(place.python("main.py", "config")).errors
    place.configure(LOG_DIRECTORY=r'"C:\new\temp"')
    assert "LOG_DIRECTORY" in _refused(place.python(BATCH)).errors
    place.configure(CHECKPOINT_LOCATION=_NO_DRIVE)
    ended = place.python("main.py", "check", "--json")
    assert ended.code == 2, ended.text
    rows = {row["name"]: row for row in json.loads(ended.out)["checks"]}
    assert "the drive Q:\\ is not there" in rows["CHECKPOINT_LOCATION"]["detail"], rows
    assert "CHECKPOINT_LOCATION" in _refused(place.python(BATCH)).errors


def java(place: Place) -> None:
    """A Java that cannot start Spark is one line with its own words, in the batch and in `check`."""
    for arguments in ([BATCH], ["main.py", "check"]):
        ended = place.python(*arguments, JAVA_TOOL_OPTIONS="-XX:Frob=1")
        assert ended.code == 2, ended.text
        assert "Frob" in ended.text, ended.text
        assert "bug of the service" not in ended.text, ended.text
        assert "apt-get" not in ended.text, ended.text
    # It runs, and Spark does not: it lacks a module.
    real = place.machine.drive / "Java/bin/javareal.exe"
    reduced = place.machine.drive / "Reduced"
    if not reduced.exists():
        reduced.mkdir()
        for path in real.parents[1].iterdir():
            (reduced / path.name).symlink_to(path)
        (reduced / "bin").unlink()
        (reduced / "bin").mkdir()
        for path in real.parent.iterdir():
            (reduced / "bin" / path.name).symlink_to(path)
        (reduced / "bin/java.exe").unlink()
        (reduced / "bin/java.exe").symlink_to(real)
    ended = _refused(place.python(BATCH, JAVA_HOME=r"C:\Reduced"))
    assert "jdk.incubator.vector" in ended.errors, ended.errors


CHECKS: dict[str, tuple[str, Callable[[Place], None]]] = {
    check.__name__: (folder, check)
    for folder, check in (
        ("users/Jörg Müller/health", batches),
        ("health", ways),
        ("health", commands),
        ("health", letters),
        ("health", ctrl_c),
        ("health", streams),
        ("health", settings),
        ("health", java),
    )
}


def _done(ended: Ended) -> Ended:
    assert ended.code == 0, ended.text
    return ended


def _refused(ended: Ended) -> Ended:
    assert ended.code == 2, ended.text
    assert "Traceback" not in ended.text, ended.text
    assert len(ended.errors.splitlines()) <= 2, ended.errors
    return ended


def _edit(place: Place) -> None:
    """Correct one document, now."""
    source = place.job.database["healthmetrics"]
    document = source.find_one({"metrics.steps": {"$gt": 100}})
    assert document
    changed = {"metrics.steps": document["metrics"]["steps"] + 1, "updatedAt": datetime.now(timezone.utc)}
    source.update_one({"_id": document["_id"]}, {"$set": changed})
