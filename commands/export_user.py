"""What `pulse export` reads of the database, and how it puts it out, line by line."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from analytics.health.documents import is_result
from analytics.health.fhir import day_observation, result_observation
from analytics.health.formulas import day_name
from analytics.health.history_table import history_table
from analytics.health.omh import data_point
from analytics.health.plain import baseline
from analytics.health.robust import robust_baseline
from analytics.health.validation import DayRules
from commands.owner import owner_of, user_id
from contracts import ConfigurationError
from contracts.health import SOURCE_COLLECTION
from contracts.health_metrics import METRICS
from contracts.texts import inert_cell
from durable import remove, replace
from monitoring.logs import get_logger
from pipelines.health.stores import connect_to
from settings import Settings
from sources.health.history import read_history
from sources.mongo_client import ServerClock, for_reading
from told import told

logger = get_logger(__name__)

_EPOCH = date(1970, 1, 1).toordinal()
_EVER = range(-(10**6), 10**7)
COLUMNS = (
    *(
        "record",
        "user",
        "metricType",
        "timeRange",
        "start",
        "end",
        "value",
        "unit",
        "trend",
        "trendPercentage",
    ),
    *("streakDays", "percentile", "anomalyDetected", "zScore", "anomalyRobust", "modifiedZScore"),
)


@dataclass(frozen=True)
class Person:
    """One person's values that count, by metric and day (since 1970-01-01), and the stored results.

    `days` are those that are asked for, in the calendar of `timezone`.
    """

    user: str
    timezone: str
    days: range
    series: Mapping[str, Mapping[int, float]]
    results: Sequence[Mapping[str, Any]]

    def values(self) -> Iterator[tuple[str, int, float]]:
        """Metric, day and value, in the order of METRICS and days."""
        for metric, series in self.series.items():
            for day, value in series.items():
                if day in self.days:
                    yield metric, day, value

    def spans(self) -> Iterator[tuple[Mapping[str, Any], list[int]]]:
        """Each result with a day that is asked for, and all its days with a value."""
        for result in self.results:
            history = result.get("historicalData") or ()
            days = [each["date"].toordinal() - _EPOCH for each in history]
            if any(day in self.days for day in days):
                yield result, days


def export_user(
    settings: Settings,
    user: str,
    form: str,
    span: tuple[str | None, str | None],
    target: tuple[Path | None, bool],
) -> None:
    """Write the days and results of `user` (id or e-mail) between the days of `span` as `form`.

    `target` is the file, standard output if None, and whether it may be replaced. Raises ConfigurationError
    when the user has nothing in the database, a day is none, or the file cannot be written.
    """
    if "@" not in user:
        user_id(user)
    days = _span(*span)
    output, force = target
    if output is None and force:
        raise ConfigurationError("--force belongs to --output: standard output replaces nothing.")
    if output is not None and output.exists() and not force:
        raise ConfigurationError(f"{output} is there already: --force replaces it.")
    person = read_person(settings, user, days)
    count = 0
    with _opened(output) as file:
        for line in FORMS[form](person):
            file.write(line)
            count += 1
    count -= form == "csv"
    if output is not None:
        logger.info(f"📤 Wrote {count:,} records as {form} to {output}")
    elif not count:
        logger.info(f"📤 Nothing lies between these days; {told('inspect --user', user)} shows what there is")


def read_person(settings: Settings, user: str, days: range = _EVER) -> Person:
    """Read one person's history and results by their indexes; all of it is in memory, as when it is computed.

    Raises ConfigurationError when there is neither.
    """
    client = connect_to(settings)
    database = client[settings.mongo_db_name]
    owner = owner_of(user, database)
    rules = DayRules.at(ServerClock(client).now(), settings.analytics_timezone, settings.sources_of_phones)
    table = history_table(read_history(database[SOURCE_COLLECTION], [owner]), [owner], rules)
    dates = table["day"].to_pylist()
    columns = {name: zip(dates, table[name].to_pylist(), strict=True) for name in METRICS}
    series = {
        name: {day: value for day, value in column if value is not None} for name, column in columns.items()
    }
    found = for_reading(database[settings.analytics_collection]).find({"userId": owner})
    results = sorted(filter(is_result, found), key=lambda one: (one["metricType"], one["timeRange"]))
    if not dates and not results:
        raise ConfigurationError(f"User {owner} has neither days that count nor results in this database.")
    return Person(str(owner), settings.analytics_timezone, days, series, results)


def _span(since: str | None, until: str | None) -> range:
    first = _EVER.start if since is None else _day("--since", since)
    last = _EVER.stop if until is None else _day("--until", until)
    if last < first:
        raise ConfigurationError(f"--until {until} is before --since {since}.")
    return range(first, last + 1)


def _day(option: str, text: str) -> int:
    try:
        return date.fromisoformat(text.strip()).toordinal() - _EPOCH
    except ValueError:
        raise ConfigurationError(f"{option} takes a day such as 2026-01-31, not {text!r}.") from None


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there whole at the end of the block, for its owner alone."""
    if output is None:
        yield sys.stdout
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        remove(temporary)
        with open(temporary, "x", encoding="utf-8", newline="", opener=_private) as file:
            yield file
        replace(temporary, output)
    except OSError as error:
        raise ConfigurationError(
            f"The file cannot be written: {error}. Let this user write --output."
        ) from None
    finally:
        remove(temporary)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _fhir(person: Person) -> Iterator[str]:
    for metric, day, value in person.values():
        yield _line(day_observation(person.user, metric, day, value))
    for result, _ in person.spans():
        if (found := result_observation(person.user, result)) is not None:
            yield _line(found)


def _omh(person: Person) -> Iterator[str]:
    for metric, day, value in person.values():
        yield _line(data_point(person.user, metric, day, value, person.timezone))


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(person: Person) -> Iterator[str]:
    yield _row(COLUMNS)
    for metric, day, value in person.values():
        series = person.series[metric]
        usual, robust = baseline(series, day), robust_baseline(series, day)
        judged = (usual.severity is not None, usual.deviation, robust.is_anomaly, robust.score)
        name = day_name(day)
        row = ("day", person.user, metric, "", name, name, value, METRICS[metric].unit, "", "", "", "")
        yield _row((*row, *judged))
    for result, days in person.spans():
        yield _row(_result_row(person, result, days))


def _result_row(person: Person, result: Mapping[str, Any], days: Sequence[int]) -> tuple[Any, ...]:
    metric, found = result["metricType"], result["analytics"]
    series = person.series.get(metric, {})
    robust = [robust_baseline(series, day).is_anomaly for day in days if day in series]
    judged = [each for each in robust if each is not None]
    figures = [found.get(name) for name in COLUMNS[8:13]]
    head = ("result", person.user, metric, result["timeRange"], day_name(min(days)), day_name(max(days)))
    unusual = any(judged) if judged else None
    return (*head, found["rollingAverage"], METRICS[metric].unit, *figures, "", unusual, "")


def _row(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_cell(each) for each in cells])
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    return inert_cell(str(value))


FORMS: Mapping[str, Callable[[Person], Iterator[str]]] = {"csv": _csv, "fhir": _fhir, "omh": _omh}
