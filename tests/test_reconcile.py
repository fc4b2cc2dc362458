"""Reading back from Whop what the webhooks missed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from daemon import reconcile
from daemon.cycle import Cycle
from db.company_settings.recovery import save_name, save_whop_name
from db.creator_notices.digest import find_name
from db.ledger import read_back
from db.ledger import sync as sync_ledger
from db.models import Message, Payment, Sync
from db.reporting.summary import summarize
from recovery.status import ClosedReason, PaymentStatus, RecoveredBy
from tests.factories import COMPANY, add_payment
from tests.rig import Rig
from whop.client import Membership


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    """One whose first reading, of an empty history, is behind it."""
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    rig.cycle = Cycle(sessions, rig.cycle.retrier, rig.clock, rig.reconciler, workers=1)
    rig.reconciler.run()
    rig.pass_time(0.1)
    return rig


@pytest.fixture
def new_rig(sessions, tmp_path) -> Rig:
    """Of a creator who has a past and has just set us up."""
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    rig.world.faults.add("webhook", "drop", times=None)
    return rig


def deafen(rig: Rig) -> None:
    """From now on no webhook arrives."""
    rig.world.faults.add("webhook", "drop", times=None)


def sync(rig: Rig) -> Sync:
    with rig.sessions() as session:
        return session.get_one(Sync, COMPANY)


# --- what was missed ---------------------------------------------------------------------------


def test_a_failure_nobody_told_us_about_is_found_and_recovered(rig: Rig):
    deafen(rig)
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(2)
    assert rig.cycle.run().found == 1
    assert rig.charges(payment_id) == ["paid"]
    payment = rig.payment(payment_id)
    assert (payment.status, payment.imported) == (PaymentStatus.RECOVERED, False)


def test_what_failed_and_was_paid_between_two_readings_is_found(rig: Rig):
    """Neither the receiver nor the daemon was there, and the list of open ones does not show it."""
    deafen(rig)
    payment_id = rig.fail("insufficient_funds")
    rig.pass_time(20)
    rig.world.member_pays(payment_id, rig.clock.now)
    rig.pass_time(4)
    assert rig.cycle.run().found == 1
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_a_payment_nobody_told_us_about_is_heard_without_charging(rig: Rig):
    payment_id = rig.fail("stolen_card", "paid")
    deafen(rig)
    rig.world.member_pays(payment_id, rig.clock.now)
    rig.pass_time(1)
    rig.cycle.run()
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.WITHOUT_US


def test_a_refund_nobody_told_us_about_nets_out(rig: Rig, session):
    payment_id = rig.fail("insufficient_funds", amount=Decimal("40.00"), currency="usd")
    rig.world.member_pays(payment_id, rig.clock.now)
    rig.cycle.run()
    deafen(rig)
    rig.pass_time(3)
    rig.world.refund(payment_id, rig.clock.now, Decimal("15.00"))
    rig.pass_time(1)
    rig.cycle.run()
    assert rig.payment(payment_id).refunded_amount == Decimal("15.00")
    assert summarize(session, COMPANY, rig.clock.now).recovered_amount == Decimal("25.00")


@pytest.mark.parametrize("act", ["void", "mark_uncollectible"])
def test_an_end_nobody_told_us_about_stops_the_retries(rig: Rig, act):
    payment_id = rig.fail()
    deafen(rig)
    getattr(rig.world, act)(payment_id, rig.clock.now)
    rig.pass_time(2)
    rig.cycle.run()
    assert rig.payment(payment_id).closed_reason is ClosedReason.CANCELED
    assert rig.charges(payment_id) == []


def test_a_day_without_the_receiver_loses_nothing(rig: Rig):
    """Whop gives a delivery up after 70 seconds (whop-api.md 4.4)."""
    before = [rig.fail("insufficient_funds", "paid") for _ in range(3)]
    deafen(rig)
    for _ in range(24):
        rig.fail("insufficient_funds", "insufficient_funds", "paid")
        rig.world.renew(rig.clock.now)
        rig.pass_time(1)
    rig.world.member_pays(before[0], rig.clock.now)
    rig.world.refund(before[0], rig.clock.now)
    rig.run(hours=6)
    with rig.sessions() as session:
        summary = summarize(session, COMPANY, rig.clock.now)
    paid = {c.payment_id for c in rig.world.ledger.charges() if c.outcome == "paid"}
    failed = {c.payment_id for c in rig.world.ledger.charges() if c.outcome != "paid"}
    assert summary.total_failed == len(failed) == 27
    assert summary.total_recovered == len(paid & failed) == 27
    assert rig.world.ledger.paid_twice() == []


def test_what_was_given_up_is_looked_at_once_a_day_for_a_month(rig: Rig):
    payment_id = rig.fail("insufficient_funds")
    rig.run(hours=6)
    assert rig.payment(payment_id).status is PaymentStatus.PERMANENT_FAIL
    deafen(rig)
    rig.world.member_pays(payment_id, rig.clock.now)
    rig.run(hours=2)
    rig.pass_time(25)
    rig.cycle.run()
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_a_payment_whop_does_not_know_is_closed_once_whop_must_know_it(rig: Rig, session):
    add_payment(session, rig.clock.now, id="pay_of_nobody")
    rig.pass_time(0.1)
    rig.reconciler.run()
    assert rig.payment("pay_of_nobody").status is PaymentStatus.PENDING_RETRY
    rig.pass_time(0.1)
    rig.reconciler.run()
    payment = rig.payment("pay_of_nobody")
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is ClosedReason.UNKNOWN_AT_WHOP


def test_a_first_purchase_that_failed_is_nobodys_renewal(rig: Rig):
    deafen(rig)
    rig.world.fail_renewal(rig.clock.now, billing_reason="subscription_create")
    rig.pass_time(1)
    assert rig.cycle.run().found == 0


def test_reading_twice_changes_nothing(rig: Rig, session):
    for script in (("insufficient_funds", "paid"), ("stolen_card",)):
        rig.fail(*script)
    rig.run(hours=2)
    before = summarize(session, COMPANY, rig.clock.now)
    session.commit()
    rig.reconciler.run()
    assert summarize(session, COMPANY, rig.clock.now) == before


def test_webhooks_that_come_after_the_reading_change_nothing(rig: Rig, session):
    rig.world.faults.add("webhook", "delay", seconds=7200, times=None)
    rig.fail("insufficient_funds", "paid")
    rig.pass_time(1)
    rig.cycle.run()
    before = summarize(session, COMPANY, rig.clock.now)
    session.commit()
    rig.pass_time(5)
    after = summarize(session, COMPANY, rig.clock.now)
    assert (after.total_failed, after.recovered_amount) == (1, before.recovered_amount)


def test_a_payment_that_another_company_owns_is_left_alone(rig: Rig, session):
    """However Whop came to list it: nobody's row changes by another's key."""
    theirs = rig.fail("stolen_card", "paid", account_id="biz_other")
    rig.world.faults.add("webhook", "delay", seconds=7200, times=None)
    rig.world.member_pays(theirs, rig.clock.now)
    report = rig.cycle.retrier.whop.get_payment(theirs, COMPANY)
    read_back.apply_reports(
        session, COMPANY, [report], rig.clock.now, rig.rules, rig.group_commit.read
    )
    session.commit()
    assert rig.payment(theirs).status is PaymentStatus.FAILED


# --- the first time ----------------------------------------------------------------------------


def live_a_past(rig: Rig) -> dict[str, str]:
    """Ninety days in which we were not there; returns what became of whom."""
    ids = {}
    rig.world.renew(rig.clock.now)
    ids["too old"] = rig.fail("insufficient_funds")
    rig.pass_time(24 * 30)
    ids["paid"] = rig.fail("insufficient_funds")
    rig.world.member_pays(ids["paid"], rig.clock.now + timedelta(hours=7))
    ids["lapsed"] = rig.fail("stolen_card")
    rig.pass_time(24 * 75)
    ids["open"] = rig.fail("insufficient_funds", "paid")
    rig.pass_time(2)
    return ids


def test_ninety_days_are_imported_and_nobody_is_written_to(new_rig: Rig, session):
    ids = live_a_past(new_rig)
    new_rig.reconciler.run()
    statuses = {payment.payment_id: payment for payment in session.scalars(select(Payment))}
    assert set(statuses) == {ids["paid"], ids["lapsed"], ids["open"]}
    assert all(payment.imported for payment in statuses.values())
    paid = statuses[ids["paid"]]
    assert (paid.status, paid.recovered_by) == (PaymentStatus.RECOVERED, RecoveredBy.WITHOUT_US)
    assert paid.recovered_at is not None
    assert paid.recovered_at - paid.failed_at == timedelta(hours=7)
    assert statuses[ids["lapsed"]].status is PaymentStatus.PERMANENT_FAIL
    assert statuses[ids["open"]].status is PaymentStatus.PENDING_RETRY
    assert all(payment.next_step is None for payment in statuses.values())
    assert session.scalars(select(Message)).all() == []


def test_what_is_still_open_at_set_up_is_charged_but_not_written_about(new_rig: Rig):
    ids = live_a_past(new_rig)
    new_rig.reconciler.run()
    new_rig.run(hours=2)
    assert new_rig.charges(ids["open"]) == ["paid"]
    assert new_rig.messages(ids["open"]) == []


def test_an_import_that_is_cut_off_goes_on_where_it_stopped(new_rig: Rig, monkeypatch):
    new_rig.world.switches.max_page = 5
    for _ in range(23):
        new_rig.fail("insufficient_funds")
        new_rig.pass_time(0.5)
    whop = new_rig.cycle.retrier.whop
    real = whop.list_payments
    pages: list[Any] = []

    def break_at_the_third(company_id, **query):
        if len(pages) == 2:
            new_rig.world.faults.add("payments.list", "status", status=401)
        pages.append(query.get("after"))
        return real(company_id, **query)

    monkeypatch.setattr(whop, "list_payments", break_at_the_third)
    new_rig.reconciler.run()
    halfway = sync(new_rig)
    assert halfway.import_cursor is not None
    assert halfway.imported_at is None
    assert "401" in (halfway.error_detail or "")
    assert new_rig.reconciler.run().done == 13
    assert pages[3] == halfway.import_cursor
    assert sync(new_rig).error_detail is None
    assert sync(new_rig).imported_at == new_rig.clock.now


def test_what_fails_while_we_import_is_not_missed(new_rig: Rig, monkeypatch):
    new_rig.world.switches.max_page = 3
    payment_ids = [new_rig.fail("insufficient_funds") for _ in range(7)]
    whop = new_rig.cycle.retrier.whop
    real = whop.list_payments

    def fail_meanwhile(company_id, **query):
        page = real(company_id, **query)
        if len(payment_ids) < 9:
            new_rig.clock.now += timedelta(minutes=1)
            payment_ids.append(new_rig.fail("insufficient_funds"))
        return page

    monkeypatch.setattr(whop, "list_payments", fail_meanwhile)
    new_rig.reconciler.run()
    with new_rig.sessions() as session:
        known = set(session.scalars(select(Payment.payment_id)))
    assert known == set(payment_ids)


# --- permissions and trouble -------------------------------------------------------------------


def test_a_missing_permission_is_reported_and_not_taken_for_no_failures(rig: Rig, caplog):
    rig.world.switches.denied_permissions = ("payment:basic:read",)
    deafen(rig)
    rig.fail()
    rig.pass_time(1)
    assert rig.reconciler.run().done == 0
    told = sync(rig)
    assert told.missing_permissions == ["payment:basic:read"]
    assert "payment:basic:read" in (told.error_detail or "")
    assert "payment:basic:read" in caplog.text
    assert told.read_until is not None
    assert told.read_until < rig.clock.now


def test_it_goes_on_with_the_permissions_it_has(rig: Rig):
    rig.world.switches.denied_permissions = ("member:manage",)
    deafen(rig)
    rig.fail()
    rig.pass_time(1)
    assert rig.reconciler.run().done == 1
    assert sync(rig).missing_permissions == ["member:manage"]
    assert sync(rig).error_detail is None


def test_while_whop_is_away_nothing_is_concluded_and_the_trouble_is_kept(rig: Rig):
    payment_id = rig.fail("stolen_card")
    rig.world.faults.add("*", "status", status=503, times=None)
    rig.pass_time(1)
    rig.cycle.run()
    assert rig.payment(payment_id).status is PaymentStatus.FAILED
    assert sync(rig).error_detail is not None
    rig.world.faults.clear()
    rig.pass_time(1)
    rig.cycle.run()
    assert sync(rig).error_detail is None


def test_two_daemons_do_not_read_one_company_side_by_side(rig: Rig, sessions):
    with sessions.begin() as session:
        assert sync_ledger.claim_sync(session, COMPANY, rig.clock.now) is not None
    with sessions.begin() as session:
        assert sync_ledger.claim_sync(session, COMPANY, rig.clock.now) is None
        later = rig.clock.now + sync_ledger.LEASE
        assert sync_ledger.claim_sync(session, COMPANY, later) is not None


def test_only_so_many_single_payments_are_asked_for_in_a_cycle(rig: Rig, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST_SINGLE_READS", 2)
    payment_ids = [rig.fail("stolen_card") for _ in range(5)]
    rig.pass_time(3)
    rig.reconciler.run()
    deafen(rig)
    for payment_id in payment_ids:
        rig.world.member_pays(payment_id, rig.clock.now)
    for recovered in (2, 4, 5):
        rig.pass_time(1)
        rig.reconciler.run()
        paid = [p for p in payment_ids if rig.payment(p).status is PaymentStatus.RECOVERED]
        assert len(paid) == recovered


# --- the company's name ------------------------------------------------------------------------


def called(rig: Rig) -> str:
    with rig.sessions() as session:
        return find_name(session, COMPANY)


def count_calls(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    ask = rig.reconciler.whop.get_membership

    def note(membership_id: str, company_id: str) -> Membership:
        asked.append(membership_id)
        return ask(membership_id, company_id)

    monkeypatch.setattr(rig.reconciler.whop, "get_membership", note)
    return asked


def test_the_companys_name_is_read_from_a_membership_once(rig: Rig, monkeypatch):
    asked = count_calls(rig, monkeypatch)
    assert called(rig) == COMPANY
    payment_id = rig.fail("expired_card")
    for _ in range(3):
        rig.reconciler.run()
    assert called(rig) == rig.world.company.title
    assert asked == [rig.payment(payment_id).membership_id]


def test_the_operators_name_for_it_stays(rig: Rig, monkeypatch):
    asked = count_calls(rig, monkeypatch)
    with rig.sessions.begin() as session:
        save_name(session, COMPANY, "Maya's Kitchen", "somebody", rig.clock.now)
    rig.fail("expired_card")
    rig.reconciler.run()
    assert (called(rig), asked) == ("Maya's Kitchen", [])
    with rig.sessions.begin() as session:
        save_whop_name(session, COMPANY, "Lantern Academy")
    assert called(rig) == "Maya's Kitchen"


def test_a_name_that_cannot_be_read_is_no_trouble_and_asked_for_again(rig: Rig):
    rig.fail("expired_card")
    rig.world.faults.add("memberships.retrieve", "status", status=403)
    rig.reconciler.run()
    assert (called(rig), sync(rig).error_detail) == (COMPANY, None)
    assert sync(rig).read_until == rig.clock.now
    rig.reconciler.run()
    assert called(rig) == rig.world.company.title


def test_a_name_is_kept_as_one_plain_line(rig: Rig):
    with rig.sessions.begin() as session:
        save_whop_name(session, COMPANY, "Maya\n\u202eKitchen" + "x" * 500)
    assert called(rig).startswith("Maya Kitchenx")
    assert len(called(rig)) == 80
