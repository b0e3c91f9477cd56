"""Two processes never write one thing: the second is refused, and does not disturb the first."""

from __future__ import annotations

import pytest

from pipelines.engine.stop_flag import StopFlag
from tests.contract.systems import System
from tests.contract.systems.running import command, opened


def test_a_second_instance_is_refused_with_one_line(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it would run the pipeline or try letters; with the same checkpoint, or only the same sink."""
    came = system.send(range(5), [1000])
    with opened(system) as first:
        assert first.once(StopFlag())
        others = [{}, {"checkpoint_location": system.folder / "another"}] if system.locks_sink else [{}]
        for system.options in others:
            for arguments in (("--once", "--job", system.part), ("dlq", "retry")):
                capsys.readouterr()
                assert command(system, *arguments) == 2, arguments
                told = capsys.readouterr()
                assert told.err.startswith("❌ Another ")
                assert len(told.err.splitlines()) == 1
                assert "Starting" not in told.out
        system.options = {}
        came += system.send(range(5, 10), [1001])
        assert first.once(StopFlag())
    assert system.written() == list(range(10))
    assert system.refused().total() == 2
    if system.knows_records:
        assert [entry["records_processed"] for entry in system.log()] == [came // 2 + came % 2, came // 2]
    assert command(system, "--once", "--job", system.part) == 0
    system.check()
