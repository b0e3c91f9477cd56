"""Decides which roles a visitor has: by his account where people sign in, otherwise by the role's password.

| configured | administrator's page | accountant's page | dead letters |
|---|---|---|---|
| nothing | open to all | off | counts alone |
| a password or role of others | off | off | counts alone |
| the role's password | asks for it | asks for it | ask for it |
| sign-in | who has the role | who has the role | who has the role |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, TypeVar

import streamlit as st

from contracts.roles import Role, roles_by_person
from dashboard import frame
from dashboard.door import Door
from dashboard.text import plain, printable
from dashboard.visitor import visitor
from monitoring.logs import get_logger

logger = get_logger(__name__)

T = TypeVar("T")
# The roles whose password this session knew.
_INSIDE: Final = "roles_inside"


@dataclass(frozen=True)
class Entrance:
    """The `doors` by role, the roles of people by address, and whether `people_sign_in`."""

    doors: Mapping[Role, Door] = field(default_factory=dict)
    people: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    people_sign_in: bool = False

    @property
    def is_guarded(self) -> bool:
        """Whether anything is configured; then no page that has a role is open to all."""
        return bool(self.doors or self.people or self.people_sign_in)

    def can_be(self, role: Role) -> bool:
        """Whether anybody can have `role`."""
        if self.people_sign_in:
            return any(role in roles for roles in self.people.values())
        return role in self.doors

    def is_in(self, role: Role) -> bool:
        """Whether the visitor of this session has `role`."""
        if self.people_sign_in:
            return role in self.people.get(_address() or "", frozenset())
        return role in self.doors and role in st.session_state.get(_INSIDE, ())

    def who(self, role: Role) -> str:
        """What a record of an act calls the visitor, who has `role`."""
        if self.people_sign_in:
            return _address() or "nobody"
        address, behind = visitor(st.context.ip_address, st.context.headers)
        return printable(f"{role} at {address}{behind and f' for {behind}'}")


def open_entrance(passwords: Mapping[Role, str], roles: str, people_may_sign_in: bool = True) -> Entrance:
    """The entrance by `passwords` and the `roles` of people (contracts/roles.py).

    People sign in where Streamlit's secrets.toml has [auth], if they may.
    """
    return Entrance(
        {role: Door(password) for role, password in passwords.items() if password},
        roles_by_person(roles),
        people_may_sign_in and st.secrets.load_if_toml_exists() and "auth" in st.secrets,
    )


def guarded(entrance: Entrance, role: Role, title: str, render: Callable[[T], None]) -> Callable[[T], None]:
    """Returns `render` of the page `title` for who has `role`; for anybody where nothing is configured."""

    def draw(data: T) -> None:
        if not entrance.is_guarded or entrance.is_in(role):
            render(data)
            if entrance.is_guarded:
                leave(entrance, role)
            return
        frame.heading(title, f"This page is for who has the role {role}.")
        ask(entrance, role)

    return draw


def ask(entrance: Entrance, role: Role) -> None:
    """Draw what a visitor does who has not `role` yet; or how the page is switched on."""
    if entrance.people_sign_in:
        _ask_to_sign_in(role)
    elif role in entrance.doors:
        _ask_for_password(entrance.doors[role], role)
    else:
        st.info(f"This page is off. {how_to_be(role)}", icon=":material/lock:")


def how_to_be(role: Role) -> str:
    """What makes it possible to have `role`."""
    return f"Set {role.upper()}_PASSWORD in the dashboard's environment or .env, and start it again."


def leave(entrance: Entrance, role: Role) -> None:
    """Draw the button that takes `role` from this session."""
    if not st.button("Leave", key=f"{role}_leave", icon=":material/logout:"):
        return
    if entrance.people_sign_in:
        st.logout()
    st.session_state[_INSIDE] = st.session_state.get(_INSIDE, frozenset()) - {role}
    st.rerun()


def _ask_for_password(door: Door, role: Role) -> None:
    with st.form(f"{role}_door", clear_on_submit=True, width=420):
        given = st.text_input("Password", type="password", key=f"{role}_password", max_chars=500)
        submitted = st.form_submit_button("Open")
    if not submitted:
        return
    refusal = door.refusal(given or "", *visitor(st.context.ip_address, st.context.headers))
    logger.info(f"🔐 {role.capitalize()} Interface: {'Refused at the door' if refusal else 'Opened'}")
    if refusal:
        st.error(refusal, icon=":material/lock:")
        return
    st.session_state[_INSIDE] = st.session_state.get(_INSIDE, frozenset()) | {role}
    st.rerun()


def _ask_to_sign_in(role: Role) -> None:
    if find_spec("authlib") is None:
        st.error(
            "Nobody can sign in: [auth] in secrets.toml needs the package Authlib. Install it beside "
            "Streamlit, or remove [auth] and set passwords.",
            icon=":material/lock:",
        )
        return
    address = _address()
    if address is None:
        st.button("Sign in", key=f"{role}_sign_in", on_click=st.login, icon=":material/login:")
        return
    shown = f"You are signed in as {plain(address)}" if address else "Your account has no confirmed address"
    st.error(f"{shown}, which has no role for this page. DASHBOARD_ROLES gives it.", icon=":material/lock:")
    st.button("Sign out", key=f"{role}_sign_out", on_click=st.logout, icon=":material/logout:")


def _address() -> str | None:
    """The address of the account, in small letters; "" where its provider does not confirm one.

    None for who has not signed in. Whoever may choose an address freely could name that of another person.
    """
    user: Any = st.user
    if not user.get("is_logged_in"):
        return None
    return str(user.get("email") or "").casefold() if user.get("email_verified") is True else ""
