"""The orderings of money.md by name: what is claimed when mails bounce, charges are lost, and Whop
tries without telling. What nobody can tell is not ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.ledger import attempts, inbox, payments
from db.ledger.attribution import record_mail_events
from db.ledger.claims import lease
from db.ledger.conclusions import Conclusion, conclude
from db.models import Attempt, MailEvent, Message, Payment, Suppression, WebhookEvent
from db.session import SessionFactory
from mail.events import read_events
from recovery.status import (
    OUR_TRIGGERS,
    AttemptOutcome,
    Channel,
    MessageState,
    RecoveredBy,
    Step,
)
from tests.factories import COMPANY, HOURLY, NOW, event, iso, paid_data, payment_data, report
from tests.mail_service import ABOUT, batch, mail_event
from tests.test_ledger import make_event
from whop.payloads import read_event

PAYMENT = "pay_1"
RETRY, CLICK, MEMBER, WITHOUT_US = RecoveredBy
LATER = NOW + timedelta(days=60)
read = partial(read_event, default_company=None)


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


@dataclass(frozen=True)
class Happens:
    """`what` at `hours` after the failure; `whop`: for when Whop announces its next try."""

    what: str
    hours: float = 0
    whop: float | None = 24
    failures: int = 1
    named: float | None = None
    step: Step = Step.PAYMENT_FAILED
    channel: Channel = Channel.EMAIL


def tell(session: Session, one: Happens) -> None:
    moment = iso(at(one.hours))
    if one.what == "failed":
        data = payment_data(
            id=PAYMENT,
            payments_failed=one.failures,
            last_payment_attempt_at=moment,
            updated_at=moment,
            next_payment_attempt_at=None if one.whop is None else iso(at(one.whop)),
        )
        hear(session, event("payment.failed", data))
    elif one.what == "paid":
        named = one.hours if one.named is None else one.named
        data = paid_data(
            at(one.hours),
            id=PAYMENT,
            payments_failed=one.failures,
            last_payment_attempt_at=iso(at(named)),
        )
        hear(session, event("payment.succeeded", data))
    elif one.what == "mail":
        write(session, one)
    elif one.what == "charge":
        send_charge(session, at(one.hours))
    else:
        message = session.scalars(select(Message).where(Message.state == MessageState.SENT)).one()
        ABOUT[message.id] = (PAYMENT, one.step)
        told = mail_event(one.what, message.id, at(one.hours), step=one.step)
        record_mail_events(session, read_events(batch(told), at(one.hours)), LATER)


def hear(session: Session, content: dict[str, Any]) -> None:
    inbox.record(session, [make_event(content)], LATER, HOURLY, read)


def write(session: Session, one: Happens) -> None:
    for planned in session.scalars(select(Message)).all():
        session.delete(planned)
    session.add(
        Message(
            payment_id=PAYMENT,
            company_id=COMPANY,
            step=one.step,
            channel=one.channel,
            state=MessageState.SENT,
            due_at=at(one.hours),
            sent_at=at(one.hours),
        )
    )
    session.flush()


def send_charge(session: Session, moment: datetime) -> None:
    """Its answer never comes."""
    payment = payments.lock_payments(session, [PAYMENT])[PAYMENT]
    attempt = attempts.open_attempt(session, payment, moment)
    attempt.sent_at, attempt.failures_before = moment, 1
    payment.claimed_until = moment
    session.flush()


def wipe(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for model in (MailEvent, Suppression, Attempt, Message, Payment, WebhookEvent):
            session.execute(delete(model))


def tell_all(sessions: SessionFactory, story: Iterable[Happens]) -> RecoveredBy | None:
    for one in story:
        with sessions.begin() as session:
            tell(session, one)
    with sessions() as session:
        return session.scalars(select(Payment.recovered_by)).one()


FAILED, MAIL, DELIVERED = Happens("failed"), Happens("mail"), Happens("delivered", 0.1)
PLANLESS = Happens("failed", whop=None)
LAST = Happens("failed", 24, whop=None, failures=2)
MAIL30 = Happens("mail", 30)
NOTICE = Happens("mail", step=Step.NOTICE)
CHAT = Happens("mail", channel=Channel.WHOP)


@pytest.mark.parametrize(
    ("story", "who"),
    [
        pytest.param([FAILED, MAIL, DELIVERED, Happens("paid", 10)], MEMBER, id="it arrived"),
        pytest.param([FAILED, CHAT, Happens("paid", 10)], MEMBER, id="by chat"),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("click", 9), Happens("paid", 10)],
            CLICK,
            id="they clicked, then paid",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("open", 9), Happens("paid", 10)],
            MEMBER,
            id="they opened it, which machines do as well",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("click", 0.105), Happens("paid", 10)],
            MEMBER,
            id="a scanner of the mailbox clicked",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("click", 11), Happens("paid", 10)],
            MEMBER,
            id="they clicked after they had paid",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("click", 19), Happens("paid", 20)],
            WITHOUT_US,
            id="they clicked, and Whop's try was due",
        ),
        pytest.param(
            [FAILED, LAST, MAIL30, Happens("click", 40), Happens("paid", 104, failures=2)],
            WITHOUT_US,
            id="they clicked, and paid more than 72 hours after the message",
        ),
        pytest.param([FAILED, MAIL, Happens("paid", 10)], WITHOUT_US, id="nobody says it arrived"),
        pytest.param(
            [FAILED, MAIL, Happens("bounce", 0.1), Happens("paid", 10)],
            WITHOUT_US,
            id="A1: the only mail bounced",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("bounce", 0.2), Happens("paid", 10)],
            WITHOUT_US,
            id="A1: and was thought delivered",
        ),
        pytest.param(
            [FAILED, MAIL, Happens("dropped", 0.1), Happens("paid", 10)],
            WITHOUT_US,
            id="A1: or dropped",
        ),
        pytest.param(
            [FAILED, MAIL, Happens("delivered", 11), Happens("paid", 10)],
            WITHOUT_US,
            id="it arrived after the payment",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("paid", 40 * 24)],
            WITHOUT_US,
            id="A2: paid 35 days after the membership ended",
        ),
        pytest.param(
            [PLANLESS, MAIL, DELIVERED, Happens("paid", 24)],
            WITHOUT_US,
            id="A3: Whop pays without having told a plan",
        ),
        pytest.param(
            [FAILED, LAST, MAIL30, Happens("delivered", 31), Happens("paid", 40, failures=2)],
            MEMBER,
            id="Whop has told that it tries no more",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("paid", 20)],
            WITHOUT_US,
            id="A4: Whop tries four hours early",
        ),
        pytest.param(
            [FAILED, Happens("charge", 9), Happens("paid", 9.6)],
            WITHOUT_US,
            id="A5: our charge was lost, paid 36 minutes later",
        ),
        pytest.param(
            [FAILED, Happens("charge", 1), Happens("paid", 16)],
            WITHOUT_US,
            id="A6: our charge was lost, paid 15 hours later",
        ),
        pytest.param(
            [FAILED, Happens("charge", 9), Happens("paid", 9.1)],
            RETRY,
            id="our charge was answered by the payment alone",
        ),
        pytest.param(
            [FAILED, NOTICE, DELIVERED, Happens("paid", 10)],
            WITHOUT_US,
            id="A7: only a notice, which asks for nothing",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("paid", 30)],
            WITHOUT_US,
            id="A9: Whop told its first failure alone",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("paid", 10, named=0)],
            MEMBER,
            id="A12: it still names the charge that failed",
        ),
        pytest.param(
            [FAILED, MAIL, DELIVERED, Happens("paid", 30, named=24)],
            WITHOUT_US,
            id="a bank settled Whop's charge later",
        ),
    ],
)
def test_only_what_is_ours_is_claimed(
    sessions: SessionFactory, story: Sequence[Happens], who: RecoveredBy
) -> None:
    assert tell_all(sessions, story) is who


def test_a8_a_creators_own_retry_at_whop_is_never_ours_where_it_can_be_told(
    sessions: SessionFactory,
) -> None:
    """A creator who presses "Retry payment" at Whop looks like a member who pays. So it is at most
    "paid after our message", never "our retry", and nothing at all where no message arrived."""
    assert tell_all(sessions, [FAILED, Happens("paid", 10)]) is WITHOUT_US
    wipe(sessions)
    assert tell_all(sessions, [FAILED, MAIL, DELIVERED, Happens("paid", 10)]) is MEMBER


def find_ours(session: Session) -> Attempt:
    return session.scalars(select(Attempt).where(Attempt.trigger.in_(OUR_TRIGGERS))).one()


@pytest.mark.parametrize(("paid", "who"), [(2, WITHOUT_US), (9.99, RETRY)])
def test_a10_an_answer_that_tells_of_an_earlier_payment_proves_nothing(
    sessions: SessionFactory, paid: float, who: RecoveredBy
) -> None:
    """Our charge is sent at ten hours; Whop answers our key: paid."""
    tell_all(sessions, [FAILED, Happens("charge", 10)])
    answer = report("payment.succeeded", **paid_data(at(paid), id=PAYMENT))
    with sessions.begin() as session:
        payment, attempt = session.scalars(select(Payment)).one(), find_ours(session)
        claim = lease(session, payment, attempt, at(10))
        conclude(session, claim, Conclusion(AttemptOutcome.PAID, answer), LATER, HOURLY)
    with sessions() as session:
        assert session.scalars(select(Payment.recovered_by)).one() is who
        ours = AttemptOutcome.PAID if who is RETRY else AttemptOutcome.REFUSED
        assert find_ours(session).outcome is ours
        assert session.scalars(select(Payment.claimed_until)).one() is None


@pytest.mark.parametrize(
    ("story", "who"),
    [
        ([FAILED, MAIL, DELIVERED, Happens("paid", 10)], MEMBER),
        ([FAILED, MAIL, DELIVERED, Happens("bounce", 0.2), Happens("paid", 10)], WITHOUT_US),
        ([FAILED, MAIL, DELIVERED, Happens("click", 8), Happens("paid", 10)], CLICK),
        (
            [
                FAILED,
                MAIL,
                DELIVERED,
                Happens("failed", 24, whop=48, failures=2),
                Happens("paid", 30, failures=2, named=24),
            ],
            MEMBER,
        ),
    ],
)
def test_what_is_heard_late_credits_anew_in_every_order(
    sessions: SessionFactory, story: Sequence[Happens], who: RecoveredBy
) -> None:
    """A payment is known first, and a mail before what became of it."""
    first, mail, *rest = story
    for order in itertools.permutations(rest):
        assert tell_all(sessions, [first, mail, *order]) is who, order
        wipe(sessions)
