"""The metrics of the health pipeline, as the catalogue in use has them.

The catalogue is a file: metric_catalogue.ini beside this module, with what a file of the team's own changes
of it (health_metric_file.py). A process has one in use: the shipped one, until the settings name another.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from contracts.effects import LeastEffect

Better = Literal["more", "less", "neither"]
Comparison = Literal[">", ">=", "<", "<="]
Severity = Literal["low", "medium", "high"]
_HOLDS: Final[Mapping[str, Callable[[Any, float], Any]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_WORDS: Final = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
_Derived = TypeVar("_Derived")


@dataclass(frozen=True, slots=True)
class StreakRule:
    """Which days a streak counts: those whose value `compares` so with the `bound`."""

    compares: Comparison
    bound: float

    def holds(self, value: Any) -> Any:
        """Whether `value` counts; of an array, of each of its values."""
        return _HOLDS[self.compares](value, self.bound)

    @property
    def sql(self) -> str:
        """The same of the column `value`."""
        return f"value {self.compares} {self.bound!r}D"

    def words(self, unit: str) -> str:
        """`more than 1,000 steps`."""
        return f"{_WORDS[self.compares]} {self.bound:,.10g} {unit}"


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told of a metric when it is new; nothing by default.

    Anomalies from a severity on, streaks as soon as they are as long as one of `streaks` days, and that no
    value came for `silent_days`.
    """

    anomalies_from: Severity | None = None
    streaks: tuple[int, ...] = ()
    silent_days: int | None = None


_HALF: Final = LeastEffect(0.5, True)
_NOTHING: Final = Telling()


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as people read it, and the smallest and greatest value that is accepted, in `unit`.

    `did` says in a sentence what a value of a day means; one long walk moves all metrics of `movement`. An
    anomaly of a smaller effect than `least` is stored, and left out of what people are shown.
    """

    label: str
    unit: str
    low: float
    high: float
    better: Better = "neither"
    did: str = ""
    movement: bool = False
    streak: StreakRule | None = None
    least: LeastEffect = _HALF
    tell: Telling = _NOTHING

    @property
    def neutral(self) -> bool:
        """Whether neither more nor less is an improvement."""
        return self.better == "neither"

    @property
    def rules(self) -> tuple[Any, ...]:
        """What its results depend on: after a change of these they are to be computed again."""
        return self.low, self.high, self.better, self.streak

    def sentence(self, amount: str) -> str:
        """`walked 9,771 steps`, of the `amount` 9,771."""
        return self.did.format(amount) if self.did else f"had {amount} {self.unit} of {self.label.lower()}"


class Metrics(Mapping[str, Metric]):
    """The catalogue in use, by metricType, in its order."""

    def __init__(self) -> None:
        self._found: Mapping[str, Metric] | None = None

    @property
    def current(self) -> Mapping[str, Metric]:
        """The same object as long as the same catalogue is in use."""
        if self._found is None:
            # Here, because an import reads no file.
            from contracts.health_metric_file import shipped

            self._found = shipped()
        return self._found

    def use(self, metrics: Mapping[str, Metric]) -> None:
        """Take `metrics` as the catalogue from now on."""
        # Also in another order it would be another one: results are put out in this order.
        if self._found is None or list(self._found.items()) != list(metrics.items()):
            self._found = metrics

    def __getitem__(self, name: str) -> Metric:
        return self.current[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)


METRICS: Final = Metrics()


class OfMetrics(Generic[_Derived]):
    """What `make` makes of METRICS, made once for a catalogue."""

    def __init__(self, make: Callable[[], _Derived]) -> None:
        self.__doc__ = make.__doc__
        self._make = make
        self._made: tuple[Mapping[str, Metric], _Derived] | None = None

    def __call__(self) -> _Derived:
        """What it is for the catalogue in use."""
        made = self._made
        # Not by `current`: documents are judged one by one.
        if made is None or made[0] is not METRICS._found:
            made = self._made = METRICS.current, self._make()
        return made[1]
