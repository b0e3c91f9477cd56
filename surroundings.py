"""What outside our settings decides whether Spark can run: each look tells what it found.

The start makes all of them before Java is started, and `check` shows each in a row of its own.
"""

from __future__ import annotations

import mmap
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyspark

from contracts import ConfigurationError
from java_words import last_words

_JAVA_SECONDS = 60.0
_PYTHON_SECONDS = 60.0
_ASK_SECONDS = 2.0
_PROBE_BYTES = 65_536
_INSTALL = "Install Java 17 (Debian/Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME."
_OPTIONS = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
_CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
# Options with which spark-submit does something else than start a program.
_ENDS_AT_ONCE = {"--version", "--help", "-h", "--kill", "--status", "--usage-error"}
# Java has the connections and all jars open: with fewer it does not start, and a stream needs some more.
_FAILS_BELOW, _WARNS_BELOW = 400, 1024
# What Spark's workers import with our functions.
_NEEDED = ("numpy", "pandas", "pyarrow", "pymongo", "psycopg")
_ASK_PYTHON = (
    "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], "
    f"*[name for name in {_NEEDED!r} if u.find_spec(name) is None])"
)


class UnfitError(ConfigurationError):
    """Spark cannot run here; `found` says why, `remedy` what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}. {remedy}")
        self.found, self.remedy = found, remedy


class Odd(NamedTuple):
    """Spark runs, but not as somebody meant it who set this."""

    found: str
    remedy: str


class JavaFacts(NamedTuple):
    """The line that names the version, and Java's own folder for temporary files."""

    version: str
    temporary: str


def require(master: str) -> list[Odd]:
    """Make all looks for a run on `master`; what is odd. Raises UnfitError at the first that Spark needs."""
    return [odd for look in looks(master).values() if isinstance(odd := look(), Odd)]


def looks(master: str) -> Mapping[str, Callable[[], str | Odd]]:
    """Each look by what it is at, in their order. It says what it found, or raises UnfitError."""
    found: dict[str, Callable[[], str | Odd]] = {
        "Java": lambda: java().version,
        "User": user,
        "Temporary folders": temporary_folders,
        "Spark's variables": spark_variables,
        "Open files": open_files,
    }
    if master.startswith("local"):
        # The workers of a cluster are other machines.
        found["Python of workers"] = worker_python
    return found


def java_command() -> str | None:
    """The Java that Spark takes; None when there is none."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java")


def java() -> JavaFacts:
    """What a usable Java (17 to 23) tells of itself. Raises UnfitError with the remedy when there is none."""
    command = java_command()
    if not command:
        raise UnfitError("Java was not found", _INSTALL)
    settings = tuple(os.environ.get(name, "") for name in _OPTIONS)
    return _facts(command, settings)


@lru_cache(maxsize=4)
def _facts(command: str, _options: tuple[str, ...]) -> JavaFacts:
    of = "JAVA_HOME" if os.environ.get("JAVA_HOME") else "PATH"
    try:
        run = subprocess.run(
            [command, "-XshowSettings:properties", "-version"],
            capture_output=True,
            timeout=_JAVA_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnfitError(
            f"{command} ({of}) has not answered for {_JAVA_SECONDS:g} seconds", _INSTALL
        ) from None
    except OSError as error:
        raise UnfitError(
            f"{of} names a Java that cannot run, {command} ({error.strerror or error})", _INSTALL
        ) from None
    output = (run.stderr + run.stdout).decode(errors="replace")
    # Variables put a line of their own before the version.
    match = re.search(r'^.*version "(\d+).*$', output, re.MULTILINE)
    if run.returncode or not match:
        words = last_words(output.splitlines()) or "nothing"
        given = [name for name in _OPTIONS if os.environ.get(name)]
        remedy = f"Correct or unset {' and '.join(given)}, or the Java of {of}." if given else _INSTALL
        raise UnfitError(f"{command} ({of}) does not start: {words}", remedy)
    # Since 24 a call that Hadoop needs is gone.
    if not 17 <= int(match[1]) < 24:
        raise UnfitError(f"Spark 4 needs Java 17 or 21, {of} names {match[0].strip()}", _INSTALL)
    temporary = re.search(r"^\s*java\.io\.tmpdir = (.*?)\r?$", output, re.MULTILINE)
    return JavaFacts(match[0].strip(), temporary[1] if temporary else "")


def user() -> str:
    """The user's name, without which Spark's Java ends at once."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "")
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise UnfitError(
            f"The user with the number {os.getuid()} has no name here (no entry in /etc/passwd), "
            "and Spark's Java needs one",
            "Add the entry, or run as a user who has one.",
        ) from None


def temporary_folders() -> str | Odd:
    """Python's, Java's and Spark's folders for temporary files can be written."""
    try:
        own = tempfile.gettempdir()
    except OSError:
        raise UnfitError(
            "No folder for temporary files can be written: neither TMPDIR, if it is set, nor /tmp, /var/tmp",
            "Make one of them writable and free some space, or set TMPDIR to another folder.",
        ) from None
    of_java = java().temporary or own
    if fault := _write_fault(of_java):
        raise UnfitError(
            f"Java's folder for temporary files cannot be used: {fault}",
            "Make it writable, or name another: JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=/FOLDER.",
        )
    name, folders = _spark_folders(of_java)
    faults = [fault for folder in folders if (fault := _write_fault(folder, may_be_made=True))]
    if faults and len(faults) == len(folders):
        remedy = f"Make it writable, or correct {name}."
        raise UnfitError(f"Spark's folder for temporary files cannot be used: {faults[0]}", remedy)
    if faults:
        return Odd(
            f"Spark passes over a folder of {name}: {faults[0]}", f"Make it writable, or correct {name}."
        )
    wanted = os.environ.get("TMPDIR")
    if wanted and Path(wanted).absolute() != Path(own).absolute():
        return Odd(f"TMPDIR={wanted} cannot be used: temporary files go to {own}", "Correct or unset TMPDIR.")
    return ", ".join(sorted({own, of_java, *folders}))


def native_code() -> str:
    """Java can load the libraries that it unpacks into its temporary folder, as Parquet files need it."""
    folder = java().temporary or tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="check-") as probe:
            probe.write(b"x")
            probe.flush()
            if sys.platform != "win32":
                mmap.mmap(probe.fileno(), 1, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError as error:
        raise UnfitError(
            f"Java cannot run code from its temporary folder {folder} ({error.strerror or error}), where it "
            "unpacks what it compresses Parquet files with; the folder may be mounted noexec",
            "Name another folder: JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=/FOLDER.",
        ) from None
    return folder


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


def open_files() -> str | Odd:
    """As many files may be open as Java needs."""
    if sys.platform == "win32":
        return "not limited"
    import resource

    # Java raises its own limit to the hard one.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY or limit >= _WARNS_BELOW:
        return "not limited" if limit == resource.RLIM_INFINITY else f"{limit} may be open"
    found = f"Only {limit} files may be open at once"
    remedy = f"Allow at least {_WARNS_BELOW}: ulimit -Hn, LimitNOFILE= of systemd, --ulimit of Docker."
    if limit < _FAILS_BELOW:
        raise UnfitError(f"{found}, and Spark's Java needs more to start", remedy)
    return Odd(f"{found}, which may be too few for a stream", remedy)


def worker_python() -> str:
    """Spark's workers run a Python of this version that has the same packages."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    worker = os.environ.get("PYSPARK_PYTHON") or sys.executable
    remedy = f"Unset PYSPARK_PYTHON, or set it to {sys.executable}."
    if worker == sys.executable:
        return f"{here} ({worker})"
    try:
        asked = [worker, "-c", _ASK_PYTHON]
        run = subprocess.run(asked, capture_output=True, timeout=_PYTHON_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise UnfitError(f"Nothing that runs is at PYSPARK_PYTHON={worker}", remedy) from None
    version, *missing = run.stdout.decode(errors="replace").split() or ["nothing that runs"]
    if version != here:
        raise UnfitError(f"{here} here, {version} at PYSPARK_PYTHON={worker}", remedy)
    if missing:
        raise UnfitError(f"PYSPARK_PYTHON={worker} lacks {', '.join(missing)}", remedy)
    return f"{here} ({worker})"


def _spark_folders(default: str) -> tuple[str, list[str]]:
    """Where Spark puts its files, and what names that; as Spark chooses."""
    for name, separator in (("SPARK_EXECUTOR_DIRS", os.pathsep), ("SPARK_LOCAL_DIRS", ",")):
        if given := os.environ.get(name):
            return name, given.split(separator)
    conf = os.environ.get("SPARK_CONF_DIR") or f"{os.environ.get('SPARK_HOME', '')}/conf"
    defaults = Path(conf, "spark-defaults.conf")
    if defaults.is_file():
        text = defaults.read_text(errors="replace")
        if found := re.findall(r"^\s*spark\.local\.dir[\s=:]+(\S.*?)\s*$", text, re.MULTILINE):
            return f"spark.local.dir in {defaults}", found[-1].split(",")
    return "java.io.tmpdir", [default]


def _write_fault(folder: str, may_be_made: bool = False) -> str:
    """Why no file can be written in `folder`; empty when it can, or, if it `may_be_made`, above it."""
    path = Path(folder.strip()).absolute()
    while may_be_made and not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        return f"{path} is no folder" if path.exists() else f"{path} is not there"
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix="check-") as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror or error})"
    return ""
