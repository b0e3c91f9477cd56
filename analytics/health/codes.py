"""The metrics in the words of others: LOINC, UCUM and Open mHealth, by metricType. The one table of it.

LOINC codes are from loinc.org, units from ucum.org, schemas from openmhealth.org and IEEE 1752.1. A metric
that no code fits is told by a code of our own (docs/standards.md): heart points are Google Fit's invention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.health_metrics import METRICS

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
# Of metric types and figures that no public code means; the codes are metricType, or metricType.timeRange.
OWN_CODES: Final = "urn:spark-health-analytics:codes"
OMH, IEEE, OWN_SCHEMAS = "omh", "ieee", "spark-health-analytics"
ACTIVITY, VITAL_SIGNS = "activity", "vital-signs"


@dataclass(frozen=True, slots=True)
class Code:
    """One metric: its LOINC code and name, "" without; the UCUM unit of a day's value and of a plain one.

    `schema` is the Open mHealth schema as namespace, name and version, `field` the value's place in it, and
    `unit` the word that schema has for the unit. `category` is FHIR's.
    """

    loinc: str
    display: str
    ucum: str
    schema: tuple[str, str, str]
    field: str
    unit: str
    category: str = ACTIVITY


CODES: Final = {
    "steps": Code(
        "41950-7", "Number of steps in 24 hour Measured", "{steps}/d",
        (OMH, "step-count", "3.0"), "step_count", "steps",
    ),
    "distance": Code(
        "41953-1", "Walking distance 24 hour Calculated", "km",
        (OMH, "physical-activity", "1.2"), "distance", "km",
    ),
    "calories": Code(
        "41979-6", "Calories burned in 24 hour Calculated", "kcal/d",
        (OMH, "physical-activity", "1.2"), "kcal_burned", "kcal",
    ),
    "activeMinutes": Code(
        "55411-3", "Exercise duration", "min",
        (IEEE, "physical-activity", "1.0"), "duration", "min",
    ),
    "weight": Code(
        "29463-7", "Body weight", "kg",
        (OMH, "body-weight", "3.0"), "body_weight", "kg", VITAL_SIGNS,
    ),
    "sleepHours": Code(
        "93832-4", "Sleep duration", "h",
        (OMH, "sleep-duration", "2.0"), "sleep_duration", "h",
    ),
    "hydration": Code(
        "75301-2", "Fluid intake 24 hour Estimated", "L/d",
        (OWN_SCHEMAS, "hydration", "1.0"), "hydration", "L",
    ),
    "heartPoints": Code(
        "", "", "{points}/d",
        (OWN_SCHEMAS, "heart-points", "1.0"), "heart_points", "points",
    ),
}  # fmt: skip


def code_of(metric: str) -> Code:
    """The code of a metric; of one that the table does not know, as when it was just added, our own."""
    about = METRICS[metric]
    own = Code("", "", f"{{{about.unit}}}", (OWN_SCHEMAS, metric.lower(), "1.0"), metric, about.unit)
    return CODES.get(metric, own)
