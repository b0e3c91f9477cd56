"""Takes a person out of the letters of a stream, of which one holds the records of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from contracts import ServiceError
from pipelines.engine.forgetting import Found
from pipelines.engine.pipeline import Pipeline
from settings import Settings
from sinks.letter_files import DamagedLetter, read_letter
from sinks.stream_letters import with_records

# A record as it lies in a letter; without the person, None where nothing of it may stay.
Change = Callable[[dict[str, Any]], dict[str, Any] | None]


def clean_letters(
    declared: Pipeline, settings: Settings, change: Change, tells: Callable[[bytes], bool], dry_run: bool
) -> Iterator[Found]:
    """Change the records of each letter; an empty one goes, and so does a damaged one that `tells`.

    Raises DeadLetterError.
    """
    queue, changed, damaged = declared.open_letters(settings), 0, []
    place = str(queue.directory)
    for path in queue.paths():
        letter = read_letter(path)
        if letter is None:
            continue
        if isinstance(letter, DamagedLetter):
            damaged += [path] if tells(_content(path)) else []
            continue
        record, count = with_records(letter.record, change)
        changed += count
        if count and not dry_run:
            if record["records"]:
                queue.replace_record(letter, record)
            else:
                queue.delete(letter)
    if not dry_run:
        queue.remove(damaged)
    yield Found(
        "records in dead letters",
        place,
        changed,
        "anonymised",
        "One that cannot do without the person goes whole.",
    )
    yield Found("damaged dead letters", place, len(damaged), "removed")
    others = sum(tells(_content(path)) for path in queue.paths(of_others=True))
    note = "They are of another database or folder: repeat the command with its settings."
    yield Found("dead letters of other owners", place, others, "left", note)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ServiceError(
            f"The letter {path} cannot be read ({error.strerror}). Make it readable."
        ) from error
