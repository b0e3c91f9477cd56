"""Spark's classes as one mapped file: a Java that finds them ready starts with a third less work.

Java's class data sharing (JEP 350). The file belongs to one Java and one Spark.
`script/setup` and the image make it by `python -m commands.class_archive`; it may be deleted, and a Java to
which it does not fit ignores it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pyspark

from surroundings.java_found import java

_FOLDER = Path(pyspark.__file__).resolve().parent / "class-archive"
# Java says so each time when the file does not fit.
_QUIET = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")


def archive() -> Path:
    """Where the file is, if it is there: beside Spark's jars. Raises UnfitError without a Java."""
    key = hashlib.sha256(f"{java().version} {pyspark.__version__}".encode()).hexdigest()
    return _FOLDER / f"{key[:16]}.jsa"


def empty_conf() -> Path:
    """A folder for SPARK_CONF_DIR: with files in a folder of its class path Java takes no archive."""
    return _FOLDER / "no-conf"


def reading() -> list[str]:
    """Java's options to use the archive; none where there is none."""
    file = archive()
    return [*_QUIET, f"-XX:SharedArchiveFile={file}"] if file.exists() else []


def writing(file: Path) -> list[str]:
    """Java's options to write the classes that it has loaded to `file` when it ends."""
    return [*_QUIET, f"-XX:ArchiveClassesAtExit={file}"]


def with_options(environment: Mapping[str, str], quiet_conf: Path, options: list[str]) -> dict[str, str]:
    """The environment of spark-submit for a driver with these options of Java.

    Only where `quiet_conf`, whose log settings are handed on, is Spark's folder of settings: a user's own has
    to be on the class path.
    """
    if not options or environment.get("SPARK_CONF_DIR") != str(quiet_conf):
        return dict(environment)
    log_settings = (quiet_conf / "log4j2.properties").as_uri()
    added = " ".join(f'"{option}"' for option in (*options, f"-Dlog4j2.configurationFile={log_settings}"))
    given = environment.get("SPARK_SUBMIT_OPTS", "")
    return {
        **environment,
        "SPARK_CONF_DIR": str(empty_conf()),
        "SPARK_SUBMIT_OPTS": f"{added} {given}".strip(),
    }
