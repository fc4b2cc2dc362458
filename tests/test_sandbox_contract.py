"""The sandbox against code we did not write: the official SDK, and SendGrid's client."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any, get_args

import httpx
import pytest
import uvicorn
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import CustomArg
from sendgrid.helpers.mail import Mail as OutgoingMail
from standardwebhooks import Webhook
from whop_sdk import Whop, WhopEnvironment
from whop_sdk.core.api_error import ApiError
from whop_sdk.core.pydantic_utilities import parse_obj_as
from whop_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnauthorizedError,
)
from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap
from whop_sdk.types.api_key_api_version_date import ApiKeyApiVersionDate
from whop_sdk.types.membership import Membership
from whop_sdk.types.membership_legacy import MembershipLegacy
from whop_sdk.types.payment import Payment
from whop_sdk.types.payment_decline_codes import PaymentDeclineCodes
from whop_sdk.types.payment_legacy import PaymentLegacy
from whop_sdk.types.payment_list_item import PaymentListItem
from whop_sdk.types.refund import Refund
from whop_sdk.types.refund_legacy import RefundLegacy
from whop_sdk.types.webhook_event import WebhookEvent

from sandbox.app import create_app
from sandbox.population import CODES, FAILURE_MESSAGES
from sandbox.switches import Switches
from sandbox.transport import InProcess
from sandbox.versions import SUPPORTED
from sandbox.world import World

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "ws_sandbox_secret"
ONCE: Any = {"max_retries": 0}


@dataclass
class Stage:
    """A world, the time in it, and every webhook it delivered."""

    now: datetime = NOON
    delivered: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    switches: Switches = field(default_factory=Switches)

    def __post_init__(self) -> None:
        self.world = World(switches=self.switches, deliver=self.deliver)
        self.transport = InProcess(self.world, lambda: self.now)

    def deliver(self, headers: dict[str, str], body: bytes) -> int:
        self.delivered.append((headers, body))
        return 200

    def whop(self, token: str = "apik_sandbox", **options: Any) -> Whop:
        return Whop(
            token=token,
            environment=WhopEnvironment(
                api="https://whop.test/api/v1", vault="https://vault.test/api/v1"
            ),
            httpx_client=httpx.Client(transport=self.transport),
            max_retries=0,
            **options,
        )

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)
        self.world.advance(self.now)

    def failed(self, *script: str) -> str:
        return self.world.fail_renewal(self.now, script=["insufficient_funds", *script])

    def events(self, kind: str) -> list[Any]:
        bodies = [json.loads(body) for _, body in self.delivered]
        return [body["data"] for body in bodies if body["type"] == kind]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_lists_payments_page_by_page_newest_first(stage):
    made = []
    for _ in range(7):
        made.append(stage.failed())
        stage.later(minutes=1)

    pager = stage.whop().payments.list(account_id="biz_demo", status="open", first=3)

    listed = list(pager)
    assert [payment.id for payment in listed] == made[::-1]
    assert all(payment.recovery_url is None for payment in listed)


def test_it_finds_nothing_for_another_account(stage):
    stage.failed()

    assert list(stage.whop().payments.list(account_id="biz_other")) == []


def test_it_filters_by_membership_reason_and_time(stage):
    first = stage.failed()
    stage.later(hours=2)
    second = stage.world.fail_renewal(stage.now, billing_reason="subscription_update")
    payments = stage.whop().payments
    membership_id = payments.retrieve(first).membership_id

    def ids(**filters: Any) -> list[str]:
        return [payment.id for payment in payments.list(**filters)]

    assert ids(membership_id=membership_id) == [first]
    assert ids(billing_reason="subscription_cycle") == [second, first]
    assert ids(billing_reason="one_time") == []
    assert ids(created_after=NOON + timedelta(hours=1)) == [second]
    assert ids(created_before=NOON + timedelta(hours=1)) == [first]
    assert ids(direction="asc", order="created_at") == [first, second]


def test_it_shows_a_failed_renewal(stage):
    payment_id = stage.world.fail_renewal(
        NOON, decline_code="insufficient_funds", amount=Decimal("49.00"), currency="eur"
    )

    payment = stage.whop().payments.retrieve(payment_id)

    assert (payment.status, payment.substatus) == ("open", "past_due")
    assert payment.retryable
    assert payment.decline_code == "insufficient_funds"
    assert payment.payments_failed == 1
    assert payment.next_payment_attempt_at == "2026-11-21T12:00:00.000Z"
    assert (payment.total.amount, payment.total.currency) == ("49.00", "eur")
    assert (payment.usd_total.amount, payment.usd_total.currency) == ("52.92", "usd")


def test_it_charges_on_a_retry(stage):
    whop = stage.whop()
    payment_id = stage.failed("generic_decline", "paid")

    declined = whop.payments.retry(payment_id, request_options=ONCE)
    paid = whop.payments.retry(payment_id, request_options=ONCE)

    assert (declined.status, declined.decline_code) == ("open", "generic_decline")
    assert declined.payments_failed == 2
    assert (paid.status, paid.substatus, paid.retryable) == ("paid", "succeeded", False)
    assert paid.decline_code is None
    assert paid.refundable


def test_it_keeps_a_payment_pending_until_it_settles(stage):
    whop = stage.whop()
    payment_id = stage.failed("pending")

    assert whop.payments.retry(payment_id, request_options=ONCE).status == "pending"
    assert whop.payments.retrieve_status(payment_id).processing_details.expected_by
    stage.later(days=2)

    assert whop.payments.retrieve(payment_id).status == "paid"


def test_it_shows_refunds_on_the_payment_and_in_their_own_list(stage):
    whop = stage.whop()
    payment_id = stage.failed("paid")
    whop.payments.retry(payment_id, request_options=ONCE)

    stage.world.refund(payment_id, stage.now, Decimal("5.00"))
    (pending,) = whop.refunds.list(payment_id=payment_id)
    assert (pending.status, pending.amount.amount) == ("pending", "5.00")

    stage.later(days=1)
    (refund,) = whop.refunds.list(payment_id=payment_id)
    payment = whop.payments.retrieve(payment_id)
    assert refund.status == "succeeded"
    assert payment.refunded_amount.amount == "5.00"
    assert payment.substatus == "partially_refunded"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (["insufficient_funds", "insufficient_funds"], "requires_confirmation"),
        (["authentication_required", "authentication_required"], "requires_action"),
        (["insufficient_funds", "pending"], "processing"),
        (["insufficient_funds", "paid"], "succeeded"),
    ],
)
def test_it_says_where_a_charge_stands(stage, script, status):
    whop = stage.whop()
    payment_id = stage.world.fail_renewal(NOON, script=script)
    whop.payments.retry(payment_id, request_options=ONCE)

    standing = whop.payments.retrieve_status(payment_id)

    assert standing.status == status
    assert (standing.last_payment_error is None) == (status in ("processing", "succeeded"))
    assert (standing.next_action is not None) == (status == "requires_action")


def test_it_shows_memberships_with_the_link_to_change_the_card(stage):
    whop = stage.whop()
    payment = whop.payments.retrieve(stage.failed())

    membership = whop.memberships.retrieve(payment.membership_id)
    (listed,) = whop.memberships.list(account_id="biz_demo")

    assert membership.status == "past_due"
    assert membership.manage_url == f"https://whop.com/billing/manage/{payment.member_id}/"
    assert listed.id == membership.id


def test_it_says_which_permissions_are_granted(stage):
    stage.switches.denied_permissions = ("payment:manage",)

    granted = stage.whop().permissions.list(
        resource_id="biz_demo", actions="payment:basic:read,payment:manage"
    )

    assert [(item.action, item.granted) for item in granted.data] == [
        ("payment:basic:read", True),
        ("payment:manage", False),
    ]


def test_it_gives_errors_the_sdk_knows(stage):
    payments = stage.whop().payments
    paid = stage.failed("paid")
    payments.retry(paid, request_options=ONCE)

    with pytest.raises(UnauthorizedError):
        stage.whop(token="apik_wrong").payments.retrieve(paid)
    with pytest.raises(NotFoundError):
        payments.retrieve("pay_unknown")
    with pytest.raises(ConflictError) as refused:
        payments.retry(paid, request_options=ONCE)
    assert refused.value.body["error"]["message"] == "This payment has already been paid"
    with pytest.raises(BadRequestError, match="Supported"):
        list(stage.whop(api_version_date="2026-02-30").payments.list())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_gives_the_error_of_a_fault(stage, status):
    payment_id = stage.failed("paid")
    stage.world.faults.add("payments.retry", "status", status=status)

    with pytest.raises(ApiError) as failed:
        stage.whop().payments.retry(payment_id, request_options=ONCE)

    assert failed.value.status_code == status
    assert len(stage.world.ledger.charges(payment_id)) == 1


def test_it_answers_in_the_legacy_shape_without_a_version():
    stage = Stage()
    payment_id = stage.failed("paid")
    headers = {"authorization": "Bearer apik_sandbox"}
    old = httpx.Client(
        transport=stage.transport, base_url="https://whop.test/api/v1", headers=headers
    )
    dated = old.get(f"/payments/{payment_id}", headers={"Api-Version-Date": "2025-01-01"}).json()
    open_payment = parse_obj_as(PaymentLegacy, dated)
    old.post(f"/payments/{payment_id}/retry")
    stage.world.refund(payment_id, stage.now, Decimal("1.00"))
    stage.later(days=1)

    payment = parse_obj_as(PaymentLegacy, old.get(f"/payments/{payment_id}").json())
    (listed,) = old.get("/payments", params={"company_id": "biz_demo"}).json()["data"]
    (refund,) = old.get("/refunds", params={"payment_id": payment_id}).json()["data"]
    membership = old.get(f"/memberships/{payment.membership.id}").json()

    assert isinstance(dated["total"], float)
    assert (open_payment.status, open_payment.membership.status) == ("open", "past_due")
    assert (payment.status, payment.refunded_amount) == ("paid", 1.0)
    assert payment.refunds[0].amount == 1.0
    assert parse_obj_as(PaymentListItem, listed).id == payment_id
    assert parse_obj_as(RefundLegacy, refund).amount == 1.0
    assert parse_obj_as(MembershipLegacy, membership).status == "active"


def test_it_signs_webhooks_the_way_the_sdk_checks_them():
    # The SDK compares with the machine's clock.
    stage = Stage(now=datetime.now(UTC))
    payment_id = stage.failed()
    ((headers, body),) = stage.delivered

    event = unwrap(body, headers=headers, key=SECRET)
    Webhook(base64.b64encode(SECRET.encode()).decode()).verify(body, headers)

    assert event["type"] == "payment.failed"
    assert event["account_id"] == "biz_demo"
    assert event["data"]["id"] == payment_id
    assert headers["webhook-id"] == event["id"]
    with pytest.raises(WebhookVerificationError):
        unwrap(body.replace(b"past_due", b"paid"), headers=headers, key=SECRET)
    with pytest.raises(WebhookVerificationError):
        unwrap(body, headers=headers, key="ws_another_secret")


@pytest.mark.parametrize(
    ("shape", "payment_type", "membership_type", "refund_type"),
    [
        ("current", Payment, Membership, Refund),
        ("legacy", PaymentLegacy, MembershipLegacy, RefundLegacy),
    ],
)
def test_it_describes_things_in_webhooks_as_the_api_does(
    shape, payment_type, membership_type, refund_type
):
    stage = Stage(switches=Switches(webhook_shape=shape))
    paid = stage.failed("pending")
    stage.world.retry(paid, stage.now)
    stage.world.fail_renewal(stage.now, script=["authentication_required"])
    stage.later(days=2)
    stage.world.refund(paid, stage.now)
    stage.later(days=6)

    account = {"current": "account_id", "legacy": "company_id"}[shape]
    assert all(account in json.loads(body) for _, body in stage.delivered)
    for kind in ("failed", "pending", "succeeded", "requires_action"):
        events = stage.events(f"payment.{kind}")
        assert events, kind
        assert [parse_obj_as(payment_type, event) for event in events]
    (action, *_) = stage.events("payment.requires_action")
    assert action["recovery_url"]
    assert parse_obj_as(membership_type, stage.events("membership.deactivated")[0])
    assert parse_obj_as(refund_type, stage.events("refund.created")[0]).status == "pending"
    assert parse_obj_as(refund_type, stage.events("refund.updated")[0]).status == "succeeded"


def test_it_speaks_the_sdks_words():
    # Each of these types is a union of its known words and Any.
    known_codes = get_args(get_args(PaymentDeclineCodes)[0])
    known_dates = get_args(get_args(ApiKeyApiVersionDate)[0])
    known_events = get_args(get_args(WebhookEvent)[0])

    assert {code for codes in CODES.values() for code in codes} <= set(known_codes)
    assert set(FAILURE_MESSAGES) <= set(known_codes)
    assert set(SUPPORTED) == set(known_dates)
    assert {"payment.failed", "payment.canceled", "membership.deactivated"} <= set(known_events)


@pytest.fixture
def server(stage) -> Iterator[str]:
    config = uvicorn.Config(
        create_app(stage.world, lambda: stage.now), port=0, log_level="warning", lifespan="off"
    )
    running = uvicorn.Server(config)
    thread = Thread(target=running.run)
    thread.start()
    while not running.started:
        thread.join(0.01)
    (port,) = {sock.getsockname()[1] for srv in running.servers for sock in srv.sockets}
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


def outgoing(**changes: Any) -> OutgoingMail:
    mail = OutgoingMail(
        from_email="team@example.com",
        to_emails="jo@example.com",
        subject="Your payment <failed>",
        plain_text_content="Please look.",
        html_content="<p>Please look.</p><script>steal()</script>",
        **changes,
    )
    mail.custom_arg = CustomArg("payment_id", "pay_1")
    return mail


def test_it_takes_mails_from_sendgrids_own_client(stage, server):
    answer = SendGridAPIClient("SG.sandbox", host=server).send(outgoing())

    (mail,) = httpx.get(f"{server}/mails.json").json()
    assert answer.status_code == 202
    assert answer.headers["X-Message-Id"] == mail["id"]
    assert mail["to"] == ["jo@example.com"]
    assert mail["custom_args"] == {"payment_id": "pay_1"}


def test_it_shows_mails_without_trusting_them(stage, server):
    SendGridAPIClient("SG.sandbox", host=server).send(outgoing())

    page = httpx.get(f"{server}/mails").text

    assert "Your payment &lt;failed&gt;" in page
    assert '<iframe sandbox=""' in page
    assert "<script>" not in page


def test_it_serves_the_sdk_over_http(stage, server):
    payment_id = stage.failed("paid")
    with httpx.Client() as client:
        whop = Whop(
            token="apik_sandbox",
            environment=WhopEnvironment(api=f"{server}/api/v1", vault=f"{server}/api/v1"),
            httpx_client=client,
        )
        assert whop.payments.retry(payment_id, request_options=ONCE).status == "paid"
        ledger = client.get(f"{server}/sandbox/ledger").json()

    assert [charge["by"] for charge in ledger["charges"]] == ["whop", "retry"]
    assert ledger["paid_twice"] == []
