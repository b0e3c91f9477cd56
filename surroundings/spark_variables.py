"""The variables by which Spark finds itself: whether they start the Spark that is installed."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from pathlib import Path

import pyspark

from contracts import UnfitError
from contracts.spark import Odd

_ASK_SECONDS = 2.0
_CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
# Options with which spark-submit does something else than start a program.
_ENDS_AT_ONCE = {"--version", "--help", "-h", "--kill", "--status", "--usage-error"}


def spark_variables() -> str | Odd:
    """Variables that Spark reads start the Spark that is installed, and nothing else."""
    other = [name for name in _CONNECT if name in os.environ]
    other += [
        f"{name}={v}" for name in ("SPARK_API_MODE", "SPARK_CONNECT_MODE") if (v := os.environ.get(name))
    ]
    if other := [name for name in other if not name.endswith(("=classic", "=0"))]:
        raise UnfitError(
            f"{', '.join(other)} asks for Spark Connect, which this service does not speak", "Unset it."
        )
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return _submitted()
    _require_home()
    _require_arguments()
    _require_address()
    conf = os.environ.get("SPARK_CONF_DIR")
    if conf and not Path(conf).is_dir():
        return Odd(
            f"SPARK_CONF_DIR={conf} is no folder, so Spark's own defaults hold", "Correct or unset it."
        )
    return f"Spark {pyspark.__version__} of {os.environ.get('SPARK_HOME') or Path(pyspark.__file__).parent}"


def _submitted() -> str:
    port = os.environ["PYSPARK_GATEWAY_PORT"]
    try:
        socket.create_connection(("127.0.0.1", int(port)), _ASK_SECONDS).close()
        os.environ["PYSPARK_GATEWAY_SECRET"]
    except (OSError, ValueError, OverflowError, KeyError):
        raise UnfitError(
            f"PYSPARK_GATEWAY_PORT={port} says that spark-submit started this, but its Java does not answer",
            "Unset PYSPARK_GATEWAY_PORT and PYSPARK_GATEWAY_SECRET.",
        ) from None
    return f"Java of spark-submit, port {port}"


def _require_home() -> None:
    home = os.environ.get("SPARK_HOME")
    if home is None:
        return
    script = Path(home) / "bin" / ("spark-submit.cmd" if sys.platform == "win32" else "spark-submit")
    jars = [jar.name for jar in (Path(home) / "jars").glob("spark-core_*.jar")]
    versions = [version for name in jars for version in re.findall(r"-(\d+\.\d+)", name)]
    ours = ".".join(pyspark.__version__.split(".")[:2])
    if not home or not script.is_file():
        raise UnfitError(f"SPARK_HOME={home} has no bin/{script.name}", "Correct or unset SPARK_HOME.")
    if versions != [ours]:
        raise UnfitError(
            f"SPARK_HOME={home} has Spark {', '.join(versions) or 'of no version'}, and pyspark is {ours}",
            "Unset SPARK_HOME, or name a Spark of that version.",
        )


def _require_arguments() -> None:
    given = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    try:
        words = shlex.split(given)
    except ValueError:
        words = []
    if "pyspark-shell" not in words or _ENDS_AT_ONCE & set(words[: words.index("pyspark-shell")]):
        raise UnfitError(
            "PYSPARK_SUBMIT_ARGS does not end with pyspark-shell, or holds what makes spark-submit do "
            "something else than start",
            "Unset it, or write options of spark-submit and pyspark-shell behind them.",
        )


def _require_address() -> None:
    address = os.environ.get("SPARK_LOCAL_IP")
    if not address:
        return
    try:
        family = socket.getaddrinfo(address, 0)[0][0]
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        raise UnfitError(
            f"SPARK_LOCAL_IP={address} is no address of this machine ({error.strerror or error})",
            "Correct or unset SPARK_LOCAL_IP.",
        ) from None
