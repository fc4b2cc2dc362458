"""The sandbox against code we did not write: the official SDK, and SendGrid's client."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
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
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
)
from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap
from whop_sdk.payment_methods.types.list_payment_methods_response import ListPaymentMethodsResponse
from whop_sdk.types.api_key_api_version_date import ApiKeyApiVersionDate
from whop_sdk.types.dispute import Dispute
from whop_sdk.types.dispute_alert import DisputeAlert
from whop_sdk.types.dispute_alert_legacy import DisputeAlertLegacy
from whop_sdk.types.dispute_legacy import DisputeLegacy
from whop_sdk.types.dispute_reason import DisputeReason
from whop_sdk.types.friendly_receipt_status import FriendlyReceiptStatus
from whop_sdk.types.membership import Membership
from whop_sdk.types.membership_legacy import MembershipLegacy
from whop_sdk.types.payment import Payment
from whop_sdk.types.payment_decline_codes import PaymentDeclineCodes
from whop_sdk.types.payment_legacy import PaymentLegacy
from whop_sdk.types.payment_list_item import PaymentListItem
from whop_sdk.types.permission_action import PermissionAction
from whop_sdk.types.refund import Refund
from whop_sdk.types.refund_legacy import RefundLegacy
from whop_sdk.types.webhook_event import WebhookEvent

from sandbox.model.people import SPARE_DECLINES
from sandbox.model.population import CODES, FAILURE_MESSAGES
from sandbox.model.switches import Switches
from sandbox.servers.app import create_app
from sandbox.servers.endpoints import PERMISSIONS
from sandbox.servers.transport import InProcess
from sandbox.wire.versions import SUPPORTED
from sandbox.world.world import World

pytestmark = pytest.mark.slow

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

    def failed(self, *script: str, **wanted: Any) -> str:
        return self.world.fail_renewal(self.now, script=["insufficient_funds", *script], **wanted)

    def events(self, kind: str) -> list[Any]:
        bodies = [json.loads(body) for _, body in self.delivered]
        return [body["data"] for body in bodies if body["type"] == kind]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def known(words: Any) -> set[str]:
    """The words of one of the SDK's types, each a union of them and Any."""
    return set(get_args(get_args(words)[0]))


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


def test_it_shows_saved_cards_as_the_sdk_reads_them(stage):
    whop = stage.whop()
    payment = whop.payments.retrieve(stage.failed(spare_cards=2, spare_pays=True))
    expired = whop.payments.retrieve(stage.failed(spare_expired=True))

    cards = list(whop.payment_methods.list(member_id=payment.member_id, first=2))
    (old,) = whop.payment_methods.list(member_id=expired.member_id, expired=True)
    brands = whop.payment_methods.list(
        member_id=expired.member_id, card_brands=["visa", "mastercard", "amex", "discover"]
    )

    assert [card.typename for card in cards] == ["CardPaymentMethod"] * 3
    (used,) = [card for card in cards if card.id == payment.payment_method_id]
    charged = payment.payment_instrument.card
    assert (used.card.brand, used.card.last4) == (charged.brand, charged.last4)
    # Two digits here, four on the payment: the SDK says so.
    assert used.card.exp_year == charged.exp_year % 100
    assert (used.card.expired, old.card.expired) == (False, True)
    assert old.id != expired.payment_method_id
    assert len(list(brands)) == 2


def test_it_charges_another_saved_card_when_the_membership_gets_it(stage):
    whop = stage.whop()
    payment = whop.payments.retrieve(stage.failed(spare_pays=True))
    cards = whop.payment_methods.list(member_id=payment.member_id)
    (spare,) = [card.id for card in cards if card.id != payment.payment_method_id]

    membership = whop.memberships.update(
        payment.membership_id, payment_method_id=spare, request_options=ONCE
    )

    assert (membership.id, membership.status) == (payment.membership_id, "active")
    assert whop.payments.retrieve(payment.id).payment_method_id == spare
    with pytest.raises(BadRequestError) as refused:
        whop.memberships.update(
            payment.membership_id, payment_method_id="payt_unknown", request_options=ONCE
        )
    assert refused.value.body["error"]["param"] == "payment_method_id"
    with pytest.raises(ApiError) as missing:
        whop.memberships.update("mem_unknown", payment_method_id=spare, request_options=ONCE)
    assert missing.value.status_code == 404
    stage.switches.denied_permissions = ("member:payment_methods:manage",)
    with pytest.raises(ForbiddenError):
        whop.memberships.update(
            payment.membership_id, payment_method_id=spare, request_options=ONCE
        )


def test_it_pages_backwards_as_the_sdk_asks(stage):
    made = []
    for _ in range(5):
        made.append(stage.world.renew(stage.now))
        stage.later(minutes=1)
    payments = stage.whop().payments

    newest = payments.list(first=2, status="paid").response
    older = payments.list(first=2, after=newest.page_info.end_cursor).response
    back = payments.list(last=2, before=older.page_info.start_cursor).response

    assert [payment.id for payment in older.data] == made[1:3][::-1]
    assert [payment.id for payment in back.data] == [payment.id for payment in newest.data]
    assert all(payment.payments_failed == 0 for payment in newest.data)


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
    assert payment.membership is not None
    membership = old.get(f"/memberships/{payment.membership.id}").json()

    stage.world.dispute(payment_id, stage.now)
    disputed = parse_obj_as(PaymentLegacy, old.get(f"/payments/{payment_id}").json())
    stage.switches.denied_permissions = ("payment:dispute:read",)
    unseen = parse_obj_as(PaymentLegacy, old.get(f"/payments/{payment_id}").json())
    assert payment.member is not None
    cards = old.get("/payment_methods", params={"member_id": payment.member.id}).json()

    assert [dispute.status for dispute in disputed.disputes or ()] == ["needs_response"]
    assert (payment.disputes, unseen.disputes) == ([], None)
    method = payment.payment_method
    assert method is not None
    assert method.card is not None
    assert payment.card_exp_year is not None
    assert parse_obj_as(ListPaymentMethodsResponse, cards).data[0].id == method.id
    assert method.card.exp_year == payment.card_exp_year % 100
    assert isinstance(dated["total"], float)
    assert open_payment.membership is not None
    assert (open_payment.status, open_payment.membership.status) == ("open", "past_due")
    assert (payment.status, payment.refunded_amount) == ("paid", 1.0)
    assert payment.refunds[0].amount == 1.0
    assert parse_obj_as(PaymentListItem, listed).id == payment_id
    assert parse_obj_as(RefundLegacy, refund).amount == 1.0
    assert parse_obj_as(MembershipLegacy, membership).status == "active"


@pytest.mark.parametrize("method_type", ["sepa_debit", "us_bank_account", "cashapp", "card"])
def test_every_shape_says_what_was_charged(method_type):
    stage = Stage()
    payment_id = stage.failed(payment_method_type=method_type)
    payment = stage.whop().payments.retrieve(payment_id)
    url = f"https://whop.test/api/v1/payments/{payment_id}"
    with httpx.Client(transport=stage.transport) as old:
        answer = old.get(url, headers={"authorization": "Bearer apik_sandbox"}).json()
    before = parse_obj_as(PaymentLegacy, answer)

    assert payment.payment_method_type == before.payment_method_type == method_type
    assert before.payment_method is not None
    assert payment.payment_instrument is not None
    assert (payment.payment_instrument.card is None) == (method_type != "card")
    assert (before.card_last4 is None) == (method_type != "card")


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
    ("shape", "dispute_type", "alert_type"),
    [("current", Dispute, DisputeAlert), ("legacy", DisputeLegacy, DisputeAlertLegacy)],
)
def test_it_describes_disputes_as_the_sdk_reads_them(shape, dispute_type, alert_type):
    stage = Stage(switches=Switches(webhook_shape=shape))
    payment_id = stage.world.renew(NOON, amount=Decimal("49.00"), currency="gbp")
    stage.world.dispute_alert(payment_id, NOON + timedelta(days=1))
    stage.world.dispute(payment_id, NOON + timedelta(days=2))

    (warned,) = stage.events("dispute_alert.created")
    (disputed,) = stage.events("dispute.created")
    alert = parse_obj_as(alert_type, warned)
    dispute = parse_obj_as(dispute_type, disputed)

    assert (alert.amount, alert.currency) == (dispute.amount, dispute.currency) == (49.0, "gbp")
    assert dispute.status == "needs_response"
    assert dispute.payment.id == payment_id
    assert payment_id in (warned.get("payment_id"), warned.get("payment", {}).get("id"))
    assert known(DisputeReason) >= {disputed["reason"]}
    assert alert.id.startswith("dspa_")
    assert dispute.id.startswith("dspt_")


@pytest.mark.parametrize(
    ("shape", "membership_type"), [("current", Membership), ("legacy", MembershipLegacy)]
)
def test_it_tells_of_a_member_who_will_not_renew_again(shape, membership_type):
    stage = Stage(switches=Switches(webhook_shape=shape))
    payment_id = stage.failed()
    stage.world.cancel_at_period_end(payment_id, NOON)
    stage.world.uncancel(payment_id, NOON)

    for kind in ("membership.cancel_at_period_end_changed", "membership.updated"):
        leaving, staying = (parse_obj_as(membership_type, event) for event in stage.events(kind))
        assert (leaving.cancel_at_period_end, staying.cancel_at_period_end) == (True, False)
        assert leaving.status == "past_due"
        assert leaving.canceled_at
        assert staying.canceled_at is None


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
    stage.world.void(stage.failed(), stage.now)
    stage.later(days=2)
    stage.world.refund(paid, stage.now)
    stage.later(days=6)

    account = {"current": "account_id", "legacy": "company_id"}[shape]
    assert all(account in json.loads(body) for _, body in stage.delivered)
    for kind in ("failed", "pending", "succeeded", "requires_action", "canceled"):
        events = stage.events(f"payment.{kind}")
        assert events, kind
        assert [parse_obj_as(payment_type, event) for event in events]
    (action, *_) = stage.events("payment.requires_action")
    assert action["recovery_url"]
    assert parse_obj_as(membership_type, stage.events("membership.deactivated")[0])
    assert parse_obj_as(refund_type, stage.events("refund.created")[0]).status == "pending"
    assert parse_obj_as(refund_type, stage.events("refund.updated")[0]).status == "succeeded"


def test_it_speaks_the_sdks_words():
    codes = {code for codes in CODES.values() for code in codes}

    assert codes | set(FAILURE_MESSAGES) | set(SPARE_DECLINES) <= known(PaymentDeclineCodes)
    assert set(SUPPORTED) == known(ApiKeyApiVersionDate)
    assert set(PERMISSIONS.split()) <= known(PermissionAction)
    assert {"dispute_needs_response", "dispute_warning"} <= known(FriendlyReceiptStatus)


def test_it_announces_only_events_the_sdk_knows(stage):
    paid_id, payment_id = stage.world.renew(NOON), stage.failed("pending")
    stage.world.dispute_alert(paid_id, NOON)
    stage.world.dispute(paid_id, NOON)
    stage.world.cancel_at_period_end(payment_id, NOON)
    stage.world.void(stage.failed(), NOON)
    stage.world.retry(payment_id, NOON)
    stage.world.fail_renewal(NOON, script=["authentication_required"])
    stage.later(days=3)
    stage.world.refund(payment_id, stage.now)
    stage.later(days=40)

    told = {json.loads(body)["type"] for _, body in stage.delivered}
    page = (Path(__file__).parent.parent / "docs" / "developers" / "sandbox.md").read_text()
    assert told <= known(WebhookEvent)
    assert len(told) == 12
    assert [event for event in told if f"`{event}`" not in page] == []


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


def test_it_rotates_secrets_while_it_runs(stage, server):
    payment_id = stage.failed()

    changed = httpx.post(
        f"{server}/sandbox/secrets", json={"webhook_secret": "ws_new", "api_key": "apik_new"}
    )
    stage.now = datetime.now(UTC)
    stage.world.renew(stage.now)

    assert changed.status_code == 200
    headers, body = stage.delivered[-1]
    assert unwrap(body, headers=headers, key="ws_new")["type"] == "payment.succeeded"
    with pytest.raises(WebhookVerificationError):
        unwrap(body, headers=headers, key=SECRET)
    path = f"{server}/api/v1/payments/{payment_id}"
    answers = [
        httpx.get(path, headers={"authorization": f"Bearer {key}"}).status_code
        for key in ("apik_new", "apik_sandbox")
    ]
    assert answers == [200, 401]
    assert httpx.post(f"{server}/sandbox/secrets", json={"api_key": ""}).status_code == 422


def test_it_does_every_deed_over_http(stage, server):
    def post(path: str, **wanted: Any) -> Any:
        return httpx.post(f"{server}/sandbox/{path}", json=wanted)

    paid_id = post("renew", amount="20.00", currency="eur").json()["payment_id"]
    membership_id = stage.world.store.payment(paid_id).membership_id
    failed = {"membership_id": membership_id, "spare_pays": True, "script": ["generic_decline"]}
    open_id = post("fail_renewal", **failed).json()["payment_id"]
    for act in ("cancel_at_period_end", "uncancel", "dispute_alert", "dispute"):
        assert post(f"payments/{paid_id}/{act}").json() == {"status": "paid"}
    assert post(f"payments/{open_id}/dispute").status_code == 422
    assert post(f"payments/{open_id}/void").json() == {"status": "void"}
    assert post(f"payments/{open_id}/mark_uncollectible").status_code == 422
    assert post(f"payments/{open_id}/forgive").status_code == 404
    assert post("payments/pay_unknown/void").status_code == 404
    assert post("renew", script=["paid"]).status_code == 422

    ledger = httpx.get(f"{server}/sandbox/ledger").json()
    assert ledger["net_paid"] == {
        paid_id: {"amount": "0.00", "currency": "eur", "usd_amount": "0.00"}  # it is disputed
    }


def test_it_serves_the_sdk_over_http(stage, server):
    payment_id = stage.failed("paid")
    with httpx.Client() as client:
        whop = Whop(
            token="apik_sandbox",
            environment=WhopEnvironment(api=f"{server}/api/v1", vault=f"{server}/api/v1"),
            httpx_client=client,
        )
        assert whop.payments.retry(payment_id, request_options=ONCE).status == "paid"
        membership = whop.memberships.update(
            stage.world.store.payment(payment_id).membership_id,
            payment_method_id=whop.payments.retrieve(payment_id).payment_method_id,
            request_options=ONCE,
        )
        assert membership.status == "active"
        ledger = client.get(f"{server}/sandbox/ledger").json()

    assert [charge["by"] for charge in ledger["charges"]] == ["whop", "retry"]
    assert ledger["paid_twice"] == []


# --- what decides whether a payment is collected -------------------------------------------------


@pytest.mark.parametrize(
    ("act", "bucket", "others"),
    [
        ("pause", "paused", {"past_due"}),
        ("cancel_at_period_end", "canceling", set()),
        ("cancel_membership", "canceled", set()),
    ],
)
def test_memberships_are_listed_by_what_whop_calls_their_state(stage: Stage, act, bucket, others):
    """`past_due` leaves out those set to cancel; `paused` is a filter alone."""
    stage.failed()
    payment_id = stage.failed()
    getattr(stage.world, act)(payment_id, stage.now)
    whop = stage.whop()
    membership_id = stage.world.store.payment(payment_id).membership_id
    for status in ("past_due", "active", "canceling", "paused", "canceled"):
        listed = {one.id for one in whop.memberships.list(account_id="biz_demo", status=status)}
        assert (membership_id in listed) is (status in {bucket} | others), status
    either = whop.memberships.list(account_id="biz_demo", statuses=[bucket, "past_due"])
    assert len({one.id for one in either}) == 2


def test_a_paused_membership_says_so_in_its_newest_action(stage: Stage):
    payment_id = stage.failed()
    membership_id = stage.world.store.payment(payment_id).membership_id
    whop = stage.whop()
    assert whop.memberships.retrieve(membership_id).most_recent_action == "past_due"
    stage.world.pause(payment_id, stage.now)
    paused = whop.memberships.retrieve(membership_id)
    assert (paused.most_recent_action, paused.most_recent_action_at is None) == ("paused_at", False)
    stage.world.resume(payment_id, stage.now)
    assert whop.memberships.retrieve(membership_id).most_recent_action == "past_due"
    kinds = [json.loads(body)["type"] for _, body in stage.delivered]
    assert kinds.count("membership.updated") == 2


def test_disputes_and_inquiries_are_listed_by_their_status(stage: Stage):
    disputed, asked = (stage.world.renew(stage.now) for _ in range(2))
    stage.world.dispute(disputed, stage.now)
    stage.world.inquiry(asked, stage.now)
    whop = stage.whop()
    (dispute,) = whop.disputes.list(account_id="biz_demo", status=["needs_response"])
    assert (dispute.payment.id, dispute.inquiry) == (disputed, False)
    (inquiry,) = whop.disputes.list(
        account_id="biz_demo", status=["warning_needs_response", "warning_under_review"]
    )
    assert (inquiry.payment.id, inquiry.inquiry) == (asked, True)
    stage.world.rule_on_dispute("won", disputed, stage.now)
    stage.world.rule_on_dispute("warning_closed", asked, stage.now)
    ended = {one.status for one in whop.disputes.list(account_id="biz_demo")}
    assert ended == {"won", "warning_closed"}
    assert len(stage.events("dispute.updated")) == 2


def test_who_buys_anew_has_another_membership_of_the_same_product(stage: Stage):
    payment_id = stage.failed()
    stage.world.buy_again(payment_id, stage.now)
    (paid,) = stage.events("payment.succeeded")
    (begun,) = stage.events("membership.activated")
    owed = stage.world.store.membership(stage.world.store.payment(payment_id).membership_id)
    assert paid["billing_reason"] == "subscription_create"
    assert (begun["status"], begun["product_id"]) == ("active", owed.product_id)
    assert (paid["membership_id"], begun["member_id"]) == (begun["id"], owed.member_id)
    assert begun["id"] != owed.id
