"""What a creator asks for in the browser, done by the real daemon at a simulated Whop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from tests.chromium import Visit, run_dashboard
from tests.databases import Postgres
from tests.processes import COMPANY, Stage, stage_in, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(own_engine: Engine, tmp_path_factory) -> Iterator[Stage]:
    """With a daemon that makes its first cycle and then only does what it is asked for."""
    with stage_in(tmp_path_factory.mktemp("stage"), own_engine) as stage:
        daemon = stage.daemon("-m tests.hurried", RETRY_INTERVAL_MINUTES="1440")
        wait_until(lambda: daemon.says("cycle:"), "the first cycle is over")
        yield stage


@pytest.fixture(scope="module")
def dashboard(database: Postgres, stage: Stage) -> Iterator[str]:
    with run_dashboard(database, company_id=COMPANY) as url:
        yield url


def open_detail(visit: Visit, payment_id: str) -> Page:
    return visit(f"/payments?payment={payment_id}")


def list_requests(stage: Stage, payment_id: str) -> list[str]:
    query = "select kind from requests where payment_id = :id"
    return [request.kind for request in stage.rows(query, id=payment_id)]


def test_retry_now_charges_at_whop_once_the_creator_has_confirmed_it(
    visit: Visit, stage: Stage
) -> None:
    payment_id = stage.fail("insufficient_funds", "paid")
    page = open_detail(visit, payment_id)
    page.get_by_role("button", name="Retry now").click()
    question = page.get_by_role("alert").filter(has_text="It happens within a minute.")
    expect(question).to_contain_text("Charge $")
    page.get_by_role("button", name="No, leave it").click()
    expect(question).to_have_count(0)
    assert list_requests(stage, payment_id) == []

    page.get_by_role("button", name="Retry now").click()
    page.get_by_role("button", name="Yes, charge it now").click()
    expect(page.locator(".summary")).to_contain_text("Paid on")
    expect(page.locator(".story .state")).to_contain_text("Recovered")
    expect(page.get_by_role("button", name="Retry now")).to_have_count(0)
    expect(page.locator(".audit-log")).to_contain_text("Requested a retry · you")
    assert [charge["outcome"] for charge in stage.retries(payment_id)] == ["paid"]
    assert list_requests(stage, payment_id) == ["retry_now"]
    page.get_by_role("link", name="← All payments").click()
    expect(page.locator(f".audit-log a[href*={payment_id}]")).to_have_text("view payment")


def test_stop_ends_all_work_and_no_charge_follows(visit: Visit, stage: Stage) -> None:
    payment_id = stage.fail("insufficient_funds", "paid")
    page = open_detail(visit, payment_id)
    page.get_by_role("button", name="Stop recovery").click()
    expect(page.get_by_role("alert").filter(has_text="for good?")).to_be_visible()
    page.get_by_role("button", name="Yes, stop it").click()
    standing = page.locator(".summary")
    expect(standing).to_contain_text("We do not charge it again")
    expect(page.locator(".audit-log")).to_contain_text("Stopped recovery · you")
    for button in ("Retry now", "Stop recovery"):
        expect(page.get_by_role("button", name=button)).to_have_count(0)
    assert stage.row(payment_id).closed_reason == "stopped"
    stage.work_once()
    assert stage.retries(payment_id) == []


def test_a_preview_shows_the_mail_and_sends_none(visit: Visit, stage: Stage) -> None:
    payment_id = stage.fail("insufficient_funds", "paid")
    page = open_detail(visit, payment_id)
    page.get_by_text("Preview email").click()
    first_name = stage.row(payment_id).member_name.split()[0]
    expect(page.frame_locator("iframe").get_by_text(f"Hi {first_name}")).to_be_visible()
    expect(page.get_by_text("The email as the member would get it now")).to_be_visible()
    assert stage.mails(payment_id) == []
