"""What our work adds: the interval against published figures, and the whole against raw rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from db.company_settings import recovery as companies
from db.company_settings.recovery import (
    DEFAULT_RECOVERY_SETTINGS,
    RecoverySettings,
    save_recovery_settings,
)
from db.ledger import amounts, new_payments, payments
from db.models import Payment
from db.reporting.lift import Baseline, measure_baseline, measure_lift
from recovery import lift
from recovery.lift import (
    MIN_MEMBERS,
    Group,
    Interval,
    Lift,
    Money,
    NotEnoughData,
    compare,
    subtract_proportions,
    subtract_shares,
)
from recovery.status import ClosedReason, PaymentStatus, RecoveredBy
from tests.factories import COMPANY, HOUR, HOURLY, NOW, iso, money, report

DRAWS = 2_000
ENDED = NOW + timedelta(days=6)
PRICES = (19, 49, 99)
HALF = RecoverySettings(holdout_percent=50)


# --- the interval by number --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_it_gives_the_published_intervals(
    a: int, m: int, b: int, n: int, low: float, high: float
) -> None:
    """Newcombe 1998, Table II, method 10."""
    found = subtract_proportions(a, m, b, n)
    assert (found.estimate, round(found.low, 4), round(found.high, 4)) == (a / m - b / n, low, high)


@some.composite
def samples(draw: some.DrawFn) -> tuple[int, int]:
    size = draw(some.integers(1, 5_000))
    return draw(some.integers(0, size)), size


@given(samples(), samples())
def test_its_interval_holds_the_estimate_and_no_impossible_share(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    found = subtract_proportions(*one, *other)
    assert -1 <= found.low < found.high <= 1
    assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12


@given(samples(), samples())
def test_its_interval_changes_sign_with_the_groups(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    there, back = subtract_proportions(*one, *other), subtract_proportions(*other, *one)
    turned = (-back.estimate, -back.high, -back.low)
    assert (there.estimate, there.low, there.high) == pytest.approx(turned, abs=1e-12)


@given(samples(), samples(), some.integers(2, 20))
def test_its_interval_shrinks_with_more_of_the_same(
    one: tuple[int, int], other: tuple[int, int], times: int
) -> None:
    more = subtract_proportions(*(times * n for n in one), *(times * n for n in other))
    less = subtract_proportions(*one, *other)
    assert more.high - more.low < less.high - less.low


def draw_count(rng: random.Random, chance: float, size: int) -> int:
    return sum(rng.random() < chance for _ in range(size))


@pytest.mark.parametrize(
    ("treated", "held_out"),
    [((0.6, 120), (0.45, 40)), ((0.3, 80), (0.3, 80)), ((0.9, 60), (0.7, 60))],
)
def test_its_interval_holds_the_truth_nineteen_times_in_twenty(
    treated: tuple[float, int], held_out: tuple[float, int]
) -> None:
    rng = random.Random(1998)
    truth, held = treated[0] - held_out[0], 0
    for _ in range(DRAWS):
        a, b = (draw_count(rng, chance, size) for chance, size in (treated, held_out))
        found = subtract_proportions(a, treated[1], b, held_out[1])
        held += found.low <= truth <= found.high
    assert 0.93 <= held / DRAWS <= 0.97


# --- the interval by money ---------------------------------------------------------------------


def add_up(pairs: Sequence[tuple[float, float]]) -> Money:
    return Money(
        len(pairs),
        x=sum(x for x, _ in pairs),
        y=sum(y for _, y in pairs),
        xx=sum(x * x for x, _ in pairs),
        xy=sum(x * y for x, y in pairs),
        yy=sum(y * y for _, y in pairs),
    )


def draw_money(rng: random.Random, chance: float, size: int) -> Money:
    """Dearer memberships come back half as often, so that money and number differ."""
    pairs = []
    for _ in range(size):
        price = rng.choice(PRICES)
        paid = rng.random() < (chance / 2 if price == PRICES[-1] else chance)
        pairs.append((price, price * paid))
    return add_up(pairs)


def expect_share(chance: float) -> float:
    *cheap, dear = PRICES
    return (sum(cheap) * chance + dear * chance / 2) / sum(PRICES)


def test_its_money_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = random.Random(1977)
    truth, held = expect_share(0.7) - expect_share(0.5), 0
    for _ in range(DRAWS):
        found = subtract_shares(draw_money(rng, 0.7, 150), draw_money(rng, 0.5, 90))
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / DRAWS <= 0.97


def test_its_money_variance_is_that_of_the_residuals() -> None:
    """Against the definition: n / (n - 1) * sum (y - R x)^2 / (sum x)^2."""
    rng = random.Random(2)
    pairs = [(price, price * rng.random()) for price in rng.choices(PRICES, k=50)]
    ratio = sum(y for _, y in pairs) / sum(x for x, _ in pairs)
    squares = sum((y - ratio * x) ** 2 for x, y in pairs)
    expected = 50 / 49 * squares / sum(x for x, _ in pairs) ** 2
    assert lift.find_variance(add_up(pairs)) == pytest.approx(expected)


def test_it_claims_no_certainty_about_money_where_all_or_none_came_back() -> None:
    some_paid = draw_money(random.Random(3), 0.5, 40)
    for share in (0, 1):
        same = add_up([(49.0, 49.0 * share)] * 40)
        assert subtract_shares(same, some_paid) is None
        assert subtract_shares(some_paid, same) is None
    few = draw_money(random.Random(3), 0.5, MIN_MEMBERS - 1)
    assert subtract_shares(some_paid, few) is None


# --- enough data -------------------------------------------------------------------------------


def group(members: int, recovered: int) -> Group:
    return Group(
        members, recovered, add_up([(49.0, 49.0 * (n < recovered)) for n in range(members)])
    )


@pytest.mark.parametrize(
    ("treated", "held_out", "missing"), [(30, 29, (0, 1)), (0, 30, (30, 0)), (12, 3, (18, 27))]
)
def test_it_says_nothing_before_both_groups_are_large_enough(
    treated: int, held_out: int, missing: tuple[int, int]
) -> None:
    found = compare(group(treated, treated // 2), group(held_out, held_out // 2))
    assert found == NotEnoughData(*missing)


def test_it_compares_groups_that_are_just_large_enough() -> None:
    found = compare(group(30, 20), group(30, 10))
    assert isinstance(found, Lift)
    assert found.by_number == subtract_proportions(20, 30, 10, 30)
    assert found.by_money is not None
    assert found.by_money.estimate == pytest.approx(1 / 3)


# --- on the ledger -----------------------------------------------------------------------------


def fail(
    session: Session,
    member: str | None,
    *,
    paid: bool = False,
    days: float = 0,
    recovery_settings: RecoverySettings = HALF,
    imported: bool = False,
    **overrides: Any,
) -> Payment:
    """A renewal of this member that failed `days` after NOW, made known the way webhooks do it."""
    at = NOW + timedelta(days=days)
    known_at = ENDED if imported else at
    companies.add_companies(session, {COMPANY})
    times = dict.fromkeys(("created_at", "last_payment_attempt_at", "updated_at"), iso(at))
    heard = report(**times | {"member_id": member} | overrides)
    new_payments.create_payments(
        session, [heard], {COMPANY: recovery_settings}, known_at, HOURLY, imported=imported
    )
    payment = payments.lock_payments(session, [heard.payment_id])[heard.payment_id]
    if paid:
        payment.status, payment.next_retry_at = PaymentStatus.RECOVERED, None
        payment.closed_reason = None
        payment.recovered_at, payment.recovered_by = at + HOUR, RecoveredBy.WITHOUT_US
        amounts.record_amounts(session, payment, heard)
        amounts.revalue(session, payment)
    session.flush()
    return payment


@pytest.fixture
def company(session: Session) -> str:
    save_recovery_settings(session, COMPANY, HALF, "somebody", NOW)
    return COMPANY


def test_it_measures_what_the_rows_say(session: Session, company: str) -> None:
    rng = random.Random(5)
    for number in range(240):
        price = money(f"{rng.choice(PRICES)}.00")
        paid = rng.random() < 0.6
        refund = money(f"{rng.randrange(19)}.00") if paid and rng.random() < 0.2 else None
        values: dict[str, Any] = {"total": price, "usd_total": price, "refunded_amount": refund}
        fail(session, f"mber_{number}", paid=paid, **values)
    found = measure_lift(session, company, ENDED)
    assert isinstance(found, Lift)
    for held_out, group in ((False, found.treated), (True, found.held_out)):
        rows = [p for p in session.scalars(select(Payment)) if p.held_out is held_out]
        pairs = [
            (float(p.amount), float(p.amount - p.refunded_amount) * (p.recovered_at is not None))
            for p in rows
        ]
        assert (group.members, group.recovered) == (len(rows), sum(y > 0 for _, y in pairs))
        assert vars_of(group.money) == pytest.approx(vars_of(add_up(pairs)))
        assert group.members > MIN_MEMBERS
    by_number = subtract_proportions(
        found.treated.recovered,
        found.treated.members,
        found.held_out.recovered,
        found.held_out.members,
    )
    assert found.by_number == by_number
    assert isinstance(found.by_money, Interval)


def vars_of(sums: Money) -> tuple[float, ...]:
    return (sums.members, sums.x, sums.y, sums.xx, sums.xy, sums.yy)


def find_members(recovery_settings: RecoverySettings, held_out: bool) -> list[str]:
    names = (f"mber_{number}" for number in range(500))
    return [name for name in names if recovery_settings.holds_out(COMPANY, name) is held_out]


def count_members(session: Session) -> tuple[int, int]:
    """Those that count, treated and held out."""
    found = measure_lift(session, COMPANY, ENDED)
    assert isinstance(found, NotEnoughData)
    return MIN_MEMBERS - found.treated_missing, MIN_MEMBERS - found.held_out_missing


def test_a_member_counts_once_by_their_first_payment(session: Session, company: str) -> None:
    (treated, *_), (held_out, *_) = (find_members(HALF, alone) for alone in (False, True))
    for member in (treated, held_out):
        for days in (-30, -60, -90):
            fail(session, member, days=days, paid=days == -60)
    assert count_members(session) == (1, 1)
    for number in range(MIN_MEMBERS):  # enough of others, so that there is something to read
        fail(session, find_members(HALF, False)[number + 1])
        fail(session, find_members(HALF, True)[number + 1])
    found = measure_lift(session, COMPANY, ENDED)
    assert isinstance(found, Lift)
    assert (found.treated.members, found.treated.recovered) == (MIN_MEMBERS + 1, 0)
    assert (found.held_out.members, found.held_out.recovered) == (MIN_MEMBERS + 1, 0)


def test_a_member_stays_in_the_group_of_their_first_payment(session: Session, company: str) -> None:
    small, large = RecoverySettings(holdout_percent=1), HALF
    joining = set(find_members(small, False)) & set(find_members(large, True))
    member = min(joining)
    fail(session, member, days=-30, recovery_settings=small)
    fail(session, member, recovery_settings=large)
    assert count_members(session) == (1, 0)


def test_only_what_was_drawn_and_has_ended_counts(session: Session, company: str) -> None:
    alone = iter(find_members(HALF, True))
    fail(session, next(alone))
    fail(session, next(alone), days=3)  # its window is still open at ENDED
    fail(session, next(alone), recovery_settings=DEFAULT_RECOVERY_SETTINGS)
    fail(session, next(alone), imported=True)
    fail(session, None, user=None)  # nobody drew for it
    companies.add_companies(session, {"biz_other"})
    fail(session, next(alone)).company_id = "biz_other"
    session.flush()
    assert count_members(session) == (0, 1)


def test_it_is_silent_where_no_holdout_has_ever_run(session: Session) -> None:
    fail(session, "mber_1", recovery_settings=DEFAULT_RECOVERY_SETTINGS)
    assert measure_lift(session, COMPANY, ENDED) is None


# --- before us ---------------------------------------------------------------------------------


def test_the_baseline_is_what_had_ended_before_the_import(session: Session) -> None:
    fail(session, "mber_1", imported=True, paid=True, refunded_amount=money("9.00"))
    fail(session, "mber_2", imported=True)
    fail(session, "mber_3", imported=True, days=3)  # its window was open at the import
    fail(session, "mber_4", paid=True)
    assert measure_baseline(session, COMPANY) == Baseline(
        failed=2,
        recovered=1,
        failed_amount=Decimal("98.00"),
        recovered_amount=Decimal("40.00"),
    )
    (ended,) = session.scalars(select(Payment).where(Payment.member_id == "mber_2"))
    assert ended.closed_reason is ClosedReason.WINDOW_CLOSED


def test_there_is_no_baseline_without_an_import(session: Session) -> None:
    fail(session, "mber_1")
    assert measure_baseline(session, COMPANY) is None


def test_each_is_read_in_one_statement(engine: Engine, session: Session, company: str) -> None:
    fail(session, "mber_1")
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    measure_lift(session, COMPANY, ENDED)
    measure_baseline(session, COMPANY)
    event.remove(engine, "before_cursor_execute", note)
    assert len(statements) == 2
