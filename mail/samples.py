"""Sample messages: for the preview, for checking templates, and for screenshots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from db.member_messages.message_context import MessageContext, OpenAmount
from mail.context import Destination
from recovery.decline_codes import CODES
from recovery.declines import NEVER_CHARGED_AGAIN, DeclineClass
from recovery.instruments import BANK_ACCOUNT, CARD
from recovery.status import Step

FAILED_AT = datetime(2026, 11, 20, 9, 15, tzinfo=UTC)

# Hours after the failure.
NEXT_TRY_AFTER = {Step.PAYMENT_FAILED: 30, Step.REMINDER: 74, Step.LAST_DAY: 104}
DESTINATION = Destination(
    "https://whop.com/billing/manage/mber_Sample/", "Northside Run Club", "Pro"
)
UNSUBSCRIBE_URL = "https://example.com/unsubscribe/sample"


def make_sample(step: Step, decline_class: DeclineClass, others: int = 0) -> MessageContext:
    code = next(iter(CODES.get(decline_class, {})), None)
    waits = decline_class in NEVER_CHARGED_AGAIN or step not in NEXT_TRY_AFTER
    confirms = decline_class is DeclineClass.AUTHENTICATION
    by_debit = decline_class is DeclineClass.BANK_DEBIT
    return MessageContext(
        message_id=0,
        payment_id="pay_Sample",
        company_id="biz_Sample",
        step=step,
        address="jo@example.com",
        member_name="Jo Doe",
        membership_id="mem_Sample",
        amount=Decimal("49.00"),
        currency="usd",
        reason="",
        decline_class=decline_class,
        decline_code=code,
        instrument_name=BANK_ACCOUNT if by_debit else CARD,
        card_brand=None if by_debit else "visa",
        card_last4=None if by_debit else "4242",
        product="Marathon Training Pro",
        next_retry_at=None if waits else FAILED_AT + timedelta(hours=NEXT_TRY_AFTER[step]),
        window_ends_at=FAILED_AT + timedelta(days=5),
        written_at=FAILED_AT,
        recovery_url="https://whop.com/payments/pay_Sample/confirm/" if confirms else None,
        time_zone="Europe/Berlin",
        others=(OpenAmount("Recipe Vault", Decimal("9.00"), "eur"),) * others,
    )
