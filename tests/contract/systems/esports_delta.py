"""The esports pipeline's stream of matches, into a Delta table."""

from __future__ import annotations

from contextlib import suppress

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from tests.contract.systems.esports import Esports
from tests.support.arena import Arena
from tests.support.taken_away import give_back, take_away


class EsportsDelta(Esports):
    """The same with Delta tables on the disk in place of folders of Parquet."""

    sink_setting = "ESPORTS_DELTA_PATH"

    def _arena(self, fault: str = "", at_once: int = 1_000) -> Arena:
        self.options.setdefault("esports_delta_path", str(self.folder / "lake"))
        return super()._arena(fault, at_once)

    def cut(self) -> None:
        take_away(self.folder / "lake")

    def heal(self) -> None:
        give_back(self.folder / "lake")

    def written(self) -> list[int]:
        with suppress(TableNotFoundError):
            table = DeltaTable(str(self.folder / "lake" / "matches"))
            names = table.to_pyarrow_table(columns=["match_id"])["match_id"].to_pylist()
            return sorted(int(name[1:]) for name in names)
        return []
