"""Records every real charge. Tests use it to check that nobody is charged twice."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sandbox.model.people import in_usd
from sandbox.model.records import PAID, PENDING, By, Charge
from sandbox.model.times import sortable
from sandbox.state.store import DISPUTE, PAYMENT, REFUND, Store

GIVEN_BACK = ("pending", "succeeded")
WON = ("won", "closed")
COLUMNS = "payment_id, at, by, outcome, amount, usd_amount, currency, idempotency_key"


@dataclass(frozen=True)
class Net:
    amount: Decimal
    currency: str

    @property
    def usd_amount(self) -> Decimal:
        return in_usd(self.amount, self.currency)

    def less(self, amount: Decimal) -> "Net":
        return replace(self, amount=self.amount - amount)


class Ledger:
    def __init__(self, store: Store) -> None:
        self.store = store

    def record(self, charge: Charge) -> None:
        self.store.rows(
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
        """Sets the final outcome of a pending charge. It stays one row: it is one charge."""
        self.store.rows(
            "update ledger set outcome = ? where payment_id = ? and outcome = ?",
            outcome,
            payment_id,
            PENDING,
        )

    def charges(self, payment_id: str | None = None) -> list[Charge]:
        if payment_id is None:
            found = self.store.rows(f"select {COLUMNS} from ledger order by number")
        else:
            sql = f"select {COLUMNS} from ledger where payment_id = ? order by number"
            found = self.store.rows(sql, payment_id)
        return [read_charge(*row) for row in found]

    def paid_total(self, by: By | None = None) -> Decimal:
        """In US dollars, before refunds."""
        return sum(
            (
                charge.usd_amount
                for charge in select_paid(self.charges())
                if by in (None, charge.by)
            ),
            Decimal(0),
        )

    def net_paid(self) -> dict[str, Net]:
        """What each payment has brought, less refunds made or pending and less disputes that are
        open or lost, by payment id.

        Pending charges are not counted.
        """
        net: dict[str, Net] = {}
        for charge in select_paid(self.charges()):
            before = net[charge.payment_id].amount if charge.payment_id in net else Decimal(0)
            net[charge.payment_id] = Net(before + charge.amount, charge.currency)
        for (document,) in self.store.rows("select document from refunds"):
            refund = REFUND.validate_json(document)
            if refund.status in GIVEN_BACK:
                net[refund.payment_id] = net[refund.payment_id].less(refund.amount)
        for payment_id, amount in self.list_taken().items():
            left = net[payment_id]
            net[payment_id] = left.less(min(amount, left.amount))
        return net

    def list_taken(self) -> dict[str, Decimal]:
        """What disputes and alerts take of each payment."""
        taken: dict[str, Decimal] = {}
        ruled = set()
        for (document,) in self.store.rows("select document from disputes"):
            dispute = DISPUTE.validate_json(document)
            ruled.add(dispute.payment_id)
            if dispute.status not in WON and not dispute.status.startswith("warning_"):
                taken[dispute.payment_id] = dispute.amount
        for (document,) in self.store.rows("select document from payments"):
            payment = PAYMENT.validate_json(document)
            if payment.dispute_alerted_at is not None and payment.id not in ruled:
                taken[payment.id] = payment.amount
        return taken

    def paid_twice(self) -> list[str]:
        """Ids of payments that were charged successfully more than once. Not empty means a bug."""
        sql = (
            "select payment_id from ledger where outcome in (?, ?)"
            " group by payment_id having count(*) > 1 order by payment_id"
        )
        return [payment_id for (payment_id,) in self.store.rows(sql, PAID, PENDING)]


def select_paid(charges: Iterable[Charge]) -> Iterable[Charge]:
    return (charge for charge in charges if charge.outcome == PAID)


def read_charge(
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
