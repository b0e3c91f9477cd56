"""Who may do what, by what is configured: passwords, accounts, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import streamlit as st
from structlog.testing import capture_logs

from contracts.roles import ROLES, Role
from dashboard import entrance
from dashboard.door import Door
from dashboard.entrance import Entrance, ask, guarded, leave, open_entrance
from settings import load
from tests.support.shown import show, texts

WORD = "correct horse"
ADA: Mapping[str, Any] = {"is_logged_in": True, "email": "Ada@x.org", "email_verified": True}
PEOPLE: Mapping[str, frozenset[Role]] = {"ada@x.org": frozenset(["administrator"])}


def _passwords(*roles: Role) -> Entrance:
    return Entrance({role: Door(WORD) for role in roles})


def _page(_: object) -> None:
    st.title("The page")


def _sees(found: Entrance, role: Role) -> str:
    """What a visitor without a password sees of a page: `page`, `password`, `sign in`, or `off`."""
    page = show(guarded(found, role, "Title", _page), None)
    assert not page.exception
    assert len(page.title) == 1
    if page.title[0].value == "The page":
        return "page"
    if len(page.text_input):
        return "password"
    if any(button.key == f"{role}_sign_in" for button in page.button):
        return "sign in"
    assert len(page.button) == 0 or page.error
    return "off"


@pytest.mark.parametrize(
    ("found", "administrator", "operator"),
    [
        (Entrance(), "page", "page"),
        (_passwords("accountant"), "off", "off"),
        (_passwords("administrator"), "password", "off"),
        (_passwords("operator"), "off", "password"),
        (_passwords(*ROLES), "password", "password"),
        (Entrance(people=PEOPLE), "off", "off"),
        (Entrance(people=PEOPLE, people_sign_in=True), "sign in", "sign in"),
        (Entrance({"administrator": Door(WORD)}, PEOPLE, True), "sign in", "sign in"),
    ],
    ids=["nothing", "accountant", "administrator", "operator", "all", "no sign-in", "sign-in", "both"],
)
def test_a_page_is_open_only_where_nothing_is_configured(
    found: Entrance, administrator: str, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of another role does not open it; where people sign in, no password does."""
    monkeypatch.setattr(entrance, "find_spec", lambda _: object())
    assert _sees(found, "administrator") == administrator
    assert _sees(found, "operator") == operator


def _draw(found: Entrance) -> None:
    for role in ("administrator", "operator"):
        st.header(f"{role} {found.is_in(role)}")
        if found.is_in(role):
            leave(found, role)
        else:
            ask(found, role)


def _headers(page: Any) -> list[str]:
    return [header.value for header in page.header]


def test_a_password_opens_its_own_role_until_it_is_left() -> None:
    """A wrong one is neither shown nor logged nor kept, and neither is the right one."""
    page = show(_draw, _passwords("administrator", "operator"))
    with capture_logs() as logs:
        page.text_input(key="operator_password").input("wrong horse")
        page.button[1].click().run()
        assert page.error[0].value == "The password is wrong."
        page.text_input(key="operator_password").input(WORD)
        page.button[1].click().run()
    assert _headers(page) == ["administrator False", "operator True"]
    assert "horse" not in f"{logs} {texts(page)} {page.query_params}"
    assert "operator_password" not in page.session_state
    assert [log["event"] for log in logs] == [
        "🔐 Operator Interface: Refused at the door",
        "🔐 Operator Interface: Opened",
    ]
    page.button(key="operator_leave").click().run()
    assert _headers(page) == ["administrator False", "operator False"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (ADA, True),
        ({**ADA, "email": "eve@x.org"}, False),
        ({**ADA, "email": None}, False),
        ({**ADA, "email_verified": False}, False),
        ({**ADA, "email_verified": "true"}, False),
        ({"is_logged_in": True, "email": "ada@x.org"}, False),
        ({**ADA, "is_logged_in": False}, False),
        ({}, False),
    ],
    ids=["right", "another", "no address", "not confirmed", "text", "unsaid", "signed out", "nobody"],
)
def test_an_account_has_the_roles_of_its_confirmed_address(
    user: Mapping[str, Any], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any case of letters; and no role beside those it was given, a password's neither."""
    monkeypatch.setattr(st, "user", user)
    monkeypatch.setattr(entrance, "find_spec", lambda _: object())
    found = Entrance({"operator": Door(WORD)}, PEOPLE, people_sign_in=True)
    page = show(_draw, found)
    assert not page.exception
    assert _headers(page) == [f"administrator {expected}", "operator False"]
    assert len(page.text_input) == 0
    if expected:
        assert found.who("administrator") == "ada@x.org"


def test_without_its_package_nobody_is_sent_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing; the page stays shut."""
    monkeypatch.setattr(entrance, "find_spec", lambda _: None)
    page = show(_draw, Entrance(people=PEOPLE, people_sign_in=True))
    assert "Authlib" in page.error[0].value
    assert len(page.button) == 0


@pytest.mark.parametrize("auth", [True, False], ids=["auth", "no auth"])
@pytest.mark.parametrize("there", [True, False], ids=["file", "no file"])
def test_people_sign_in_where_the_secrets_file_has_auth(
    there: bool, auth: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a demo."""

    class Secrets(dict[str, object]):
        def load_if_toml_exists(self) -> bool:
            return there

    monkeypatch.setattr(st, "secrets", Secrets(auth={}) if auth else Secrets())
    settings = load(env_file=None, operator_password=WORD, dashboard_roles="ada@x.org=administrator")
    given = settings.passwords, settings.dashboard_roles
    found = open_entrance(*given)
    assert found.people_sign_in is (there and auth)
    assert list(found.doors) == ["operator"]
    assert found.people == PEOPLE
    assert not open_entrance(*given, people_may_sign_in=False).people_sign_in
