"""The books, checked against the simulated Whop's ledger of real charges.

Who must not be charged or written to any more is worked out from what was delivered, not from what
the engine made of it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Attempt, CardBan, Message, Payment, Request
from db.reporting.figures import CENT, to_cents
from db.reporting.summary import summarize
from recovery.attribution import CHARGE_TAKES
from recovery.decline_codes import classify
from recovery.declines import (
    FORBIDS_THE_PAYMENT,
    NEVER_CHARGED_AGAIN,
    STICKS,
    STRICTNESS,
    DeclineClass,
)
from recovery.message_schedule import SEQUENCES, may_write
from recovery.payment_methods import EXPIRED
from recovery.retrying import policy as retry_policy
from recovery.status import (
    OUR_TRIGGERS,
    UNPAID,
    UNSETTLED,
    AttemptOutcome,
    Channel,
    ChargeMethod,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Step,
)
from sandbox.model.records import PAID, PENDING, Card, Charge
from sandbox.model.times import iso
from sandbox.servers.sendgrid import SendGrid
from sandbox.servers.support import Support
from tests.factories import COMPANY
from tests.rough_rig import Delivery, RoughRig

OURS = ("retry", "backup")
# How a dispute ends in the creator's favour.
LIFTED = {"won", "warning_closed"}
# Of the card on file; another saved card may be tried where the one on file cannot work.
FORBIDDEN = {
    ChargeMethod.RETRY: NEVER_CHARGED_AGAIN,
    ChargeMethod.BACKUP_CARD: NEVER_CHARGED_AGAIN - {DeclineClass.CARD},
}
MONTH = timedelta(days=30)
RETRY = re.compile(r"/api/v1/payments/([^/]+)/retry")
MEMBERSHIP = re.compile(r"/api/v1/memberships/([^/]+)")
LETTERS = ("/v3/mail/send", "/api/v1/messages")


class Audit:
    """`wrong` collects what was seen in the middle of a call, where raising would be caught."""

    def __init__(self, tally: Counter[str]) -> None:
        self.tally = tally
        self.wrong: list[str] = []
        self.paid: set[str] = set()
        # What was seen to stop a payment, for good or for a time.
        self.stops: set[tuple[str, str]] = set()
        self.stopped: dict[str, str] = {}
        # By membership and by disputed payment: when the newest word was true, and whether it
        # forbids a charge.
        self.memberships: dict[str, tuple[str, bool]] = {}
        self.disputes: dict[str, tuple[str, bool]] = {}
        self.bought: dict[str, str] = {}
        self.cards: list[tuple[Card, Charge]] = []
        # By a card's id, as delivered: which payments it was refused for, for good, and the class;
        # and the year on the card, where a later one is an answer to that.
        self.banned: defaultdict[str, set[tuple[str, DeclineClass, int | None]]] = defaultdict(set)
        self.changes_of_card: Counter[str] = Counter()
        self.answered: set[str] = set()

    def attend(self, rig: RoughRig) -> None:
        self.rig, self.store = rig, rig.world.store
        charging = rig.world.acts.charging
        real = charging.charge

        def charge_and_note_card(payment: Any, *arguments: Any, **named: Any) -> Any:
            charged = real(payment, *arguments, **named)
            self.cards.append((payment.card, rig.world.ledger.charges(payment.id)[-1]))
            return charged

        setattr(charging, "charge", charge_and_note_card)  # noqa: B010

    # --- what we have been told ----------------------------------------------------------------

    def note_delivery(self, delivery: Delivery) -> None:
        content = delivery.content
        kind, told = content["type"], content["data"]
        moment = told.get("updated_at") or content["timestamp"]
        if kind in {"dispute.created", "dispute.updated"}:
            self.note(self.disputes, told["payment"]["id"], moment, told["status"] not in LIFTED)
        elif kind == "payment.canceled":
            self.stop([told["id"]], kind)
        elif kind == "payment.succeeded":
            self.paid.add(told["id"])
        elif kind == "payment.failed":
            self.note_decline(told)
        elif kind.startswith("membership."):
            self.note_membership(kind, told, moment)

    def note_membership(self, kind: str, told: dict[str, Any], moment: str) -> None:
        ended = kind == "membership.deactivated" or told["status"] == "canceled"
        ends = ended or bool(told.get("cancel_at_period_end"))
        paused = told.get("payment_collection_paused") or (
            told.get("most_recent_action") == "paused_at"
        )
        newest = self.note(self.memberships, told["id"], moment, bool(ends or paused))
        if ends and newest:
            with self.rig.sessions() as session:
                owed = select(Payment.payment_id).where(Payment.membership_id == told["id"])
                self.stop(session.scalars(owed), kind)
        if kind == "membership.activated":
            self.bought[self.store.membership(told["id"]).member_id] = told["created_at"]

    def note(self, words: dict[str, tuple[str, bool]], of: str, moment: str, forbids: bool) -> bool:
        """Keeps the newest word, and of two from one time the one that forbids. Returns whether
        this is it."""
        before = words.get(of, ("", False))
        words[of] = max(before, (moment, forbids))
        return words[of] == (moment, forbids)

    def forbids(self, words: dict[str, tuple[str, bool]], of: str, truth: datetime) -> bool:
        """By the newest word, unless Whop may have told us a newer one when we asked."""
        moment, forbidden = words.get(of, ("", False))
        return forbidden and datetime.fromisoformat(moment) >= truth.replace(microsecond=0)

    def note_decline(self, told: dict[str, Any]) -> None:
        decline_class = classify(told["decline_code"], told["failure_message"]).decline_class
        if decline_class not in STICKS:
            return
        at = told.get("last_payment_attempt_at") or told.get("last_payment_attempt")
        for card, charge in self.cards:
            if charge.payment_id == told["id"] and iso(charge.at) == at:
                of = card.exp_year if told["decline_code"] == EXPIRED else None
                self.banned[card.method_id].add((charge.payment_id, decline_class, of))

    def is_banned(self, payment_id: str, attempt: Attempt) -> bool:
        on_file = self.store.payment(payment_id).card
        if attempt.payment_method_id is None and not on_file.is_card:
            return True
        return bool(self.list_bans(payment_id, attempt.payment_method_id or on_file.method_id))

    def list_bans(self, payment_id: str, method_id: str) -> set[DeclineClass]:
        """Those that hold for this card. On file it may have a later date by now."""
        on_file = self.store.payment(payment_id).card
        return {
            decline_class
            for by, decline_class, year in self.banned[method_id]
            if by == payment_id or decline_class not in FORBIDS_THE_PAYMENT
            if year is None or method_id != on_file.method_id or on_file.exp_year <= year
        }

    def note_requests(self) -> None:
        with self.rig.sessions() as session:
            honoured = select(Request).where(
                Request.kind == RequestKind.STOP, Request.done_at.is_not(None)
            )
            self.stop([request.payment_id for request in session.scalars(honoured)], "asked to")

    def stop(self, payment_ids: Any, why: str) -> None:
        for payment_id in payment_ids:
            self.stopped.setdefault(payment_id, why)

    # --- at the moment of a charge -------------------------------------------------------------

    def watch(self, request: httpx.Request) -> None:
        if found := RETRY.fullmatch(request.url.path):
            key = request.headers.get("idempotency-key", "(none)")
            self.look(Attempt.idempotency_key == key, found[1], request)
        elif found := MEMBERSHIP.fullmatch(request.url.path):
            owing = select(Payment.payment_id).where(Payment.membership_id == found[1])
            in_hand = Attempt.outcome.in_(UNSETTLED) & Attempt.sent_at.is_not(None)
            backup = (Attempt.charge_method == ChargeMethod.BACKUP_CARD) & Attempt.payment_id.in_(
                owing
            )
            self.look(backup & in_hand, None, request)
        elif request.url.path in LETTERS:
            self.look_at_letter()

    def note_answer(self, request: httpx.Request, response: httpx.Response) -> None:
        """Payments of which we have Whop's own word that our charge was paid."""
        found = RETRY.fullmatch(request.url.path)
        if found and response.status_code == 200 and response.json()["status"] == PAID:
            self.answered.add(found[1])

    def look(self, condition: Any, payment_id: str | None, request: httpx.Request) -> None:
        with self.rig.sessions() as session:
            attempts = session.scalars(select(Attempt).where(condition)).all()
            if len(attempts) != 1 or payment_id not in (None, attempts[0].payment_id):
                self.wrong.append(f"{request.method} {request.url.path} without an attempt")
                return
            self.look_at(session, attempts[0])
            if attempts[0].charge_method is ChargeMethod.BACKUP_CARD:
                self.changes_of_card[attempts[0].payment_id] += 1

    def look_at(self, session: Session, attempt: Attempt) -> None:
        payment_id = attempt.payment_id
        payment = session.scalars(select(Payment).where(Payment.payment_id == payment_id)).one()
        now = self.rig.clock.now
        reasons = self.find_reasons(payment) | {
            "the attempt is not in hand": attempt.sent_at is None
            or attempt.outcome not in UNSETTLED,
            f"it is {payment.status}": payment.status is not PaymentStatus.PENDING_RETRY,
            f"{payment.decline_class} is not charged again": payment.decline_class
            in FORBIDDEN[attempt.charge_method],
            "its card is banned": self.is_banned(payment_id, attempt),
            "its window is over": payment.window_ends_at <= now,
            "retries are used": payment.retry_count >= self.rig.rules.max_retries
            and attempt.charge_method is ChargeMethod.RETRY,
            "its card is worn out": self.is_over_card_limit(session, payment, now),
        }
        self.note_wrong(f"charging {payment_id}", reasons)

    def find_reasons(self, payment: Payment) -> dict[str, bool]:
        """Why a payment's member may be neither charged nor written to, as told so far."""
        stored = self.store.payment(payment.payment_id)
        truth = self.store.membership(stored.membership_id)
        bought_at = self.bought.get(truth.member_id)
        return {
            f"stopped: {self.stopped.get(payment.payment_id)}": payment.payment_id in self.stopped,
            "its member disputes": self.is_disputing(truth.member_id),
            "its membership ends or pauses": self.forbids(
                self.memberships, truth.id, truth.updated_at
            ),
            "its member bought anew": bought_at is not None
            and datetime.fromisoformat(bought_at) > stored.created_at,
            "its member is held out": bool(payment.held_out),
            "it is paid": payment.payment_id in self.paid,
        }

    def look_at_letter(self) -> None:
        """By the last one that was marked as about to leave."""
        with self.rig.sessions() as session:
            query = select(Message, Payment).join(Payment, Payment.payment_id == Message.payment_id)
            leaving = query.where(Message.state == MessageState.SENDING).order_by(
                Message.dispatched_at.desc().nulls_last()
            )
            message, payment = session.execute(leaving.limit(1)).one()
        self.tally[f"letters by {message.channel}"] += 1
        bans = self.list_bans(
            payment.payment_id, self.store.payment(payment.payment_id).card.method_id
        )
        strictest = min(bans, key=STRICTNESS.index, default=None)
        reasons = self.find_reasons(payment) | {
            f"it is {payment.status}": not may_write(payment.status, payment.closed_reason),
            f"{strictest} is not told so": strictest is not None
            and message.step not in SEQUENCES[strictest],
            "its window is over": payment.window_ends_at <= self.rig.clock.now,
        }
        self.note_wrong(f"writing {message.step} of {payment.payment_id}", reasons)

    def note_wrong(self, what: str, reasons: dict[str, bool]) -> None:
        self.wrong += [f"{what}: {why}" for why, is_so in reasons.items() if is_so]

    def is_disputing(self, member_id: str) -> bool:
        for payment_id in self.disputes:
            of = self.store.membership(self.store.payment(payment_id).membership_id)
            dispute = self.rig.world.acts.disputes.find(payment_id)
            if dispute is None or of.member_id != member_id:
                continue
            if self.forbids(self.disputes, payment_id, dispute.updated_at):
                return True
        return False

    def is_over_card_limit(self, session: Session, payment: Payment, now: datetime) -> bool:
        """By the declines on its card that we had been told of: its own, just asked for, and
        others' up to when they were last heard of. A backup card is another one."""
        stored = self.store.payment(payment.payment_id)
        heard = dict(session.execute(select(Payment.payment_id, Payment.observed_at)).all())
        heard[payment.payment_id] = now
        declines = [
            charge
            for card, charge in self.cards
            if card == stored.card
            and charge.outcome not in (PAID, PENDING)
            and charge.at > now - MONTH
            and charge.at <= heard.get(charge.payment_id, charge.at - MONTH)
        ]
        return retry_policy.is_over_card_limit(stored.card.brand, len(declines))

    # --- at any time ---------------------------------------------------------------------------

    def check(self) -> None:
        assert self.wrong == [], self.wrong
        assert self.rig.world.ledger.paid_twice() == []
        assert all(times == 1 for times in self.changes_of_card.values())
        with self.rig.sessions() as session:
            payments = session.scalars(select(Payment)).all()
            tries: dict[str, list[Attempt]] = defaultdict(list)
            for attempt in session.scalars(select(Attempt)):
                tries[attempt.payment_id].append(attempt)
            messages = session.scalars(select(Message)).all()
            self.note_stops(payments, session.scalars(select(CardBan)).all())
        charges: dict[str, list[Charge]] = defaultdict(list)
        for charge in self.rig.world.ledger.charges():
            charges[charge.payment_id].append(charge)
        self.check_charges(charges, tries, {p.payment_id: p for p in payments})
        for payment in payments:
            self.check_payment(payment, tries[payment.payment_id], charges[payment.payment_id])
        self.check_mails(payments, messages)

    def note_stops(self, payments: Sequence[Payment], bans: Sequence[CardBan]) -> None:
        for payment in payments:
            for why in (payment.closed_reason, payment.hold):
                if why is not None:
                    self.stops.add((payment.payment_id, f"stopped: {why}"))
        for ban in bans:
            self.stops.add((ban.payment_id, f"banned: {ban.decline_class}"))

    def count(self) -> None:
        """Once, at the end of a run."""
        charges = self.rig.world.ledger.charges()
        self.tally["runs"] += 1
        self.tally["payments"] += len({charge.payment_id for charge in charges})
        for charge in charges:
            self.tally[f"charges by {charge.by}"] += 1
        self.tally.update(why for _, why in self.stops)
        with self.rig.sessions() as session:
            self.tally.update(
                f"messages {state}" for state in session.scalars(select(Message.state))
            )
            self.tally["payments known"] += len(session.scalars(select(Payment.id)).all())

    def check_charges(
        self,
        charges: dict[str, list[Charge]],
        tries: dict[str, list[Attempt]],
        known: dict[str, Payment],
    ) -> None:
        sent = [a for attempts in tries.values() for a in attempts if a.sent_at is not None]
        keys = {attempt.idempotency_key for attempt in sent}
        used = [c.idempotency_key for cs in charges.values() for c in cs if c.by == "retry"]
        assert set(used) <= keys
        assert len(used) == len(set(used))
        changed = Counter(
            known[attempt.payment_id].membership_id
            for attempt in sent
            if attempt.charge_method is ChargeMethod.BACKUP_CARD
        )
        for payment_id, made in charges.items():
            backups = sum(charge.by == "backup" for charge in made)
            membership_id = self.store.payment(payment_id).membership_id
            assert backups <= changed[membership_id]

    def check_payment(
        self, payment: Payment, attempts: list[Attempt], charges: list[Charge]
    ) -> None:
        ours = [attempt for attempt in attempts if attempt.trigger in OUR_TRIGGERS]
        declined = [a for a in ours if a.outcome is AttemptOutcome.DECLINED]
        assert payment.retry_count == len(declined)
        paid = any(charge.outcome == PAID for charge in charges)
        if payment.status is PaymentStatus.RECOVERED:
            assert paid
            assert payment.recovered_by is not None
        paid_attempts = [a for a in attempts if a.outcome is AttemptOutcome.PAID]
        assert len(paid_attempts) <= (1 if paid else 0)
        if payment.held_out:
            assert not any(charge.by in OURS for charge in charges)

    def check_mails(self, payments: Any, messages: Any) -> None:
        mails = SendGrid(self.rig.world).mails()
        mailed = Counter((m.custom_args["payment_id"], m.custom_args["step"]) for m in mails)
        assert all(times == 1 for times in mailed.values())
        steps: defaultdict[str, list[str]] = defaultdict(list)
        for mail in mails:
            steps[mail.custom_args["payment_id"]].append(mail.custom_args["step"])
        assert not [s for s in steps.values() if Step.NOTICE in s and len(s) > 1], "after a notice"
        held_out = {payment.payment_id for payment in payments if payment.held_out}
        assert not held_out & {payment_id for payment_id, _ in mailed}
        assert not [m for m in messages if m.payment_id in held_out]
        sent = [m for m in messages if m.state is MessageState.SENT]
        by_email = {(m.payment_id, m.step) for m in sent if m.channel is Channel.EMAIL}
        assert by_email <= mailed.keys()
        posted = sum(len(chat.messages) for chat in Support(self.rig.world).chats())
        assert len(sent) - len(by_email) <= posted

    # --- at the end ----------------------------------------------------------------------------

    def check_totals(self) -> None:
        """Everything has been delivered or read back: the books say what the ledger says."""
        by_payment: dict[str, list[Charge]] = defaultdict(list)
        for charge in self.rig.world.ledger.charges():
            by_payment[charge.payment_id].append(charge)
        failed = {
            payment_id: charges
            for payment_id, charges in by_payment.items()
            if charges[0].outcome not in (PAID, PENDING)
        }
        net = self.rig.world.ledger.net_paid()
        with self.rig.sessions() as session:
            known = {payment.payment_id: payment for payment in session.scalars(select(Payment))}
            summary = summarize(session, COMPANY, self.rig.clock.now)
            charged = session.execute(
                select(Attempt.payment_id, Attempt.sent_at).where(
                    Attempt.sent_at.is_not(None), Attempt.outcome == AttemptOutcome.PAID
                )
            ).all()
            left = session.scalars(select(Attempt).where(Attempt.outcome.in_(UNSETTLED))).all()
        assert known.keys() == failed.keys(), (known.keys(), failed.keys())
        assert left == []
        total = Decimal(0)
        for payment_id, charges in failed.items():
            payment = known[payment_id]
            paid = next((charge for charge in charges if charge.outcome == PAID), None)
            assert (payment.status is PaymentStatus.RECOVERED) == (paid is not None), payment_id
            if paid is not None:
                gone = payment.refunded_amount + payment.disputed_amount
                assert max(payment.amount - gone, Decimal(0)) == net[payment_id].amount
                total += paid.usd_amount * net[payment_id].amount / paid.amount
                self.check_credit(
                    payment,
                    paid,
                    [row.sent_at for row in charged if row.payment_id == payment_id],
                )
        recovered = [p for p in known.values() if p.status is PaymentStatus.RECOVERED]
        assert (summary.total_failed, summary.total_recovered) == (len(failed), len(recovered))
        assert summary.recovered_amount == to_cents(total)
        ours = [net[p].usd_amount for p in failed if p in net and self.is_ours(failed[p])]
        rounding = len(ours) * CENT
        assert summary.recovered.retry <= sum(ours, rounding)
        owed = [charges[0].usd_amount for p, charges in failed.items() if known[p].status in UNPAID]
        assert summary.at_risk_amount == sum(owed, Decimal(0))

    def is_ours(self, charges: list[Charge]) -> bool:
        return any(charge.outcome == PAID and charge.by in OURS for charge in charges)

    def check_credit(self, payment: Payment, paid: Charge, sent: Sequence[datetime]) -> None:
        """Never too much to us, never too little to Whop. Nobody can tell who paid right after a
        charge of ours that got no answer: that alone may count as ours."""
        just_sent = any(timedelta(0) <= paid.at - at <= CHARGE_TAKES for at in sent)
        allowed = {
            "retry": {RecoveredBy.RETRY, RecoveredBy.WITHOUT_US},
            "backup": {RecoveredBy.RETRY, RecoveredBy.WITHOUT_US},
            "member": {RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US}
            | ({RecoveredBy.RETRY} if just_sent else set()),
            "whop": {RecoveredBy.WITHOUT_US},
        }
        assert payment.recovered_by in allowed[paid.by], (payment.payment_id, paid)
        if payment.payment_id in self.answered:
            assert payment.recovered_by is RecoveredBy.RETRY
