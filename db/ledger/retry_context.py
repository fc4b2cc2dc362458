"""What a retry's decision is based on, for known and for new payments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from db.company_settings.recovery import RecoverySettings
from db.ledger.rows import NewPayment
from db.models import Payment
from recovery.declines import Decline
from recovery.retry_policy import RetryContext, RetryRules
from recovery.transitions import Transition, choose_transition, find_spread, plan_backup


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
        time_zone=recovery_settings.time_zone,
        spread=find_spread(payment.payment_id),
        held_out=bool(payment.held_out),
        hold=payment.hold,
        owed=payment.amount > 0,
    )


def never() -> bool:
    return False


def choose_transition_or_backup(
    payment: Payment | NewPayment,
    context: RetryContext,
    recovery_settings: RecoverySettings,
    rules: RetryRules,
    now: datetime,
    has_tried_backup: Callable[[], bool] = never,
) -> Transition:
    """The policy's transition; or, where the card on file is not tried again and the creator allows
    it, one try of the member's other card."""
    transition = choose_transition(context, rules, now)
    if not (recovery_settings.backup_card and payment.membership_id and payment.member_id):
        return transition
    backup = plan_backup(transition, context, now)
    return transition if backup is None or has_tried_backup() else backup
