"""The systems that keep the contract; another one is a class more."""

from tests.contract.systems.ecommerce import Ecommerce
from tests.contract.systems.esports import Esports
from tests.contract.systems.esports_delta import EsportsDelta
from tests.contract.systems.health import Health
from tests.contract.systems.stock import Stock
from tests.contract.systems.system import System
from tests.contract.systems.toy import Toy

__all__ = ["SYSTEMS", "WITH_TABLES", "System"]

SYSTEMS: dict[str, type[System]] = {one.name: one for one in (Health, Stock, Esports, Ecommerce, Toy)}
# With those that write tables instead, for what depends on the sink: a batch's death, a letter's retry.
WITH_TABLES: dict[str, type[System]] = {**SYSTEMS, "esports-delta": EsportsDelta}
