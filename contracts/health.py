"""The health documents as the existing backend writes and reads them: metrics, sources, collections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from bson.objectid import ObjectId

# The backend's collections, and the one beside them in which the service keeps its cursor.
SOURCE_COLLECTION: Final = "healthmetrics"
RESULTS_COLLECTION: Final = "analytics"
CHECKPOINT_COLLECTION: Final = "analytics_checkpoints"

# Documents of these sources count in the health pipeline, unless PHONE_SOURCES says otherwise.
PHONE_SOURCES = ("googlefit", "manual")

# Only wearables measure these, so a value in any of them, at the top or among the metrics, marks a document
# that is not from a phone.
WEARABLE_FIELDS: Final = ("heartRate", "oxygenSaturation", "bloodOxygen")


def is_unknown_source(reason: str) -> bool:
    """Whether `reason` left a document out because of a source that the contract does not name."""
    return reason.startswith("source:") and reason != "source:import"


# The names of the ranges, as `timeRange` has them; analytics/health/schemas.py has their days.
RANGE_NAMES: Final = ("7day", "30day", "90day")

# userId, timeRange, metricType.
ResultKey = tuple[ObjectId, str, str]


# Of the documents' shape; rises when an earlier program would misread them. Without one it is 1.
RESULTS_VERSION: Final = 1
VERSION: Final = "metadata.schemaVersion"

# What of a result's metadata is its own, like its figures; all else tells of the calculation.
CONTENT_METADATA: Final = ("contentHash", "past", "basis")


class Results(Protocol):
    """The results of one calculation: a key and a hash each, and documents of those that are asked for.

    Two results have the same hash if they differ at most in `calculatedAt`, `expiresAt`, `createdAt`,
    `updatedAt`, and those `metadata` that are not in CONTENT_METADATA. A document has it as
    `metadata.contentHash`.
    """

    @property
    def keys(self) -> Sequence[ResultKey]:
        """By row."""
        ...

    @property
    def hashes(self) -> Sequence[str]:
        """By row."""
        ...

    def documents(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Build the documents of `rows`, without createdAt and updatedAt."""
        ...
