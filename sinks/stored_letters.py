"""Reading a queue of dead letters: whose they are, which there are, and what is damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from contracts import ConfigurationError
from sinks.letter_files import GROUP_DIGITS, LETTER_ID, DamagedLetter, Letter, Owner, read_letter
from sinks.letter_folder import SHOWN_ID, LetterFile, LetterFolder
from told import told

# Of an id, in texts and names of files; one with SHOWN_ID digits is of an earlier version of this service,
# whose ids had `updatedAt`.
DIGITS = 16


class StoredLetters:
    """The letters in a folder.

    Letters of another owner are left alone; only `named` can show them. Letters of earlier versions of this
    service have no owner and may be of any deployment that uses the folder: they are listed and tried like
    one's own.
    """

    def __init__(
        self, directory: str | Path, prefix: str, owner: Owner | None = None, listed_by: str = "dlq list"
    ) -> None:
        """Without an `owner` every letter counts as one's own. `listed_by` is the command that lists them."""
        self._owner = owner
        self._folder = LetterFolder(Path(directory), prefix)
        self._listed_by = f"`{told(listed_by)} --all`"

    @property
    def directory(self) -> Path:
        """Where the letters are."""
        return self._folder.directory

    def owns(self, letter: Letter) -> bool:
        """Whether `letter` is known to be of this owner, so that its record can be looked up here."""
        return self._owner is None or letter.owner == str(self._owner)

    def others(self) -> Mapping[str, int]:
        """How many letters of others lie in the folder, by the name of their owner."""
        counts: Counter[str] = Counter()
        names: dict[str, str] = {}
        for file in self._folder.files():
            if not self._is_mine(file) and file.tag is not None:
                if file.tag not in names:
                    letter = read_letter(file.path)
                    owner = letter.owner if isinstance(letter, Letter) else None
                    names[file.tag] = Owner.parse(owner).name if owner else file.tag
                counts[names[file.tag]] += 1
        return counts

    def read(self) -> Iterator[Letter | DamagedLetter]:
        """Read this owner's letters one after another, the oldest first, and what is damaged among them."""
        found = (read_letter(file.path) for file in self._files())
        return (each for each in found if each is not None)

    def each(self) -> Iterator[Letter]:
        """Read this owner's letters one after another, the oldest first; passes over what is damaged."""
        return (each for each in self.read() if isinstance(each, Letter))

    def list(self) -> list[Letter]:
        """Returns all letters of this owner, oldest first."""
        return sorted(self.each(), key=lambda letter: (letter.time, letter.id))

    def newest(self, limit: int) -> Sequence[Letter]:
        """Returns those of the newest `limit` letters that can be read, oldest first."""
        return letters_in(self._files()[-limit:])

    def last_seen_before(self, moment: datetime) -> Sequence[Path]:
        """The files of letters whose record was refused last before `moment`, and what is damaged since then.

        A file whose name has no time is left alone.
        """
        named = [file for file in self._files() if file.time is not None and file.time < moment]
        # One at a time: each may hold hundreds of records.
        return [file.path for file in named if _is_over(read_letter(file.path), moment)]

    def count(self) -> int:
        """How many letters there are, damaged ones too, without reading them."""
        return len(self._files())

    def paths(self, of_others: bool = False) -> Sequence[Path]:
        """The files of this owner's letters, damaged and half-written ones too; or those of all others."""
        files = [file.path for file in self._folder.files() if self._is_mine(file) is not of_others]
        return files if of_others else [*files, *self._folder.leftovers()]

    def leftovers(self, before: datetime) -> Sequence[Path]:
        """What a crash before this moment left of letters that were being written, whoever's."""
        return [path for path in self._folder.leftovers() if path.stat().st_mtime < before.timestamp()]

    def beginnings(self) -> Iterator[tuple[Path, str]]:
        """The files of letters, each with the digits with which the ids of its group begin."""
        return ((file.path, file.id[:GROUP_DIGITS]) for file in self._files())

    def waiting(self) -> tuple[int, datetime | None]:
        """Returns the number of letters and when the oldest was stored; looks at their names alone."""
        files = self._files()
        return len(files), next((time for file in files if (time := file.time) is not None), None)

    def is_there(self) -> bool:
        """Whether the folder was made. Raises DeadLetterError where it cannot be looked at."""
        return self._folder.is_there()

    def named(self, name: str, of_anybody: bool = False) -> Sequence[Letter | DamagedLetter]:
        """The letter whose id begins with `name` and its copies, or what is damaged under the name.

        Raises ConfigurationError unless there is exactly one id; also for a letter of another database,
        because there it must be retried or purged, unless `of_anybody`. Owners of one name at two addresses
        count as one, since servers are moved and renamed.
        """
        damaged = [each for each in self._damaged(name) if each is not None]
        if not damaged and not LETTER_ID.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not a letter's id; {self._listed_by} shows them.")
        letters = self._found(name)
        ids = sorted({letter.id for letter in letters})
        if len(ids) > 1 or not (ids or damaged):
            shown = f" ({', '.join(each[:DIGITS] for each in ids[:5])})" if ids else ""
            raise ConfigurationError(
                f"{len(ids)} letters begin with {name}{shown}; {self._listed_by} shows all."
            )
        owner = letters[0].owner and Owner.parse(letters[0].owner) if letters else None
        if owner and self._owner and owner.name != self._owner.name and not of_anybody:
            raise ConfigurationError(
                f"The letter {name} belongs to {owner.name}, and the settings name {self._owner.name}: "
                "it is left alone. Retry or purge it with the settings of its own database or folder."
            )
        return [*letters, *damaged]

    def _damaged(self, name: str) -> Iterator[DamagedLetter]:
        """What is damaged of the files with this name, or with the id that begins so in their name."""
        is_id = LETTER_ID.fullmatch(name)
        for file in self._files():
            if name == file.path.name or (is_id and file.id.startswith(name[:SHOWN_ID])):
                found = read_letter(file.path)
                if isinstance(found, DamagedLetter):
                    yield found

    def _found(self, letter_id: str) -> Sequence[Letter]:
        """Every letter, of any owner, whose id begins with `letter_id`.

        Reads only files with such names and those that a person named, and all when none of them has it.
        """
        files, begins = self._folder.files(), letter_id[:SHOWN_ID]
        named = letters_in(file for file in files if file.id.startswith(begins) or file.is_renamed)
        found = [letter for letter in named if letter.id.startswith(letter_id)]
        return found or [letter for letter in letters_in(files) if letter.id.startswith(letter_id)]

    def _files(self) -> Sequence[LetterFile]:
        return [file for file in self._folder.files() if self._is_mine(file)]

    def _is_mine(self, file: LetterFile) -> bool:
        return self._owner is None or file.tag in (None, self._owner.tag)


def letters_in(files: Iterable[LetterFile]) -> Sequence[Letter]:
    """Read those of `files` that hold a letter."""
    return [letter for file in files if isinstance(letter := read_letter(file.path), Letter)]


def _is_over(letter: Letter | DamagedLetter | None, moment: datetime) -> bool:
    if isinstance(letter, Letter):
        return letter.newest < moment
    return letter is not None
