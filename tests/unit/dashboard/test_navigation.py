"""From a pipeline's declaration to the page that is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
import streamlit as st

from contracts import ConfigurationError
from dashboard import navigation
from dashboard.page import Page
from dashboard.setup import open_pages
from pipelines.catalog import PIPELINES
from tests.support.shown import show
from tests.toy import TOY


def _render(data: str) -> None:
    st.title(data)


_PAGES = [Page("Numbers", "numbers", _render, "Numbers there are"), Page("More", "more", _render, "")]


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    """The catalog has a pipeline that declares pages of a demo."""
    with patch.dict(PIPELINES, {TOY.name: replace(TOY, demo_pages=lambda: _PAGES)}):
        open_pages.clear()
        yield
        open_pages.clear()


@pytest.mark.parametrize("every", [30, None])
def test_the_pages_that_a_pipeline_declares_are_a_group_of_its_title(every: int | None) -> None:
    """The first of them is drawn, whether it refreshes itself or not."""
    first, *others = (replace(page, every=every) for page in open_pages(True, TOY.name)[TOY.title])
    page = show(navigation.run, {TOY.title: [first, *others]})
    assert not page.exception
    assert page.title[0].value == "Numbers there are"


@pytest.mark.parametrize("named", ["ecommerce", "nothing"])
def test_a_pipeline_without_a_demo_in_the_dashboard_is_told(named: str) -> None:
    """By name, with the page that tells how to see it all the same."""
    with pytest.raises(
        ConfigurationError, match=rf"{named} has no demo in the dashboard: docs/dashboard\.md"
    ):
        open_pages(True, named)
