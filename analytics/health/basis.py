"""What results say of the documents that they were computed from, so that others can compare it with them.

A poll cannot see that a document is gone, or was committed too late. Whoever has what the results were
computed from can: equal digests are of the same versions of the same days.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from analytics.health.schemas import RANGES
from contracts.health_metrics import METRICS

_BITS: Final = 64
_PACKED: Final = struct.Struct("<qqQ")
PACKED_BYTES: Final = _PACKED.size


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of some documents their number, and the sum of a hash of each one's `date` and `updatedAt`.

    `digest` has 64 bits with a sign, as BSON has them. Sums of other versions are equal by chance once in
    2⁶⁴; the fingerprint of two sets without a common document is the sum of theirs.
    """

    documents: int = 0
    digest: int = 0

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.documents + other.documents, signed(self.digest + other.digest))

    def stored(self) -> dict[str, int]:
        """The same for MongoDB."""
        return {"documents": self.documents, "digest": self.digest}


def signed(digest: int) -> int:
    """The lowest 64 bits of `digest`, as a number with a sign."""
    digest &= (1 << _BITS) - 1
    return digest - (1 << _BITS) if digest >> (_BITS - 1) else digest


def fingerprint_of(stored: Any) -> Fingerprint | None:
    """The fingerprint that `stored` tells of; None where it is none."""
    if not isinstance(stored, Mapping):
        return None
    documents, digest = stored.get("documents"), stored.get("digest")
    if not (isinstance(documents, int) and isinstance(digest, int)):
        return None
    return Fingerprint(int(documents), int(digest))


@dataclass(frozen=True, slots=True)
class Basis:
    """Of one user the fingerprint of all documents that have a day, and the metrics with a value in them."""

    fingerprint: Fingerprint
    metrics: frozenset[str]

    @property
    def holder(self) -> str | None:
        """The metric whose 7-day result tells of the basis; None without any result."""
        return next((name for name in METRICS if name in self.metrics), None)

    def stored(self) -> dict[str, int]:
        """The same for MongoDB; of the metrics the number of results that they give."""
        return {**self.fingerprint.stored(), "results": len(self.metrics) * len(RANGES)}

    def packed(self) -> bytes:
        """The same as bytes, for `unpacked` in another process."""
        mask = sum(1 << number for number, name in enumerate(METRICS) if name in self.metrics)
        return _PACKED.pack(self.fingerprint.documents, self.fingerprint.digest, mask)


def unpacked(packed: bytes) -> Basis:
    """The basis that another process packed."""
    documents, digest, mask = _PACKED.unpack(packed)
    names = frozenset(name for number, name in enumerate(METRICS) if mask >> number & 1)
    return Basis(Fingerprint(documents, digest), names)
