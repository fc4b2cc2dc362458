"""What a member and a membership allow: whether a payment is collected, held or closed. Pure.

These are facts, not events. Each has a time of its own, so the order in which they are heard does
not matter, nor whether their payment is known yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from recovery.status import ClosedReason

Word = TypeVar("Word")


class Renewal(StrEnum):
    """Whether a membership is renewed."""

    CONTINUES = "continues"
    # It runs to the end of its period.
    CANCELED = "canceled"
    ENDED = "ended"


class Hold(StrEnum):
    """Why an unpaid payment is neither charged nor written about for now."""

    # The creator paused the membership's payments on Whop.
    PAUSED = "paused"
    # The member's bank asks about a payment of theirs, which may become a dispute.
    INQUIRY = "inquiry"


class DisputeEffect(StrEnum):
    """What a dispute means for the other payments of its member."""

    # It ended in the creator's favour.
    LIFTED = "lifted"
    HOLDS = "holds"
    STOPS = "stops"


# The strictest last: of two words of the same time, it is the one that holds.
RENEWALS = (Renewal.CONTINUES, Renewal.CANCELED, Renewal.ENDED)
PAUSES = (False, True)
EFFECTS = (DisputeEffect.LIFTED, DisputeEffect.HOLDS, DisputeEffect.STOPS)
# A bank's word that a dispute is coming, in place of a dispute's status.
ALERT = "alert"
# A dispute that has one of these does not change any more.
FINAL = ("won", "lost", "prevented", "warning_closed")
# Of these, those that gave the money back to the member.
SETTLED_AGAINST = ("lost", "prevented")
# Who buys now may have failed so long ago, and no longer: windows end, and so does reading back.
MATTERS_FOR = timedelta(days=35)
CLOSED_BY: dict[Renewal, ClosedReason] = {
    Renewal.CANCELED: ClosedReason.MEMBER_CANCELED,
    Renewal.ENDED: ClosedReason.MEMBERSHIP_ENDED,
}


@dataclass(frozen=True, slots=True)
class Told(Generic[Word]):
    """A word of Whop's. `observed_at`: when it was true; `since`: since when."""

    word: Word
    observed_at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class MembershipFacts:
    """The newest words about a membership. None: Whop has not told.

    `started_at`: when it was bought.
    """

    membership_id: str
    product_id: str | None = None
    started_at: datetime | None = None
    renewal: Renewal | None = None
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be done about a payment. Neither: it is collected."""

    closed_reason: ClosedReason | None = None
    hold: Hold | None = None


COLLECTED = Standing()


def choose_newer(
    known: Told[Word] | None, told: Told[Word] | None, strictest_last: Sequence[Word]
) -> Told[Word] | None:
    """The newer word, whichever was heard first; of two from the same time, the stricter one."""
    if known is None or told is None:
        return told if known is None else known
    # invariant 11: an older word does not undo a newer one
    newest = max(known, told, key=lambda one: (one.observed_at, strictest_last.index(one.word)))
    if known.word != told.word:
        return newest
    return Told(newest.word, newest.observed_at, min(known.since, told.since))


def judge_dispute(status: str) -> DisputeEffect:
    """An inquiry moves no money, so it only holds; what Whop does not explain stops."""
    if status in {"won", "warning_closed"}:
        return DisputeEffect.LIFTED
    return DisputeEffect.HOLDS if status.startswith("warning_") else DisputeEffect.STOPS


def takes_money(status: str) -> bool:
    """Whether the money of the disputed payment is gone: while the dispute or an alert is open, and
    once it is lost or was settled by giving it back. One that is closed is neither."""
    return judge_dispute(status) is DisputeEffect.STOPS and status != "closed"


def is_bought_anew(
    product_id: str | None,
    failed_at: datetime,
    own: MembershipFacts | None,
    other: MembershipFacts,
) -> bool:
    """Whether the member has bought the product of a failed payment once more since it failed.

    `other`: another membership of the same member. A product that is not known may be the same.
    """
    product_id = product_id or (own.product_id if own else None)
    same = None in (product_id, other.product_id) or product_id == other.product_id
    return same and other.started_at is not None and other.started_at >= failed_at


def judge(
    own: MembershipFacts | None, *, bought_anew: bool, effects: Collection[DisputeEffect]
) -> Standing:
    """`own`: the payment's membership; `effects`: of the disputes of its member."""
    if DisputeEffect.STOPS in effects:
        return Standing(ClosedReason.DISPUTED)
    if bought_anew:
        return Standing(ClosedReason.BOUGHT_ANEW)
    if own is not None and own.renewal in CLOSED_BY:
        return Standing(CLOSED_BY[own.renewal])
    if own is not None and own.paused:
        return Standing(hold=Hold.PAUSED)
    return Standing(hold=Hold.INQUIRY if DisputeEffect.HOLDS in effects else None)
