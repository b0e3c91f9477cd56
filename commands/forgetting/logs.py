"""Masks a person in the logs that a pipeline keeps: in texts of errors, each byte in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from contracts import ServiceError
from monitoring.log_files import files_of

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
# What stands for one character: a pair of escapes, an escape, or itself.
_UNIT = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)
_MASK = b"*"


def mask(directory: Path, prefix: str, texts: Iterable[str], dry_run: bool) -> int:
    """Mask each of `texts` where it stands as a whole word in an error; returns in how many files.

    The logs are those of the pipeline `prefix` ("" for health), and the log of acts. A file keeps its length,
    and nothing of it moves: a process that appends to it meanwhile loses nothing. With `dry_run` only count.
    Raises ServiceError when a file cannot be changed.
    """
    # Longer ones first: what is masked of one must not hide the beginning of another.
    forms = sorted({form for text in texts if text for form in spellings(text)}, key=len, reverse=True)
    patterns = [re.compile(rf"(?<!\w){re.escape(form)}(?!\w)") for form in forms]
    changed = 0
    try:
        for path in files_of(directory, prefix):
            places = [*_places(path.read_bytes(), patterns)]
            changed += bool(places)
            if not dry_run and places:
                _overwrite(path, places)
    except OSError as error:
        raise ServiceError(
            f"The logs in LOG_DIRECTORY={directory} cannot be changed ({error.strerror}). Make them writable "
            "for this user, and repeat the command."
        ) from error
    return changed


def spellings(text: str) -> set[str]:
    """How a server may quote `text`: as it is, or as JSON has it."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _overwrite(path: Path, places: Iterable[tuple[int, int]]) -> None:
    with path.open("r+b") as file:
        for start, end in places:
            file.seek(start)
            file.write(_MASK * (end - start))


def _places(content: bytes, patterns: list[re.Pattern[str]]) -> Iterator[tuple[int, int]]:
    """Where in `content`, JSON or lines of it, one of `patterns` stands in the text of an error."""
    errors = {text for entry in _entries(content) for text in _errors(entry)}
    if not any(pattern.search(text) for text in errors for pattern in patterns):
        return
    for token in _STRING.finditer(content):
        text, ends = _read(token[0][1:-1])
        if text not in errors:
            continue
        for pattern in patterns:
            for found in pattern.finditer(text):
                start, end = (token.start() + 1 + ends[place] for place in found.span())
                yield start, end


def _read(token: bytes) -> tuple[str, list[int]]:
    """The text within the quotes of a JSON string, and where in it each character begins; then its end."""
    ends, chars = [0], []
    for unit in _UNIT.findall(token.decode("utf-8", "backslashreplace")):
        chars.append(json.loads(f'"{unit}"') if unit[0] == "\\" else unit)
        ends.append(ends[-1] + len(unit.encode()))
    return "".join(chars), ends


def _entries(content: bytes) -> Iterator[Any]:
    yield from map(_entry, [content, *content.splitlines()])


def _entry(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _errors(entry: Any) -> Iterator[str]:
    """The texts in `entry` that may quote what a server or a person said."""
    if isinstance(entry, list):
        for each in entry:
            yield from _errors(each)
        return
    if not isinstance(entry, dict):
        return
    yield from _errors(entry.get("batch_history"))
    yield from (text for text in entry.get("errors") or () if isinstance(text, str))
    details = [each.get("message") for each in entry.get("error_details") or () if isinstance(each, dict)]
    yield from (text for text in [*details, entry.get("outcome")] if isinstance(text, str))
