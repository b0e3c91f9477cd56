"""Parts of the accountant's forms: the fields of one filling are saved once, whatever is clicked twice.

The fields of each filling have names of their own. A click that comes twice finds the next filling begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import streamlit as st

from accounting.books import ACCEPTED, ALREADY_THERE, Books
from accounting.database import BooksError
from accounting.entries import Entry, EntryError
from dashboard.stock.activity import log
from dashboard.text import plain

_ICONS: Final = {"error": ":material/error:", "success": ":material/check_circle:"}


class Filling:
    """The fields of the form `name` as it is filled in now."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number: int = st.session_state.setdefault(f"{name}_filling", 0)

    def key(self, field: str) -> str:
        """The name of a field in the session's state."""
        return f"{self._name}_{self._number}_{field}"

    def text(self, field: str) -> str:
        """The text that was typed into `field`."""
        return str(st.session_state.get(self.key(field)) or "")

    @property
    def is_current(self) -> bool:
        """Whether this filling was not saved yet."""
        return bool(st.session_state.get(f"{self._name}_filling", 0) == self._number)

    def next(self) -> None:
        """Begin with empty fields."""
        st.session_state[f"{self._name}_filling"] = self._number + 1

    def tell(self, kind: str, text: str, marks: Mapping[str, str] | None = None) -> None:
        """Show `text` below the form from now on, and `marks` at the fields; `kind` is error or success."""
        st.session_state[f"{self._name}_told"] = (kind, text)
        st.session_state[f"{self._name}_marks"] = dict(marks or {})

    def mark(self, field: str) -> None:
        """Draw, below the field, what is wrong with it."""
        fault = st.session_state.get(f"{self._name}_marks", {}).get(field)
        if fault:
            st.markdown(f":red[✗ {plain(fault)}]")

    def show_told(self) -> None:
        """Draw the last text of `tell`."""
        kind, text = st.session_state.get(f"{self._name}_told", ("", ""))
        if kind:
            {"error": st.error, "success": st.success}[kind](text, icon=_ICONS[kind])


def save(
    filling: Filling, books: Books, read: Callable[[], Entry], what: str, labels: Mapping[str, str]
) -> None:
    """Store what `read` makes of the fields, once; `what` is how people call it, `labels` their fields."""
    if not filling.is_current:
        return
    try:
        entry = read()
        [verdict] = books.save([entry])
    except EntryError as error:
        faults = "".join(f"\n- {plain(_with_labels(fault, labels))}" for fault in error.faults)
        filling.tell("error", f"Nothing was saved:\n{faults}", _marks(error.faults))
        log(f"❌ Accountant Interface: {what} was not saved, {len(error.faults)} faults")
        return
    except BooksError as error:
        filling.tell("error", plain(error))
        return
    log(f"📝 Accountant Interface: {what}: {verdict.state}")
    if verdict.state == ACCEPTED:
        filling.tell("success", f"{what} is saved and goes to the pipeline by itself.")
    elif verdict.state == ALREADY_THERE:
        filling.tell("success", f"{what} is there already, just like this; nothing was added.")
    else:
        filling.tell("error", f"Nothing was saved: {plain(verdict.reason)}")
        return
    filling.next()


def _marks(faults: Iterable[str]) -> dict[str, str]:
    """What is wrong with each field: `quantity`, or `quantity_2` of the second item, by their names."""
    found: dict[str, str] = {}
    for fault in faults:
        before, colon, rest = fault.partition(": ") if fault.startswith("Item ") else ("", "", fault)
        name, _, tail = rest.partition(" ")
        found.setdefault(f"{name}_{before.removeprefix('Item ')}" if colon else name, tail)
    return found


def _with_labels(fault: str, labels: Mapping[str, str]) -> str:
    """The sentence with the form's own name of the field, which stands first or behind `Item 1:`."""
    before, colon, rest = fault.partition(": ") if fault.startswith("Item ") else ("", "", fault)
    name, space, tail = rest.partition(" ")
    return f"{before}{colon}{labels.get(name, name)}{space}{tail}"
