"""The names under which settings were given: unknown ones, earlier ones, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from contracts.setting_names import EARLIER_NAMES, KAFKA_OPTION
from env_file import read_env_file
from settings import Settings

# Settings that went, and what does their work.
_GONE = {
    "SWEEP_INTERVAL_HOURS": "the reconciliation finds what was deleted (RECONCILE_INTERVAL_HOURS), and "
    "batch --full computes everybody",
}


def unknown_keys(env_file: str | Path = ".env") -> list[str]:
    """One line for each key of `env_file` that no setting has, with the nearest known name.

    Likewise for each earlier name, there or in the environment, with the new one, and for each that went.
    """
    written = read_env_file(env_file)
    in_file = written.values()
    given = [name for name in {**in_file, **os.environ} if in_file.get(name) or os.environ.get(name)]
    lines = [
        f"{name} is called {EARLIER_NAMES[name]} now; the old name works until the next release"
        for name in given
        if name in EARLIER_NAMES
    ]
    lines += [f"{name} has no effect any more: {_GONE[name]}" for name in given if name in _GONE]
    known = [*(name.upper() for name in Settings.model_fields), *EARLIER_NAMES, *_GONE]
    return [*lines, *written.unknown(known, KAFKA_OPTION)]


def remarks(env_file: str | Path = ".env") -> list[str]:
    """`unknown_keys`, and one line for each line of `env_file` that is read in another way than it looks."""
    return [*unknown_keys(env_file), *read_env_file(env_file).remarks(_is_setting, _is_secret)]


def _is_setting(key: str) -> bool:
    return EARLIER_NAMES.get(key, key).lower() in Settings.model_fields or key.startswith(KAFKA_OPTION)


def _is_secret(key: str) -> bool:
    field = Settings.model_fields.get(key.lower())
    return field is None or "SecretStr" in str(field.annotation)


def origins(env_file: str | Path = ".env") -> dict[str, str]:
    """Where each setting's value comes from: `environment`, `.env` or `default`, by the field's name.

    An empty variable counts as none, as it does for `load`.
    """
    given, in_file = _set_names(os.environ), _set_names(read_env_file(env_file).values())
    return {
        name: "environment" if name in given else ".env" if name in in_file else "default"
        for name in Settings.model_fields
    }


def _set_names(values: Mapping[str, str | None]) -> set[str]:
    names = (name.upper() for name, value in values.items() if value)
    return {EARLIER_NAMES.get(name, name).lower() for name in names}
