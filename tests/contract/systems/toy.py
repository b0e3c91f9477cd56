"""The toy: JSON lines to SQLite."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession

from pipelines.catalog import PIPELINES
from pipelines.engine.stop_flag import StopFlag
from settings import Settings, load
from sinks.dead_letters import Letter, RetryOutcome
from tests.contract.systems.system import Given, System, folders
from tests.support.job import ROOT, Job
from tests.support.taken_away import give_back, take_away
from tests.toy import TOY, ToySettings, again, assemble


class _ToyJob(Job):
    def command(self, _script: str) -> list[str]:
        return [sys.executable, "-m", "tests.toy"]


class Toy(System):
    """A record is a number; a bad one is text."""

    name = TOY.name
    killed_first = ("insert",)
    killed_later = ("dead_letters", "report")
    sink_setting = "TOY_DATABASE"
    knows_names = True
    log_files = "toy_batch_logs_*.jsonl"
    metrics_file = "toy_metrics.prom"

    @classmethod
    @contextmanager
    def opened(cls, _given: Given, folder: Path, spark: SparkSession) -> Iterator[System]:
        made = cls(folder, spark)
        with patch.dict("os.environ", made.environment), patch.dict(PIPELINES, {TOY.name: TOY}):
            yield made

    @property
    def environment(self) -> dict[str, str]:
        """Its own settings."""
        return {
            "TOY_FOLDER": str(self.folder / "lines"),
            "TOY_DATABASE": str(self.folder / "sink/numbers.db"),
        }

    def settings(self, fault: str = "") -> Settings:
        given = {**folders(self.folder), "health_port": 0, "retry_base_seconds": 0.1, "fault": fault}
        return load(env_file=None, **{**given, **self.options})

    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        rows = [self.raw(number) for number in good]
        rows += [json.dumps({"number": f"no {number}"}) for number in bad]
        folder = ToySettings().toy_folder
        folder.mkdir(exist_ok=True)
        file = folder / f"{len(list(folder.iterdir())):06d}.jsonl"
        hidden = file.with_name(f".{file.name}")
        hidden.write_text("\n".join(rows) + "\n")
        hidden.rename(file)
        return len(rows)

    def make_source_anew(self) -> None:
        for file in ToySettings().toy_folder.iterdir():
            file.unlink()

    def cut(self) -> None:
        take_away(ToySettings().toy_database.parent)

    def heal(self) -> None:
        give_back(ToySettings().toy_database.parent)

    def run(self, fault: str = "", at_once: int = 1_000) -> bool:  # noqa: ARG002 - each file is a batch
        return assemble(self.settings(fault), ToySettings(), self.spark).once(StopFlag())

    def written(self) -> list[int]:
        with closing(sqlite3.connect(ToySettings().toy_database)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY 1")]

    def seen(self) -> int:
        return len(self.written()) if ToySettings().toy_database.exists() else 0

    def job(self) -> Job:
        made = _ToyJob(self.folder, {**super().job().environment, **self.environment})
        made.environment["PYTHONPATH"] = str(ROOT)
        return made

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        return again(assemble(self.settings(), ToySettings(), self.spark)).retry(letters)

    def raw(self, number: int) -> str:
        return json.dumps({"number": number})

    def is_of(self, number: int, raw: str) -> bool:
        return bool(json.loads(raw)["number"] == f"no {number}")
