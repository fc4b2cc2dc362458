"""The insights' figures against the raw rows: computed a second time, in Python, row by row."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.models import Attempt, Message, Payment
from db.reporting import attention, insights, trends
from db.reporting.cohorts import Cohort, Dimension
from db.reporting.figures import CENT
from db.reporting.groups import Group, list_groups, sum_cohort
from recovery.action_required import Need
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.status import (
    UNPAID,
    AttemptOutcome,
    Channel,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    Step,
    Trigger,
)
from tests.factories import COMPANY, HOUR, NOW, valued
from tests.needs import find_needs
from tests.raw_figures import is_closed, is_since_setup, is_unconverted, list_days, net, same

OTHER = "biz_other"
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
SPANS = (None, timedelta(days=30))
GROUPED = [one for one in Dimension if one not in (Dimension.TRY, Dimension.STEP)]


def draw_payment(rng: random.Random, number: int, company_id: str) -> Payment:
    status = rng.choice((*PaymentStatus, PaymentStatus.RECOVERED, PaymentStatus.RECOVERED))
    failed_at = NOW - timedelta(minutes=rng.randrange(100 * 24 * 60))
    paid = status is PaymentStatus.RECOVERED
    amount = Decimal(rng.choice((0, 1999, 4900, 12345))) / 100
    imported = rng.random() < 0.3
    return valued(
        Payment(
            payment_id=f"pay_{company_id}_{number}",
            company_id=company_id,
            member_id=f"mber_{number % 90}",
            member_email=rng.choice((None, "member@example.com", "member@example.com")),
            product=rng.choice(("Gold", "Silver", "<b>=1+1</b>", None)),
            card_brand=rng.choice(("visa", "Visa", "mastercard", None)),
            amount=amount,
            currency=rng.choice(("usd", "eur", "jpy")),
            amount_usd=rng.choice((None, amount * Decimal("1.0837"), amount)),
            refunded_amount=rng.choice((Decimal(0), amount / 3, amount)),
            reason="Any",
            decline_class=rng.choice(list(DeclineClass)),
            first_decline_class=rng.choice((None, *DeclineClass)),
            status=status,
            failed_at=failed_at,
            window_ends_at=failed_at + timedelta(days=5),
            last_attempt_at=failed_at,
            next_retry_at=NOW + HOUR if status is PaymentStatus.PENDING_RETRY else None,
            recovered_at=failed_at + HOUR * rng.random() * 150 if paid else None,
            recovered_by=rng.choice(list(RecoveredBy)) if paid else None,
            imported=imported,
            held_out=None if imported else rng.random() < 0.2,
            observed_at=failed_at,
            created_at=failed_at + rng.choice((2, 90, 200)) * HOUR if imported else failed_at,
        )
    )


def draw_attempts(rng: random.Random, payment: Payment) -> list[Attempt]:
    settled = (AttemptOutcome.PAID, AttemptOutcome.DECLINED, AttemptOutcome.REFUSED)
    return [
        Attempt(
            payment_id=payment.payment_id,
            company_id=payment.company_id,
            number=number,
            trigger=rng.choice(list(Trigger)),
            outcome=rng.choice(settled if number > 1 else list(AttemptOutcome)),
            idempotency_key=f"{payment.payment_id}:{number}",
            started_at=payment.failed_at + number * HOUR,
        )
        for number in range(1, rng.randrange(6))
    ]


def draw_messages(rng: random.Random, payment: Payment) -> list[Message]:
    def maybe(moment: datetime) -> datetime | None:
        return moment if rng.random() < 0.6 else None

    due_at = payment.failed_at
    messages = []
    for step in rng.sample(list(Step), rng.randrange(3)):
        for channel in Channel:
            state = rng.choice((MessageState.SENT, MessageState.SENT, *MessageState))
            sent_at = due_at + 40 * HOUR * rng.random()
            messages.append(
                Message(
                    payment_id=payment.payment_id,
                    company_id=payment.company_id,
                    step=step,
                    channel=channel,
                    state=state,
                    due_at=due_at,
                    sent_at=sent_at if state is MessageState.SENT else None,
                    delivered_at=maybe(sent_at),
                    opened_at=maybe(sent_at),
                    clicked_at=maybe(sent_at),
                    **rng.choice(
                        (
                            {},
                            {
                                "delivery_failure": DeliveryFailure.BOUNCED,
                                "delivery_failed_at": sent_at,
                            },
                        )
                    ),
                )
            )
    return messages


@dataclass
class World:
    """The rows of one company, plain; those of another stand beside them in the database."""

    zone: ZoneInfo
    payments: Sequence[Payment]
    attempts: Sequence[Attempt]
    messages: Sequence[Message]

    @cached_property
    def tries(self) -> Mapping[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for attempt in self.charges:
            found[attempt.payment_id].add(len(found[attempt.payment_id]) + 2)
        return found

    @cached_property
    def charges(self) -> Sequence[Attempt]:
        """Those that reached a bank and have an answer, in their order."""
        made = (AttemptOutcome.PAID, AttemptOutcome.DECLINED)
        return sorted(
            (a for a in self.attempts if a.outcome in made), key=lambda a: (a.payment_id, a.number)
        )

    @cached_property
    def steps(self) -> Mapping[str, set[Step]]:
        found = defaultdict(set)
        for message in self.messages:
            if message.state is MessageState.SENT:
                found[message.payment_id].add(message.step)
        return found

    def cohort(self, span: timedelta | None, *only: tuple[Dimension, str]) -> Cohort:
        return Cohort(COMPANY, self.zone, NOW - span if span else None, NOW, only)

    def find(self, cohort: Cohort, about: Dimension | None = None) -> list[Payment]:
        return [
            p
            for p in self.payments
            if (cohort.since is None or p.failed_at >= cohort.since)
            and is_since_setup(p)
            and all(value in self.read(p, what) for what, value in cohort.only if what != about)
        ]

    def read(self, payment: Payment, dimension: Dimension) -> set[str]:
        local = payment.failed_at.astimezone(self.zone)
        tries, steps = self.tries[payment.payment_id], self.steps[payment.payment_id]
        values: dict[Dimension, Callable[[], set[str]]] = {
            Dimension.CLASS: lambda: {(payment.first_decline_class or payment.decline_class).value},
            Dimension.TRY: lambda: {"1", *map(str, tries)},
            Dimension.HOUR: lambda: {str(local.hour)},
            Dimension.WEEKDAY: lambda: {str(local.isoweekday())},
            Dimension.MONTH: lambda: {f"{local.year}-{local.month:02}"},
            Dimension.PRODUCT: lambda: {payment.product or "unknown"},
            Dimension.BRAND: lambda: {(payment.card_brand or "unknown").lower()},
            Dimension.STEP: lambda: {step.value for step in steps},
        }
        return values[dimension]()


@pytest.fixture
def world(request: pytest.FixtureRequest, session: Session) -> World:
    zone: str = getattr(request, "param", ZONES[1])
    rng = random.Random(11)
    for company_id in (COMPANY, OTHER):
        save_recovery_settings(
            session, company_id, RecoverySettings(time_zone=zone), "somebody", NOW
        )
        session.flush()
        drawn = [draw_payment(rng, number, company_id) for number in range(320)]
        session.add_all(drawn)
        session.flush()
        for payment in drawn:
            session.add_all([*draw_attempts(rng, payment), *draw_messages(rng, payment)])
    session.commit()

    def read(model: type[Any]) -> list[Any]:
        return [row for row in session.scalars(select(model)) if row.company_id == COMPANY]

    return World(ZoneInfo(zone), read(Payment), read(Attempt), read(Message))


def check_group(group: Group, rows: Sequence[Payment]) -> None:
    closed = [p for p in rows if is_closed(p, NOW)]
    recovered = [p for p in closed if p.status is PaymentStatus.RECOVERED]
    assert (group.closed, group.newer) == (len(closed), len(rows) - len(closed))
    newer = Counter(p.status for p in rows if not is_closed(p, NOW))
    assert group.newer_recovered == newer[PaymentStatus.RECOVERED]
    assert group.newer_lost == newer[PaymentStatus.PERMANENT_FAIL]
    assert group.newer_open == sum(newer[status] for status in UNPAID)
    by = Counter(p.recovered_by for p in recovered)
    assert group.by.parts == tuple(by[who] for who in RecoveredBy)
    assert group.recovered == len(recovered)
    failed = sum((Fraction(p.failed_amount_usd or 0) for p in closed), Fraction())
    assert same(group.failed_amount, failed)
    assert same(group.recovered_amount, sum(map(net, recovered), Fraction()))
    assert group.unconverted == sum(map(is_unconverted, closed))


def test_the_whole_is_what_the_rows_add_up_to(session: Session, world: World) -> None:
    for span in SPANS:
        cohort = world.cohort(span)
        whole = sum_cohort(session, cohort)
        check_group(whole, world.find(cohort))
        assert min(*whole.by.parts, whole.newer) > 0


def test_trend_and_risk_of_the_overview_are_what_the_rows_add_up_to(
    session: Session, world: World
) -> None:
    first = NOW.date() - timedelta(days=120)
    days = list_days(session, COMPANY, 90, NOW)
    trend = trends.find_trends(session, COMPANY, world.zone, days, first, NOW)
    mine = [p for p in world.payments if is_since_setup(p)]
    counted = [p for p in mine if is_closed(p, NOW) and not is_unconverted(p)]

    def sum_aged(first: int, last: int) -> tuple[Decimal, Decimal]:
        today = NOW.astimezone(world.zone).date()
        ages = [((today - p.failed_at.astimezone(world.zone).date()).days - 6, p) for p in counted]
        these = [p for age, p in ages if first <= age < last]
        failed = sum((p.failed_amount_usd or Decimal(0) for p in these), Decimal(0))
        kept = sum((p.kept_usd or Decimal(0) for p in these), Decimal(0))
        return failed.quantize(CENT), kept.quantize(CENT)

    assert trend.rate is not None
    for shown, (failed, kept) in (
        (trend.rate.last, sum_aged(0, 30)),
        (trend.rate.before, sum_aged(30, 60)),
    ):
        assert 0 < shown == (100 * kept / failed).quantize(Decimal("0.1"))
    assert list(reversed(trend.spans)) == [sum_aged(day, day + 6) for day in range(0, 60, 6)]
    ends = [p.window_ends_at for p in mine if p.status in UNPAID]
    days_left = Counter(min(max((end - NOW).days, 0), 4) for end in ends)
    assert trends.find_at_risk(session, COMPANY, NOW) == trends.AtRisk(
        len(ends), min(ends), tuple(days_left[day] for day in range(5))
    )


def test_what_needs_the_creator_is_what_the_rows_add_up_to(session: Session, world: World) -> None:
    amounts: dict[str, list[Decimal]] = {}
    lift = {p.payment_id: p.amount_usd or Decimal(0) for p in world.payments}
    for payment_id, need in find_needs(world.payments, world.messages).items():
        amounts.setdefault(need, []).append(lift[payment_id])
    found = attention.count_needed(session, COMPANY)
    assert {one.need: (one.payments, one.amount) for one in found} == {
        need: (len(lift), sum(lift)) for need, lift in amounts.items()
    }
    assert set(amounts) == set(Need)


@pytest.mark.parametrize("world", ZONES, indirect=True)
def test_each_group_is_what_its_rows_add_up_to(session: Session, world: World) -> None:
    cohort = world.cohort(timedelta(days=60))
    for by in GROUPED:
        groups = list_groups(session, cohort, by)
        rows = world.find(cohort, by)
        assert {group.key for group in groups} == {key for p in rows for key in world.read(p, by)}
        for group in groups:
            check_group(group, [p for p in rows if group.key in world.read(p, by)])
        assert len(groups) > 1


CHOICES = (
    (Dimension.CLASS, "funds"),
    (Dimension.TRY, "3"),
    (Dimension.TRY, "1"),
    (Dimension.HOUR, "9"),
    (Dimension.WEEKDAY, "2"),
    (Dimension.MONTH, "2026-10"),
    (Dimension.PRODUCT, "<b>=1+1</b>"),
    (Dimension.BRAND, "visa"),
    (Dimension.STEP, "reminder"),
)


def test_a_choice_narrows_every_other_figure_and_not_its_own(
    session: Session, world: World
) -> None:
    for choice in CHOICES:
        cohort = world.cohort(None, choice)
        whole = sum_cohort(session, cohort)
        check_group(whole, world.find(cohort))
        assert 0 < whole.closed < len(world.payments)
        for by in GROUPED:
            rows = world.find(cohort, by)
            groups = list_groups(session, cohort, by)
            assert sum(group.closed + group.newer for group in groups) == len(rows)
            assert sum(group.recovered for group in groups) == sum(
                is_closed(p, NOW) and p.status is PaymentStatus.RECOVERED for p in rows
            )
            assert len(groups) > 1 or by is not choice[0]


def test_two_choices_narrow_together(session: Session, world: World) -> None:
    cohort = world.cohort(None, (Dimension.PRODUCT, "Gold"), (Dimension.BRAND, "visa"))
    check_group(sum_cohort(session, cohort), world.find(cohort))
    for group in list_groups(session, cohort, Dimension.BRAND):
        rows = world.find(cohort, Dimension.BRAND)
        check_group(group, [p for p in rows if group.key in world.read(p, Dimension.BRAND)])


def test_nonsense_from_an_address_finds_nothing(session: Session, world: World) -> None:
    for dimension in Dimension:
        for value in ("", "nonsense", "'; drop table payments", "99999999999999"):
            whole = sum_cohort(session, world.cohort(None, (dimension, value)))
            assert (whole.closed, whole.newer) == (0, 0)


@pytest.mark.parametrize("only", [(), ((Dimension.BRAND, "visa"), (Dimension.TRY, "2"))])
def test_each_try_is_what_its_charges_add_up_to(
    session: Session, world: World, only: tuple[tuple[Dimension, str], ...]
) -> None:
    cohort = world.cohort(timedelta(days=60), *only)
    closed = {
        p.payment_id
        for p in world.find(cohort, Dimension.TRY)
        if is_closed(p, NOW) and not p.imported
    }
    nth: Counter[str] = Counter()
    numbered: dict[int, list[Attempt]] = defaultdict(list)
    for charge in world.charges:
        if charge.payment_id in closed:
            nth[charge.payment_id] += 1
            numbered[nth[charge.payment_id] + 1].append(charge)
    tries = insights.list_tries(session, cohort)
    assert [one.number for one in tries] == [1, *sorted(numbered)]
    assert len(tries) > 3
    assert (tries[0].made, tries[0].declined) == (len(closed), len(closed))
    for one in tries[1:]:
        these = numbered[one.number]
        paid = [a for a in these if a.outcome is AttemptOutcome.PAID]
        ours = [a for a in paid if a.trigger in (Trigger.SCHEDULE, Trigger.CREATOR)]
        assert (one.paid_by_us, one.paid_otherwise) == (len(ours), len(paid) - len(ours))
        assert one.declined == sum(a.outcome is AttemptOutcome.DECLINED for a in these)


def test_the_hours_add_up_to_the_recoveries_of_payments_known_from_the_start(
    session: Session, world: World
) -> None:
    cohort = world.cohort(timedelta(days=60), (Dimension.BRAND, "visa"))
    watched = [p for p in world.find(cohort) if is_closed(p, NOW) and not p.imported]
    assert insights.count_watched(session, cohort) == len(watched)
    expected: Counter[tuple[int, RecoveredBy | None]] = Counter()
    for payment in watched:
        if payment.recovered_at is not None:
            hour = min((payment.recovered_at - payment.failed_at) // HOUR, 120)
            expected[hour, payment.recovered_by] += 1
    found: Counter[tuple[int, RecoveredBy | None]] = Counter()
    for one in insights.list_hours(session, cohort):
        found |= {
            (one.hour, by): number for by, number in zip(RecoveredBy, one.by.parts, strict=True)
        }
    assert +found == +expected
    assert any(hour == 120 for hour, _ in expected)


def test_each_step_is_what_its_messages_add_up_to(session: Session, world: World) -> None:
    cohort = world.cohort(None, (Dimension.BRAND, "visa"), (Dimension.STEP, "notice"))
    closed = {p.payment_id: p for p in world.find(cohort, Dimension.STEP) if is_closed(p, NOW)}
    found = insights.list_steps(session, cohort)
    assert {(one.step, one.channel) for one in found} == {(s, c) for s in Step for c in Channel}
    for one in found:
        sent = [
            m
            for m in world.messages
            if m.payment_id in closed
            and m.state is MessageState.SENT
            and (m.step, m.channel) == (one.step, one.channel)
        ]
        mail = [m for m in sent if m.channel is Channel.EMAIL]
        assert one.sent == len(sent)
        assert one.delivered == sum(m.delivered_at is not None for m in mail)
        assert one.opened == sum(m.opened_at is not None for m in mail)
        assert one.clicked == sum(m.clicked_at is not None for m in mail)
        paid = 0
        for message in sent:
            payment, arrived_at = closed[message.payment_id], find_arrival(message)
            if payment.recovered_by in (RecoveredBy.CLICK, RecoveredBy.MEMBER) and arrived_at:
                assert payment.recovered_at is not None
                paid += payment.recovered_at >= arrived_at
        assert one.paid == paid


def find_arrival(message: Message) -> datetime | None:
    bounced = message.delivery_failure in (DeliveryFailure.BOUNCED, DeliveryFailure.DROPPED)
    if bounced or message.step is Step.NOTICE:
        return None
    if message.channel is Channel.WHOP:
        return message.sent_at
    told = message.delivered_at or message.opened_at or message.clicked_at
    return max(told, message.sent_at or told) if told else None


def test_nothing_failed_yet_is_no_group(session: Session) -> None:
    cohort = Cohort("biz_nobody", ZoneInfo("UTC"), None, NOW)
    assert sum_cohort(session, cohort).closed == 0
    assert list_groups(session, cohort, Dimension.CLASS) == []
    assert (insights.list_tries(session, cohort), insights.list_hours(session, cohort)) == ([], [])
    assert insights.list_steps(session, cohort) == []
