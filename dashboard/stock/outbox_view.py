"""Shows the outbox: waiting, sent and refused messages; lets them be sent again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

import streamlit as st

from accounting.database import BooksError
from accounting.messages import CLIENTS, INVENTORY, SALES
from accounting.outbox import FAILED, SENT, WAITING, Outbox, OutboxState
from contracts.iso_times import read_time
from dashboard import frame
from dashboard.text import counted, plain, short_time, utc

_EVERY_SECONDS: Final = 3
_UNSCROLLED: Final = 10
_TOLD: Final = "outbox_told"
_KINDS: Final = {SALES: "sale or correction", INVENTORY: "product", CLIENTS: "client"}
_MARKS: Final = {WAITING: "…\xa0waiting", SENT: "✓\xa0sent", FAILED: "✗\xa0refused"}


@st.fragment(run_every=_EVERY_SECONDS)
def summary(outbox: Outbox) -> None:
    """Draw how many messages wait, were sent, were refused, and why sending does not go on."""
    state = _state(outbox)
    if state is None:
        return
    frame.figures(
        {
            "Waiting": (f"{state.counts[WAITING]:,}", "Stored here, not yet acknowledged by Kafka."),
            "Sent": (f"{state.counts[SENT]:,}", "Acknowledged by Kafka, counting what was sent again."),
            "Refused": (f"{state.counts[FAILED]:,}", "Not taken by Kafka for what they are; see Outbox."),
        }
    )
    if state.fault and state.counts[WAITING]:
        since = f"Since {utc(read_time(state.fault_since))}: " if state.fault_since else ""
        st.warning(f"{since}{plain(state.fault)}", icon=":material/cloud_off:")


def verdict(state: OutboxState) -> str:
    """Whether all that was entered has reached Kafka, in a sentence of Markdown."""
    waiting, refused = state.counts[WAITING], state.counts[FAILED]
    parts = []
    if refused:
        parts.append(f"{counted(refused, 'message')} {'was' if refused == 1 else 'were'} refused by Kafka")
    if waiting:
        why = ", which does not take them now" if state.fault else ""
        parts.append(f"{counted(waiting, 'message')} {'waits' if waiting == 1 else 'wait'} for Kafka{why}")
    if parts:
        return f"**{'; '.join(parts)}.** All that was entered is stored here."
    if not any(state.counts.values()):
        return "Nothing was entered yet."
    return "**All that was entered has been sent to the pipeline.**"


def render(outbox: Outbox) -> None:
    """Draw the newest rows and the buttons for them."""
    _newest(outbox)
    told = st.session_state.get(_TOLD)
    if told:
        st.success(told, icon=":material/check_circle:")
    st.button(
        "Try refused messages again",
        key="outbox_retry",
        on_click=lambda: _do(outbox.retry_failed, "{:,} refused messages wait to be sent again."),
    )
    frame.section("Send again")
    st.markdown(
        "Sends what was entered once more, for example after Kafka was set up anew. The pipeline counts each "
        "invoice and correction once, and of a product or client the newest record: nothing is doubled."
    )
    with st.container(horizontal=True):
        first = st.date_input("Entered from (UTC)", value=None, key="resend_first", width=200)
        last = st.date_input("Entered until (UTC)", value=None, key="resend_last", width=200)
    count = outbox.count_between(first, last)
    st.button(
        f"Send {count:,} {'message' if count == 1 else 'messages'} again",
        key="outbox_resend",
        disabled=count == 0,
        on_click=lambda: _resend(outbox, first, last),
    )


@st.fragment(run_every=_EVERY_SECONDS)
def _newest(outbox: Outbox) -> None:
    state = _state(outbox)
    if state is None:
        return
    if not state.letters:
        frame.hint("Nothing was entered yet.")
        return
    shown = {
        "State": [_MARKS[letter.state] for letter in state.letters],
        "Kind": [_KINDS.get(letter.kind, letter.kind) for letter in state.letters],
        "Id": [letter.key for letter in state.letters],
        "Queued (UTC)": [_short(letter.queued_at) for letter in state.letters],
        "Sent (UTC)": [_short(letter.sent_at) for letter in state.letters],
        "Reason": [letter.reason or "–" for letter in state.letters],
    }
    height = 420 if len(state.letters) > _UNSCROLLED else None
    frame.table(shown, "Messages in the outbox, refused ones first, then the newest", height)


def _state(outbox: Outbox) -> OutboxState | None:
    try:
        return outbox.state()
    except BooksError as error:
        st.error(plain(error), icon=":material/error:")
        return None


def _do(change: Callable[[], int], told: str) -> None:
    st.session_state[_TOLD] = told.format(change())


def _resend(outbox: Outbox, first: date | None, last: date | None) -> None:
    _do(
        lambda: outbox.resend(first, last),
        "{:,} messages wait to be sent again; those that still waited are as before.",
    )


def _short(text: str | None) -> str:
    return "–" if text is None else short_time(read_time(text))
