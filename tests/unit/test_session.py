"""Java is judged before Spark starts: one clear error, never a stack trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import ConfigurationError
from session import require_java


def _java(folder: Path, text: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    return folder


def test_options_from_the_environment_do_not_hide_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_TOOL_OPTIONS makes Java print a line before its version."""
    text = 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16'
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "jdk", text)))
    assert "21.0.2" in require_java()


@pytest.mark.parametrize(
    "text", ['openjdk version "11.0.2" 2019-01-15', 'openjdk version "25.0.1" 2025-10-21', "garbage", ""]
)
def test_a_java_that_is_too_old_too_new_or_none_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The error names what was found and what to install."""
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "jdk", text)))
    with pytest.raises(ConfigurationError, match="openjdk-17"):
        require_java()


def test_no_java_at_all_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither JAVA_HOME nor PATH has one."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Java was not found"):
        require_java()
