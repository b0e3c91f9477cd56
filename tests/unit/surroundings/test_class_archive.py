"""The archive of Spark's classes: made by `script/setup`, used where Java is ours to start."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from session import QUIET_CONF
from surroundings.class_archive import archive, empty_conf, reading, with_options
from tests.support.own_process import run_program

OURS = {"SPARK_CONF_DIR": str(QUIET_CONF), "SPARK_SUBMIT_OPTS": "-Dgiven=1"}
SESSION = """
import sys
from contracts.spark import SparkStart
from session import build_session
build_session(SparkStart("archive", "local[1]", 1.0), False).range(3).count()
"""


def test_the_archive_holds_sparks_classes() -> None:
    """Java says nothing when it cannot make it: then only the launcher's few classes (2 MB) are in there."""
    assert archive().stat().st_size > 50_000_000


def test_a_start_takes_sparks_classes_from_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user starts it: no variable of Java's or Spark's is set but the one that tells of the classes."""
    for name in [name for name in os.environ if name.startswith(("SPARK_", "JAVA_TOOL"))]:
        monkeypatch.delenv(name)
    told = tmp_path / "classes.txt"
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", f"-Xlog:class+load=info:file={told}")
    ran = run_program(SESSION, tmp_path, short_run=False)
    assert ran.returncode == 0, ran.stderr
    of_spark = re.findall(r" org\.apache\.spark\.\S+ source: (.*)", told.read_text())
    from_jars = [source for source in of_spark if "/jars/" in source]
    assert of_spark.count("shared objects file (top)") > max(1000, 10 * len(from_jars))
    assert "[warning]" not in ran.stderr


def test_options_are_added_to_the_users() -> None:
    """The user's come last, so they count; each of ours is one word, whatever is in it."""
    given = with_options(OURS, QUIET_CONF, ["-XX:SharedArchiveFile=/a b/c.jsa"])
    assert given["SPARK_CONF_DIR"] == str(empty_conf())
    options = given["SPARK_SUBMIT_OPTS"]
    assert options.startswith('"-XX:SharedArchiveFile=/a b/c.jsa" "-Dlog4j2.configurationFile=file:')
    assert options.endswith('log4j2.properties" -Dgiven=1')


@pytest.mark.parametrize(
    ("environment", "options"),
    [(OURS, []), ({**OURS, "SPARK_CONF_DIR": "/etc/spark"}, ["-Xa"]), ({"SPARK_HOME": "/opt"}, ["-Xa"])],
    ids=["no archive", "settings of the user's", "a Spark of the user's"],
)
def test_nothing_changes_where_it_would_not_fit(environment: dict[str, str], options: list[str]) -> None:
    """A folder with files on the class path keeps Java from taking an archive."""
    assert with_options(environment, QUIET_CONF, options) == environment


def test_without_the_file_there_are_no_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Java would refuse to name a file that is not there."""
    monkeypatch.setattr("surroundings.class_archive._FOLDER", tmp_path)
    assert reading() == []
