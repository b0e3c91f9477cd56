"""Which Kafka topics a query's checkpoint belongs to: offsets mean nothing in another topic of the same name.

`topics.json` lies in the query's own folder, so that it lives and goes with the offsets. A query that has to
begin anew gets a new folder, made beside the old one and moved into its place: killed between any two steps,
the next start finds the old state or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checkpoint.stream_folder import begin_anew, next_folder
from durable import read_file, replace, write_atomically

_FILE = "topics.json"

# Topic and partition.
Place = tuple[str, int]


@dataclass(frozen=True)
class Known:
    """The `ids` of topics, and the offsets at which a query without its own starts; None: by the settings."""

    ids: Mapping[str, str]
    start: Mapping[Place, int] | None = None


class KnownTopics:
    """The file of known topics in a query's `folder`. OSError passes through where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> Known | None:
        """Returns what was saved; None without a file, and when it cannot be read."""
        made = next_folder(self._folder)
        if made.exists() and not self._folder.exists():
            # Killed in the middle of `begin_anew`.
            replace(made, self._folder)
        try:
            found = json.loads(read_file(self._folder / _FILE))
            start = found["start"]
            return Known(
                {str(topic): str(topic_id) for topic, topic_id in found["ids"].items()},
                None if start is None else {(topic, int(part)): int(offset) for topic, part, offset in start},
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def save(self, known: Known) -> None:
        """Write `known` beside the offsets."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / _FILE, _content(known))

    def begin_anew(self, known: Known) -> None:
        """Begin without offsets: make a folder with only `known`, and keep the present one beside it."""
        begin_anew(self._folder, {_FILE: _content(known)})


def _content(known: Known) -> bytes:
    start = None if known.start is None else [[*place, offset] for place, offset in known.start.items()]
    content = {"version": 1, "ids": dict(known.ids), "start": start}
    return (json.dumps(content, indent=1) + "\n").encode()


# Files of a folder whose query reads every topic from its beginning, whatever the settings say.
FROM_THE_BEGINNING = {_FILE: _content(Known({}, {}))}
