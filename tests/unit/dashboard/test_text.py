"""Stored text on pages and in downloads: inert, whatever it holds."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from contracts.iso_times import read_time
from dashboard.text import NBSP, Markdown, ago, csv_bytes, figure, local_time, plain, plain_frame, signed

_NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
# GitHub's Markdown, which Streamlit speaks: also tables, strikethrough and bare addresses.
_markdown = MarkdownIt("gfm-like", {"linkify": False}).enable("strikethrough")
HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "![](http://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "**bold** _it_ ~~gone~~ `code` $x^2$ :red[red] :material/home: :smile:",
    "# heading\n\n- list\n\n    code",
    "https://evil.example www.evil.example a@evil.example",
    "&lt;b&gt; &amp;",
    "a | b\n--|--\n1 | 2",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_and_html_stay_text(text: str) -> None:
    """Rendered, the text is one paragraph of exactly its own characters."""
    tokens = _markdown.parse(plain(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(text.split())


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    """No text at all becomes anything but text."""
    for token in _markdown.parse(plain(text)):
        assert token.type in ("paragraph_open", "inline", "paragraph_close")
        assert {child.type for child in token.children or []} <= {"text", "text_special"}


def test_controls_that_reorder_or_hide_text_are_left_out() -> None:
    """A right-to-left override or a zero-width space would show another text than the stored one."""
    assert plain("abc\u202edef\u200b\x00g") == "abcdefg"


def test_only_own_markdown_passes_in_tables() -> None:
    """Links made by the dashboard live, those in the data do not."""
    shown = plain_frame(pd.DataFrame({"a": [Markdown("[x](user)"), "[x](user)"]}))
    assert list(shown["a"]) == ["[x](user)", r"\[x\]\(user\)"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_formulas_are_inert_in_downloads(text: str) -> None:
    """A spreadsheet shows a cell that begins with an apostrophe as it is."""
    rows = list(csv.reader(io.StringIO(csv_bytes(pd.DataFrame({"a": [text]})).decode())))
    assert rows[1][0].startswith("'")


def test_downloads_keep_numbers_times_and_quotes() -> None:
    """Only text is changed: a negative number is no formula. Commas and quotes are quoted."""
    frame = pd.DataFrame(
        {"n": [-1.5], "t": pd.to_datetime(["2026-11-25T12:00:00Z"], utc=True), "s": ['a,"b"\nc']}
    )
    rows = list(csv.reader(io.StringIO(csv_bytes(frame).decode())))
    assert rows == [["n", "t", "s"], ["-1.5", "2026-11-25T12:00:00Z", 'a,"b" c']]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (0.4, "just now"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (200_000, "2 d")],
)
def test_ages_are_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    """A clock a little ahead is no reason for a negative age."""
    expected = text if text == "just now" else f"{text} ago".replace(" ", NBSP, 1)
    assert ago(_NOW - timedelta(seconds=seconds), _NOW) == expected


def test_figures_have_the_decimals_that_their_size_needs() -> None:
    """Thousands none, small ones one, whole ones none; what is missing is a dash."""
    assert [figure(value) for value in (8437.14, 71.52, 7.0, None, float("nan"))] == [
        "8,437", "71.5", "7", "–", "–",
    ]  # fmt: skip
    assert figure(71.52, "kg") == f"71.5{NBSP}kg"
    assert signed(-2.26) == f"−2.3{NBSP}%"


@pytest.mark.parametrize(
    ("moment", "zone", "told"),
    [
        ("2026-11-29T12:00Z", None, ""),
        ("2026-11-29T12:00Z", "UTC", ""),
        ("2026-11-29T12:00Z", "Europe/Berlin", " (13:00 in Europe\\/Berlin)"),
        # Clocks there are put forward, and back, at 01:00 UTC.
        ("2026-03-29T00:59Z", "Europe/Berlin", " (01:59 in Europe\\/Berlin)"),
        ("2026-03-29T01:00Z", "Europe/Berlin", " (03:00 in Europe\\/Berlin)"),
        ("2026-10-25T00:59Z", "Europe/Berlin", " (02:59 in Europe\\/Berlin)"),
        ("2026-10-25T01:00Z", "Europe/Berlin", " (02:00 in Europe\\/Berlin)"),
        ("2026-07-01T12:00Z", "Europe/London", " (13:00 in Europe\\/London)"),
        ("2026-12-01T12:00Z", "Europe/London", ""),
        # Another day there: of a year, and of a leap year's February.
        ("2026-12-31T23:30Z", "Asia/Kathmandu", " (01\xa0Jan\xa005:15 in Asia\\/Kathmandu)"),
        ("2028-02-29T02:00Z", "America/New_York", " (28\xa0Feb\xa021:00 in America\\/New\\_York)"),
    ],
)
def test_a_time_is_also_told_in_the_readers_zone(moment: str, zone: str | None, told: str) -> None:
    """With the day where it is another one; not where it is the same as UTC."""
    found = local_time(read_time(moment), None if zone is None else ZoneInfo(zone))
    assert found == told
