"""The record of every real charge: the oracle for "never charged twice"."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from sandbox.records import PAID, PENDING, By, Charge
from sandbox.store import Store
from sandbox.times import sortable

COLUMNS = "payment_id, at, by, outcome, amount, usd_amount, currency, idempotency_key"


class Ledger:
    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, charge: Charge) -> None:
        self._store.rows(
            f"insert into ledger ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)",
            charge.payment_id,
            sortable(charge.at),
            charge.by,
            charge.outcome,
            str(charge.amount),
            str(charge.usd_amount),
            charge.currency,
            charge.idempotency_key,
        )

    def settle(self, payment_id: str, outcome: str) -> None:
        """A charge that was clearing has its end; it stays one row, for it is one charge."""
        self._store.rows(
            "update ledger set outcome = ? where payment_id = ? and outcome = ?",
            outcome,
            payment_id,
            PENDING,
        )

    def charges(self, payment_id: str | None = None) -> list[Charge]:
        if payment_id is None:
            found = self._store.rows(f"select {COLUMNS} from ledger order by number")
        else:
            sql = f"select {COLUMNS} from ledger where payment_id = ? order by number"
            found = self._store.rows(sql, payment_id)
        return [_charge(*row) for row in found]

    def paid_total(self, by: By | None = None) -> Decimal:
        """In US dollars, before refunds."""
        return sum(
            (charge.usd_amount for charge in _paid(self.charges()) if by in (None, charge.by)),
            Decimal(0),
        )

    def paid_twice(self) -> list[str]:
        """Payments that took a member's money more than once: always empty, or it is a bug."""
        sql = (
            "select payment_id from ledger where outcome in (?, ?)"
            " group by payment_id having count(*) > 1 order by payment_id"
        )
        return [payment_id for (payment_id,) in self._store.rows(sql, PAID, PENDING)]


def _paid(charges: Iterable[Charge]) -> Iterable[Charge]:
    return (charge for charge in charges if charge.outcome == PAID)


def _charge(
    payment_id: str,
    at: str,
    by: By,
    outcome: str,
    amount: str,
    usd_amount: str,
    currency: str,
    key: str | None,
) -> Charge:
    when = datetime.fromisoformat(at)
    paid = Decimal(amount)
    return Charge(payment_id, when, by, outcome, paid, Decimal(usd_amount), currency, key)
