"""Where script/mongo-server gets its Debian from: the machine's own apt sources, and nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.documents import ROOT
from tests.support.missing import missing
from tests.support.toxiproxy import free_port

_SCRIPT = ROOT / "script" / "mongo-server"
_DEBIAN = 'ID=debian\nVERSION_CODENAME="bookworm"\n'
_UBUNTU = "VERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n"


@dataclass(frozen=True)
class Entry:
    """One source as its owner wrote it down; `counts` where it holds Debian's releases on a Debian 12."""

    suite: str
    types: str
    written: str
    scheme: str
    options: bool
    comment: bool

    @property
    def counts(self) -> bool:
        """A mirror's own suite, with packages, and not switched off."""
        return not self.comment and self.types != "deb-src" and self.suite in ("bookworm", "stable", "sid")

    def text(self, uri: str) -> str:
        """As it stands in a file of that form."""
        off = "# " if self.comment else ""
        if self.written == "list":
            options = "[arch=amd64,arm64 signed-by=/usr/share/keyrings/a.gpg] " if self.options else ""
            return "".join(
                f"{off}{kind} {options}{uri} {self.suite} main contrib\n" for kind in self.types.split()
            )
        key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n" if self.options else ""
        enabled = "Enabled: no\n" if self.comment else ""
        return f"types: {self.types}\nURIs:\n {uri}\nSuites: {self.suite}\nComponents: main\n{key}{enabled}\n"


_ENTRIES = st.builds(
    Entry,
    suite=st.sampled_from(
        ["bookworm", "stable", "sid", "bookworm-security", "bookworm-updates", "noble", "cloud-sdk-bookworm"]
    ),
    types=st.sampled_from(["deb", "deb-src", "deb deb-src"]),
    written=st.sampled_from(["list", "sources"]),
    scheme=st.sampled_from(["http", "https"]),
    options=st.booleans(),
    comment=st.booleans(),
)


def _environment(folder: Path, release: str) -> dict[str, str]:
    """That of a machine whose /etc/apt is `folder`."""
    if shutil.which("apt-get") is None:
        missing("apt-get is not there, so neither is a way to build the server")
    (folder / "apt.conf").write_text(f'Dir::Etc "{folder}";\n')
    (folder / "os-release").write_text(release)
    given = {"APT_CONFIG": str(folder / "apt.conf"), "OS_RELEASE": str(folder / "os-release")}
    environment = {**os.environ, **given, "MONGO_SERVER_HOME": str(folder / "home")}
    environment.pop("DEBIAN_MIRROR", None)
    return environment


def _mirrors(folder: Path) -> list[str]:
    run = subprocess.run(
        [_SCRIPT, "mirrors"], env=_environment(folder, _DEBIAN), capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


@settings(max_examples=25)
@given(st.lists(st.tuples(_ENTRIES, st.sampled_from(["", "sources.list.d/x1", "sources.list.d/my_own-2"]))))
def test_mirrors_are_those_of_the_machines_own_sources(entries: list[tuple[Entry, str]]) -> None:
    """In whatever form and file they are written: both of apt's forms, keys, several types, switched off."""
    with tempfile.TemporaryDirectory() as name:
        folder, expected = Path(name), set()
        (folder / "sources.list.d").mkdir()
        for number, (entry, place) in enumerate(entries):
            uri = f"{entry.scheme}://mirror{number}.example/pub/debian"
            # The one file that has no folder is in the old form.
            file = "sources.list" if entry.written == "list" and not place else f"{place}.{entry.written}"
            file = file if not file.startswith(".") else f"sources.list.d/debian{file}"
            with (folder / file).open("a") as sources:
                sources.write(entry.text(uri + "/" * (number % 2)))
            expected |= {uri} if entry.counts else set()
        assert set(_mirrors(folder)) == expected


def test_mirrors_of_a_cloud_image_stand_in_a_file(tmp_path: Path) -> None:
    """Debian's own images for clouds are made so."""
    (tmp_path / "mirrors.list").write_text(
        "# near\nhttps://a.example/debian\tpriority:1\nhttp://b.example/debian/\n"
    )
    (tmp_path / "sources.list").write_text(f"deb mirror+file:{tmp_path}/mirrors.list bookworm main\n")
    assert _mirrors(tmp_path) == ["https://a.example/debian", "http://b.example/debian"]


def test_debians_own_archive_is_tried_first(tmp_path: Path) -> None:
    """Others name their suites as Debian does."""
    (tmp_path / "sources.list").write_text(
        "deb http://a.example/debian/12/prod bookworm main\ndeb http://b.example/debian bookworm main\n"
    )
    assert _mirrors(tmp_path) == ["http://b.example/debian", "http://a.example/debian/12/prod"]


@pytest.mark.parametrize("sources", ["", "deb http://ubuntu.example/ubuntu noble main\n"])
def test_without_a_mirror_the_server_is_not_built_and_the_remedy_is_told(
    tmp_path: Path, sources: str
) -> None:
    """debootstrap's own default would be a host that nobody chose."""
    if os.getuid() != 0:
        missing("only root builds the server")
    (tmp_path / "sources.list").write_text(sources)
    environment = {**_environment(tmp_path, _UBUNTU), "MONGO_SERVER_PORT": str(free_port())}
    environment.pop("SID_ROOT", None)
    run = subprocess.run([_SCRIPT, "start"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == (
        "mongo-server: apt's sources on this machine name no mirror of Debian (Ubuntu's have no sid): "
        "set DEBIAN_MIRROR to the address of one\n"
    )
    chosen = {**environment, "DEBIAN_MIRROR": "http://chosen.example/debian"}
    found = subprocess.run([_SCRIPT, "mirrors"], env=chosen, capture_output=True, text=True, check=True)
    assert found.stdout == "http://chosen.example/debian\n"
