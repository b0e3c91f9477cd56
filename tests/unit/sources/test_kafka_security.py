"""One set of options for Java's client and librdkafka, whatever is in a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.secret_values import jaas_values, secret_kafka_options
from sources.kafka_client import client_options
from sources.kafka_security import for_java, for_librdkafka, refused

_LOGIN = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "app"}


@given(st.text(max_size=20))
def test_user_and_password_become_a_login_and_back(password: str) -> None:
    """Both clients log in by the same text, and every form of it is masked."""
    options = {**_LOGIN, "sasl.password": password}
    login = for_java(options)["sasl.jaas.config"]
    assert login.startswith("org.apache.kafka.common.security.scram.ScramLoginModule required ")
    assert jaas_values(login) == {"username": "app", "password": password}
    known = for_librdkafka({"sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": login})
    assert known == options
    assert {login, password} <= set(secret_kafka_options({**options, "sasl.jaas.config": login}))


def test_a_login_that_is_given_stays_and_a_mechanism_of_its_own_is_left_alone() -> None:
    """Kerberos and OAuth have logins that only Java knows."""
    for options in (
        {**_LOGIN, "sasl.jaas.config": "x"},
        {"sasl.mechanism": "GSSAPI", "sasl.username": "app"},
        {"security.protocol": "SSL"},
    ):
        assert for_java(options) == options
    only_java = {"sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": "OAuthBearerLoginModule required;"}
    assert for_librdkafka(only_java) == only_java
    assert client_options(only_java).left_out == ("sasl.jaas.config",)


def test_pem_stores_have_other_names_there() -> None:
    """Key and certificate are in one file; what is named for librdkafka itself goes before."""
    stores = {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
        "ssl.keystore.type": "pem",
        "ssl.keystore.location": "/client.pem",
    }
    theirs = {"ssl.certificate.location": "/client.pem", "ssl.key.location": "/client.pem"}
    assert for_librdkafka(stores) == {"ssl.ca.location": "/ca.pem", **theirs}
    assert for_librdkafka({**stores, "ssl.ca.location": "/own.pem"})["ssl.ca.location"] == "/own.pem"
    inside = {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": "CA",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": "C",
        "ssl.keystore.key": "K",
    }
    assert for_librdkafka(inside) == {"ssl.ca.pem": "CA", "ssl.certificate.pem": "C", "ssl.key.pem": "K"}
    assert client_options({"ssl.truststore.location": "/t.jks"}).left_out == ("ssl.truststore.location",)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Authentication failed: Invalid username or password", "refused user or password"),
        ("SASL authentication error: invalid credentials with mechanism SCRAM-SHA-256", "refused user or"),
        ("PKIX path building failed", "signed by an authority that is not known here"),
        ("Cluster authorization failed.", "refused this client: Cluster authorization failed."),
    ],
)
def test_what_a_client_says_becomes_one_sentence_with_its_setting(said: str, words: str) -> None:
    """Java's and librdkafka's words alike."""
    error = refused("broker:9092", said)
    assert words in error.found
    assert "KAFKA_" in error.remedy
    assert str(error) == f"{error.found} {error.remedy}"
