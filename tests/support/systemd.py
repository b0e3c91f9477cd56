"""A service of `deploy/systemd`, and its command run as systemd would run it, on a machine that has none."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.deployment import DEPLOY
from tests.support.documents import ROOT
from tests.support.missing import missing

FOLDER = DEPLOY / "systemd"
PLACE = "/opt/health-analytics"
BASE = FOLDER / "health-analytics.service"
# No user of this machine has it.
_NUMBER = 40_317
_KEPT = {".git", ".env", "logs", "dlq", "metrics", "spark-checkpoints", "data"}
# What a namespace of mounts can do of the sandbox: the unit's folders and /tmp are its own, homes are hidden,
# all else is read-only, no capability is left. Calls of the kernel are not filtered. $1 has what is mounted.
_SANDBOX = r"""
exec 2>&1
mount --make-rprivate /
for entry in "$1"/app/* "$1"/app/.[a-z]*; do
    [ ! -L "$entry" ] || { target=$(readlink "$entry"); rm "$entry"
        if [ -d "$target" ]; then mkdir "$entry"; else : >"$entry"; fi; mount --bind "$target" "$entry"; }
done
for name in state logs tmp; do chown "$2:$2" "$1/$name"; done
mkdir -p "$1/python" && mount --bind "$3" "$1/python"
for hidden in /root /home /opt; do mount -t tmpfs -o mode=755 tmpfs "$hidden"; done
case $3 in /root/* | /home/* | /opt/*) mkdir -p "$3" && mount --bind "$1/python" "$3" ;; esac
mkdir "/opt/health-analytics" && mount --rbind "$1/app" /opt/health-analytics
mount --bind "$1/passwd" /etc/passwd
for name in lib:state log:logs; do
    folder=/var/${name%:*}; mount -t tmpfs -o mode=755 tmpfs "$folder"; mkdir "$folder/health-analytics"
    mount --bind "$1/${name#*:}" "$folder/health-analytics"
done
mount --bind "$1/tmp" /tmp && mount --bind /tmp /var/tmp
mount -o remount,bind,ro /
cd "$4"; umask "$5"; shift 5
exec setpriv --reuid="$1" --regid="$1" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    "${@:2}"
"""


class Unit:
    """A service: a file and its drop-ins, which add to a setting or, by an empty one, begin it anew."""

    def __init__(self, *files: Path, instance: str = "") -> None:
        """`instance` is what stands behind the @."""
        self.settings: dict[str, list[str]] = {}
        for line in (line for file in files for line in file.read_text(encoding="utf-8").splitlines()):
            name, sign, value = line.partition("=")
            if sign and not line.startswith("#"):
                kept = self.settings.setdefault(name, [])
                kept[:] = [*kept, value.replace("%i", instance)] if value else []

    def last(self, name: str) -> str:
        """The value that counts of a setting that has one."""
        return self.settings[name][-1]

    def environment(self, files: Mapping[str, str]) -> dict[str, str]:
        """What the unit gives its command, `files` being the content of its environment files by name."""
        given = [word for line in self.settings["Environment"] for word in shlex.split(line)]
        for name in self.settings.get("EnvironmentFile", []):
            optional, path = name.startswith("-"), name.removeprefix("-")
            assert optional or Path(path).name in files
            given += files.get(Path(path).name, "").split()
        return dict(word.split("=", 1) for word in given)


def run_unit(
    unit: Unit, folder: Path, env_file: str, *more: str, files: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the unit's command with `more` words, as its user; what it writes is then below `folder`.

    `env_file` is the content of the installation's `.env`, `files` that of other environment files.
    """
    if os.geteuid() != 0:
        missing("a unit's user and folders need root")
    # Where the last run mounted the checkout there are empty folders.
    shutil.rmtree(folder / "app", ignore_errors=True)
    for name in ("app", "state", "logs", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    for entry in ROOT.iterdir():
        link = folder / "app" / entry.name
        if entry.name not in _KEPT and not entry.name.endswith("_cache"):
            link.symlink_to(entry.resolve())
    (folder / "app" / ".env").write_text(env_file)
    user = unit.last("User")
    line = f"{user}:x:{_NUMBER}:{_NUMBER}::{PLACE}:/usr/sbin/nologin\n"
    (folder / "passwd").write_text(Path("/etc/passwd").read_text() + line)
    given = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": PLACE, "USER": user}
    given |= {"LOGNAME": user, "LANG": "C.UTF-8", **unit.environment(files or {})}
    words = (folder, _NUMBER, sys.base_prefix, unit.last("WorkingDirectory"), unit.last("UMask"), _NUMBER)
    environment = [f"{name}={value}" for name, value in given.items()]
    command = ["env", "-i", *environment, *shlex.split(unit.last("ExecStart")), *more]
    sandbox = ["unshare", "--mount", "bash", "-euc", _SANDBOX, "sandbox", *map(str, words)]
    return subprocess.run([*sandbox, *command], capture_output=True, text=True, timeout=600, check=False)


def units() -> dict[str, Unit]:
    """Every service that the files make, by its name, with an instance of each kind."""
    found = {"health-analytics": Unit(BASE)}
    for name in ("ecommerce", "esports", "stock"):
        found[f"health-analytics@{name}"] = Unit(BASE, FOLDER / "pipeline.conf", instance=name)
    for file in sorted(FOLDER.glob("health-analytics-*.conf")):
        for name in ("esports", "stock") if file.stem.endswith("@") else ("",):
            found[file.stem + name] = Unit(BASE, file, instance=name)
    return found


def timers() -> dict[str, str]:
    """When each timer starts the service of its name."""
    files = sorted(FOLDER.glob("*.timer"))
    return {file.stem: re.findall(r"^OnCalendar=(.+)$", file.read_text(), re.MULTILINE)[0] for file in files}
