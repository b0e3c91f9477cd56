"""What is secret in an address and in the options of Kafka, so that it can be masked wherever it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from contracts.secret_rules import headers_of

# Options of an address whose values are secret, e.g. tlsCertificateKeyFilePassword and AWS_SESSION_TOKEN.
_SECRET_OPTION = re.compile("password|token|secret", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?")
_PROPERTIES = "authmechanismproperties"
_SECRET_KAFKA_OPTION = re.compile(r"password|token|secret|jaas|assertion|\bkey$", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"auth|key|token|secret|password|cookie|credential", re.IGNORECASE)
# Within quotes a backslash makes the next character an ordinary one.
_JAAS_VALUE = re.compile(r"""(\w+)\s*=\s*(["'])((?:\\.|(?!\2).)*)\2""", re.DOTALL)


def secrets_in_address(address: str) -> Iterator[str]:
    """`user:password`, the password, and the values of options that hold one.

    A password that ought to be percent-encoded and is not may hold any character, so each `@` may be its end.
    Where the `@` itself is encoded, or forgotten, what follows a colon and is no port is a password.
    """
    rest = address.split("://", 1)[1]
    found = [rest[: at.start()] for at in re.finditer("@", rest)]
    if "@" not in rest.partition("?")[0]:
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        found += [authority[: at.start()] for at in re.finditer("%40", authority)]
        no_hosts = [part for part in authority.split(",") if not _HOST_AND_PORT.fullmatch(part)]
        found += [authority, *no_hosts] if no_hosts else []
    for credentials in found:
        password = credentials.partition(":")[2]
        # A name alone is no secret; on the web it is a token.
        if password or address.lower().startswith("http"):
            yield credentials
            yield password
    for name, value in parse_qsl(rest.rpartition("?")[2]):
        # authMechanismProperties=NAME:value,NAME:value holds options of its own.
        inner = [part.partition(":")[::2] for part in value.split(",")] if name.lower() == _PROPERTIES else []
        yield from (text for option, text in [(name, value), *inner] if _SECRET_OPTION.search(option))


def secret_kafka_options(options: Mapping[str, str]) -> Iterator[str]:
    """The values that must not be shown, and the passwords quoted inside them."""
    for name, value in options.items():
        if _SECRET_KAFKA_OPTION.search(name):
            yield value
            yield from (raw for _, _, raw in _JAAS_VALUE.findall(value))
            yield from jaas_values(value).values()
        elif "://" in value:
            yield from secrets_in_address(value)


def secret_headers(text: str) -> Iterator[str]:
    """The values that must not be shown of headers as `headers_of` reads them; a tenant's name is none."""
    for name, value in headers_of(text).items():
        if _SECRET_HEADER.search(name):
            yield value
            # Of `Bearer abc` the second word.
            yield value.rpartition(" ")[2]


def jaas_values(login: str) -> dict[str, str]:
    """The quoted values of a login of JAAS (`sasl.jaas.config`) by their names."""
    return {name: re.sub(r"\\(.)", r"\1", raw) for name, _, raw in _JAAS_VALUE.findall(login)}
