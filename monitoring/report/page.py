"""The HTML of a report: sections, tables, tiles. Text is escaped here; what is named `…_html` is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape as escaped
from pathlib import Path

from durable import write_atomically

# As the logs: the group may read it.
_MODE = 0o640
_SHORT_TEXT = 16
_STYLE = """
:root { color-scheme: light dark; --ink:#1b2430; --soft:#556070; --paper:#f6f7f9; --card:#fff; --line:#2563eb;
  --mark:#c81e1e; --rule:#e2e6ec; --good:#166534; --bad:#b42318; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8ecf2; --soft:#a3afbd; --paper:#12161c; --card:#1b212a;
  --line:#7aa7ff; --mark:#ff7b72; --rule:#2d3642; --good:#6ee7a0; --bad:#ff9a92; } }
body { margin:0 auto; max-width:900px; padding:24px 16px; background:var(--paper); color:var(--ink);
  font:16px/1.5 system-ui, sans-serif; font-variant-numeric:tabular-nums; }
section { background:var(--card); border:1px solid var(--rule); border-radius:12px; padding:16px 20px;
  margin:16px 0; overflow-x:auto; break-inside:avoid; }
h1 { margin:0; font-size:1.6rem } h2 { margin:0 0 8px; font-size:1.1rem }
p { color:var(--soft); margin:4px 0 } .verdict { color:var(--ink); font-size:1.15rem }
.good::before { content:"✓ "; color:var(--good) } .bad::before { content:"✗ "; color:var(--bad) }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(108px,1fr)); gap:12px }
.tile b { display:block; font-size:1.6rem } .tile span { color:var(--soft); font-size:.85rem }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(260px,1fr)); gap:16px 24px }
.card b { font-size:1.4rem } .card span { color:var(--soft); font-size:.85rem } .card h2 { margin:0 }
.card { break-inside:avoid } .card p { font-size:.9rem } ul { margin:4px 0; padding-left:20px }
table { border-collapse:collapse; width:100%; font-size:.9rem }
th { text-align:left; white-space:nowrap; color:var(--soft) }
td, th { padding:6px 10px 6px 0; border-bottom:1px solid var(--rule); overflow-wrap:anywhere }
td.short, td.number { white-space:nowrap } td.number, th.number { text-align:right; padding-right:16px }
svg { width:100%; height:auto } svg text { fill:var(--soft); font-size:12px }
@media (max-width: 500px) { svg text { font-size:22px } body { padding:12px 8px } section { padding:12px } }
@media print { body { background:#fff } section { border-color:#ccc } }
svg .end { text-anchor:end } svg .middle { text-anchor:middle } .grid { stroke:var(--rule) }
.line { fill:none; stroke:var(--line); stroke-width:2 }
.soft { fill:none; stroke:var(--soft); stroke-width:1 } .soft-dot { fill:var(--soft) }
.dot { fill:var(--line) } .mark { fill:none; stroke:var(--mark); stroke-width:3 }
.level { stroke:var(--soft); stroke-dasharray:6 4 }
"""


@dataclass(frozen=True, slots=True)
class Card:
    """A `figure` with a `title`, a few words `about` it, a chart and a `sentence`."""

    title: str
    figure: str
    about: str
    chart_html: str
    sentence: str


def write_page(
    path: Path, title: str, about: str, body_html: Iterable[str], style: str = "", mode: int = _MODE
) -> Path:
    """Write the whole page to `path`, whose folders are made, and return it.

    `style` is more CSS; `mode` says who may read the file.
    """
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}{style}</style></head>"
        f"<body><h1>{_text(title)}</h1><p>{_text(about)}</p>{''.join(body_html)}</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode(), durable=False, mode=mode)
    return path


def verdict(text: str, good: bool) -> str:
    """The sentence that answers the reader's first question, with a sign."""
    return f'<section><p class="verdict {"good" if good else "bad"}">{_text(text)}</p></section>'


def lead(text: str) -> str:
    """A first sentence that is neither good nor bad."""
    return f'<section><p class="verdict">{_text(text)}</p></section>'


def cards(each: Iterable[Card]) -> str:
    """Cards beside each other, as many as fit."""
    return f'<section class="cards">{"".join(map(_card, each))}</section>'


def points(texts: Iterable[str]) -> str:
    """A list."""
    return f"<ul>{''.join(f'<li>{_text(text)}</li>' for text in texts)}</ul>"


def _card(card: Card) -> str:
    return (
        f'<div class="card"><h2>{_text(card.title)}</h2><b>{_text(card.figure)}</b> '
        f"<span>{_text(card.about)}</span>{card.chart_html}{note(card.sentence)}</div>"
    )


def section(title: str, content_html: str) -> str:
    """A part of the page under a heading."""
    return f"<section><h2>{_text(title)}</h2>{content_html}</section>"


def note(text: str) -> str:
    """A paragraph."""
    return f"<p>{_text(text)}</p>"


def tiles(figures: Mapping[str, str]) -> str:
    """A figure a tile, with its name below."""
    each = "".join(
        f'<div class="tile"><b>{_text(value)}</b><span>{_text(name)}</span></div>'
        for name, value in figures.items()
    )
    return f'<section class="tiles">{each}</section>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[str] = ()) -> str:
    """A table; the columns `numbers` stand on the right."""
    right = [name in set(numbers) for name in head]
    header = _row("th", head, right)
    lines = "".join(_row("td", row, right) for row in rows)
    return f"<table><thead>{header}</thead><tbody>{lines}</tbody></table>"


def _row(tag: str, cells: Sequence[str], right: Sequence[bool]) -> str:
    parts = (
        f"<{tag} {_kind(text, is_number)}>{_text(text)}</{tag}>"
        for text, is_number in zip(cells, right, strict=True)
    )
    return f"<tr>{''.join(parts)}</tr>"


def _kind(text: str, is_number: bool) -> str:
    """Short texts (days, ids) stay on one line; sentences wrap."""
    name = "number" if is_number else "short" if len(text) <= _SHORT_TEXT else "long"
    return f'class="{name}"'


def _text(text: str) -> str:
    """What nobody can see must not turn the rest of a line around."""
    # The blank between a figure and its unit is none that is printable.
    return escaped("".join(char if char.isprintable() or char == "\xa0" else "·" for char in text))
