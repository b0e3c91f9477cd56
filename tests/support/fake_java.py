"""A program in the place of Java that says something and ends."""

from __future__ import annotations

from pathlib import Path


def fake_java(home: Path, says: str, code: int = 0, then: str = "") -> Path:
    """Make a JAVA_HOME whose Java says `says` on standard error and ends with `code`.

    `then` are lines of shell before that, for calls other than `-version`.
    """
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    asked = f'case "$*" in *-version*) ;; *)\n{then}\n;; esac\n' if then else ""
    program.write_text(f"#!/bin/sh\n{asked}cat >&2 <<'END'\n{says}\nEND\nexit {code}\n")
    program.chmod(0o755)
    return home
