"""The names under which settings were given: unknown ones, earlier ones, and where each value comes from."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from settings import EARLIER_NAMES, KAFKA_OPTION, Settings

_NAME = re.compile("[A-Z][A-Z0-9_]*")


def unknown_keys(env_file: str | Path = ".env") -> list[str]:
    """One line for each key of `env_file` that no setting has, with the nearest known name.

    Likewise for each earlier name, there or in the environment, with the new one.
    """
    in_file = dotenv_values(env_file) if Path(env_file).is_file() else {}
    lines = [
        f"{name} is called {EARLIER_NAMES[name]} now; the old name works until the next release"
        for name in dict.fromkeys([*in_file, *os.environ])
        if name in EARLIER_NAMES and (in_file.get(name) or os.environ.get(name))
    ]
    known = [*(name.upper() for name in Settings.model_fields), *EARLIER_NAMES]
    for key, value in in_file.items():
        if key.upper() in known or key.upper().startswith(KAFKA_OPTION):
            continue
        near = difflib.get_close_matches(key.upper(), known, n=1)
        # What does not look like a setting may be the rest of a password that was broken over two lines.
        shown = key if near or (value is not None and _NAME.fullmatch(key)) else "A line"
        lines.append(
            f"{shown} in {env_file} is not a setting" + (f"; did you mean {near[0]}?" if near else "")
        )
    return lines


def origins(env_file: str | Path = ".env") -> dict[str, str]:
    """Where each setting's value comes from: `environment`, `.env` or `default`, by the field's name.

    An empty variable counts as none, as it does for `load`.
    """
    given = _set_names(os.environ)
    in_file = _set_names(dotenv_values(env_file))
    return {
        name: "environment" if name in given else ".env" if name in in_file else "default"
        for name in Settings.model_fields
    }


def _set_names(values: Mapping[str, str | None]) -> set[str]:
    names = (name.upper() for name, value in values.items() if value)
    return {EARLIER_NAMES.get(name, name).lower() for name in names}
