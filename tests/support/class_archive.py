"""How tests start Java: for short runs, with the archive of Spark's classes that `script/setup` has made.

The archive fits only where no folder with files is on the class path, so the log settings of deploy/spark are
named in another way than session.py does.
"""

from __future__ import annotations

from functools import cache

from session import QUIET_CONF
from surroundings.class_archive import empty_conf, reading

# Each run is short: the second compiler would only take the cores away from the first batch.
_SHORT_RUN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_LOG_SETTINGS = f"-Dlog4j2.configurationFile={(QUIET_CONF / 'log4j2.properties').as_uri()}"


@cache
def java_environment(quiet: bool = True) -> dict[str, str]:
    """The environment that makes Java fast for short runs; not `quiet`, Spark logs as it does by itself."""
    options = [*_SHORT_RUN, *([_LOG_SETTINGS] if quiet else []), *reading()]
    return {"JAVA_TOOL_OPTIONS": " ".join(options), "SPARK_CONF_DIR": str(empty_conf())}
