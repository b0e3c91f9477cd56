"""Plain console lines in the seed's manner: emoji where the stream can show them, ASCII where not."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import unicodedata
from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any, TextIO

# ASCII for the symbols that carry a meaning, on a stream that cannot encode them; others are left out.
_ASCII = {"✅": "[OK]", "❌": "[X]", "⚠": "[!]"}
_SYMBOL = re.compile("([\u2300-\u23ff\u2600-\u27bf\U0001f000-\U0001faff])\ufe0f? *")
_PLAIN = str.maketrans({"→": "->", "\u03c3": "sigma", "×": "x", "…": "...", "–": "-", "—": "-"})

# Control characters other than line ends and tabs could rewrite what a terminal shows.
_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)])

_LEVEL_MARK = {"warning": "⚠️  ", "error": "❌ ", "critical": "❌ "}
_LEVEL_COLOR = {"warning": "\033[33m", "error": "\033[31m", "critical": "\033[31m"}
_RESET = "\033[0m"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def printable(text: str, stream: TextIO) -> str:
    """`text` as `stream` can encode it; never raises UnicodeEncodeError when it is written."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = _SYMBOL.sub(_symbol_in_ascii, text).translate(_PLAIN)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def tolerate_any_text(stream: TextIO) -> None:
    """Let `stream` take what its encoding lacks: symbols become ASCII, so that printing never raises."""
    codecs.register_error("symbols_in_ascii", _unencodable_in_ascii)
    # Streams that a test or an IDE put in place need not be text wrappers.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="symbols_in_ascii")


def _unencodable_in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = "".join(_ASCII.get(char, char) for char in text if char != "\ufe0f").translate(_PLAIN)
    return "".join("" if _SYMBOL.match(char) else ascii(char)[1:-1] for char in shown), error.end


def _symbol_in_ascii(match: re.Match[str]) -> str:
    shown = _ASCII.get(match.group(1))
    return f"{shown} " if shown else ""


def one_line(text: str, limit: int = 500) -> str:
    """The first line that holds something, without control characters, at most `limit` characters."""
    lines = [line.strip() for line in text.translate(_CONTROLS).splitlines()]
    first = next((line for line in lines if line), "")
    return first if len(first) <= limit else first[: limit - 1] + "…"


def counted(count: int, thing: str, things: str = "") -> str:
    """The number with the word for it: 1 letter, 1,200 letters."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def lasted(seconds: float) -> str:
    """A duration in its two largest units, the second one only where it is not 0: 27 s, 3 min 5 s, 12 d."""
    whole = round(seconds)
    for (size, name), (below, part) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size:,} {name}{f' {rest} {part}' if rest else ''}"
    return f"{whole} s"


def use_color(stream: TextIO) -> bool:
    """Whether to use colors on `stream`: only on a terminal without NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class ConsoleRenderer:
    """The last structlog processor: the event as it is, then `key=value` pairs, then the traceback.

    It leaves out the fields for machines: logger, time, and the figures of a batch.
    """

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, _logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> str:
        fields = dict(event_dict)
        level = str(fields.pop("level", method))
        event = str(fields.pop("event", ""))
        blocks = [fields.pop(name, None) for name in ("exception", "stack")]
        for name in ("logger", "timestamp", "batch"):
            fields.pop(name, None)
        text = "  ".join([event, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        if not _starts_with_symbol(event):
            text = _LEVEL_MARK.get(level, "") + text
        text = "\n".join([text, *(str(block) for block in blocks if block)]).translate(_CONTROLS)
        color = _LEVEL_COLOR.get(level) if self._color else None
        return f"{color}{text}{_RESET}" if color else text


def _starts_with_symbol(event: str) -> bool:
    return bool(event) and unicodedata.category(event[0]) == "So"


def _shown(value: Any) -> str:
    text = str(value)
    if not isinstance(value, str) or (text.isprintable() and text and not re.search(r"\s", text)):
        return text
    return repr(text)


def write_line(stream: TextIO | None, text: str) -> bool:
    """Write one line and flush; False when the stream is gone or full, which must not stop the work."""
    if stream is None:
        return False
    try:
        stream.write(printable(text, stream) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def write_stderr(text: str) -> None:
    """One line on standard error, which may be closed."""
    write_line(sys.stderr, text)
