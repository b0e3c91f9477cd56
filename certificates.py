"""Why a server's certificate is not trusted, in the same words whatever driver says so in its own."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress

_EXPIRED = "has expired"
_EARLY = "is not valid yet, by this machine's clock"
_OTHER_NAME = "is of another name than the one that was asked for"
_STRANGER = "is signed by an authority that is not known here"
# What is left where the driver says no more.
UNTRUSTED = f"is not trusted: it {_EXPIRED}, {_OTHER_NAME}, or {_STRANGER}"
# What Java, OpenSSL, libpq and pymongo write. Java tells of an expired one as a path that could not be
# validated, so the order counts.
_MEANINGS = (
    (r"certificate (has )?expired|NotAfter", _EXPIRED),
    (r"certificate is not yet valid|NotBefore", _EARLY),
    (r"(hostname|address) mismatch|not match host name|No name matching|No subject alternative", _OTHER_NAME),
    (r"self.signed|unable to get (local )?issuer|unable to find valid certification|PKIX path", _STRANGER),
    (r"certificate.verify.failed|certificate could not be verified", UNTRUSTED),
)


def why_untrusted(said: str) -> str | None:
    """What is wrong with the certificate that the text of an error tells of; None when it tells of none."""
    found = (meaning for pattern, meaning in _MEANINGS if re.search(pattern, said, re.IGNORECASE))
    return next(found, None)


def remedy(why: str, address: str, authorities: str) -> str:
    """What to do about `why`: `address` is the setting that names the server, `authorities` their file."""
    renew, rename = "renew it on the server", f"write the name that it has into {address}"
    trust = f"name a file with the authority's certificate in {authorities}"
    clock = "correct the clock"
    known = {_EXPIRED: renew, _EARLY: clock, _OTHER_NAME: rename, _STRANGER: trust}
    words = known.get(why, f"{renew}, {rename}, or {trust}")
    return f"{words[0].upper()}{words[1:]}."


def said_of(
    host: str, port: int, authorities: str | None, greeting: bytes = b"", seconds: float = 5.0
) -> str:
    """What OpenSSL says against a server's certificate, for a driver that does not tell; else empty.

    `authorities` is a file in PEM, None for this machine's own; `greeting` is what a server wants to hear
    before it speaks TLS, and answers with one byte.
    """
    with suppress(OSError, ValueError):
        context = ssl.create_default_context(cafile=authorities)
        with socket.create_connection((host, port), seconds) as plain:
            if greeting:
                plain.sendall(greeting)
                plain.recv(1)
            try:
                context.wrap_socket(plain, server_hostname=host).close()
            except ssl.SSLCertVerificationError as error:
                return str(error)
    return ""
