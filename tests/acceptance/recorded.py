"""Runs a script of the project as the command line does, and writes down every command its drivers send.

    python recorded.py main.py --once

`RECORD_TO` names the file: one JSON object a line with `command`, `database`, `collection`, an aggregation's
`stages`, and whether an update may insert (`upsert`).
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from pymongo import monitoring

ROOT = Path(__file__).parents[2]


class Recorder(monitoring.CommandListener):
    """Appends each command as it is started; authentication is hidden by the driver and shows as its name."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """One line."""
        command: Any = event.command
        name = event.command_name
        collection = command.get("collection") if name == "getMore" else command.get(name)
        entry = {
            "command": name,
            "database": event.database_name,
            "collection": collection if isinstance(collection, str) else None,
            "stages": [stage for part in command.get("pipeline", []) for stage in part],
            "upsert": any(update.get("upsert") for update in (command, *command.get("updates", []))),
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing: what was sent counts."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing: what was sent counts."""


if __name__ == "__main__":
    monitoring.register(Recorder(Path(os.environ["RECORD_TO"])))
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(ROOT))
    runpy.run_path(str(ROOT / sys.argv[0]), run_name="__main__")
