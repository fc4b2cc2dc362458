"""Plans members' messages with their payment, and queues them when they are due.

`next_message_at` is when to decide, not a promise: what is known by then counts. A member with
several failed payments gets one message for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select, tuple_
from sqlalchemy.orm import Session

from db import card_bans
from db.member_messages.history import find_last_message_at, find_written_steps
from db.member_messages.reach import is_reachable
from db.member_messages.schedule import describe_schedule
from db.members import COLUMNS, Member, find_standing, identify_member
from db.models import Message, Payment
from recovery.message_schedule import (
    GAP,
    PlannedMessage,
    may_write,
    plan_next,
)
from recovery.standing import COLLECTED
from recovery.status import Channel, MessageState, Step

DUE = (
    select(Payment)
    .where(Payment.next_message_at <= bindparam("now"))
    .order_by(Payment.next_message_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
MOST_AT_ONCE = 200
# Messages due within this time are joined to the one that is due.
SAME_MESSAGE = timedelta(hours=24)
WAIT_FOR_CHARGE = timedelta(hours=1)


# --- one payment -------------------------------------------------------------------------------


def plan_again(session: Session, payment: Payment, now: datetime) -> None:
    """Plans the next message again, after a change that the schedule depends on."""
    written = find_written_steps(session, [payment])
    last_message_at = find_last_message_at(session, payment, now)
    save_plan(payment, plan(session, payment, written[payment.payment_id], last_message_at, now))


def plan(
    session: Session,
    payment: Payment,
    written: frozenset[Step],
    last_message_at: datetime | None,
    now: datetime,
) -> PlannedMessage | None:
    if payment.imported or payment.held_out or not payment.amount:
        return None
    if not may_write(payment.status, payment.closed_reason):
        return None
    if not is_reachable(payment.member_email, payment.user_id):
        return None
    if find_standing(session, payment) != COLLECTED:
        return None
    card_bans.settle_decline(session, payment)
    context = describe_schedule(session, payment, written, last_message_at)
    # While a charge is running, it is not known whether there is a reason to write.
    in_hand = payment.claimed_until is not None
    return plan_next(context, now + WAIT_FOR_CHARGE if in_hand else now)


def save_plan(payment: Payment, planned: PlannedMessage | None) -> None:
    payment.next_step = planned.step if planned else None
    payment.next_message_at = planned.at if planned else None


# --- one member --------------------------------------------------------------------------------


def queue_due(session: Session, now: datetime) -> int:
    """Queues the messages that are due, and plans each payment's next one.

    Returns how many payments were due; fewer than MOST_AT_ONCE: there are no more.
    """
    due = session.scalars(DUE, {"now": now, "limit": MOST_AT_ONCE}).all()
    for payments in group_by_member(session, due, now):
        queue_one(session, payments, now)
    return len(due)


def group_by_member(
    session: Session, due: Sequence[Payment], now: datetime
) -> Iterable[list[Payment]]:
    """Each member's due payments, with those that the same message may cover."""
    members: dict[Member, list[Payment]] = {}
    for payment in due:
        members.setdefault(identify_member(payment), []).append(payment)
    if not members:
        return ()
    same = [
        tuple_(Payment.company_id, column).in_(
            [(member.company_id, member.value) for member in members if member.name == name]
        )
        for name, column in COLUMNS.items()
    ]
    others = session.scalars(
        select(Payment)
        .where(Payment.next_message_at <= now + SAME_MESSAGE, or_(*same))
        .order_by(Payment.id)
        .with_for_update(skip_locked=True)
    )
    for payment in others:
        group = members.get(identify_member(payment))
        if group is not None and payment not in group:
            group.append(payment)
    return members.values()


def queue_one(session: Session, payments: list[Payment], now: datetime) -> None:
    """Queues one member's message, if one is due, and plans the next one of each payment."""
    written = find_written_steps(session, payments)
    last_message_at = find_last_message_at(session, payments[0], now)

    def plan_all() -> list[tuple[Payment, PlannedMessage]]:
        plans = []
        for payment in payments:
            planned = plan(session, payment, written[payment.payment_id], last_message_at, now)
            save_plan(payment, planned)
            if planned is not None:
                plans.append((payment, planned))
        return plans

    plans = plan_all()
    lead = choose_lead(plans, now)
    if lead is None:
        return
    message = write(session, *lead, now)
    written[lead[0].payment_id] |= {lead[1].step}
    for payment, planned in plans:
        if payment is not lead[0] and joins(planned, lead[1], now):
            write(session, payment, planned, now, joined_to=message.id)
            written[payment.payment_id] |= {planned.step}
    last_message_at = now
    plan_all()


def choose_lead(
    plans: list[tuple[Payment, PlannedMessage]], now: datetime
) -> tuple[Payment, PlannedMessage] | None:
    """The payment that the message is about: the one whose window ends first. None: none is due.

    A last-day message keeps its time, so what is due shortly before waits for it.
    """
    last_days = [planned.at for _, planned in plans if planned.step is Step.LAST_DAY]
    awaited = min((at for at in last_days if at > now), default=None)
    ready = []
    for payment, planned in plans:
        if planned.at > now:
            continue
        if awaited is not None and awaited < now + GAP and planned.step is not Step.LAST_DAY:
            save_plan(payment, PlannedMessage(planned.step, awaited))
            continue
        ready.append((payment, planned))
    return min(
        ready,
        key=lambda pair: (pair[1].step is Step.NOTICE, pair[0].window_ends_at, pair[0].id),
        default=None,
    )


def joins(planned: PlannedMessage, lead: PlannedMessage, now: datetime) -> bool:
    """Whether the lead's message covers this one too. A notice covers and joins nothing; only a
    last-day message covers a last day."""
    if Step.NOTICE in (planned.step, lead.step) or planned.at > now + SAME_MESSAGE:
        return False
    return planned.step is not Step.LAST_DAY or lead.step is Step.LAST_DAY


def write(
    session: Session,
    payment: Payment,
    planned: PlannedMessage,
    now: datetime,
    joined_to: int | None = None,
) -> Message:
    message = Message(
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        step=planned.step,
        channel=Channel.EMAIL,
        state=MessageState.QUEUED if joined_to is None else MessageState.JOINED,
        due_at=now,
        joined_to=joined_to,
    )
    session.add(message)
    session.flush()
    return message
