"""What outside our settings decides whether Spark can run: each look tells what it found.

The start makes all of them before Java is started, and `check` shows each in a row of its own.
"""

from __future__ import annotations

import mmap
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from contracts import UnfitError
from contracts.spark import Odd
from surroundings.java_found import java
from surroundings.spark_variables import spark_variables

_PYTHON_SECONDS = 60.0
_PROBE_BYTES = 65_536
# Java has the connections and all jars open: with fewer it does not start, and a stream needs some more.
_FAILS_BELOW, _WARNS_BELOW = 400, 1024
# What Spark's workers import with our functions.
_NEEDED = ("numpy", "pandas", "pyarrow", "pymongo", "psycopg")
_ASK_PYTHON = (
    "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], "
    f"*[name for name in {_NEEDED!r} if u.find_spec(name) is None])"
)


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
