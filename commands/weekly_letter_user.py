"""What `pulse letter` reads of the database, and where it writes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from analytics.health.validation import DayRules
from analytics.health.week import week_of
from commands.owner import owner_of, user_id
from commands.weekly_letter_page import write_week
from contracts import ConfigurationError, effects
from contracts.health import SOURCE_COLLECTION
from contracts.health_metrics import METRICS
from pipelines.health.stores import connect_to
from settings import Settings
from sources.health.history import read_history
from sources.mongo_client import ServerClock

_EPOCH = date(1970, 1, 1).toordinal()


def write_letter(settings: Settings, user: str, until: str | None, output: Path | None) -> Path:
    """Write the weekly letter of `user` (id or e-mail) and return its path.

    `until` is the week's last day, the server's yesterday if None. The user's documents are read by their
    index. Raises ConfigurationError for what is no user or day, and where the file cannot be written.
    """
    if "@" not in user:
        user_id(user)
    client = connect_to(settings)
    database = client[settings.mongo_db_name]
    owner = owner_of(user, database)
    rules = DayRules.at(ServerClock(client).now(), settings.analytics_timezone, settings.sources_of_phones)
    # Today is not over, so that its mean would say less than it is.
    last = rules.today.toordinal() - _EPOCH - 1 if until is None else _day(until, rules)
    week = week_of(str(owner), read_history(database[SOURCE_COLLECTION], [owner]), rules, last)
    path = output or Path(f"weekly-letter-{owner}-{date.fromordinal(last + _EPOCH)}.html")
    try:
        return write_week(path, week, effects.parse(settings.least_effects, METRICS), rules.timezone)
    except OSError as error:
        raise ConfigurationError(
            f"The letter cannot be written: {error}. Let this user write --output."
        ) from None


def _day(text: str, rules: DayRules) -> int:
    try:
        day = date.fromisoformat(text.strip()).toordinal() - _EPOCH
    except ValueError:
        raise ConfigurationError(f"--until takes a day such as 2026-01-31, not {text!r}.") from None
    if day > rules.last_day:
        raise ConfigurationError(f"--until {text}: the day is later than tomorrow, which has no values yet.")
    return day
