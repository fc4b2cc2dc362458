"""Half a year of one creator through the real code, with webhooks that are lost, late and doubled,
refunds, and disputes with every end. The first weeks nobody of us is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from db.session import SessionFactory
from recovery.retrying.context import RetryRules
from sandbox.model.records import PAID
from sandbox.state.store import PAYMENT
from tests.rig import Rig

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = datetime(2026, 11, 23, 9, tzinfo=UTC)
ALONE = 21
READ_BACK = 36
# What becomes of a disputed payment, in turn, and after how many days each.
DISPUTES = (
    ("won",),
    ("lost",),
    ("under_review",),
    ("under_review", "won"),
    ("under_review", "lost"),
    ("alert",),
    ("alert", "needs_response", "lost"),
    ("inquiry", "warning_closed"),
    ("inquiry", "needs_response", "won"),
    ("prevented",),
)


def look_away(_: HalfYear) -> None:
    """Nobody notes how a month has ended."""


class HalfYear(Rig):
    """`moved`: when a message made a member decide to pay, by payment. `lost`: of which failed
    charges the webhook was lost, by payment; `read_back_at`: when Whop was asked what we missed.
    `note_month_end` is called just after a month has ended, once all of it was read back."""

    def __init__(
        self,
        sessions: SessionFactory,
        folder: Path,
        days: int,
        zone: ZoneInfo,
        *,
        faults: bool,
        seed: int = 3,
    ) -> None:
        super().__init__(sessions, folder, seed=seed, rules=RetryRules())
        self.hear_of_mails()
        self.start, self.random, self.faulty = END - days * DAY, Random(seed), faults
        self.set_up_at = self.start + ALONE * DAY
        self.zone = zone
        self.clock.now = self.start
        self.note_month_end: Callable[[HalfYear], None] = look_away
        self.rulings: list[tuple[datetime, str, str]] = []
        self.disputed = 0
        self.moved: dict[str, list[datetime]] = {}
        self.lost: set[tuple[str, datetime]] = set()
        self.read_back_at: list[datetime] = []
        self.note_moves()
        self.note_losses()

    def note_moves(self) -> None:
        members = self.world.acts.members
        real = members.mail_arrives

        def mail_arrives(payment_id: str, at: datetime) -> datetime | None:
            pays_at = real(payment_id, at)
            if pays_at is not None:
                self.moved.setdefault(payment_id, []).append(pays_at)
            return pays_at

        members.mail_arrives = mail_arrives  # type: ignore[method-assign]

    def note_losses(self) -> None:
        outbox = self.world.outbox
        real = outbox.add

        def add(webhook_id: str, event: str, body: bytes, due_at: datetime, copies: int) -> None:
            if event == "payment.failed" and not copies:
                self.lost.add((json.loads(body)["data"]["id"], due_at))
            real(webhook_id, event, body, due_at, copies)

        outbox.add = add  # type: ignore[method-assign]

    def read_back(self) -> None:
        self.read_back_at.append(self.clock.now)
        self.reconciler.run()

    def live(self, per_day: float) -> None:
        self.world.faults.add("webhook", "drop", times=None)
        hour = self.start
        while hour < END:
            hour += HOUR
            if hour == self.set_up_at + HOUR:
                self.world.faults.clear()
                self.set_up()
            self.live_hour(hour, per_day)
        self.settle()

    def set_up(self) -> None:
        self.set_up_at = self.clock.now
        self.reconciler.run()

    def live_hour(self, hour: datetime, per_day: float) -> None:
        here = hour > self.set_up_at
        if self.random.random() < per_day / 24:
            self.world.advance(hour - HOUR / 3)
            self.clock.now = max(self.clock.now, hour - HOUR / 3)
            self.world.fail_renewal(hour - HOUR / 3)
        if here and self.faulty:
            self.spoil()
        self.world.advance(hour)
        self.clock.now = max(self.clock.now, hour)
        if not here:
            return
        self.move_disputes(hour)
        number = int((hour - self.set_up_at) / HOUR)
        month_ends = hour.astimezone(self.zone).day == 1 and hour.astimezone(self.zone).hour == 0
        if number % READ_BACK == 0 or month_ends:
            self.read_back()
        if month_ends or self.has_work():
            self.message_sender.send_due()
            self.cycle.run()
        if month_ends:
            self.note_month_end(self)

    def spoil(self) -> None:
        draw = self.random.random()
        if draw < 0.006:
            self.world.faults.add("webhook", "drop")
        elif draw < 0.012:
            self.world.faults.add("webhook", "duplicate")
        elif draw < 0.018:
            self.world.faults.add("webhook", "delay", seconds=self.random.uniform(60, 14 * 3600))

    def move_disputes(self, hour: datetime) -> None:
        for ruling in [one for one in self.rulings if one[0] <= hour]:
            self.rulings.remove(ruling)
            self.rule(ruling[1], ruling[2], hour)
        if hour.hour != 12 or hour.day % 4 != 1:
            return
        paid = self.list_paid()
        if not paid:
            return
        payment_id = self.random.choice(paid)
        ends = DISPUTES[self.disputed % len(DISPUTES)]
        self.disputed += 1
        opening = ends[0] if ends[0] in ("alert", "inquiry") else "open"
        self.rule(opening, payment_id, hour)
        rest = ends if opening == "open" else ends[1:]
        self.rulings += [(hour + (n + 2) * DAY, end, payment_id) for n, end in enumerate(rest)]

    def rule(self, what: str, payment_id: str, at: datetime) -> None:
        match what:
            case "open":
                self.world.dispute(payment_id, at)
            case "alert":
                self.world.dispute_alert(payment_id, at)
            case "inquiry":
                self.world.inquiry(payment_id, at)
            case "needs_response":
                self.world.dispute(payment_id, at)
            case _:
                self.world.rule_on_dispute(what, payment_id, at)

    def list_paid(self) -> list[str]:
        """That failed once, were paid, and neither disputed nor refunded."""
        rows = self.world.store.rows("select document from payments")
        found = (PAYMENT.validate_json(document) for (document,) in rows)
        return [
            one.id
            for one in found
            if one.status == PAID
            and one.substatus == "succeeded"
            and one.payments_failed
            and not one.refund_asked
        ]

    def settle(self) -> None:
        """All that is on its way is heard, and what was lost is read."""
        self.world.faults.clear()
        for _ in range(3):
            self.reconciler.run()
            self.message_sender.send_due()
            self.cycle.run()
            self.world.deliver_due(self.clock.now)
