"""Sends due messages to members, one at a time, in three commits: taken, dispatched, recorded.

A message that is only taken has not left; one that is dispatched may have, so it is never sent
again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from daemon.clients import ChatClient, EmailClient
from daemon.workers import never, run_until_empty
from db.ledger import facts
from db.ledger.products import record_titles
from db.member_messages import planner
from db.member_messages import queue as outbox
from db.member_messages.account_refusals import record_answer
from db.member_messages.delivery_events import settle_unknown
from db.member_messages.event_matching import SENT_ALONG
from db.member_messages.message_context import MessageContext
from db.member_messages.queue import TakenMessage
from db.session import SessionFactory
from mail.messages import Destination, write, write_chat
from recovery.delivery import Delivery
from recovery.message_schedule import REMINDERS
from recovery.status import Channel, MessageState
from whop.client import Membership, WhopClient
from whop.errors import WhopError
from whop.memberships import MEMBERSHIPS_PAGE

log = logging.getLogger(__name__)

# Threads. SendGrid takes some tenths of a second per email, after a call to Whop for the link.
SENDERS = 4


class MessageSender:
    """Without a mailer (EMAIL_ENABLED off), due emails are skipped and never sent later.

    `link_to_stop` makes the unsubscribe link for a message id.
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
        clients = {Channel.EMAIL: mailer, Channel.WHOP: chat}
        self.channels = frozenset(channel for channel, client in clients.items() if client)

    def send_due(self, stopping: Callable[[], bool] = never) -> int:
        """Returns the number of messages handled, whether they were sent or not."""
        while self.queue_some() and not stopping():
            pass
        with self.sessions.begin() as session:
            # invariant 7: an interrupted email is never sent again
            settle_unknown(session, outbox.give_up_interrupted(session, self.clock()))
            # In most minutes nothing is due: then no thread and no connection is opened.
            due = outbox.count_due(session, self.clock(), self.workers)
        if not due:
            return 0
        # A message whose sending raised before it was dispatched is taken again ten minutes later.
        return run_until_empty(self.send_one, due, stopping, "a message could not be sent").done

    def queue_some(self) -> bool:
        """Returns whether more messages may be due."""
        with self.sessions.begin() as session:
            return planner.queue_due(session, self.clock()) == planner.MOST_AT_ONCE

    def send_one(self) -> bool:
        """Sends one due message. False: none was due."""
        with self.sessions.begin() as session:
            taken = outbox.take_message(session, self.clock(), self.channels)
        if taken is None:
            return False
        membership = self.read_membership(taken.context)
        post = self.prepare(taken, find_destination(membership))
        # Committed before it is sent: from here on it is never sent again.
        with self.sessions.begin() as session:
            if membership is not None:
                facts.record_memberships(session, [membership.facts], self.clock(), read=True)
                keep_title(session, taken.context, membership, self.clock())
            if not outbox.mark_dispatched(session, taken.context, self.clock()):
                return True
        self.record(taken.context, post())
        return True

    def record(self, context: MessageContext, delivery: Delivery) -> None:
        account = context.channel, context.company_id
        with self.sessions.begin() as session:
            refused = record_answer(session, *account, delivery, self.clock())
            state = outbox.finish_message(session, context.message_id, delivery, self.clock())
            if state is MessageState.UNKNOWN:
                settle_unknown(session, [context.message_id])
        report_account(*account, refused, delivery)
        why = f" ({delivery.detail})" if delivery.detail else ""
        log.info("payment %s message %s: %s%s", context.payment_id, context.step, state, why)

    def prepare(self, taken: TakenMessage, destination: Destination) -> Callable[[], Delivery]:
        """Does everything that can fail before the message leaves; the result sends it."""
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
            reply_to=messaging.reply_to,
            unsubscribe_url=stop,
            step=context.step,
        )

    def read_membership(self, context: MessageContext) -> Membership | None:
        """As Whop knows it now. None: there is none, or it cannot be read."""
        if context.membership_id is None:
            return None
        try:
            return self.whop.get_membership(context.membership_id, context.company_id)
        except WhopError as error:
            log.warning(
                "payment %s: could not read the member's link: %s", context.payment_id, error
            )
            return None


def find_destination(membership: Membership | None) -> Destination:
    """The member's own page at Whop, or Whop's general page."""
    if membership is None:
        return Destination(MEMBERSHIPS_PAGE)
    return Destination(membership.manage_url, membership.seller, membership.product)


def keep_title(session: Session, context: MessageContext, found: Membership, now: datetime) -> None:
    """What a membership tells of its product spares a call of the next cycle."""
    if context.product is None and found.product_id is not None and found.product is not None:
        record_titles(session, context.company_id, {found.product_id: found.product}, now)


def report_account(
    channel: Channel, company_id: str, refused: bool | None, delivery: Delivery
) -> None:
    """One line when an account stops working, whatever waits for it, and one when it works."""
    name = "SendGrid's account" if channel is Channel.EMAIL else f"Whop's chat of {company_id}"
    if refused:
        log.error("%s is refused (%s): its messages wait until it works", name, delivery.detail)
    elif refused is False:
        log.info("%s works again", name)


def describe(context: MessageContext) -> dict[str, str]:
    """SendGrid returns these with its events, so that an event finds its message."""
    return {name: str(getattr(context, name)) for name in SENT_ALONG}
