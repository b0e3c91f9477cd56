"""Fault injection: off unless asked for, and at the named occurrence only."""

from __future__ import annotations

import os
import signal

import pytest
from bson import ObjectId

from contracts import ConfigurationError
from pipelines.engine.faults import Faults, InjectedFaultError


def test_without_a_fault_every_point_is_passed() -> None:
    """The product must not notice the points."""
    Faults().reach("write")


def test_raise_strikes_at_the_nth_occurrence_of_its_step() -> None:
    """Other steps and other occurrences pass."""
    faults = Faults("write:raise:2")
    faults.reach("poll")
    faults.reach("write")
    with pytest.raises(InjectedFaultError):
        faults.reach("write")
    faults.reach("write")


def test_a_fault_for_a_user_strikes_each_time_he_is_to_be_computed() -> None:
    """Other users pass, and so do the named points themselves."""
    faults = Faults("compute:raise:user=64b000000000000000000001")
    faults.reach("compute")
    faults.about_to_compute([ObjectId("64b000000000000000000002")])
    for _ in range(2):
        with pytest.raises(InjectedFaultError):
            faults.about_to_compute(
                [ObjectId("64b000000000000000000002"), ObjectId("64b000000000000000000001")]
            )
    Faults("compute:raise:1").about_to_compute([ObjectId("64b000000000000000000001")])


@pytest.mark.parametrize("spec", ["write", "write:explode", "write:raise:often"])
def test_a_wrong_spec_is_refused(spec: str) -> None:
    """A typo must not silently test nothing."""
    with pytest.raises(ConfigurationError):
        Faults(spec)


def test_windows_has_other_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """There any of them ends a process at once, and none stops one until it is let go on."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    for name in ("SIGKILL", "SIGSTOP"):
        monkeypatch.delattr(signal, name)
    with pytest.raises(InjectedFaultError):
        Faults("write:kill:1").reach("write")
    assert killed == [(os.getpid(), signal.SIGTERM)]
    with pytest.raises(ConfigurationError, match="write:stop"):
        Faults("write:stop:1")
