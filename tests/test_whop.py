"""The only code that knows Whop: client, errors, pace, signature, payloads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whop_sdk.lib.verify_webhook import unwrap

from recovery.reports import PaymentReport
from tests.factories import COMPANY, NOW, SECRET, encode, event, iso, money, payment_data, sign
from tests.rig import Rig
from whop.client import WhopClient
from whop.errors import AccessError, BusyError, NoAnswerError, NotFoundError, RefusedError
from whop.lists import SavedCard
from whop.memberships import MEMBERSHIPS_PAGE
from whop.objects import FAILED
from whop.payloads import read_event
from whop.rate_limit import RateLimit
from whop.signature import SignatureError, verify_signature
from whop.values import PayloadError


def make_client(answer) -> WhopClient:
    return WhopClient(
        "https://whop.test/api/v1",
        "apik_x",
        "2026-10-15-1",
        RateLimit(600_000),
        lambda: NOW,
        httpx.MockTransport(answer),
        lambda seconds: None,
    )


def always(status: int, json: object = None, headers: dict[str, str] | None = None):
    return lambda request: httpx.Response(status, json=json, headers=headers)


def error(message: str, code: str | None = None) -> dict[str, Any]:
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
        ("Try again in 12 seconds.", {"retry-after": "7"}, 7),
        ("Try again in 12 seconds.", {"retry-after": "Fri, 20 Nov 2026 09:16:04 GMT"}, 12),
        ("Try again in 12 seconds.", {"retry-after": b"\xb2"}, 12),
        ("Slow down", {"retry-after": "9" * 5000}, 60),
        ("Try again in 1 second.", {}, 1),
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
    membership = make_client(always(200, {"manage_url": link})).get_membership("mem_1", COMPANY)
    assert membership.manage_url == MEMBERSHIPS_PAGE


# --- lists and other calls ---------------------------------------------------------------------


class Asked:
    """Answers 200 with this, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        self.content = answer
        self.requests: list[httpx.Request] = []
        self.client = make_client(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=self.content)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.requests[-1].url.params)


def listed(*items: object, cursor: str | None = None) -> dict[str, Any]:
    info = {"has_next_page": cursor is not None, "end_cursor": cursor or "the last one"}
    return {"data": list(items), "page_info": info | {"has_previous_page": False}}


def test_payments_are_listed_with_the_filters_asked_for():
    whop = Asked(listed(payment_data(id="pay_1"), payment_data(id="pay_2"), cursor="c2"))
    page = whop.client.list_payments(
        COMPANY,
        status="open",
        billing_reason="subscription_cycle",
        created_after=NOW - timedelta(days=6),
        oldest_first=True,
        after="c1",
        first=20,
    )
    assert [payment.payment_id for payment in page.items] == ["pay_1", "pay_2"]
    assert page.next_cursor == "c2"
    assert whop.requests[0].url.path == "/api/v1/payments"
    assert whop.query == {
        "account_id": COMPANY,
        "status": "open",
        "billing_reason": "subscription_cycle",
        "created_after": iso(NOW - timedelta(days=6)),
        "order": "created_at",
        "direction": "asc",
        "after": "c1",
        "first": "20",
    }


def test_what_is_not_asked_for_is_not_sent():
    whop = Asked(listed())
    assert whop.client.list_payments(COMPANY).items == ()
    assert whop.query == {"account_id": COMPANY, "first": "25"}


@pytest.mark.parametrize(
    "info",
    [
        {"has_next_page": False, "end_cursor": "c2"},
        {"has_next_page": True, "end_cursor": None},
        {"has_next_page": True, "end_cursor": "c1"},
        {"end_cursor": "c2"},
        None,
    ],
)
def test_a_list_ends_where_no_other_page_is_promised(info):
    whop = Asked({"data": [payment_data()], "page_info": info})
    assert whop.client.list_payments(COMPANY, after="c1").next_cursor is None


def test_an_unreadable_item_costs_none_of_the_others():
    whop = Asked(listed(payment_data(id="pay_1"), payment_data(total="?"), 7, None, {}))
    page = whop.client.list_payments(COMPANY)
    assert [payment.payment_id for payment in page.items] == ["pay_1"]


@pytest.mark.parametrize("answer", [{"data": None}, {"data": {}}, {}, []])
def test_a_list_that_is_none_is_no_answer(answer):
    with pytest.raises(NoAnswerError):
        Asked(answer).client.list_payments(COMPANY)


def test_a_listed_payment_is_as_old_as_whop_says_and_never_newer_than_now():
    early, late = NOW - timedelta(hours=1), NOW + timedelta(days=1)
    items = [payment_data(updated_at=iso(early)), payment_data(updated_at=iso(late))]
    items.append(payment_data(updated_at=None))
    page = Asked(listed(*items)).client.list_payments(COMPANY)
    assert [payment.observed_at for payment in page.items] == [early, NOW, NOW]


def test_pages_of_the_sandbox_are_walked_to_their_end(sessions, tmp_path):
    rig = Rig(sessions, tmp_path)
    failed = [rig.fail() for _ in range(5)]
    whop = rig.cycle.retrier.whop
    pages = [whop.list_payments(COMPANY, status="open", oldest_first=True, first=2)]
    while pages[-1].next_cursor is not None:
        after = pages[-1].next_cursor
        pages.append(
            whop.list_payments(COMPANY, status="open", oldest_first=True, first=2, after=after)
        )
    assert [len(page.items) for page in pages] == [2, 2, 1]
    found = [payment for page in pages for payment in page.items]
    assert sorted(payment.payment_id for payment in found) == sorted(failed)
    assert all(payment.failed for payment in found)
    assert whop.list_refunds(COMPANY).items == ()
    assert whop.find_missing_permissions(COMPANY, ["payment:manage"]) == frozenset()


def test_refunds_are_listed():
    item = {
        "id": "rf_1",
        "account_id": COMPANY,
        "payment_id": "pay_1",
        "amount": money("9.50"),
        "original_amount": money("9.50"),
        "status": "succeeded",
        "created_at": iso(NOW),
        "updated_at": iso(NOW),
    }
    whop = Asked(listed(item, item | {"payment_id": None}, cursor="c2"))
    page = whop.client.list_refunds(COMPANY, created_after=NOW, after="c1")
    (refund,) = page.items
    assert (refund.refund_id, refund.payment_id, refund.company_id) == ("rf_1", "pay_1", COMPANY)
    assert (refund.amount, refund.status) == (Decimal("9.50"), "succeeded")
    assert page.next_cursor == "c2"
    assert whop.requests[0].url.path == "/api/v1/refunds"
    asked = {"account_id": COMPANY, "created_after": iso(NOW), "after": "c1", "first": "25"}
    assert whop.query == asked


def saved(method_id: str, **card: object) -> dict[str, Any]:
    """As the SDK's PaymentMethodListItemCardPaymentMethod has it."""
    usual = {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 27, "expired": False}
    return {
        "typename": "CardPaymentMethod",
        "id": method_id,
        "payment_method_type": "card",
        "created_at": iso(NOW),
        "has_payer_document": False,
        "card": usual | card,
    }


def test_a_members_saved_cards_are_listed_and_nothing_else():
    bank = {"typename": "UsBankAccountPaymentMethod", "id": "payt_3", "us_bank_account": {}}
    unknown = {"brand": None, "last4": None, "exp_month": None, "exp_year": None}
    whop = Asked(
        listed(saved("payt_1"), bank, saved("payt_2", exp_year=2031), saved("payt_4", **unknown))
    )
    assert whop.client.list_saved_cards("mber_1", COMPANY) == (
        SavedCard("payt_1", "visa", "4242", 4, 2027),
        SavedCard("payt_2", "visa", "4242", 4, 2031),
        SavedCard("payt_4", None, None, None, None),
    )
    assert whop.requests[0].url.path == "/api/v1/payment_methods"
    assert whop.query == {"member_id": "mber_1", "broken": "false", "first": "25"}


def test_a_membership_says_where_its_card_is_changed_and_whose_it_is():
    whop = Asked(
        {
            "id": "mem_1",
            "status": "past_due",
            "manage_url": "https://whop.com/billing/manage/mber_1/",
            "product": {"id": "prod_1", "title": "Pro"},
            "account": {"id": COMPANY, "title": "Acme"},
        }
    )
    found = whop.client.get_membership("mem_1", COMPANY)
    assert (found.manage_url, found.product, found.seller) == (
        "https://whop.com/billing/manage/mber_1/",
        "Pro",
        "Acme",
    )


def test_a_card_is_changed_by_one_patch():
    whop = Asked({"id": "mem_1", "status": "past_due"})
    whop.client.change_card("mem_1", "payt_2")
    (request,) = whop.requests
    assert (request.method, request.url.path) == ("PATCH", "/api/v1/memberships/mem_1")
    assert json.loads(request.content) == {"payment_method_id": "payt_2"}


def test_a_membership_that_says_little_is_still_one():
    found = Asked({}).client.get_membership("mem_1", COMPANY)
    assert (found.manage_url, found.product, found.seller) == (MEMBERSHIPS_PAGE, None, None)
    assert (found.facts.renewal, found.facts.paused) == (None, None)


def test_what_is_not_granted_or_not_told_is_missing():
    granted = [
        {"action": "payment:manage", "granted": True},
        {"action": "member:manage", "granted": False},
        {"action": "payment:basic:read", "granted": None},
        {"action": "not:asked", "granted": True},
    ]
    whop = Asked({"data": granted})
    asked = ["payment:manage", "member:manage", "payment:basic:read", "plan:basic:read"]
    assert whop.client.find_missing_permissions(COMPANY, asked) == set(asked[1:])
    assert whop.query["resource_id"] == COMPANY
    assert set(whop.query["actions"].split(",")) == set(asked)


# --- signature ---------------------------------------------------------------------------------


def test_whops_own_sdk_and_we_accept_the_same_signature():
    body = encode(event())
    headers = sign(body)
    assert verify_signature((SECRET,), headers, body, NOW) == headers["webhook-id"]
    signed_now = sign(body, datetime.now(UTC))  # the SDK reads the clock itself
    assert unwrap(body, headers=signed_now, key=SECRET)["type"] == FAILED


def test_an_empty_secret_admits_nobody():
    body = encode(event())
    with pytest.raises(SignatureError, match="no webhook secret"):
        verify_signature(("",), sign(body, secret=""), body, NOW)


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=80),
    ),
)
def test_whatever_the_headers_the_refusal_is_one_kind(body, headers):
    with pytest.raises(SignatureError):
        verify_signature((SECRET,), headers, body, NOW)


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
    assert payment.observed_at == NOW


CARD = {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2027}


@pytest.mark.parametrize(
    ("fields", "expiry"),
    [
        ({"payment_instrument": {"card": CARD}}, "2027-04"),
        ({"payment_instrument": None, "card_exp_month": 11, "card_exp_year": 2031}, "2031-11"),
        ({"payment_instrument": None, "payment_method": {"card": CARD}}, "2027-04"),
        ({"payment_instrument": {"card": CARD | {"exp_year": 27}}}, "2027-04"),
        ({"payment_instrument": {"card": CARD | {"exp_month": 13}}}, None),
        ({"payment_instrument": {"card": CARD | {"exp_month": 0}}}, None),
        ({"payment_instrument": {"card": CARD | {"exp_year": None}}}, None),
        ({"payment_instrument": None}, None),
    ],
)
def test_it_reads_when_the_card_expires(fields, expiry):
    payment = read_event(event(data=payment_data(**fields)), NOW).payment
    assert payment is not None
    assert payment.card_expiry == expiry


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"substatus": "past_due", "payments_failed": None}, True),
        ({"substatus": "failed", "payments_failed": 0}, True),
        ({"substatus": "pending", "payments_failed": 1, "status": "pending"}, True),
        ({"substatus": "incomplete", "payments_failed": 0}, False),
        ({"substatus": None, "payments_failed": None}, False),
        ({"substatus": "succeeded", "payments_failed": 3, "status": "paid"}, False),
    ],
)
def test_a_listed_payment_tells_by_itself_whether_it_failed(fields, failed):
    (payment,) = Asked(listed(payment_data(**fields))).client.list_payments(COMPANY).items
    assert payment.failed is failed
    assert not payment.starts_dunning


@pytest.mark.parametrize(
    "fields", [{"payment_method_id": "payt_1"}, {"payment_method": {"id": "payt_1"}}]
)
def test_it_reads_whose_payment_it_is_and_which_method_it_charged(fields):
    (payment,) = Asked(listed(payment_data(**fields))).client.list_payments(COMPANY).items
    assert (payment.user_id, payment.payment_method_id) == ("user_1", "payt_1")


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


CARD_SHOWN = {"payment_instrument": {"card": {"brand": "visa", "last4": "4242"}}}


@pytest.mark.parametrize(
    ("fields", "method_type"),
    [
        ({"payment_method_type": "sepa_debit"}, "sepa_debit"),
        ({"payment_instrument": {"payment_method_type": "us_bank_account"}}, "us_bank_account"),
        ({"payment_method": {"id": "payt_1", "payment_method_type": "card"}}, "card"),
        (
            {
                "payment_method_type": "card",
                "payment_method": {"payment_method_type": "sepa_debit"},
            },
            "sepa_debit",
        ),
        ({"payment_method_type": "unknown"} | CARD_SHOWN, None),
        ({"payment_method_type": "apple"} | CARD_SHOWN, None),
        ({"payment_method_type": "unknown", "payment_instrument": None}, "unknown"),
        ({"payment_method_type": 7}, None),
        ({}, None),
    ],
)
def test_it_reads_what_was_charged_and_of_two_words_the_stricter(fields, method_type):
    payment = read_event(event(data=payment_data(**fields)), NOW).payment
    assert payment is not None
    assert payment.payment_method_type == method_type
