"""Days and results as FHIR R4 Observations (hl7.org/fhir/R4/observation.html), one resource each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from analytics.health.codes import ACTIVITY, LOINC, OWN_CODES, UCUM, code_of
from analytics.health.formulas import day_name
from analytics.health.schemas import RANGES
from contracts.health_metrics import METRICS

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
# Figures of a result that have a unit of their own; the others are in the metric's.
_PERCENT: Final = "%"


def day_observation(user: str, metric: str, day: int, value: float) -> dict[str, Any]:
    """The `value` of a `day` (since 1970-01-01) of the person `user`; its id is the same each time."""
    coding = _codings(metric)
    return {
        **_head(user, f"{metric}/{day_name(day)}", coding),
        **_category(code_of(metric).category),
        "effectiveDateTime": day_name(day),
        "valueQuantity": _quantity(metric, value),
    }


def result_observation(user: str, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """A stored analytics document: its mean as the value, the other figures as components.

    None where it has no day.
    """
    metric, name, found = result["metricType"], result["timeRange"], result["analytics"]
    days = [each["date"] for each in result.get("historicalData") or ()]
    if not days:
        return None
    label = METRICS[metric].label
    coding = {
        "coding": [{"system": OWN_CODES, "code": f"{metric}.{name}"}],
        "text": f"{label}, mean of the days with a value among {RANGES[name]}",
    }
    return {
        **_head(user, f"{metric}/{name}", coding),
        # A mean is no vital sign, whose profile asks for the code of one.
        **_category(ACTIVITY),
        "effectivePeriod": {"start": f"{min(days):%Y-%m-%d}", "end": f"{max(days):%Y-%m-%d}"},
        "issued": _instant(result["calculatedAt"]),
        "valueQuantity": _quantity(metric, found["rollingAverage"]),
        "component": [*_components(found)],
    }


def _components(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _component("trend", {"valueString": str(found["trend"])}),
        _component("trendPercentage", _measured(found["trendPercentage"], _PERCENT)),
        _component("streakDays", _measured(found["streakDays"], "d")),
        _component("percentile", _measured(found["percentile"], _PERCENT)),
        _component("anomalyDetected", {"valueBoolean": bool(found["anomalyDetected"])}),
    ]


def _component(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": {"coding": [{"system": OWN_CODES, "code": name}], "text": name}, **value}


def _measured(value: float, unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}


def _category(name: str) -> dict[str, Any]:
    return {"category": [{"coding": [{"system": _CATEGORY, "code": name}]}]}


def _head(user: str, what: str, coding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": str(uuid5(NAMESPACE_URL, f"{OWN_CODES}:{user}/{what}")),
        "status": "final",
        "code": dict(coding),
        "subject": {"identifier": {"system": OWN_CODES + ":users", "value": user}},
    }


def _codings(metric: str) -> dict[str, Any]:
    code, label = code_of(metric), METRICS[metric].label
    own = {"system": OWN_CODES, "code": metric, "display": label}
    public = [{"system": LOINC, "code": code.loinc, "display": code.display}] if code.loinc else []
    return {"coding": [*public, own], "text": label}


def _quantity(metric: str, value: float) -> dict[str, Any]:
    ucum = code_of(metric).ucum
    return {"value": value, "unit": METRICS[metric].unit, "system": UCUM, "code": ucum}


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
