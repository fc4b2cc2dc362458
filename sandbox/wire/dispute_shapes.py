"""Disputes and dispute alerts in the shapes of Whop's dated and original API versions."""

from datetime import timedelta
from typing import Any

from sandbox.model.records import Company, Dispute, DisputeAlert, Membership, Payment
from sandbox.model.times import iso

EVIDENCE_DUE = timedelta(days=7)
REASON, REASON_CODE = "subscription_canceled", "13.2"
EVIDENCE = """
access_activity_log billing_address cancellation_policy_attachment cancellation_policy_disclosure
customer_communication_attachment customer_email_address customer_name notes product_description
refund_policy_attachment refund_policy_disclosure refund_refusal_explanation service_date
uncategorized_attachment
"""
NO_EVIDENCE: dict[str, Any] = dict.fromkeys(EVIDENCE.split())
LEGACY_PAYMENT = """
id created_at paid_at dispute_alerted_at currency subtotal total usd_total billing_reason
card_brand card_last4 payment_method_type payment_instrument user member membership
"""


def current_dispute(
    dispute: Dispute, payment: Payment, shown: dict[str, Any], membership: Membership
) -> dict[str, Any]:
    """`shown` is the payment in this same shape."""
    return {
        "id": dispute.id,
        "account_id": dispute.account_id,
        "status": dispute.status,
        "inquiry": dispute.status.startswith("warning_"),
        "acceptable": dispute.status == "needs_response",
        "amount": float(dispute.amount),
        "currency": dispute.currency,
        "reason": REASON,
        "reason_code": REASON_CODE,
        "fee": None,
        "payment": {
            "id": payment.id,
            "amount": float(payment.amount),
            "currency": payment.currency,
            "created_at": iso(payment.created_at),
            "card_brand": payment.card.brand,
            "card_last4": payment.card.last4,
            "payment_method_type": "card",
            "payment_instrument": shown["payment_instrument"],
            "payment_processor": None,
        },
        "buyer": {
            "user_id": membership.user_id,
            "member_id": membership.member_id,
            "name": membership.name,
            "username": membership.username,
            "email": membership.email,
        },
        "plan_id": membership.plan_id,
        "product_id": membership.product_id,
        "line_items": [],
        "issuer_comments": [],
        "evidence": {**NO_EVIDENCE, "documents": []},
        "evidence_editable": True,
        "evidence_locked_reason": None,
        "evidence_due_at": iso(dispute.created_at + EVIDENCE_DUE),
        "evidence_submitted_at": None,
        "created_at": iso(dispute.created_at),
        "updated_at": iso(dispute.updated_at),
    }


def legacy_dispute(
    dispute: Dispute, shown: dict[str, Any], membership: Membership, company: Company
) -> dict[str, Any]:
    return {
        **NO_EVIDENCE,
        **inlined_dispute(dispute),
        "created_at": iso(dispute.created_at),
        "reason_code": REASON_CODE,
        "visa_rdr": False,
        "company": {"id": company.id, "title": company.title},
        "plan": {"id": membership.plan_id},
        "product": {"id": membership.product_id, "title": membership.product_title},
        "payment": shorten_payment(shown),
    }


def inlined_dispute(dispute: Dispute) -> dict[str, Any]:
    """The shape inside a Legacy payment."""
    return {
        "id": dispute.id,
        "status": dispute.status,
        "amount": float(dispute.amount),
        "currency": dispute.currency,
        "reason": REASON,
        "editable": True,
        "needs_response_by": iso(dispute.created_at + EVIDENCE_DUE),
        "notes": None,
    }


def current_alert(alert: DisputeAlert, payment: Payment, membership: Membership) -> dict[str, Any]:
    return {
        "id": alert.id,
        "account_id": alert.account_id,
        "payment_id": alert.payment_id,
        "product_id": membership.product_id,
        "type": "dispute_alert",
        "amount": float(alert.amount),
        "currency": alert.currency,
        "card_brand": payment.card.brand,
        "auto_refunded": False,
        "fee_charged": False,
        "fee": None,
        "issuer": None,
        "reported_at": iso(alert.created_at - timedelta(hours=1)),
        "transaction_at": iso(payment.paid_at) if payment.paid_at else None,
        "created_at": iso(alert.created_at),
        "updated_at": iso(alert.created_at),
    }


def legacy_alert(alert: DisputeAlert, payment: Payment, shown: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "alert_type": "dispute",
        "amount": float(alert.amount),
        "currency": alert.currency,
        "charge_for_alert": False,
        "created_at": iso(alert.created_at),
        "transaction_date": iso(payment.paid_at) if payment.paid_at else None,
        "dispute": None,
        "payment": shorten_payment(shown),
    }


def shorten_payment(shown: dict[str, Any]) -> dict[str, Any]:
    """Keeps only some fields of a payment in the original shape."""
    return {name: shown[name] for name in LEGACY_PAYMENT.split()}
