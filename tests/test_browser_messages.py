"""Changing a message and a setting in a real browser: Chromium, Streamlit's server, Postgres."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from db.company_settings.messaging import find_messaging_settings
from db.company_settings.templates import find_template
from recovery.status import Step
from tests.chromium import SETTLED, Visit, never_scrolls_sideways, take_picture
from tests.databases import Postgres
from tests.factories import COMPANY

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]


@pytest.mark.parametrize("width", [1440, 390])
def test_words_are_changed_tried_saved_refused_and_restored(
    visit: Visit, records: Session, width: int
) -> None:
    page = visit("/messages?step=payment_failed&class=funds", width)
    phone = page.frame_locator(".st-key-mail-phone iframe")
    expect(phone.get_by_text("Hi Maya")).to_be_visible()
    expect(page.frame_locator(".st-key-mail-desk iframe").get_by_text("Hi Maya")).to_be_visible()
    never_scrolls_sideways(page)

    open_editor(page)
    html = page.get_by_label("HTML")
    html.fill("<p>Hello {{ name }},</p>\n<p>quite new words.</p>")
    html.press("ControlOrMeta+Enter")
    expect(phone.get_by_text("quite new words.")).to_be_visible()
    assert find_template(records, COMPANY, Step.PAYMENT_FAILED) is None
    records.rollback()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. Your text is used from the next message on.")).to_be_visible()
    assert find_template(records, COMPANY, Step.PAYMENT_FAILED) is not None
    records.rollback()

    html.fill("<p>Hello</p>\n<p>{{ nmae }}</p>")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing was saved. See the notes below.")).to_be_visible()
    expect(page.get_by_text("HTML, line 2: there is no variable")).to_be_visible()
    expect(page.locator("code", has_text="<p>{{ nmae }}</p>")).to_be_visible()
    expect(phone.get_by_text("quite new words.")).to_be_visible()
    never_scrolls_sideways(page)
    take_picture(page, f"messages-refused-{width}.png")

    page.get_by_role("button", name="Reset to default").click()
    page.get_by_role("button", name="Yes, reset").click()
    expect(page.get_by_text("The default template is used again")).to_be_visible()
    expect(phone.get_by_text("Hi Maya")).to_be_visible()
    expect(page.get_by_text("First message: reset to default · you")).to_be_visible()
    assert find_template(records, COMPANY, Step.PAYMENT_FAILED) is None


@pytest.mark.parametrize("width", [1440, 390])
def test_a_setting_is_refused_beside_its_field_and_then_saved(
    visit: Visit, records: Session, width: int
) -> None:
    page = visit("/settings", width)
    answers = page.get_by_label("Reply-to address")
    answers.fill("nobody")
    save = page.get_by_role("button", name="Save message settings")
    save.click()
    expect(page.get_by_text("The reply-to address must be one email address")).to_be_visible()
    never_scrolls_sideways(page)
    answers.fill("help@example.com")
    save.click()
    expect(page.get_by_text("Saved: Reply-to address.")).to_be_visible()
    expect(page.get_by_text("Reply-to address changed · you")).to_be_visible()
    assert find_messaging_settings(records, COMPANY).reply_to == "help@example.com"
    take_picture(page, f"settings-saved-{width}.png")


def test_a_message_is_chosen_by_keyboard_and_stands_in_the_address(visit: Visit) -> None:
    page = visit("/messages")
    page.get_by_role("combobox", name="Message").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.type("Remin")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages?*step=reminder*")
    page.get_by_role("tab", name="Email").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Questions? Just answer here.")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "label", "button"),
    [
        ("/messages", "Plain text and chat", "Save"),
        ("/settings", "Reply-to address", "Save message settings"),
    ],
)
def test_what_was_typed_outlives_a_database_that_is_away(
    visit: Visit, records: Session, database: Postgres, path: str, label: str, button: str
) -> None:
    page = visit(path)
    if path == "/messages":
        open_editor(page)
    field, save = page.get_by_label(label), page.get_by_role("button", name=button, exact=True)
    field.fill("help@example.com")
    page.evaluate("window.stillHere = true")
    records.rollback()
    records.get_bind().engine.dispose()
    database.stop()
    try:
        save.click()
        expect(page.get_by_text("The database does not answer")).to_be_visible()
    finally:
        database.start()
    expect(page.get_by_text("Nothing was")).to_be_visible()
    if path == "/messages":
        open_editor(page)
    expect(field).to_have_value("help@example.com")
    save.click()
    expect(page.get_by_text(re.compile("^Saved[.:]"))).to_be_visible()
    assert page.evaluate("window.stillHere") is True


def open_editor(page: Page) -> None:
    """While it unfolds, its buttons move: a click that begins on one ends below it."""
    page.get_by_text("Edit", exact=True).click()
    page.wait_for_function(SETTLED)
