"""Every payment gets its product's title, history too: Whop's payments carry ids alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.ledger.products import list_untitled, record_titles
from db.models import Payment, Product
from db.reporting.search import list_products
from db.session import SessionFactory
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, HOUR, NOW, add_payment
from tests.rig import Rig

ANOTHER = "biz_another"
DAY = 24 * HOUR


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path: Path) -> Rig:
    return Rig(sessions, tmp_path)


def find_titles(rig: Rig) -> dict[str, str | None]:
    with rig.sessions() as session:
        return {payment.payment_id: payment.product for payment in session.scalars(select(Payment))}


def tell_title(rig: Rig, payment_id: str) -> str:
    """As Whop has it."""
    payment = rig.world.store.payment(payment_id)
    return rig.world.store.membership(payment.membership_id).product_title


def calls(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    read = rig.reconciler.whop.wire.read

    def note(operation, *rest):
        asked.append(operation)
        return read(operation, *rest)

    monkeypatch.setattr(rig.reconciler.whop.wire, "read", note)
    return asked


def test_a_cycle_tells_the_titles_of_all_products_with_one_call(rig: Rig, monkeypatch) -> None:
    failed = [rig.fail() for _ in range(12)]
    assert set(find_titles(rig).values()) == {None}
    asked = calls(rig, monkeypatch)
    rig.reconciler.run()
    assert find_titles(rig) == {payment_id: tell_title(rig, payment_id) for payment_id in failed}
    assert asked.count("products.list") == 1
    with rig.sessions() as session:
        assert set(list_products(session, COMPANY)) == set(find_titles(rig).values())
    rig.reconciler.run()
    assert asked.count("products.list") == 1  # all are known


def test_imported_history_has_its_products(rig: Rig) -> None:
    rig.world.faults.add("webhook", "drop", times=None)
    failed = [rig.fail() for _ in range(3)]
    rig.reconciler.run()
    assert find_titles(rig) == {payment_id: tell_title(rig, payment_id) for payment_id in failed}


def test_the_next_payment_for_a_known_product_has_its_title_at_once(rig: Rig) -> None:
    first = rig.fail()
    rig.reconciler.run()
    membership_id = rig.payment(first).membership_id
    second = rig.fail(membership_id=membership_id)
    assert rig.payment(second).product == tell_title(rig, first) is not None


def test_a_product_in_no_list_is_asked_for_by_a_membership(rig: Rig, monkeypatch) -> None:
    rig.world.switches.denied_permissions = ("access_pass:basic:read",)
    failed = rig.fail()
    rig.reconciler.run()
    assert find_titles(rig) == {failed: tell_title(rig, failed)}


def test_what_whop_does_not_tell_is_asked_for_again_a_day_later(rig: Rig, monkeypatch) -> None:
    rig.fail()
    rig.world.faults.add("memberships.retrieve", "status", status=404, times=None)
    rig.world.switches.denied_permissions = ("access_pass:basic:read",)
    asked = calls(rig, monkeypatch)
    for _ in range(3):
        rig.reconciler.run()
        rig.clock.now += HOUR
    assert set(find_titles(rig).values()) == {None}
    with rig.sessions() as session:
        assert session.scalars(select(Product.title)).all() == [None]
    assert asked.count("products.list") == 1
    rig.clock.now += DAY
    rig.reconciler.run()
    assert asked.count("products.list") == 2


def test_a_membership_that_is_read_for_a_message_tells_it_too(rig: Rig) -> None:
    failed = rig.fail("expired_card")
    rig.message_sender.send_due()
    assert len(SendGrid(rig.world).mails()) == 1
    assert find_titles(rig) == {failed: tell_title(rig, failed)}


def test_a_title_is_given_to_its_own_company_s_payments(session: Session) -> None:
    ours = add_payment(session, product_id="prod_same")
    theirs = add_payment(session, product_id="prod_same")
    record_titles(session, COMPANY, {}, NOW)
    add_companies(session, {ANOTHER})
    theirs.company_id = ANOTHER
    session.add(theirs)
    session.flush()
    record_titles(session, COMPANY, {"prod_same": "Gold"}, NOW)
    session.commit()
    session.expire_all()
    assert (ours.product, theirs.product) == ("Gold", None)


def test_a_title_that_was_told_once_is_not_forgotten(session: Session) -> None:
    add_payment(session, product_id="prod_1")
    record_titles(session, COMPANY, {"prod_1": "Gold"}, NOW)
    record_titles(session, COMPANY, {"prod_1": None}, NOW + DAY)
    session.commit()
    assert session.scalars(select(Product.title)).all() == ["Gold"]
    assert list_untitled(session, COMPANY, NOW + DAY) == []


def test_nothing_is_asked_for_twice_within_a_day(session: Session) -> None:
    add_payment(session, product_id="prod_1")
    assert list_untitled(session, COMPANY, NOW) == ["prod_1"]
    record_titles(session, COMPANY, {"prod_1": None}, NOW)
    assert list_untitled(session, COMPANY, NOW + HOUR) == []
    assert list_untitled(session, COMPANY, NOW + DAY) == ["prod_1"]
