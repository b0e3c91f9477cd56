"""The dashboard's own options, which stand behind Streamlit's."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from dashboard.app import options


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("", (False, None)),
        ("--demo", (True, None)),
        ("--demo --pipeline stock", (True, "stock")),
        ("--pipeline stock --demo", (True, "stock")),
        ("--pipeline=stock --demo", (True, "stock")),
    ],
)
def test_options_are_taken_in_any_order(arguments: str, asked: tuple[bool, str | None]) -> None:
    """The last word is not always the pipeline's name."""
    assert options(arguments.split()) == asked


@pytest.mark.parametrize("arguments", ["--pipeline stock", "--pipeline", "--demo --once", "stock", "--dem"])
def test_what_would_be_ignored_is_refused(arguments: str) -> None:
    """With a sentence that the page shows."""
    with pytest.raises(ConfigurationError, match="dashboard's"):
        options(arguments.split())
