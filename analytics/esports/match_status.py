"""The words of public feeds for where a match stands, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping

from analytics.texts import trimmed_sql

# A record has this status if it gives none, or one in a word that is not known.
UNKNOWN = "unknown"
# Compared without case, spaces, hyphens and underscores.
_WORDS: Mapping[str, str] = {
    "finished": "finished ended closed completed complete concluded over final finalized done past played"
    " walkover forfeit forfeited",
    "live": "live running inprogress ongoing started playing inplay active current paused interrupted"
    " suspended",
    "scheduled": "scheduled rescheduled notstarted unstarted upcoming pending announced planned created"
    " future prematch delayed startdelayed matchabouttostart tobedefined tbd",
    "canceled": "canceled cancelled abandoned aborted deleted void voided",
    "postponed": "postponed",
}


def status_sql(text: str) -> str:
    """A key of `_WORDS`, or UNKNOWN, for a text of Spark SQL."""
    pairs = ", ".join(f"'{word}', '{status}'" for status, words in _WORDS.items() for word in words.split())
    plain = f"translate(lower({trimmed_sql(text)}), ' _-', '')"
    # Most feeds that are made for this pipeline say it in these words.
    found = f"coalesce(map({pairs})[{plain}], '{UNKNOWN}')"
    return f"IF({text} IN ('finished', 'live', 'scheduled'), {text}, {found})"
