"""The other doors of script/mongo-server: one that asks who is there, one that checks what they may do."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

SCRIPT = Path(__file__).parents[2] / "script" / "mongo-server"
# Every character that has a meaning in an address.
PASSWORD = "c4nary-p@ss/w:rd?%#&" + secrets.token_hex(8)
KEY_PASSWORD = "k3y"  # noqa: S105 - script/mongo-server's certificate


def run_script(*arguments: str) -> str:
    """What `script/mongo-server ARGUMENTS` prints; an error with its last words when it fails."""
    run = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def is_ours(mongo_uri: str) -> bool:
    """Whether the tests' server is one of script/mongo-server, which has the other doors."""
    return os.access(SCRIPT, os.X_OK) and run_script("uri") == mongo_uri


@dataclass(frozen=True)
class SecureDoor:
    """The same data behind a password, over TCP and over TLS with certificates on both sides."""

    mongo_uri: str
    certificates: Path

    def uri(self, user: str, password: str = PASSWORD) -> str:
        """Address over TCP."""
        credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"mongodb://{credentials}@127.0.0.1:{self._port + 1}/?retryWrites=false"

    def tls_uri(self, user: str) -> str:
        """Address over TLS with every option that it takes."""
        options = {
            "tls": "true",
            "tlsCAFile": str(self.certificates / "ca.pem"),
            "tlsCertificateKeyFile": str(self.certificates / "client.pem"),
            "tlsCertificateKeyFilePassword": KEY_PASSWORD,
        }
        address = self.uri(user, PASSWORD).replace(
            f"@127.0.0.1:{self._port + 1}/", f"@localhost:{self._port + 2}/"
        )
        return address + "".join(f"&{name}={quote(value, safe='')}" for name, value in options.items())

    @contextmanager
    def user(self) -> Iterator[str]:
        """The name of a user with PASSWORD, gone afterwards."""
        name = f"canary-user-{secrets.token_hex(6)}"
        client: MongoClient[dict[str, Any]] = MongoClient(self.mongo_uri)
        # This server lets whoever is known do everything.
        roles = [{"role": "readWriteAnyDatabase", "db": "admin"}, {"role": "clusterAdmin", "db": "admin"}]
        client.admin.command("createUser", name, pwd=PASSWORD, roles=roles)
        try:
            yield name
        finally:
            client.admin.command("dropUser", name)
            client.close()

    @property
    def _port(self) -> int:
        port: int = parse_uri(self.mongo_uri)["nodelist"][0][1]
        return port
