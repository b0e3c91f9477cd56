"""The log of what people do on the stock pages: one line each, with ids and nothing else of the books."""

from __future__ import annotations

import streamlit as st

from dashboard.text import printable
from monitoring.logs import get_logger

logger = get_logger(__name__)
_MOST = 200


def log(text: str) -> None:
    """Log what a person did, on one line."""
    logger.info(printable(text.replace("\\", ""))[:_MOST])


def told_once(text: str) -> None:
    """Log what a page shows to a session, and again only when that is another."""
    if st.session_state.get("activity_told") != text:
        st.session_state["activity_told"] = text
        log(text)
