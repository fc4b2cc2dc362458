"""The messages page, without a browser: which words are shown, kept and counted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from dashboard.data.database import Unavailable
from dashboard.views.messages import editor
from dashboard.views.messages.editor import name_field, render_fault
from dashboard.views.messages.page import list_classes, read_selection
from db.company_settings import recovery as companies
from db.company_settings.templates import OwnTemplate, find_template, store_template
from db.member_messages import suppressions
from db.models import AuditEntry, Message, Payment, Template
from db.reporting.message_results import Results, count_results, find_newest
from db.session import now as read_clock
from mail.messages import OURS
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.status import Channel, MessageState, PaymentStatus, RecoveredBy, Step
from recovery.wording import Period
from tests.factories import COMPANY, HOUR, NOW, add_payment, fail_now, valued
from tests.test_pages import ANOTHER, HOSTILE, add_theirs, is_disabled, press, read_words
from tests.test_pages import fresh as fresh

PAGE_SCRIPT = """
from dashboard.settings import DashboardSettings
from dashboard.views.messages import page as messages
from db.settings import load_settings

messages.show(load_settings(DashboardSettings))
"""
DAY = timedelta(days=1)
OWN = OwnTemplate("Hello {{ name }}", "Please look at {{ product }}.\n", "<p>{{ amount }}</p>\n")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., AppTest]:
    def open_page(query: dict[str, str] | None = None, **environment: str) -> AppTest:
        given = {"DATABASE_URL": database_url, "WHOP_COMPANY_ID": COMPANY} | environment
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        page = AppTest.from_string(PAGE_SCRIPT, default_timeout=30)
        for name, value in (query or {}).items():
            page.query_params[name] = value
        return page.run()

    return open_page


def read_mail(page: AppTest) -> str:
    """What is in the frames; both hold the same."""
    phone, handler = (frame.proto.src.partition("base64,")[2] for frame in page.get("iframe"))
    assert phone == handler
    return base64.b64decode(phone).decode()


def type_words(page: AppTest, step: Step, **parts: str) -> AppTest:
    for part, words in parts.items():
        find = page.text_input if part == "subject" else page.text_area
        find(key=name_field(step, part)).input(words)
    return page.run()


def send(
    session: Session, payment: Payment, at: datetime, step: Step = Step.REMINDER, **marks: object
) -> Message:
    values = {"channel": Channel.EMAIL, "state": MessageState.SENT, "sent_at": at} | marks
    message = Message(
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        step=step,
        due_at=at,
        **values,
    )
    session.add(message)
    session.commit()
    return message


# --- what is shown -----------------------------------------------------------------------------


def test_it_shows_the_mail_at_two_widths_as_text_and_in_the_chat(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    page = open_page({"step": "payment_failed", "class": "funds"})
    words = read_words(page)
    assert "newest payment that failed for this reason: Maya Okafor, $49.00." in words
    assert "Subject: <b>Your " in words
    assert [frame.proto.src.partition(",")[0] for frame in page.get("iframe")] == [
        "data:text/html;charset=utf-8;base64"
    ] * 2
    assert "Hi Maya" in read_mail(page)
    plain, chat = (block.value for block in page.code)
    assert "Hi Maya" in plain
    assert "Questions? Just answer here." in chat


def test_it_takes_a_sample_where_no_payment_failed_so_and_says_that(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    page = open_page({"step": "notice", "class": "fraud"})
    assert "Sample data:" in read_words(page)
    assert "Maya" not in read_mail(page)


@pytest.mark.parametrize("step", list(Step))
def test_it_offers_only_the_classes_whose_members_get_the_message(
    open_page: Callable[..., AppTest], step: Step
) -> None:
    page = open_page({"step": step.value})
    offered = page.selectbox(key="message-class").options
    assert len(offered) == len(list_classes(step)) > 0
    for decline_class in list_classes(step):
        assert not open_page({"step": step.value, "class": decline_class.value}).exception


@pytest.mark.parametrize(
    "address", [{}, {"step": "x"}, {"step": "notice", "class": "funds"}, {"within": "7 days"}]
)
def test_no_address_asks_for_a_message_that_nobody_gets(address: dict[str, str]) -> None:
    chosen = read_selection(address)
    assert chosen.decline_class in list_classes(chosen.step)
    assert chosen.period is Period.MONTH


def test_a_choice_stands_in_the_address(open_page: Callable[..., AppTest]) -> None:
    page = open_page()
    page.selectbox(key="message-step").select("reminder").run()
    assert page.query_params["step"] == "reminder"
    page.selectbox(key="message-class").select("bank_debit").run()
    assert page.query_params["class"] == "bank_debit"


def test_no_word_of_a_member_is_read_as_markup(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": HOSTILE})
    page = open_page({"step": "payment_failed", "class": "funds"})
    assert "<script" not in read_words(page)
    assert "<script>alert" not in read_mail(page)


def test_it_says_that_the_database_is_away(open_page: Callable[..., AppTest]) -> None:
    page = open_page(DATABASE_URL="postgresql://nobody@/nothing?host=/nowhere")
    assert "does not answer" in page.error[0].value


# --- changing ----------------------------------------------------------------------------------


def test_what_is_typed_is_previewed_before_it_is_saved(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    page = open_page()
    page = type_words(page, Step.PAYMENT_FAILED, subject=OWN.subject, html="<p>Quite new</p>")
    words = read_words(page)
    assert "Not saved yet. The preview below shows your changes." in words
    assert "Subject: <b>Hello Maya</b>" in words
    assert "Quite new" in read_mail(page)
    assert find_template(session, COMPANY, Step.PAYMENT_FAILED) is None


def test_saving_keeps_the_words_and_notes_who_without_the_words(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = open_page({"step": "reminder"})
    page = type_words(page, Step.REMINDER, subject=OWN.subject, text=OWN.text, html=OWN.html)
    page = press(page, "Save")
    words = read_words(page)
    assert "Saved. Your text is used from the next message on." in words
    assert "Reminder: your own text in use, saved " in words
    assert "Not saved yet" not in words
    assert find_template(session, COMPANY, Step.REMINDER) == OWN
    (entry,) = session.scalars(select(AuditEntry))
    assert (entry.action, entry.actor, entry.company_id) == ("template", "dashboard", COMPANY)
    assert entry.details == {"step": "reminder", "restored": False}
    assert "Reminder: edited · you" in words


def test_words_that_cannot_be_sent_are_told_by_their_line_and_not_kept(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = open_page()
    page = type_words(page, Step.PAYMENT_FAILED, text="Hi {{ name }}\n\nfor {{ nmae }}")
    words = read_words(page)
    assert ", line 3: there is no variable &#39;nmae&#39;." in words
    assert "<code>for {{ nmae }}</code>" in words
    assert "The preview below shows what is sent until the errors are fixed." in words
    page = press(page, "Save")
    assert "Nothing was saved. See the notes below." in read_words(page)
    assert session.scalars(select(Template)).all() == []
    assert session.scalars(select(AuditEntry)).all() == []


def test_each_part_that_is_wrong_has_its_own_words(open_page: Callable[..., AppTest]) -> None:
    page = type_words(open_page(), Step.PAYMENT_FAILED, subject="", html="<img src='x'>")
    words = read_words(page)
    assert "Subject: it must not be empty" in words
    assert "&lt;img&gt; cannot be used" in words
    assert "<img" not in words


def test_our_words_come_back_once_confirmed(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    store_template(session, COMPANY, Step.PAYMENT_FAILED, OWN, "somebody", NOW)
    session.commit()
    page = open_page()
    assert page.text_input(key=name_field(Step.PAYMENT_FAILED, "subject")).value == OWN.subject
    page = press(page, "Reset to default")
    session.expire_all()
    assert find_template(session, COMPANY, Step.PAYMENT_FAILED) == OWN
    page = press(page, "Yes, reset")
    session.rollback()
    assert find_template(session, COMPANY, Step.PAYMENT_FAILED) is None
    ours = OURS[Step.PAYMENT_FAILED]
    assert page.text_input(key=name_field(Step.PAYMENT_FAILED, "subject")).value == ours.subject
    words = read_words(page)
    assert "default template in use." in words
    assert "First message: reset to default · you" in words
    assert is_disabled(page, "Reset to default")


def test_nothing_is_restored_when_the_reader_thinks_better_of_it(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    store_template(session, COMPANY, Step.PAYMENT_FAILED, OWN, "somebody", NOW)
    session.commit()
    page = press(press(open_page(), "Reset to default"), "No, keep mine")
    assert find_template(session, COMPANY, Step.PAYMENT_FAILED) == OWN
    assert "Yes, reset" not in [button.label for button in page.button]


def test_changes_can_be_undone(open_page: Callable[..., AppTest]) -> None:
    page = type_words(open_page(), Step.PAYMENT_FAILED, subject="Else")
    page = press(page, "Undo changes")
    field = page.text_input(key=name_field(Step.PAYMENT_FAILED, "subject"))
    assert field.value == OURS[Step.PAYMENT_FAILED].subject


def test_saving_what_is_kept_already_notes_nothing(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    assert "the text was not changed." in read_words(press(open_page(), "Save"))
    assert session.scalars(select(AuditEntry)).all() == []
    assert session.scalars(select(Template)).all() == []


def test_words_that_somebody_else_saved_appear_unless_others_are_being_typed(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    page = open_page()
    store_template(session, COMPANY, Step.PAYMENT_FAILED, OWN, "somebody", NOW)
    session.commit()
    key = name_field(Step.PAYMENT_FAILED, "subject")
    assert page.run().text_input(key=key).value == OWN.subject
    type_words(page, Step.PAYMENT_FAILED, subject="Mine")
    store_template(session, COMPANY, Step.PAYMENT_FAILED, replace(OWN, text="x"), "somebody", NOW)
    session.commit()
    assert page.run().text_input(key=key).value == "Mine"


def test_it_warns_of_words_that_work_no_more(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    gone = replace(OWN, html="<p>{{ gone }}</p>")
    store_template(session, COMPANY, Step.PAYMENT_FAILED, gone, "somebody", NOW)
    session.commit()
    page = open_page()
    assert "Your text has an error, so the default template is sent instead." in read_words(page)
    assert "did not go through" in read_mail(page)


def test_it_says_that_nothing_was_changed_while_the_database_is_away(
    open_page: Callable[..., AppTest], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_template(session, COMPANY, Step.PAYMENT_FAILED, OWN, "somebody", NOW)
    session.commit()
    page = type_words(open_page(), Step.PAYMENT_FAILED, subject="Mine")
    for name in ("save_words", "restore_words"):
        monkeypatch.setattr(editor, name, lambda *arguments: Unavailable.AWAY)
    page = press(page, "Save")
    assert editor.AWAY in read_words(page)
    page = press(press(page, "Reset to default"), "Yes, reset")
    assert editor.AWAY in read_words(page)
    assert page.text_input(key=name_field(Step.PAYMENT_FAILED, "subject")).value == "Mine"


def test_a_fault_beyond_the_last_line_quotes_none() -> None:
    assert "<code>" not in render_fault("HTML", "line 9: something", "one line")
    assert "<code>one line</code>" in render_fault("HTML", "line 1: something", "one line")


# --- results -----------------------------------------------------------------------------------


def test_results_count_what_the_mail_service_told_and_who_paid_after(session: Session) -> None:
    paid, unpaid, by_retry, earlier = (add_payment(session) for _ in range(4))
    for payment, who, at in (
        (paid, RecoveredBy.MEMBER, NOW + 2 * HOUR),
        (by_retry, RecoveredBy.RETRY, NOW + 2 * HOUR),
        (earlier, RecoveredBy.MEMBER, NOW - HOUR),
    ):
        payment.status, payment.next_retry_at = PaymentStatus.RECOVERED, None
        payment.recovered_at, payment.recovered_by = at, who
        session.add(valued(payment))
    session.commit()
    send(session, paid, NOW, delivered_at=NOW, opened_at=NOW, clicked_at=NOW)
    send(session, unpaid, NOW, delivery_failure=DeliveryFailure.BOUNCED, delivery_failed_at=NOW)
    send(session, by_retry, NOW, channel=Channel.WHOP)
    send(session, earlier, NOW, delivered_at=NOW)
    assert count_results(session, COMPANY, NOW - DAY) == {
        Step.REMINDER: Results(
            sent=4, mails=3, delivered=2, opened=1, clicked=1, undelivered=1, paid_after=1
        )
    }


def test_results_leave_out_what_is_older_unsent_joined_or_another_company_s(
    session: Session,
) -> None:
    send(session, add_payment(session), NOW - 31 * DAY)
    lead = send(session, add_payment(session), NOW)
    joined: dict[str, Any] = {"state": MessageState.JOINED, "joined_to": lead.id}
    send(session, add_payment(session), NOW, **joined)
    send(session, add_payment(session), NOW, state=MessageState.UNKNOWN, sent_at=None)
    send(session, add_theirs(session), NOW)
    assert count_results(session, COMPANY, NOW - 30 * DAY)[Step.REMINDER].sent == 1
    assert count_results(session, COMPANY, NOW - 90 * DAY)[Step.REMINDER].sent == 2


def test_results_are_found_by_index(session: Session, engine: Engine) -> None:
    asked: list[tuple[str, Any]] = []

    def listen(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    event.listen(engine, "before_cursor_execute", listen)
    count_results(session, COMPANY, NOW)
    event.remove(engine, "before_cursor_execute", listen)
    ((statement, values),) = asked
    session.execute(text("set local enable_seqscan = off"))
    plan = session.connection().exec_driver_sql(f"explain {statement}", values).scalars().all()
    assert any("ix_messages_company_sent" in line for line in plan)
    assert not any("Seq Scan" in line for line in plan)


def test_the_page_says_few_as_numbers_and_many_as_a_share(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    assert "none yet" in read_words(open_page({"step": "reminder"}))
    send(session, fail_now(session, read_clock()), read_clock(), delivered_at=read_clock())
    assert "1 of 1" in read_words(open_page({"step": "reminder"}))
    send(session, fail_now(session, read_clock()), read_clock() - 60 * DAY)
    assert "1 of 2" in read_words(open_page({"step": "reminder", "within": "90 days"}))


def test_addresses_are_counted_by_reason_and_never_shown(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    companies.add_companies(session, {COMPANY})
    for address, reason in (
        ("a@example.com", DeliveryFailure.BOUNCED),
        ("b@example.com", DeliveryFailure.BOUNCED),
        ("c@example.com", DeliveryFailure.UNSUBSCRIBED),
    ):
        suppressions.suppress(session, COMPANY, address, reason, NOW)
    session.commit()
    words = read_words(open_page())
    assert "3 addresses: 2 bounced, 1 unsubscribed." in words
    assert "@example.com" not in words


# --- one company -------------------------------------------------------------------------------


def test_nothing_of_another_company_is_shown_or_changed(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    theirs = add_theirs(session)
    store_template(session, ANOTHER, Step.PAYMENT_FAILED, OWN, "somebody", NOW)
    suppressions.suppress(session, ANOTHER, "a@example.com", DeliveryFailure.BOUNCED, NOW)
    session.commit()
    send(session, theirs, read_clock(), Step.PAYMENT_FAILED)
    page = open_page({"step": "payment_failed", "class": "funds"})
    words = read_words(page)
    assert "Sample data:" in words
    assert "Not Yours" not in words + read_mail(page)
    assert "default template in use." in words
    assert "None: every address can receive messages." in words
    assert "<dt>Sent</dt><dd><b>0</b>" in words
    press(type_words(page, Step.PAYMENT_FAILED, subject="Ours alone"), "Save")
    session.rollback()
    assert find_template(session, ANOTHER, Step.PAYMENT_FAILED) == OWN


def test_the_newest_payment_of_a_class_is_found_among_the_newest(session: Session) -> None:
    assert find_newest(session, COMPANY, DeclineClass.FUNDS) is None
    old = add_payment(session, last_payment_attempt_at=(NOW - DAY).isoformat())
    new = add_payment(session)
    add_payment(session, decline_code="stolen_card")
    found = find_newest(session, COMPANY, DeclineClass.FUNDS)
    assert found is not None
    assert found.payment_id == new.payment_id != old.payment_id
    assert find_newest(session, ANOTHER, DeclineClass.FUNDS) is None
