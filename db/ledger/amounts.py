"""What a payment costs, what was given back of it, and what is left: written here alone.

The caller holds the row's lock and owns the transaction.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Dispute, Payment, Refund
from recovery.amounts import (
    NOTHING,
    GivenBack,
    Price,
    Prices,
    Refunded,
    convert,
    find_disputed,
    keep,
    sum_refunds,
    take_in,
    take_in_refunds,
)
from recovery.reports import PaymentReport
from recovery.standing import takes_money
from recovery.status import PaymentStatus

READ_AMOUNTS = attrgetter("amount", "currency", "amount_usd")
NOT_FINAL = ("pending", "requires_action")
GIVEN_BACK = (*NOT_FINAL, "succeeded")


def record_amounts(session: Session, payment: Payment, report: PaymentReport) -> None:
    """Takes in what a report says of them, however old it is."""
    price = Price(report.observed_at, report.amount, report.currency, report.amount_usd)
    known = read_prices(payment, price, paid=report.paid)
    prices = take_in(known, price, paid=report.paid)
    if report.refunded_amount is not None:
        prices = take_in_refunds(prices, GivenBack(report.observed_at, report.refunded_amount))
    payment.prices = write_prices(prices)
    before = READ_AMOUNTS(payment)
    now, failed = prices.current, prices.failed
    assert now is not None
    assert failed is not None
    payment.amount, payment.currency = now.amount, now.currency
    payment.amount_usd = convert(now, prices.valued)
    payment.failed_amount, payment.failed_currency = failed.amount, failed.currency
    payment.failed_amount_usd = convert(failed, prices.valued)
    # Most reports tell nothing new.
    if before != READ_AMOUNTS(payment) or prices.given_back != known.given_back:
        revalue(session, payment)


def revalue(session: Session, payment: Payment) -> Decimal | None:
    """By the refunds and the dispute that are known by now. Returns what is given back; None: that
    is not known."""
    told = load_prices(payment.prices).given_back if payment.prices else None
    refunded = sum_refunds(list_refunds(session, payment), told, payment.currency)
    payment.disputed_amount = sum_dispute(session, payment)
    if refunded is not None:
        payment.refunded_amount = refunded
    payment.kept_usd = (
        keep(payment.amount, payment.amount_usd, refunded, payment.disputed_amount)
        if payment.status is PaymentStatus.RECOVERED
        else None
    )
    return refunded


def list_refunds(session: Session, payment: Payment) -> list[Refunded]:
    """Those on their way count as given back."""
    found = session.execute(
        select(Refund.observed_at, Refund.amount, Refund.currency).where(
            Refund.payment_id == payment.payment_id, Refund.status.in_(GIVEN_BACK)
        )
    )
    return [Refunded(*row) for row in found]


def sum_dispute(session: Session, payment: Payment) -> Decimal:
    key = (payment.company_id, payment.payment_id)
    dispute = session.get(Dispute, key, populate_existing=True)
    if dispute is None or not takes_money(dispute.status):
        return NOTHING
    return find_disputed(payment.amount, payment.currency, dispute.amount, dispute.currency)


def read_prices(payment: Payment, told: Price, *, paid: bool) -> Prices:
    """Those that are kept; before anything newer was told, those of the first report."""
    if payment.prices is not None:
        return load_prices(payment.prices)
    first = Price(payment.observed_at, payment.amount, payment.currency, payment.amount_usd)
    # Whoever made the payment known reports it once more, as paid: it never told what was owed.
    return Prices() if paid and first == told else take_in(Prices(), first, paid=False)


def write_prices(prices: Prices) -> dict[str, Any]:
    return {
        "owed": write_price(prices.owed),
        "paid": write_price(prices.paid),
        "valued": write_price(prices.valued),
        "given_back": (
            [prices.given_back.observed_at.isoformat(), str(prices.given_back.amount)]
            if prices.given_back
            else None
        ),
    }


def write_price(price: Price | None) -> list[str | None] | None:
    if price is None:
        return None
    usd = None if price.amount_usd is None else str(price.amount_usd)
    return [price.observed_at.isoformat(), str(price.amount), price.currency, usd]


def load_prices(kept: dict[str, Any]) -> Prices:
    given_back = kept["given_back"]
    return Prices(
        load_price(kept["owed"]),
        load_price(kept["paid"]),
        load_price(kept["valued"]),
        GivenBack(datetime.fromisoformat(given_back[0]), Decimal(given_back[1]))
        if given_back
        else None,
    )


def load_price(kept: list[str | None] | None) -> Price | None:
    if kept is None:
        return None
    at, amount, currency, usd = kept
    assert at is not None
    assert amount is not None
    assert currency is not None
    return Price(
        datetime.fromisoformat(at), Decimal(amount), currency, None if usd is None else Decimal(usd)
    )
