"""Certificates of a test's own authority, good and bad, as PEM files."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# For localhost alone: 127.0.0.1 is another name.
_NAMES = "subjectAltName=DNS:localhost\n"


@dataclass(frozen=True)
class Certificates:
    """`authority` signed the servers' `good` and `expired`; `stranger` signed nothing."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What a client has to trust."""
        return self.folder / "authority.pem"

    @property
    def stranger(self) -> Path:
        """Another authority."""
        return self.folder / "stranger.pem"

    def server(self, which: str) -> Path:
        """A server's key and certificate, `good` or `expired`."""
        return self.folder / f"{which}.pem"

    def key(self, which: str) -> Path:
        """The key alone."""
        return self.folder / f"{which}.key"


def make_certificates(folder: Path) -> Certificates:
    """Make them with openssl in the empty `folder`."""
    made = Certificates(folder)
    for name in ("authority", "stranger"):
        _openssl(
            folder,
            "req",
            "-x509",
            *_new_key(name),
            "-days",
            "3650",
            "-subj",
            f"/CN={name}",
            "-out",
            f"{name}.pem",
        )
    (folder / "names").write_text(_NAMES)
    for which, days in (("good", "3650"), ("expired", "-1")):
        _openssl(folder, "req", *_new_key(which), "-subj", "/CN=localhost", "-out", f"{which}.csr")
        signed = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names")
        _openssl(
            folder, "x509", "-req", "-in", f"{which}.csr", *signed, "-days", days, "-out", f"{which}.crt"
        )
        text = made.key(which).read_text() + (folder / f"{which}.crt").read_text()
        made.server(which).write_text(text)
    return made


def _new_key(name: str) -> tuple[str, ...]:
    # The small curve costs no time; PKCS 8 is what Java reads.
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    run = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr


@contextmanager
def shaking_hands(certificate: Path) -> Iterator[int]:
    """The port of a server that speaks TLS with `certificate`, and says nothing afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listening.accept()
                with suppress(OSError):
                    context.wrap_socket(plain, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
