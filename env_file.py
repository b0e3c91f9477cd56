"""Reads `.env`, with whatever program it was saved, and tells what of it does not say what was meant."""

from __future__ import annotations

import codecs
import difflib
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dotenv.main import resolve_variables
from dotenv.parser import Binding, parse_stream

from contracts import ConfigurationError

# The longer ones first: one of UTF-32 begins like one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KEY = re.compile("[A-Z][A-Z0-9_]*")
_COMMENT = re.compile(r"\s#(.*)")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class EnvFile:
    """The file's lines. Those of a file that is not there are none."""

    path: str | Path
    bindings: tuple[Binding, ...] = ()

    def values(self) -> dict[str, str | None]:
        """Each key with its value, None without a `=`; of several lines with one key the last counts."""
        given = [(line.key, line.value) for line in self.bindings if line.key is not None]
        return dict(resolve_variables(given, override=True))

    def unknown(self, known: Collection[str], prefix: str) -> Iterator[str]:
        """A sentence for each key that is not `known` and has no `prefix`, with the nearest known name."""
        for key, value in self.values().items():
            if key.upper() in known or key.upper().startswith(prefix):
                continue
            near = difflib.get_close_matches(key.upper(), known, n=1)
            # What does not look like a setting may be the rest of a password that was broken over two lines.
            shown = key if near or (value is not None and _KEY.fullmatch(key)) else "A line"
            nearest = f"; did you mean {near[0]}?" if near else ""
            yield f"{shown} in {self.path} is not a setting{nearest}"

    def remarks(self, is_setting: Callable[[str], bool], is_secret: Callable[[str], bool]) -> Iterator[str]:
        """A sentence for each line that is read in another way than it looks; none quotes a value."""
        times = Counter(line.key.upper() for line in self.bindings if line.key)
        for line in self.bindings:
            key = (line.key or "").upper()
            if line.error:
                before = line.original.string[: -len(line.original.string.lstrip()) or None]
                number = line.original.line + (before.count("\n") if before.isspace() else 0)
                yield f"Line {number} of {self.path} cannot be read and has no effect: is a quote missing?"
            elif is_setting(key):
                for remark in _remarks(line, is_secret(key)):
                    yield f"{key} in {self.path} {remark}"
        for key, count in times.items():
            if count > 1 and is_setting(key):
                yield f"{key} is in {self.path} {count} times: the last one counts"


def _remarks(line: Binding, secret: bool) -> Iterator[str]:
    raw = line.original.string.partition("=")[2]
    comment = _COMMENT.search(raw)
    if line.value is None:
        yield "has no = and no effect"
    elif comment and not raw.lstrip().startswith(("'", '"')):
        kept = raw[: comment.start()]
        is_text = comment[1][:1].strip() or kept.count('"') % 2 or kept.count("'") % 2
        if secret or is_text:
            yield "ends before ` #`, where a comment begins: quote the value if that belongs to it"
    if _VARIABLE.search(line.value or ""):
        yield "holds ${…}, which is replaced by a variable: set it in the environment if it is meant as it is"
    if _CONTROL.search((line.value or "").rstrip("\n")):
        yield "holds line ends or other control characters: put it in single quotes if it has backslashes"


def read_env_file(path: str | Path | None) -> EnvFile:
    """Read `path`, in UTF-8, or in UTF-16 as PowerShell's `>` writes it.

    Raises ConfigurationError with the remedy when it cannot be read.
    """
    if path is None or not Path(path).is_file():
        return EnvFile(path or "")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from None
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path} is not in UTF-8 (line {number}): save it as UTF-8.") from None
    if "\0" in text:
        raise ConfigurationError(f"{path} is not in UTF-8 (it holds zero bytes): save it as UTF-8.")
    return EnvFile(path, tuple(parse_stream(io.StringIO(text))))
