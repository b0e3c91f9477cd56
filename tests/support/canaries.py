"""Marked secrets, and the search for them in whatever a run left behind."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK_LENGTH = 16


def canary(text: str = "c4nary-") -> str:
    """A secret that ends with a mark nobody else has, so that a part of it is found too."""
    return text + secrets.token_hex(MARK_LENGTH // 2)


def traces(secret: str) -> set[bytes]:
    """What gives the secret away in any file: its mark as text, in Base64 at each offset, in UTF-16.

    Percent-encoding and the escapes of JSON, Python and HTML leave the mark, which is hexadecimal, as it is.
    """
    mark = secret[-MARK_LENGTH:].encode()
    # Whole groups of three bytes look alike wherever they stand; the first and last may be mixed with others.
    encoded = {base64.b64encode(b"x" * offset + mark)[4:20] for offset in range(3)}
    return {mark, mark.decode().encode("utf-16-le"), *encoded}


def leaks(folder: Path, given: dict[str, str]) -> list[str]:
    """`name in file` for each secret of `given` (name → secret) that a file below `folder` gives away."""
    wanted = [(name, trace) for name, secret in given.items() for trace in traces(secret)]
    return sorted(
        {
            f"{name} in {path.relative_to(folder)}"
            for path, content in _files(folder)
            for name, trace in wanted
            if trace in content
        }
    )


def process_list() -> bytes:
    """The command lines of all processes, as `ps` shows them to anybody."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            lines.append(path.read_bytes().replace(b"\0", b" "))
    return b"\n".join(lines)


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, str(path).encode() + b"\n" + path.read_bytes()
