"""However Spark's Java fails at its start, a person gets one line with its last words and what it reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pyspark import SparkContext

from contracts import ConfigurationError
from contracts.errors import StoppedError
from surroundings import java_start
from surroundings.java_start import java_started
from tests.support.documents import ROOT
from tests.support.fake_java import fake_java
from tests.support.job import runs
from tests.support.waiting import wait_for

# The launcher answers with the command to run: here the same program again.
_SECOND = """case "$*" in *launcher.Main*) printf '\\0\\n%s\\0run\\0' "$0"; exit 0;; esac"""
_MACHINE = """Error: Could not create the Java Virtual Machine.
Error: A fatal exception has occurred. Program will exit."""
_NO_MEMORY = """OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x1, 2, 0) failed
#
# There is insufficient memory for the Java Runtime Environment to continue.
# Native memory allocation (mmap) failed to map 1073741824 bytes.
# An error report file with more information is saved as:
# /app/hs_err_pid12.log"""
_NO_NAME = """Exception in thread "main" java.lang.IllegalArgumentException: java.lang.reflect.Invocation
\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
Caused by: javax.security.auth.login.LoginException: java.lang.NullPointerException: invalid null input: name
\tat java.base/java.lang.Thread.run(Thread.java:840)
\t... 35 more"""
_REDUCED = """Error occurred during initialization of boot layer
java.lang.module.FindException: Module jdk.incubator.vector not found"""
_USAGE = """Error: Missing application resource.

WARNING: Using incubator modules: jdk.incubator.vector
Usage: spark-submit [options] <app jar | python file | R file> [app arguments]
  --master MASTER_URL         spark://host:port, yarn,"""

# What Java says, its exit code, and what of it is told.
_FAILURES = {
    "an option": (f"Unrecognized VM option 'Frob'\n{_MACHINE}", 1, "start: Unrecognized VM option 'Frob'. "),
    "only in general": (_MACHINE, 1, "Program will exit"),
    "memory at once": (
        "Error occurred during initialization of VM\nCould not reserve enough space for 9kB object heap",
        1,
        "initialization of VM: Could not reserve enough space for 9kB object heap",
    ),
    "memory later": (_NO_MEMORY, 1, "There is insufficient memory for the Java Runtime .* failed to map"),
    "a cause": (_NO_NAME, 1, "start: javax.security.auth.login.LoginException: .* invalid null input: name"),
    "a reduced Java": (_REDUCED, 1, "FindException: Module jdk.incubator.vector not found"),
    "its usage": (_USAGE, 1, "start: Error: Missing application resource"),
    "a thread": (
        'Exception in thread "main" java.lang.OutOfMemoryError: unable to create native thread\n\tat x(Z.j)',
        1,
        "start: java.lang.OutOfMemoryError: unable to create native thread",
    ),
    "words of anybody": ("boom", 3, "start: boom"),
    "words and a good end": ("bye", 0, "start: bye"),
    "nothing": ("", 7, "Java ended without a word"),
    "nothing and a good end": ("", 0, "Java ended without a word"),
    "a secret": ("Unrecognized option: -Dstore.password=hunter2", 1, r"-Dstore\.password=\*\*\*"),
    "a page": ("x" * 5000, 1, "xxx…"),
}


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not started Spark."""
    monkeypatch.setattr(SparkContext, "_gateway", None)
    monkeypatch.setattr(SparkContext, "_jvm", None)
    for name in [name for name in os.environ if name.startswith(("SPARK_", "PYSPARK_", "JAVA_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("then", ["", _SECOND], ids=["the launcher", "Spark"])
@pytest.mark.parametrize(("says", "code", "told"), list(_FAILURES.values()), ids=list(_FAILURES))
def test_a_java_that_ends_is_told_with_its_last_words(
    says: str, code: int, told: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In one line, whatever it says, whichever of the two Javas of a start, with whatever exit code."""
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, says, code, then)))
    with pytest.raises(ConfigurationError, match=told) as caught, java_started({}, {}):
        pytest.fail("did not start")
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 800
    assert "hunter2" not in text
    assert "".join(capfd.readouterr()) == ""


def test_what_java_reads_is_named_and_what_may_be_secret_has_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service sets itself is left out."""
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, "boom", 1)))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dstore.password=hunter2")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    with pytest.raises(ConfigurationError) as caught, java_started({}, {"SPARK_LOCAL_IP": "127.0.0.1"}):
        pass
    assert f"JAVA_HOME={tmp_path}, JAVA_TOOL_OPTIONS. Correct" in str(caught.value)
    assert "SPARK_LOCAL_IP" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_java_that_does_not_come_up_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some minutes; here at once."""
    monkeypatch.setattr(java_start, "_PATIENCE_SECONDS", 0.3)
    home = fake_java(tmp_path, "", then=f"{_SECOND}\necho waiting; exec sleep 60")
    monkeypatch.setenv("JAVA_HOME", str(home))
    told = r"waiting: nothing for 0\.3 seconds, so it was ended"
    with pytest.raises(ConfigurationError, match=told), java_started({}, {}):
        pass


@pytest.mark.parametrize("then", ["", _SECOND], ids=["the launcher", "Spark"])
def test_a_stop_while_java_starts_leaves_no_java(
    then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the launcher nor Spark's, also if it does not look whether anybody still speaks to it."""
    told = tmp_path / "pid"
    home = fake_java(tmp_path, "", then=f"{then}\necho $$ >{told}.new; mv {told}.new {told}; exec sleep 600")
    monkeypatch.setenv("JAVA_HOME", str(home))

    def stop() -> None:
        wait_for(told.exists, "Java")
        os.kill(os.getpid(), signal.SIGUSR1)

    def stopped(*_: object) -> None:
        raise StoppedError

    usual = signal.signal(signal.SIGUSR1, stopped)
    try:
        threading.Thread(target=stop).start()
        with pytest.raises(StoppedError), java_started({}, {}):
            pytest.fail("did not start")
    finally:
        signal.signal(signal.SIGUSR1, usual)
    wait_for(lambda: not runs(int(told.read_text())), "the end of Java")


_START = """
import json, sys
from commands.checks import machine
from contracts.spark import SparkStart
print(json.dumps([machine.spark_starts(SparkStart("t", "", 60.0)).detail for _ in range(int(sys.argv[1]))]))
"""


def _starts(times: int, **variables: str) -> tuple[list[str], str]:
    run = subprocess.run(
        [sys.executable, "-c", _START, str(times)],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[str] = json.loads(run.stdout)
    return found, run.stderr


def test_check_starts_what_a_job_starts() -> None:
    """Java and a context, in silence."""
    found, errors = _starts(1)
    assert all(detail.endswith(" starts") for detail in found)
    assert errors == ""


def test_what_spark_refuses_is_one_line(tmp_path: Path) -> None:
    """Java runs, and a setting of spark-defaults.conf names a class that is not there."""
    (tmp_path / "spark-defaults.conf").write_text("spark.serializer no.such.Class\n")
    found, errors = _starts(2, SPARK_CONF_DIR=str(tmp_path))
    told = "Spark could not start: java.lang.ClassNotFoundException: no.such.Class. It reads"
    assert all(detail.startswith(told) for detail in found)
    assert f"SPARK_CONF_DIR={tmp_path}" in found[0]
    assert errors == ""
