"""`script/windows-check`: the checks one after the other; what failed is told, and the others go on."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.windows.checks import CHECKS
from tests.windows.machine import Machine
from tests.windows.place import Place, opened


def main(arguments: list[str]) -> int:
    """0 when all passed, 1 when one failed, 2 for a name that is none."""
    root, prefix, *rest = arguments
    end = rest.index("--")
    machine, names = Machine(Path(root), prefix, rest[:end]), rest[end + 1 :] or list(CHECKS)
    if names == ["list"]:
        _say("\n".join(f"{name:10}{_told(check)}" for name, (_, check) in CHECKS.items()))
        return 0
    if unknown := [name for name in names if name not in CHECKS]:
        _say(f"there is no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        return 2
    failed = [name for name in names if not _passes(machine, name)]
    return 1 if failed else 0


def _passes(machine: Machine, name: str) -> bool:
    folder, check = CHECKS[name]
    began = time.monotonic()
    try:
        with opened(machine, folder, os.environ["MONGO_TEST_URI"]) as place:
            place.forget()
            check(place)
    except Exception:  # noqa: BLE001 - the other checks go on
        traceback.print_exc()
        _say(f"❌ {name}: {_told(check)}")
        return False
    _say(f"✅ {name}, {time.monotonic() - began:.0f} s: {_told(check)}")
    return True


def _told(check: Callable[[Place], None]) -> str:
    return (check.__doc__ or "").splitlines()[0]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
