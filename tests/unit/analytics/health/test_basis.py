"""What results say of their documents survives every way that it is kept or sent."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.health.basis import PACKED_BYTES, Basis, Fingerprint, fingerprint_of, unpacked
from contracts.health_metrics import METRICS

_FINGERPRINTS = st.builds(Fingerprint, st.integers(0, 10**6), st.integers(-(2**63), 2**63 - 1))


@given(fingerprint=_FINGERPRINTS, metrics=st.frozensets(st.sampled_from(sorted(METRICS))))
def test_a_basis_comes_back_as_it_was(fingerprint: Fingerprint, metrics: frozenset[str]) -> None:
    """From bytes, and from MongoDB."""
    basis = Basis(fingerprint, metrics)
    assert len(basis.packed()) == PACKED_BYTES
    assert unpacked(basis.packed()) == basis
    stored = bson.decode(bson.encode(basis.stored()))
    assert fingerprint_of(stored) == fingerprint
    assert stored["results"] == 3 * len(metrics)
    assert basis.holder == next((name for name in METRICS if name in metrics), None)


@given(one=_FINGERPRINTS, two=_FINGERPRINTS, three=_FINGERPRINTS)
def test_fingerprints_add_up_in_any_order(one: Fingerprint, two: Fingerprint, three: Fingerprint) -> None:
    """And stay what BSON can hold."""
    assert (one + two) + three == three + (two + one)
    assert bson.encode((one + two).stored())
    assert one + Fingerprint() == one


@pytest.mark.parametrize(
    "stored",
    [None, [], "x", {}, {"documents": 1}, {"documents": "1", "digest": 1}, {"documents": 1, "digest": 1.5}],
)
def test_what_is_no_fingerprint_is_none(stored: Any) -> None:
    """Other programs may have stored anything."""
    assert fingerprint_of(stored) is None
