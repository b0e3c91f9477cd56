"""A table of records that a person can sort, and download whole: figures right-aligned, each cell inert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import pandas as pd
import streamlit as st

from dashboard import frame

T = TypeVar("T")
_UNSCROLLED: Final = 25
_HEIGHT: Final = 800


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column called `name`: `value` of a record is what is sorted and downloaded, `shown` its text.

    `is_number` aligns it to the right and sorts it from the greatest.
    """

    name: str
    value: Callable[[T], Any]
    shown: Callable[[Any], str]
    is_number: bool = False


@dataclass(frozen=True)
class Listing(Generic[T]):
    """What is listed: `key` names it in the session, `title` for screen readers, `file` the download.

    `order` says in which order the records come.
    """

    key: str
    title: str
    file: str
    order: str
    columns: Sequence[Column[T]]


def render(listing: Listing[T], records: Sequence[T]) -> None:
    """Draw the `records` in the order that is chosen, and a button that downloads them all."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Sort by",
            [listing.order, *(column.name for column in listing.columns)],
            key=f"{listing.key}_sort",
            width=220,
        )
        frame.download("Download as CSV", values(listing, records), listing.file)
    by_name = {column.name: column for column in listing.columns}
    shown = _sorted(records, by_name[chosen]) if chosen in by_name else records
    frame.table(
        {column.name: [column.shown(column.value(one)) for one in shown] for column in listing.columns},
        listing.title,
        _HEIGHT if len(shown) > _UNSCROLLED else None,
        numbers=[column.name for column in listing.columns if column.is_number],
    )


def _sorted(records: Sequence[T], column: Column[T]) -> list[T]:
    """Figures and dates from the greatest or latest, texts from A; those without a value come last."""
    there = [one for one in records if column.value(one) is not None]
    lacking = [one for one in records if column.value(one) is None]
    if all(isinstance(column.value(one), str) for one in there):
        return [*sorted(there, key=lambda one: column.value(one).casefold()), *lacking]
    return [*sorted(there, key=column.value, reverse=column.is_number), *lacking]


def values(listing: Listing[T], records: Sequence[T]) -> pd.DataFrame:
    """The `records` as they are, for a download."""
    return pd.DataFrame({column.name: [column.value(one) for one in records] for column in listing.columns})
