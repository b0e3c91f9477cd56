"""Options of Kafka's clients: a wait may become shorter, neither longer nor endless."""

from __future__ import annotations

import pytest

from sources.kafka_broker import LONGEST_MS, bounded_options

_REQUEST, _CALL = "request.timeout.ms", "default.api.timeout.ms"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({_REQUEST: "3600000"}, {_REQUEST: "60000"}),
        ({_CALL: "2147483647"}, {_CALL: "60000", _REQUEST: "30000"}),
        ({_CALL: "0", _REQUEST: "-1"}, {}),
        ({_REQUEST: "soon"}, {}),
        ({_REQUEST: "4000"}, {_REQUEST: "4000"}),
        # Java's client refuses one call that is shorter than one request.
        ({_CALL: "1000"}, {_CALL: "1000", _REQUEST: "1000"}),
        ({_CALL: "1000", _REQUEST: "500"}, {_CALL: "1000", _REQUEST: "500"}),
        ({"reconnect.backoff.max.ms": "86400000"}, {"reconnect.backoff.max.ms": "60000"}),
        (
            {"security.protocol": "SSL", "fetch.max.bytes": "0"},
            {"security.protocol": "SSL", "fetch.max.bytes": "0"},
        ),
    ],
)
def test_no_option_makes_a_wait_longer_or_endless(given: dict[str, str], left: dict[str, str]) -> None:
    """Kafka's own time-outs are seconds; what is no time-out stays as it is."""
    assert LONGEST_MS == 60_000
    assert bounded_options(given) == left
