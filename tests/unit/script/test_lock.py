"""The versions of all packages are written down once for uv and once for pip, and say the same."""

from __future__ import annotations

import re
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

from tests.support.documents import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
LOCKED = {(one["name"], one["version"]) for one in LOCK if "registry" in one["source"]}


def _pins(set_of_packages: str) -> set[tuple[str, str]]:
    text = (ROOT / f"requirements{set_of_packages}.txt").read_text()
    return set(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))


def test_the_lock_is_that_of_the_project() -> None:
    """Whoever changes pyproject.toml runs script/lock."""
    (own,) = (one for one in LOCK if one["name"] == PROJECT["name"])
    extras = PROJECT["optional-dependencies"].values()
    asked = [Requirement(one) for some in (PROJECT["dependencies"], *extras) for one in some]
    noted = [Requirement(one["name"] + one["specifier"]) for one in own["metadata"]["requires-dist"]]
    asked_for, locked = ({(one.name, one.specifier) for one in some} for some in (asked, noted))
    assert locked == asked_for


def test_pip_installs_what_uv_does() -> None:
    """Each set holds the one before it, and the last one all of the lock."""
    service, dashboard, dev = map(_pins, ("", "-dashboard", "-dev"))
    assert service < dashboard < dev == LOCKED
    assert {"pyspark", "confluent-kafka", "psycopg"} <= {name for name, _ in service}


def test_the_lock_has_a_hash_for_each_file_and_names_public_hosts() -> None:
    """A mirror of whoever wrote it is nobody else's."""
    files = [file for one in LOCK for file in [*one.get("wheels", ()), *filter(None, [one.get("sdist")])]]
    assert len(files) > 1_000
    assert [file for file in files if not str(file.get("hash")).startswith("sha256:")] == []
    assert {urlsplit(file["url"]).hostname for file in files} == {"files.pythonhosted.org"}
    sources = {one["source"]["registry"] for one in LOCK if "registry" in one["source"]}
    assert sources == {"https://pypi.org/simple"}


@pytest.mark.parametrize("name", ["", "-dashboard", "-dev"])
def test_pips_lists_say_of_what_they_are_made(name: str) -> None:
    """So that nobody edits them."""
    assert "script/lock" in (ROOT / f"requirements{name}.txt").read_text().splitlines()[0]
