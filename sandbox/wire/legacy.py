"""Objects in Whop's original shape: floats and nested objects."""

from collections.abc import Sequence
from typing import Any

from sandbox.model.records import Company, Membership, Payment, Refund
from sandbox.model.times import iso
from sandbox.wire import current
from sandbox.wire.membership_shapes import current_membership

SAME_PAYMENT = """
id created_at updated_at paid_at refunded_at recovery_url retryable voidable refundable
auto_refunded three_ds_verified metadata customer_phone payment_method_type currency
payments_failed dispute_alerted_at status substatus billing_reason decline_code failure_message
"""
SAME_MEMBERSHIP = """
id status created_at updated_at canceled_at cancel_at_period_end manage_url metadata
"""
SAME_REFUND = "id status provider reason created_at updated_at visa_rdr"
PAYMENT_IN_REFUND = """
id created_at paid_at currency subtotal total usd_total tax_amount tax_refunded_amount
billing_reason card_brand card_last4 payment_method_type metadata
user member membership plan product
"""


def payment(
    payment: Payment,
    membership: Membership,
    company: Company,
    refunds: Sequence[Refund],
    disputes: Sequence[dict[str, Any]] | None,
    *,
    retryable: bool,
    in_list: bool,
) -> dict[str, Any]:
    modern = current.payment(payment, membership, retryable=retryable, in_list=in_list)
    return {
        **{name: modern[name] for name in SAME_PAYMENT.split()},
        **describe_amounts(payment),
        **describe_instrument(payment),
        **describe_related(membership, company),
        "last_payment_attempt": modern["last_payment_attempt_at"],
        "next_payment_attempt": modern["next_payment_attempt_at"],
        "fees": [],
        "financing_transactions": [],
        "refunds": [inline_refund(refund) for refund in refunds],
        "disputes": disputes,
        "resolutions": [],
        "promo_code": None,
        "application_fee": None,
    }


def describe_amounts(payment: Payment) -> dict[str, Any]:
    amount = float(payment.amount)
    return {
        "subtotal": amount,
        "total": amount,
        "usd_total": float(payment.usd_amount),
        "settlement_amount": amount,
        "settlement_currency": payment.currency,
        "amount_after_fees": round(amount * 0.94, 2) if payment.status == "paid" else 0.0,
        "tax_amount": None,
        "tax_refunded_amount": 0.0,
        "refunded_amount": float(payment.refunded_amount) or None,
    }


def describe_instrument(payment: Payment) -> dict[str, Any]:
    card = payment.card
    face: dict[str, Any] = {"brand": card.brand, "last4": card.last4}
    dates = {"exp_month": card.exp_month, "exp_year": card.exp_year}
    short = {**face, **dates, "exp_year": card.exp_year % 100, "fingerprint": card.fingerprint}
    printed = {f"card_{name}": value for name, value in (face | dates).items()}
    return {
        **(printed if card.is_card else dict.fromkeys(printed)),
        "payment_method": {
            "id": card.method_id,
            "payment_method_type": card.method_type,
            "created_at": iso(payment.created_at),
            "card": short if card.is_card else None,
        },
        "payment_instrument": {
            "payment_method_type": card.method_type,
            "display_name": current.card_name(payment),
            "installment_count": None,
            "icons": current.ICONS,
            "card": face if card.is_card else None,
        },
    }


def describe_related(membership: Membership, company: Company) -> dict[str, Any]:
    return {
        "company": {"id": company.id, "title": company.title, "route": company.route},
        "user": {
            "id": membership.user_id,
            "name": membership.name,
            "username": membership.username,
            "email": membership.email,
        },
        "member": {"id": membership.member_id, "phone": None},
        "membership": {
            "id": membership.id,
            "status": membership.status,
            "phone_number": None,
        },
        "plan": {"id": membership.plan_id, "internal_notes": None, "metadata": {}},
        "product": {**describe_product(membership), "route": make_route(membership.product_title)},
    }


def describe_product(membership: Membership) -> dict[str, Any]:
    return {"id": membership.product_id, "title": membership.product_title, "metadata": {}}


def make_route(title: str) -> str:
    return title.lower().replace(" ", "-")


def inline_refund(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "amount": float(refund.amount),
        "currency": refund.currency,
        "status": refund.status,
        "created_at": iso(refund.created_at),
    }


def membership(membership: Membership, company: Company) -> dict[str, Any]:
    modern = current_membership(membership, company)
    return {
        **{name: modern[name] for name in SAME_MEMBERSHIP.split()},
        "company": {"id": company.id, "title": company.title},
        "user": {
            "id": membership.user_id,
            "name": membership.name,
            "username": membership.username,
            "email": membership.email,
            "profile_pic": "https://assets.example.com/member.png",
        },
        "member": {"id": membership.member_id},
        "plan": {"id": membership.plan_id, "metadata": {}},
        "product": describe_product(membership),
        "promo_code": None,
        "currency": membership.currency,
        "initial_price_paid": f"{membership.price:.2f}",
        "formatted_renewal_price": f"{membership.price:.2f}",
        "payment_collection_paused": membership.paused_at is not None,
        "custom_field_responses": [],
        "renewal_period_start": iso(membership.period_start),
        "renewal_period_end": iso(membership.period_end),
        "joined_at": iso(membership.created_at),
    }


def refund(refund: Refund, refunded: dict[str, Any]) -> dict[str, Any]:
    """`refunded` is its payment in this same shape; only some fields of it are shown."""
    modern = current.refund(refund)
    return {
        **{name: modern[name] for name in SAME_REFUND.split()},
        "amount": float(refund.amount),
        "currency": refund.currency,
        "payment": {name: refunded[name] for name in PAYMENT_IN_REFUND.split()},
    }
