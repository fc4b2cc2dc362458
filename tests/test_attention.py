"""What needs the creator: overview, list, digest, posts and REST agree with the plain rule."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import product
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from daemon.notices import write_post
from dashboard.data import overview
from dashboard.data import payments as listing
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.creator_notices.digest import measure_week
from db.creator_notices.queue import NoticeBatch
from db.creator_notices.weeks import Week
from db.models import Message, Payment
from db.reporting import attention
from db.reporting.next_steps import Viewpoint
from db.reporting.search import Filters, StatusFilter, find_page
from mail.digest import write_digest
from recovery.action_required import Need
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.status import (
    Channel,
    MessageState,
    NoticeChannel,
    NoticeKind,
    PaymentStatus,
    RecoveredBy,
    Step,
)
from tests.factories import COMPANY, HOUR, HOURLY, NOW
from tests.mail_service import MailReceiver
from tests.needs import find_needs

ANOTHER = "biz_another"
VIEW = Viewpoint(NOW, HOURLY, frozenset(Channel))
WEEK = Week(date(2026, 11, 16), ZoneInfo("UTC"))
SENT, QUEUED = {"state": MessageState.SENT}, {"state": MessageState.QUEUED}
BOUNCED = SENT | {"delivery_failure": DeliveryFailure.BOUNCED}
DROPPED = SENT | {"delivery_failure": DeliveryFailure.DROPPED}
UNWANTED = SENT | {"delivery_failure": DeliveryFailure.SPAM_REPORT}
OPTED_OUT = SENT | {"delivery_failure": DeliveryFailure.UNSUBSCRIBED}
JOINED = {"state": MessageState.JOINED}
CHAT = SENT | {"channel": Channel.WHOP}
UNKNOWN = {"state": MessageState.UNKNOWN}
# What became of the messages about one payment; `lead`: of the one that spoke for it as well.
PLAIN: dict[str, tuple[dict[str, Any], ...]] = {
    "nothing sent": (),
    "only queued": (QUEUED,),
    "arrived": (SENT,),
    "bounced": (BOUNCED,),
    "dropped": (DROPPED,),
    "spam report": (UNWANTED,),
    "opt-out": (OPTED_OUT,),
    "bounced, then arrived in chat": (BOUNCED, CHAT),
}
TANGLED: dict[str, tuple[dict[str, Any], ...]] = {
    "only failed": ({"state": MessageState.FAILED},),
    "only skipped": ({"state": MessageState.SKIPPED},),
    "perhaps sent": (UNKNOWN,),
    "arrived in chat": (CHAT,),
    "dropped, and perhaps sent": (UNKNOWN | {"delivery_failure": DeliveryFailure.DROPPED},),
    "all bounced or dropped": (BOUNCED, DROPPED),
    "opt-out of one perhaps sent": (UNKNOWN | {"delivery_failure": DeliveryFailure.UNSUBSCRIBED},),
    "bounced, then arrived": (BOUNCED, SENT),
    "bounced, then a spam report": (BOUNCED, UNWANTED),
    "bounced, the next queued": (BOUNCED, QUEUED),
    "joined to one that bounced": (JOINED | {"lead": "bounced"},),
    "joined to one that arrived": (JOINED | {"lead": "arrived"},),
    "bounced, then joined to one that arrived": (BOUNCED, JOINED | {"lead": "arrived"}),
}
DELIVERIES = PLAIN | TANGLED


@dataclass
class Combinations:
    """Of all that the rule looks at; without choice, every one of what is plain."""

    classes: Iterable[DeclineClass] = tuple(DeclineClass)
    addresses: Iterable[str | None] = (None, "", "jo@example.com")
    deliveries: Iterable[str] = tuple(PLAIN)
    imported: Iterable[bool] = (False, True)
    held_out: Iterable[bool | None] = (None, False, True)
    statuses: Iterable[PaymentStatus] = tuple(PaymentStatus)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return product(
            self.classes,
            self.addresses,
            self.deliveries,
            self.imported,
            self.held_out,
            self.statuses,
        )


UNPAID_AND_TANGLED = Combinations(deliveries=TANGLED, statuses=[PaymentStatus.FAILED])
A_FEW = Combinations(
    classes=(DeclineClass.AMOUNT, DeclineClass.CARD, DeclineClass.FUNDS),
    addresses=(None, "jo@example.com"),
    deliveries=("nothing sent", "arrived", "bounced", "spam report"),
    held_out=(None, True),
    statuses=(PaymentStatus.FAILED, PaymentStatus.RECOVERED),
)


def make_payment(number: int, company_id: str, combination: tuple[Any, ...]) -> dict[str, Any]:
    kind, address, _, imported, held_out, status = combination
    # Of whatever age: the oldest failed years ago.
    failed_at = NOW - number * 5 * HOUR
    paid, planned = status is PaymentStatus.RECOVERED, status is PaymentStatus.PENDING_RETRY
    return {
        "payment_id": f"pay_{company_id}_{number}",
        "company_id": company_id,
        "member_name": f"Member {number}",
        "member_email": address,
        # Who has only a blank for an address can be reached in Whop's chat.
        "user_id": f"user_{number}" if address == "" else None,
        "amount": Decimal(number),
        "currency": "usd",
        "amount_usd": Decimal(number) if number % 7 else None,
        "reason": "Any",
        "decline_class": kind,
        "status": status,
        "failed_at": failed_at,
        "window_ends_at": failed_at + 120 * HOUR,
        "last_attempt_at": failed_at,
        "next_retry_at": NOW if planned else None,
        "recovered_at": NOW if paid else None,
        "recovered_by": RecoveredBy.RETRY if paid else None,
        "imported": imported,
        "held_out": held_out,
        "observed_at": failed_at,
        "created_at": failed_at,
    }


def make_messages(
    payment: dict[str, Any], delivery: str, leads: dict[str, int]
) -> list[dict[str, Any]]:
    """One to each step, so that no two are the same."""
    return [
        {
            "payment_id": payment["payment_id"],
            "company_id": payment["company_id"],
            "step": step,
            "channel": message.get("channel", Channel.EMAIL),
            "state": message["state"],
            "delivery_failure": message.get("delivery_failure"),
            "joined_to": leads[message["lead"]] if "lead" in message else None,
            "due_at": NOW,
        }
        for step, message in zip(Step, DELIVERIES[delivery], strict=False)
    ]


def fill(session: Session, combinations: Iterable[tuple[Any, ...]] = A_FEW) -> None:
    """Beside another company, whose rows must be in no answer."""
    for company_id, drawn in ((COMPANY, combinations), (ANOTHER, A_FEW)):
        save_recovery_settings(session, company_id, RecoverySettings(), "tests", NOW)
        session.flush()
        leads = fill_leads(session, company_id)
        made = [
            (make_payment(number, company_id, combination), combination[2])
            for number, combination in enumerate(drawn, start=1)
        ]
        session.execute(insert(Payment), [payment for payment, _ in made])
        messages = [m for payment, what in made for m in make_messages(payment, what, leads)]
        if messages:
            session.execute(insert(Message), messages)
    session.commit()


def fill_leads(session: Session, company_id: str) -> dict[str, int]:
    """Messages that spoke for other payments too, by what became of them."""
    found = {}
    for number, delivery in enumerate(("bounced", "arrived"), start=100_000):
        usual = (DeclineClass.CARD, "jo@example.com", delivery, False, None, PaymentStatus.FAILED)
        payment = make_payment(number, company_id, usual)
        session.execute(insert(Payment), [payment])
        (values,) = make_messages(payment, delivery, {})
        message = Message(**values)
        session.add(message)
        session.flush()
        found[delivery] = message.id
    return found


# --- what each of the five answers --------------------------------------------------------------


@dataclass
class Answer:
    """How many for each need, or in all; the need of each payment that it names, in its order."""

    counts: dict[str, int] | None = None
    total: int | None = None
    amount: Decimal | None = None
    named: dict[str, str] = field(default_factory=dict)
    names_all: bool = False


def ask_overview(session: Session, receiver: MailReceiver) -> Answer:
    snapshot = overview.read_snapshot(session, COMPANY, VIEW)
    assert isinstance(snapshot, overview.Snapshot)
    newest = {row.payment_id: row.next_step.need for row in snapshot.payments}
    named = {row.payment_id: str(row.next_step.need) for row in snapshot.needing_action}
    assert all(newest.get(payment_id, need) == need for payment_id, need in named.items())
    return Answer(
        {str(needed.need): needed.payments for needed in snapshot.needed},
        amount=sum((needed.amount for needed in snapshot.needed), Decimal(0)),
        named=named,
    )


def ask_search(session: Session, receiver: MailReceiver) -> Answer:
    """The filter finds them, and no other row that waits says that it needs anybody."""
    total, found = read_rows(session, StatusFilter.NEEDS_YOU)
    _, waiting = read_rows(session, StatusFilter.FAILED)
    named = {payment_id: str(need) for payment_id, need in waiting.items() if need is not None}
    assert found == named
    return Answer(total=total, named=named, names_all=True)


def read_rows(session: Session, which: StatusFilter) -> tuple[int, dict[str, Need | None]]:
    rows: dict[str, Need | None] = {}
    after = None
    while after != "":
        query = listing.Query(Filters(which), after=after or "")
        page = listing.read_listing(session, COMPANY, query, VIEW)
        assert isinstance(page, listing.Listing)
        rows |= {row.payment_id: row.next_step.need for row in page.rows}
        after = page.after
    return page.total, rows


def ask_rest(session: Session, receiver: MailReceiver) -> Answer:
    named: dict[str, str] = {}
    cursor = ""
    while cursor is not None:
        answer = receiver.request(
            "GET",
            f"/payments/list?company_id={COMPANY}&limit=200&cursor={cursor}",
            headers={"authorization": "Bearer t0ken"},
        ).json()
        rows = answer["payments"]
        named |= {row["payment_id"]: row["needs"] for row in rows if row["needs"] is not None}
        cursor = answer["next_cursor"]
    return Answer(named=named, names_all=True)


# As a creator reads them.
SAID = {
    "Wrong amount": "amount",
    "Possible duplicate charge": "duplicate",
    "No email address": "no_address",
    "No message arrived": "unreached",
}


def read_need(words: str) -> str:
    (need,) = [need for part, need in SAID.items() if part in words]
    return need


def read_number(words: str) -> int:
    return int(words.replace(",", ""))


def ask_digest(session: Session, receiver: MailReceiver) -> Answer:
    text = write_digest(measure_week(session, COMPANY, WEEK), "https://dash.example").text
    waiting = re.search(r"wait for you: \$([\d,.]+) \(([\d,]+) payments?\)", text)
    if waiting is None:
        return Answer(total=0, amount=Decimal(0))
    shown = re.findall(r"^- \$[\d,.]+, .*: (.*) \((pay_\w+)\)$", text, re.MULTILINE)
    more = re.search(r"^- and ([\d,]+) more$", text, re.MULTILINE)
    total = read_number(waiting[2])
    assert total == len(shown) + (read_number(more[1]) if more else 0)
    named = {payment_id: read_need(words) for words, payment_id in shown}
    return Answer(total=total, amount=Decimal(waiting[1].replace(",", "")), named=named)


def ask_posts(session: Session, receiver: MailReceiver) -> Answer:
    batch = NoticeBatch((1,), COMPANY, NoticeKind.RECOVERY, (), NoticeChannel.POST)
    text = write_post(session, batch, NOW) or ""
    waiting = re.search(r"([\d,]+) payments? needs? you, \$([\d,.]+)\.( .*)", text)
    if waiting is None:
        return Answer({}, 0, Decimal(0))
    reasons = re.findall(r" ([^:]*): ([\d,]+) \(\$[\d,.]+\)\.", waiting[3])
    counts = {read_need(words): read_number(number) for words, number in reasons}
    return Answer(counts, read_number(waiting[1]), Decimal(waiting[2].replace(",", "")))


ASKED = {
    "overview": ask_overview,
    "search": ask_search,
    "digest": ask_digest,
    "posts": ask_posts,
    "rest": ask_rest,
}


def check_agreement(session: Session, receiver: MailReceiver) -> dict[str, str]:
    """Returns what the plain rule says."""
    session.expire_all()
    payments = session.scalars(select(Payment).where(Payment.company_id == COMPANY)).all()
    messages = session.scalars(select(Message).where(Message.company_id == COMPANY)).all()
    needs = find_needs(payments, messages)
    lift = {p.payment_id: (p.amount_usd or Decimal(-1), p.id) for p in payments}
    dearest = sorted(needs, key=lift.__getitem__, reverse=True)
    amount = sum((p.amount_usd or 0 for p in payments if p.payment_id in needs), Decimal(0))
    for name, ask in ASKED.items():
        answer = ask(session, receiver)
        assert answer.counts in (None, dict(Counter(needs.values()))), name
        assert answer.total in (None, len(needs)), name
        assert answer.amount in (None, amount), name
        named = dearest[: len(answer.named)]
        if answer.names_all:
            assert answer.named == needs, name
        else:
            assert list(answer.named.items()) == [(one, needs[one]) for one in named], name
            assert name == "posts" or len(named) >= min(len(needs), 5), name
    return needs


@pytest.fixture
def receiver(session: Session) -> MailReceiver:
    return MailReceiver(session.get_bind().engine)


def test_all_five_say_what_the_plain_rule_says_of_every_combination(
    session: Session, receiver: MailReceiver
) -> None:
    fill(session, [*Combinations(), *UNPAID_AND_TANGLED])
    needs = check_agreement(session, receiver)
    assert set(needs.values()) == {"amount", "duplicate", "no_address", "unreached"}


@pytest.mark.parametrize("status", PaymentStatus)
def test_all_five_agree_where_there_is_little_or_nothing(
    session: Session, receiver: MailReceiver, status: PaymentStatus
) -> None:
    one = Combinations([DeclineClass.AMOUNT], [None], ["nothing sent"], [True], [True], [status])
    fill(session, one)
    # One of the two messages that other payments may join bounced.
    assert len(check_agreement(session, receiver)) == (2 if status == "failed" else 1)


# --- each of the five could disagree --------------------------------------------------------------


def count_fewer(session: Session, company_id: str) -> list[attention.Needed]:
    return attention.count_needed(session, company_id)[1:]


def list_others(session: Session, company_id: str, limit: int) -> list[Any]:
    return list(attention.list_needed(session, company_id, limit + 1))[1:]


def find_fewer(session: Session, ids: list[int]) -> dict[int, Any]:
    found = attention.find_needs_of(session, ids)
    return {number: found[number] for number in sorted(found)[1:]}


def find_of_others(session: Session, ids: list[int]) -> dict[int, Any]:
    return dict.fromkeys(ids, Need.AMOUNT)


FULL = {name: getattr(attention, name) for name in ("count_needed", "list_needed", "find_needs_of")}
WITHOUT_HISTORY = attention.NEEDS_CREATOR & ~Payment.imported
LATELY = attention.NEEDS_CREATOR & (Payment.failed_at > NOW - 30 * 24 * HOUR)


def of_overview(**wrong: Callable[..., Any]) -> SimpleNamespace:
    return SimpleNamespace(**(FULL | wrong))


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("dashboard.data.overview.attention", of_overview(count_needed=count_fewer)),
        ("dashboard.data.overview.attention", of_overview(list_needed=list_others)),
        ("db.reporting.next_steps.find_needs_of", find_fewer),
        ("db.reporting.next_steps.find_needs_of", find_of_others),
        ("db.reporting.search.NEEDS_CREATOR", WITHOUT_HISTORY),
        ("db.reporting.search.NEEDS_CREATOR", LATELY),
        ("db.creator_notices.digest.count_needed", count_fewer),
        ("db.creator_notices.digest.list_needed", list_others),
        ("daemon.notices.count_needed", count_fewer),
        ("webhook.payments.find_needs_of", find_fewer),
        ("webhook.payments.find_needs_of", find_of_others),
    ],
)
def test_any_of_the_five_that_says_something_else_is_found_out(
    session: Session,
    receiver: MailReceiver,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    wrong: Any,
) -> None:
    fill(session)
    check_agreement(session, receiver)
    monkeypatch.setattr(where, wrong)
    with pytest.raises(AssertionError):
        check_agreement(session, receiver)


# --- by index -------------------------------------------------------------------------------------


def list_plans(session: Session, ask: Callable[[], object]) -> list[str]:
    """How the database would answer each question about payments that is asked."""
    plans: list[str] = []
    connection = session.connection()

    def explain(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM payments" in statement and not statement.startswith("explain"):
            cursor.execute(f"explain {statement}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    ask()
    event.remove(connection, "before_cursor_execute", explain)
    return plans


ASKED_OF_THE_DATABASE = {
    "how many": attention.count_needed,
    "the dearest": lambda session, company_id: attention.list_needed(session, company_id, 10),
    "those of the list": lambda session, company_id: find_page(
        session, company_id, Filters(StatusFilter.NEEDS_YOU)
    ),
    "those of one page": lambda session, _: attention.find_needs_of(session, list(range(1, 51))),
}


@pytest.mark.parametrize("what", ASKED_OF_THE_DATABASE)
def test_neither_payments_nor_messages_are_read_whole(session: Session, what: str) -> None:
    fill(session)
    connection = session.connection()
    connection.exec_driver_sql("analyze payments, messages")
    connection.exec_driver_sql("set local enable_seqscan = off")
    connection.exec_driver_sql("set local enable_bitmapscan = off")
    ask = ASKED_OF_THE_DATABASE[what]
    (plan,) = list_plans(session, lambda: ask(session, COMPANY))
    assert "Seq Scan" not in plan
    # The messages of one payment, and by their ids those that spoke for it.
    assert "Index Scan using uq_messages_payment_id_step_channel" in plan
    assert "Index Scan using pk_messages" in plan


@pytest.mark.parametrize("what", ["how many", "the dearest"])
def test_what_needs_the_creator_is_looked_for_among_what_is_unpaid(
    session: Session, what: str
) -> None:
    history = Combinations(
        [DeclineClass.CARD],
        [None],
        ["nothing sent"],
        [True] * 2_000,
        [None],
        [PaymentStatus.PERMANENT_FAIL],
    )
    fill(session, [*A_FEW, *history])
    session.connection().exec_driver_sql("analyze payments, messages")
    ask = ASKED_OF_THE_DATABASE[what]
    (plan,) = list_plans(session, lambda: ask(session, COMPANY))
    assert "ix_payments_open_window" in plan
