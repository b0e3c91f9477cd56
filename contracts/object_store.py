"""Where tables lie that need no local disk: an address, and how an S3-compatible store is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import SecretStr

S3 = "s3://"


_S3_ADDRESS = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/?#\x00-\x1f]+)*/?"


def table_place(value: str) -> str:
    """Returns a folder, or `s3://bucket/prefix`, without a slash at its end; or raises ValueError."""
    if "://" in value and not re.fullmatch(_S3_ADDRESS, value):
        raise ValueError("must be a folder, or s3://bucket/prefix; the AWS_… settings say the rest")
    return value.rstrip("/") or value


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The AWS_… settings; what is empty is taken from the machine, such as the role of a container."""

    endpoint_url: str
    region: str
    access_key_id: SecretStr
    secret_access_key: SecretStr
    session_token: SecretStr

    def options(self, address: str) -> dict[str, str]:
        """Returns the storage options of delta-rs for a table at `address`; some are secret."""
        if not address.startswith(S3):
            return {}
        given = {
            "aws_endpoint_url": self.endpoint_url,
            "aws_region": self.region,
            "aws_access_key_id": self.access_key_id.get_secret_value(),
            "aws_secret_access_key": self.secret_access_key.get_secret_value(),
            "aws_session_token": self.session_token.get_secret_value(),
            # A server on this machine or in its network; for the public stores the address says https.
            "aws_allow_http": "true" if self.endpoint_url.startswith("http://") else "",
        }
        return {name: value for name, value in given.items() if value}
