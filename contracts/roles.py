"""The roles of the dashboard's visitors, and who has which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Role = Literal["administrator", "accountant", "operator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


def roles_text(text: str) -> str:
    """A text that `roles_by_person` can read, as it stands; raises ValueError for another one."""
    roles_by_person(text)
    return text


def roles_by_person(text: str) -> Mapping[str, frozenset[Role]]:
    """The roles in a text such as `a@x.org=administrator,b@x.org=operator+accountant`, by address.

    Addresses are in small letters, since those of a person are compared without regard to them. Raises
    ValueError that names the rule, not the person.
    """
    found: dict[str, frozenset[Role]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        address, equals, named = (part.strip() for part in entry.partition("="))
        names = {name.strip() for name in named.split("+")}
        if not equals or address.count("@") != 1 or not address.isprintable() or " " in address:
            raise ValueError("must be ADDRESS=ROLE, several separated by commas, such as a@x.org=operator")
        if unknown := names.difference(ROLES):
            raise ValueError(f"has the role {min(unknown)!r}; the roles are {', '.join(ROLES)}, joined by +")
        if address.casefold() in found:
            raise ValueError("names an address twice; join its roles by +")
        found[address.casefold()] = frozenset(role for role in ROLES if role in names)
    return found
