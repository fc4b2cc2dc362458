"""Sends what is due, one message at a time. Taken, sent and recorded are three steps: the row is
on disk as `sending` before the mail leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from daemon.mailer import BusyError, Mailer, RejectedError, UncertainError
from db import outbox
from db.outbox import Letter
from db.session import SessionFactory
from db.status import MessageState
from mail.letters import Destination, write
from whop.client import MEMBERSHIPS_PAGE, WhopClient
from whop.errors import WhopError

log = logging.getLogger(__name__)

TRY_AGAIN_AFTER = timedelta(minutes=5)


class Messenger:
    """Without a mailer (EMAIL_ENABLED off) what is due is skipped: it is never caught up on."""

    def __init__(
        self,
        sessions: SessionFactory,
        whop: WhopClient,
        mailer: Mailer | None,
        clock: Callable[[], datetime],
    ) -> None:
        self.sessions, self.whop, self.mailer, self.clock = sessions, whop, mailer, clock

    def send_due(self, stopping: Callable[[], bool] = lambda: False) -> int:
        while self.queue_some():
            pass
        with self.sessions.begin() as session:
            outbox.give_up_interrupted(session, self.clock())
            if self.mailer is None:
                outbox.skip_queued(session, self.clock(), "e-mail is switched off")
        sent = 0
        while self.mailer is not None and not stopping() and self.send_one(self.mailer):
            sent += 1
        return sent

    def queue_some(self) -> bool:
        """Whether there may be more."""
        with self.sessions.begin() as session:
            return outbox.queue_due(session, self.clock()) == outbox.MOST_AT_ONCE

    def send_one(self, mailer: Mailer) -> bool:
        """One message that is due. False: there was none."""
        with self.sessions.begin() as session:
            letter = outbox.take_letter(session, self.clock())
        if letter is None:
            return False
        written = write(letter, self.find_destination(letter))
        state, provider_id, detail = MessageState.SENT, None, None
        try:
            provider_id = mailer.send(letter.address, written, describe(letter))
        except BusyError as error:
            with self.sessions.begin() as session:
                due_at = self.clock() + TRY_AGAIN_AFTER
                outbox.put_back(session, letter.message_id, due_at, str(error))
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
        log.info("payment %s message %s: %s", letter.payment_id, letter.step, state)
        return True

    def find_destination(self, letter: Letter) -> Destination:
        """The member's own link; Whop's general page when it cannot be had."""
        if letter.membership_id is not None:
            try:
                found = self.whop.get_membership(letter.membership_id)
                return Destination(found.manage_url, found.seller, found.product)
            except WhopError as error:
                log.warning("payment %s: no link of its own: %s", letter.payment_id, error)
        return Destination(MEMBERSHIPS_PAGE)


def describe(letter: Letter) -> dict[str, str]:
    """Comes back with SendGrid's events, so that a delivery finds its message."""
    return {
        "company_id": letter.company_id,
        "payment_id": letter.payment_id,
        "step": letter.step,
        "message_id": str(letter.message_id),
    }
