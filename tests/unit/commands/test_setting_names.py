"""Names of settings: unknown ones, earlier ones, and where a value comes from."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from commands.setting_names import origins, unknown_keys
from contracts import ConfigurationError
from contracts.setting_names import EARLIER_NAMES
from settings import load


def test_the_rest_of_a_broken_password_is_not_repeated(tmp_path: Path) -> None:
    """A secret with a line end in `.env` continues as if it were a key of its own."""
    (tmp_path / ".env").write_text("SERVICE_TOKEN=abc\nc4nary\nc4naryBase64==\n")
    assert unknown_keys(tmp_path / ".env") == [f"A line in {tmp_path / '.env'} is not a setting"] * 2


def test_an_unknown_key_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    """A misspelt key would otherwise be ignored in silence."""
    (tmp_path / ".env").write_text("MONGO_URL=mongodb://x\nLOG_LEVEL=INFO\n")
    assert unknown_keys(tmp_path / ".env") == [
        f"MONGO_URL in {tmp_path / '.env'} is not a setting; did you mean MONGO_URI?"
    ]


@pytest.mark.parametrize("in_environment", [True, False])
def test_a_setting_that_went_is_told_with_what_does_its_work(
    in_environment: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would be ignored in silence by whoever relied on it."""
    (tmp_path / ".env").write_text("" if in_environment else "SWEEP_INTERVAL_HOURS=24\n")
    monkeypatch.setenv("SWEEP_INTERVAL_HOURS", "24" if in_environment else "")
    (told,) = unknown_keys(tmp_path / ".env")
    assert told.startswith("SWEEP_INTERVAL_HOURS has no effect any more: ")
    assert "RECONCILE_INTERVAL_HOURS" in told


@pytest.mark.parametrize(("earlier", "name"), EARLIER_NAMES.items())
def test_an_earlier_name_works_and_is_told(
    earlier: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment and in `.env`; the nearer place counts, in one place the new name."""

    def given(in_environment: str, in_file: str) -> float:
        for key, value in {earlier: "", name: "", **dotenv_values(stream=StringIO(in_environment))}.items():
            monkeypatch.setenv(key, value or "")
        (tmp_path / ".env").write_text(in_file)
        return float(getattr(load(env_file=tmp_path / ".env"), name.lower()))

    for in_environment, in_file, counts in (
        (f"{earlier}=7", "", 7),
        ("", f"{earlier}=7", 7),
        (f"{earlier}=7\n{name}=8", f"{name}=9", 8),
        (f"{earlier}=7", f"{name}=9", 7),
        (f"{name}=8", f"{earlier}=7", 8),
        ("", f"{name}=9\n{earlier}=7", 9),
    ):
        assert given(in_environment, in_file) == counts
    told = f"{earlier} is called {name} now; the old name works until the next release"
    assert given("", f"{earlier}=7") == 7
    assert unknown_keys(tmp_path / ".env") == [told]
    assert origins(tmp_path / ".env")[name.lower()] == ".env"
    assert given(f"{earlier}=7", "") == 7
    assert unknown_keys(tmp_path / ".env") == [told]
    assert origins(tmp_path / ".env")[name.lower()] == "environment"
    if isinstance(getattr(load(env_file=None), name.lower()), str):
        return  # It takes any text.
    with pytest.raises(ConfigurationError, match=f"  {name}: "):
        given(f"{earlier}=often", "")
