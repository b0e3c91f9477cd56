"""Tells at the start that the catalogue of metrics is another one than that of the stored results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from analytics.health.words import listed
from checkpoint.store import CATALOGUE, CheckpointStore
from contracts.health_metric_file import shipped
from contracts.health_metrics import METRICS, Metric
from told import told


def rules_of(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """By metric a name of the rules that its results depend on."""
    return {
        name: blake2b(repr(metric.rules).encode(), digest_size=8).hexdigest()
        for name, metric in metrics.items()
    }


def catalogue_name(metrics: Mapping[str, Metric]) -> str:
    """The same name as long as results are computed alike."""
    return blake2b(repr(sorted(rules_of(metrics).items())).encode(), digest_size=8).hexdigest()


def note_catalogue(store: CheckpointStore) -> None:
    """Note that all results are of the catalogue in use: a full pass has just computed them."""
    store.write_notes(rules_of(METRICS), CATALOGUE)


def changed_catalogue(store: CheckpointStore) -> str | None:
    """A sentence on how the catalogue in use differs from that of the last full pass; None if it does not.

    Without a full pass that noted it, it was the shipped one.
    """
    before, now = store.read_notes(CATALOGUE) or rules_of(shipped()), rules_of(METRICS)
    parts = list(_differences(before, now))
    if not parts:
        return None
    return (
        f"The catalogue of metrics has changed: {', '.join(parts)}. Results follow as people's data change; "
        f"`{told('batch --full')}` computes all of them now."
    )


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    kinds = {
        "new": [name for name in now if name not in before],
        "taken away": [name for name in before if name not in now],
        "of other rules": [name for name in now if name in before and now[name] != before[name]],
    }
    for what, names in kinds.items():
        if names:
            yield f"{listed(names)} {'is' if len(names) == 1 else 'are'} {what}"
