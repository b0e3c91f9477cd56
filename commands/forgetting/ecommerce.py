"""Forgets a user of the e-commerce pipeline: events stay, under a name that nobody has."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from analytics.texts import trimmed
from commands.forgetting.letters import clean_letters
from commands.forgetting.logs import mask, spellings
from contracts import ConfigurationError, ServiceError
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine.forgetting import Found, Source, pseudonym
from settings import Settings
from sinks.ecommerce.forgetting import count_events, rename_user
from sinks.ecommerce.schema import EVENTS


def open_forgetting(settings: Settings, user: str) -> UserForgetting:
    """Find the user with the id `user`. Raises ConfigurationError when that is no id."""
    user_id = trimmed(user)
    if not user_id or "\0" in user_id:
        raise ConfigurationError(f"{user!r} is no user's id.")
    return UserForgetting(settings, user_id)


class UserForgetting:
    """One user's id, and where it is looked for."""

    reminders: Sequence[str] = (
        f"PostgreSQL keeps what was replaced until it tidies up: VACUUM {EVENTS} does that at once.",
        "Letters, logs and CSV files were this machine's: do it where others lie.",
        "Backups, downloads and what a collector keeps of the console are not ours.",
    )

    def __init__(self, settings: Settings, user: str) -> None:
        self._settings, self._user = settings, user
        self._dsn = settings.postgres_dsn.get_secret_value()
        self._pseudonym = pseudonym()
        self.mark: Mapping[str, str] = {"pseudonym": self._pseudonym}

    def source(self) -> Source:
        """The lines of CSV files that name the user. Raises ServiceError when one cannot be read."""
        folder = self._settings.ecommerce_input_path
        try:
            count = sum(self._lines(path) for path in folder.rglob("*") if path.suffix.lower() == ".csv")
        except OSError as error:
            raise ServiceError(
                f"{error.filename} cannot be read ({error.strerror}). Make it readable."
            ) from error
        remedy = (
            f"Take them out of the files in {folder} and its folder .read first: one that is read again "
            "brings the user back."
        )
        return Source("line", str(folder), count, remedy)

    def look(self) -> Iterator[Found]:
        """Count events, records in letters, and logs."""
        yield self._events(_asked(lambda: count_events(self._dsn, self._user)))
        yield from self._files(dry_run=True)

    def act(self) -> Iterator[Found]:
        """Rename the user, and take the records out of letters."""
        yield from self._files(dry_run=False)
        known = _asked(lambda: count_events(self._dsn, self._user))
        count = _asked(lambda: rename_user(self._dsn, self._user, self._pseudonym)) if known else 0
        yield self._events(count)

    def _events(self, count: int) -> Found:
        return Found("events", EVENTS, count, "anonymised")

    def _files(self, dry_run: bool) -> Iterator[Found]:
        yield from clean_letters(ECOMMERCE, self._settings, self._nameless, self._tells, dry_run)
        folder = self._settings.log_directory
        logs = mask(folder, ECOMMERCE.name, [self._user], dry_run)
        yield Found("log files that name the user", str(folder), logs, "anonymised")

    def _nameless(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """A refused line has no amount that anybody counts: one of the user goes whole."""
        raw = item.get("raw")
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        return None if _names(text, self._user) else item

    def _tells(self, content: bytes) -> bool:
        text = content.decode("utf-8", "replace")
        return any(form in text for form in spellings(self._user) if len(form) > 4)

    def _lines(self, path: Path) -> int:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return sum(_names(line, self._user) for line in file)


def _names(line: str, user: str) -> bool:
    """Whether a field of a line is the user's id; a line that is cut may lack its last quote."""
    # Of most lines this is all.
    if user not in line.replace('""', '"'):
        return False
    try:
        return any(trimmed(field) == user for row in csv.reader([line]) for field in row)
    except csv.Error:
        return True


def _asked(work: Any) -> int:
    try:
        return int(work())
    except psycopg.Error as error:
        text = str(error).strip().partition("\n")[0]
        raise ServiceError(f"PostgreSQL at POSTGRES_DSN does not answer as needed ({text}).") from error
