"""Dead letters: what was refused, by reason; for the operator the records, what mends them, and buttons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from contracts import ServiceError
from dashboard import entrance, frame
from dashboard.entrance import Entrance
from dashboard.letter_commands import Act, Ended, LetterCommands, told_end
from dashboard.text import counted, plain, printable, short_time

_ROLE: Final = "operator"
# The act that waits for its second button, and how the last one ended.
_ASKED, _ENDED = "letters_asked", "letters_ended"
_WORDS: Final[Mapping[Act, tuple[str, str, str]]] = {
    "retry": ("Try again", "Yes, try it again", "It is computed or judged again, which may take a minute."),
    "purge": ("Remove", "Yes, remove it for good", "It is deleted for good, with its copies."),
}

if TYPE_CHECKING:
    # A pipelines.engine.letter_desk.LetterDesk, by what is asked of it: pages do not import pipelines.
    Desk = Any


@dataclass(frozen=True)
class Queue:
    """The dead letters of the pipeline `name`; `open_desk` raises ServiceError when that is impossible.

    `is_tried_by_stream`: the running stream tries them again by itself.
    """

    name: str
    title: str
    open_desk: Callable[[], Desk]
    is_tried_by_stream: bool = False


@dataclass(frozen=True)
class LettersData:
    """The queues of all pipelines, who may enter, and what he may do."""

    queues: Sequence[Queue]
    entrance: Entrance
    commands: LetterCommands


def render(data: LettersData) -> None:
    """Draw the page."""
    found, faults = _read(data.queues)
    frame.heading("Dead letters", _sentence(found, faults))
    for title, fault in faults.items():
        st.error(f"{plain(title)}: {plain(fault)}", icon=":material/error:")
    is_in = data.entrance.is_in(_ROLE)
    if not is_in and data.entrance.can_be(_ROLE):
        st.markdown("Reasons, records and what mends them are for the operator.")
        entrance.ask(data.entrance, _ROLE)
        return
    if not is_in:
        how = (
            entrance.how_to_be(_ROLE)
            if not data.entrance.people_sign_in
            else "DASHBOARD_ROLES gives the role."
        )
        frame.hint(f"Records and buttons are for who has the role operator, and nobody has it. {how}")
    _tell_ended()
    for queue, overview, desk in found:
        if overview.waiting:
            _draw(queue, overview, desk, data if is_in else None)
    if is_in:
        entrance.leave(data.entrance, _ROLE)


def _read(queues: Sequence[Queue]) -> tuple[list[tuple[Queue, Any, Desk]], dict[str, str]]:
    found, faults = [], {}
    for queue in queues:
        try:
            desk = queue.open_desk()
            found.append((queue, desk.overview(), desk))
        except ServiceError as error:  # noqa: PERF203 - one queue must not take the others from the page
            faults[queue.title] = str(error)
    return found, faults


def _sentence(found: Sequence[tuple[Queue, Any, Desk]], faults: Mapping[str, str]) -> str:
    """How many letters wait, of which pipeline."""
    waiting = [
        f"{plain(queue.title)} {overview.waiting:,}" for queue, overview, _ in found if overview.waiting
    ]
    if not waiting:
        return "**Nothing was refused.**" if not faults else "**Whether anything was refused is not known.**"
    total = sum(overview.waiting for _, overview, _ in found)
    return f"**{counted(total, 'dead letter')} {'waits' if total == 1 else 'wait'}:** {', '.join(waiting)}."


def _draw(queue: Queue, overview: Any, desk: Desk, data: LettersData | None) -> None:
    frame.section(plain(queue.title))
    if overview.waiting > overview.examined + overview.damaged:
        st.markdown(f"Of the newest {overview.examined + overview.damaged:,}:")
    if overview.damaged:
        st.warning(f"{counted(overview.damaged, 'file')} cannot be read.", icon=":material/warning:")
    reasons = overview.reasons
    if not reasons:
        return
    frame.table(
        {
            "Reason": [reason.name for reason in reasons],
            "Letters": [f"{len(reason.letters):,}" for reason in reasons],
            "Oldest (UTC)": [short_time(reason.oldest) for reason in reasons],
            "Newest (UTC)": [short_time(reason.newest) for reason in reasons],
        },
        f"Dead letters of {queue.title} by reason",
        numbers=("Letters",),
    )
    if data is not None:
        _one(queue, reasons, desk, data)


def _one(queue: Queue, reasons: Sequence[Any], desk: Desk, data: LettersData) -> None:
    """The letter that is chosen, with what mends it and its buttons."""
    labels = {line.id: printable(_label(line)) for reason in reasons for line in reason.letters}
    chosen = st.selectbox(
        f"Letter of {queue.title}",
        list(labels),
        format_func=lambda one: labels.get(one, one),
        index=None,
        placeholder="Choose a letter",
        key=f"letters_{queue.name}",
    )
    if chosen is None:
        return
    try:
        shown = desk.show(chosen)
    except ServiceError as error:
        st.error(plain(error), icon=":material/error:")
        return
    # Literal text: nothing in it is Markdown.
    st.code("\n".join(map(printable, shown.words)), language=None, wrap_lines=True)
    with st.expander("The record"):
        st.code(shown.record, language=None, wrap_lines=True, height=320)
        if shown.is_cut:
            st.markdown("It is longer than this.")
    _buttons(queue, chosen, data)


def _label(line: Any) -> str:
    tried = f"{counted(line.attempts, 'try', 'tries')}{', parked' if line.parked else ''}"
    return f"{line.id[:12]} · {line.reason} · {short_time(line.last_seen)} UTC · {tried}"


def _buttons(queue: Queue, letter: str, data: LettersData) -> None:
    asked: tuple[str, str, Act] | None = st.session_state.get(_ASKED)
    with st.container(horizontal=True):
        for act, (label, _, _) in _WORDS.items():
            if st.button(label, key=f"letters_{act}_{queue.name}"):
                asked = st.session_state[_ASKED] = (queue.name, letter, act)
    if asked is None or asked[:2] != (queue.name, letter):
        return
    act = asked[2]
    _, yes, what = _WORDS[act]
    running = f" {_while_it_runs(queue)}" if act == "retry" else ""
    st.warning(f"Letter {letter[:12]}: {what}{running}", icon=":material/warning:")
    with st.container(horizontal=True):
        sure = st.button(yes, key=f"letters_yes_{queue.name}", type="primary")
        no = st.button("No", key=f"letters_no_{queue.name}")
    if sure or no:
        del st.session_state[_ASKED]
        if sure:
            # Asked again now: an account may have been signed out meanwhile.
            if not data.entrance.is_in(_ROLE):
                st.rerun()
            with st.spinner("At work"):
                ended = data.commands.act(data.entrance.who(_ROLE), act, queue.name, letter)
            st.session_state[_ENDED] = (act, ended)
        st.rerun()


def _while_it_runs(queue: Queue) -> str:
    """What to do about the stream, beside which nobody else may write."""
    if queue.is_tried_by_stream:
        return "It is refused while the stream runs, which tries letters by itself."
    return "It is refused while the stream runs: stop the stream first, and start it again afterwards."


def _tell_ended() -> None:
    """How the last act ended, once."""
    told: tuple[Act, Ended] | None = st.session_state.pop(_ENDED, None)
    if told is None:
        return
    act, ended = told
    if ended.code == 0:
        st.success(plain(told_end(act, ended)), icon=":material/check_circle:")
    else:
        st.error(plain(told_end(act, ended)), icon=":material/error:")
    if ended.code is not None and ended.output:
        st.code("\n".join(map(printable, ended.output.splitlines())), language=None, wrap_lines=True)
