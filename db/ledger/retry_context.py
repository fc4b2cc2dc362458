"""What a retry's decision is based on, for known and for new payments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from db.company_settings.recovery import RecoverySettings
from db.ledger.rows import NewPayment
from db.models import Payment
from recovery.declines import Decline
from recovery.retrying.context import RetryContext, RetryRules
from recovery.retrying.member_zones import find_zone
from recovery.retrying.transitions import Question, answer, find_spread
from recovery.status import ChargeMethod


def describe_retry_context(
    payment: Payment | NewPayment,
    charges: int,
    recovery_settings: RecoverySettings,
    decline: Decline | None = None,
) -> RetryContext:
    """`charges`: those on its card in the last 30 days, Whop's and ours. `decline`: what holds now;
    None: what the payment itself says."""
    return RetryContext(
        decline_class=decline.decline_class if decline else payment.decline_class,
        decline_code=decline.code if decline else payment.decline_code,
        declined_retries=payment.retry_count,
        retryable=payment.retryable,
        failed_at=payment.failed_at,
        last_charge_at=payment.last_attempt_at,
        window_ends_at=payment.window_ends_at,
        card_brand=payment.card_brand,
        charges=charges,
        whop_next_attempt_at=payment.whop_next_attempt_at,
        whop_habits=recovery_settings.find_habits(payment.payment_method_type),
        time_zone=(payment.country and find_zone(payment.country)) or recovery_settings.time_zone,
        explores=recovery_settings.explores,
        spread=find_spread(payment.payment_id),
        held_out=bool(payment.held_out),
        hold=payment.hold,
        owed=payment.amount > 0,
    )


def never() -> bool:
    return False


def ask(
    payment: Payment | NewPayment,
    context: RetryContext,
    recovery_settings: RecoverySettings,
    rules: RetryRules,
    now: datetime,
    has_tried_backup: Callable[[], bool] = never,
) -> Question:
    """The creator may allow one try of the member's other card, where the one on file is not tried
    again."""
    if not recovery_settings.backup_card:
        return Question(context, rules, now)
    allowed = payment.membership_id and payment.member_id
    question = Question(context, rules, now, bool(allowed))
    # Asked of the database only where it matters.
    planned = allowed and answer(question).charge_method is ChargeMethod.BACKUP_CARD
    return replace(question, backup=False) if planned and has_tried_backup() else question


def ask_first(
    payment: Payment | NewPayment, recovery_settings: RecoverySettings, rules: RetryRules
) -> Question:
    """As it was asked when the payment became known: by its own row alone."""
    context = describe_retry_context(payment, payment.whop_failures or 1, recovery_settings)
    return ask(payment, context, recovery_settings, rules, payment.created_at)
