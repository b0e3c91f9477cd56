"""A report's page: whole, small, and nothing in it runs or asks anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.report.page import Card, cards, lead, note, points, section, table, tiles, verdict, write_page

_EVIL = "<img src=//evil onerror=alert(1)>\u202e\"'&"


def test_what_people_wrote_is_text_wherever_it_stands(tmp_path: Path) -> None:
    """In titles, cells, tiles and sentences."""
    cells = table((_EVIL, "n"), [(_EVIL, _EVIL)], ["n"])
    body = [verdict(_EVIL, True), tiles({_EVIL: _EVIL}), section(_EVIL, cells), note(_EVIL)]
    body += [lead(_EVIL), points([_EVIL]), cards([Card(_EVIL, _EVIL, _EVIL, "", _EVIL)])]
    text = write_page(tmp_path / "new folder" / "r.html", _EVIL, _EVIL, body).read_text()
    assert "<img" not in text
    assert text.count("&lt;img") == 17
    assert "http" not in text
    assert "\u202e" not in text


def test_a_figure_and_its_unit_stay_together(tmp_path: Path) -> None:
    """The blank that breaks no line is no sign that nobody can see."""
    assert "62.5\xa0kg" in write_page(tmp_path / "r.html", "a", "b", [note("62.5\xa0kg")]).read_text()


def test_a_report_of_before_stays_when_the_new_one_cannot_be_made(tmp_path: Path) -> None:
    """And nobody else may read it."""
    path = write_page(tmp_path / "r.html", "a", "b", [])
    before = path.read_text()

    def parts() -> Iterator[str]:
        yield "x"
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_page(path, "a", "b", parts())
    assert path.read_text() == before
    assert path.stat().st_mode & 0o777 == 0o640
