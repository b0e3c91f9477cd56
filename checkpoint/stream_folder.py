"""What Spark keeps of a query in its folder, judged before the query goes on.

Spark refuses a folder of which a part is missing or cannot be read, again at each start. The sinks know what
they have, so a query whose folder is damaged begins anew: nothing is lost, and nothing is written twice.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from durable import replace, write_atomically

_METADATA, _OFFSETS, _COMMITS, _SOURCE = "metadata", "offsets", "commits", "sources/0"
# Of a source of files: every tenth note has all notes before it, which then go.
_COMPACT = ".compact"
_CRC_MAGIC = b"crc\0"
_BEFORE, _NEXT = ".before", ".next"


def damage(folder: Path) -> str | None:
    """Returns what keeps a query from going on in `folder`; None when it can, or begins there.

    Raises OSError when a file is there and cannot be opened: waiting may mend that.
    """
    try:
        _require_whole(folder)
    except _DamagedError as found:
        return str(found)
    return None


def is_begun(folder: Path) -> bool:
    """Whether a query has noted its id in `folder`."""
    return (folder / _METADATA).exists()


def query_folders(below: Path) -> list[Path]:
    """The folders directly `below` in which queries have noted something, without what was moved aside."""
    notes = (_METADATA, _OFFSETS, _COMMITS, "sources")
    return sorted(
        folder
        for folder in (below.iterdir() if below.is_dir() else ())
        if folder.suffix not in (_BEFORE, _NEXT) and any((folder / note).exists() for note in notes)
    )


def drop_lone_checksums(folder: Path) -> None:
    """Remove checksums whose files are gone: Spark could not write files of these names any more."""
    for part in (folder, folder / _OFFSETS, folder / _COMMITS, folder / _SOURCE):
        for checksum in part.glob(".*.crc"):
            if not checksum.with_name(checksum.name[1:-4]).exists():
                checksum.unlink(missing_ok=True)


def next_folder(folder: Path) -> Path:
    """Where a new `folder` is made before it is moved into its place."""
    return folder.with_name(f"{folder.name}{_NEXT}")


def begin_anew(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Make a folder of `files` alone; returns where the present one is now, in place of the one before it.

    Killed between any two steps, the next start finds the old folder, or the new one as `next_folder`.
    """
    made, before = next_folder(folder), folder.with_name(f"{folder.name}{_BEFORE}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for name, content in files.items():
        write_atomically(made / name, content)
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        replace(folder, before)
    replace(made, folder)
    return before


class _DamagedError(Exception):
    """Says what is missing or cannot be read."""


def _require_whole(folder: Path) -> None:
    for part in (folder, *(folder / name for name in (_OFFSETS, _COMMITS, "sources", _SOURCE))):
        if part.exists() and not part.is_dir():
            raise _DamagedError(f"{part.name} is no folder")
    # Without an id the query gets another one, and goes on.
    if is_begun(folder) and not isinstance(_last(folder / _METADATA).get("id"), str):
        raise _DamagedError(f"{_METADATA} has no id")
    last, done = (max(_numbers(folder / name), default=-1) for name in (_OFFSETS, _COMMITS))
    if done > last:
        raise _DamagedError(f"{_OFFSETS}/{done} is missing")
    if done >= 0:
        _last(folder / _COMMITS / str(done))
    plans = [_last(folder / _OFFSETS / str(number)) for number in (last, last - 1) if number >= 0]
    notes = folder / _SOURCE
    names = {file.name for file in notes.iterdir() if file.name[0] != "."} if notes.is_dir() else set()
    if names > {"0"} or any("logOffset" in plan for plan in plans):
        _require_file_notes(notes, names, plans)
    elif names:
        _last(notes / "0")
    elif last == 0:
        # Where it began; later Spark notes that anew.
        raise _DamagedError(f"{_SOURCE}/0 is missing")


def _require_file_notes(notes: Path, names: set[str], plans: Sequence[dict[str, Any]]) -> None:
    """The newest compacted note must be there, and each one after it."""
    needed = [_number(plan, "logOffset") for plan in plans]
    needed += [int(name) for name in names if name.isdecimal()]
    stems = (name.removesuffix(_COMPACT) for name in names if name.endswith(_COMPACT))
    compacted = max((int(stem) for stem in stems if stem.isdecimal()), default=-1)
    found = [f"{compacted}{_COMPACT}"] if compacted >= 0 else []
    found += map(str, range(compacted + 1, max(needed, default=-1) + 1))
    for name in found:
        for entry in _read(notes / name):
            if not isinstance(entry.get("path"), str) or _number(entry, "batchId") < 0:
                raise _DamagedError(f"{name} names no file")


def _numbers(folder: Path) -> Iterator[int]:
    return (int(file.name) for file in folder.glob("*") if file.name.isdecimal())


def _number(entry: dict[str, Any], name: str) -> int:
    found = entry.get(name)
    if not isinstance(found, int):
        raise _DamagedError(f"{name} is no number")
    return found


def _last(file: Path) -> dict[str, Any]:
    """The last line of a note: in a plan, up to where its batch reads."""
    *_, last = _read(file)
    return last


def _read(file: Path) -> list[dict[str, Any]]:
    """The lines of a note, of which the first may be a version; there is one at least."""
    name = f"{file.parent.name}/{file.name}"
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise _DamagedError(f"{name} is missing") from None
    except IsADirectoryError:
        raise _DamagedError(f"{name} is no file") from None
    if not _matches(content, file.with_name(f".{file.name}.crc")):
        raise _DamagedError(f"{name} is not as it was written")
    try:
        lines = content.lstrip(b"\0").decode().removesuffix("\n").split("\n")
        has_version = file.name == _METADATA or lines.pop(0).startswith("v")
        entries = [json.loads(line) for line in lines]
    except (ValueError, IndexError):
        raise _DamagedError(f"{name} cannot be read") from None
    if not has_version or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise _DamagedError(f"{name} cannot be read")
    return entries


def _matches(content: bytes, checksum: Path) -> bool:
    """Whether `content` is what Hadoop's `checksum` says, where there is a usable one."""
    try:
        found = checksum.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return True
    size = int.from_bytes(found[4:8], "big")
    if found[:4] != _CRC_MAGIC or len(found) < 8 or not size:
        return True
    sums = (zlib.crc32(content[at : at + size]) for at in range(0, len(content), size))
    return found[8:] == b"".join(one.to_bytes(4, "big") for one in sums)
