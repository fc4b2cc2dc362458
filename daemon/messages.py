"""Sends what is due, one message at a time. Taken, posted and recorded are three commits: what is
on disk as taken has not left yet, and what is on disk as posted may have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from daemon.clients import ChatClient, EmailClient
from daemon.workers import never, run_until_empty
from db.member_messages import planner
from db.member_messages import queue as outbox
from db.member_messages.delivery_events import settle_unknown
from db.member_messages.message_context import MessageContext
from db.member_messages.queue import TakenMessage
from db.session import SessionFactory
from mail.messages import Destination, write, write_chat
from recovery.delivery import Delivery
from recovery.message_schedule import REMINDERS
from recovery.status import Channel, MessageState
from whop.client import MEMBERSHIPS_PAGE, WhopClient
from whop.errors import WhopError

log = logging.getLogger(__name__)

# Threads. A mail takes SendGrid some tenths of a second; before it Whop is asked for a link.
SENDERS = 4


class MessageSender:
    """Without a mailer (EMAIL_ENABLED off) what is due as mail is skipped, never caught up on.

    `link_to_stop`: the address by which a message's reader asks for no more.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        mailer: EmailClient | None,
        clock: Callable[[], datetime],
        chat: ChatClient | None = None,
        workers: int = 1,
        link_to_stop: Callable[[int], str] | None = None,
    ) -> None:
        self.link_to_stop = link_to_stop
        self.sessions, self.whop, self.clock = sessions, whop, clock
        self.mailer, self.chat, self.workers = mailer, chat, workers
        carriers = {Channel.EMAIL: mailer, Channel.WHOP: chat}
        self.channels = frozenset(channel for channel, found in carriers.items() if found)

    def send_due(self, stopping: Callable[[], bool] = never) -> int:
        """Returns how many were looked at."""
        while self.queue_some() and not stopping():
            pass
        with self.sessions.begin() as session:
            # invariant 7: an interrupted mail is given up
            settle_unknown(session, outbox.give_up_interrupted(session, self.clock()))
            # Most minutes have nothing to send: no thread and no connection is opened for that.
            due = outbox.count_due(session, self.clock(), self.workers)
        if not due:
            return 0
        # What a failing one leaves taken and not posted is taken again ten minutes later.
        return run_until_empty(self.send_one, due, stopping, "a message could not be sent").done

    def queue_some(self) -> bool:
        """Whether there may be more."""
        with self.sessions.begin() as session:
            return planner.queue_due(session, self.clock()) == planner.MOST_AT_ONCE

    def send_one(self) -> bool:
        """One message that is due. False: there was none."""
        with self.sessions.begin() as session:
            taken = outbox.take_message(session, self.clock(), self.channels)
        if taken is None:
            return False
        post = self.prepare(taken)
        # Committed before it leaves: from here on it is never sent again.
        with self.sessions.begin() as session:
            if not outbox.mark_dispatched(session, taken.context, self.clock()):
                return True
        self.record(taken.context, post())
        return True

    def record(self, context: MessageContext, delivery: Delivery) -> None:
        with self.sessions.begin() as session:
            state = outbox.finish_message(session, context.message_id, delivery, self.clock())
            if state is MessageState.UNKNOWN:
                settle_unknown(session, [context.message_id])
        why = f" ({delivery.detail})" if delivery.detail else ""
        log.info("payment %s message %s: %s%s", context.payment_id, context.step, state, why)

    def prepare(self, taken: TakenMessage) -> Callable[[], Delivery]:
        """All that can go wrong before anything leaves."""
        destination = self.find_destination(taken.context)
        if taken.context.channel is Channel.WHOP:
            return self.prepare_chat(taken, destination)
        return self.prepare_mail(taken, destination)

    def prepare_chat(self, taken: TakenMessage, destination: Destination) -> Callable[[], Delivery]:
        context = taken.context
        assert self.chat is not None
        assert context.user_id is not None
        content = write_chat(context, destination, taken.messaging, taken.template)
        return partial(self.chat.send, context.company_id, context.user_id, content)

    def prepare_mail(self, taken: TakenMessage, destination: Destination) -> Callable[[], Delivery]:
        context, messaging = taken.context, taken.messaging
        assert self.mailer is not None
        stop = None
        if self.link_to_stop is not None and context.step in REMINDERS:
            stop = self.link_to_stop(context.message_id)
        return partial(
            self.mailer.send,
            context.address,
            write(context, destination, messaging, taken.template, stop),
            describe(context),
            sender_name=messaging.sender_name or destination.seller,
            reply_to=messaging.sendable_reply_to,
            unsubscribe_url=stop,
            step=context.step,
        )

    def find_destination(self, context: MessageContext) -> Destination:
        """The member's own link; Whop's general page when it cannot be had."""
        if context.membership_id is not None:
            try:
                found = self.whop.get_membership(context.membership_id)
                return Destination(found.manage_url, found.seller, found.product)
            except WhopError as error:
                log.warning("payment %s: no link of its own: %s", context.payment_id, error)
        return Destination(MEMBERSHIPS_PAGE)


def describe(context: MessageContext) -> dict[str, str]:
    """Comes back with SendGrid's events, so that a delivery finds its message."""
    return {
        "company_id": context.company_id,
        "payment_id": context.payment_id,
        "step": context.step,
        "message_id": str(context.message_id),
    }
