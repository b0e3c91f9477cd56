"""Forgets a person of the health pipeline: results, letters, notes and logs; the source is the backend's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from bson import ObjectId

from checkpoint.store import ATTEMPTS, FULL, RECONCILIATION
from commands.forgetting.logs import mask
from commands.owner import owner_of, user_id
from contracts import AlreadyRunningError, ServiceError
from contracts.health import SOURCE_COLLECTION
from pipelines.engine.forgetting import Found, Source, sealed
from pipelines.health.pipeline import HEALTH
from pipelines.health.stores import connect_to, open_cursor
from settings import Settings
from sinks.health.told_states import told_states

REMINDERS = (
    "Backups, and what journald or a collector keeps of the console, are not ours: they have own rules.",
    "Files that people made (letter, export, inspect --json) lie where they were written.",
    "A batch that ran meanwhile may have written once more: the same command again counts nothing then.",
    "Open pages show what they have read for at most 30 seconds more.",
)


def open_forgetting(settings: Settings, user: str) -> HealthForgetting:
    """Find `user`, an id or an e-mail. Raises ConfigurationError when that is neither."""
    if "@" not in user:
        user_id(user)
    database = connect_to(settings)[settings.mongo_db_name]
    return HealthForgetting(settings, database, owner_of(user, database))


class HealthForgetting:
    """One person's id, and where it is looked for. pymongo's errors pass through."""

    reminders: Sequence[str] = REMINDERS

    def __init__(self, settings: Settings, database: Any, user: ObjectId) -> None:
        self._settings = settings
        self._source = database[SOURCE_COLLECTION]
        self._results = database[settings.analytics_collection]
        self._user = user
        self.mark: Mapping[str, str] = sealed(str(user))

    def source(self) -> Source:
        """The days that the backend has; their removal is the backend's affair."""
        count = self._source.count_documents({"userId": {"$in": self._spellings}})
        remedy = (
            "Delete them in the backend first: the next change or full pass computes the person anew. No "
            "command of ours changes them."
        )
        return Source("day", self._source.full_name, count, remedy)

    def look(self) -> Iterator[Found]:
        """Count results, letters, notes and logs."""
        return self._each(dry_run=True)

    def act(self) -> Iterator[Found]:
        """Remove and mask them."""
        return self._each(dry_run=False)

    def _each(self, dry_run: bool) -> Iterator[Found]:
        condition = {"userId": {"$in": self._spellings}}
        count = self._results.count_documents(condition)
        if not dry_run:
            count = self._results.delete_many(condition).deleted_count
        yield Found("results", self._results.full_name, count, "removed")
        yield self._told(dry_run)
        yield from self._letters(dry_run)
        yield self._notes(dry_run)
        logs = mask(self._settings.log_directory, "", [str(self._user)], dry_run)
        yield Found("log files that name the person", str(self._settings.log_directory), logs, "anonymised")

    def _told(self, dry_run: bool) -> Found:
        """What was told of the person, and what waits to be."""
        told = told_states(self._results)
        count = told.count(self._user) if dry_run else told.forget(self._user)
        return Found("what was told once", told.full_name, count, "removed")

    @cached_property
    def _spellings(self) -> list[ObjectId | str]:
        # A text is no id here, but it names the person all the same.
        return [self._user, str(self._user), str(self._user).upper()]

    def _letters(self, dry_run: bool) -> Iterator[Found]:
        """A letter of this pipeline is about one document, so all of it goes, whatever names the person."""
        queue = HEALTH.open_letters(self._settings)
        named = [path for path in queue.paths() if self._names(path)]
        if not dry_run:
            queue.remove(named)
        yield Found("dead letters", str(queue.directory), len(named), "removed")
        others = sum(self._names(path) for path in queue.paths(of_others=True))
        note = "They are of another database: repeat the command with its settings."
        yield Found("dead letters of other owners", str(queue.directory), others, "left", note)

    def _names(self, path: Path) -> bool:
        try:
            return str(self._user).encode() in path.read_bytes().lower()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ServiceError(
                f"The letter {path} cannot be read ({error.strerror}). Make it readable."
            ) from error

    def _notes(self, dry_run: bool) -> Found:
        """The notes are the running process's own: only who holds the checkpoint may change them."""
        store, place = open_cursor(self._settings), f"checkpoint ({self._settings.cursor_store})"
        named = [
            topic
            for topic in (ATTEMPTS, FULL, RECONCILIATION)
            if str(self._user) in str(store.read_notes(topic))
        ]
        if named and not dry_run:
            try:
                with store.lock():
                    for topic in named:
                        notes = _without(store.read_notes(topic), str(self._user))
                        store.write_notes(notes, topic)
            except AlreadyRunningError:
                note = "The stream runs and keeps them: stop it, and repeat the command."
                return Found("notes of the checkpoint", place, len(named), "left", note)
        return Found("notes of the checkpoint", place, len(named), "removed")


def _without(notes: Any, user: str) -> Any:
    """`notes` without `user`; where a full pass ended at this one, it goes on from just before."""
    if isinstance(notes, dict):
        return {name: _without(value, user) for name, value in notes.items() if name != user}
    if isinstance(notes, list):
        return [_without(value, user) for value in notes if value != user]
    if notes == user:
        before = max(0, int(user, 16) - 1)
        return f"{before:024x}"
    return notes
