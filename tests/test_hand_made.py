"""A failed payment that somebody told the receiver by hand, as README.md does: in development the
sandbox takes it for its own, so that it is retried and recovered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from db.creator_notices.digest import measure_week
from db.creator_notices.weeks import find_digest_week
from db.models import Company, Payment, WebhookEvent
from db.reporting.rollup import rebuild
from db.reporting.summary import find_time_zone, summarize
from db.session import SessionFactory
from recovery.status import ClosedReason, PaymentStatus, RecoveredBy
from sandbox.servers.app import create_app as create_sandbox
from tests.factories import COMPANY, HOUR, NOW, encode, event, payment_data
from tests.rig import Rig
from tests.test_receiver import FLAT, Receiver, count, make_settings
from tests.test_receiver import receiver as receiver
from webhook.app import create_app
from webhook.hand_made import HandMadePayments, find_sandbox

SANDBOX = "http://localhost:9000/api/v1"


class Desk:
    """A receiver in development, beside a sandbox and a daemon."""

    def __init__(self, rig: Rig, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.rig = rig
        settings = make_settings(
            environment="development",
            whop_company_id=COMPANY,
            whop_webhook_secret="",
            whop_api_url=SANDBOX,
        )
        self.app = create_app(settings, rig.sessions.kw["bind"], rig.clock)
        sandbox = create_sandbox(rig.world, rig.clock, api_keys=[], sendgrid_keys=[])
        self.app.handler.hand_made = HandMadePayments(
            settings, transport or httpx.ASGITransport(sandbox)
        )
        self.app.state.group_commit.start()

    def tell(self, **told: Any) -> int:
        async def post() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            headers = {"content-type": "application/json"}
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
                body = encode(FLAT | told)
                return await client.post("/webhook/payment_failed", content=body, headers=headers)

        return asyncio.run(post()).status_code


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path: Path) -> Rig:
    return Rig(sessions, tmp_path)


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    desk = Desk(rig)
    yield desk
    desk.app.state.group_commit.stop()


def test_what_readme_has_a_newcomer_try_ends_recovered_by_our_first_retry(desk: Desk) -> None:
    assert desk.tell() == 200
    desk.rig.run()
    payment = desk.rig.payment("abc123")
    assert (payment.status, payment.recovered_by) == (PaymentStatus.RECOVERED, RecoveredBy.RETRY)
    assert (payment.member_id, str(payment.amount), payment.currency) == ("user45", "49.99", "usd")
    assert desk.rig.outcomes("abc123") == ["paid"]
    assert desk.rig.charges("abc123") == ["paid"]


@pytest.mark.parametrize("reason", ["lost_card", "Your card was reported stolen.", "fraudulent"])
def test_a_lost_card_is_never_charged(desk: Desk, reason: str) -> None:
    assert desk.tell(reason=reason) == 200
    desk.rig.run(hours=5)
    assert desk.rig.charges("abc123") == []
    assert desk.rig.payment("abc123").status is not PaymentStatus.RECOVERED


@pytest.mark.parametrize("reason", ["insufficient_funds", "processing_error", "no idea", ""])
def test_where_another_try_may_help_the_first_one_does(desk: Desk, reason: str) -> None:
    assert desk.tell(reason=reason) == 200
    desk.rig.run()
    assert desk.rig.charges("abc123") == ["paid"]


def test_told_twice_it_is_one_payment(desk: Desk) -> None:
    assert [desk.tell(), desk.tell(), desk.tell(amount=1)] == [200, 200, 200]
    desk.rig.run()
    assert desk.tell() == 200
    assert len(desk.rig.world.ledger.charges("abc123")) == 2  # the failed one, and ours
    assert str(desk.rig.world.store.payment("abc123").amount) == "49.99"


def test_the_id_of_another_company_is_not_taken_over(desk: Desk) -> None:
    theirs = desk.rig.fail(account_id="biz_another")
    assert desk.tell(payment_id=theirs) == 422
    assert desk.rig.world.store.payment(theirs).account_id == "biz_another"
    made = {"payment_id": theirs, "account_id": COMPANY, "amount": Decimal(5)}
    with pytest.raises(ValueError, match="belongs to another account"):
        desk.rig.world.adopt(made, NOW)  # type: ignore[arg-type]


def test_a_sandbox_that_is_away_harms_nothing(rig: Rig, session: Session) -> None:
    async def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    desk = Desk(rig, httpx.MockTransport(refuse))
    assert desk.tell() == 200
    desk.app.state.group_commit.stop()
    assert rig.payment("abc123").status is PaymentStatus.PENDING_RETRY


@pytest.mark.parametrize(
    ("environment", "whop"),
    [
        ("production", SANDBOX),
        ("production", "http://127.0.0.1:9000/api/v1"),
        ("development", "https://api.whop.com/api/v1"),
        ("development", "http://localhost.example.com:9000/api/v1"),
        ("development", ""),
    ],
)
def test_nobody_is_told_elsewhere(environment: str, whop: str) -> None:
    assert find_sandbox(make_settings(environment=environment, whop_api_url=whop)) is None


def test_the_sandbox_is_found_on_this_machine_alone() -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        settings = make_settings(environment="development", whop_api_url=f"http://{host}:9/api/v1")
        assert find_sandbox(settings) == f"http://{host}:9/sandbox/payments"


# --- what Whop does not know -------------------------------------------------------------------


@pytest.fixture
def strange(rig: Rig) -> Iterator[Desk]:
    """Of whom the sandbox hears nothing."""
    desk = Desk(rig, httpx.MockTransport(lambda request: httpx.Response(404)))
    yield desk
    desk.app.state.group_commit.stop()


def test_a_payment_that_whop_does_not_know_is_closed_and_in_no_figure(
    strange: Desk, session: Session
) -> None:
    rig = strange.rig
    assert strange.tell() == 200
    rig.run()
    payment = rig.payment("abc123")
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is ClosedReason.UNKNOWN_AT_WHOP
    (attempt,) = rig.attempts("abc123")
    assert "404" in (attempt.detail or "")
    assert attempt.sent_at is None
    assert_in_no_figure(session, rig)


def assert_in_no_figure(session: Session, rig: Rig) -> None:
    zone = find_time_zone(session, COMPANY)
    for now in (rig.clock.now, rig.clock.now + 24 * 10 * HOUR):
        rebuild(session, COMPANY, now)
        summary = summarize(session, COMPANY, now)
        assert (summary.total_failed, summary.at_risk_amount) == (0, Decimal(0))
        week = find_digest_week(now, zone)
        assert measure_week(session, COMPANY, week).figures.failed.payments == 0


def test_reading_back_finds_out_as_well(strange: Desk) -> None:
    rig = strange.rig
    strange.tell(reason="lost_card")
    rig.reconciler.run()
    assert rig.payment("abc123").status is PaymentStatus.FAILED  # too new to be sure
    rig.pass_time(1)
    rig.reconciler.run()
    assert rig.payment("abc123").closed_reason is ClosedReason.UNKNOWN_AT_WHOP


def test_a_payment_that_whop_has_shown_before_is_not_called_unknown(desk: Desk) -> None:
    rig = desk.rig
    desk.tell()
    rig.reconciler.run()
    rig.world.store.rows("delete from payments where id = 'abc123'")
    rig.run()
    rig.reconciler.run()
    payment = rig.payment("abc123")
    assert payment.status is PaymentStatus.PENDING_RETRY
    assert payment.retryable
    assert count_sent(rig) == 0


def count_sent(rig: Rig) -> int:
    return sum(attempt.sent_at is not None for attempt in rig.attempts("abc123"))


def test_one_that_is_paid_all_the_same_counts_again(strange: Desk, session: Session) -> None:
    rig = strange.rig
    strange.tell()
    rig.run()
    made = {"payment_id": "abc123", "account_id": COMPANY, "amount": Decimal("49.99")}
    rig.world.adopt(made, rig.clock.now)  # type: ignore[arg-type]
    rig.pass_time(1)
    rig.world.member_pays("abc123", rig.clock.now)
    assert rig.payment("abc123").status is PaymentStatus.RECOVERED
    summary = summarize(session, COMPANY, rig.clock.now)
    assert (summary.total_failed, summary.total_recovered) == (1, 1)
    assert count(session, Payment) == 1


# --- what Whop's test button sends -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["payment.failed", "payment.succeeded", "refund.created"])
def test_a_sample_of_the_documentation_is_kept_and_is_no_payment(
    receiver: Receiver, session: Session, kind: str
) -> None:
    sample = payment_data(id="pay_xxxxxxxxxxxxxx", account_id="biz_xxxxxxxxxxxxxx")
    answer = receiver.deliver(event(kind, data=sample, account_id="biz_xxxxxxxxxxxxxx"))
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert (count(session, WebhookEvent), count(session, Payment)) == (1, 0)
    assert count(session, Company) == 0
    assert receiver.get("/stats/summary").json()["total_failed"] == 0


@pytest.mark.parametrize("payment_id", ["pay_xxAxx", "pay_1x", "xxxx", "pay_x1"])
def test_an_id_that_only_looks_like_a_sample_s_is_a_payment(
    receiver: Receiver, session: Session, payment_id: str
) -> None:
    assert receiver.deliver(event(data=payment_data(id=payment_id))).status_code == 200
    assert count(session, Payment) == 1
