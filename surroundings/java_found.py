"""The Java that Spark will take, and what it tells of itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from contracts import UnfitError
from surroundings.java_words import last_words
from surroundings.windows import remedy

_JAVA_SECONDS = 60.0
_OPTIONS = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")


class JavaFacts(NamedTuple):
    """The line that names the version, and Java's own folder for temporary files."""

    version: str
    temporary: str


def _install() -> str:
    return remedy(
        "Install Java 17 (Debian/Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME.",
        "Install Java 17 (for example Temurin's) or set JAVA_HOME.",
    )


def java_command() -> str | None:
    """The Java that Spark takes; None when there is none."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java")


def java() -> JavaFacts:
    """What a usable Java (17 to 23) tells of itself. Raises UnfitError with the remedy when there is none."""
    command = java_command()
    if not command:
        raise UnfitError("Java was not found", _install())
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
            f"{command} ({of}) has not answered for {_JAVA_SECONDS:g} seconds", _install()
        ) from None
    except OSError as error:
        raise UnfitError(
            f"{of} names a Java that cannot run, {command} ({error.strerror or error})", _install()
        ) from None
    output = (run.stderr + run.stdout).decode(errors="replace")
    # Variables put a line of their own before the version.
    match = re.search(r'^.*version "(\d+).*$', output, re.MULTILINE)
    if run.returncode or not match:
        words = last_words(output.splitlines()) or "nothing"
        given = [name for name in _OPTIONS if os.environ.get(name)]
        mend = f"Correct or unset {' and '.join(given)}, or the Java of {of}." if given else _install()
        raise UnfitError(f"{command} ({of}) does not start: {words}", mend)
    # Since 24 a call that Hadoop needs is gone.
    if not 17 <= int(match[1]) < 24:
        raise UnfitError(f"Spark 4 needs Java 17 or 21, {of} names {match[0].strip()}", _install())
    temporary = re.search(r"^\s*java\.io\.tmpdir = (.*?)\r?$", output, re.MULTILINE)
    return JavaFacts(match[0].strip(), temporary[1] if temporary else "")
