"""Sign in, set up and the overview, as a person sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mirrorsite.accounts import services as accounts
from mirrorsite.accounts import setup
from pipes import services
from pipes.models import Item
from tests.browser.conftest import Complaints

pytestmark = pytest.mark.filterwarnings(  # static files by WhiteNoise; see mirrorsite.asgi
    "ignore:StreamingHttpResponse must consume synchronous:Warning"
)

PASSWORD = "correct horse battery"
HOSTILE = "<img src=x onerror=alert(1)>"


def sign_in(page: Page, station: str, password: str = PASSWORD) -> None:
    page.goto(f"{station}/login/")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(password)
    page.get_by_test_id("login-form").get_by_role("button").click()


@pytest.fixture
def anna(station: str) -> None:
    accounts.set_user("anna", "viewer", PASSWORD)


def make_plant(pipe: str = "P1", items: int = 3, note: str = "") -> None:
    server = {"security_policy": "None", "security_mode": "None"}
    services.apply_document(
        {
            "format": "mirrorsite",
            "version": 1,
            "servers": [
                {**server, "name": "PLC1", "endpoint": "opc.tcp://127.0.0.1:4840"},
                {**server, "name": "DCS", "endpoint": "opc.tcp://127.0.0.1:4841"},
            ],
            "pipes": [{"name": pipe, "source": "PLC1", "target": "DCS"}],
            "items": [
                {
                    "pipe": pipe,
                    "source_node": f"ns=2;s={note}T{number}",
                    "target_node": f"ns=2;s={note}T{number}",
                }
                for number in range(items)
            ],
        },
        user="test",
        reason="",
    )


def test_a_person_signs_in_and_out(
    page: Page, station: str, anna: None, complaints: Complaints
) -> None:
    page.goto(station)
    expect(page).to_have_url(f"{station}/login/")

    sign_in(page, station, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong")

    sign_in(page, station)
    expect(page).to_have_url(f"{station}/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("No pipe yet")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{station}/login/")
    assert complaints.seen == []


def test_the_first_admin_is_made_in_the_browser(
    page: Page, station: str, complaints: Complaints, tmp_path: Path
) -> None:
    setup.setup_line()
    page.goto(station)
    expect(page).to_have_url(f"{station}/setup/")

    page.get_by_label("Set-up code").fill((tmp_path / "setup-code").read_text())
    page.get_by_label("Name of the first admin").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the first admin").click()

    expect(page).to_have_url(f"{station}/")
    expect(page.get_by_text("anna, admin")).to_be_visible()
    assert complaints.seen == []


def test_the_overview_shows_pipes_and_items_and_follows_changes(
    page: Page, station: str, anna: None, complaints: Complaints
) -> None:
    make_plant()
    sign_in(page, station)
    rows = page.get_by_test_id("item-row")
    expect(rows).to_have_count(3)
    expect(page.get_by_role("row", name="P1").first).to_contain_text("no pipe worker answers")

    services.create_item(
        {"pipe": "P1", "source_node": "ns=2;s=NEW", "target_node": "ns=2;s=NEW"}, user="test"
    )

    expect(rows).to_have_count(4)
    newest = Item.objects.order_by("-pk").values_list("pk", flat=True)[0]
    expect(page.locator(f"[data-id='{newest}']")).to_contain_text("ns=2;s=NEW")
    assert complaints.seen == []


def test_hostile_names_are_shown_as_text(
    page: Page, station: str, anna: None, complaints: Complaints
) -> None:
    make_plant(pipe=HOSTILE, note=HOSTILE)
    sign_in(page, station)
    rows = page.get_by_test_id("item-row")
    expect(rows).to_have_count(3)
    services.create_item(
        {"pipe": HOSTILE, "source_node": f"ns=2;s={HOSTILE}X", "target_node": "ns=2;s=X"},
        user="test",
    )

    expect(rows).to_have_count(4)

    expect(rows.last).to_contain_text(f"ns=2;s={HOSTILE}X")
    expect(page.locator("main img")).to_have_count(0)
    assert complaints.seen == []


def test_a_lost_connection_is_said_within_seconds_and_heals(
    page: Page, station: str, anna: None
) -> None:
    make_plant()
    sign_in(page, station)
    banner = page.get_by_test_id("connection-lost")
    expect(page.get_by_test_id("item-row")).to_have_count(3)
    expect(banner).to_be_hidden()

    page.route("**/api/**", lambda route: route.abort())
    expect(banner).to_be_visible(timeout=8000)
    expect(banner).to_contain_text("Values are frozen at")
    expect(page.locator("[data-live]")).to_contain_text("Frozen for")

    page.unroute("**/api/**")
    expect(banner).to_be_hidden(timeout=8000)
    expect(page.locator("[data-live]")).to_have_text("Live")


def test_an_ended_session_leads_to_the_login(page: Page, station: str, anna: None) -> None:
    make_plant()
    sign_in(page, station)
    expect(page.get_by_test_id("item-row")).to_have_count(3)

    accounts.set_user("anna", "viewer", "another long secret")

    expect(page).to_have_url(f"{station}/login/?next=%2F", timeout=8000)


def test_the_api_page_works_offline_under_the_strict_policy(
    page: Page, station: str, anna: None, complaints: Complaints
) -> None:
    sign_in(page, station)
    expect(page).to_have_url(f"{station}/")

    page.goto(f"{station}/api/docs")

    expect(page.get_by_role("heading", name="Mirrorsite")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("/api/v1/items/import", exact=False).first).to_be_visible()
    assert complaints.seen == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_scrolls_sideways_on_a_small_screen(
    page: Page, station: str, anna: None, theme: Any
) -> None:
    make_plant(items=5)
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 320, "height": 600})

    def overhang() -> int:
        return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    page.goto(f"{station}/login/")
    assert overhang() <= 0
    sign_in(page, station)
    expect(page.get_by_test_id("item-row")).to_have_count(5)
    assert overhang() <= 0
