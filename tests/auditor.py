"""An auditor's books: every figure computed a second time from the simulated Whop's own records, by
the definitions in docs/creators, with nothing of the product's reporting, attribution or lift.

Who is said to have brought a payment is taken from `GET /payments/list`, and held against what
really happened; whose dollars those are, and how many, is the ledger's word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import zip_longest
from zoneinfo import ZoneInfo

from sandbox.model.people import in_usd
from sandbox.model.records import PAID, Charge, Payment
from sandbox.state.store import DISPUTE, PAYMENT, REFUND
from sandbox.world.world import World

FIVE_DAYS = timedelta(days=5)
OURS = ("retry", "click", "member")
OUR_CHARGES = ("retry", "backup")
# Who must have made the payment for it to be claimed so.
MADE_BY = {"retry": {"retry", "backup"}, "click": {"member"}, "member": {"member"}}
CENT = Decimal("0.01")


@dataclass
class Story:
    """One failed renewal. `kept`: dollars that are left of what was paid, now. `said`: who is
    claimed to have brought it; `given_up`: that nothing more is tried; `held_out`: whether the
    member is left to Whop alone, drawn with `share`. None: nobody was drawn."""

    payment: Payment
    charges: Sequence[Charge]
    kept: Decimal
    imported: bool
    since_setup: bool
    product: str
    said: str | None = None
    given_up: bool = False
    held_out: bool | None = None
    share: float | None = None
    member: str | None = None

    @property
    def failed_at(self) -> datetime:
        return self.payment.created_at

    @property
    def failed(self) -> Decimal:
        return self.charges[0].usd_amount

    @property
    def paid_at(self) -> datetime | None:
        return self.payment.paid_at

    @property
    def made_by(self) -> str | None:
        return next((charge.by for charge in self.charges if charge.outcome == PAID), None)

    @property
    def paid(self) -> Decimal:
        """Before anything was given back."""
        return self.charges[-1].usd_amount if self.paid_at else Decimal(0)

    @property
    def window_ends_at(self) -> datetime:
        return self.failed_at + FIVE_DAYS

    @property
    def way(self) -> str:
        return self.said or "without_us"


@dataclass
class Books:
    stories: list[Story]
    zone: ZoneInfo
    now: datetime
    # What was told at the end of a month, by its first day.
    month_ends: dict[date, tuple[Decimal, Decimal]] = field(default_factory=dict)

    # --- which payments --------------------------------------------------------------------------

    @property
    def counted(self) -> list[Story]:
        return [one for one in self.stories if one.since_setup]

    @property
    def recovered(self) -> list[Story]:
        return [one for one in self.counted if one.paid_at]

    @property
    def closed(self) -> list[Story]:
        return [one for one in self.counted if one.window_ends_at <= self.now]

    @property
    def open(self) -> list[Story]:
        return [one for one in self.counted if not (one.paid_at or one.given_up)]

    def local_day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    @property
    def today(self) -> date:
        return self.local_day(self.now)

    def paid_on(self, chosen: Callable[[date], bool]) -> list[Story]:
        return [
            one for one in self.recovered if one.paid_at and chosen(self.local_day(one.paid_at))
        ]

    def failed_on(self, chosen: Callable[[date], bool]) -> list[Story]:
        return [one for one in self.counted if chosen(self.local_day(one.failed_at))]

    def within(self, days: int) -> Callable[[date], bool]:
        first = self.today - timedelta(days=days - 1)
        return lambda day: day >= first

    def this_month(self, day: date) -> bool:
        return day >= self.today.replace(day=1)

    # --- money -----------------------------------------------------------------------------------

    def split(self, paid: Iterable[Story]) -> dict[str, Decimal]:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for one in paid:
            sums[one.way] += one.kept
        return {way: cents(sums[way]) for way in (*OURS, "without_us")}

    def rates(self) -> tuple[Decimal, Decimal]:
        """What was kept of what failed of the closed, and the part of it that is claimed."""
        failed = sum((one.failed for one in self.closed), Decimal(0))
        kept = sum((one.kept for one in self.closed), Decimal(0))
        ours = sum((one.kept for one in self.closed if one.way in OURS), Decimal(0))
        return tenth(100 * kept, failed), tenth(100 * ours, failed)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def tenth(part: Decimal | int, whole: Decimal | int) -> Decimal:
    return (Decimal(part) / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")


def read_stories(world: World, set_up_at: datetime) -> list[Story]:
    charges: defaultdict[str, list[Charge]] = defaultdict(list)
    for charge in world.ledger.charges():
        charges[charge.payment_id].append(charge)
    net = world.ledger.net_paid()
    stories = []
    for (document,) in world.store.rows("select document from payments"):
        payment = PAYMENT.validate_json(document)
        made = charges[payment.id]
        if not made or made[0].outcome == PAID:
            continue
        imported = payment.created_at <= set_up_at
        ends = payment.created_at + FIVE_DAYS
        over = min(ends, payment.paid_at) if payment.paid_at else ends
        stories.append(
            Story(
                payment,
                made,
                net[payment.id].usd_amount if payment.paid_at else Decimal(0),
                imported,
                not (imported and over <= set_up_at),
                world.store.membership(payment.membership_id).product_title,
            )
        )
    return stories


def sum_given_back(world: World, books: Books, since: datetime) -> Decimal:
    """Refunds made and disputes opened since then, of payments since the set-up."""
    counted = {one.payment.id: one for one in books.recovered}
    total = Decimal(0)
    for (document,) in world.store.rows("select document from refunds"):
        refund = REFUND.validate_json(document)
        if refund.payment_id in counted and refund.created_at >= since:
            total += in_usd(refund.amount, refund.currency)
    for (document,) in world.store.rows("select document from disputes"):
        dispute = DISPUTE.validate_json(document)
        lost = dispute.status not in ("won", "closed") and not dispute.status.startswith("warning_")
        if dispute.payment_id in counted and dispute.created_at >= since and lost:
            total += in_usd(dispute.amount, dispute.currency)
    return total


def list_known(
    one: Story, lost: Collection[tuple[str, datetime]], read_back_at: Iterable[datetime]
) -> list[Charge]:
    """Without retries of Whop's that nobody can know of: the webhook was lost, and when Whop was
    asked again, a later charge had come. Before a charge of ours it is asked."""
    known = [one.charges[0]]
    for charge, later in zip_longest(one.charges[1:], one.charges[2:]):
        missed = charge.by == "whop" and (one.payment.id, charge.at) in lost
        covered = later and later.by not in OUR_CHARGES
        if missed and covered and not any(charge.at < at < later.at for at in read_back_at):
            continue
        known.append(charge)
    return known


def count_tries(known: Iterable[Sequence[Charge]]) -> list[tuple[int, int, int]]:
    """By the charge's number: how many were made, paid by us, and paid by anybody else."""
    rows: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for charges in known:
        for number, charge in enumerate(charges):
            row, ours = rows[number], charge.by in OUR_CHARGES
            row[0] += 1
            row[1] += charge.outcome == PAID and ours
            row[2] += charge.outcome == PAID and not ours
    return [(made, ours, others) for _, (made, ours, others) in sorted(rows.items())]


def find_false_claims(stories: Iterable[Story]) -> list[str]:
    """Claims of what somebody else has paid."""
    return [
        f"{one.payment.id} said {one.said}, paid by {one.made_by}"
        for one in stories
        if one.said in MADE_BY and one.made_by not in MADE_BY[one.said]
    ]


def count_groups(
    stories: Iterable[Story], find_key: Callable[[Story], str]
) -> dict[str, tuple[int, int]]:
    """Closed and recovered payments by group."""
    closed: Counter[str] = Counter()
    recovered: Counter[str] = Counter()
    for one in stories:
        closed[find_key(one)] += 1
        recovered[find_key(one)] += one.paid_at is not None
    return {key: (number, recovered[key]) for key, number in closed.items()}
