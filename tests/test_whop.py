"""The only code that knows Whop: client, errors, pace, signature, payloads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whop_sdk.lib.verify_webhook import unwrap

from db.reports import PaymentReport
from tests.factories import COMPANY, NOW, SECRET, encode, event, iso, payment_data, sign
from whop.client import MEMBERSHIPS_PAGE, WhopClient
from whop.errors import AccessError, BusyError, NoAnswerError, NotFoundError, RefusedError
from whop.pace import Pace
from whop.payloads import FAILED, read_event
from whop.signature import SignatureError, verify_signature
from whop.values import PayloadError


def make_client(answer) -> WhopClient:
    return WhopClient(
        "https://whop.test/api/v1",
        "apik_x",
        "2026-10-15-1",
        Pace(600_000),
        lambda: NOW,
        httpx.MockTransport(answer),
        lambda seconds: None,
    )


def always(status: int, json: object = None, headers: dict[str, str] | None = None):
    return lambda request: httpx.Response(status, json=json, headers=headers)


def error(message: str, code: str | None = None) -> dict:
    return {"error": {"type": "x", "message": message, "code": code, "param": None}}


# --- client ------------------------------------------------------------------------------------


def test_a_retry_is_one_post_with_its_key_and_version():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500, json=error("boom"))

    with pytest.raises(NoAnswerError):
        make_client(answer).retry_payment("pay_1", COMPANY, "retry:pay_1:1")
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/api/v1/payments/pay_1/retry")
    assert request.headers["idempotency-key"] == "retry:pay_1:1"
    assert request.headers["api-version-date"] == "2026-10-15-1"
    assert request.headers["authorization"] == "Bearer apik_x"
    assert request.content == b""


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error("bad"), RefusedError),
        (401, error("who"), AccessError),
        (402, error("fund"), AccessError),
        (403, error("scope"), AccessError),
        (404, error("none"), NotFoundError),
        (408, None, NoAnswerError),
        (409, error("max"), RefusedError),
        (409, error("wait", "idempotency_request_in_progress"), NoAnswerError),
        (422, error("no"), RefusedError),
        (429, error("Try again in 12 seconds."), BusyError),
        (500, error("boom"), NoAnswerError),
        (502, None, NoAnswerError),
        (409, ["not", "whops", "shape"], RefusedError),
        (200, ["not a payment"], NoAnswerError),
        (200, {"id": "pay_1"}, NoAnswerError),
    ],
)
def test_each_answer_is_what_it_means_for_a_charge(status, body, expected):
    with pytest.raises(expected):
        make_client(always(status, body)).retry_payment("pay_1", COMPANY, "k")


@pytest.mark.parametrize(
    "broken", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_a_broken_connection_is_no_answer(broken):
    def answer(request: httpx.Request) -> httpx.Response:
        raise broken("x", request=request)

    with pytest.raises(NoAnswerError, match=broken.__name__):
        make_client(answer).get_payment("pay_1", COMPANY)


@pytest.mark.parametrize(
    ("message", "headers", "seconds"),
    [
        ("Try again in 12 seconds.", {}, 12),
        ("Slow down", {"retry-after": "7"}, 7),
        ("Slow down", {}, 60),
        ("Try again in 999999 seconds.", {}, 3600),
    ],
)
def test_the_wait_is_read_from_header_or_text(message, headers, seconds):
    with pytest.raises(BusyError) as caught:
        make_client(always(429, error(message), headers)).get_payment("pay_1", COMPANY)
    assert caught.value.wait == timedelta(seconds=seconds)


def test_an_id_cannot_leave_its_place_in_the_address():
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(404)

    with pytest.raises(NotFoundError):
        make_client(answer).get_payment("../memberships/mem_1", COMPANY)
    assert seen == ["/api/v1/payments/..%2Fmemberships%2Fmem_1"]


@pytest.mark.parametrize("link", [None, "javascript:alert(1)", "http://whop.com/x"])
def test_only_a_safe_link_is_given_to_a_member(link):
    membership = make_client(always(200, {"manage_url": link})).get_membership("mem_1")
    assert membership.manage_url == MEMBERSHIPS_PAGE


# --- signature ---------------------------------------------------------------------------------


def test_whops_own_sdk_and_we_accept_the_same_signature():
    body = encode(event())
    headers = sign(body)
    assert verify_signature(SECRET, headers, body, NOW) == headers["webhook-id"]
    signed_now = sign(body, datetime.now(UTC))  # the SDK reads the clock itself
    assert unwrap(body, headers=signed_now, key=SECRET)["type"] == FAILED


def test_an_empty_secret_admits_nobody():
    body = encode(event())
    with pytest.raises(SignatureError, match="no webhook secret"):
        verify_signature("", sign(body, secret=""), body, NOW)


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=80),
    ),
)
def test_whatever_the_headers_the_refusal_is_one_kind(body, headers):
    with pytest.raises(SignatureError):
        verify_signature(SECRET, headers, body, NOW)


# --- payloads ----------------------------------------------------------------------------------


def test_both_shapes_read_the_same():
    current = payment_data(id="pay_1", product={"id": "prod_1", "title": "Pro"})
    legacy = {
        "id": "pay_1",
        "status": "open",
        "substatus": "past_due",
        "billing_reason": "subscription_cycle",
        "retryable": True,
        "currency": "usd",
        "total": 49.0,
        "usd_total": 49.0,
        "payments_failed": 1,
        "failure_message": "Your card has insufficient funds.",
        "decline_code": "insufficient_funds",
        "last_payment_attempt": iso(NOW),
        "card_brand": "visa",
        "card_last4": "4242",
        "user": {"id": "user_1", "name": "Jo Doe", "email": "jo@example.com"},
        "member": {"id": "mber_1"},
        "membership": {"id": "mem_1", "status": "past_due"},
        "product": {"id": "prod_1", "title": "Pro"},
        "company": {"id": COMPANY},
        "created_at": iso(NOW),
        "updated_at": iso(NOW),
    }
    new = read_event(event(data=current), NOW).payment
    old = read_event({"type": FAILED, "company_id": COMPANY, "data": legacy}, NOW).payment
    assert new == old


def test_a_payment_is_what_the_ledger_hears():
    report: PaymentReport | None = read_event(event(), NOW).payment
    assert report is not None
    assert report.amount == Decimal("49.00")


def test_a_clock_ahead_of_ours_does_not_outrank_later_words():
    data = payment_data(updated_at="2099-01-01T00:00:00Z")
    payment = read_event(event(data=data), NOW).payment
    assert payment is not None
    assert payment.as_of == NOW


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(payment_data())), JSON)
def test_any_wrong_value_anywhere_is_tolerated_or_named(field, value):
    try:
        payment = read_event(event(data=payment_data(**{field: value})), NOW).payment
    except PayloadError as error:
        named = error.field
    else:
        named = "data." if payment is not None and payment.amount >= 0 else ""
    assert named.startswith("data.")
