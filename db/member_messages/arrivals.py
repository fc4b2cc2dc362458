"""When a message arrived, so that a payment after it may be an answer to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func

from recovery.delivery import NOT_ARRIVED
from recovery.status import Channel, MessageState, Step


def find_arrival(message: Any) -> ColumnElement[datetime | None]:
    """Null where it has not arrived as far as is known, or asks for nothing. `message`: Message or
    an alias.

    An email counts where the mail service told that it arrived. A chat tells nothing of that.
    """
    told_at = func.coalesce(message.delivered_at, message.opened_at, message.clicked_at)
    is_email = message.channel == Channel.EMAIL
    may_count = and_(
        message.step != Step.NOTICE, message.delivery_failure.in_(NOT_ARRIVED).is_not(True)
    )
    return case(
        (~may_count, None),
        (and_(is_email, told_at.is_not(None)), func.greatest(message.sent_at, told_at)),
        (and_(~is_email, message.state == MessageState.SENT), message.sent_at),
    )
