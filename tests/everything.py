"""A company that has one of everything: each status with each decline class, and every outcome,
step, channel, state, reason, request and act that a person can read of."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle, product

from sqlalchemy.orm import Session

from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import (
    RecoverySettings,
    add_companies,
    save_name,
    save_recovery_settings,
)
from db.company_settings.templates import OwnTemplate, restore_template, store_template
from db.ledger import replays, requests
from db.member_messages import suppressions
from db.models import (
    Attempt,
    Dispute,
    Heartbeat,
    Membership,
    Message,
    Payment,
    Refund,
    Sync,
    WebhookEvent,
)
from recovery.decline_codes import CODES
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.standing import Hold, Renewal
from recovery.status import (
    AttemptOutcome,
    Channel,
    ChargeMethod,
    ClosedReason,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
    SyncError,
    Trigger,
)
from tests.factories import COMPANY, HOUR, valued

DAY = 24 * HOUR
PAGE = "dashboard"


def fill(session: Session, at: datetime) -> list[Payment]:
    """The newest of them are younger than their five days, the others are older."""
    add_companies(session, {COMPANY})
    kinds = enumerate(product(range(2), PaymentStatus, DeclineClass))
    made = [make_payment(number, status, why, at) for number, (_, status, why) in kinds]
    session.add_all(made)
    session.flush()
    add_attempts(session, made)
    add_messages(session, made)
    request(session, made, at)
    choose(session, at)
    watch(session, at)
    for number, failure in enumerate(DeliveryFailure):
        suppressions.suppress(session, COMPANY, f"old{number}@example.com", failure, at - DAY)
    session.commit()
    return made


def make_payment(
    number: int, status: PaymentStatus, decline_class: DeclineClass, at: datetime
) -> Payment:
    old = number >= len(PaymentStatus) * len(DeclineClass)
    failed_at = at - (7 * DAY if old else 30 * HOUR) - number * HOUR / 10
    code, words = next(iter(CODES.get(decline_class, {}).items()), (None, "No reason given"))
    paid, planned = status is PaymentStatus.RECOVERED, status is PaymentStatus.PENDING_RETRY
    return valued(
        Payment(
            payment_id=f"pay_{number}",
            company_id=COMPANY,
            member_id=f"mber_{number}",
            user_id=f"user_{number}",
            member_name=f"Maya {number}",
            member_email=None if number % 5 == 1 else f"maya{number}@example.com",
            product=("Gold", None)[number % 7 == 2],
            card_brand=("visa", "amex", None)[number % 3],
            card_last4=("4242", "0005", None)[number % 3],
            amount=Decimal("49.00"),
            currency=("usd", "eur")[number % 4 == 3],
            amount_usd=None if number % 11 == 5 else Decimal("49.00"),
            refunded_amount=Decimal("9.00") if paid and number % 4 == 1 else Decimal(0),
            reason=words,
            decline_code=code,
            decline_class=decline_class,
            status=status,
            retry_count=number % 4,
            failed_at=failed_at,
            window_ends_at=failed_at + 5 * DAY,
            last_attempt_at=failed_at,
            next_retry_at=at + (number % 3 - 1) * 5 * HOUR if planned else None,
            next_charge_method=list(ChargeMethod)[number % 2],
            next_trigger=(Trigger.SCHEDULE, Trigger.CREATOR)[number % 2],
            whop_next_attempt_at=at + 8 * HOUR if number % 2 else None,
            recovered_at=failed_at + 20 * HOUR if paid else None,
            recovered_by=list(RecoveredBy)[number % len(RecoveredBy)] if paid else None,
            closed_reason=(
                list(ClosedReason)[number % len(ClosedReason)]
                if status is PaymentStatus.PERMANENT_FAIL
                else None
            ),
            next_step=None if paid or old else list(Step)[number % 4],
            next_message_at=None if paid or old else at + 3 * HOUR,
            imported=False,
            hold=(None, None, None, *Hold)[number // 4 % 5]
            if status is PaymentStatus.FAILED
            else None,
            observed_at=failed_at,
            created_at=failed_at,
        )
    )


STATUSES = ("needs_response", "won", "warning_needs_response", "unknown", "alert")


def add_attempts(session: Session, made: list[Payment]) -> None:
    """A second one where the first is settled: only one can be in hand."""
    kinds = cycle(product(Trigger, AttemptOutcome, ChargeMethod))
    for number, payment in enumerate(made):
        trigger, outcome, method = next(kinds)
        for attempt in (1, 2) if outcome is AttemptOutcome.DECLINED else (1,):
            session.add(
                Attempt(
                    payment_id=payment.payment_id,
                    company_id=COMPANY,
                    number=attempt,
                    trigger=trigger,
                    charge_method=method,
                    outcome=outcome,
                    idempotency_key=f"{payment.payment_id}:{attempt}",
                    started_at=payment.failed_at + attempt * HOUR,
                    decline_code=payment.decline_code if number % 2 else None,
                )
            )


def add_messages(session: Session, made: list[Payment]) -> None:
    kinds = list(product(Step, Channel, MessageState))
    failures = cycle([*DeliveryFailure, None])
    for number in range(2 * len(kinds)):
        step, channel, state = kinds[number % len(kinds)]
        payment = made[number % len(made)]
        at, sent = payment.failed_at + 2 * HOUR, state is MessageState.SENT
        failure = next(failures) if sent and channel is Channel.EMAIL else None
        session.add(
            Message(
                payment_id=payment.payment_id,
                company_id=COMPANY,
                step=step,
                channel=channel,
                state=state,
                due_at=at,
                sending_at=None if state is MessageState.QUEUED else at,
                sent_at=at if sent else None,
                dispatched_at=at if sent else None,
                delivered_at=at + HOUR if sent and not failure else None,
                opened_at=at + 2 * HOUR if sent and not failure else None,
                clicked_at=at + 3 * HOUR if sent and not failure else None,
                delivery_failure=failure,
                delivery_failed_at=at + HOUR if failure else None,
            )
        )


def request(session: Session, made: list[Payment], at: datetime) -> None:
    """What was asked for, some of it done; what was given back; what is disputed."""
    for number, payment in enumerate(made[::3]):
        kind = (RequestKind.RETRY_NOW, RequestKind.STOP)[number % 2]
        asked = requests.ask(session, payment.payment_id, kind, PAGE, at - HOUR, COMPANY)
        if number % 4 < 2:
            asked.done_at = at - HOUR
            act = requests.refuse_stop if number % 2 else None
            asked.answer = (act(payment) if act else None) or requests.DONE
    for number, payment in enumerate(made[::9]):
        session.add(
            Refund(
                refund_id=f"rfnd_{number}",
                payment_id=payment.payment_id,
                company_id=COMPANY,
                amount=Decimal("9.00"),
                status="succeeded",
                observed_at=at - HOUR,
            )
        )
        session.add(
            Dispute(
                payment_id=payment.payment_id,
                company_id=COMPANY,
                member_id=payment.member_id,
                status=STATUSES[number % len(STATUSES)],
                observed_at=at - HOUR,
                recorded_at=at - HOUR,
            )
        )
    for number, payment in enumerate(made):
        membership_id = payment.membership_id = f"mem_{number}"
        session.add(
            Membership(
                company_id=COMPANY,
                membership_id=membership_id,
                renewal=list(Renewal)[number % len(Renewal)],
                renewal_since=at - HOUR,
                renewal_observed_at=at - HOUR,
                paused=number % 2 == 1,
                paused_since=at - 2 * HOUR,
                paused_observed_at=at - HOUR,
            )
        )
    replays.ask(session, COMPANY, PAGE, at - HOUR)


def choose(session: Session, at: datetime) -> None:
    """Every setting is changed, so that the activity log tells of each."""
    save_name(session, COMPANY, "Lantern Academy", PAGE, at)
    recovery = RecoverySettings("America/New_York", 10, True)
    save_recovery_settings(session, COMPANY, recovery, PAGE, at)
    save_recovery_settings(session, COMPANY, RecoverySettings("Europe/Berlin", 0), PAGE, at)
    messaging = MessagingSettings(
        "Maya", "help@example.com", "#0f766e", "See you", 20, 9, 300, Channel.WHOP, False
    )
    save_messaging_settings(session, COMPANY, messaging, PAGE, at)
    save_messaging_settings(session, COMPANY, MessagingSettings(), PAGE, at)
    notifications = NotificationSettings(
        digest_to="me@example.com",
        digest=True,
        post_url="https://hooks.slack.com/services/T/B/x",
        on_recovery=True,
        on_problem=True,
    )
    save_notification_settings(session, COMPANY, notifications, PAGE, at)
    words = OwnTemplate("Hello", "Hi {{ name }}", "<p>Hi {{ name }}</p>")
    for step in Step:
        store_template(session, COMPANY, step, words, PAGE, at)
        restore_template(session, COMPANY, step, PAGE, at)


def watch(session: Session, at: datetime) -> None:
    """The processes run; Whop refuses our key, and one event could not be applied."""
    heard = {"type": "payment.failed", "company_id": COMPANY, "payload": {}}
    counts = {"settled": 1, "found": 2, "retried": 4, "closed": 2, "errors": 1}
    session.add_all(
        [
            Heartbeat(
                process="daemon",
                instance="a",
                details=counts,
                started_at=at - 3 * DAY,
                beat_at=at,
                last_cycle_at=at - timedelta(minutes=12),
            ),
            Sync(
                company_id=COMPANY,
                since=at - 90 * DAY,
                imported_at=at - DAY,
                read_until=at - DAY,
                error=SyncError.ACCESS_DENIED,
                error_detail="Whop answered 401: the key is not valid",
            ),
            WebhookEvent(event_id="msg_1", received_at=at, applied_at=at, **heard),
            WebhookEvent(event_id="msg_2", received_at=at - HOUR, error="no amount", **heard),
        ]
    )
