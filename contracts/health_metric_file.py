"""Makes the catalogue of metrics of the text of its files; what is wrong becomes a line for each fault.

A line names the file, the metric, the entry, and what is right there.
"""

from __future__ import annotations

import configparser
import math
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, Final

from contracts.effects import least_effect
from contracts.errors import ConfigurationError
from contracts.health import RANGE_NAMES, WEARABLE_FIELDS
from contracts.health_metrics import Metric, StreakRule, Telling

SHIPPED: Final = "metric_catalogue.ini"
MAX_STREAK_DAYS: Final = 3650
# The backend's client loads this many results of a person.
MOST_METRICS: Final = 100 // len(RANGE_NAMES)
_MOST: Final = 1e9
_NAME: Final = re.compile(r"[a-z][A-Za-z0-9]{0,39}")
_STREAK: Final = re.compile(r"(>=|<=|>|<)\s*(\S+)")
# Columns of tables that have the metrics as columns too, and a word of LEAST_EFFECTS.
_TAKEN: Final = {"user", "day", "superseded", "others"}
_NEEDED: Final = ("label", "unit", "range")
_USED: Final = "use"

_Texts = dict[str, dict[str, str]]


class _EntryError(Exception):
    """What is wrong with an entry, and what is right."""


def shipped() -> dict[str, Metric]:
    """The catalogue that comes with the service: the metrics of the backend's contract."""
    return _metrics(SHIPPED, _shipped_texts(), {})


def parse_metrics(file: str, content: str) -> dict[str, Metric]:
    """The shipped catalogue with what the `content` of the own `file` adds and changes, by metricType.

    Raises ConfigurationError with a line for each fault.
    """
    base, own = _shipped_texts(), _texts(file, content)
    merged = {name: {**base.get(name, {}), **own.get(name, {})} for name in [*base, *own]}
    return _metrics(file, merged, own)


def _shipped_texts() -> _Texts:
    return _texts(SHIPPED, (files("contracts") / SHIPPED).read_text(encoding="utf-8"))


def _texts(file: str, content: str) -> _Texts:
    """The entries of each section."""
    # No section is a default for the others, and `%` is a sign like any other.
    parser = configparser.ConfigParser(
        delimiters=("=",), default_section="", interpolation=None, empty_lines_in_values=False
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(content)
    except configparser.DuplicateSectionError as error:
        why = f"[{error.section}] comes a second time in line {error.lineno}; join the two"
        raise ConfigurationError(f"{file}: {why}") from None
    except configparser.DuplicateOptionError as error:
        why = f"[{error.section}] {error.option}: comes a second time in line {error.lineno}; keep one"
        raise ConfigurationError(f"{file}: {why}") from None
    except configparser.MissingSectionHeaderError as error:
        why = f"line {error.lineno} stands before the first section; begin with one such as [mood]"
        raise ConfigurationError(f"{file}: {why}") from None
    except configparser.ParsingError as error:
        lines = ", ".join(str(line) for line, _ in error.errors)
        raise ConfigurationError(f"{file}: line {lines} is none of the form `entry = value`") from None
    return {name: dict(parser[name]) for name in parser.sections()}


def _metrics(file: str, texts: _Texts, own: _Texts) -> dict[str, Metric]:
    """The metrics of `texts`; faults are of the sections and entries of `own`."""
    found: dict[str, Metric] = {}
    faults: list[str] = []
    known = _shipped_texts() if own else texts
    for name, entries in texts.items():
        wrong = list(_faults_of_section(name, entries, known, own))
        metric = None if wrong else _metric(entries, wrong)
        faults += [f"{file}: [{name}] {fault}" for fault in wrong]
        if metric is not None and entries.get(_USED, "yes") != "no":
            found[name] = metric
    faults += [f"{file}: {fault}" for fault in _faults_of_all(found)] if not faults else []
    if faults:
        raise ConfigurationError("\n".join(faults))
    return found


def _faults_of_section(name: str, entries: Mapping[str, str], known: _Texts, own: _Texts) -> Iterator[str]:
    if name not in known:
        yield from _faults_of_name(name, known, own)
        missing = [entry for entry in _NEEDED if entry not in entries]
        if entries.get(_USED) == "no":
            yield "use: is no metric of the service, so it cannot be taken away; leave the section out"
        elif missing:
            yield f"{missing[0]}: is missing; a new metric needs {', '.join(_NEEDED)}"
    elif own.get(name, {}).get("unit", known[name]["unit"]) != known[name]["unit"]:
        right = f"the backend stores it in {known[name]['unit']}; another unit needs a metric of another name"
        yield f"unit: {own[name]['unit']!r} is not the backend's; {right}"
    for entry in entries:
        if entry not in _ENTRIES:
            near = get_close_matches(entry, _ENTRIES, 1)
            meant = f"is {near[0]} meant? There" if near else "there"
            yield f"{entry}: is no entry; {meant} are {', '.join(_ENTRIES)}"


def _faults_of_name(name: str, known: _Texts, own: _Texts) -> Iterator[str]:
    others = {other.lower(): other for other in [*known, *own] if other != name}
    if name.lower() in others:
        yield f"differs from [{others[name.lower()]}] by large and small letters alone; use one name"
    elif name in WEARABLE_FIELDS:
        yield "is what wearables measure: a document that holds it does not count; choose another name"
    elif not _NAME.fullmatch(name) or name in _TAKEN:
        yield (
            "cannot be a name: up to 40 letters of a to z and digits, a small letter first, as the document "
            f"has it below `metrics`; not {', '.join(sorted(_TAKEN))}"
        )


def _faults_of_all(found: Mapping[str, Metric]) -> Iterator[str]:
    labels: dict[str, str] = {}
    for name, metric in found.items():
        if (other := labels.setdefault(metric.label.lower(), name)) != name:
            yield f"[{name}] label: {metric.label!r} is that of [{other}] too; give it one of its own"
    if not found:
        yield "takes all metrics away; leave at least one"
    if len(found) > MOST_METRICS:
        yield (
            f"makes {len(found)} metrics; at most {MOST_METRICS}, because the backend's client loads 100 "
            "results of a person"
        )


def _metric(entries: Mapping[str, str], wrong: list[str]) -> Metric | None:
    """The metric of `entries`; None where something is added to what is `wrong`."""
    values: dict[str, Any] = {}
    for entry, text in entries.items():
        if entry in _MAY_BE_NONE and text == "none":
            continue
        try:
            values[entry] = _ENTRIES[entry](text)
        except _EntryError as fault:
            wrong.append(f"{entry}: {text!r} {fault}")
    if wrong:
        return None
    low, high = values["range"]
    streak: StreakRule | None = values.get("streak")
    if streak is not None and not low <= streak.bound <= high:
        wrong.append(f"streak: {entries['streak']!r} is outside the range, {entries['range']}")
    if values.get("tell_streaks") and streak is None:
        wrong.append(
            "tell_streaks: there is no streak to tell of; add one (`streak = > 1000`), or write none"
        )
    if wrong:
        return None
    told = Telling(
        values.get("tell_anomalies_from"), values.get("tell_streaks", ()), values.get("tell_silent_days")
    )
    given = {name: values[entry] for entry, name in _FIELDS.items() if entry in values}
    return Metric(low=low, high=high, tell=told, **given)


def _text(most: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not (0 < len(text) <= most and text.isprintable()):
            raise _EntryError(f"is no text of 1 to {most} characters on one line")
        return text

    return parse


def _sentence(text: str) -> str:
    if text.count("{}") != 1 or text.count("{") + text.count("}") != 2:
        raise _EntryError("needs {} once, in the place of the amount, such as `walked {} steps`")
    return _text(80)(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= _MOST:
        raise _EntryError(f"has a number that is none from 0 to {_MOST:,.0f}")
    return number


def _range(text: str) -> tuple[float, float]:
    parts = text.split(" to ")
    if len(parts) != 2:
        raise _EntryError("is no range such as `30 to 220`")
    low, high = map(_number, parts)
    if not low < high:
        raise _EntryError("is upside-down: the smaller number comes first, such as `30 to 220`")
    return low, high


def _streak(text: str) -> StreakRule:
    found = _STREAK.fullmatch(text)
    if found is None:
        raise _EntryError("is no rule such as `> 1000` or `>= 7`, with one of > >= < <=")
    return StreakRule(found[1], _number(found[2]))  # type: ignore[arg-type]


def _least(text: str) -> Any:
    try:
        return least_effect(text)
    except ValueError as error:
        raise _EntryError(f"is {error}") from None


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise _EntryError(f"is none of {', '.join(words)}")
        return text

    return parse


def _flag(text: str) -> bool:
    return _one_of("yes", "no")(text) == "yes"


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= MAX_STREAK_DAYS and len(text) < 9):
        raise _EntryError(f"is no number of days from 1 to {MAX_STREAK_DAYS}")
    return int(text)


def _milestones(text: str) -> tuple[int, ...]:
    days = tuple(_days(part.strip()) for part in text.split(","))
    if list(days) != sorted(set(days)):
        raise _EntryError("must rise, each number of days once, such as `7, 30, 100`")
    return days


_ENTRIES: Final[Mapping[str, Callable[[str], Any]]] = {
    "label": _text(40),
    "unit": _text(20),
    "range": _range,
    "better": _one_of("more", "less", "neither"),
    "sentence": _sentence,
    "movement": _flag,
    "streak": _streak,
    "least_effect": _least,
    "tell_anomalies_from": _one_of("low", "medium", "high"),
    "tell_streaks": _milestones,
    "tell_silent_days": _days,
    _USED: _flag,
}
# What the shipped catalogue has, `none` takes away.
_MAY_BE_NONE: Final = ("streak", "tell_anomalies_from", "tell_streaks", "tell_silent_days")
# The fields of Metric that an entry gives as it is.
_FIELDS: Final = {
    "label": "label", "unit": "unit", "better": "better", "sentence": "did", "movement": "movement",
    "streak": "streak", "least_effect": "least",
}  # fmt: skip
