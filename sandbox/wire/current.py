"""Objects in the shape of Whop's dated API versions: Money objects and flat ids."""

from decimal import Decimal
from typing import Any

from sandbox.model.population import NEEDS_AUTHENTICATION
from sandbox.model.records import Membership, Payment, Refund
from sandbox.model.times import iso

ICON_FILES = {
    name: f"https://assets.example.com/card.{suffix}"
    for name, suffix in (
        ("png_1x", "png"),
        ("png_2x", "2x.png"),
        ("png_4x", "4x.png"),
        ("svg", "svg"),
    )
}
ICON_COLORS = {"dark": ICON_FILES, "light": ICON_FILES}
ICONS = {"card": ICON_COLORS, "square": ICON_COLORS}

NOTHING_SPECIAL: dict[str, Any] = {
    "line_items": [],
    "holds": [],
    "payment_rule_matches": [],
    "auto_refunded": False,
    "three_ds_verified": False,
    "metadata": {},
    "promo_code_id": None,
    "client_secret": None,
    "settlement_time_at": None,
}


def money(amount: Decimal, currency: str) -> dict[str, Any]:
    return {"amount": f"{amount:.2f}", "currency": currency, "decimals": 2, "display_decimals": 2}


def card_name(payment: Payment) -> str:
    if not payment.card.is_card:
        return payment.card.method_type.replace("_", " ").title()
    return f"{payment.card.brand.title()} •••• {payment.card.last4}"


def recovery_url(payment: Payment) -> str | None:
    if payment.status == "open" and payment.decline_code in NEEDS_AUTHENTICATION:
        return f"https://whop.com/recover/{payment.id}"
    return None


def manage_url(membership: Membership) -> str:
    return f"https://whop.com/billing/manage/{membership.member_id}/"


def payment(
    payment: Payment, membership: Membership, *, retryable: bool, in_list: bool
) -> dict[str, Any]:
    paid = payment.status == "paid"
    kept = payment.amount * Decimal("0.94") if paid else Decimal(0)
    return {
        "id": payment.id,
        "account_id": payment.account_id,
        "status": payment.status,
        "substatus": payment.substatus,
        "billing_reason": payment.billing_reason,
        "retryable": retryable,
        "voidable": payment.status == "open",
        "refundable": paid and payment.refunded_amount < payment.amount,
        "decline_code": payment.decline_code,
        "failure_message": payment.failure_message,
        "payments_failed": payment.payments_failed,
        **describe_amounts(payment, kept),
        **describe_instrument(payment),
        **describe_buyer(membership),
        **describe_times(payment),
        "recovery_url": None if in_list else recovery_url(payment),
        **NOTHING_SPECIAL,
    }


def describe_amounts(payment: Payment, kept: Decimal) -> dict[str, Any]:
    currency = payment.currency
    total = money(payment.amount, currency)
    refunded = payment.refunded_amount
    return {
        "currency": currency,
        "subtotal": total,
        "total": total,
        "usd_total": money(payment.usd_amount, "usd"),
        "amount_after_fees": money(kept, currency),
        "tax_amount": None,
        "tax_refunded_amount": money(Decimal(0), currency),
        "refunded_amount": money(refunded, currency) if refunded else None,
        "presentment_total": total,
    }


def describe_instrument(payment: Payment) -> dict[str, Any]:
    card = payment.card
    return {
        "payment_method_type": card.method_type,
        "payment_method_id": card.method_id,
        "payment_instrument": {
            "payment_method_type": card.method_type,
            "display_name": card_name(payment),
            "installment_count": None,
            "icons": ICONS,
            "card": {
                "brand": card.brand,
                "last4": card.last4,
                "exp_month": card.exp_month,
                "exp_year": card.exp_year,
                "issuer_identification_number": card.issuer_number,
            }
            if card.is_card
            else None,
        },
    }


def describe_buyer(membership: Membership) -> dict[str, Any]:
    return {
        "user": {
            "id": membership.user_id,
            "name": membership.name,
            "username": membership.username,
            "profile_picture": {"url": "https://assets.example.com/member.png"},
        },
        "customer_email": membership.email,
        "customer_phone": None,
        "member_id": membership.member_id,
        "membership_id": membership.id,
        "plan_id": membership.plan_id,
        "product_id": membership.product_id,
    }


def describe_times(payment: Payment) -> dict[str, Any]:
    moments = {
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
        "paid_at": payment.paid_at,
        "last_payment_attempt_at": payment.last_attempt_at,
        "next_payment_attempt_at": payment.next_attempt_at,
        "refunded_at": payment.refunded_at,
        "dispute_alerted_at": payment.dispute_alerted_at,
    }
    return {name: iso(at) if at else None for name, at in moments.items()}


def refund(refund: Refund) -> dict[str, Any]:
    amount = money(refund.amount, refund.currency)
    return {
        "id": refund.id,
        "account_id": refund.account_id,
        "payment_id": refund.payment_id,
        "status": refund.status,
        "amount": amount,
        "original_amount": amount,
        "provider": "stripe",
        "reason": "requested_by_customer",
        "created_at": iso(refund.created_at),
        "updated_at": iso(refund.updated_at),
        "visa_rdr": False,
        "metadata": {},
    }
