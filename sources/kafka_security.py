"""Security of Kafka's two clients: one set of options for both, and what is said when a broker refuses them.

Options have the names of Java's client. A user and password may also be given as `sasl.username` and
`sasl.password`, as librdkafka has them; certificates have to be PEM, which both can read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from certificates import remedy, why_untrusted
from contracts import AccessDeniedError
from contracts.secret_values import jaas_values

_JAAS = "sasl.jaas.config"
_USER, _PASSWORD = "sasl.username", "sasl.password"
_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
# For PEM, whose key and certificates may be in one file.
_TRUSTED = {"ssl.truststore.location": ["ssl.ca.location"], "ssl.truststore.certificates": ["ssl.ca.pem"]}
_OWN = {
    "ssl.keystore.location": ["ssl.certificate.location", "ssl.key.location"],
    "ssl.keystore.certificate.chain": ["ssl.certificate.pem"],
    "ssl.keystore.key": ["ssl.key.pem"],
}
_WRONG_LOGIN = re.compile(
    "invalid credentials|invalid username or password|authentication failed", re.IGNORECASE
)


def for_java(options: Mapping[str, str]) -> dict[str, str]:
    """`options` with a login of JAAS, where user and password are given by name."""
    module = _MODULES.get(options.get("sasl.mechanism", "").upper())
    if _JAAS in options or module is None or _USER not in options:
        return dict(options)
    values = {"username": options[_USER], "password": options.get(_PASSWORD, "")}
    quoted = [f'{name}="{_escaped(value)}"' for name, value in values.items()]
    return {**options, _JAAS: f"{module} required {' '.join(quoted)};"}


def for_librdkafka(options: Mapping[str, str]) -> dict[str, str]:
    """`options` with what librdkafka calls otherwise under its names: the login of JAAS, and PEM stores."""
    left, known = dict(options), dict[str, str]()
    login = jaas_values(options.get(_JAAS, ""))
    if "username" in login:
        del left[_JAAS]
        known = {_USER: login["username"], _PASSWORD: login.get("password", "")}
    for kind, names in (("ssl.truststore.type", _TRUSTED), ("ssl.keystore.type", _OWN)):
        if options.get(kind, "").upper() == "PEM":
            del left[kind]
            given = [(name, left.pop(name)) for name in names if name in left]
            known |= {mine: value for name, value in given for mine in names[name]}
    return known | left


def refused(servers: str, said: str) -> AccessDeniedError:
    """The error of a client that is not let in, or that does not trust the broker, from what it `said`."""
    if why := why_untrusted(said):
        return AccessDeniedError(
            f"The certificate of Kafka at KAFKA_BOOTSTRAP_SERVERS={servers} {why}.",
            remedy(
                why,
                "KAFKA_BOOTSTRAP_SERVERS",
                "KAFKA_OPTION_SSL_TRUSTSTORE_LOCATION, with KAFKA_OPTION_SSL_TRUSTSTORE_TYPE=PEM",
            ),
        )
    if _WRONG_LOGIN.search(said):
        return AccessDeniedError(
            f"Kafka at KAFKA_BOOTSTRAP_SERVERS={servers} refused user or password.",
            "Correct KAFKA_OPTION_SASL_USERNAME and KAFKA_OPTION_SASL_PASSWORD, or "
            "KAFKA_OPTION_SASL_JAAS_CONFIG; or KAFKA_OPTION_SASL_MECHANISM.",
        )
    return AccessDeniedError(
        f"Kafka at KAFKA_BOOTSTRAP_SERVERS={servers} refused this client: {said}.",
        "Check the KAFKA_OPTION_… settings and the rights of the user.",
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
