"""What both outboxes share: messages to members, and notices to creators.

A row is committed `sending` before anything is sent. Without an answer it may have been sent, so it
becomes `unknown` and is never sent again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Update, true, update
from sqlalchemy.orm import Session

from db.models import Message, Notice
from recovery.delivery import Delivery, DeliveryState
from recovery.status import MessageState

Outbox = type[Message] | type[Notice]

# A row that is `sending` for longer was left by a daemon that was killed.
INTERRUPTED = timedelta(minutes=10)


def to_message_state(state: DeliveryState) -> MessageState:
    match state:
        case DeliveryState.SENT:
            return MessageState.SENT
        case DeliveryState.REFUSED | DeliveryState.ADDRESS_REFUSED:
            return MessageState.FAILED
        case DeliveryState.PUT_OFF | DeliveryState.ACCOUNT_REFUSED:
            return MessageState.QUEUED
        case DeliveryState.UNKNOWN:
            return MessageState.UNKNOWN
        case DeliveryState.SKIPPED:
            return MessageState.SKIPPED
        case _:
            assert_never(state)


def finish(
    session: Session,
    outbox: Outbox,
    ids: Collection[int],
    delivery: Delivery,
    now: datetime,
    **more: Any,
) -> MessageState:
    """Saves the result of these rows and returns the new state. `more`: columns of this outbox
    alone."""
    state = to_message_state(delivery.state)
    sent_at = now if state is MessageState.SENT else None
    written = {"state": state, "detail": delivery.detail, "sent_at": sent_at} | more
    session.execute(update(outbox).where(outbox.id.in_(ids)).values(written))
    return state


def update_interrupted(outbox: Outbox, now: datetime) -> Update:
    return update(outbox).where(
        outbox.state == MessageState.SENDING, outbox.sending_at < now - INTERRUPTED
    )


def give_up_interrupted(
    session: Session,
    outbox: Outbox,
    now: datetime,
    may_have_left: ColumnElement[bool] | None = None,
) -> list[int]:
    """Marks interrupted rows `unknown` and returns their ids. `may_have_left`: which of them may
    have been sent; None: all."""
    unknown = update_interrupted(outbox, now).where(
        true() if may_have_left is None else may_have_left
    )
    lost = unknown.values(state=MessageState.UNKNOWN, detail="interrupted while sending")
    return list(session.scalars(lost.returning(outbox.id)))
