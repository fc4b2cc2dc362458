"""What a retry is decided by, of a payment that is known or has just been heard of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from db.company_settings.recovery import Terms
from db.ledger.rows import NewPayment
from db.models import Payment
from recovery.retry_policy import Settings, Situation
from recovery.transitions import Place, choose_place, find_spread, plan_backup


def describe_situation(payment: Payment | NewPayment, charges: int, terms: Terms) -> Situation:
    """`charges`: on its card, by whomever."""
    return Situation(
        decline_class=payment.decline_class,
        decline_code=payment.decline_code,
        declined_retries=payment.retry_count,
        retryable=payment.retryable,
        failed_at=payment.failed_at,
        last_charge_at=payment.last_attempt_at,
        window_ends_at=payment.window_ends_at,
        card_brand=payment.card_brand,
        charges=charges,
        whop_next_attempt_at=payment.whop_next_attempt_at,
        time_zone=terms.time_zone,
        spread=find_spread(payment.payment_id),
        held_out=bool(payment.held_out),
    )


def never() -> bool:
    return False


def choose_place_or_backup(
    payment: Payment | NewPayment,
    situation: Situation,
    terms: Terms,
    rules: Settings,
    now: datetime,
    has_tried_backup: Callable[[], bool] = never,
) -> Place:
    """The policy's place; where the card on file is of no more use and its creator allows it, the
    member's other card, once."""
    place = choose_place(situation, rules, now)
    if not (terms.backup_card and payment.membership_id and payment.member_id):
        return place
    backup = plan_backup(place, situation, now)
    return place if backup is None or has_tried_backup() else backup
