"""Checks of the receivers of lineage and traces, where the settings name any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec

from commands.checks.result import CheckResult, bounded, failed, ok, warning
from contracts.secret_rules import headers_of
from settings import Settings
from told import install

_LINEAGE, _TRACES = "OpenLineage", "OTLP"
_AWAY = "Start it, or correct {setting}; batches go on without it, and what it misses is counted."
_WRONG = {
    HTTPStatus.UNAUTHORIZED: "Set {secret} to what it wants.",
    HTTPStatus.FORBIDDEN: "Set {secret} to what it wants.",
    HTTPStatus.NOT_FOUND: "Correct {setting}: below it must be {path}.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Correct {setting}: below it must be {path}.",
}


def run(settings: Settings) -> Iterator[CheckResult]:
    """Ask each receiver that is set with what tells it of nothing, and is stored nowhere."""
    if settings.openlineage_url:
        yield bounded(_LINEAGE, partial(lineage, settings))
    if settings.otlp_endpoint:
        yield bounded(_TRACES, partial(traces, settings))


def lineage(settings: Settings) -> CheckResult:
    """Check the address and the key with a body that is no event: to refuse that is an answer too."""
    if not find_spec("openlineage"):
        return failed(_LINEAGE, "openlineage-python is not installed", f"Run {install('openlineage')}.")
    key = settings.openlineage_api_key.get_secret_value()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    words = {"setting": "OPENLINEAGE_URL", "secret": "OPENLINEAGE_API_KEY"}
    return _ask(_LINEAGE, settings.openlineage_url, ("api/v1/lineage",), b"{}", headers, words)


def traces(settings: Settings) -> CheckResult:
    """Check the address and the headers with requests that hold no span and no metric."""
    if not _has_exporter():
        missing = "opentelemetry-exporter-otlp-proto-http is not installed"
        return failed(_TRACES, missing, f"Run {install('otlp')}.")
    headers = headers_of(settings.otlp_headers.get_secret_value())
    headers["Content-Type"] = "application/x-protobuf"
    words = {"setting": "OTLP_ENDPOINT", "secret": "OTLP_HEADERS"}
    return _ask(_TRACES, settings.otlp_endpoint, ("v1/traces", "v1/metrics"), b"", headers, words)


def _has_exporter() -> bool:
    try:
        # Pages that are shown bring the first half of this name without the second.
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _ask(
    name: str,
    address: str,
    paths: tuple[str, ...],
    body: bytes,
    headers: Mapping[str, str],
    words: Mapping[str, str],
) -> CheckResult:
    from monitoring.receivers.outbox import ReceiverError
    from monitoring.receivers.web import TIMEOUT_SECONDS, Asking, below

    with Asking(address).session as asking:
        for path in paths:
            url = below(address, path)
            try:
                asking.post(url, data=body, headers=headers, timeout=TIMEOUT_SECONDS)
            except ReceiverError as error:
                if error.status in _WRONG:
                    remedy = _WRONG[HTTPStatus(error.status)].format(**words, path=path)
                    return failed(name, f"{url}: {error}", remedy)
                # It has judged the body.
                if not HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return warning(name, f"{url}: {error}", _AWAY.format(**words))
    return ok(name, f"{below(address, '')} answers")
