"""Networks that break on demand: a client for Toxiproxy, which `script/toxiproxy` builds and runs."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_SCRIPT = Path(__file__).parents[2] / "script" / "toxiproxy"
_START_SECONDS = 120.0
_CALL_SECONDS = 60.0
_DIRECTIONS = ("upstream", "downstream")


class Proxy:
    """A door of its own to one server; each fault lasts until `heal`."""

    def __init__(self, api: str, name: str, address: str) -> None:
        self._api = f"{api}/proxies/{name}"
        # host:port where clients connect.
        self.address = address

    def latency(self, milliseconds: int, jitter: int = 0) -> None:
        """Every answer comes so much later."""
        self._toxic("latency", ("downstream",), {"latency": milliseconds, "jitter": jitter})

    def reset_peer(self) -> None:
        """Connections, new ones too, end with a TCP reset."""
        self._toxic("reset_peer", _DIRECTIONS, {"timeout": 0})

    def black_hole(self) -> None:
        """Connections are accepted and stay open, and nothing passes either way.

        What was sent meanwhile stays lost after `heal`, as with a firewall that forgot its states.
        """
        self._toxic("timeout", _DIRECTIONS, {"timeout": 0})

    def stall(self) -> None:
        """The first bytes of each answer come, and no more."""
        self._slices(8, 3_600.0)

    def drip(self) -> None:
        """Answers come a few bytes a second."""
        self._slices(1, 0.2)

    def cut(self) -> None:
        """Connections are closed and new ones refused."""
        _call("POST", self._api, {"enabled": False})

    def heal(self) -> None:
        """A good network again."""
        for toxic in _call("GET", self._api)["toxics"]:
            _call("DELETE", f"{self._api}/toxics/{toxic['name']}")
        _call("POST", self._api, {"enabled": True})

    def close(self) -> None:
        """Remove the door."""
        _call("DELETE", self._api)

    def _slices(self, size: int, seconds: float) -> None:
        """Answers come in pieces of `size` bytes, with `seconds` between two."""
        microseconds = round(seconds * 1_000_000)
        attributes = {"average_size": size, "size_variation": 0, "delay": microseconds}
        self._toxic("slicer", ("downstream",), attributes)

    def _toxic(self, kind: str, directions: tuple[str, ...], attributes: Mapping[str, int]) -> None:
        for direction in directions:
            toxic = {"name": f"{kind}_{direction}", "type": kind, "stream": direction}
            _call("POST", f"{self._api}/toxics", {**toxic, "toxicity": 1.0, "attributes": dict(attributes)})


class Toxiproxy:
    """A running Toxiproxy server."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._made = 0

    def proxy(self, upstream: str, listen: str = "127.0.0.1:0") -> Proxy:
        """A new door to `upstream` (host:port) at `listen`, by default on a free port."""
        self._made += 1
        name = f"proxy_{self._made}"
        answer = _call(
            "POST",
            f"{self._api}/proxies",
            {"name": name, "listen": listen, "upstream": upstream, "enabled": True},
        )
        return Proxy(self._api, name, answer["listen"])


@contextmanager
def run_toxiproxy() -> Iterator[Toxiproxy]:
    """Start a server on a free port; it is gone after the block.

    Raises RuntimeError, with what the script said, when there is none to be had.
    """
    built = subprocess.run([_SCRIPT, "--build"], capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(built.stderr.strip())
    port = free_port()
    command = [str(_SCRIPT), "-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        api = f"http://127.0.0.1:{port}"
        _wait_until_ready(api, process)
        yield Toxiproxy(api)
    finally:
        process.terminate()
        process.wait()


# What can be wrong with a server while everybody waits for it.
TROUBLES: Mapping[str, Callable[[Proxy], None]] = {
    "refuses": Proxy.cut,
    "hangs": Proxy.black_hole,
    "hangs in a reply": Proxy.stall,
    "drips": Proxy.drip,
}


def through(proxy: Proxy, uri: str) -> str:
    """`uri` (one host) with the proxy's address in place of the host's."""
    return uri.replace(host_of(uri), proxy.address, 1)


def host_of(uri: str) -> str:
    """host:port of a mongodb:// or postgresql:// address with one host and a written port."""
    return urlsplit(uri).netloc.rpartition("@")[2]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(api: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _answers(api):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"toxiproxy did not start (exit code {process.poll()})")
        time.sleep(0.05)


def _answers(api: str) -> bool:
    with suppress(OSError):
        _call("GET", f"{api}/version", decode=False)
        return True
    return False


def _call(method: str, url: str, body: Mapping[str, Any] | None = None, decode: bool = True) -> Any:
    data = None if body is None else json.dumps(body).encode()
    # Toxiproxy refuses what looks like a browser.
    request = urllib.request.Request(url, data, {"User-Agent": "tests"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=_CALL_SECONDS) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if decode and text else None
