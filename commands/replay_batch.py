"""What `pulse replay` reads of the batch log and the database, and puts out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.comparison import Difference, causes, differences
from analytics.health.explanation import Explanation
from analytics.health.validation import DayRules
from analytics.health.words import plural
from checkpoint.timestamp_text import parse_timestamp
from commands.replay_tables import print_replay
from commands.terminal import console, print_json
from contracts import ConfigurationError
from contracts.health import SOURCE_COLLECTION
from monitoring.log_files import LoggedBatch, newest_batches
from monitoring.progress_bar import progress
from pipelines.health.replay import PastBatch, Tally, replaced_since, replay, users_of
from pipelines.health.stores import connect_to
from settings import Settings
from sources.mongo_client import ServerClock

_NAMED = 5
_BATCH = re.compile(r"(?:.*:)?(batch_\d+)")
_SECOND, _MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Different:
    """A result of `user` that would differ, its figures that do, and why, as sentences."""

    user: ObjectId
    metric: str
    time_range: str
    found: Sequence[Difference]
    causes: Sequence[str]

    @classmethod
    def of(cls, user: ObjectId, one: Explanation) -> Different:
        """What differs of an explained result."""
        return cls(user, one.metric, one.time_range, differences(one.stored, one.computed), causes(one))


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of `batch`: its counts, and the results that differ up to a number of figures.

    `gone` says how many results that the batch wrote stand no more, None where no log tells how many it
    wrote; `later` counts results by the batch that stands in such places, `all_later` whether all were seen.
    """

    batch: PastBatch
    tally: Tally
    shown: Sequence[Different] = ()
    gone: int | None = None
    later: Mapping[str, int] = field(default_factory=Counter)
    all_later: bool = True


def replay_batch(settings: Settings, text: str, limit: int, as_json: bool) -> None:
    """Replay the batch that `text` names, and show at most `limit` figures that differ, or counts alone.

    Raises ConfigurationError, which names the newest batches, when neither log nor results know it.
    """
    client = connect_to(settings)
    database = client[settings.mongo_db_name]
    source, target = database[SOURCE_COLLECTION], database[settings.analytics_collection]
    try:
        batch, users = _found(_candidates(text, newest_batches(settings.log_directory)), target)
        if batch is None:
            raise ConfigurationError(_unknown(text, settings))
    except OSError as error:
        raise ConfigurationError(f"The batch log cannot be read: {error}. Look at LOG_DIRECTORY.") from None
    rules = DayRules.at(ServerClock(client).now(), settings.analytics_timezone, settings.sources_of_phones)
    tally = Tally()
    with progress("Computing", lambda: tally.users):
        shown = _first(replay(source, target, batch, users, rules, tally), limit)
    gone = None if batch.written is None else max(0, batch.written - tally.results)
    later, all_later = replaced_since(target, batch) if gone else (Counter[str](), True)
    done = Replay(batch, tally, shown, gone, later, all_later)
    if as_json:
        print_json(facts(done))
    else:
        print_replay(done, limit, console())


def _candidates(text: str, logged: Iterable[LoggedBatch]) -> list[PastBatch]:
    """The batches that `text` may mean, the likeliest first.

    Each process counts from batch_1: of a name alone the newest is meant, of a sparkJobId the one of whose
    time there are results.
    """
    if named := _BATCH.fullmatch(text):
        alike = (one for one in logged if one.batch_id == named[1])
        known = islice(alike, 1) if text == named[1] else alike
        return [PastBatch(one.batch_id, one.start, one.end, text, one.written) for one in known]
    try:
        moment = parse_timestamp(text)
    except ValueError:
        return []
    # Commands and pages show whole seconds.
    last = moment if moment.microsecond else moment + _SECOND - _MILLISECOND
    return [PastBatch(text, moment, last)]


def _found(
    candidates: Sequence[PastBatch], target: Collection[dict[str, Any]]
) -> tuple[PastBatch | None, list[ObjectId]]:
    """The first of `candidates` with results, and their users; a single one of the log also without."""
    for one in candidates:
        if users := users_of(target, one):
            return one, users
    if len(candidates) == 1 and candidates[0].written is not None:
        return candidates[0], []
    return None, []


def _unknown(text: str, settings: Settings) -> str:
    folder = settings.log_directory
    newest = list(islice(newest_batches(folder), _NAMED))
    if not newest:
        return (
            f"{text!r} is no batch that is known here: the batch log in {folder} (LOG_DIRECTORY) is empty. A "
            "result's calculatedAt, such as 2026-01-31T12:00:00Z, names its batch too."
        )
    known = "; ".join(
        f"{one.batch_id} ({one.end:%Y-%m-%d %H:%M:%S} UTC, {plural(one.written, 'result')})" for one in newest
    )
    return f"{text!r} is no batch of the log in {folder} and no time of a result. The newest are {known}."


def _first(found: Iterable[tuple[ObjectId, Explanation]], limit: int) -> list[Different]:
    """The first results of `found`, which is read to its end, that have `limit` figures together."""
    shown, room = [], limit
    for user, explanation in found:
        if room > 0:
            one = Different.of(user, explanation)
            shown.append(one if len(one.found) <= room else _cut(one, room))
            room -= len(one.found)
    return shown


def _cut(one: Different, room: int) -> Different:
    return Different(one.user, one.metric, one.time_range, one.found[:room], one.causes)


def facts(done: Replay) -> dict[str, Any]:
    """Everything as one JSON object."""
    tally, batch = done.tally, done.batch
    return {
        "batch": batch.name,
        "from": batch.first,
        "to": batch.last,
        "written": batch.written,
        "jobs": dict(tally.jobs),
        "users": tally.users,
        "results": tally.results,
        "equal": tally.equal,
        "different": tally.different,
        "missing": tally.missing,
        "figures": tally.figures,
        "replaced": done.gone,
        "replacedBy": dict(done.later),
        "allReplacedSeen": done.all_later,
        "differences": [
            {
                "user": one.user,
                "metricType": one.metric,
                "timeRange": one.time_range,
                "causes": list(one.causes),
                "figures": [asdict(each) for each in one.found],
            }
            for one in done.shown
        ],
    }
