"""Where tables may lie, and what a store is told of its settings."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from settings import load


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("./lake", "./lake"),
        ("/data/my lake/", "/data/my lake"),
        ("s3://lake", "s3://lake"),
        ("s3://my.lake-1/a b/c/", "s3://my.lake-1/a b/c"),
        ("gs://lake/a", None),
        ("https://lake/a", None),
        ("s3://", None),
        ("s3://Lake_1/a", None),
        ("s3://lake/a?key=secret-7", None),
        ("s3://key:secret-7@lake/a", None),
    ],
)
def test_a_place_is_a_folder_or_a_bucket(given: str, expected: str | None) -> None:
    """Keys have settings of their own, and are not told when they stand in the address."""
    if expected is None:
        with pytest.raises(ConfigurationError, match=r"ESPORTS_DELTA_PATH: must be a folder, or s3") as told:
            load(env_file=None, esports_delta_path=given)
        assert "secret-7" not in str(told.value)
        return
    assert load(env_file=None, esports_delta_path=given).esports_delta_path == expected


def test_a_store_is_told_what_is_set_and_no_secret_is_shown() -> None:
    """What is not set is left to the machine; a folder is told nothing."""
    keys = {"aws_access_key_id": "id-secret", "aws_secret_access_key": "key-secret"}
    settings = load(env_file=None, aws_endpoint_url="http://localhost:1", aws_region="eu", **keys)
    store = settings.object_store
    address = {"aws_endpoint_url": "http://localhost:1", "aws_region": "eu", "aws_allow_http": "true"}
    assert store.options("s3://lake/a") == {**address, **keys}
    assert store.options("/lake/a") == {}
    assert "-secret" not in repr(store)
    assert {"id-secret", "key-secret"} <= set(settings.secrets())
    assert load(env_file=None, aws_endpoint_url="https://x").object_store.options("s3://a") == {
        "aws_endpoint_url": "https://x"
    }
