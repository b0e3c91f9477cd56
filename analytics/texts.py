"""Defines texts for every pipeline and page, in Python and as Spark SQL: their ends, and what they may hold.

White space around a text means nothing, whatever kind it is. Within a *name* a run of white space with a line
break or tab in it is one space; every other character is kept as it was sent: no-break and ideographic
spaces, joiners, soft hyphens, marks of direction. What no text may hold: other control characters, NUL among
them, and halves of surrogate pairs, which are no characters and would make different texts one. An *id* may
hold no invisible character at all but the space, for it would look like another.
"""

from __future__ import annotations

import re

from contracts.texts import BLANKS

_BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
# Whole runs: a pattern that tries each part of a run for itself takes hours for a long one.
_RUN = re.compile(f"[{BLANKS}]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# What cannot be seen, or is no character: controls, formats, separators but the space, fillers, halves of
# surrogate pairs, private use. A list of our own: Python and Java know different versions of Unicode.
_UNSEEN = (
    "0-1f 7f-a0 ad 34f 600-605 61c 6dd 70f 890-891 8e2 115f-1160 1680 17b4-17b5 180b-180f 2000-200f 2028-202f"
    " 205f-206f 2800 3000 3164 d800-f8ff fdd0-fdef fe00-fe0f feff ffa0 fff0-fffb fffe-ffff 110bd 110cd"
    " 13430-1343f 1bca0-1bca3 1d173-1d17a e0000-e0fff f0000-10ffff"
)
_UNSEEN_RANGES = [span.partition("-")[::2] for span in _UNSEEN.split()]
_HIDDEN = re.compile(
    "[{}]".format("".join(f"{chr(int(a, 16))}-{chr(int(b or a, 16))}" for a, b in _UNSEEN_RANGES))
)
# What programs write where there is no value: pandas, Python, JavaScript, databases, Excel.
_NOTHING = frozenset({"NaN", "nan", "NaT", "<NA>", "None", "null", "NULL", "undefined", "#N/A"})
# A whole number that went through floating point, as a column of pandas with a gap does.
_FLOAT = re.compile("[0-9]+[.]0")
_SHOWN_CHARACTERS = 60
# Why a record with half of a surrogate pair is refused.
LONE_SURROGATE = "lone_surrogate"

# As patterns of Spark SQL's texts: white space of any kind, for one.
BLANK_CLASS = "[{}]".format("".join(f"\\\\x{{{ord(char):x}}}" for char in BLANKS))
# Most ids are like this, and each character of it can be seen. A class of characters is looked up at once,
# one of ranges is not.
_PLAIN = "[0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.:-]"
PLAIN_ID = rf"^{_PLAIN}+\\z"
# Several, each on a line of its own; with spaces between their characters.
PLAIN_IDS = rf"^(?:{_PLAIN}++(?: ++{_PLAIN}++)*+|\\n)*+\\z"
_PAIR = r"\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F]"


def trimmed(text: str) -> str:
    """A text without the white space around it."""
    return text.strip(BLANKS)


def as_name(text: str) -> str:
    """A text as one line, for people: see the module."""
    return _RUN.sub(lambda run: run[0] if set(run[0]).isdisjoint(_BREAKS) else " ", trimmed(text))


def is_writable(text: str) -> bool:
    """Whether a text holds only what a text may hold."""
    return not _CONTROL.search(text)


def is_visible(text: str) -> bool:
    """Whether each character of a text can be seen, or is the space."""
    return not _HIDDEN.search(text)


def is_nothing(text: str) -> bool:
    """Whether `text`, in the place of an id, says that there is none."""
    return text in _NOTHING


def is_float(text: str) -> bool:
    """Whether an id looks like a whole number that went through floating point."""
    return _FLOAT.fullmatch(text) is not None


def shown(text: str) -> str:
    """`text` as a message shows it: cut, with code points for characters that cannot be seen."""
    cut = text[:_SHOWN_CHARACTERS]
    told = "".join(char if is_visible(char) else f"<U+{ord(char):04X}>" for char in cut)
    return told if cut == text else f"{told}…"


def has_lone_surrogate(json: bytes) -> bool:
    """Whether a JSON text has an escape of half a surrogate pair, anywhere."""
    if b"\\u" not in json:
        return False
    escapes = json.replace(b"\\\\", b"xx")
    pairless = re.sub(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]", b"x", escapes)
    return re.search(rb"\\u[dD][89a-fA-F]", pairless) is not None


def has_lone_surrogate_sql(json: str) -> str:
    """`has_lone_surrogate` as a condition of Spark SQL on a text."""
    pairless = rf"regexp_replace(replace({json}, '\\\\', 'xx'), '{_PAIR}', 'x')"
    return rf"contains({json}, '\\u') AND {pairless} RLIKE '\\\\u[dD][89abcdefABCDEF]'"


def trimmed_sql(text: str) -> str:
    """`trimmed` of a text of Spark SQL, in linear time: no run is looked at from each of its characters."""
    return rf"regexp_replace({text}, '^{BLANK_CLASS}+|(?<!{BLANK_CLASS}){BLANK_CLASS}++\\z', '')"


def is_nothing_sql(text: str) -> str:
    """`is_nothing` as a condition of Spark SQL."""
    return f"{text} IN ({', '.join(f'{chr(39)}{word}{chr(39)}' for word in sorted(_NOTHING))})"


def is_float_sql(text: str) -> str:
    """`is_float` as a condition of Spark SQL."""
    return rf"endswith({text}, '.0') AND {text} RLIKE '^[0-9]+[.]0\\z'"


def is_visible_sql(text: str) -> str:
    """`is_visible` as a condition of Spark SQL."""
    spans = "".join(rf"\\x{{{start}}}-\\x{{{end or start}}}" for start, end in _UNSEEN_RANGES)
    return f"NOT {text} RLIKE '[{spans}]'"


def let(value: str, name: str, expression: str) -> str:
    """`expression` of Spark SQL, in which `name` is the value of `value`, computed once.

    It is no part of the generated code, which has to stay small to be compiled: for what is rare.
    """
    return f"element_at(transform(array({value}), {name} -> {expression}), 1)"
