"""Starts Spark's Java, and keeps what it says: a failure is one sentence with its last words."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

from py4j.java_gateway import JavaGateway
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext, java_gateway
from pyspark.errors import PySparkException

from contracts import ConfigurationError
from surroundings.class_archive import reading, with_options
from surroundings.java_words import error_words, last_words
from surroundings.windows import end_tree, is_windows, remove_folder, shielded
from told import told

_PATIENCE_SECONDS = 300.0
_READ_BYTES = 65_536
_LAST_LINES = 400
_END_SECONDS = 2.0
# Its last work is to remove its temporary files.
_AT_EXIT_SECONDS = 20.0
# Java and Spark say these at every start, the first with values that may be secret.
_EACH_TIME = ("Picked up ", "NOTE: Picked up ", "WARNING: Using incubator modules")
_READ_BY_JAVA = (
    "JAVA_",
    "_JAVA_",
    "JDK_JAVA_",
    "SPARK_",
    "PYSPARK_",
    "HADOOP_",
    "LD_",
    "TMPDIR",
    "CLASSPATH",
)
# Their values are places, which help to see what is wrong, and no secrets.
_PLACES = {"JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_DIRS", "SPARK_LOCAL_IP", "TMPDIR"}
_PLACES |= {"HADOOP_CONF_DIR", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"}


class Java(subprocess.Popen[bytes]):
    """The process that pyspark starts. What it says goes to standard error after `speak`, not before."""

    def __init__(self, command: list[str], started: list[Java], **options: Any) -> None:
        """Start `command`, and be in `started` before it runs; `options` are Popen's."""
        started.append(self)
        if is_windows():
            options = shielded(options)
        self._environment = options["env"]
        super().__init__(
            command, **{**options, "bufsize": 0, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        )
        self._words = cast("IO[bytes]", self.stdout).fileno()
        self._patience_ends = time.monotonic() + _PATIENCE_SECONDS
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._speaks = False
        self._turn = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="java's words", daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        """The exit code, but 1 for a 0: pyspark would wait for ever for a Java that ends so."""
        code = super().poll()
        if code is None and not self._speaks and time.monotonic() > self._patience_ends:
            # Popen polls before it kills.
            self._patience_ends = float("inf")
            self._lines.append(f"nothing for {_PATIENCE_SECONDS:g} seconds, so it was ended")
            self.kill()
        return 1 if code == 0 else code

    def kill(self) -> None:
        """End it at once, with its children: what is started is a launcher."""
        if self.returncode is not None or not hasattr(self, "pid"):
            return
        if is_windows():
            end_tree(self.pid)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        super().kill()

    def end(self, seconds: float) -> None:
        """Let it end because nobody speaks to it any more, and wait so long; on Windows no longer than that.

        There a Java that lived on would have nobody to end it, and holds files open.
        """
        cast("IO[bytes]", self.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self.wait(seconds)
        if is_windows():
            if self.poll() is None:
                self.kill()
            remove_folder(self._environment)

    def speak(self) -> None:
        """Hand on what was held back, and from now on every line as it comes."""
        with self._turn:
            self._speaks = True
            for line in self._lines:
                _tell(line)

    def last_words(self) -> str:
        """Why it failed, as far as it said so."""
        self._reader.join(_END_SECONDS)
        with self._turn:
            return last_words(self._lines)

    def _read(self) -> None:
        rest = b""
        with suppress(OSError, ValueError):
            while read := os.read(self._words, _READ_BYTES):
                *lines, rest = (rest + read).split(b"\n")
                self._heard(lines)
        self._heard([rest] if rest else [])

    def _heard(self, lines: list[bytes]) -> None:
        with self._turn:
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\r")
                self._lines.append(line)
                if self._speaks:
                    _tell(line)


@contextmanager
def java_started(conf: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[None]:
    """Start Spark's Java for the block, in which its context is made; only afterwards Java may speak.

    `conf` is what Java is told. `ours` are the variables that the service sets itself: they are not named.
    Raises ConfigurationError with Java's last words and the variables that it reads when it does not start,
    ends, or refuses.
    """
    started: list[Java] = []
    try:
        if SparkContext._gateway is None and "PYSPARK_GATEWAY_PORT" not in os.environ:
            SparkContext._ensure_initialized(gateway=_launch(conf, ours, started))
        yield
    except (PySparkException, Py4JError, OSError) as error:
        reason = _ended(started) or error_words(error)
        raise ConfigurationError(f"Spark could not start: {reason}. {_variables(ours)}") from None
    for java in started:
        java.speak()


def end_java(seconds: float = _END_SECONDS) -> None:
    """End the Java that was started here, so that another one can be; a context must be stopped before.

    It is waited for at most so long.
    """
    gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
    java = getattr(gateway, "proc", None)
    if gateway is None or java is None:
        return
    gateway.shutdown()
    java.end(seconds)


def _launch(conf: Mapping[str, str], ours: Mapping[str, str], started: list[Java]) -> JavaGateway:
    """Let pyspark start Java, which is put into `started` at once."""

    def popen(command: list[str], **options: Any) -> Java:
        if quiet_conf := ours.get("SPARK_CONF_DIR"):
            options["env"] = with_options(options["env"], Path(quiet_conf), reading())
        # Python takes UTF-8 for file names there, and Java would write `?` for what is not ASCII.
        if options["env"].get("LC_ALL") in ("C", "POSIX"):
            options["env"]["LC_ALL"] = "C.UTF-8"
        # `timeout` and a shell's `kill %1` signal a whole group: Python ends in good order, and Java with it.
        java = Java(command, started, **options, start_new_session=os.name == "posix")
        if is_windows():
            atexit.register(_end_at_exit, java)
        return java

    # pyspark takes options of Popen, but no other one. On Windows, and only there, it has Java killed at
    # exit: Java's temporary files stayed, and taskkill's words stood behind the run's.
    module: Any = java_gateway
    usual = module.Popen, module.atexit
    module.Popen, module.atexit = popen, SimpleNamespace(register=lambda _kill: None)
    try:
        return cast("JavaGateway", module.launch_gateway(SparkConf().setAll([*conf.items()])))
    except BaseException:
        # A stop, too: pyspark takes away the folder in which Java tells its port, and a Java that cannot tell
        # it lives on for ever, without anybody who speaks to it.
        for java in started:
            java.kill()
        raise
    finally:
        module.Popen, module.atexit = usual


def _end_at_exit(java: Java) -> None:
    end_java(_AT_EXIT_SECONDS)
    # It is nobody's gateway where Spark did not start.
    java.end(_AT_EXIT_SECONDS)


def _ended(started: Sequence[Java]) -> str:
    """What the Java in `started` said before it ended; empty while it runs."""
    for java in started:
        # The connection breaks some moments before the process is gone.
        with suppress(subprocess.TimeoutExpired):
            java.wait(_END_SECONDS)
            return java.last_words() or f"Java ended without a word (exit code {java.returncode})"
    return ""


def _variables(ours: Mapping[str, str]) -> str:
    found = [
        f"{name}={value}" if name in _PLACES else name
        for name, value in sorted(os.environ.items())
        if name.startswith(_READ_BY_JAVA) and ours.get(name) != value
    ]
    set_here = f"It reads these variables, which are set here: {', '.join(found)}. " if found else ""
    return f"{set_here}Correct what is wrong; `{told('check')}` looks again."


def _tell(line: str) -> None:
    if not line.startswith(_EACH_TIME):
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
