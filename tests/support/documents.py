"""The project's Markdown files as the tests of the documentation read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
_SKIPPED = {".venv", ".git", "node_modules", ".pytest_cache"}
# What GitHub leaves out when it makes an anchor of a heading.
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Block:
    """A fenced block, or one piece of code in the text (`language` is then "inline")."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def markdown_files() -> list[Path]:
    """Every Markdown file of the checkout."""
    return sorted(path for path in ROOT.rglob("*.md") if not _SKIPPED & set(path.relative_to(ROOT).parts))


def blocks(file: Path) -> Iterator[Block]:
    """All code of a file, fenced and inline."""
    for token in _tokens(file):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence":
            yield Block(file, line, token.info.split(" ")[0], token.content)
        for child in token.children or ():
            if child.type == "code_inline":
                yield Block(file, line, "inline", child.content)


def links(file: Path) -> Iterator[str]:
    """The target of every link and image."""
    for token in _tokens(file):
        for child in token.children or ():
            target = child.attrGet("href" if child.type == "link_open" else "src")
            if child.type in ("link_open", "image") and target:
                yield str(target)


def anchors(file: Path) -> set[str]:
    """The anchors of a file's headings, made as GitHub makes them."""
    found: set[str] = set()
    tokens = _tokens(file)
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            anchor = _NOT_IN_ANCHOR.sub("", _plain(after).lower()).replace(" ", "-")
            number = sum(anchor == each or re.fullmatch(rf"{anchor}-\d+", each) is not None for each in found)
            found.add(f"{anchor}-{number}" if number else anchor)
    return found


def _tokens(file: Path) -> list[Token]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(file.read_text(encoding="utf-8"))


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))
