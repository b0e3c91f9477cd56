"""As much of Kubernetes as Spark's own client and scheduler talk to; a pod is a process of this machine.

It stands for a cluster only in this: what Spark asks for is started with `deploy/entrypoint`, with the pod's
arguments, environment and mounts, which are folders here. It checks nothing of what it is sent.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import yaml

from tests.support.class_archive import java_environment
from tests.support.deployment import copy_files, image_files, variables

Manifest = dict[str, Any]
_NAMESPACE = re.compile(r"/(api|apis/networking\.k8s\.io)/v1/namespaces/default/")
_KINDS = ("pods", "configmaps", "services", "persistentvolumeclaims", "networkpolicies")


class Kubelet:
    """The objects that were made, by kind and name, and the processes of those that are pods."""

    def __init__(self, folder: Path, secrets: dict[str, str]) -> None:
        """Output and mounts of pods go into `folder`; `secrets` are values by the name of their variable."""
        self.folder = folder
        self.app = folder / "app"
        copy_files(image_files(), self.app)
        self.objects: dict[str, dict[str, Manifest]] = {kind: {} for kind in _KINDS}
        self.made: list[Manifest] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._secrets = secrets
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self) -> None:
        """Answer until `stop`."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop answering and kill the pods that are left."""
        self._server.shutdown()
        self._server.server_close()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def output(self, name: str) -> str:
        """What a pod printed so far."""
        return (self.folder / f"{name}.txt").read_text()

    def make(self, kind: str, made: Manifest) -> Manifest:
        """Keep an object; start the pods for which everything is there."""
        name = made["metadata"]["name"]
        made["metadata"] |= {"namespace": "default", "uid": name, "resourceVersion": "1"}
        with self._lock:
            self.objects[kind][name] = made
            self.made.append(made)
            for pod, manifest in self.objects["pods"].items():
                if pod not in self.processes and self._can_start(manifest["spec"]):
                    self.processes[pod] = self._start(pod, manifest["spec"])
        return made

    def find(self, kind: str, name: str) -> Manifest | None:
        """The object as it is now; a pod's phase is that of its process."""
        found = self.objects[kind].get(name)
        if found and kind == "pods":
            ready = {"type": "Ready", "status": "True"}
            return {
                **found,
                "status": {"phase": self._phase(name), "podIP": "127.0.0.1", "conditions": [ready]},
            }
        return found

    def _phase(self, name: str) -> str:
        process = self.processes.get(name)
        if process is None:
            return "Pending"
        code = process.poll()
        return "Running" if code is None else "Succeeded" if code == 0 else "Failed"

    def _can_start(self, spec: Manifest) -> bool:
        needed = {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
        return needed <= self.objects["configmaps"].keys()

    def listed(self, kind: str, selector: str) -> Manifest:
        """The objects of a kind whose labels `selector` wants, as a list is answered."""
        with self._lock:
            items = [self.find(kind, name) for name in self._selected(kind, selector)]
        return {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}

    def delete(self, kind: str, name: str, selector: str) -> None:
        """Forget an object, without a name all that have the labels; a pod is ended."""
        with self._lock:
            for each in [name] if name else self._selected(kind, selector):
                if kind == "pods" and each in self.processes:
                    self.processes[each].terminate()
                self.objects[kind].pop(each, None)

    def _selected(self, kind: str, selector: str) -> list[str]:
        labels = {name: made["metadata"].get("labels", {}) for name, made in self.objects[kind].items()}
        return [name for name, given in labels.items() if selects(selector, given)]

    def _start(self, name: str, spec: Manifest) -> subprocess.Popen[bytes]:
        (container,) = spec["containers"]
        places = self._mounts(name, spec, container)
        image = {**variables("job"), "PYSPARK_PYTHON": sys.executable}
        given = {entry["name"]: self._value(name, entry) for entry in container["env"]}
        environment = {key: _moved(value, places) for key, value in {**image, **given}.items()}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (self.folder / f"{name}.txt").open("wb") as output:
            return subprocess.Popen(
                ["deploy/entrypoint", *(_moved(word, places) for word in container["args"])],
                cwd=self.app,
                env={**environment, **java_environment()},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _value(self, pod: str, entry: Manifest) -> str:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            return self._secrets[entry["name"]]
        if "fieldRef" in source:
            return {"status.podIP": "127.0.0.1", "metadata.name": pod}[source["fieldRef"]["fieldPath"]]
        return str(entry["value"])

    def _mounts(self, name: str, spec: Manifest, container: Manifest) -> dict[str, str]:
        """Where what is mounted lies, by the path in the pod. Claims are folders that all pods share."""
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        places = {"/app/": f"{self.app}/"}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            shared = "persistentVolumeClaim" in volume
            place = self.folder / ("claim" if shared else f"{name}-{mount['name']}")
            place.mkdir(exist_ok=True)
            places[mount["mountPath"]] = str(place)
        for mount in container["volumeMounts"]:
            config = volumes[mount["name"]].get("configMap")
            if config:
                keys = {item["key"]: item["path"] for item in config.get("items", [])}
                for key, text in self.objects["configmaps"][config["name"]]["data"].items():
                    file = Path(places[mount["mountPath"]]) / keys.get(key, key)
                    file.write_text(_moved(text, places))
        return places


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Whether `labels` are what `selector` wants: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`."""
    return all(_wants(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part)


def _wants(part: str, labels: dict[str, str]) -> bool:
    key, *rest = re.split(r"\s*(!=|==?|\bnotin\b|\bin\b)\s*", part, maxsplit=1)
    if not rest:
        return (key.removeprefix("!") in labels) != key.startswith("!")
    sign, values = rest
    return (labels.get(key) in re.findall(r"[^(),\s]+", values)) != (sign in ("!=", "notin"))


def _moved(text: str, places: dict[str, str]) -> str:
    for path, place in sorted(places.items(), reverse=True):
        text = text.replace(path, place)
    # The name of the driver's service.
    return re.sub(r"[\w-]+\.default\.svc", "127.0.0.1", text)


def _handler(kubelet: Kubelet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, name, selector = self._asked()
            self._answer(kubelet.find(kind, name) if name else kubelet.listed(kind, selector))

        def do_POST(self) -> None:
            self._answer(kubelet.make(self._asked()[0], self._body()))

        def do_PATCH(self) -> None:
            kind, name, _ = self._asked()
            known = kubelet.find(kind, name)
            self._answer(known if known and kind == "pods" else kubelet.make(kind, self._body()))

        def do_DELETE(self) -> None:
            kubelet.delete(*self._asked())
            self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def log_message(self, *_: Any) -> None:
            pass

        def _asked(self) -> tuple[str, str, str]:
            path, _, query = self.path.partition("?")
            kind, _, name = _NAMESPACE.sub("", path).partition("/")
            return kind, name, parse_qs(query).get("labelSelector", [""])[0]

        def _body(self) -> Manifest:
            body: Manifest = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))
            return body

        def _answer(self, content: Manifest | None) -> None:
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
            body = json.dumps(content or missing).encode()
            self.send_response(HTTPStatus.OK if content else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def kubelet(folder: Path, secrets: dict[str, str]) -> Iterator[Kubelet]:
    """One that answers inside the block; its pods are gone after it."""
    made = Kubelet(folder, secrets)
    made.serve()
    try:
        yield made
    finally:
        made.stop()
