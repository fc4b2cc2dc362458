"""That everybody can use the pages: axe-core's rules in a real browser, and the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.models import Heartbeat, Message, Request, WebhookEvent
from db.session import now, session_factory
from recovery.status import Channel, MessageState, Step
from tests.axe import BORROWED, assert_usable, find_faults
from tests.chromium import PAGES, SETTLED, Visit, look
from tests.databases import Postgres, empty
from tests.factories import COMPANY, fail_now
from tests.test_insights_page import close

pytestmark = pytest.mark.browser

STORY = "/payments?payment=pay_story"
TWO_LOOKS = (("light", 1440), ("dark", 390))
# Of the Tab key, on the way to anything.
MOST_STOPS = 60
AROUND = """e => {
    const box = e.getBoundingClientRect(), x = Math.max(box.x - 8, 0), y = Math.max(box.y - 8, 0)
    return {x, y, width: box.right + 8 - x, height: box.bottom + 8 - y}
}"""


@pytest.fixture(scope="module")
def refresh_ms() -> int:
    """A page is looked through while it stands still."""
    return 10_000


@pytest.fixture
def records(own_engine: Engine) -> Iterator[Session]:
    """Something of everything that a page can show."""
    with session_factory(own_engine)() as session:
        for number in range(12):
            code = "expired_card" if number % 3 == 0 else "insufficient_funds"
            close(session, number % 4 == 0, timedelta(days=6 + number), decline_code=code)
        at = now()
        member = {"id": "u1", "name": "Maya Okafor"}
        fail_now(session, at, id="pay_story", user=member, membership_id="m1", member_id="m1")
        fail_now(session, at, decline_code="expired_card", recovery_url=None)
        message = {"company_id": COMPANY, "step": Step.PAYMENT_FAILED, "channel": Channel.EMAIL}
        session.add_all(
            [
                Message(
                    payment_id="pay_story",
                    state=MessageState.SENT,
                    due_at=at,
                    sent_at=at,
                    **message,
                ),
                Heartbeat(
                    process="daemon", instance="a", started_at=at, beat_at=at, last_cycle_at=at
                ),
                WebhookEvent(
                    event_id="msg_1",
                    type="payment.failed",
                    company_id=COMPANY,
                    payload={},
                    received_at=at,
                    error="no amount",
                ),
            ]
        )
        session.commit()
        yield session
    empty(own_engine)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/payments",
        STORY,
        "/insights",
        "/insights?part=Time",
        "/insights?class=card",
        "/messages",
        "/settings",
        "/health",
    ],
)
def test_nothing_is_wrong_at_first_sight(visit: Visit, records: Session, path: str) -> None:
    assert_usable(visit(path))


def test_nothing_is_wrong_while_it_asks_whether_to_charge_and_shows_the_mail(
    visit: Visit, records: Session
) -> None:
    page = visit(STORY)
    page.get_by_role("button", name="Retry now").click()
    expect(page.get_by_role("button", name="Yes, charge it now")).to_be_visible()
    page.get_by_text("Preview email").click()
    expect(page.frame_locator("iframe").get_by_text("Hi Maya")).to_be_visible()
    assert_usable(page)


def test_nothing_is_wrong_while_a_list_of_filters_is_open_or_nothing_matches(
    visit: Visit, records: Session
) -> None:
    page = visit("/payments")
    page.get_by_role("button", name="More filters").click()
    expect(page.get_by_label("Reason", exact=True)).to_be_visible()
    assert_usable(page, TWO_LOOKS)
    page.keyboard.press("Escape")
    page.get_by_label("Search").fill("nobody")
    page.get_by_label("Search").press("Enter")
    expect(page.get_by_text("No matches.")).to_be_visible()
    assert_usable(page, TWO_LOOKS)


def test_nothing_is_wrong_with_a_refused_setting(visit: Visit, records: Session) -> None:
    page = visit("/settings")
    page.get_by_label("Reply-to address").fill("nobody")
    page.get_by_role("button", name="Save message settings").click()
    expect(page.get_by_text("The reply-to address must be one email address")).to_be_visible()
    assert_usable(page)


def test_nothing_is_wrong_with_refused_words_and_each_way_to_see_them(
    visit: Visit, records: Session
) -> None:
    page = visit("/messages")
    page.get_by_text("Edit", exact=True).click()
    page.get_by_label("HTML").fill("<p>{{ nmae }}</p>")
    page.get_by_label("HTML").press("ControlOrMeta+Enter")
    expect(page.get_by_text("line 1: there is no variable")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing was saved. See the notes below.")).to_be_visible()
    assert_usable(page, TWO_LOOKS)
    page.get_by_role("tab", name="Plain text").click()
    expect(page.get_by_text("Part of every email")).to_be_visible()
    assert_usable(page, TWO_LOOKS)


def test_nothing_is_wrong_before_anything_has_happened(visit: Visit, own_engine: Engine) -> None:
    empty(own_engine)
    page = visit("/settings")
    said = {
        "/": "No failed payments yet",
        "/payments": "No failed payments yet.",
        "/insights?span=all+time": "No payment has been tried a second time yet.",
        "/messages": "Sample data:",
        "/health": "No webhook has arrived yet.",
    }
    for path, words in said.items():
        page.goto(urljoin(page.url, path))
        expect(page.get_by_text(words)).to_be_visible()
        assert_usable(page, TWO_LOOKS)


def test_nothing_is_wrong_while_the_database_is_away(
    visit: Visit, records: Session, database: Postgres
) -> None:
    page = visit("/settings")
    database.stop()
    try:
        for path in (*PAGES.values(), STORY):
            page.goto(urljoin(page.url, path))
            words = page.get_by_text("The database does not answer")
            expect(words).to_be_visible()
            assert_usable(page, TWO_LOOKS)
    finally:
        database.start()


def test_what_is_left_out_of_the_rules_is_there_still_and_is_streamlit_s(
    visit: Visit, records: Session
) -> None:
    page = visit("/")
    look(page, "light", 1440)
    page.get_by_test_id("stTooltipHoverTarget").first.hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    found = find_faults(page)
    page = visit("/payments")
    look(page, "light", 1440)
    page.get_by_label("Status").click()
    expect(page.get_by_role("listbox")).to_be_visible()
    found += find_faults(page)
    assert [fault["rule"] for fault in found] == [rule for rule, _ in BORROWED]


def test_a_fault_is_found_and_named(visit: Visit, records: Session) -> None:
    """So that the tests above are known to look."""
    page = visit("/health")
    page.add_style_tag(content=".checks .said { color: #b9b9b9 !important }")
    page.evaluate("document.querySelector('ul.checks').setAttribute('role', 'table')")
    with pytest.raises(AssertionError) as told:
        assert_usable(page, (("light", 390),))
    for words in ("/health light 390: ", "serious, color-contrast at ", "critical, aria-required"):
        assert words in str(told.value)


# --- by keyboard alone -------------------------------------------------------------------------


def tab_to(page: Page, goal: Locator) -> None:
    """Reaches it, and proves that its reader can see that they are there."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if goal.evaluate("e => e === document.activeElement"):
            break
    expect(goal).to_be_focused()
    page.wait_for_function(SETTLED)
    around = goal.evaluate(AROUND)
    here = page.screenshot(clip=around)
    goal.evaluate("e => e.blur()")
    page.wait_for_function(SETTLED)
    assert page.screenshot(clip=around) != here
    goal.evaluate("e => e.focus({focusVisible: true})")


def test_a_payment_is_found_opened_and_its_retry_called_off_by_keyboard(
    visit: Visit, records: Session
) -> None:
    page = visit("/payments")
    tab_to(page, page.get_by_label("Search"))
    page.keyboard.type("maya")
    page.keyboard.press("Enter")
    page.wait_for_url("**/payments?q=maya")
    tab_to(page, page.get_by_role("combobox", name="Status"))
    page.keyboard.press("ArrowDown")
    page.keyboard.type("Unpaid")
    page.keyboard.press("Enter")
    page.wait_for_url("**/payments?status=unpaid&q=maya")
    tab_to(page, page.get_by_role("link", name="Maya Okafor"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Retry now"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Yes, charge it now"))
    tab_to(page, page.get_by_role("button", name="No, leave it"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("It happens within a minute.")).to_have_count(0)
    records.rollback()
    assert records.scalars(select(Request)).all() == []
    tab_to(page, page.get_by_role("link", name="← All payments"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/payments?status=unpaid&q=maya")


def test_the_charts_are_narrowed_by_keyboard_as_by_a_click(visit: Visit, records: Session) -> None:
    page = visit("/insights")
    groups = page.get_by_role("radiogroup", name="By first decline reason: filter by one")
    tab_to(page, groups.get_by_role("radio").first)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_url("**/insights?*class=card*")
    expect(page.get_by_text("✓ Card problem")).to_be_visible()
    chosen = groups.get_by_role("radio", name="Card problem")
    expect(chosen).to_be_focused()
    assert_usable(page, TWO_LOOKS)
    page.keyboard.press("Space")
    expect(page.get_by_text("✓ Card problem")).to_have_count(0)
    assert "class=" not in page.url


def test_every_page_is_reached_by_keyboard(visit: Visit, records: Session) -> None:
    page = visit("/settings")
    for name in ("Overview", "Payments", "Insights", "Messages", "Health"):
        tab_to(page, page.get_by_role("navigation").get_by_role("link", name=name))
        page.keyboard.press("Enter")
        expect(page).to_have_title(f"{name} · Revenue Recovery")
