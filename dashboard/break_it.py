"""Break it yourself: in a demo, blows to the running pipeline, and the account that holds after each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from contracts import ENDS
from contracts.striking import Blow, Look
from dashboard import frame, standing
from dashboard.page import Rig, Room
from dashboard.text import NBSP, Markdown, counted, short_time

TITLE: Final = "Break it yourself"
_SHOWN_BLOWS: Final = 8
_WORDS: Final = {
    "written": "good records → written",
    "duplicate": "sent again → duplicate",
    "superseded": "older than what is known → superseded",
    "refused": "broken records → refused",
}


def render(rooms: Sequence[Room]) -> None:
    """Draw the page; who reads it chooses one of `rooms`, which all have a rig, or say why they have none."""
    st.title(TITLE, anchor=False)
    by_title = {room.title: room for room in rooms}
    first = next((room.title for room in rooms if not isinstance(room.rig, str)), rooms[0].title)
    chosen: str | None = first
    if len(by_title) > 1:
        chosen = st.segmented_control(
            "Pipeline", list(by_title), default=first, required=True, key="struck", bind="query-params"
        )
    room = by_title[chosen or first]
    if room.rig is None or isinstance(room.rig, str):
        st.info(room.rig or "Nothing of this demo can be struck.", icon=":material/info:")
    elif not room.is_there:
        standing.starting(room)
    else:
        _draw(room.rig, f"sending {room.title}")


def _draw(rig: Rig, sending: str) -> None:
    """Draw the state of `rig` and its buttons; `sending` is the key of the switch that pauses the sender."""
    look = rig.look()
    st.markdown(verdict(look))
    st.markdown(flow(look))
    st.markdown(account(look))
    if look.starts:
        with st.container(horizontal=True):
            for name, strike in rig.strikes.items():
                st.button(name, on_click=strike)
    elif look.is_wanted:
        frame.hint(
            "The pipeline finishes its batch inside this dashboard; then it starts as a process of its own."
        )
    else:
        frame.hint(
            "The pipeline runs inside this dashboard. To strike it, let it run as a process of its own, "
            "which is started again whenever it dies; it goes on where it is now."
        )
        st.button("Begin", type="primary", on_click=rig.begin, icon=":material/play_arrow:")
    st.toggle(
        "Go on sending; without it all comes to rest",
        value=not look.is_paused,
        key=sending,
        on_change=lambda: rig.pause(not st.session_state[sending]),
    )
    _table(look)
    _struck(look.blows)


def verdict(look: Look) -> str:
    """Whether each record that was sent is accounted for, in a sentence."""
    if look.found is None:
        return f"{look.store} has not answered yet."
    too_many = [end for end, count in look.found.items() if count > look.sent[end]]
    if too_many or look.rows != look.due:
        return "**✗ The account does not add up.** Please tell us how you did it."
    waiting = sum(look.sent.values()) - sum(look.found.values())
    if waiting:
        is_or_are = "is" if waiting == 1 else "are"
        return f"**No record is lost or doubled; {counted(waiting, 'record')} {is_or_are} on the way.**"
    return "**✓ Each record that was sent is accounted for, exactly once.**"


def flow(look: Look) -> str:
    """The way of the records, with what each place has and whether it is alive, as Markdown."""
    found = look.found or {}
    runs, up = look.is_alive or look.starts == 0, look.store_is_up
    process = "in the dashboard" if look.starts == 0 else f"start {look.starts}" if runs else "killed"
    places = [
        (True, "source", f"{sum(look.sent.values()):,} sent"),
        (runs, "validate", f"{found.get('refused', 0):,} refused"),
        (runs, "compute", process),
        (up, "write", f"{look.rows:,} {look.rows_are}" if up else f"{look.store} away"),
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
    found, words = look.found or {}, {end: _WORDS[end] for end in _WORDS if end in look.sent}
    missing = {end: look.sent[end] - found.get(end, 0) for end in words}
    frame.table(
        {
            "Records": list(words.values()),
            "Sent": [f"{look.sent[end]:,}" for end in words],
            f"In {look.store}": [f"{found.get(end, 0):,}" for end in words],
            "State": [_mark(count) for count in missing.values()],
        },
        f"What was sent, and what {look.store} has of it",
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
