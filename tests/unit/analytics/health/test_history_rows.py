"""Documents as rows of their byte layouts count as they do one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.health.history_rows import judge_rows
from analytics.health.history_table import history_table
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules, check_document
from contracts.plain_documents import Rows
from sources.health.layouts import Layouts
from sources.health.replies import decoded
from tests.support.byte_layouts import TODAY, USERS, replies

ZONES = st.sampled_from(["UTC", "Pacific/Kiritimati"])


def _told(table: pa.Table) -> str:
    """All cells: as text, -0.0 is another number than 0.0."""
    return repr(table.to_pydict())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    replies(), st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Adak"]), st.integers(0, 2), st.data()
)
def test_rows_of_layouts_give_the_table_of_single_documents(
    raw: list[bytes], zone: str, since: int, data: st.DataObject
) -> None:
    """Cell by cell, with the same superseded ones; in one reply or in several, whatever lies between them."""
    rules = DayRules(zone, today=TODAY.date())
    single, sorted_out = (Superseded(TODAY + timedelta(minutes=since)) for _ in range(2))
    expected = history_table(map(decoded, raw), USERS, rules, single)
    layouts = Layouts(decoded)
    cut = data.draw(st.integers(0, len(raw)))
    found: list[Rows | dict[str, Any]] = []
    for reply in (raw[:cut], raw[cut:]):
        rows, others = layouts.sort(b"".join(reply))
        assert sorted(
            map(repr, [*(d for each in rows for d in each.documents()), *map(decoded, others)])
        ) == (sorted(repr(decoded(each)) for each in reply))
        found += [*rows, *map(decoded, others)]
    table = history_table(found, USERS, rules, sorted_out)
    assert table.schema == expected.schema
    assert _told(table) == _told(expected)
    assert _numbers(sorted_out) == _numbers(single)


def _numbers(superseded: Superseded) -> set[bytes]:
    packed = superseded.packed()
    return {packed[start : start + 8] for start in range(0, len(packed), 8)}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(replies(), ZONES)
def test_rows_are_judged_like_single_documents(raw: list[bytes], zone: str) -> None:
    """Clear ones count, or are left out for the one reason; all that has something to refuse is not clear."""
    rules = DayRules(zone, today=TODAY.date())
    for rows in Layouts(decoded).sort(b"".join(raw))[0]:
        clear, left_out = judge_rows(rows, rules)
        for document, is_clear in zip(rows.documents(), clear.tolist(), strict=True):
            checked = check_document(document, rules)
            assert is_clear == (not checked.rejections)
            assert not is_clear or (checked.counts, checked.left_out) == (not left_out, left_out)
