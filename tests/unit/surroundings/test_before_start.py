"""What is around the service is looked at before Spark starts: each fault is one line with a remedy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import ConfigurationError, UnfitError
from contracts.spark import Odd
from session import LOCAL
from surroundings import before_start
from surroundings.before_start import looks, native_code, require
from surroundings.java_found import java
from tests.support.fake_java import fake_java

# What a test run itself sets.
_SET = ("JAVA_HOME", "PYSPARK_PYTHON", "SPARK_LOCAL_IP", "SPARK_CONF_DIR", "SPARK_HOME", "TMPDIR")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A usable Java, and nothing else."""
    for name in [*_SET, *(name for name in os.environ if name.startswith(("JAVA_", "_JAVA", "PYSPARK_")))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(
        "JAVA_HOME", str(fake_java(tmp_path / "usable", says='openjdk version "17.0.15" 2025'))
    )
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_plain_machine_is_fit() -> None:
    """Each look says what it found."""
    assert require(LOCAL) == []
    assert all(isinstance(look(), str) for look in looks(LOCAL).values())


def test_options_from_the_environment_do_not_hide_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_TOOL_OPTIONS makes Java print a line before its version."""
    says = 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n    java.io.tmpdir = /x y\nopenjdk version "21.0.2" 2024'
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", says=says)))
    assert (java().version, java().temporary) == ('openjdk version "21.0.2" 2024', "/x y")


# ruff: noqa: E501
# Name, variables, and what the one line tells; {} is a folder of the test's own.
_UNFIT: list[tuple[str, dict[str, str], str]] = [
    ("no Java", {"JAVA_HOME": "", "PATH": "{}"}, "Java was not found. Install Java 17"),
    ("a folder without Java", {"JAVA_HOME": "{}"}, "JAVA_HOME names a Java that cannot run.*openjdk-17"),
    ("a Java that is no program", {"JAVA_HOME": "{}/text"}, "JAVA_HOME names a Java that cannot run"),
    ("options that Java refuses", {"JAVA_HOME": "{}/refusing", "_JAVA_OPTIONS": "-Xfrob"}, "does not start: Unr.*_JAVA_OPT"),
    ("a broken Java", {"JAVA_HOME": "{}/refusing"}, "does not start: Unrecognized option: -Xfrob. Install"),
    ("a silent Java", {"JAVA_HOME": "{}/silent"}, "does not start: nothing. Install"),
    ("an old Java", {"JAVA_HOME": "{}/old"}, r'Java 17 or 21, JAVA_HOME names openjdk version "11.0.2"'),
    ("a new Java", {"JAVA_HOME": "{}/new"}, r'Java 17 or 21, JAVA_HOME names openjdk version "25.0.1"'),
    ("Java's folder is gone", {"JAVA_HOME": "{}/homeless"}, "/gone is not there. .*-Djava.io.tmpdir"),
    ("Spark's folder cannot be", {"SPARK_LOCAL_DIRS": "/proc/nobody,{}/text/bin/java/x"}, "/proc/nobody.*SPARK_LOCAL_DIRS"),
    ("Spark Connect", {"SPARK_REMOTE": "sc://x"}, "SPARK_REMOTE asks for Spark Connect.* Unset it"),
    ("Spark Connect by its mode", {"SPARK_API_MODE": "connect"}, "SPARK_API_MODE=connect asks for Spark Connect"),
    ("a Spark that is none", {"SPARK_HOME": "{}"}, "SPARK_HOME=.* has no bin/spark-submit. Correct or unset"),
    ("an empty SPARK_HOME", {"SPARK_HOME": ""}, "SPARK_HOME= has no bin/spark-submit"),
    ("an older Spark", {"SPARK_HOME": "{}/spark"}, "SPARK_HOME=.* has Spark 3.5, and pyspark is 4"),
    ("no program to start", {"PYSPARK_SUBMIT_ARGS": "--master local[2]"}, "PYSPARK_SUBMIT_ARGS does not end with"),
    ("an empty call", {"PYSPARK_SUBMIT_ARGS": ""}, "PYSPARK_SUBMIT_ARGS does not end with"),
    ("an open quote", {"PYSPARK_SUBMIT_ARGS": "'pyspark-shell"}, "PYSPARK_SUBMIT_ARGS does not end with"),
    ("only its version", {"PYSPARK_SUBMIT_ARGS": "--version pyspark-shell"}, "PYSPARK_SUBMIT_ARGS .* holds"),
    ("a stale gateway", {"PYSPARK_GATEWAY_PORT": "1"}, "PYSPARK_GATEWAY_PORT=1 says .* Unset"),
    ("a gateway that is no port", {"PYSPARK_GATEWAY_PORT": "x"}, "PYSPARK_GATEWAY_PORT=x says"),
    ("another machine's address", {"SPARK_LOCAL_IP": "192.0.2.1"}, "SPARK_LOCAL_IP=192.0.2.1 is no address of"),
    ("no address", {"SPARK_LOCAL_IP": "no.such.invalid"}, "SPARK_LOCAL_IP=no.such.invalid is no address of"),
    ("no Python", {"PYSPARK_PYTHON": "{}/python"}, "Nothing that runs is at PYSPARK_PYTHON=.* Unset"),
    ("another Python", {"PYSPARK_PYTHON": "{}/other"}, "3.* here, 2.7 at PYSPARK_PYTHON=.* Unset"),
    ("a bare Python", {"PYSPARK_PYTHON": "{}/bare"}, "PYSPARK_PYTHON=.* lacks pandas, pyarrow. Unset"),
    ("a failing Python", {"PYSPARK_PYTHON": "/bin/false"}, "nothing that runs at PYSPARK_PYTHON=/bin/false"),
]  # fmt: skip


def _program(file: Path, says: str) -> None:
    file.write_text(f"#!/bin/sh\necho '{says}'\n")
    file.chmod(0o755)


def _world(folder: Path) -> None:
    """Javas, Pythons and a Spark as people have them."""
    fake_java(
        folder / "refusing",
        says="Unrecognized option: -Xfrob\nError: Could not create the Java Virtual Machine.",
        code=1,
    )
    fake_java(folder / "silent", says="", code=1)
    fake_java(folder / "old", says='openjdk version "11.0.2" 2019-01-15')
    fake_java(folder / "new", says='openjdk version "25.0.1" 2025-10-21')
    fake_java(folder / "homeless", says=f'    java.io.tmpdir = {folder}/gone\nopenjdk version "17"')
    (folder / "text" / "bin").mkdir(parents=True)
    (folder / "text" / "bin" / "java").write_text("no program")
    for name, content in (("bin/spark-submit", ""), ("jars/spark-core_2.12-3.5.6.jar", "")):
        file = folder / "spark" / name
        file.parent.mkdir(parents=True)
        file.write_text(content)
    _program(folder / "other", "2.7")
    _program(folder / "bare", f"{sys.version_info[0]}.{sys.version_info[1]} pandas pyarrow")


@pytest.mark.parametrize(("variables", "told"), [row[1:] for row in _UNFIT], ids=[row[0] for row in _UNFIT])
def test_what_keeps_spark_from_starting_is_one_line(
    variables: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started, with the variable's name and the remedy; never an error of another kind."""
    _world(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("{}", str(tmp_path)))
    with pytest.raises(UnfitError, match=told) as caught:
        require(LOCAL)
    assert isinstance(caught.value, ConfigurationError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"TMPDIR": "/proc/nobody"}, "TMPDIR=/proc/nobody cannot be used"),
        ({"SPARK_LOCAL_DIRS": "/proc/nobody,/tmp"}, "passes over a folder of SPARK_LOCAL_DIRS: /proc/nobody"),
        ({"SPARK_CONF_DIR": "/nowhere"}, "SPARK_CONF_DIR=/nowhere is no folder"),
    ],
)
def test_what_is_passed_over_is_told(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark starts, but not as it was meant."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (odd,) = require(LOCAL)
    assert told in odd.found
    assert odd.remedy


def test_the_python_of_a_clusters_workers_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies on other machines."""
    monkeypatch.setenv("PYSPARK_PYTHON", "/opt/on/the/workers/python")
    assert require("spark://elsewhere:7077") == []


def test_spark_defaults_name_the_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Java reads properties."""
    (tmp_path / "spark-defaults.conf").write_text("#x\n spark.local.dir=/proc/nobody \nspark.a b\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    with pytest.raises(UnfitError, match=f"spark.local.dir in {tmp_path}"):
        before_start.temporary_folders()


@pytest.mark.parametrize(("limit", "kind"), [(256, UnfitError), (800, Odd), (2048, str), (-1, str)])
def test_few_open_files_are_told(limit: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java opens its jars and connections: below 400 it does not start."""
    monkeypatch.setattr("resource.getrlimit", lambda _what: (64, limit))
    found: Any
    try:
        found = before_start.open_files()
    except UnfitError as error:
        found = error
    assert isinstance(found, kind)


def _as(*command: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from commands.common import guarded; from surroundings.before_start import require, native_code\n"
    code += f"sys.exit(guarded(lambda: (require({LOCAL!r}), native_code())))"
    run = [*command, sys.executable, "-c", code]
    return subprocess.run(
        run, capture_output=True, text=True, check=False, cwd=Path(before_start.__file__).parent.parent
    )


_NAMELESS = ("unshare", "--map-user=12345")
_NOEXEC = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o noexec tmpfs "$0" && exec "$@"')


@pytest.fixture
def allowed() -> Callable[..., None]:
    """Skips where this machine does not let a test take another user or mount."""

    def ask(*command: str) -> None:
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs user and mount namespaces")

    return ask


def test_a_user_without_a_name_is_one_line(allowed: Callable[..., None]) -> None:
    """As containers of OpenShift have them."""
    allowed(*_NAMELESS)
    run = _as(*_NAMELESS)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "The user with the number 12345 has no name here (no entry in /etc/passwd)" in run.stderr


def test_a_temporary_folder_that_runs_no_code_is_one_line(
    allowed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounted noexec: Parquet's compression would fail in each batch."""
    allowed(*_NOEXEC, str(tmp_path))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    says = f'    java.io.tmpdir = {scratch}\nopenjdk version "17"'
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", says=says)))
    assert native_code() == str(scratch)
    run = _as(*_NOEXEC, str(scratch))
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert f"Java cannot run code from its temporary folder {scratch}" in run.stderr
    assert "noexec" in run.stderr
