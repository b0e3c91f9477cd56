"""The health documents as the existing backend writes and reads them: metrics, sources, collections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as people read it, and the smallest and greatest value that is accepted, in `unit`.

    Neither more nor less of a `neutral` metric is an improvement. `did` says in a sentence what a value of a
    day means; one long walk moves all metrics of `movement`.
    """

    label: str
    unit: str
    low: float
    high: float
    neutral: bool = False
    did: str = ""
    movement: bool = False

    def sentence(self, amount: str) -> str:
        """`walked 9,771 steps`, of the `amount` 9,771."""
        return self.did.format(amount) if self.did else f"had {amount} {self.unit} of {self.label.lower()}"


# By metricType, in the order in which they are put out and offered. A new one is added here and nowhere else.
METRICS: Final = {
    "steps": Metric("Steps", "steps", 0, 100_000, did="walked {} steps", movement=True),
    "distance": Metric("Distance", "km", 0, 500, did="covered {} km", movement=True),
    "calories": Metric("Calories", "kcal", 0, 10_000, did="burned {} kcal", movement=True),
    "activeMinutes": Metric(
        "Active minutes", "min", 0, 1_440, did="was active for {} minutes", movement=True
    ),
    "weight": Metric("Weight", "kg", 30, 300, neutral=True, did="weighed {} kg"),
    "sleepHours": Metric("Sleep", "h", 0, 24, did="slept {} hours"),
    "heartPoints": Metric("Heart points", "points", 0, 500, did="earned {} heart points", movement=True),
    "hydration": Metric("Hydration", "l", 0, 10, did="drank {} l"),
}


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
