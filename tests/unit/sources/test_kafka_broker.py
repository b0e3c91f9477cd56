"""What Kafka's clients wait for: an option makes it shorter, neither longer nor endless; so do names."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from sources import kafka_broker
from sources.kafka_broker import LONGEST_MS, bounded_options, known_servers
from tests.support.hanging_names import HANGING, KNOWN, hanging_names

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


def test_a_server_whose_name_s_look_up_hangs_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java would wait for it; without another one sentence names the setting. Java tells unknown ones."""
    monkeypatch.setattr(kafka_broker, "_ANSWER_MS", 300)
    others = f"{KNOWN}:9092,127.0.0.1:1,SSL://[::1]:2,unknown.invalid:9,nothing"
    with hanging_names():
        assert known_servers(others) == others
        assert known_servers(f"{HANGING}:1,{others}, {HANGING}:2") == others
        with pytest.raises(ConfigurationError, match=f"KAFKA_BOOTSTRAP_SERVERS={HANGING}:1 could not be"):
            known_servers(f"{HANGING}:1")
