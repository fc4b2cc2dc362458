"""The mail that a member would get about a payment, as it stands now."""

from __future__ import annotations

from db.models import Message, Payment
from db.outbox import write_letter
from db.status import Step
from mail.letters import Destination, Written, write
from whop.client import MEMBERSHIPS_PAGE


def write_preview(payment: Payment, seller: str | None) -> Written:
    message = Message(id=0, step=Step.PAYMENT_FAILED)
    destination = Destination(payment.manage_url or MEMBERSHIPS_PAGE, seller)
    return write(write_letter(message, payment), destination)
