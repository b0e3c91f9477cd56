"""What Java says when it fails, cut to the one line that tells why."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LIMIT = 400
# Frames of stacks, what Java says of every start, and what a shell says after Java has failed.
_NOISE = re.compile(
    r"\s*(at \S+\(|\.\.\. \d+ more|Picked up |WARNING: Using incubator|NOTE: Picked up |#\s*$)"
    r"|.*(bad array subscript|^head: )|\s*$"
)
_GENERIC = re.compile("Error: (Could not create the Java Virtual Machine|A (fatal|JNI) .*)")
# Causes of what was suppressed are indented.
_CAUSE = re.compile("Caused by: (.*)")
_THROWN = re.compile(r"(?:: |Exception in thread \S+ |[\d/]+ [\d:]+ ERROR [\w$.]+: )(.*)|(Error: .*)")
_SECRET = re.compile(
    r"([\w.-]*(?:password|passwd|secret|token|credential)[\w.-]*\s*[=:]\s*)\S+", re.IGNORECASE
)


def last_words(lines: Iterable[str]) -> str:
    """The reason in what Java, or a shell before it, said; empty when it said nothing.

    The innermost cause of the last error goes first, then what was thrown, then the last lines themselves.
    What stands behind `password=` and the like is masked.
    """
    told = [line.rstrip() for line in lines if not _NOISE.match(line)]
    causes = [found[1] for line in told if (found := _CAUSE.match(line)) and "[CIRCULAR" not in line]
    thrown = [found[1] or found[2] for line in told if (found := _THROWN.match(line))]
    specific = [line.strip("# \t") for line in told if not _GENERIC.match(line)]
    thrown = [line for line in thrown if not _GENERIC.match(line)]
    crash = [line.strip("# \t") for line in told if line.startswith("#")]
    if causes:
        chosen = causes[-1:]
    elif crash:
        chosen = crash[:2]
    elif thrown:
        # Usage or an echo may follow.
        chosen = thrown[:1]
    else:
        chosen = specific[-2:] or told[-1:]
    text = _SECRET.sub(r"\1***", ": ".join(line.strip().rstrip(":") for line in chosen))
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"


def error_words(error: BaseException) -> str:
    """The innermost reason in an error of Spark's or py4j's, whose text may be pages of stacks."""
    text = str(error)
    # What a worker's Python raised stands behind its stack.
    stack = text.rpartition("Traceback (most recent call last):\n")[2] if "Traceback (most" in text else ""
    raised = [line for line in stack.splitlines() if line[:1].strip()]
    first, *others = raised[:1] or text.strip().splitlines() or [""]
    thrown = [] if raised else [line for line in others if _CAUSE.match(line) or _THROWN.match(line)]
    return last_words([first, *thrown]) or type(error).__name__


def is_javas(error: BaseException) -> bool:
    """Whether Spark or the bridge to it raised `error`: then its text holds stacks of Java's."""
    return type(error).__module__.partition(".")[0] in ("py4j", "pyspark")
