"""Break it yourself: in a demo, blows to the running pipeline, and the account that holds after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import streamlit as st

from contracts import ENDS
from dashboard import frame
from dashboard.text import NBSP, Markdown, counted, short_time

_SHOWN_BLOWS: Final = 8
_SENDING: Final = "break_it_sending"
_WORDS: Final = {
    "written": "good events → written",
    "duplicate": "sent again → duplicate",
    "refused": "broken records → refused",
}


@dataclass(frozen=True)
class Blow:
    """What was done, when, and after how many seconds all that had been sent by then was accounted for."""

    at: datetime
    what: str
    caught_up_seconds: float | None


@dataclass(frozen=True)
class Look:
    """Records by end: `sent` what the sender means to become of them, `found` what the database has.

    `found` is None before the database has answered; `rows` are those of its table. `starts` counts those
    of the pipeline as a process: 0 while it runs inside the dashboard.
    """

    sent: Mapping[str, int]
    found: Mapping[str, int] | None
    rows: int
    starts: int
    is_alive: bool
    database_is_up: bool
    is_paused: bool
    blows: Sequence[Blow]


@dataclass(frozen=True)
class BreakIt:
    """What can be done to the pipeline, by what the button says; `begin` makes it a process of its own.

    `pause` stops the sender, or lets it go on (False).
    """

    look: Callable[[], Look]
    begin: Callable[[], None]
    pause: Callable[[bool], None]
    blows: Mapping[str, Callable[[], None]]


def render(data: BreakIt) -> None:
    """Draw the page."""
    look = data.look()
    frame.heading("Break it yourself", verdict(look))
    st.markdown(flow(look))
    st.markdown(account(look))
    if look.starts == 0:
        frame.hint(
            "The pipeline runs inside this dashboard. To strike it, let it run as a process of its own, "
            "which is started again whenever it dies; it goes on where it is now."
        )
        st.button("Begin", type="primary", on_click=data.begin, icon=":material/play_arrow:")
    else:
        with st.container(horizontal=True):
            for name, strike in data.blows.items():
                st.button(name, on_click=strike)
    st.toggle(
        "Go on sending; without it all comes to rest",
        value=not look.is_paused,
        key=_SENDING,
        on_change=lambda: data.pause(not st.session_state[_SENDING]),
    )
    _table(look)
    _struck(look.blows)


def verdict(look: Look) -> str:
    """Whether each record that was sent is accounted for, in a sentence."""
    if look.found is None:
        return "The database has not answered yet."
    too_many = [end for end, count in look.found.items() if count > look.sent[end]]
    if too_many or look.rows != look.found["written"]:
        return "**✗ The account does not add up.** Please tell us how you did it."
    waiting = sum(look.sent.values()) - sum(look.found.values())
    if waiting:
        is_or_are = "is" if waiting == 1 else "are"
        return f"**No record is lost or doubled; {counted(waiting, 'record')} {is_or_are} on the way.**"
    return "**✓ Each record that was sent is accounted for, exactly once.**"


def flow(look: Look) -> str:
    """The way of the records, with what each place has and whether it is alive, as Markdown."""
    found = look.found or {}
    runs, up = look.is_alive or look.starts == 0, look.database_is_up
    process = "in the dashboard" if look.starts == 0 else f"start {look.starts}" if runs else "killed"
    places = [
        (True, "source", f"{sum(look.sent.values()):,} sent"),
        (runs, "validate", f"{found.get('refused', 0):,} refused"),
        (runs, "compute", process),
        (up, "write", f"{look.rows:,} rows" if up else "database away"),
        (runs and up, "cursor", f"{sum(found.values()):,} done"),
    ]
    shown = [
        f":{'green' if works else 'red'}-badge[{':material/check_circle:' if works else ':material/cancel:'} "
        f"{name}: {what}]".replace(" ", NBSP)
        for works, name, what in places
    ]
    return " → ".join(shown)


def account(look: Look) -> str:
    """`sent = written + duplicate + superseded + refused + left out + on the way`, with the numbers."""
    found = look.found or {}
    sent = sum(look.sent.values())
    parts = [f"{found.get(end, 0):,}{NBSP}{end.replace('_', NBSP)}" for end in ENDS]
    parts.append(f"{sent - sum(found.values()):,}{NBSP}on{NBSP}the{NBSP}way")
    return f"**{sent:,}{NBSP}sent** = {' + '.join(parts)}"


def _table(look: Look) -> None:
    found = look.found or {}
    missing = {end: look.sent[end] - found.get(end, 0) for end in _WORDS}
    frame.table(
        {
            "Records": list(_WORDS.values()),
            "Sent": [f"{look.sent[end]:,}" for end in _WORDS],
            "In the database": [f"{found.get(end, 0):,}" for end in _WORDS],
            "State": [_mark(count) for count in missing.values()],
        },
        "What was sent, and what the database has of it",
    )


def _mark(missing: int) -> str:
    if missing < 0:
        return Markdown(f"✗{NBSP}{-missing:,} too many")
    return Markdown(f"…{NBSP}{missing:,} on the way") if missing else Markdown("✓ all")


def _struck(blows: Sequence[Blow]) -> None:
    if not blows:
        return
    frame.section("What you did")
    newest = list(reversed(blows))[:_SHOWN_BLOWS]
    frame.table(
        {
            "When (UTC)": [short_time(blow.at) for blow in newest],
            "What": [blow.what for blow in newest],
            "All sent by then accounted for": [
                "not yet" if blow.caught_up_seconds is None else f"after {blow.caught_up_seconds:,.0f}{NBSP}s"
                for blow in newest
            ],
        },
        "Blows, the newest first",
    )
