"""Damages a checkpoint folder of Spark's at random, as disks, cleaners, restores and people do."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _remove(folder: Path, chance: random.Random) -> None:
    chance.choice(_files(folder)).unlink()


def _remove_with_checksum(folder: Path, chance: random.Random) -> None:
    file = chance.choice([file for file in _files(folder) if file.name[0] != "."])
    file.unlink()
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def _remove_some(folder: Path, chance: random.Random) -> None:
    for file in _files(folder):
        if chance.random() < 0.3:
            file.unlink()


def _remove_folder(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(chance.choice(sorted(one for one in folder.rglob("*") if one.is_dir())))


def _remove_ends(folder: Path, chance: random.Random) -> None:
    """The oldest or the newest files of a folder, with their checksums, or without."""
    part = folder / chance.choice(["offsets", "commits", "sources/0"])
    names = sorted((file for file in part.iterdir() if file.name[0] != "."), key=lambda file: int(file.stem))
    count = chance.randint(1, len(names))
    for file in names[:count] if chance.random() < 0.5 else names[-count:]:
        file.unlink()
        if chance.random() < 0.5:
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def _rewrite(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, random.Random], None]:
    def rewrite(folder: Path, chance: random.Random) -> None:
        file = chance.choice(_files(folder))
        file.write_bytes(change(file.read_bytes(), chance))
        if chance.random() < 0.5:
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)

    return rewrite


def _flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(max(1, len(content)))
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    _remove,
    _remove_with_checksum,
    _remove_some,
    _remove_folder,
    _remove_ends,
    _rewrite(lambda _content, _chance: b""),
    _rewrite(lambda content, chance: content[: chance.randrange(len(content) + 1)]),
    _rewrite(lambda content, chance: chance.randbytes(len(content))),
    _rewrite(_flip),
)
