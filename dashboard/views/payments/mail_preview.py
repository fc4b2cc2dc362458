"""The mail that a member would get about a payment, as it stands now."""

from __future__ import annotations

from db.member_messages.message_context import describe_context
from db.reporting.payment_detail import PaymentDetail
from mail.messages import Destination, RenderedMessage, write
from recovery.message_schedule import SEQUENCES
from recovery.status import Step
from whop.client import MEMBERSHIPS_PAGE


def write_preview(detail: PaymentDetail, step: Step) -> RenderedMessage:
    payment = detail.payment
    context = describe_context(step, payment, detail.time_zone)
    destination = Destination(MEMBERSHIPS_PAGE, detail.seller)
    return write(context, destination, detail.messaging, detail.templates.get(step))


def describe_link(written: RenderedMessage) -> str:
    """The dashboard cannot ask Whop for the member's own page, as the sender does."""
    if MEMBERSHIPS_PAGE not in written.text:
        return ""
    return (
        "Its button leads to Whop's general billing page here. What is sent leads to the member's "
        "own, which Whop is asked for just before."
    )


def choose_step(detail: PaymentDetail) -> Step | None:
    """The next one, else the last; None: members are not written to about such a decline."""
    steps = SEQUENCES[detail.payment.decline_class]
    if detail.payment.next_step is not None:
        return detail.payment.next_step
    told = [message.step for message in detail.messages]
    return told[-1] if told else next(iter(steps), None)
