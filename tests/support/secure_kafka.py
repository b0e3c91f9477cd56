"""A broker that speaks TLS and asks for user and password: PLAIN and SCRAM."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.support.canaries import canary
from tests.support.certificates import Certificates, make_certificates
from tests.support.kafka_servers import OwnBroker, two_free_ports

USER = "app"
# What has a meaning in JAAS, in the files of Java's properties, and in addresses.
PASSWORD = canary('c4nary"\\;= p@ss')
SCRAM = "SCRAM-SHA-256"
# Listeners, with the certificate of each.
_LISTENING = {"secure": "good", "expired": "expired", "mutual": "good"}
_MODULES = "org.apache.kafka.common.security"
_LISTENERS = """
listeners={plain},CONTROLLER://127.0.0.1:{controller},{others}
advertised.listeners={plain},{others}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,EXPIRED:SASL_SSL,MUTUAL:SSL
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={authority}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
"""
_LISTENER = """
listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.location={keys}
listener.name.{name}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_app="{password}";
listener.name.{name}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class SecureKafka:
    """`plain` asks nobody; `servers` asks, with a certificate of localhost; that of `expired` has ended.

    `mutual` asks for a client's certificate in place of a password.
    """

    plain: str
    servers: str
    expired: str
    mutual: str
    certificates: Certificates

    def options_of_mutual(self) -> dict[str, str]:
        """What a client of `mutual` has to be given."""
        trusted = {name: value for name, value in self.options().items() if "truststore" in name}
        store = str(self.certificates.server("good"))
        own = {"ssl.keystore.type": "PEM", "ssl.keystore.location": store}
        return {"security.protocol": "SSL", **trusted, **own}

    def options(self, mechanism: str = SCRAM) -> dict[str, str]:
        """What a client has to be given, as KAFKA_OPTION_… give it."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }


def jaas(password: str) -> str:
    """The login of PLAIN, as Java's client wants it."""
    text = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'{_MODULES}.plain.PlainLoginModule required username="{USER}" password="{text}";'


@contextmanager
def secure_kafka() -> Iterator[SecureKafka]:
    """A running one, gone after the block. Raises RuntimeError when it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        certificates = make_certificates(Path(folder))
        port, places = two_free_ports(), [two_free_ports() for _ in _LISTENING]
        config = Path(folder) / "secure.properties"
        config.write_text(_config(certificates, port, places))
        broker = OwnBroker(Path(folder) / "broker", port, KAFKA_SERVER_CONFIG=str(config))
        try:
            broker.run("start")
            _make_user(broker.servers)
            secure, expired, mutual = (f"localhost:{place}" for place in places)
            yield SecureKafka(broker.servers, secure, expired, mutual, certificates)
        finally:
            broker.run("kill")


def _config(certificates: Certificates, port: int, places: Sequence[int]) -> str:
    others = ",".join(
        f"{name.upper()}://localhost:{place}" for name, place in zip(_LISTENING, places, strict=True)
    )
    text = _LISTENERS.format(
        plain=f"PLAINTEXT://127.0.0.1:{port}",
        controller=port + 1,
        others=others,
        authority=certificates.authority,
    )
    # Once for JAAS, once for the file.
    password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")
    for name, which in _LISTENING.items():
        keys = certificates.server(which)
        text += _LISTENER.format(name=name, keys=keys, modules=_MODULES, password=password)
    return text


def _make_user(servers: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    change = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    for future in admin.alter_user_scram_credentials([change]).values():
        future.result(60)
