"""Whether a payment may be charged again, and when: Whop's own stop decides first, then what no
policy may do, then the policy. Pure: `now` is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recovery.declines import MEMBER_CAN_FIX, NEVER_CHARGED_AGAIN
from recovery.retrying.context import Retry, RetryContext, RetryRules
from recovery.retrying.good_hours import avoid_whop
from recovery.retrying.policy import POLICIES, is_over_card_limit
from recovery.retrying.smart import PAUSE


class NoRetryReason(StrEnum):
    """Why no retry is scheduled. The value goes on in a sentence that a creator reads."""

    NOTHING_OWED = "nothing is owed"
    RETRIES_USED = "all retries are used"
    WINDOW_CLOSED = "too little time is left before the deadline"
    NOT_RETRYABLE = "Whop does not allow another retry"
    FORBIDDEN = "it must not be charged again"
    NEEDS_MEMBER = "another retry would not help, only the member can fix it"
    CARD_LIMIT = "the card networks allow no more charges on this card for now"
    HELD_OUT = "this member is in the control group"
    PAUSED = "the membership is paused on Whop"
    INQUIRY = "the member's bank asks about a payment"


@dataclass(frozen=True, slots=True)
class NoRetry:
    why: NoRetryReason


Decision = Retry | NoRetry


def find_no_retry_reason(context: RetryContext, rules: RetryRules) -> NoRetryReason | None:
    """Why a charge is forbidden, whatever the policy and whoever asks. None: it is allowed."""
    if not context.owed:
        return NoRetryReason.NOTHING_OWED
    if context.held_out:
        return NoRetryReason.HELD_OUT
    if context.hold is not None:  # invariant 11: a payment on hold is not charged
        return NoRetryReason[context.hold.name]
    if context.declined_retries >= rules.max_retries:
        return NoRetryReason.RETRIES_USED
    # invariant 3: forbidden declines are not charged
    if context.decline_class in NEVER_CHARGED_AGAIN:
        fixable = context.decline_class in MEMBER_CAN_FIX
        return NoRetryReason.NEEDS_MEMBER if fixable else NoRetryReason.FORBIDDEN
    if not context.retryable:
        return NoRetryReason.NOT_RETRYABLE
    if is_over_card_limit(context.card_brand, context.charges):
        return NoRetryReason.CARD_LIMIT
    return None


def decide(context: RetryContext, rules: RetryRules, now: datetime) -> Decision:
    """The policy's time, if a charge is allowed then."""
    reason_not_to = find_no_retry_reason(context, rules)
    if reason_not_to is not None:
        return NoRetry(reason_not_to)
    # invariant 9: rules are told the time
    earliest = max(context.last_charge_at + rules.interval, now)
    retry = POLICIES[rules.policy](context, earliest)
    if retry is None:
        return NoRetry(NoRetryReason.NEEDS_MEMBER)
    return retry if retry.at < context.window_ends_at else NoRetry(NoRetryReason.WINDOW_CLOSED)


def wait_for_whop(
    rules: RetryRules,
    now: datetime,
    whop_attempt_at: datetime | None,
    only_retry_after: datetime | None = None,
) -> datetime | None:
    """When to decide again, if Whop has just announced a try near now, or made one just before our
    only retry. None: charge now.

    `only_retry_after`: the last charge, where this may be the only retry that Whop allows. Only the
    `smart` policy waits for Whop.
    """
    clear = avoid_whop(now, whop_attempt_at)
    if only_retry_after is not None:
        clear = max(clear, only_retry_after + PAUSE)
    return clear if rules.policy == "smart" and clear > now else None
