"""Sends what is due, one message at a time. Taken, posted and recorded are three commits: what is
on disk as taken has not left yet, and what is on disk as posted may have."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy.exc import OperationalError

from daemon.answers import BusyError, RejectedError, UncertainError
from db.company_settings.messaging import find_manners
from db.company_settings.templates import find_template
from db.member_messages import planner as planning
from db.member_messages import queue as outbox
from db.member_messages.delivery_events import settle_unknown
from db.member_messages.queue import Letter
from db.session import SessionFactory
from mail.letters import Destination, Written, write, write_chat
from recovery.message_schedule import REMINDERS
from recovery.status import Channel, MessageState
from whop.client import MEMBERSHIPS_PAGE, WhopClient
from whop.errors import WhopError

log = logging.getLogger(__name__)

SENDERS = 4
"""Threads. A mail takes SendGrid some tenths of a second; before it Whop is asked for a link."""
MOST_ERRORS = 20


class MailCarrier(Protocol):
    """Answers with the mail service's own id. Raises MailError."""

    def send(
        self,
        address: str,
        written: Written,
        arguments: dict[str, str],
        *,
        sender_name: str | None,
        reply_to: str | None,
        unsubscribe_url: str | None,
        step: str | None,
    ) -> str | None: ...


class ChatCarrier(Protocol):
    """Writes to a member's support chat with the creator, and answers with the message's id. Raises
    MailError."""

    def send(self, company_id: str, user_id: str, content: str) -> str: ...


class Messenger:
    """Without a mailer (EMAIL_ENABLED off) what is due as mail is skipped, never caught up on.

    `link_to_stop`: the address by which a message's reader asks for no more.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        mailer: MailCarrier | None,
        clock: Callable[[], datetime],
        chat: ChatCarrier | None = None,
        workers: int = 1,
        link_to_stop: Callable[[int], str] | None = None,
    ) -> None:
        self.link_to_stop = link_to_stop
        self.sessions, self.whop, self.clock = sessions, whop, clock
        self.mailer, self.chat, self.workers = mailer, chat, workers
        carriers = {Channel.EMAIL: mailer, Channel.WHOP: chat}
        self.channels = frozenset(channel for channel, found in carriers.items() if found)

    def send_due(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Returns how many were looked at."""
        while self.queue_some() and not stopping():
            pass
        with self.sessions.begin() as session:
            settle_unknown(session, outbox.give_up_interrupted(session, self.clock()))
            # Most minutes have nothing to send: no thread and no connection is opened for that.
            due = outbox.count_due(session, self.clock(), self.workers)
        done: list[bool] = []
        errors: list[bool] = []

        def work() -> None:
            while not stopping() and len(errors) < MOST_ERRORS:
                try:
                    if not self.send_one():
                        return
                    done.append(True)
                except OperationalError:
                    return  # the database is away; the next minute will say so
                except Exception:
                    # What is left taken and not posted is taken again ten minutes later.
                    log.exception("a message could not be sent")
                    errors.append(True)

        if due:
            share(work, due)
        return len(done)

    def queue_some(self) -> bool:
        """Whether there may be more."""
        with self.sessions.begin() as session:
            return planning.queue_due(session, self.clock()) == planning.MOST_AT_ONCE

    def send_one(self) -> bool:
        """One message that is due. False: there was none."""
        with self.sessions.begin() as session:
            letter = outbox.take_letter(session, self.clock(), self.channels)
        if letter is None:
            return False
        post = self.prepare(letter)
        # Committed before it leaves: from here on it is never sent again.
        with self.sessions.begin() as session:
            if not outbox.mark_posted(session, letter, self.clock()):
                return True
        state, provider_id, detail = MessageState.SENT, None, None
        try:
            provider_id = post()
        except BusyError as error:
            self.put_back(letter, error)
            return True
        except RejectedError as error:
            state, detail = MessageState.FAILED, str(error)
        except UncertainError as error:
            state, detail = MessageState.UNKNOWN, str(error)
        with self.sessions.begin() as session:
            outbox.finish_letter(
                session,
                letter.message_id,
                state,
                self.clock(),
                provider_id=provider_id,
                detail=detail,
            )
            if state is MessageState.UNKNOWN:
                settle_unknown(session, [letter.message_id])
        log.info("payment %s message %s: %s", letter.payment_id, letter.step, state)
        return True

    def put_back(self, letter: Letter, error: BusyError) -> None:
        asked: timedelta | None = getattr(error, "retry_after", None)
        with self.sessions.begin() as session:
            outbox.put_back(session, letter.message_id, self.clock(), str(error), asked)
        log.warning("payment %s message %s: %s", letter.payment_id, letter.step, error)

    def prepare(self, letter: Letter) -> Callable[[], str | None]:
        """All that can go wrong before anything leaves."""
        destination = self.find_destination(letter)
        with self.sessions() as session:
            manners = find_manners(session, letter.company_id)
            template = find_template(session, letter.company_id, letter.step)
        if letter.channel is Channel.WHOP:
            assert self.chat is not None
            assert letter.user_id is not None
            content = write_chat(letter, destination, manners, template)
            return partial(self.chat.send, letter.company_id, letter.user_id, content)
        assert self.mailer is not None
        stop = None
        if self.link_to_stop is not None and letter.step in REMINDERS:
            stop = self.link_to_stop(letter.message_id)
        return partial(
            self.mailer.send,
            letter.address,
            write(letter, destination, manners, template, stop),
            describe(letter),
            sender_name=manners.sender_name or destination.seller,
            reply_to=manners.reply_to,
            unsubscribe_url=stop,
            step=letter.step,
        )

    def find_destination(self, letter: Letter) -> Destination:
        """The member's own link; Whop's general page when it cannot be had."""
        if letter.membership_id is not None:
            try:
                found = self.whop.get_membership(letter.membership_id)
                return Destination(found.manage_url, found.seller, found.product)
            except WhopError as error:
                log.warning("payment %s: no link of its own: %s", letter.payment_id, error)
        return Destination(MEMBERSHIPS_PAGE)


def share(work: Callable[[], None], workers: int) -> None:
    """The same work in several threads, this one among them."""
    # Daemon threads: a stop must not wait for a mail service.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()


def describe(letter: Letter) -> dict[str, str]:
    """Comes back with SendGrid's events, so that a delivery finds its message."""
    return {
        "company_id": letter.company_id,
        "payment_id": letter.payment_id,
        "step": letter.step,
        "message_id": str(letter.message_id),
    }
