"""What `deploy/` says, as its tests read it, and the programs that validate it without a container engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from commands import pulse
from settings import Settings
from tests.support.documents import ROOT
from tests.support.missing import missing

DEPLOY = ROOT / "deploy"
PROJECT_VERSION = pulse.VERSION
SETTINGS = {name.upper() for name in Settings.model_fields}
# What other programs read: Python, pyspark.
_FOREIGN = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYSPARK_PYTHON"}
_NOT_OURS = {".venv", ".git"}


def unknown_variables(names: Mapping[str, Any] | set[str]) -> set[str]:
    """Those that neither a setting nor Python or pyspark has."""
    return set(names) - SETTINGS - _FOREIGN


@cache
def validators() -> Path:
    """The folder of script/validators; without it the test fails in CI, and is skipped elsewhere."""
    run = subprocess.run([str(ROOT / "script" / "validators")], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        missing(run.stderr)
    return Path(run.stdout.strip())


def validator(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run docker-compose or hadolint with no more than `environment`."""
    return subprocess.run(
        [str(validators() / "bin" / program), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def with_schemas(program: str, content: Any) -> str:
    """What `program` (Python, which may import the schemas) prints when it is given `content` as JSON."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(content),
        env={**os.environ, "PYTHONPATH": str(validators())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, those of the stages it is made from first."""
    found: dict[str, list[tuple[str, str]]] = {}
    stage = ""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, stage = rest.split(" AS ")
            found[stage] = [("FROM", base), *found.get(base, [])]
        elif stage and word and word != "#":
            found[stage].append((word, rest.strip()))
    return found


def variables(stage: str) -> dict[str, str]:
    """What ENV sets in a stage."""
    words = [word for name, rest in stages()[stage] if name == "ENV" for word in rest.split()]
    return dict(word.split("=", 1) for word in words)


def last(stage: str, instruction: str) -> str:
    """What the last such instruction of a stage says."""
    return [rest for name, rest in stages()[stage] if name == instruction][-1]


def image_files() -> Iterator[PurePosixPath]:
    """The files of this checkout that `COPY . .` takes, which .dockerignore decides."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in names:
            file = PurePosixPath((Path(folder) / name).relative_to(ROOT).as_posix())
            if not _ignored(file, rules):
                yield file


def copy_files(files: Iterable[PurePosixPath], target: Path) -> None:
    """Copy files of this checkout into a folder, each to its place."""
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target / file)


def _ignored(file: PurePosixPath, rules: list[str]) -> bool:
    """The last rule that fits decides; one that fits a folder fits what is in it."""
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if any(_fits(path, pattern) for path in (file, *file.parents)):
            ignored = not rule.startswith("!")
    return ignored


def _fits(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatchcase(path.name, pattern.removeprefix("**/"))
    wanted = pattern.split("/")
    return len(path.parts) == len(wanted) and all(map(fnmatchcase, path.parts, wanted))
