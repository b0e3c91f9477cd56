"""What drivers say of a certificate, in one language; and what is seen where they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from certificates import UNTRUSTED, remedy, said_of, why_untrusted
from tests.support.certificates import Certificates, make_certificates, shaking_hands

_JAVA = "SSL handshake failed PKIX path validation failed: CertPathValidatorException: validity check failed"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{_JAVA} NotAfter: Fri Nov 27 19:16:09 UTC 2026", "has expired"),
        ("No subject alternative names matching IP address 127.0.0.1 found", "is of another name"),
        ("No name matching db found", "is of another name"),
        ("PKIX path building failed: unable to find valid certification path", "is signed by an authority"),
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "has expired"),
        (
            "certificate verify failed: IP address mismatch, certificate is not valid for",
            "is of another name",
        ),
        ("certificate verify failed: self-signed certificate in certificate chain", "is signed by an"),
        ("certificate verify failed: unable to get local issuer certificate", "is signed by an authority"),
        ("certificate verify failed: certificate is not yet valid", "is not valid yet"),
        ('server certificate for "localhost" does not match host name "127.0.0.1"', "is of another name"),
        ("SSL error: certificate verify failed", UNTRUSTED),
    ],
)
def test_each_driver_s_words_are_known(said: str, why: str) -> None:
    """Java's, OpenSSL's and libpq's; the remedy names the settings."""
    found = why_untrusted(said)
    assert found is not None
    assert found.startswith(why)
    assert remedy(found, "ADDRESS", "AUTHORITIES").endswith(".")


@pytest.mark.parametrize(
    "said", ["Connection refused", "connection timeout expired", "password authentication failed"]
)
def test_what_is_no_certificate_s_fault_is_left_to_others(said: str) -> None:
    """None."""
    assert why_untrusted(said) is None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority with a good and an expired server."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("which", "host", "authority", "why"),
    [
        ("good", "localhost", "authority", None),
        ("good", "127.0.0.1", "authority", "is of another name"),
        ("good", "localhost", "stranger", "is signed by an authority"),
        ("expired", "localhost", "authority", "has expired"),
    ],
)
def test_what_is_wrong_is_seen_on_the_server(
    made: Certificates, which: str, host: str, authority: str, why: str | None
) -> None:
    """libpq and librdkafka only say that it is not trusted."""
    with shaking_hands(made.server(which)) as port:
        said = said_of(host, port, str(Path(made.folder) / f"{authority}.pem"))
    found = why_untrusted(said)
    assert found is None if why is None else str(found).startswith(why)
