"""What Whop reports, by webhook, API answer or replay.

Amounts are in major units of their currency; times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from recovery.standing import Renewal

FIRST_PURCHASE = frozenset({"subscription_create", "one_time"})


@dataclass(slots=True, kw_only=True)
class PaymentDetails:
    """Each newer report replaces these; a field that it leaves out keeps its value.

    Nobody changes one. It is not frozen, since the hot path makes one for each event:
    docs/developers/speed.md.

    `card_expiry`: the card's last month, such as `2027-04`. `instrument_name`: what was charged
    (recovery/instruments.py). `payment_method_type`: Whop's word for it, such as `sepa_debit`.
    `country`: of the billing address, two letters.
    """

    membership_id: str | None = None
    member_id: str | None = None
    user_id: str | None = None
    member_name: str | None = None
    member_email: str | None = None
    product_id: str | None = None
    product: str | None = None
    instrument_name: str | None = None
    card_brand: str | None = None
    card_last4: str | None = None
    card_expiry: str | None = None
    payment_method_id: str | None = None
    payment_method_type: str | None = None
    recovery_url: str | None = None
    country: str | None = None


@dataclass(slots=True, kw_only=True)
class PaymentFacts(PaymentDetails):
    """The fields of the first report that are stored as columns of the same name."""

    payment_id: str
    company_id: str
    observed_at: datetime
    amount: Decimal
    currency: str
    amount_usd: Decimal | None = None
    billing_reason: str | None = None


@dataclass(slots=True, kw_only=True)
class PaymentReport(PaymentFacts):
    """A payment as Whop describes it at `observed_at`.

    `starts_dunning`: an event that a renewal failed, the only one that makes a payment known.
    `failed`: it is unpaid and a charge failed, whether or not an event said so.
    `renewal`: money that a membership owes: no first purchase, no manual charge and not nothing.
    `ended`: void or uncollectible. `dispute_status`: of the dispute about it, in the words of
    standing.judge_dispute; None: it tells of none. `buyer_gone`: it says that nobody is its buyer,
    and has no address.
    """

    starts_dunning: bool = False
    paid: bool = False
    pending: bool = False
    ended: bool = False
    dispute_status: str | None = None
    buyer_gone: bool = False
    failed: bool = False
    renewal: bool = True
    retryable: bool | None = None
    refunded_amount: Decimal | None = None
    decline_code: str | None = None
    failure_message: str | None = None
    failures: int | None = None
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    paid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundReport:
    """One refund of a payment. A later report with the same `refund_id` replaces it. `currency`
    None: the payment's. `refunded_at` None: it does not say when it was made."""

    refund_id: str
    payment_id: str
    company_id: str
    amount: Decimal
    status: str
    observed_at: datetime
    currency: str | None = None
    refunded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipReport:
    """A membership as Whop describes it at `observed_at`. None: it does not say.

    `since`: when it was canceled or ended; `paused_at`: when it was paused. `started_at`: when it
    was bought; None for a draft, too.
    """

    membership_id: str
    company_id: str
    observed_at: datetime
    renewal: Renewal | None = None
    since: datetime | None = None
    paused: bool | None = None
    paused_at: datetime | None = None
    member_id: str | None = None
    user_id: str | None = None
    product_id: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeReport:
    """A member's bank takes a payment back, asks about it, or warns that it will.

    `payment_id` is the disputed payment. An alert does not say whose payment that is. `status`: in
    the words of standing.judge_dispute. `amount` None: it does not say what it is about;
    `opened_at` None: nor since when.
    """

    payment_id: str
    company_id: str
    status: str
    observed_at: datetime
    amount: Decimal | None = None
    currency: str | None = None
    opened_at: datetime | None = None
    member_id: str | None = None
    user_id: str | None = None
    membership_id: str | None = None


@dataclass(slots=True)
class ParsedEvent:
    """An event with at most one report. All four None: this type is stored and ignored.

    Not frozen, as PaymentDetails.
    """

    type: str
    company_id: str | None
    payment_id: str | None = None
    payment: PaymentReport | None = None
    refund: RefundReport | None = None
    membership: MembershipReport | None = None
    dispute: DisputeReport | None = None


def find_memberships(reports: Iterable[PaymentReport]) -> list[MembershipReport]:
    """What payments tell of memberships: each paid first purchase begins one."""
    return [
        MembershipReport(
            membership_id=report.membership_id,
            company_id=report.company_id,
            observed_at=report.observed_at,
            member_id=report.member_id,
            user_id=report.user_id,
            product_id=report.product_id,
            started_at=report.paid_at or report.observed_at,
        )
        for report in reports
        if report.paid and report.membership_id and report.billing_reason in FIRST_PURCHASE
    ]


def find_disputes(reports: Iterable[PaymentReport]) -> list[DisputeReport]:
    """The disputes that payments tell of themselves."""
    return [
        DisputeReport(
            payment_id=report.payment_id,
            company_id=report.company_id,
            status=report.dispute_status,
            observed_at=report.observed_at,
            member_id=report.member_id,
            user_id=report.user_id,
            membership_id=report.membership_id,
        )
        for report in reports
        if report.dispute_status is not None
    ]
