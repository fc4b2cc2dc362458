"""The email that a member would get about a payment as it stands now."""

from __future__ import annotations

from datetime import datetime

from db.member_messages.message_context import describe_context
from db.reporting.payment_detail import PaymentDetail
from mail.messages import Destination, RenderedMessage, write
from recovery.message_schedule import SEQUENCES
from recovery.status import Step
from whop.memberships import MEMBERSHIPS_PAGE


def write_preview(detail: PaymentDetail, step: Step, now: datetime) -> RenderedMessage:
    payment = detail.payment
    context = describe_context(step, payment, detail.time_zone, now)
    destination = Destination(MEMBERSHIPS_PAGE, detail.seller)
    return write(context, destination, detail.messaging, detail.templates.get(step))


def describe_link(written: RenderedMessage) -> str:
    """The dashboard cannot ask Whop for the member's own billing page, as the sender does."""
    if MEMBERSHIPS_PAGE not in written.text:
        return ""
    return (
        "In this preview the button opens Whop's general billing page. In the real message it "
        "opens the member's own."
    )


def choose_step(detail: PaymentDetail) -> Step | None:
    """The one that is foretold, else the last. None: members get no message about such a
    decline."""
    if detail.next_step.message is not None:
        return detail.next_step.message.step
    steps = SEQUENCES[detail.payment.decline_class]
    sent = [message.step for message in detail.messages]
    return sent[-1] if sent else next(iter(steps), None)
