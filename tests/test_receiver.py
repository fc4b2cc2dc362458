"""The receiver through its own HTTP interface, against a real Postgres."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from db.models import Attempt, Payment, WebhookEvent
from db.reporting.summary import summarize
from recovery.status import PaymentStatus, Step
from tests.factories import (
    COMPANY,
    NOW,
    SECRET,
    encode,
    event,
    iso,
    money,
    paid_data,
    payment_data,
    sign,
)
from webhook.app import create_app
from webhook.settings import WebhookSettings

FLAT = {"payment_id": "abc123", "member_id": "user45", "amount": 49.99, "reason": "card_declined"}


def make_settings(**overrides: Any) -> WebhookSettings:
    values = {"environment": "production", "whop_webhook_secret": SECRET, "api_token": "t0ken"}
    values["retry_policy"] = "hourly"
    return WebhookSettings(_env_file=None, **(values | overrides))


class Receiver:
    """The app with its inbox running, called without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        app.state.group_commit.start()

    def stop(self) -> None:
        self.app.state.group_commit.stop()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return asyncio.run(self.request_all([(method, path, arguments)]))[0]

    async def request_all(self, requests: list[tuple[str, str, Any]]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            return await asyncio.gather(
                *(client.request(method, path, **kw) for method, path, kw in requests)
            )

    def deliver(self, content: Any, path: str = "/webhook/whop", **headers: str) -> httpx.Response:
        body = encode(content)
        return self.request("POST", path, content=body, headers=sign(body) | headers)

    def post(self, content: Any, **headers: str) -> httpx.Response:
        """Unsigned."""
        headers = {"content-type": "application/json"} | headers
        body = content if isinstance(content, bytes) else encode(content)
        return self.request("POST", "/webhook/payment_failed", content=body, headers=headers)

    def get(self, path: str, token: str = "t0ken") -> httpx.Response:
        return self.request("GET", path, headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def receiver(engine: Engine) -> Iterator[Receiver]:
    receiver = Receiver(create_app(make_settings(), engine, lambda: NOW))
    yield receiver
    receiver.stop()


@pytest.fixture
def development(engine: Engine) -> Iterator[Receiver]:
    settings = make_settings(environment="development", api_token="", whop_webhook_secret="")
    receiver = Receiver(create_app(settings, engine, lambda: NOW))
    yield receiver
    receiver.stop()


def count(session: Session, model: Any) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


# --- looking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/webhook/whop", "/webhook/payment_failed"])
def test_somebody_may_look_whether_it_is_there(receiver: Receiver, path: str):
    assert receiver.get(path).json() == {"status": "ready for POST"}
    assert receiver.request("HEAD", path).status_code == 200
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = receiver.request(method, path)
        assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


# --- hearing -----------------------------------------------------------------------------------


def test_it_stores_a_failed_payment_with_all_it_says(receiver: Receiver, session: Session):
    answer = receiver.deliver(event(data=payment_data(id="pay_1")), "/webhook/payment_failed")
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    payment = session.scalars(select(Payment)).one()
    assert payment.payment_id == "pay_1"
    assert payment.company_id == COMPANY
    assert str(payment.amount) == "49.00"
    assert payment.reason == "Insufficient funds"
    assert payment.status is PaymentStatus.PENDING_RETRY
    assert payment.next_retry_at == NOW.replace(microsecond=0) + timedelta(hours=1)
    assert payment.window_ends_at == payment.failed_at + timedelta(days=5)
    assert (payment.card_brand, payment.card_last4) == ("visa", "4242")
    assert payment.member_email == "jo@example.com"
    assert payment.next_step is Step.PAYMENT_FAILED


def test_it_reads_the_legacy_shape(receiver: Receiver, session: Session):
    data = {
        "id": "pay_legacy",
        "status": "open",
        "billing_reason": "subscription_cycle",
        "retryable": True,
        "currency": "usd",
        "total": 49.1,
        "usd_total": 49.1,
        "payments_failed": 1,
        "failure_message": "Your card has insufficient funds.",
        "last_payment_attempt": iso(NOW),
        "next_payment_attempt": None,
        "card_brand": "visa",
        "card_last4": "4242",
        "user": {"id": "user_1", "name": "Jo Doe", "email": "jo@example.com"},
        "member": {"id": "mber_9"},
        "membership": {"id": "mem_9", "status": "past_due"},
        "product": {"id": "prod_1", "title": "Pro"},
        "company": {"id": COMPANY},
    }
    envelope = {"id": "msg_1", "type": "payment.failed", "company_id": COMPANY, "data": data}
    assert receiver.deliver(envelope).status_code == 200
    payment = session.scalars(select(Payment)).one()
    assert (str(payment.amount), payment.currency) == ("49.1", "usd")
    assert payment.decline_code == "insufficient_funds"
    assert (payment.member_id, payment.membership_id) == ("mber_9", "mem_9")
    assert (payment.member_email, payment.product) == ("jo@example.com", "Pro")


def test_it_takes_the_flat_payload_of_the_readme_in_development(
    development: Receiver, session: Session
):
    assert development.post(FLAT).status_code == 200
    listed = development.get("/payments/list").json()["payments"]
    assert [(p["payment_id"], p["member_id"], p["amount"]) for p in listed] == [
        ("abc123", "user45", 49.99)
    ]
    assert listed[0]["reason"] == "Card declined"


def test_it_refuses_the_flat_payload_in_production(receiver: Receiver, session: Session):
    assert receiver.post(FLAT).status_code == 401
    assert count(session, WebhookEvent) == 0


def test_a_payment_is_visible_to_the_read_that_follows_its_200(receiver: Receiver):
    for number in range(1, 6):
        receiver.deliver(event())
        assert receiver.get("/stats/summary").json()["total_failed"] == number


def test_it_stores_and_ignores_events_it_does_not_know(receiver: Receiver, session: Session):
    assert receiver.deliver(event("course.completed", {"id": "x"})).status_code == 200
    stored = session.scalars(select(WebhookEvent)).one()
    assert (stored.type, stored.applied_at, stored.error) == ("course.completed", NOW, None)
    assert count(session, Payment) == 0


def test_a_first_purchase_that_fails_is_not_a_lost_member(receiver: Receiver, session: Session):
    data = payment_data(billing_reason="subscription_create")
    assert receiver.deliver(event(data=data)).status_code == 200
    assert count(session, WebhookEvent) == 1
    assert count(session, Payment) == 0


def test_a_payment_that_never_failed_is_not_ours(receiver: Receiver, session: Session):
    assert receiver.deliver(event("payment.succeeded", paid_data())).status_code == 200
    assert count(session, Payment) == 0


def test_concurrent_deliveries_share_commits_and_all_are_stored(
    receiver: Receiver, session: Session
):
    requests = []
    for _ in range(60):
        body = encode(event())
        requests.append(("POST", "/webhook/whop", {"content": body, "headers": sign(body)}))
    answers = asyncio.run(receiver.request_all(requests))
    assert {answer.status_code for answer in answers} == {200}
    assert count(session, Payment) == count(session, WebhookEvent) == 60
    transactions = session.scalar(text("select count(distinct xmin::text) from payments"))
    assert transactions is not None
    assert transactions < 60


# --- once, and in any order --------------------------------------------------------------------


def test_a_duplicate_changes_nothing(receiver: Receiver, session: Session):
    body = encode(event())
    headers = sign(body)
    for _ in range(3):
        answer = receiver.request("POST", "/webhook/whop", content=body, headers=headers)
        assert answer.status_code == 200
    assert count(session, WebhookEvent) == count(session, Payment) == 1


def test_a_success_that_overtakes_its_failure_is_not_forgotten(receiver: Receiver):
    receiver.deliver(event("payment.succeeded", paid_data(id="pay_1")))
    receiver.deliver(event("payment.failed", payment_data(id="pay_1")))
    summary = receiver.get("/stats/summary").json()
    assert (summary["total_failed"], summary["total_recovered"]) == (1, 1)


def test_a_late_failure_does_not_undo_a_recovery(receiver: Receiver):
    receiver.deliver(event("payment.failed", payment_data(id="pay_1")))
    receiver.deliver(event("payment.succeeded", paid_data(id="pay_1")))
    receiver.deliver(event("payment.failed", payment_data(id="pay_1")))
    summary = receiver.get("/stats/summary").json()
    assert (summary["total_failed"], summary["total_recovered"]) == (1, 1)
    assert summary["recovered_amount"] == 49.0


def test_a_refund_nets_out_of_the_money_and_keeps_the_recovery(receiver: Receiver):
    receiver.deliver(event("payment.failed", payment_data(id="pay_1")))
    receiver.deliver(event("payment.succeeded", paid_data(id="pay_1")))
    refund = {"id": "rf_1", "payment_id": "pay_1", "amount": money("9.00"), "status": "pending"}
    receiver.deliver(event("refund.created", refund | {"updated_at": iso(NOW)}))
    receiver.deliver(event("refund.updated", refund | {"status": "succeeded"}))
    summary = receiver.get("/stats/summary").json()
    assert (summary["total_recovered"], summary["recovered_amount"]) == (1, 40.0)


def test_a_refund_that_failed_gives_the_money_back_to_the_figures(receiver: Receiver):
    receiver.deliver(event("payment.failed", payment_data(id="pay_1")))
    receiver.deliver(event("payment.succeeded", paid_data(id="pay_1")))
    refund = {"id": "rf_1", "payment_id": "pay_1", "amount": money("9.00"), "status": "pending"}
    receiver.deliver(event("refund.created", refund))
    receiver.deliver(event("refund.updated", refund | {"status": "failed"}))
    assert receiver.get("/stats/summary").json()["recovered_amount"] == 49.0


def test_a_membership_that_ended_closes_its_open_payments(receiver: Receiver, session: Session):
    receiver.deliver(event(data=payment_data(membership_id="mem_1")))
    receiver.deliver(event(data=payment_data(membership_id="mem_2")))
    receiver.deliver(event("membership.deactivated", {"id": "mem_1"}))
    statuses = dict(session.execute(select(Payment.membership_id, Payment.status)).all())
    assert statuses == {"mem_1": "permanent_fail", "mem_2": "pending_retry"}


# --- refusing ----------------------------------------------------------------------------------


def test_a_signature_must_hold(receiver: Receiver, session: Session):
    body = encode(event())
    good = sign(body)
    broken = {
        "no id": good | {"webhook-id": ""},
        "other id": good | {"webhook-id": "msg_other"},
        "no timestamp": good | {"webhook-timestamp": ""},
        "timestamp in words": good | {"webhook-timestamp": "now"},
        "old": sign(body, NOW - timedelta(seconds=301)),
        "from the future": sign(body, NOW + timedelta(seconds=302)),
        "1970": sign(body, NOW) | {"webhook-timestamp": "0"},
        "no signature": good | {"webhook-signature": ""},
        "no version": good | {"webhook-signature": good["webhook-signature"][3:]},
        "other version": good | {"webhook-signature": "v2" + good["webhook-signature"][2:]},
        "two commas": good | {"webhook-signature": "v1,,abc"},
        "not base64": good | {"webhook-signature": "v1,§§§"},
        "other secret": sign(body, secret="ws_other"),
        "decoded secret": sign(body, secret=SECRET[3:]),
    }
    for what, headers in broken.items():
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = receiver.request("POST", "/webhook/whop", content=body, headers=encoded)
        assert (answer.status_code, what) == (401, what)
    assert count(session, WebhookEvent) == 0


def test_one_good_signature_among_several_is_enough(receiver: Receiver):
    body = encode(event())
    headers = sign(body)
    headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
    answer = receiver.request("POST", "/webhook/whop", content=body, headers=headers)
    assert answer.status_code == 200


def test_a_claimed_signature_must_hold_in_development_too(engine: Engine):
    settings = make_settings(environment="development")
    receiver = Receiver(create_app(settings, engine, lambda: NOW))
    try:
        assert receiver.post(FLAT, **{"webhook-signature": "v1,x"}).status_code == 401
        assert receiver.post(FLAT).status_code == 200
    finally:
        receiver.stop()


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff", 400, "JSON"),
        (b'{"amount": NaN}', 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b"[]", 422, "body"),
        (b"{}", 422, "type"),
        (encode(FLAT | {"amount": "a lot"}), 422, "amount"),
        (encode(FLAT | {"amount": -1}), 422, "amount"),
        (encode(FLAT | {"amount": True}), 422, "amount"),
        (encode(FLAT | {"payment_id": "../x"}), 422, "payment_id"),
        (encode(FLAT | {"payment_id": None}), 422, "payment_id"),
        (encode({"type": "payment.failed", "data": []}), 422, "data"),
        (encode({"type": "payment.failed", "data": {}}), 422, "data."),
        (b'{"x": "' + b"y" * 300_000 + b'"}', 413, "256 KiB"),
    ],
)
def test_bad_input_is_told_what_is_wrong_and_changes_nothing(
    development: Receiver, session: Session, content, status, says
):
    answer = development.post(content)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert count(session, WebhookEvent) == count(session, Payment) == 0


def test_only_json_is_taken(development: Receiver):
    assert development.post(FLAT, **{"content-type": "text/plain"}).status_code == 415


@pytest.mark.parametrize("text", ["nul \x00 here", "half \ud800 pair"])
def test_text_that_postgres_cannot_hold_is_stored_without_it(
    development: Receiver, session: Session, text
):
    assert development.post(FLAT | {"member_name": text}).status_code == 200
    assert session.scalars(select(Payment)).one().member_name == text.replace("\x00", "").replace(
        "\ud800", ""
    )


def test_a_number_too_large_for_the_database_is_refused_not_an_error(development: Receiver):
    body = json.dumps(FLAT)[:-1] + ', "x": 1e999999}'
    assert development.post(body.encode()).status_code == 422


# --- poison ------------------------------------------------------------------------------------


def test_a_signed_event_that_makes_no_sense_is_kept_with_its_error(
    receiver: Receiver, session: Session
):
    answer = receiver.deliver(event(data=payment_data(total=None, subtotal=None)))
    assert answer.status_code == 422
    stored = session.scalars(select(WebhookEvent)).one()
    assert stored.error is not None
    assert "data.subtotal" in stored.error
    assert stored.applied_at is None


def test_an_unsigned_event_that_makes_no_sense_is_not_kept(development: Receiver, session: Session):
    answer = development.post(FLAT | {"amount": "a lot"})
    assert answer.status_code == 422
    assert count(session, WebhookEvent) == 0


def test_one_poison_event_does_not_spoil_those_beside_it(receiver: Receiver, session: Session):
    receiver.deliver(event(data=payment_data(id="pay_1")))
    stranger = event(data=payment_data(id="pay_1"), account_id="biz_other")
    requests = []
    for content in [event(), stranger, event()]:
        body = encode(content)
        requests.append(("POST", "/webhook/whop", {"content": body, "headers": sign(body)}))
    answers = asyncio.run(receiver.request_all(requests))
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    assert count(session, Payment) == 3
    poison = session.scalars(select(WebhookEvent).where(WebhookEvent.error.is_not(None))).one()
    assert poison.error == "pay_1 belongs to another company"


def test_a_redelivered_poison_event_is_refused_again(receiver: Receiver):
    receiver.deliver(event(data=payment_data(id="pay_1")))
    body = encode(event(data=payment_data(id="pay_1"), account_id="biz_other"))
    headers = sign(body)
    for _ in range(2):
        answer = receiver.request("POST", "/webhook/whop", content=body, headers=headers)
        assert answer.status_code == 422


# --- reading -----------------------------------------------------------------------------------


def test_figures_need_the_token(receiver: Receiver):
    for path in ("/stats/summary", "/payments/list"):
        assert receiver.get(path, "wrong").status_code == 401
        assert receiver.request("GET", path).status_code == 401
        assert receiver.get(path).status_code == 200


def test_one_company_never_sees_anothers_rows(receiver: Receiver):
    receiver.deliver(event(data=payment_data(id="pay_mine")))
    receiver.deliver(event(data=payment_data(id="pay_theirs", account_id=None), account_id="biz_2"))
    mine = receiver.get(f"/payments/list?company_id={COMPANY}").json()["payments"]
    assert [payment["payment_id"] for payment in mine] == ["pay_mine"]
    theirs = receiver.get("/stats/summary?company_id=biz_2").json()
    assert theirs["total_failed"] == 1
    unnamed = receiver.get("/stats/summary")
    assert (unnamed.status_code, "company_id" in unnamed.json()["detail"]) == (422, True)


def test_the_list_is_newest_first_and_pages_without_gaps(receiver: Receiver):
    for hour in range(7):
        at = iso(NOW - timedelta(hours=hour))
        receiver.deliver(event(data=payment_data(id=f"pay_h{hour}", last_payment_attempt_at=at)))
    seen, cursor = [], ""
    while cursor is not None:
        page = receiver.get(f"/payments/list?limit=3&cursor={cursor}").json()
        seen += [payment["payment_id"] for payment in page["payments"]]
        cursor = page["next_cursor"]
    assert seen == [f"pay_h{hour}" for hour in range(7)]


def write_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def test_a_cursor_is_the_moment_and_the_number_of_the_last_row(receiver: Receiver):
    """Whoever has kept one from an older version goes on from there."""
    for hour in range(3):
        at = iso(NOW - timedelta(hours=hour))
        receiver.deliver(event(data=payment_data(id=f"pay_h{hour}", last_payment_attempt_at=at)))
    first = receiver.get("/payments/list?limit=1").json()
    kept = write_cursor(f"{NOW.isoformat()}|1")
    assert first["next_cursor"] == kept
    rest = receiver.get(f"/payments/list?cursor={kept}").json()
    assert [payment["payment_id"] for payment in rest["payments"]] == ["pay_h1", "pay_h2"]
    assert rest["next_cursor"] is None
    full = receiver.get(f"/payments/list?limit=2&cursor={kept}").json()
    after = receiver.get(f"/payments/list?limit=2&cursor={full['next_cursor']}").json()
    assert after == {"payments": [], "next_cursor": None}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|",
        "x|1",
        f"{NOW.isoformat()}|",
        f"{NOW.isoformat()}|x",
        f"{NOW.isoformat()}|-1",
        f"{NOW.isoformat()}|{2**63}",
        f"{NOW.isoformat()}|1|2",
        f"{NOW.isoformat()}~1",
        f"{NOW.isoformat()}~1|",
        "2026-11-20T09:15:04|1",
        "49.00|1",
    ],
)
def test_a_cursor_that_nobody_handed_out_is_refused(receiver: Receiver, text):
    answer = receiver.get(f"/payments/list?cursor={write_cursor(text) or '='}")
    assert (answer.status_code, "cursor" in answer.json()["detail"]) == (422, True)


def test_the_list_says_what_needs_the_creator(receiver: Receiver):
    receiver.deliver(event(data=payment_data(id="pay_1", decline_code="invalid_amount")))
    receiver.deliver(event(data=payment_data(id="pay_2")))
    answer = receiver.get("/payments/list").json()
    needs = {payment["payment_id"]: payment["needs"] for payment in answer["payments"]}
    assert needs == {"pay_1": "amount", "pay_2": None}


def test_the_list_filters_by_status(receiver: Receiver):
    receiver.deliver(event(data=payment_data(id="pay_1")))
    receiver.deliver(event(data=payment_data(id="pay_2", decline_code="stolen_card")))
    answer = receiver.get("/payments/list?status=failed").json()
    assert [payment["payment_id"] for payment in answer["payments"]] == ["pay_2"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "status=paid", "cursor=%00", "company_id=../x"]
)
def test_a_wrong_parameter_is_named(receiver: Receiver, query):
    answer = receiver.get(f"/payments/list?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["detail"]


def test_no_address_is_in_any_answer(receiver: Receiver):
    receiver.deliver(event())
    assert "jo@example.com" not in receiver.get("/payments/list").text


def test_it_is_alive_ready_and_counts(receiver: Receiver):
    assert receiver.request("GET", "/healthz").json() == {"status": "ok"}
    assert receiver.request("GET", "/readyz").json() == {"status": "ready"}
    receiver.deliver(event())
    assert 'webhook_deliveries_total{status="200"}' in receiver.request("GET", "/metrics").text


def test_rest_and_ledger_agree(receiver: Receiver, session: Session):
    for _ in range(3):
        receiver.deliver(event())
    figures = summarize(session, COMPANY, NOW)
    answer = receiver.get("/stats/summary").json()
    assert answer["total_failed"] == figures.total_failed == 3
    assert answer["at_risk_amount"] == float(figures.at_risk_amount) == 147.0


def test_its_front_page_leads_nobody_to_the_dashboard_in_production(receiver: Receiver):
    """Members know this address: it stands in every reminder."""
    for method in ("GET", "HEAD", "POST"):
        answer = receiver.request(method, "/")
        assert (answer.status_code, "location" in answer.headers) == (404, False)


def test_its_front_page_leads_to_the_dashboard_in_development(development: Receiver):
    answer = development.request("GET", "/")
    assert (answer.status_code, answer.headers["location"]) == (307, "http://localhost:3000")


def test_nothing_is_charged_by_hearing(receiver: Receiver, session: Session):
    receiver.deliver(event())
    assert count(session, Attempt) == 0


def test_a_secret_is_never_shown(receiver: Receiver):
    assert SECRET not in repr(make_settings())
    assert isinstance(make_settings().whop_webhook_secret, SecretStr)
