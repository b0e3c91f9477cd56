"""The catalogue of metrics: what a team's own file adds, changes and takes away, and each fault as a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ConfigurationError
from contracts.effects import LeastEffect
from contracts.health_catalogue import read_metrics
from contracts.health_metric_file import MOST_METRICS, parse_metrics, shipped
from contracts.health_metrics import METRICS, Metric, OfMetrics, StreakRule, Telling
from settings import load

Write = Callable[[str], Path]
_NEW = "[mood]\nlabel = Mood\nunit = points\nrange = 1 to 10\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a catalogue of the team's own."""

    def make(content: str) -> Path:
        path = tmp_path / "own.ini"
        path.write_bytes(content.encode())
        return path

    return make


def test_a_new_metric_comes_after_the_others(write: Write) -> None:
    """With everything that its section says, and nothing else of the catalogue changed."""
    entries = (
        "better = less\nsentence = felt {} points\nstreak = <= 3\nleast_effect = 2\n"
        "tell_anomalies_from = medium\ntell_streaks = 3, 10\ntell_silent_days = 7\n"
    )
    found = read_metrics(write(_NEW + entries))
    assert list(found) == [*shipped(), "mood"]
    assert found["mood"] == Metric(
        "Mood", "points", 1, 10, "less", "felt {} points", False, StreakRule("<=", 3), LeastEffect(2, False),
        Telling("medium", (3, 10), 7),
    )  # fmt: skip
    assert {name: found[name] for name in shipped()} == shipped()


def test_a_section_changes_only_what_it_names(write: Write) -> None:
    """A byte order mark, comments and Windows' line ends do no harm."""
    lines = ["\ufeff# ours", "[steps]", "streak = >= 5000", "[weight]", "use = no", ""]
    found = read_metrics(write("\r\n".join(lines)))
    assert found["steps"].streak == StreakRule(">=", 5000)
    assert found["steps"].label == "Steps"
    assert list(found) == [name for name in shipped() if name != "weight"]


def test_none_takes_a_rule_away(write: Write) -> None:
    """A streak, and what is told."""
    found = read_metrics(write("[steps]\nstreak = none\ntell_streaks = none\ntell_anomalies_from = none\n"))
    assert (found["steps"].streak, found["steps"].tell) == (None, Telling(silent_days=14))


_MANY = "".join(_NEW.replace("mood", f"mood{n}").replace("Mood", f"Mood {n}") for n in range(MOST_METRICS))
_FAULTS = {
    "unknown entry": ("[steps]\nunits = km\n", "[steps] units: is no entry; is unit meant?"),
    "other unit": (
        "[weight]\nunit = lb\n",
        "[weight] unit: 'lb' is not the backend's; the backend stores it",
    ),
    "long unit": (_NEW.replace("points", "p" * 21), "[mood] unit: 'ppppppppppppppppppppp' is no text of 1"),
    "no unit": (_NEW.replace("unit = points\n", ""), "[mood] unit: is missing; a new metric needs"),
    "empty label": (_NEW.replace("Mood", ""), "[mood] label: '' is no text of 1 to 40 characters"),
    "label twice": (_NEW.replace("Mood", "steps"), "[mood] label: 'steps' is that of [steps] too"),
    "upside-down": (_NEW.replace("1 to 10", "10 to 1"), "[mood] range: '10 to 1' is upside-down"),
    "no range": (_NEW.replace("1 to 10", "10"), "[mood] range: '10' is no range such as `30 to 220`"),
    "below zero": (
        _NEW.replace("1 to", "-1 to"),
        "[mood] range: '-1 to 10' has a number that is none from 0",
    ),
    "not finite": (_NEW.replace("1 to", "nan to"), "[mood] range: 'nan to 10' has a number that is none"),
    "direction": (_NEW + "better = up\n", "[mood] better: 'up' is none of more, less, neither"),
    "flag": (_NEW + "movement = true\n", "[mood] movement: 'true' is none of yes, no"),
    "sentence": (_NEW + "sentence = felt {x}\n", "[mood] sentence: 'felt {x}' needs {} once"),
    "streak": (_NEW + "streak = over 5\n", "[mood] streak: 'over 5' is no rule such as `> 1000`"),
    "streak outside": (_NEW + "streak = > 11\n", "[mood] streak: '> 11' is outside the range, 1 to 10"),
    "effect": (_NEW + "least_effect = much\n", "[mood] least_effect: 'much' is neither an amount"),
    "severity": (_NEW + "tell_anomalies_from = bad\n", "[mood] tell_anomalies_from: 'bad' is none of low"),
    "milestones": (_NEW + "streak = > 5\ntell_streaks = 7, 7\n", "[mood] tell_streaks: '7, 7' must rise"),
    "no streak": (_NEW + "tell_streaks = 7\n", "[mood] tell_streaks: there is no streak to tell"),
    "silence": (_NEW + "tell_silent_days = 0\n", "[mood] tell_silent_days: '0' is no number of days"),
    "wearable": (_NEW.replace("mood", "heartRate"), "[heartRate] is what wearables measure"),
    "by case": (_NEW.replace("mood", "Steps"), "[Steps] differs from [steps] by large and small letters"),
    "name": (_NEW.replace("mood", "my.mood"), "[my.mood] cannot be a name: up to 40 letters"),
    "taken name": (_NEW.replace("mood", "day"), "[day] cannot be a name"),
    "nothing to take away": ("[mood]\nuse = no\n", "[mood] use: is no metric of the service"),
    "section twice": (_NEW + _NEW, "[mood] comes a second time in line 5; join the two"),
    "entry twice": (_NEW + "unit = x\n", "[mood] unit: comes a second time in line 5; keep one"),
    "no section": ("label = Mood\n", "line 1 stands before the first section"),
    "no entry": (_NEW + "hello\n", "line 5 is none of the form `entry = value`"),
    "too many": (_MANY, f"at most {MOST_METRICS}, because the backend's client loads 100"),
    "none left": ("".join(f"[{name}]\nuse = no\n" for name in shipped()), "takes all metrics away"),
}


@pytest.mark.parametrize(("content", "told"), _FAULTS.values(), ids=_FAULTS)
def test_a_fault_is_one_line_that_names_file_metric_and_entry(write: Write, content: str, told: str) -> None:
    """And says what is right there; the same at the start of every command, under the setting's name."""
    path = write(content)
    with pytest.raises(ConfigurationError) as fault:
        read_metrics(path)
    assert str(fault.value).startswith(f"{path}: ")
    assert told in str(fault.value)
    assert "\n" not in str(fault.value)
    with pytest.raises(ConfigurationError) as wrong:
        load(env_file=None, metric_catalogue=path)
    assert f"METRIC_CATALOGUE: {path}" in str(wrong.value)


def test_all_faults_are_told_at_once(write: Write) -> None:
    """A line each, so that a person mends them in one go."""
    content = _NEW.replace("1 to 10", "much") + "better = up\n[steps]\nunits = km\n"
    with pytest.raises(ConfigurationError) as fault:
        read_metrics(write(content))
    names = ["[steps] units", "[mood] range", "[mood] better"]
    lines = str(fault.value).splitlines()
    assert all(name in line for name, line in zip(names, lines, strict=True))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda _path: None, "does not exist; correct METRIC_CATALOGUE", id="missing"),
        pytest.param(lambda path: path.mkdir(), "is no file", id="folder"),
        pytest.param(
            lambda path: path.write_bytes(b"[mood]\nlabel = M\xfc\n"), "line 2 is not UTF-8", id="bytes"
        ),
        pytest.param(
            lambda path: path.write_bytes(b"#" * 100_001), "has more than 100,000 bytes", id="large"
        ),
    ],
)
def test_a_file_that_is_no_text_is_told(tmp_path: Path, make: Callable[[Path], object], told: str) -> None:
    """By its name, and what to do."""
    path = tmp_path / "own.ini"
    make(path)
    with pytest.raises(ConfigurationError, match=told) as fault:
        read_metrics(path)
    assert str(path) in str(fault.value)


@given(st.text(st.sampled_from("[]=#%{}stepsunitrange \n\x00\t0123>é"), max_size=60))
def test_any_text_is_a_catalogue_or_one_clear_error(content: str) -> None:
    """Nothing else is raised, whatever somebody saves."""
    told = ""
    try:
        parse_metrics("own.ini", content)
    except ConfigurationError as error:
        told = str(error)
    assert all(line.startswith("own.ini: ") for line in told.splitlines())


def test_what_is_made_of_the_catalogue_is_made_anew_for_another_one(write: Write) -> None:
    """And only then: an equal catalogue, such as each page of the dashboard loads, is the same one."""
    names = OfMetrics(lambda: list(METRICS))
    load(env_file=None)
    first = names()
    load(env_file=None)
    assert names() is first == list(shipped())
    load(env_file=None, metric_catalogue=write(_NEW))
    try:
        assert names() == [*shipped(), "mood"]
    finally:
        load(env_file=None)
    assert names() == first
