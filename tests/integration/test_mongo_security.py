"""Authentication and TLS options of an address reach the server, and the wrong ones are refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from commands.checks.database import Database, reachable
from settings import load
from sinks.mongo_errors import is_transient_mongo
from sources.mongo_client import ServerClock, connect
from tests.support.certificates import make_certificates, shaking_hands
from tests.support.mongo_doors import PASSWORD, SecureDoor

_TIMEOUT_MS = 10_000
# A refusal comes at once; the driver goes on trying until then.
_REFUSED_MS = 1_000


@pytest.fixture(scope="module")
def user(secure_door: SecureDoor) -> Iterator[str]:
    """A user of the secure door."""
    with secure_door.user() as name:
        yield name


def _touch(uri: str, timeout_ms: int = _TIMEOUT_MS) -> None:
    """Read, write and ask the time through our own client."""
    client = connect(uri, timeout_ms)
    try:
        collection = client["test_security"][f"c{secrets.token_hex(4)}"]
        collection.insert_one({"_id": 1})
        assert collection.find_one() == {"_id": 1}
        collection.drop()
        assert ServerClock(client).now().tzinfo is not None
    finally:
        client.close()


def test_a_password_with_special_characters_opens(secure_door: SecureDoor, user: str) -> None:
    """Percent-encoded in the address, as the error for an unencoded one tells people."""
    _touch(secure_door.uri(user))


@pytest.mark.parametrize("options", ["&authSource=admin", "&authMechanism=SCRAM-SHA-256&authSource=admin"])
def test_authentication_options_pass_through(secure_door: SecureDoor, user: str, options: str) -> None:
    """Source and mechanism as the address says."""
    _touch(secure_door.uri(user) + options)


def test_another_mechanism_than_the_server_knows_is_refused(secure_door: SecureDoor, user: str) -> None:
    """Proof that the option is not ignored."""
    with pytest.raises(OperationFailure):
        _touch(secure_door.uri(user) + "&authMechanism=SCRAM-SHA-1")


def test_without_a_user_nothing_can_be_read(secure_door: SecureDoor, user: str) -> None:
    """The door does ask."""
    credentials = secure_door.uri(user).partition("//")[2].rpartition("@")[0]
    with pytest.raises(OperationFailure, match="authentication"):
        _touch(secure_door.uri(user).replace(f"{credentials}@", ""))


def test_a_wrong_password_is_refused_and_not_worth_another_try(secure_door: SecureDoor, user: str) -> None:
    """Or a job with an old password would lock its account."""
    with pytest.raises(OperationFailure) as caught:
        _touch(secure_door.uri(user, PASSWORD + "x"))
    assert not is_transient_mongo(caught.value)


def test_tls_with_certificates_on_both_sides_opens(secure_door: SecureDoor, user: str) -> None:
    """CA file, client certificate and the password of its key are all taken from the address."""
    _touch(secure_door.tls_uri(user))


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        ("tlsCAFile", "certificate verify failed"),
        ("tlsCertificateKeyFile", "certificate required"),
        ("tls", "connection closed|reset"),
    ],
)
def test_tls_refuses_who_lacks_an_option(
    secure_door: SecureDoor, user: str, lacking: str, reason: str
) -> None:
    """Without CA the server is not trusted, without certificate it refuses; plain text gets no answer."""
    address, _, query = secure_door.tls_uri(user).partition("?")
    kept = [option for option in query.split("&") if not option.startswith(lacking)]
    with pytest.raises(ServerSelectionTimeoutError, match=reason):
        _touch(f"{address}?{'&'.join(kept)}", _REFUSED_MS)


def test_a_server_with_another_name_is_not_trusted(secure_door: SecureDoor, user: str) -> None:
    """The certificate is for localhost only."""
    with pytest.raises(ServerSelectionTimeoutError, match="certificate"):
        _touch(secure_door.tls_uri(user).replace("@localhost:", "@127.0.0.1:"), _REFUSED_MS)


def _told(uri: str) -> str:
    """What `check` says of the server, with its remedy; no command says less."""
    settings = load(env_file=None, mongo_uri=uri, mongo_timeout_seconds=_REFUSED_MS / 1000)
    result = reachable(Database.open(settings))
    assert result.status == "failed"
    assert PASSWORD not in result.detail + result.remedy
    assert "\n" not in result.detail
    return f"{result.detail} {result.remedy}"


def test_each_fault_of_a_certificate_is_one_line_by_the_setting(
    secure_door: SecureDoor, user: str, tmp_path: Path
) -> None:
    """Another authority, another name, expired; and a wrong password over TLS."""
    good, certificates = secure_door.tls_uri(user), make_certificates(tmp_path)
    theirs = quote(str(secure_door.certificates / "ca.pem"), safe="")
    assert "is of another name" in _told(good.replace("@localhost:", "@127.0.0.1:"))
    stranger = _told(good.replace(theirs, quote(str(certificates.stranger), safe="")))
    assert "authority that is not known here. Name a file" in stranger
    assert "tlsCAFile of MONGO_URI" in stranger
    with shaking_hands(certificates.server("expired")) as port:
        old = _told(f"mongodb://localhost:{port}/?tls=true&tlsCAFile={certificates.authority}")
    assert "certificate of MongoDB at MONGO_URI has expired" in old
    assert "user, password and authSource in MONGO_URI" in _told(
        good.replace(quote(PASSWORD, safe=""), "wr0ng")
    )


def test_a_wrong_key_password_is_one_clear_error_without_it(secure_door: SecureDoor, user: str) -> None:
    """It is a setting to mend, found before anything is sent."""
    wrong = secure_door.tls_uri(user).replace("KeyFilePassword=k3y", "KeyFilePassword=wr0ng-key")
    with pytest.raises(Exception, match="MONGO_URI") as caught:
        _touch(wrong)
    assert not isinstance(caught.value, PyMongoError)
    assert "wr0ng-key" not in str(caught.value)
