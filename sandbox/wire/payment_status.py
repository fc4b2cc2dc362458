"""The answer of `GET /payments/{id}/status`, the same in every API version."""

from typing import Any

from sandbox.model.records import PENDING, Company, Payment
from sandbox.model.times import iso
from sandbox.wire.current import recovery_url


def describe_status(payment: Payment, company: Company) -> dict[str, Any]:
    url = recovery_url(payment)
    redirect = {"type": "redirect", "data": {"url": url}, "render": ["full_page"]}
    error = {
        "code": "card_declined",
        "decline_code": payment.decline_code,
        "message": payment.failure_message,
    }
    expected = payment.settles_at if payment.status == PENDING else None
    return {
        "object": "payment_status",
        "id": payment.id,
        "status": find_stage(payment),
        "next_action": redirect if url and not payment.in_flight else None,
        "last_payment_error": error if payment.decline_code else None,
        "processing_details": {"expected_by": iso(expected)} if expected else None,
        "return_url": None,
        "account": {"id": company.id, "title": company.title},
    }


def find_stage(payment: Payment) -> str:
    if payment.in_flight or payment.status == PENDING:
        return "processing"
    if payment.status == "paid":
        return "succeeded"
    if payment.status != "open":
        return "canceled"
    return "requires_action" if recovery_url(payment) else "requires_confirmation"
