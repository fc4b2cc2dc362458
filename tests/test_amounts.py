"""Money as it is now: whatever Whop reports in whatever order, what counts is its last word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.ledger import inbox
from db.models import Attempt, Dispute, Message, Payment, Refund, WebhookEvent
from db.reporting.summary import summarize
from db.session import SessionFactory
from recovery import amounts
from recovery.amounts import GivenBack, Price, Prices, Refunded, sum_refunds
from recovery.standing import takes_money
from tests.factories import COMPANY, HOURLY, NOW, event, iso, money, paid_data, payment_data
from tests.rig import Rig
from tests.soak import at_length
from tests.test_ledger import make_event
from whop.payloads import read_event

LATER = NOW + timedelta(days=1)
PAYMENT = "pay_1"
read = partial(read_event, default_company=None)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


# --- the rules alone -----------------------------------------------------------------------------

drawn_prices = st.builds(
    Price,
    observed_at=st.integers(0, 3).map(at),
    amount=st.sampled_from([Decimal(0), Decimal(29), Decimal(49)]),
    currency=st.sampled_from(["usd", "eur"]),
    amount_usd=st.sampled_from([None, Decimal(31), Decimal(53)]),
)
drawn_words = st.one_of(
    st.tuples(drawn_prices, st.booleans()),
    st.builds(GivenBack, st.integers(0, 3).map(at), st.sampled_from([Decimal(0), Decimal(9)])),
)


def hear(known: Prices, word: Any) -> Prices:
    if isinstance(word, GivenBack):
        return amounts.take_in_refunds(known, word)
    return amounts.take_in(known, word[0], paid=word[1])


@given(st.lists(drawn_words, max_size=6), st.data())
def test_the_order_of_words_and_their_repetition_mean_nothing(
    words: list[Any], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(words + words[:2]))
    assert reduce(hear, words, Prices()) == reduce(hear, again, Prices())


EUR = Price(NOW, Decimal("49.00"), "eur")


@pytest.mark.parametrize(
    ("price", "valued", "dollars"),
    [
        (EUR, None, None),
        (Price(NOW, Decimal(49), "usd"), None, "49"),
        (EUR, Price(NOW, Decimal("49.00"), "eur", Decimal("53.17")), "53.17"),
        (EUR, Price(NOW, Decimal("24.50"), "eur", Decimal("26.50")), "53.00"),
        (EUR, Price(NOW, Decimal("24.50"), "gbp", Decimal("26.50")), None),
        (EUR, Price(NOW, Decimal(0), "eur", Decimal(0)), None),
        (
            Price(NOW, Decimal(49), "eur", Decimal(1)),
            Price(NOW, Decimal(1), "eur", Decimal(2)),
            "1",
        ),
    ],
)
def test_a_value_in_dollars_is_whops_own_or_at_its_own_rate(
    price: Price, valued: Price | None, dollars: str | None
) -> None:
    expected = None if dollars is None else Decimal(dollars)
    assert amounts.convert(price, valued) == expected


@pytest.mark.parametrize(
    ("refunds", "told", "given_back"),
    [
        ([], None, "0"),
        (["9"], None, "9"),
        (["9", "5"], (1, "9"), "14"),  # the payment does not know of the second one yet
        (["9"], (1, "20"), "20"),  # we have not heard of all
        (["9 usd"], (1, "0"), "9"),
        (["1500 jpy"], None, None),
        (["1500 jpy"], (1, "0"), None),
        (["1500 jpy"], (1, "9.80"), "9.80"),
        (["1500 jpy"], (-1, "9.80"), None),  # of the one before
        (["1500 jpy", "9"], (1, "9"), None),
        (["1500 jpy", "9"], (1, "18.80"), "18.80"),
    ],
)
def test_refunds_of_different_currencies_are_never_added_up(
    refunds: list[str], told: tuple[int, str] | None, given_back: str | None
) -> None:
    parts = [one.split() for one in refunds]
    known = [Refunded(NOW, Decimal(part[0]), part[1] if part[1:] else None) for part in parts]
    word = GivenBack(at(told[0]), Decimal(told[1])) if told else None
    expected = None if given_back is None else Decimal(given_back)
    assert sum_refunds(known, word, "usd") == expected


@given(
    st.decimals(0, 1000, places=2),
    st.decimals(0, 1000, places=2),
    st.decimals(0, 1000, places=2),
    st.decimals(0, 1000, places=2),
)
def test_what_is_left_is_never_less_than_nothing_nor_more_than_was_paid(
    amount: Decimal, dollars: Decimal, refunded: Decimal, disputed: Decimal
) -> None:
    left = amounts.keep(amount, dollars, refunded, disputed)
    assert left is not None
    assert 0 <= left <= dollars
    if refunded == disputed == 0:
        assert left == dollars


@pytest.mark.parametrize(
    ("status", "takes"),
    [
        ("needs_response", True),
        ("under_review", True),
        ("lost", True),
        ("prevented", True),
        ("alert", True),
        ("warning", True),  # a payment's own word for an alert
        ("other", True),
        ("a word of tomorrow", True),
        ("won", False),
        ("closed", False),
        ("warning_needs_response", False),
        ("warning_under_review", False),
        ("warning_closed", False),
    ],
)
def test_a_dispute_takes_money_while_it_is_open_and_once_it_is_lost(
    status: str, takes: bool
) -> None:
    assert takes_money(status) is takes


# --- through the inbox ---------------------------------------------------------------------------


@dataclass
class Told:
    """One webhook, by what it says and when."""

    kind: str
    minute: int
    amount: str = "49.00"
    currency: str = "usd"
    usd: str | None = None
    refunded: str | None = None
    status: str = ""
    number: int = 1

    def write(self) -> Any:
        moment = iso(at(self.minute))
        if self.kind == "refund":
            refund = {
                "id": f"rf_{self.number}",
                "payment_id": PAYMENT,
                "amount": None,
                "original_amount": money(self.amount, self.currency),
                "status": self.status,
                "updated_at": moment,
            }
            return event("refund.updated", refund, id=f"msg_{self}")
        if self.kind == "dispute":
            dispute = {
                "id": "dspt_1",
                "payment": {"id": PAYMENT},
                "buyer": {"user_id": "user_1", "member_id": "mber_1"},
                "status": self.status,
                "amount": float(self.amount),
                "currency": self.currency,
                "updated_at": moment,
            }
            return event("dispute.updated", dispute, id=f"msg_{self}")
        values: dict[str, Any] = {
            "id": PAYMENT,
            "total": money(self.amount, self.currency),
            "currency": self.currency,
            "usd_total": money(self.usd) if self.usd else None,
            "refunded_amount": money(self.refunded, self.currency) if self.refunded else None,
            "updated_at": moment,
        }
        if self.kind == "paid":
            return event("payment.succeeded", paid_data(NOW, **values), id=f"msg_{self}")
        return event("payment.failed", payment_data(**values), id=f"msg_{self}")


def deliver(sessions: SessionFactory, told: Sequence[Told]) -> Payment:
    for one in told:
        with sessions.begin() as session:
            inbox.record(session, [make_event(one.write())], LATER, HOURLY, read)
    with sessions() as session:
        return session.scalars(select(Payment)).one()


@dataclass
class Final:
    """Whop's last words, worked out anew from all that it said."""

    told: Sequence[Told]
    rates: list[Told] = field(init=False)

    def __post_init__(self) -> None:
        self.told = sorted(self.told, key=lambda one: one.minute)
        self.rates = [
            one
            for one in self.told
            if one.kind in ("failed", "paid") and (one.usd or one.currency == "usd")
        ]

    def last(self, *kinds: str) -> Told | None:
        return next((one for one in reversed(self.told) if one.kind in kinds), None)

    def value(self, one: Told) -> Decimal | None:
        if one.currency == "usd":
            return Decimal(one.amount)
        if one.usd:
            return Decimal(one.usd)
        if self.rates and self.rates[-1].currency == one.currency:
            rate = self.rates[-1]
            return round(Decimal(one.amount) * Decimal(rate.usd or 0) / Decimal(rate.amount), 2)
        return None

    @property
    def given_back(self) -> Decimal | None:
        now = self.last("paid") or self.last("failed")
        assert now is not None
        newest = {one.number: one for one in self.told if one.kind == "refund"}.values()
        counted = [one for one in newest if one.status != "failed"]
        own = sum(
            (Decimal(one.amount) for one in counted if one.currency == now.currency), Decimal()
        )
        others = [one.minute for one in counted if one.currency != now.currency]
        words = [one for one in self.told if one.refunded is not None]
        word = Decimal(words[-1].refunded or 0) if words else Decimal()
        if others and not (words and words[-1].minute >= max(others) and word > own):
            return None
        return max(own, word)

    @property
    def disputed(self) -> Decimal:
        now = self.last("paid") or self.last("failed")
        assert now is not None
        told = [one for one in self.told if one.kind == "dispute"]
        if not told or told[-1].status in ("won", "warning_under_review"):
            return Decimal()
        largest = max(told, key=lambda one: (Decimal(one.amount), one.currency))
        same = largest.currency == now.currency
        return min(Decimal(largest.amount), Decimal(now.amount)) if same else Decimal(now.amount)

    @property
    def kept(self) -> Decimal | None:
        paid = self.last("paid")
        if paid is None or self.given_back is None or self.value(paid) is None:
            return None
        left = Decimal(paid.amount) - self.given_back - self.disputed
        whole = self.value(paid)
        assert whole is not None
        return whole * max(left, Decimal()) / Decimal(paid.amount)


def check(payment: Payment, final: Final) -> None:
    now, failed = final.last("paid") or final.last("failed"), final.last("failed")
    assert now is not None
    assert failed is not None
    assert (payment.amount, payment.currency) == (Decimal(now.amount), now.currency)
    assert payment.amount_usd == final.value(now)
    assert (payment.failed_amount, payment.failed_currency) == (
        Decimal(failed.amount),
        failed.currency,
    )
    assert payment.failed_amount_usd == final.value(failed)
    assert payment.disputed_amount == final.disputed
    if final.given_back is not None:
        assert payment.refunded_amount == final.given_back
    if final.kept is None:
        assert payment.kept_usd is None
    else:
        assert payment.kept_usd is not None
        assert abs(payment.kept_usd - final.kept) < Decimal("0.00001")


def wipe(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for model in (Attempt, Refund, Message, Dispute, Payment, WebhookEvent):
            session.execute(delete(model))


prices = st.sampled_from(["29.00", "49.00", "4900.00"])
currencies = st.sampled_from(["usd", "eur", "jpy"])
payments = st.builds(
    partial(Told, minute=0),
    kind=st.sampled_from(["failed", "paid"]),
    amount=prices,
    currency=currencies,
    usd=st.sampled_from([None, "31.00", "53.17"]),
    refunded=st.sampled_from([None, "0.00", "9.00"]),
)
refunds = st.builds(
    partial(Told, "refund", 0),
    amount=st.sampled_from(["9.00", "20.00"]),
    currency=currencies,
    status=st.sampled_from(["pending", "succeeded", "failed"]),
    number=st.integers(1, 2),
)
disputes = st.builds(
    partial(Told, "dispute", 0),
    amount=prices,
    currency=currencies,
    status=st.sampled_from(["needs_response", "won", "lost", "warning_under_review", "prevented"]),
)


@settings(max_examples=at_length(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(payments, refunds, disputes), max_size=6), st.data())
def test_whatever_is_told_in_whatever_order_ends_at_whops_last_words(
    sessions: SessionFactory, drawn: list[Told], data: st.DataObject
) -> None:
    wipe(sessions)
    first = Told("failed", 0, currency="eur")
    told = [first, *(Told(**vars(one) | {"minute": n}) for n, one in enumerate(drawn, start=1))]
    for one in told:
        # What Whop's dollars are is dollars.
        one.usd = None if one.currency == "usd" else one.usd
    order = data.draw(st.permutations(told + told[-2:]))
    payment = deliver(sessions, order)
    check(payment, Final(told))
    with sessions() as session:
        summary = summarize(session, COMPANY, LATER)
    assert summary.recovered_amount == round(payment.kept_usd or Decimal(), 2)
    unpaid = payment.recovered_at is None
    assert summary.unconverted == (
        payment.failed_amount_usd is None or (not unpaid and payment.kept_usd is None)
    )


FAILED, PAID = Told("failed", 0), Told("paid", 60)


def test_what_is_paid_may_be_less_than_what_failed(sessions: SessionFactory) -> None:
    payment = deliver(sessions, [FAILED, Told("paid", 60, "29.00")])
    assert [payment.failed_amount, payment.amount, payment.kept_usd] == [49, 29, 29]


def test_a_second_failure_with_another_amount_is_what_is_owed(sessions: SessionFactory) -> None:
    payment = deliver(sessions, [FAILED, Told("failed", 60, "29.00")])
    with sessions() as session:
        assert summarize(session, COMPANY, LATER).at_risk_amount == 29
    assert payment.failed_amount == 29


def test_a_value_in_dollars_that_is_told_late_counts(sessions: SessionFactory) -> None:
    unvalued = Told("failed", 0, currency="eur")
    with sessions.begin() as session:
        inbox.record(session, [make_event(unvalued.write())], LATER, HOURLY, read)
        assert summarize(session, COMPANY, LATER).unconverted == 1
    payment = deliver(sessions, [Told("paid", 60, currency="eur", usd="53.17")])
    assert (payment.failed_amount_usd, payment.kept_usd) == (Decimal("53.17"), Decimal("53.17"))
    with sessions() as session:
        summary = summarize(session, COMPANY, LATER)
    assert (summary.unconverted, summary.recovered_amount) == (0, Decimal("53.17"))


def test_a_pending_refund_is_not_forgotten_over_a_newer_report(sessions: SessionFactory) -> None:
    pending = Told("refund", 70, "20.00", status="pending")
    payment = deliver(sessions, [FAILED, PAID, pending, Told("paid", 80, refunded="0.00")])
    assert [payment.refunded_amount, payment.kept_usd] == [20, 29]


@pytest.mark.parametrize(("back", "currency"), [("1500.00", "jpy"), ("50.00", "eur")])
def test_a_refund_in_another_currency_leaves_a_value_that_nobody_knows(
    sessions: SessionFactory, back: str, currency: str
) -> None:
    refund = Told("refund", 70, back, currency, status="succeeded")
    payment = deliver(sessions, [FAILED, PAID, refund])
    assert payment.kept_usd is None
    with sessions() as session:
        summary = summarize(session, COMPANY, LATER)
    assert [summary.recovered_amount, summary.unconverted] == [0, 1]
    payment = deliver(sessions, [Told("paid", 80, refunded="9.80")])
    assert payment.kept_usd == Decimal("39.20")


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        (["needs_response"], 0),
        (["needs_response", "under_review"], 0),
        (["needs_response", "lost"], 0),
        (["needs_response", "prevented"], 0),
        (["needs_response", "under_review", "won"], 49),
        (["warning_needs_response"], 49),
        (["warning_needs_response", "warning_closed"], 49),
        (["warning_needs_response", "needs_response", "won"], 49),
        (["warning_needs_response", "needs_response", "lost"], 0),
    ],
)
def test_money_in_a_dispute_is_not_ours_until_it_is_won(
    sessions: SessionFactory, ends: list[str], left: int
) -> None:
    heard = [Told("dispute", 70 + n, status=status) for n, status in enumerate(ends)]
    for order in ([FAILED, PAID, *heard], [*reversed(heard), PAID, FAILED]):
        wipe(sessions)
        payment = deliver(sessions, order)
        assert [payment.kept_usd, payment.disputed_amount] == [left, 49 - left]
        with sessions() as session:
            assert summarize(session, COMPANY, LATER).recovered_amount == left


def test_a_dispute_about_a_part_takes_that_part(sessions: SessionFactory) -> None:
    part = Told("dispute", 70, "20.00", status="lost")
    refund = Told("refund", 80, "9.00", status="succeeded")
    payment = deliver(sessions, [FAILED, PAID, part, refund])
    assert payment.kept_usd == 20


def test_a_dispute_of_an_unknown_payment_counts_once_it_is_known(session: Session) -> None:
    """Nor did it say whose it is: the payment does."""
    dispute = Told("dispute", 70, status="needs_response").write()
    del dispute["data"]["buyer"]
    for content in (dispute, FAILED.write(), PAID.write()):
        inbox.record(session, [make_event(content)], LATER, HOURLY, read)
    assert session.scalars(select(Payment)).one().kept_usd == 0
    assert session.scalars(select(Dispute)).one().member_id == "mber_1"


# --- with everything at work ---------------------------------------------------------------------


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "only read back"])
@pytest.mark.parametrize("end", ["won", "lost", "prevented"])
def test_what_our_own_retry_recovered_goes_with_a_dispute_and_comes_back_with_it(
    sessions: SessionFactory, tmp_path: Path, heard: bool, end: str
) -> None:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.run(hours=2)
    whole = rig.payment(payment_id).kept_usd
    assert whole == rig.world.store.payment(payment_id).usd_amount
    if not heard:
        rig.world.faults.add("webhook", "drop", times=None)
    for happens, left in (("needs_response", 0), ("under_review", 0), (end, whole)):
        rig.pass_time(26)
        if happens == "needs_response":
            rig.world.dispute(payment_id, rig.clock.now)
        else:
            rig.world.rule_on_dispute(happens, payment_id, rig.clock.now)
        rig.pass_time(0.1)
        rig.reconciler.run()
        expected = left if happens in ("needs_response", "under_review", "won") else 0
        assert rig.payment(payment_id).kept_usd == expected, happens
        net = rig.world.ledger.net_paid()[payment_id]
        assert net.usd_amount == expected
        with sessions() as session:
            assert summarize(session, COMPANY, rig.clock.now).recovered_amount == expected
