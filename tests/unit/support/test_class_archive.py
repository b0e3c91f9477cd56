"""The archive of Spark's classes, without which every test that starts Java takes nearly twice as long."""

from __future__ import annotations

from tests.support.class_archive import archive


def test_the_archive_holds_sparks_classes() -> None:
    """Java says nothing when it cannot make it: then only the launcher's few classes (2 MB) are in there."""
    assert archive().stat().st_size > 50_000_000
