"""Dead letters tried again and purged: doing it twice changes no more than doing it once."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

from main import app
from monitoring.console import counted
from tests.contract.systems import WITH_TABLES, System
from tests.support.job import environment_of
from tests.support.odd_letters import lay_odd_letters

pytestmark = pytest.mark.parametrize("system", sorted(WITH_TABLES), indirect=True)


def test_letters_stay_while_they_are_refused_and_are_purged_for_good(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried twice, only the count of tries changes; purged twice, they are gone, and not made again."""
    system.send(range(5), [1000, 1002])
    assert system.run()
    before = {letter.id: letter.attempts for letter in system.letters()}
    for turn in (1, 2):
        outcome = system.retry(system.letters())
        assert (outcome.resolved, set(outcome.kept)) == ([], set(before))
        assert {letter.id: letter.attempts - turn for letter in system.letters()} == before
    for name, value in environment_of(system.settings()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(system.folder)
    for number in (len(before), 0):
        done = CliRunner().invoke(app, ["dlq", "purge", "--yes", "--pipeline", system.name])
        assert done.exit_code == 0, done.output
        assert f"{counted(number, 'letter')} deleted." in done.output
    system.lose_commit()
    assert system.run()
    assert system.letters() == []
    assert system.written() == list(range(5))


def test_a_mended_letter_is_written_once_and_goes(system: System) -> None:
    """Also when the process died between writing and removing the letter, so that it is tried again.

    Letters that cannot even be tried lie before it, and stop it neither time.
    """
    system.send(range(5), [1000])
    assert system.run()
    (letter,) = system.mend(1000)
    folder = system.settings().dlq_directory
    kept = folder.parent / "kept"
    odd = lay_odd_letters(folder, system.name, system.topic)
    shutil.copytree(folder, kept)
    tried = [*(one for one in system.letters() if one.id in odd), letter]
    for _turn in (1, 2):
        assert system.retry(tried).resolved == [letter.id]
        assert system.written() == [*range(5), 1000]
        assert {one.id for one in system.letters()} == {one.id for one in tried[:-1]}
        shutil.copytree(kept, folder, dirs_exist_ok=True)
    # Neither the stream nor what it reads anew has it once more.
    system.lose_checkpoint()
    system.send([5])
    assert system.run()
    assert system.written() == [*range(6), 1000]
    system.check()
